// Outbox: what one association has still to send, and what it sent and nobody has settled yet. It
// decides at the last moment what goes next: Carrier priority (strict), then niceness (strict),
// then equal ones in turn; inside one Carrier and class first in, first out (RFC 9622, 9.2.6).
//
//   send -> queued -> begun -> pulled -> packed -> acked
//              \         \______________________-> failed(maybe delivered)
//               \-> expired (SKIP)   begun -> expired (ABANDON)
//
// The bytes of a message are held from send until it is settled. The outbox only speaks of
// Carriers that it was told of; what it hands out is in the order of the wire.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <post/message.hpp>

#include "lib/association/events.hpp"
#include "lib/association/pool.hpp"
#include "lib/association/ring.hpp"
#include "mappings/values.hpp"

namespace post::core {

// A message in one Carrier's queue.
struct OutEntry {
    Bytes content;
    std::uint64_t pulled = 0;     // bytes handed to the mapping
    std::uint64_t delivered = 0;  // bytes that the peer said it has, of an unfinished message
    Instant deadline = never;
    FateToken on_fate = no_fate;
    Niceness niceness;  // as the application gave it; the wire has the class
    enum class State : std::uint8_t {
        queued,
        begun,
        pulled,
        packed,
        settled
    } state = State::queued;
    bool idempotent = false;
    bool final = false;
};

// One niceness class of one Carrier: a run of sequence numbers, those before `next` pulled.
struct OutClass {
    NicenessClass niceness;
    std::uint64_t first = 0;  // the sequence number of entries[0]
    Ring<OutEntry> entries;
    std::size_t next = 0;  // index of the first one not wholly pulled
    bool scheduled = false;
};

// What a lane has while a message of it has no fate. Lent: an idle Carrier owns none.
struct OutWork {
    struct Pulled {
        NicenessClass niceness;
        bool last = false;  // the piece completes its message
        std::uint32_t bytes = 0;
        std::uint64_t sequence = 0;
    };
    std::vector<OutClass> classes;  // few; in the order of their first use
    Ring<Pulled> in_hand;           // pulled, not yet packed
    Ring<Pulled> awaiting;          // packed, not yet acknowledged; plain peers only
};

// The sending half of one Carrier.
struct OutLane {
    CarrierId carrier;
    Tag tag = no_tag;
    std::unique_ptr<OutWork> work;
    std::uint64_t sequence = 0;  // the next of class 0, while there is no work
    Priority priority;
    std::uint64_t queued = 0;     // bytes not yet pulled
    std::uint64_t unsettled = 0;  // messages without their fate
    bool blocked = false;         // by the mapping
    bool fates = false;           // the Carrier wants fates of messages without a callback
    bool finish_wanted = false;
    bool finish_pulled = false;
    bool tail_scheduled = false;
    bool opened = false;    // the mapping knows the Carrier
    bool announce = false;  // the peer shall hear of it before the first message
};

class Outbox {
public:
    struct Limits {
        std::uint64_t carrier_budget;
        std::uint64_t budget;
        std::uint64_t unsettled;
    };
    // `settled` counts down what run() waits for: messages without their fate, of all associations.
    // `works` lends lanes what they need while something is on its way.
    Outbox(const Limits& limits, std::uint64_t& outstanding, Pool<OutWork>& works)
        : limits_(limits), outstanding_(outstanding), works_(works) {}
    ~Outbox() { outstanding_ -= unsettled_messages_; }

    // Commands.

    bool writable(const OutLane& lane) const;
    Sequence push(OutLane& lane, Bytes content, const SendOptions& options, Instant deadline,
                  FateToken on_fate);
    void finish(OutLane& lane);
    // Ends all that has no fate yet as failed with `error` and takes the lane out of the schedule.
    void fail(OutLane& lane, const Error& error);
    // Nothing has a turn any more; before all lanes fail.
    void clear_schedule();
    // Forgets the lane: nothing of it may be left without a fate.
    void remove(OutLane& lane);
    // Puts a lane that has something to send into the schedule, when nothing blocks it.
    void schedule(OutLane& lane);
    void block(OutLane& lane);
    void unblock(OutLane& lane);
    // A send found no room: wake_starved says Writable when there is some again.
    void starve(OutLane& lane);
    void wake_starved();
    // With a plain peer what has begun is finished: there is no ABANDON.
    void set_plain(bool plain) { plain_ = plain; }
    // Ends what ran out of time. Call when deadline() has come.
    void handle_timeout(Instant now);

    // What the peer said. False: it speaks of messages that were never sent to it.
    bool handle_delivered(OutLane& lane, const Delivered& delivered);
    void handle_acked(OutLane& lane, std::uint64_t pieces);  // plain peers

    // Pulling.

    // The lane whose turn it is, nullptr when nothing may be sent.
    OutLane* turn();
    // What goes next of the lane that turn() gave: a Piece of at most `chunk` bytes, Skip, Abandon
    // or Finish.
    void next(std::uint64_t chunk, Outgoing& out);
    // The next pieces of the lane are in packets.
    void packed(OutLane& lane, std::uint64_t pieces);

    // Views and events.

    Instant deadline() const;
    std::uint64_t unsettled_bytes() const { return unsettled_bytes_; }
    std::uint64_t unsettled_messages() const { return unsettled_messages_; }
    // Messages that are wholly packed and wait for the peer's word. Those that are queued, or stuck
    // half way for want of a window, are not the peer's fault.
    std::uint64_t packed_messages() const { return packed_messages_; }
    std::vector<Happened>& events() { return events_; }

private:
    struct Key {
        Priority priority;
        std::uint8_t niceness;  // 64: the end of a direction, behind everything
        auto operator<=>(const Key&) const = default;
    };
    static constexpr std::uint8_t tail = niceness_classes;

    using Ready = std::map<Key, Ring<OutLane*>>;

    OutClass& class_for(OutLane& lane, NicenessClass niceness);
    void release_if_idle(OutLane& lane);
    void enter(const Key& key, OutLane& lane);
    void leave(OutLane& lane);
    void next_of_class(OutLane& lane, OutClass& queue, std::uint64_t chunk, Outgoing& out);
    bool pass_settled(OutLane& lane, OutClass& queue, Outgoing& out);
    void settle(OutLane& lane, OutEntry& entry, MessageId id, Fate::Kind kind,
                const Error* error = nullptr);
    void report(OutLane& lane, OutEntry& entry, MessageId id, Fate::Kind kind, const Error* error,
                bool maybe_delivered);

    // In the order of time; among equals as they were sent, so that each is found at once.
    struct Expiry {
        Instant at;
        CarrierId carrier;
        NicenessClass niceness;
        std::uint64_t sequence = 0;
        OutLane* lane = nullptr;
        auto operator<=>(const Expiry&) const = default;
    };

    Limits limits_;
    std::uint64_t& outstanding_;
    Pool<OutWork>& works_;
    Ready ready_;
    Ready::iterator current_{};
    std::uint64_t served_ = 0;  // bytes that the front lane has had in this turn of the ring
    std::set<Expiry> expiries_;
    std::vector<OutLane*> starved_;
    Bytes::Dropped settled_;  // contents, for as long as one call goes on
    std::vector<Happened> events_;
    std::uint64_t queued_bytes_ = 0;
    std::uint64_t unsettled_bytes_ = 0;
    std::uint64_t unsettled_messages_ = 0;
    std::uint64_t packed_messages_ = 0;
    bool plain_ = false;
};

}  // namespace post::core
