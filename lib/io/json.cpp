// Json: commas, escapes, and UTF-8 (RFC 3629).
#include "lib/io/json.hpp"

#include <cstdio>

namespace post::io {

namespace {

// The length of the character that `text` begins with; 0: it is none.
std::size_t character(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = at(0);
    const std::size_t length = first < 0x80                     ? 1
                               : first >= 0xc2 && first < 0xe0  ? 2
                               : first >= 0xe0 && first < 0xf0  ? 3
                               : first >= 0xf0 && first <= 0xf4 ? 4
                                                                : 0;
    if (length == 0 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((at(i) & 0xc0) != 0x80) return 0;
    // Too long for what they say, surrogates, and what is above U+10FFFF.
    if ((first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) >= 0xa0)) return 0;
    if ((first == 0xf0 && at(1) < 0x90) || (first == 0xf4 && at(1) >= 0x90)) return 0;
    return length;
}

}  // namespace

Json& Json::begin(std::string_view name, char open) {
    put_name(name);
    text_ += open;
    open_ += open == '{' ? '}' : ']';
    first_ = true;
    return *this;
}

Json& Json::end() {
    text_ += open_.back();
    open_.pop_back();
    first_ = false;
    return *this;
}

Json& Json::text(std::string_view name, std::string_view value) {
    put_name(name);
    put_text(value);
    return *this;
}

Json& Json::number(std::string_view name, std::uint64_t value) {
    put_name(name);
    text_ += std::to_string(value);
    return *this;
}

Json& Json::boolean(std::string_view name, bool value) {
    put_name(name);
    text_ += value ? "true" : "false";
    return *this;
}

Json& Json::milliseconds(std::string_view name, std::int64_t nanoseconds) {
    put_name(name);
    const std::int64_t micro = nanoseconds / 1000;
    char text[40];
    std::snprintf(text, sizeof text, "%s%lld.%03lld", micro < 0 ? "-" : "",
                  static_cast<long long>(micro < 0 ? -(micro / 1000) : micro / 1000),
                  static_cast<long long>(micro < 0 ? -(micro % 1000) : micro % 1000));
    text_ += text;
    return *this;
}

void Json::put_name(std::string_view name) {
    if (!first_) text_ += ',';
    first_ = false;
    if (open_.empty() || open_.back() == ']') return;
    put_text(name);
    text_ += ':';
}

void Json::put_text(std::string_view value) {
    text_ += '"';
    while (!value.empty()) {
        const std::size_t length = character(value);
        const char c = value.front();
        if (length == 0) {
            text_ += "\xef\xbf\xbd";  // U+FFFD
        } else if (c == '"' || c == '\\') {
            text_ += '\\';
            text_ += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
            text_ += escaped;
        } else {
            text_ += value.substr(0, length);
        }
        value.remove_prefix(length == 0 ? 1 : length);
    }
    text_ += '"';
}

}  // namespace post::io
