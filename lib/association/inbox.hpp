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
#include <optional>
#include <utility>
#include <vector>

#include <post/message.hpp>
#include <post/result.hpp>

#include "lib/association/events.hpp"
#include "lib/association/pool.hpp"
#include "lib/association/receipts.hpp"
#include "lib/association/ring.hpp"
#include "lib/association/small_blocks.hpp"
#include "lib/association/successors.hpp"
#include "lib/association/trace.hpp"
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
    std::uint64_t received = 0;
    std::uint64_t reported = 0;  // bytes that DELIVERED has told of
    InMessage message{};         // what is here and not taken
    Block tail{};
    Marks marks{};
    bool waits = false;  // it is among the successors

    Antecedent name(CarrierId carrier) const { return {carrier, niceness, sequence}; }
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
    std::uint64_t waiting = 0;         // bytes of whole ones that wait for others
    std::uint32_t successors = 0;      // those, whole or not
    std::uint64_t granted = 0;         // to unfinished ones, beyond the window
    Instant progressed{};              // when an unfinished message last grew
    std::uint32_t unreported = 0;      // messages since the last DELIVERED
    static constexpr std::uint32_t nowhere = 0xffffffff;
    std::uint32_t place = nowhere;  // in the list of those that hold something
};

// The receiving half of one Carrier.
struct InLane {
    CarrierId carrier;
    Tag tag = no_tag;
    std::unique_ptr<InWork> work;
    // Content bytes that were promised and have not come. Less than none: a transport lets the
    // framing's part of its windows be used for content.
    std::int64_t promised = 0;
    std::uint64_t watermark = 0;  // of class 0, while there is no work
    Instant epoch_began{};        // when the window was last looked at
    std::uint32_t since = 0;      // taken since then, or as many as fit
    std::uint32_t window = 0;     // at most largest_window
    std::uint32_t minimum = 0;    // of the parts that the application wants; 0: whole messages
    std::uint8_t silent = 0;      // how often nothing had come of what was begun
    // Bits, since a million Carriers rest.
    bool ask : 1 = false;         // the peer wants DELIVERED this turn
    bool begun : 1 = false;       // something has come
    bool told : 1 = false;        // Readable was said and take() was not yet empty since
    bool touched : 1 = false;     // in the list of those whose windows want a look
    bool waiting : 1 = false;     // in the list of those that wait for a grant
    bool reporting : 1 = false;   // in the list of those with something to report
    bool discarding : 1 = false;  // what still comes is thrown away
    bool over : 1 = false;        // nothing more will come
    bool final : 1 = false;       // the peer said of a message that it is the last
    bool dark : 1 = false;        // no connection has its Carrier: windows wait
    bool spared : 1 = false;      // more is granted, for its sender to leave to what is urgent
    bool asked : 1 = false;       // the application has taken all, and wants messages, or parts

    bool empty() const { return !work || work->whole.empty(); }
    // Something of it waits for what it has to come after.
    bool waits() const { return work && work->successors > 0; }
    // Whether this message of it is settled.
    bool has(const Antecedent& name) const;
    // Nothing is left, and nothing will come.
    bool done() const { return over && empty() && !waits(); }
    // Content bytes that it holds: what has come and was not taken.
    std::uint64_t held() const {
        return work ? work->untaken + work->assembling + work->waiting : 0;
    }
    // What it weighs when the budget is spent: what was granted it, and is still on its way, it may
    // finish.
    std::uint64_t weight() const {
        if (!work) return 0;
        const std::uint64_t own = work->assembling - std::min(work->assembling, work->granted);
        return work->untaken + work->waiting + own + work->overhead;
    }
    std::uint64_t untaken() const { return work ? work->untaken : 0; }
    std::uint64_t granted() const { return work ? work->granted : 0; }
    std::uint64_t limit() const { return rare_ ? rare_->limit : 0; }
    void set_limit(std::uint64_t bytes) {
        if (bytes != limit()) rarely().limit = bytes;
    }
    // Why it is over; nullptr: it is not, or ended in good order.
    const Error* end() const { return rare_ ? rare_->end.get() : nullptr; }
    void set_end(const Error& why) { rarely().end = std::make_unique<Error>(why); }
    Error ended() const { return end() ? *end() : Error(Errc::carrier_closed); }

private:
    // What few lanes have.
    struct Rare {
        std::uint64_t limit = 0;     // the longest message that may come; 0: the Inbox's
        std::unique_ptr<Error> end;  // none: in good order
    };
    Rare& rarely() {
        if (!rare_) rare_ = std::make_unique<Rare>();
        return *rare_;
    }
    std::unique_ptr<Rare> rare_;
};

