// The next implicit sequence number of each niceness class but 0, which both sides keep apart
// because nearly every message is of it. Made on use: most streams know no other class, and one
// more costs 16 bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "mappings/values.hpp"

namespace post::framing {

class NextTable {
public:
    // 0 for a class that was never used.
    std::uint64_t at(NicenessClass niceness) const {
        for (const Entry& entry : entries_)
            if (entry.niceness == niceness) return entry.next;
        return 0;
    }
    // At most 63 entries, because there are no more classes.
    std::uint64_t& operator[](NicenessClass niceness) {
        for (Entry& entry : entries_)
            if (entry.niceness == niceness) return entry.next;
        return entries_.emplace_back(Entry{0, niceness}).next;
    }
    bool empty() const { return entries_.empty(); }

private:
    struct Entry {
        std::uint64_t next = 0;
        NicenessClass niceness;
    };
    std::vector<Entry> entries_;
};

}  // namespace post::framing
