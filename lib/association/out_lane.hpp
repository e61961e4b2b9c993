// OutLane: the sending half of one Carrier: its messages from send to their fate.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <post/message.hpp>

#include "lib/association/events.hpp"
#include "lib/association/ring.hpp"
#include "lib/association/schedule.hpp"
#include "mappings/values.hpp"

namespace post::core {

struct OutLane;

// What decides, beside the Carrier's priority, when a message goes. A message passes it on to those
// that have to go before it.
struct Urgency {
    std::uint32_t niceness = 0;
    Instant deadline = never;
    bool operator==(const Urgency&) const = default;
    // The least of each.
    Urgency with(const Urgency& other) const {
        return {std::min(niceness, other.niceness), std::min(deadline, other.deadline)};
    }
};

// The place of a class, or of the end of its lane, in the schedule.
struct OutClass;
struct OutPlace : Schedule::Place {
    OutLane* lane = nullptr;
    OutClass* queue = nullptr;  // none: the end of the direction
};

// The content of a message that is made while it is sent.
struct Feed {
    std::uint64_t total = 0;
    std::uint64_t fed = 0;       // bytes made so far
    std::uint64_t released = 0;  // of those, given back
    Ring<Bytes> parts;           // from `released` on
    std::size_t next = 0;        // of those, the one that is pulled next
    std::uint64_t within = 0;    // and how much of it was
    std::uint64_t counted = 0;   // bytes that count as queued and are still to be made
    bool asked = false;          // more was asked for
};

// What few messages have.
struct OutRare {
    // A message that this one waits for, or that waits for this one.
    struct Bond {
        CarrierId carrier;  // in front, so that the order is the same in every run
        NicenessClass niceness;
        std::uint64_t sequence = 0;
        OutLane* lane = nullptr;  // none: the Carrier is gone
        auto operator<=>(const Bond&) const = default;
    };
    using Antecedent = Extras::Antecedent;
    core::Boxed<Extras> extras;  // for the wire
    std::vector<Bond> before;    // that are not acknowledged; few
    std::uint32_t holding = 0;   // of those, how many keep it from leaving
    std::set<Bond> behind;       // that come after this one; perhaps very many
    // Antecedents that failed when this one had left: sent again, it still comes after them, since
    // an earlier connection may have brought them.
    std::vector<Antecedent> in_vain;
    Urgency inherited{0xffffffff, never};
    std::unique_ptr<Feed> feed;
    // Of an ordered message apart: those of its kind right before and after it that have not
    // passed. It begins when none is before it.
    std::optional<std::uint64_t> ahead;
    std::optional<std::uint64_t> follower;
};

// A message in one Carrier's queue.
struct OutEntry {
    Bytes content;
    std::uint64_t pulled = 0;     // bytes handed to the mapping
    std::uint64_t delivered = 0;  // bytes that the peer said it has, of an unfinished message
    Instant deadline = never;
    FateToken on_fate = no_fate;
    std::unique_ptr<OutRare> rare;
    Niceness niceness;  // as the application gave it; the wire has the class
    enum class State : std::uint8_t {
        queued,
        begun,
        pulled,
        packed,
        settled
    } state = State::queued;
    bool slot = false;    // some of it went on this connection, and not all
    bool passed = false;  // wholly pulled, or announced as never to come
    bool apart = false;   // not in line: it may overtake those before it
    bool ordered = true;
    bool idempotent = false;
    bool final = false;
    bool reliable = true;  // else it may travel alone, where it is not ordered either
    bool text = false;
    bool early = false;     // a copy went as early data, and it is not known what became of it
    bool tried = false;     // all of it was handed to a connection that is gone
    bool said = false;      // its fate `sent`
    bool given_up = false;  // settled, and not acknowledged
    // What became of it outside of the stream.
    enum class Alone : std::uint8_t { no, flying, acked, lost } alone = Alone::no;

    // In line, of content only, and nothing has happened to it.
    bool plain() const {
        return !rare && pulled == 0 && !apart && !final && reliable && !text && deadline == never &&
               state == State::queued;
    }
    // All of it is pulled.
    void leave() {
        pulled = content.size();
        state = State::pulled;
        passed = true;
    }
    // Others have to leave before it.
    bool waits() const { return rare && (rare->holding > 0 || rare->ahead); }
    Feed* feed() const { return rare ? rare->feed.get() : nullptr; }
    std::uint64_t size() const { return feed() ? feed()->total : content.size(); }
    // What of it is here.
    std::uint64_t made() const { return feed() ? feed()->fed : content.size(); }
    // Its content is still to be made.
    bool hungry() const { return feed() && feed()->fed == pulled && pulled < feed()->total; }
    // Others have to be delivered before it.
    bool bound() const { return rare && !rare->before.empty(); }
};

// One niceness class of one Carrier: a run of sequence numbers. Ordered messages stand in line;
// those that are not, or whose niceness the class does not tell, are apart.
struct OutClass {
    // What hurries those in line, as far as it is more than their class.
    struct Hurry {
        std::multiset<std::uint32_t> nicenesses;
        std::multiset<Instant> deadlines;
    };
    struct Apart {
        std::uint32_t niceness;
        Instant deadline;
        std::uint64_t sequence;
        auto operator<=>(const Apart&) const = default;
    };

