// Carriers: everything that the application holds in one Context, its callbacks and its waiting
// operations. Handles are keys into these tables. What happens below comes in as values and is
// turned into calls of the application in dispatch(), which no other call of the library is inside
// of: so a callback may call anything and destroy anything.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <post/anchor.hpp>
#include <post/carrier.hpp>
#include <post/context.hpp>
#include <post/listener.hpp>
#include <post/plan.hpp>

#include "lib/association/associations.hpp"
#include "lib/association/pool.hpp"
#include "lib/carrier/alarms.hpp"
#include "lib/carrier/slots.hpp"

namespace post::core {

// A send that found no room, and keeps its message until there is some.
struct WaitingSend final : Waiting<MessageId> {
    CarrierKey carrier;
    Bytes content;
    SendOptions options;
    FateToken on_fate = no_fate;
    std::uint64_t fed = 0;  // the length of one that is made while it is sent
    Instant due = never;    // its lifetime ends
    Alarm alarm;            // and rings then
    std::uint64_t size() const { return content.size() + fed; }
    // What is left of its lifetime.
    void age(Instant now) {
        if (due != never) options.lifetime = std::max(due - now, Duration(1));
    }
    void dropped(Anchor& anchor) override;
};

// A wait for a message, or for a part of one.
struct WaitingMessage final : Waiting<InMessage> {
    ReceiveParts parts;
};

// A message whose sender waits for its fate.
struct WaitingFate final : Waiting<Fate> {
    std::optional<Sending> sending;  // while the message has found no room
    void dropped(Anchor&) override { sending.reset(); }
};

class Carriers {
public:
    // No parts.
    static constexpr ReceiveParts whole{static_cast<std::size_t>(-1), 0};

    // A row's callbacks but ready, and its waiting operations; made on use, so that an idle Carrier
    // has none.
    struct Callbacks {
        Carrier::OnCarrier accept;
        OnFate on_fate;
        Carrier::OnClosed on_closed;
        Carrier::OnClosed on_soft_error;
        Carrier::OnPath on_path;
        Carrier::OnActivity on_activity;
        std::vector<WaitingRef<WaitingMessage>> receiving;
        std::vector<WaitingRef<Waiting<Carrier>>> accepting;
        std::vector<WaitingRef<WaitingSend>> sending;
        std::unique_ptr<SendOptions> defaults;
        ReceiveParts ready_parts = whole;
        std::vector<Carrier> backlog;  // accepted while nobody waited
        bool accept_lent = false;      // the accept callback runs, out of here
        bool queues = false;           // accept() was awaited once: queue instead of refusing
        std::unique_ptr<Error> end;    // why it is over, where that was not good order
    };
    struct Row {
        AssociationId association;
        CarrierId carrier;
        ListenerKey listener;  // where it came from; generation 0: it was initiated
        std::uint32_t handles = 0;
        bool over : 1 = false;
        bool ours : 1 = false;
        bool ready_owns : 1 = false;  // ready() was called: the callback owns the Carrier
        CarrierKind kind = CarrierKind::messages;
        // Nothing was asked of it yet; the peer opened it as a Stream, which it is not yet here;
        // or neither.
        enum class Use : std::uint8_t { fresh, unclaimed, used } use = Use::fresh;
        // True for what the peer opened as a Stream, and nobody took as one. Whatever else is asked
        // for something is no fresh Carrier any more.
        bool unclaimed() {
            if (use == Use::fresh) use = Use::used;
            return use == Use::unclaimed;
        }
        Reuse::How how = Reuse::How::accepted;
        // Why it is over.
        Error ended() const {
            const bool fault = callbacks && callbacks->end;
            return fault ? *callbacks->end : Error(Errc::carrier_closed);
        }
        Carrier::OnMessage ready;  // not here while it runs
        std::unique_ptr<Callbacks> callbacks;
    };
    struct ListenerRow {
        std::uint32_t handles = 0;
        bool closed = false;
        std::vector<Address> addresses;
        Callbacks callbacks;
    };
    static constexpr std::size_t most_backlog = 1024;

    Carriers(Anchor& anchor, Associations& associations);

    // The time of this turn, as the root tells it.
    void set_now(Instant now) { now_ = now; }

    // Commands of handles; a key of what is gone is answered, not followed.

