// Json: writes JSON (RFC 8259) as it goes, one value after the other, without spaces. Strings may
// be of any bytes: what is no UTF-8 becomes U+FFFD, and control characters are escaped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace post::io {

class Json {
public:
    // An object or array; the name where it stands in an object.
    Json& object(std::string_view name = {}) { return begin(name, '{'); }
    Json& array(std::string_view name = {}) { return begin(name, '['); }
    Json& end();  // of the innermost one
    Json& text(std::string_view name, std::string_view value);
    Json& number(std::string_view name, std::uint64_t value);
    Json& boolean(std::string_view name, bool value);
    // With three digits behind the point.
    Json& milliseconds(std::string_view name, std::int64_t nanoseconds);

    const std::string& string() const { return text_; }

private:
    Json& begin(std::string_view name, char open);
    void put_name(std::string_view name);
    void put_text(std::string_view value);

    std::string text_;
    std::string open_;  // what ends those that are open
    bool first_ = true;
};

}  // namespace post::io
