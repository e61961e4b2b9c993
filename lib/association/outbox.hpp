// Outbox: what one association has still to send, and what it sent and nobody has settled yet. It
// decides at the last moment what goes next: Carrier priority, then niceness, both strict, then
// deadline, then equal ones in turn by weight (RFC 9622, 9.2.6). Ordered messages of one Carrier
// and class go first in, first out, and the first inherits the earliest deadline behind it; one
// that others wait for (its successors, draft 2.2.3) inherits the least of their niceness and
// deadlines; they begin when it is wholly packed and the peer's library waits for it, else when it
// is acknowledged.
//
//   send -> queued -> begun -> pulled -> packed -> acked
//              \         \______________________-> failed(maybe delivered)
//               \-> expired (SKIP)   begun -> expired (ABANDON)
//
// The bytes of a message are held from send until it is settled. The outbox only speaks of
// Carriers that it was told of; what it hands out is in the order of the wire.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "lib/association/events.hpp"
#include "lib/association/out_lane.hpp"
#include "lib/association/pool.hpp"
#include "lib/association/schedule.hpp"
#include "mappings/mapping.hpp"
#include "mappings/values.hpp"

namespace post::core {

class Outbox {
public:
    struct Limits {
        std::uint64_t carrier_budget;
        std::uint64_t budget;
        // Beyond it a Carrier goes on only as far as it has to for the peer to speak of it: one
        // message, or 576 KiB of a longer one.
        std::uint64_t unsettled;
    };
    // What is said of a message beside its bytes.
    struct Terms {
        const SendOptions& options;
        Instant deadline = never;
        FateToken on_fate = no_fate;
        core::Boxed<Extras> extras{};             // for the wire
        std::span<const OutRare::Bond> before{};  // its antecedents; a lane that is gone: settled
        std::uint64_t fed = 0;  // not 0: so many bytes come by feed(); the content is empty
        // It has its place in line, and nothing to tell the peer's library.
        bool plain() const {
            return options.ordered && options.reliable && !options.text &&
                   options.niceness.value() < niceness_classes && !options.final &&
                   deadline == never && !extras && before.empty() && fed == 0;
        }
    };
    // Of a message whose content is made while it is sent so much is kept ahead, and asked for at
    // once.
    static constexpr std::uint64_t made_ahead = 1024 * 1024;
    static constexpr std::uint64_t meal = 256 * 1024;
    // What of a message is pulled in one go.
    static constexpr std::uint64_t largest_chunk = 64 * 1024;
    // `settled` counts down what run() waits for: messages without their fate, of all associations.
    // `works` lends lanes what they need while something is on its way.
    Outbox(const Limits& limits, std::uint64_t& outstanding, Pool<OutWork>& works)
        : limits_(limits), outstanding_(outstanding), works_(works) {}
    ~Outbox() { outstanding_ -= unsettled_messages_; }
    // From now on the trace wants every fate.
    void set_traced(bool traced) { traced_ = traced; }

    // Commands.