    // `joins`: the association was there.
    Carrier open(Association& association, const Association::NewCarrier& carrier,
                 ListenerKey listener, bool joins = false);
    Sending send(CarrierKey key, Content content, const SendOptions& options, OnFate on_fate);
    Sending send(CarrierKey key, Content&& content);  // with the Carrier's defaults
    Sending send(CarrierKey key, Generated content, const SendOptions& options, OnFate on_fate);
    Operation<Fate> deliver(CarrierKey key, Content content, const SendOptions& options);
    // nullptr: none of its own.
    const SendOptions* defaults(CarrierKey key);
    void defaults(CarrierKey key, SendOptions options);
    bool writable(CarrierKey key);
    void on_fate(CarrierKey key, OnFate on_fate);
    void finish(CarrierKey key);
    void ready(CarrierKey key, Carrier::OnMessage on_message, ReceiveParts parts);
    Operation<InMessage> receive(CarrierKey key, ReceiveParts parts);
    void largest_message(CarrierKey key, std::uint64_t bytes);
    // It is a Stream from now on, or an error says why it cannot be.
    Error morph(CarrierKey key);
    Carrier fork(CarrierKey key, const Carrier::ForkOptions& options);
    static Boxed<ChannelInfo> channel_of(ChannelInfo channel);
    const ChannelInfo* channel(CarrierKey key);
    void accept(CarrierKey key, Carrier::OnCarrier on_carrier);
    Operation<Carrier> accept(CarrierKey key);
    Operation<void> activate(CarrierKey key);
    bool is_active(CarrierKey key);
    Operation<void> deactivate(CarrierKey key);
    Activity activity(CarrierKey key);
    void on_activity(CarrierKey key, Carrier::OnActivity on_activity);
    Reuse reuse(CarrierKey key);
    void close(CarrierKey key);
    void abort(CarrierKey key, AbortCode code);
    void on_closed(CarrierKey key, Carrier::OnClosed on_closed);
    void on_soft_error(CarrierKey key, Carrier::OnClosed on_soft_error);
    void on_path(CarrierKey key, Carrier::OnPath on_path);
    void hold(CarrierKey key);
    void drop(CarrierKey key);
    Row* row(CarrierKey key) { return rows_.find(key); }

    ListenerKey listen(std::vector<Address> addresses);
    Listener handle(ListenerKey key);
    void accept(ListenerKey key, Carrier::OnCarrier on_carrier);
    Operation<Carrier> accept(ListenerKey key);
    void close(ListenerKey key);
    void drop(ListenerKey key);
    ListenerRow* row(ListenerKey key) { return listeners_.find(key); }
    // Listeners that were closed since the last call: the root closes their doors.
    std::vector<ListenerKey> poll_closed();

    // A wait for what the root looks up (Context::resolve, plan), by the root's number, and its
    // answer.
    Operation<std::vector<Remote>> wait_for_names(std::uint64_t number);
    Operation<Plan> wait_for_plan(std::uint64_t number);
    void answer_names(std::uint64_t number, Result<std::vector<Remote>> found);
    void answer_plan(std::uint64_t number, Result<Plan> plan);

    // The same for a migration.
    Operation<Path> wait_for_path(std::uint64_t number);
    void answer_path(std::uint64_t number, Result<Path> path);

    void abandoned(WaitingBase& waiting);
    void listened(WaitingRef<WaitingBase> waiting);
    WaitingRef<WaitingSend> take_out(WaitingSend& waiting);
    void give_up(WaitingSend& waiting);
    void limit(WaitingSend& waiting);
    void expire_due(CarrierKey key);
    void expire(WaitingSend& waiting);
    void set(Alarm& alarm);
    void cancel(Alarm& alarm) { alarms_.remove(alarm); }
    // A handle is used: who sleeps elsewhere hears of it.
    void used() {
        if (!dispatching_ && !std::exchange(used_, true) && on_use_) on_use_();
    }
    void on_use(Function<void()> on_use) { on_use_ = std::move(on_use); }

    // What happened below, and the calls that it causes.

    void handle(Happened event);
    void call(Function<void()> function);
    // Makes the calls that are due. An exception of the application leaves it; the next dispatch
    // goes on behind it.
    void dispatch();
    // When an alarm rings.
    Instant deadline() const { return alarms_.deadline(); }
    bool calls_due() const { return !happened_.empty() || !functions_.empty(); }
    // True while something is registered, awaited or unacknowledged: run() goes on.
    bool busy() const;
    void unhandled(Error error);
    void on_unhandled(Function<void(const Error&)> on_unhandled);
    // The Context goes: every message has its fate, every wait its answer; no callback is called
    // after this.
    void end(const Error& error);

