// Inbox: what one association has received and the application has not taken: messages in assembly
// and finished ones, charged to the association and to its Context, and the windows that promise
// the memory before it is used. A Carrier that nobody reads stops its own peer and nobody else.
//
// Windows may be overcommitted, grants never: the rest of a message that is longer than its
// Carrier's window is granted as a whole or waits, so that what is granted can always finish.
//
// What of a message is held: contents below 2 KiB share blocks of 4 KiB, those below 16 KiB have a
// block of their own, and longer runs stay where the transport put them.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include <post/message.hpp>
#include <post/result.hpp>

#include "lib/association/events.hpp"
#include "lib/association/pool.hpp"
#include "lib/association/receipts.hpp"
#include "lib/association/ring.hpp"
#include "lib/association/small_blocks.hpp"
#include "mappings/mapping.hpp"

namespace post::core {

// Received and untaken bytes of a whole Context.
struct Charge {
    std::uint64_t charged = 0;
    std::uint64_t overhead = 0;  // beside the content
    std::uint64_t limit = 256 * 1024 * 1024;
};

// A message of which a part has come.
struct Assembly {
    NicenessClass niceness;
    Sequence sequence;
    std::uint64_t total = 0;
    std::uint64_t reported = 0;  // bytes that DELIVERED has told of
    InMessage message{};
    Block tail{};
};

// What a lane has while it holds something, or has something to tell the peer. Lent: an idle
// Carrier owns none.
struct InWork {
    Ring<InMessage> whole;
    std::vector<Assembly> unfinished;  // at most 64: the format has no more slots
    std::vector<Receipts> receipts;    // one for each class in use
    std::uint64_t untaken = 0;         // bytes of finished messages
    std::uint64_t overhead = 0;        // of those, beside their content
    std::uint64_t assembling = 0;      // bytes of unfinished ones
    std::uint64_t granted = 0;         // of `allowed`, what goes beyond the window
    Instant progressed{};              // when an unfinished message last grew
    std::uint32_t unreported = 0;      // messages since the last DELIVERED
};

// The receiving half of one Carrier.
struct InLane {
    CarrierId carrier;
    Tag tag = no_tag;
    std::unique_ptr<InWork> work;
    // Content bytes since the Carrier began: what has come, what was taken, what was promised.
    std::uint64_t received = 0;
    std::uint64_t taken = 0;
    std::uint64_t allowed = 0;
    std::uint64_t epoch = 0;      // `taken` when the window was last looked at
    std::uint64_t watermark = 0;  // of class 0, while there is no work
    Instant epoch_began{};
    std::unique_ptr<Error> end;  // why it is over; none: in good order
    static constexpr std::uint32_t nowhere = 0xffffffff;
    std::uint32_t place = nowhere;  // in the list of those that hold something
    std::uint32_t window = 0;       // at most largest_window
    bool ask = false;               // the peer wants DELIVERED this turn
    bool told = false;              // Readable was said and take() was not yet empty since
    bool touched = false;           // in the list of those whose windows want a look
    bool waiting = false;           // in the list of those that wait for a grant
    bool reporting = false;         // in the list of those with something to report
    bool discarding = false;        // what still comes is thrown away
    bool over = false;              // nothing more will come
    bool final = false;             // the peer said of a message that it is the last

    bool empty() const { return !work || work->whole.empty(); }
    // Bytes that it holds, and that were promised it beyond its window.
    std::uint64_t held() const { return work ? work->untaken + work->assembling : 0; }
    // What it weighs when the budget is spent.
    std::uint64_t weight() const { return work ? held() + work->overhead : 0; }
    std::uint64_t untaken() const { return work ? work->untaken : 0; }
    std::uint64_t granted() const { return work ? work->granted : 0; }
    Error ended() const { return end ? *end : Error(Errc::carrier_closed); }
};

class Inbox {
public:
    struct Limits {
        std::uint64_t window;
        std::uint64_t budget;
        std::uint64_t largest_message;
        Duration stalled_after;
    };
    static constexpr std::uint64_t largest_window = 8 * 1024 * 1024;
    static constexpr Duration report_delay = std::chrono::milliseconds(25);
    static constexpr std::uint32_t report_messages = 64;
    static constexpr std::uint64_t report_bytes = 256 * 1024;