    // Whether the budgets have room for a message of this class: what is less urgent is not
    // counted, since it would not stand in its way.
    bool writable(const OutLane& lane, NicenessClass niceness = {}) const;
    Sequence push(OutLane& lane, Bytes content, const Terms& terms) {
        return terms.plain() ? push_plain(lane, std::move(content), terms.options, terms.on_fate)
                             : push_rare(lane, std::move(content), terms);
    }
    // Whether the lane ever sent, or holds, such a message.
    bool knows(const OutLane& lane, NicenessClass niceness, Sequence sequence) const;
    void finish(OutLane& lane);
    // Ends all that has no fate yet as failed with `error` and takes the lane out of the schedule.
    void fail(OutLane& lane, const Error& error);
    // Forgets the lane: nothing of it may be left without a fate.
    void remove(OutLane& lane);
    // The connection is gone: all that is not settled has still to be sent (outbox_again.cpp).
    // First each lane, then all of them at once.
    void unplug(OutLane& lane);
    void line_up_again(std::span<OutLane* const> lanes);
    // Before that: the peer refused the connection, so that nothing on it has reached anybody.
    void went_in_vain() { in_vain_ = true; }
    // The peer knows nothing of what was sent to it: what it may have taken, and may not take
    // twice, fails.
    void start_anew(OutLane& lane, const Error& error);
    // It took nothing of it, either.
    static void never_tried(OutLane& lane);
    // The peer shall hear of the lane; it has heard.
    void announce(OutLane& lane);
    void opened(OutLane& lane);
    void block(OutLane& lane);
    void unblock(OutLane& lane);
    // Of each Carrier's window a long message leaves so much to what is more urgent than its class.
    static constexpr std::uint64_t kept_for_urgent = 16 * 1024;
    // Of the lane that turn() gave: whether a part of such a message goes next, and whether it is
    // its first on this connection. Others wait until unblock() after hold_bulk(); the first is to
    // be as short as can be, so that the peer hears of the message, and gives it a window.
    enum class Bulk : std::uint8_t { no, fresh, begun };
    Bulk bulk_next() const;
    void hold_bulk(OutLane& lane);
    // A send of this class found no room: wake_starved says Writable when there is some again.
    void starve(OutLane& lane, NicenessClass niceness = {});
    void wake_starved();
    struct Peer {
        bool plain = false;        // what has begun is finished: there is no ABANDON
        bool properties = false;   // it has a place for them
        bool antecedents = false;  // it holds back what has to come after others
        bool alone = false;        // what need not be reliable may travel alone
        bool messages = false;     // its transport sees to order, reliability and lifetime itself
    };
    // Until the peer is known, messages with properties wait; then they go without those that it
    // has no place for. Afterwards `reconsider` each lane.
    void know_peer(const Peer& peer) {
        peer_ = peer;
        known_ = true;
    }
    void reconsider(OutLane& lane);
    // The next bytes of a message, which Wanted asked for; what is too much, or comes too late, is
    // dropped.
    void feed(OutLane& lane, NicenessClass niceness, Sequence sequence, Bytes bytes);
    // Nothing more comes of it: it fails, and what has begun is cut. False: a plain peer has no
    // word for that, so that the Carrier has to end.
    bool give_up(OutLane& lane, NicenessClass niceness, Sequence sequence, const Error& error);
    // Ends what ran out of time. Call when deadline() has come.
    void handle_timeout(Instant now);

    // What the peer said. False: it speaks of messages that were never sent to it.
    bool handle_delivered(OutLane& lane, const Delivered& delivered);
    void handle_acked(OutLane& lane, std::uint64_t pieces);  // plain peers
    // The piece that was pulled last cannot be carried.
    void refused(OutLane& lane, NicenessClass niceness, Sequence sequence, const Error& error);
    // What became of a message that travelled alone. A Post peer has to say DELIVERED of one that
    // was acknowledged until `patience`; where it does not, nobody holds the message, or will.
    void settled_alone(OutLane& lane, const event::SettledAlone& message, Instant patience);

    // Pulling.

    // The lane whose turn it is, nullptr when nothing may be sent.
    OutLane* turn();
    // What goes next of the lane that turn() gave: a Piece of at most `chunk` bytes, Skip, Abandon
    // or Finish.
    void next(Instant now, std::uint64_t chunk, Outgoing& out);
    // More of the lane whose turn it is: what follows the piece pulled last (Supply::more).
    Supply::Run more(std::uint64_t room, std::uint64_t largest);
    // The next pieces of the lane are in packets.
    void packed(OutLane& lane, std::uint64_t pieces);
    // The piece that was pulled last travels alone, and is in a packet.
    void packed_alone(OutLane& lane, NicenessClass niceness, Sequence sequence);

    // Early data (outbox_early.cpp): copies of messages that may leave before the peer is known.

    struct Early {
        NicenessClass niceness;
        Sequence sequence;
        std::uint64_t size = 0;
    };
    // Those of the lane that may, in the order of sending, up to `messages` and `bytes`.
    std::vector<Early> find_early(const OutLane& lane, std::size_t messages,
                                  std::uint64_t bytes) const;
    // The message as one piece; it stays queued, and does not expire before it is known what became
    // of the copy. False: it is there no more.
    bool copy_early(OutLane& lane, NicenessClass niceness, Sequence sequence, Piece& piece);
    // The copy counts: the message was pulled with it.
    void went_early(OutLane& lane, NicenessClass niceness, Sequence sequence);
    // It does not: the message goes as any other. `elsewhere`: but it may be at the peer, by a leaf
    // that has lost.
    void not_early(Instant now, OutLane& lane, NicenessClass niceness, Sequence sequence,
                   bool elsewhere);

