// Slots: a table whose rows keep their place, found by a slot number and a generation, so that a
// key of a row that is gone finds nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace post::core {

template <class Key, class Row> class Slots {
public:
    Key add() {
        if (free_.empty()) grow();
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        Entry& added = entry(slot);
        added.live = true;
        // 0 is nobody's.
        added.generation = (added.generation % most_generation + 1) & most_generation;
        return {slot, added.generation};
    }
    Row* find(Key key) {
        if (key.slot >= size()) return nullptr;
        Entry& found = entry(key.slot);
        return found.live && found.generation == key.generation ? &found.row : nullptr;
    }
    void remove(Key key) {
        if (!find(key)) return;
        entry(key.slot).row = Row{};
        entry(key.slot).live = false;
        free_.push_back(key.slot);
    }
    template <class Visit> void each(Visit&& visit) {
        for (std::uint32_t slot = 0; slot < size(); ++slot)
            if (entry(slot).live) visit(Key{slot, entry(slot).generation}, entry(slot).row);
    }

private:
    static constexpr std::uint32_t most_generation = 0x7fffffff;
    struct Entry {
        Row row;
        std::uint32_t generation : 31 = 0;
        std::uint32_t live : 1 = 0;
    };
    // Rows stand in blocks, so that they keep their place and are found with two steps.
    static constexpr std::uint32_t block = 64;

    std::uint32_t size() const { return static_cast<std::uint32_t>(blocks_.size()) * block; }
    Entry& entry(std::uint32_t slot) { return blocks_[slot / block][slot % block]; }
    void grow() {
        const std::uint32_t first = size();
        blocks_.push_back(std::make_unique<Entry[]>(block));
        for (std::uint32_t slot = first + block; slot > first;) free_.push_back(--slot);
    }

    std::vector<std::unique_ptr<Entry[]>> blocks_;
    std::vector<std::uint32_t> free_;
};

}  // namespace post::core