    Associations& associations() { return associations_; }
    AnchorRef anchor() { return AnchorRef(&anchor_); }

private:
    Callbacks& callbacks(Row& row);
    Association* association(const Row& row) { return associations_.use(row.association); }
    Carrier lend(CarrierKey key);
    Carrier own(CarrierKey key);
    void make(happened::Opened& event);
    void make(happened::Readable& event);
    void make(happened::Writable& event);
    void make(happened::Progress& event);
    void make(happened::Wanted& event);
    void make(happened::Furthered& event);
    void make(happened::Soft& event);
    void make(happened::Active& event);
    void make(happened::PathChanged& event);
    void make(happened::Changed& event);
    void make(happened::Dormant& event);
    static void make(happened::Moved&) {}  // the root's
    void make(happened::Over& event);
    void make(happened::Gone& event);
    void give_to_ready(CarrierKey key);
    void end_ready(CarrierKey key);
    void give_to_waiting(CarrierKey key);
    void settle_waiting(Tag tag, CarrierId carrier, Callbacks& callbacks, const Error& error);
    void fate(FateToken token, Tag carrier, Fate fate);
    // For the trace: a message that has not become one.
    void trace_refused(const MessageId& id, AssociationId association, std::uint64_t size,
                       const Error& error);
    void remove_if_done(CarrierKey key);
    void accept_with(Callbacks& callbacks, Carrier::OnCarrier on_carrier);
    void end_accept(Callbacks& callbacks);
    void call_accept(CarrierKey parent, ListenerKey listener, Carrier carrier);
    Callbacks* acceptor(CarrierKey parent, ListenerKey listener);
    Operation<Carrier> accept_later(Callbacks& callbacks);
    template <class W> WaitingRef<W> wait(std::vector<WaitingRef<W>>& queue);
    template <class T> void answer(const WaitingRef<Waiting<T>>& waiting, Result<T> result);
    template <class W> void fail_all(std::vector<WaitingRef<W>>& queue, const Error& error);
    FateToken keep(OnFate on_fate);
    bool send_at_once(const Row& row, Content& content, const SendOptions& options, FateToken token,
                      MessageId& id);
    Sending send(CarrierKey key, Content&& content, std::uint64_t fed, const SendOptions& options,
                 FateToken token);
    Sending send_later(CarrierKey key, Content&& content, std::uint64_t fed,
                       const SendOptions& options, FateToken token);
    static bool queues(const Row& row, const SendOptions& options);
    static Error not_messages();
    bool hears(const Row* row, FateToken token) const;
    static std::optional<InMessage> take(Association& association, CarrierId carrier,
                                         ReceiveParts parts);
    static CarrierKey key_of(Tag tag) {
        return {static_cast<std::uint32_t>(tag), static_cast<std::uint32_t>(tag >> 32)};
    }
    static Tag tag_of(CarrierKey key) { return std::uint64_t{key.generation} << 32 | key.slot; }

    Anchor& anchor_;
    Associations& associations_;
    Slots<CarrierKey, Row> rows_;
    const SendOptions plain_{};
    Slots<ListenerKey, ListenerRow> listeners_;
    std::vector<ListenerKey> closed_;
    Ring<Happened> happened_;
    Ring<Function<void()>> functions_;
    std::unordered_map<AssociationId, std::vector<WaitingRef<Waiting<void>>>> activating_;
    std::unordered_map<AssociationId, std::vector<WaitingRef<Waiting<void>>>> deactivating_;
    std::unordered_map<std::uint64_t, WaitingRef<Waiting<std::vector<Remote>>>> resolving_;
    std::unordered_map<std::uint64_t, WaitingRef<Waiting<Plan>>> planning_;
    std::unordered_map<std::uint64_t, WaitingRef<Waiting<Path>>> moving_;
    std::unordered_map<FateToken, OnFate> fates_;
    FateToken next_fate_ = 1;
    std::unordered_map<FateToken, Generated> generated_;  // what is being sent of it
    Function<void(const Error&)> on_unhandled_;
    Function<void()> on_use_;
    Alarms alarms_;
    std::vector<AssociationId> took_note_;  // somebody heard of their end
    std::size_t registered_ = 0;            // ready and accept callbacks
    std::size_t awaited_ = 0;               // operations that wait
    Instant now_{};
    bool dispatching_ = false;
    bool used_ = false;  // since the last dispatch, from outside one
};

}  // namespace post::core
