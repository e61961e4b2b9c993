// NameCache: what the name servers said, for as long as they let us keep it; that there is nothing,
// too (RFC 2308). The names are those that were asked for, and case does not count.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <post/records.hpp>

namespace post::io {

class NameCache final {
public:
    static constexpr std::size_t most = 256;  // the one that ends first makes room

    // Keeps nothing whose time to live is zero.
    void keep(const std::string& name, const Answer& answer, Instant now);
    std::optional<Answer> find(const std::string& name, RecordKind kind, Instant now) const;
    void clear() { entries_.clear(); }
    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        Answer answer;
        Instant end;
    };
    std::map<std::pair<RecordKind, std::string>, Entry> entries_;  // names in lower case
};

}  // namespace post::io
