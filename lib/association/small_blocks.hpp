// SmallBlocks: where small content is copied to. It shares blocks of 4 KiB, and a block that nobody
// holds any more is written again, so that a stream of small messages allocates nothing.
#pragma once

#include <span>

#include <post/bytes.hpp>

#include "lib/association/ring.hpp"

namespace post::core {

class SmallBlocks {
public:
    static constexpr std::size_t block = 4 * 1024;
    static constexpr std::size_t largest = block / 2;  // longer content has memory of its own
    static constexpr std::size_t most_kept = 512;
    static constexpr std::size_t kept_at_rest = 8;

    // A copy; at most `largest` bytes.
    Bytes keep(std::span<const std::byte> bytes) {
        if (bytes.empty()) return {};
        if (current_.room() < bytes.size()) turn_page();
        return current_.append(bytes);
    }
    // When nothing is held any more, once a turn: what a burst took is given back little by little,
    // so that a stream of bursts finds it again.
    void rest() {
        if (full_.size() > kept_at_rest) full_.pop();
    }

private:
    // As many contents of a few dozen bytes as a block takes.
    static constexpr std::uint32_t slices = 128;

    // Blocks are let go in about the order in which they were written, so a look at the oldest will
    // do. One that somebody holds on to is left to him when there are too many.
    void turn_page() {
        if (current_.capacity() > 0) {
            current_.settle();
            full_.push(std::move(current_));
        }
        if (full_.size() > most_kept) full_.pop();
        if (!full_.empty() && full_.front().sole()) {
            current_ = std::move(full_.front());
            current_.rewind();
            full_.pop();
        } else {
            current_ = Block(block);
        }
        current_.prepay(slices);
    }

    Block current_;
    Ring<Block> full_;  // the oldest first
};

}  // namespace post::core