class Inbox {
public:
    // What a message that has come has to come after: what of that is not here, or never will be.
    struct After {
        std::vector<Antecedent> missing{};
        bool failed = false;
        Instant deadline = never;
    };
    struct Limits {
        std::uint64_t window;
        std::uint64_t budget;
        std::uint64_t largest_message;
        Duration stalled_after;
    };
    static constexpr std::uint64_t largest_window = 8 * 1024 * 1024;
    static constexpr Duration report_delay = std::chrono::milliseconds(25);
    static constexpr std::uint32_t report_messages = 64;
    static constexpr std::uint64_t most_minimum = 1024 * 1024;  // of a part
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
        lane.promised = lane.window;
    }
    // Drops all that the lane holds; the transport may forget the Carrier afterwards.
    void remove(InLane& lane);

    // The connection is gone, and so are its promises. What has come stays.
    void unplug(InLane& lane);
    void unplug_all();
    // And none comes soon: nothing is kept ready for one.
    void rest();
    // Another one has the Carrier.
    void plug(Instant now, InLane& lane);
    // The peer has forgotten the Carrier, and numbers its messages anew.
    void forget(InLane& lane);
    // All that has come of it, for a peer that may not know.
    std::vector<Delivered> summary(const InLane& lane) const;
    static std::vector<Receipts> known_of(const InLane& lane);
    // Nothing waits to be reported.
    bool silent() const { return last_words_.empty() && reporting_.empty(); }

    // What came. An error is the peer's fault: message_too_large ends the Carrier, anything else
    // the association.
    Result<void> handle_piece(Instant now, InLane& lane, Piece&& piece, After* after = nullptr);
    // False: it is not that simple, take piece by piece.
    bool handle_run(Instant now, InLane& lane, const event::ArrivedRun& run);
    // What came alone, without a window that promised room for it; dropped where there is none.
    void handle_alone(Instant now, InLane& lane, Piece&& piece, After& after,
                      core::Boxed<DatagramInfo> datagram = {});
    // A copy that came another way; nothing is dropped with it, since the message itself comes too.
    void handle_copy(Instant now, InLane& lane, Piece&& piece);
    void handle_skip(Instant now, InLane& lane, const Skip& skip);
    void handle_skip_again(Instant now, InLane& lane, const Skip& skip);
    void handle_abandon(Instant now, InLane& lane, const Abandon& abandon);
    // Nothing more will come: unfinished messages are dropped, finished ones can still be taken;
    // and, when it ended in good order, those that wait for others. `whole`: then all has come but
    // what was said never to come; else what has not come never will.
    void end(Instant now, InLane& lane, const Error& error, bool whole = true);
    // The same of a Carrier of the peer's that was never open here.
    void end_unopened(Instant now, CarrierId carrier);

    // The application's side.
    std::optional<InMessage> take(InLane& lane);
    // A message, or the next part of one: of at most `maximum` bytes, and at least `minimum` unless
    // it ends first.
    std::optional<InMessage> take_part(InLane& lane, std::uint64_t minimum, std::uint64_t maximum);
    void discard(Instant now, InLane& lane);
    // The longest message that the lane takes from now on.
    void set_limit(InLane& lane, std::uint64_t bytes);
    // Why the lane has to be reset when a whole message is wanted: the next one is too long. Only
    // of a lane from which nobody had `asked` when that began.
    std::optional<Error> too_large(const InLane& lane) const;

    // What messages of the peer may still wait for.

    // A message of it may be named by others: whether it is in the queue, or never will be. Nothing
    // is known of what is still to come.
    std::optional<bool> settled(const InLane& lane, const Antecedent& name) const;
    const Outcomes& outcomes() const { return outcomes_; }
    Outcomes& outcomes() { return outcomes_; }
    // Carriers that were over but for messages that were dropped then: nothing of them is left.
    std::vector<CarrierId> poll_done() { return std::exchange(done_, {}); }

    // The wire's side, once a turn: windows and budget are extended by what was taken, grants are
    // given out, urgent first.
    void flush(Instant now, Mapping& mapping);
    // The Carrier that fills the budget when it is spent; it is to be reset as too_slow.
    InLane* fullest();
    // The Carriers whose unfinished message makes no progress; they are to be reset as stalled.
    std::vector<InLane*> stalled(Instant now) const;
    // The same of one on which something was begun that is no message yet (Mapping::poll_begun);
    // to be asked four times in Limits::stalled_after.
    bool stuck(InLane& lane, bool grew) const;
    // Whether there is something to report now; `traffic`: a packet goes out anyway.
    bool report_due(Instant now, bool traffic) const {
        if (!last_words_.empty()) return true;
        return !reporting_.empty() && (urgent_reports_ || traffic || now >= report_at_);
    }
    // That, when report_due; there may be none after all.
    bool next_report(Delivered& report);
    void handle_timeout(Instant now);
    Instant deadline() const { return std::min(report_at_, successors_.deadline()); }

    // Nothing is kept beside outcomes, and what the lanes have.
    bool idle() const {
        return charged_ == 0 && lanes_.empty() && touched_.empty() && waiting_.empty() &&
               silent() && done_.empty() && events_.empty() && successors_.empty();
    }
    std::vector<Happened>& events() { return events_; }
    // From now on the trace wants every message that is whole; and those that came.
    void set_traced(bool traced) { traced_ = traced; }
    bool traced() const { return traced_; }
    std::vector<traced::Message>& arrivals() { return arrivals_; }
    std::uint64_t charged() const { return charged_; }
    void set_plain(bool plain) { plain_ = raw_ = plain; }
    // Nobody heeds a window; from `begin` on lanes hold what the budget has room for.
    void forget_windows() { limits_.window = largest_window; }
    // Of a plain peer, too, each message is one.
    void keep_boundaries() { raw_ = false; }
    // And they have a limit, and may end where their sender did not say.
    void keep_fields() { raw_ = false, fields_ = true; }