    // A copy of it goes another way, so that the peer may have it, and say so. False: it is there
    // no more.
    static bool note_copy(OutLane& lane, NicenessClass niceness, Sequence sequence);

    // Views and events.

    Instant deadline() const;
    std::uint64_t unsettled_bytes() const { return unsettled_bytes_; }
    std::uint64_t unsettled_messages() const { return unsettled_messages_; }
    // Messages that are wholly packed and wait for the peer's word. Those that are queued, or stuck
    // half way for want of a window, are not the peer's fault; nor are those that travelled alone.
    std::uint64_t packed_messages() const { return packed_messages_; }
    // Nothing is kept beside what the lanes have.
    bool idle() {
        return unsettled_messages_ == 0 && !schedule_.turn() && starved_.empty() &&
               held_up_.empty() && doomed_.empty() && failed_.empty() && events_.empty() &&
               gaps_.empty();
    }
    std::vector<Happened>& events() { return events_; }
    // Numbers that a Post peer need not wait for: their messages travelled alone and were lost.
    std::vector<Skip>& gaps() { return gaps_; }

private:
    using Bond = OutRare::Bond;

    Sequence push_rare(OutLane& lane, Bytes&& content, const Terms& terms);
    OutClass& class_for(OutLane& lane, NicenessClass niceness) {
        OutClass* const found = lane.find(niceness);
        return found ? *found : make_class(lane, niceness);
    }
    OutClass& make_class(OutLane& lane, NicenessClass niceness);
    void release_if_idle(OutLane& lane);

    // The schedule.
    std::optional<OutClass::Apart> first_of(const OutLane& lane, OutClass& queue) const;
    void arrange(OutLane& lane, OutClass& queue);
    void arrange_tail(OutLane& lane);
    void arrange_all(OutLane& lane);
    void take_out(OutLane& lane);

    void count_queued(OutLane& lane, OutClass& queue, std::int64_t bytes) {
        const auto more = static_cast<std::uint64_t>(bytes);  // or less: modulo 2^64
        lane.work->queued += more;
        queue.queued += more;
        queued_bytes_ += more;
        queued_of_class_[queue.niceness.value()] += more;
    }
    void count_unsettled(OutLane& lane, std::int64_t bytes) {
        lane.work->in_flight += static_cast<std::uint64_t>(bytes);
        unsettled_bytes_ += static_cast<std::uint64_t>(bytes);
        heard_ |= bytes < 0;
    }
    void count_message(OutLane& lane) {
        ++lane.work->unsettled;
        ++lane.work->waiting;
        ++unsettled_messages_;
        ++outstanding_;
    }
    void count_fates(OutLane& lane, std::uint64_t messages) {
        lane.work->unsettled -= messages;
        unsettled_messages_ -= messages;
        outstanding_ -= messages;
        heard_ = true;
    }
    bool spent() const { return unsettled_bytes_ >= limits_.unsettled; }
    // The last quarter of the budget, which Carriers have in small shares: those that stand still,
    // since nobody reads them, may have filled the rest. When all is gone a Carrier has one message
    // at a time, as it has one that waits in its send.
    std::uint64_t reserve() const { return limits_.budget / 4; }
    std::uint64_t share() const { return limits_.budget / 1024; }
    bool owed(const OutLane& lane) const;
    void release_held_up();

    // Plain messages in line (outbox_line.cpp).
    Sequence push_plain(OutLane& lane, Bytes&& content, const SendOptions& options,
                        FateToken on_fate);
    void go_on(OutLane& lane, OutClass& queue);
    bool pull_plain(OutLane& lane, OutClass& queue, std::uint64_t chunk, Piece& piece);
    void on_packed(OutLane& lane, const OutWork::Pulled& pulled);
    void settle_plain(OutLane& lane, OutClass& queue, std::uint64_t end);