    NicenessClass niceness;
    std::uint64_t first = 0;  // the sequence number of entries[0]
    Ring<OutEntry> entries;
    std::size_t next = 0;      // index of the first one in line that has not passed
    std::uint64_t queued = 0;  // bytes not yet pulled
    std::set<Apart> apart;     // that are not begun and do not wait for others
    std::set<Apart> begun;     // of those apart, too
    // Of those apart that are ordered, the last of each niceness that has not passed.
    std::map<std::uint32_t, std::uint64_t> last_of_kind;
    std::unique_ptr<Hurry> hurry;
    OutPlace place;

    bool has(std::uint64_t sequence) const {
        return sequence >= first && sequence - first < entries.size();
    }
    OutEntry& at(std::uint64_t sequence) { return entries[sequence - first]; }
    std::uint64_t end() const { return first + entries.size(); }
    // The first in line moves on to one that has not passed.
    void skip_passed() {
        while (next < entries.size() && (entries[next].apart || entries[next].passed)) ++next;
    }
    // Nothing but the line, and nobody in it is hurried: the common case.
    bool plain_line() const {
        return !hurry && apart.empty() && begun.empty() && next < entries.size();
    }
};

// Drops settled messages from the front; what is behind an unsettled one waits for it.
inline void trim(OutClass& queue) {
    while (!queue.entries.empty()) {
        const OutEntry& front = queue.entries.front();
        if (!front.passed || front.state != OutEntry::State::settled) return;
        queue.entries.pop();
        ++queue.first;
        if (queue.next > 0) --queue.next;
    }
}

// What a lane has while a message of it has no fate. Lent: an idle Carrier owns none.
struct OutWork {
    // A piece, or a run of plain messages that are one piece each.
    struct Pulled {
        NicenessClass niceness;
        bool last = false;        // the piece completes its message
        bool plain = false;       // more may join the run
        std::uint32_t count = 1;  // messages
        std::uint64_t bytes = 0;  // of a piece that is not plain
        std::uint64_t sequence = 0;
    };
    // The format's slots for unfinished messages of one Carrier (FORMAT.md, 4.2).
    static constexpr std::size_t most_begun = 64;

    std::vector<std::unique_ptr<OutClass>> classes;  // few; in the order of their first use
    Ring<Pulled> in_hand;                            // pulled, not yet packed
    Ring<Pulled> awaiting;        // packed, not yet acknowledged; plain peers only
    std::uint64_t flying = 0;     // that travel alone; the end of the direction waits for them
    OutPlace tail;                // of the end of the direction, or the announcement of the Carrier
    std::uint64_t queued = 0;     // bytes not yet pulled
    std::uint64_t in_flight = 0;  // bytes pulled that the peer has not said it has
    std::uint64_t unsettled = 0;  // messages without their fate
    std::uint64_t waiting = 0;    // of those, that have not passed
    std::size_t begun = 0;        // of those, in part in packets

    // The next plain message was pulled.
    void hand_over(NicenessClass niceness, std::uint64_t sequence) {
        Pulled* const run = in_hand.empty() ? nullptr : &in_hand.back();
        const bool joins = run && run->plain && run->niceness == niceness &&
                           run->sequence + run->count == sequence;
        if (joins)
            ++run->count;
        else
            in_hand.push({.niceness = niceness, .last = true, .plain = true, .sequence = sequence});
    }
    // Takes the first of them, at most `pieces`, which become so many fewer.
    static Pulled take_front(Ring<Pulled>& from, std::uint64_t& pieces) {
        Pulled& front = from.front();
        Pulled taken = front;
        taken.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(front.count, pieces));
        pieces -= taken.count;
        front.count -= taken.count;
        front.sequence += taken.count;
        if (front.count == 0) from.pop();
        return taken;
    }
};

// The sending half of one Carrier.
struct OutLane {
    CarrierId carrier;
    Tag tag = no_tag;
    std::unique_ptr<OutWork> work;
    std::uint64_t sequence = 0;  // the next of class 0, while there is no work
    Priority priority;
    std::uint32_t weight = 1;
    // Bits, since a million Carriers rest.
    bool blocked : 1 = false;    // by the mapping
    bool bulk_held : 1 = false;  // long messages leave the rest of the window to urgent ones
    bool fates : 1 = false;      // the Carrier wants fates of messages without a callback
    bool held_up : 1 = false;    // in the list of those that wait for the peer's word
    bool stream : 1 = false;     // its boundaries mean nothing
    bool finish_wanted : 1 = false;
    bool finish_pulled : 1 = false;
    bool failed : 1 = false;    // it ended by fail()
    bool again : 1 = false;     // another connection had it before
    bool gaps : 1 = false;      // numbers of it were given up
    bool opened : 1 = false;    // the mapping knows the Carrier
    bool announce : 1 = false;  // the peer shall hear of it before the first message

    std::uint64_t queued() const { return work ? work->queued : 0; }
    std::uint64_t unsettled() const { return work ? work->unsettled : 0; }

    OutClass* find(NicenessClass niceness) const {
        if (!work) return nullptr;
        for (const auto& queue : work->classes)
            if (queue->niceness == niceness) return queue.get();
        return nullptr;
    }
};

}  // namespace post::core