private:
    // What a message takes beside its content, so that empty ones, and those with properties, are
    // not for nothing.
    static std::uint64_t overhead_of(const InMessage& message) {
        std::uint64_t bytes = sizeof(InMessage);
        for (const auto& entry : message.properties())
            bytes += sizeof entry + entry.first.size() + entry.second.size();
        return bytes + (message.datagram() ? sizeof(DatagramInfo) : 0);
    }
    static std::vector<Assembly>::iterator find(InWork& work, NicenessClass niceness,
                                                Sequence sequence);
    InWork& work(InLane& lane);
    void release_if_idle(InLane& lane);
    bool has_room(const InLane& lane, std::uint64_t size) const;
    void finish(Instant now, InLane& lane, InMessage message, const Antecedent& name,
                const Marks& marks);
    void come(Instant now, InLane& lane, InMessage message, const Antecedent& name,
              const Marks& marks, After* after);
    void hold_back(Instant now, InLane& lane, const Antecedent& name, Successors::Waiting waiting);
    void let_go(InLane& lane, const Successors::Waiting& waiting);
    void settle(const Antecedent& first, std::uint64_t count, bool good);
    void give_out_free(Instant now);
    void drop(InLane& lane, const Antecedent& name);
    void drop_successors(InLane& lane, Instant now);
    Successors::Waiting waiting_for(Instant now, InLane& lane, const Marks& marks,
                                    After after) const;
    std::uint64_t limit(const InLane& lane) const;
    void wake_for_part(InLane& lane);
    bool may_part(const Assembly& one, const InLane& lane) const;
    // What it holds beside content became more, or less.
    void weigh(InLane& lane, std::int64_t overhead) {
        const auto more = static_cast<std::uint64_t>(overhead);  // or less: modulo 2^64
        lane.work->overhead += more;
        overhead_ += more;
        context_.overhead += more;
    }
    Error too_long(const InLane& lane, std::uint64_t total) const;
    void count_finished(Instant now, InLane& lane, std::uint32_t messages, std::uint64_t bytes,
                        std::uint64_t overhead);
    void trace(const InLane& lane, const InMessage& message) {
        arrivals_.push_back({.what = traced::Message::What::received,
                             .carrier = lane.carrier,
                             .niceness = message.niceness(),
                             .sequence = message.sequence(),
                             .size = message.total()});
    }
    Bytes keep(const Bytes& bytes);
    void append(Assembly& assembly, Bytes bytes);
    void charge(std::uint64_t bytes);
    void release(InLane& lane, std::uint64_t bytes);
    void drop_unfinished(InLane& lane);
    void touch(InLane& lane);
    void report_later(Instant now, InLane& lane);
    Receipts& receipts(InLane& lane, NicenessClass niceness);
    static std::uint64_t to_come(const InLane& lane);
    static void count_come(Instant now, InLane& lane, std::uint64_t bytes);
    static std::uint64_t unfinished(const InLane& lane);
    static bool is_full(const InLane& lane);
    static std::uint64_t spare_of(const InLane& lane);
    std::uint64_t wanted(const InLane& lane) const;
    bool may_grant(const InLane& lane, std::uint64_t bytes) const;
    void grant(Instant now, InLane& lane, std::uint64_t bytes, Mapping& mapping);
    void tune(Instant now, InLane& lane, const Mapping& mapping) const;
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
    Successors successors_;
    Outcomes outcomes_;
    std::vector<CarrierId> done_;
    std::vector<Happened> events_;
    std::vector<traced::Message> arrivals_;
    std::uint64_t charged_ = 0;
    std::uint64_t overhead_ = 0;    // of finished messages, beside their content
    std::uint64_t finished_ = 0;    // of charged_, bytes of finished messages
    std::uint64_t granted_ = 0;     // of all lanes
    std::uint64_t budget_due_ = 0;  // taken, and not yet given back to the peer
    std::uint64_t unpromised_ = 0;  // came alone: when taken, nothing is given back for it
    Instant report_at_ = never;
    bool urgent_reports_ = false;
    bool plain_ = false;
    bool raw_ = false;     // what comes has no boundaries
    bool fields_ = false;  // what comes is HTTP
    bool traced_ = false;
};

}  // namespace post::core