    // `works` lends lanes what they need while they hold something, `small` has room for small
    // contents.
    Inbox(const Limits& limits, Charge& context, Pool<InWork>& works, SmallBlocks& small)
        : limits_(limits), context_(context), works_(works), small_(small) {}
    ~Inbox() {
        context_.charged -= charged_;
        context_.overhead -= overhead_;
    }

    // A fresh lane has the initial window.
    void begin(InLane& lane) const {
        lane.window = static_cast<std::uint32_t>(std::min(limits_.window, largest_window));
        lane.allowed = lane.window;
    }
    // Drops all that the lane holds; the transport may forget the Carrier afterwards.
    void remove(InLane& lane);

    // What came. An error is the peer's fault: message_too_large ends the Carrier, anything else
    // the association.
    Result<void> handle_piece(Instant now, InLane& lane, Piece&& piece);
    void handle_skip(Instant now, InLane& lane, const Skip& skip);
    void handle_abandon(Instant now, InLane& lane, const Abandon& abandon);
    // Nothing more will come: unfinished messages are dropped, finished ones can still be taken.
    void end(InLane& lane, const Error& error);

    // The application's side.
    std::optional<InMessage> take(InLane& lane);
    void discard(InLane& lane);

    // The wire's side, once a turn: windows and budget are extended by what was taken, grants are
    // given out, urgent first.
    void flush(Instant now, Mapping& mapping);
    // The Carrier that fills the budget when it is spent; it is to be reset as too_slow.
    InLane* fullest();
    // The Carriers whose unfinished message makes no progress; they are to be reset as stalled.
    std::vector<InLane*> stalled(Instant now) const;
    // Whether there is something to report now; `traffic`: a packet goes out anyway.
    bool report_due(Instant now, bool traffic) const {
        if (!last_words_.empty()) return true;
        return !reporting_.empty() && (urgent_reports_ || traffic || now >= report_at_);
    }
    // That, when report_due; there may be none after all.
    bool next_report(Delivered& report);
    void handle_timeout(Instant now);
    Instant deadline() const { return report_at_; }

    std::vector<Happened>& events() { return events_; }
    std::uint64_t charged() const { return charged_; }
    void set_plain(bool plain) { plain_ = plain; }

private:
    InWork& work(InLane& lane);
    void release_if_idle(InLane& lane);
    bool take_next(Instant now, InLane& lane, const Piece& piece);
    void finish(Instant now, InLane& lane, InMessage message, Receipts* receipts,
                const Marks& marks);
    void finished(Instant now, InLane& lane, InMessage& message, Receipts* receipts,
                  const Marks& marks);
    Bytes keep(const Bytes& bytes);
    void append(Assembly& assembly, Bytes bytes);
    void charge(std::uint64_t bytes);
    void release(InLane& lane, std::uint64_t bytes);
    void drop_unfinished(InLane& lane);
    void touch(InLane& lane);
    void report_later(Instant now, InLane& lane);
    Receipts& receipts(InLane& lane, NicenessClass niceness);
    std::uint64_t wanted(const InLane& lane) const;
    bool may_grant(const InLane& lane, std::uint64_t bytes) const;
    void grant(Instant now, InLane& lane, std::uint64_t bytes, Mapping& mapping);
    void tune(Instant now, InLane& lane, const Path& path) const;
    void readable(InLane& lane);
    void hold(InLane& lane);
    void unhold(InLane& lane);

    Limits limits_;
    Charge& context_;
    Pool<InWork>& works_;
    SmallBlocks& small_;
    std::vector<InLane*> lanes_;  // those that hold something
    std::vector<InLane*> touched_;
    std::vector<InLane*> looking_;  // touched_ while it is looked at
    std::vector<InLane*> waiting_;  // for a grant
    std::vector<InLane*> reporting_;
    Ring<Delivered> last_words_;  // of Carriers that are gone
    std::vector<Happened> events_;
    std::uint64_t charged_ = 0;
    std::uint64_t overhead_ = 0;    // of finished messages, beside their content
    std::uint64_t finished_ = 0;    // of charged_, bytes of finished messages
    std::uint64_t granted_ = 0;     // of all lanes
    std::uint64_t budget_due_ = 0;  // taken, and not yet given back to the peer
    Instant report_at_ = never;
    bool urgent_reports_ = false;
    bool plain_ = false;
};

}  // namespace post::core
