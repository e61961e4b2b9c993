// Slots: a table whose rows keep their place, found by a slot number and a generation, so that a
// key of a row that is gone finds nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace post::core {

template <class Key, class Row> class Slots {
public:
    Key add() {
        if (free_.empty()) {
            free_.push_back(static_cast<std::uint32_t>(rows_.size()));
            rows_.emplace_back();
        }
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        Entry& entry = rows_[slot];
        entry.live = true;
        if (++entry.generation == 0) entry.generation = 1;  // 0 is nobody's
        entry.row = Row{};
        return {slot, entry.generation};
    }
    Row* find(Key key) {
        if (key.slot >= rows_.size()) return nullptr;
        Entry& entry = rows_[key.slot];
        return entry.live && entry.generation == key.generation ? &entry.row : nullptr;
    }
    void remove(Key key) {
        if (!find(key)) return;
        rows_[key.slot].row = Row{};
        rows_[key.slot].live = false;
        free_.push_back(key.slot);
    }
    template <class Visit> void each(Visit&& visit) {
        for (std::uint32_t slot = 0; slot < rows_.size(); ++slot)
            if (rows_[slot].live) visit(Key{slot, rows_[slot].generation}, rows_[slot].row);
    }

private:
    struct Entry {
        Row row;
        std::uint32_t generation = 0;
        bool live = false;
    };
    std::deque<Entry> rows_;
    std::vector<std::uint32_t> free_;
};

}  // namespace post::core