    // Pulling.
    void pull(Instant now, OutLane& lane, OutClass& queue, std::uint64_t chunk, Outgoing& out);
    bool pass_settled(OutLane& lane, OutClass& queue, std::uint64_t sequence, Outgoing& out);
    void pass(OutLane& lane, OutClass& queue, std::uint64_t sequence);
    void end_begun(OutLane& lane);
    void make_piece(OutLane& lane, OutClass& queue, std::uint64_t sequence, std::uint64_t chunk,
                    Piece& piece);
    Bytes pull_fed(Feed& feed, std::uint64_t size);
    void ask(OutLane& lane, OutClass& queue, std::uint64_t sequence);
    void release_fed(const OutEntry& entry);
    bool go_on_from(OutLane& lane, OutClass& queue, const Delivered& delivered);
    core::Boxed<Extras> extras_for(Instant now, const OutEntry& entry) const;

    // Long, and of a class that others may be more urgent than.
    static bool is_bulk(const OutClass& queue, const OutEntry& entry) {
        return queue.niceness != NicenessClass{} && entry.size() > kept_for_urgent &&
               entry.state != OutEntry::State::settled;
    }
    static bool is_held(const OutLane& lane, const OutClass& queue, const OutEntry& entry) {
        return lane.bulk_held && entry.slot && is_bulk(queue, entry);
    }
    bool held_back(const OutEntry& entry) const {
        if (!entry.rare || entry.state == OutEntry::State::settled) return false;
        return entry.waits() || entry.hungry() ||
               (!known_ && (entry.rare->extras || entry.bound()));
    }

    // Urgency, and who waits for whom (outbox_order.cpp).
    Urgency urgency(const OutClass& queue, const OutEntry& entry) const;
    void count_in(OutClass& queue, std::uint64_t sequence);
    void count_out(OutClass& queue, std::uint64_t sequence);
    void hurry(const Bond& first, const Urgency& urgency);
    void line_up(OutClass& queue, std::uint64_t sequence);
    void leave_line(OutClass& queue, std::uint64_t sequence);
    void bind(const Bond& successor, std::span<const Bond> before);
    void release_successors(OutEntry& entry, const Bond& antecedent, bool failed);
    // Whether it keeps its successor from leaving. Of the order of those whose niceness the class
    // does not tell the peer's library knows nothing, so that they wait here.
    bool holds_back(const OutEntry& antecedent, const OutEntry& successor) const {
        const bool kept_here = successor.apart && successor.ordered;
        return !peer_.antecedents || kept_here || antecedent.state < OutEntry::State::packed;
    }
    void on_packed(OutEntry& entry);
    void unbind(OutEntry& entry, const Bond& successor);
    void end_doomed();
    void remember_failed(const MessageId& message);
    static MessageId name_of(const Bond& bond);

    // Fates.
    void settle(OutLane& lane, OutClass& queue, std::uint64_t sequence, Fate::Kind kind,
                const Error* error = nullptr);
    void lose(OutLane& lane, OutClass& queue, std::uint64_t sequence, const Error& error);
    void report(OutLane& lane, const OutEntry& entry, std::uint64_t sequence, Fate::Kind kind,
                const Error* error = nullptr, bool maybe_delivered = false) {
        if (entry.on_fate != no_fate || lane.fates || traced_)
            tell(lane, entry, sequence, kind, error, maybe_delivered);
    }
    void tell(OutLane& lane, const OutEntry& entry, std::uint64_t sequence, Fate::Kind kind,
              const Error* error, bool maybe_delivered);

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
    Schedule schedule_;
    OutPlace* turn_ = nullptr;
    std::set<Expiry> expiries_;
    std::vector<std::pair<OutLane*, NicenessClass>> starved_;
    std::vector<OutLane*> held_up_;  // until the peer says what it has
    bool heard_ = false;             // it did, since they were looked at
    std::vector<Bond> doomed_;       // those whose antecedent failed, until they end too
    std::set<MessageId> failed_;     // lately, by class
    Ring<MessageId> failed_order_;
    std::vector<Happened> events_;
    std::vector<Skip> gaps_;
    std::vector<std::span<const std::byte>> run_;
    Bytes::Dropped settled_;  // contents, for as long as one call goes on
    std::uint64_t queued_bytes_ = 0;
    std::array<std::uint64_t, niceness_classes> queued_of_class_{};
    std::uint64_t unsettled_bytes_ = 0;
    std::uint64_t unsettled_messages_ = 0;
    std::uint64_t packed_messages_ = 0;
    Peer peer_;
    bool known_ = false;
    bool traced_ = false;
    bool in_vain_ = false;  // what was sent on the connection that is unplugged
};

}  // namespace post::core
