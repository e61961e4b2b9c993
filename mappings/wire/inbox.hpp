// Inbox: what a connection has for the layer above: events in order, and the memory that received
// bytes lie in. ngtcp2 shows stream bytes only while its callback runs, so each is copied once,
// into a block that the messages of a turn share; successive parts of one message are one event.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <post/bytes.hpp>

#include "mappings/values.hpp"
#include "mappings/wire/ring.hpp"

namespace post::wire {

// The contents of runs of short messages are listed in such (event::ArrivedRun): about as many as a
// packet has.
using RunList = std::array<std::span<const std::byte>, 32>;

// Blocks for received bytes, used again when nobody refers to them any more. One an endpoint.
class ReceiveBlocks {
public:
    // Copies into the block; what was kept before and lies just in front continues in it.
    Bytes keep(std::span<const std::byte> bytes) {
        if (bytes.empty()) return {};  // there may be no block yet
        if (block_.room() < bytes.size()) renew(bytes.size());
        return block_.append(bytes);
    }
    // A part of what was kept last, held by one more.
    Bytes share(const Bytes& lent) { return block_.share(lent.data(), lent.size()); }
    std::unique_ptr<RunList> take_list() {
        if (lists_.empty()) return std::make_unique<RunList>();
        auto list = std::move(lists_.back());
        lists_.pop_back();
        return list;
    }
    void give(std::vector<std::unique_ptr<RunList>>& lists) {
        for (auto& list : lists)
            if (lists_.size() < most_lists) lists_.push_back(std::move(list));
        lists.clear();
    }

    // For the events of a connection that had none: it gives their room back with them.
    std::vector<Event> take_events() {
        if (events_.empty()) return {};
        auto events = std::move(events_.back());
        events_.pop_back();
        return events;
    }
    void give(std::vector<Event> events) {
        if (events_.size() < most_events && events.capacity() <= most_room)
            events_.push_back(std::move(events));
    }

private:
    static constexpr std::size_t most_events = 64;
    static constexpr std::size_t most_room = 512;
    static constexpr std::size_t most_lists = 256;
    static constexpr std::uint32_t slices = 1024;
    static constexpr std::size_t block_size = 64 * 1024;
    static constexpr std::size_t most_blocks = 8;

    // The next block: the oldest one, if nobody refers to it any more.
    void renew(std::size_t least) {
        if (block_.capacity()) {
            block_.settle();
            used_.push_back(std::move(block_));
        }
        if (used_.size() > most_blocks) used_.pop_front();
        block_ = Block();
        if (!used_.empty() && used_.front().sole()) {
            block_ = std::move(used_.front());
            used_.pop_front();
            block_.rewind();
        }
        if (block_.room() < least) block_ = Block(std::max(block_size, least));
        block_.prepay(slices);
    }

    Block block_;
    Ring<Block> used_;
    std::vector<std::unique_ptr<RunList>> lists_;
    std::vector<std::vector<Event>> events_;
};

class Inbox {
public:
    explicit Inbox(ReceiveBlocks& blocks) : blocks_(blocks) {}

    Bytes keep(std::span<const std::byte> bytes) { return blocks_.keep(bytes); }
    Bytes share(const Bytes& lent) { return blocks_.share(lent); }

    void add(Event event) { events().push_back(std::move(event)); }

    // Places for the contents of a run.
    std::span<std::span<const std::byte>> list() {
        if (lists_.empty() || listed_ == std::tuple_size_v<RunList>) {
            lists_.push_back(blocks_.take_list());
            listed_ = 0;
        }
        return std::span(*lists_.back()).subspan(listed_);
    }
    void arrived(const event::ArrivedRun& run) {
        listed_ += run.contents.size();
        events().emplace_back(run);
    }
    // Holds the memory of lent bytes for as long as events may refer to it.
    void hold(Bytes bytes) { held_.push_back(std::move(bytes)); }

    void arrived(Piece&& piece) {
        if (auto* last = last_part(piece)) {
            last->bytes.extend(piece.bytes.size());
            last->marks = piece.marks;
            return;
        }
        events().emplace_back(std::in_place_type<event::Arrived>, event::Arrived{std::move(piece)});
    }
    // Raw framing: what came in one go is one message. False: it must be a new one.
    bool extend_whole(CarrierId carrier, const Bytes& bytes) {
        auto* last = events_.empty() ? nullptr : std::get_if<event::Arrived>(&events_.back());
        if (last == nullptr || last->piece.carrier != carrier ||
            !last->piece.bytes.continues_in(bytes))
            return false;
        last->piece.bytes.extend(bytes.size());
        last->piece.total += bytes.size();
        return true;
    }

    void drain(std::vector<Event>& events) {
        for (Bytes& bytes : lent_) dropped_.add(std::move(bytes));
        dropped_.flush();
        lent_.clear();
        lent_.swap(held_);
        blocks_.give(lent_lists_);
        lent_lists_.swap(lists_);
        if (events_.empty()) return;
        if (events.empty()) {
            events.swap(events_);
        } else {
            events.insert(events.end(), std::move_iterator(events_.begin()),
                          std::move_iterator(events_.end()));
            events_.clear();
        }
        if (events_.capacity() > 0) blocks_.give(std::exchange(events_, {}));
    }

private:
    std::vector<Event>& events() {
        if (events_.capacity() == 0) events_ = blocks_.take_events();
        return events_;
    }
    Piece* last_part(const Piece& piece) {
        if (events_.empty() || piece.offset == 0) return nullptr;
        auto* last = std::get_if<event::Arrived>(&events_.back());
        if (last == nullptr) return nullptr;
        auto& before = last->piece;
        bool same = before.carrier == piece.carrier && before.niceness == piece.niceness &&
                    before.sequence == piece.sequence &&
                    before.offset + before.bytes.size() == piece.offset &&
                    before.bytes.continues_in(piece.bytes);
        return same ? &before : nullptr;
    }

    std::vector<Event> events_;
    std::vector<Bytes> held_;  // what the events refer to
    std::vector<Bytes> lent_;  // what those refer to that were drained last
    Bytes::Dropped dropped_;
    std::vector<std::unique_ptr<RunList>> lists_;       // of the events
    std::vector<std::unique_ptr<RunList>> lent_lists_;  // of those that were drained last
    std::size_t listed_ = 0;                            // places that are taken in the last list
    ReceiveBlocks& blocks_;
};

}  // namespace post::wire
