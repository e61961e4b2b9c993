// The commands of Carriers and Listeners.
#include "lib/carrier/carriers.hpp"

#include "lib/carrier/waiting.hpp"

#include <algorithm>
#include <cassert>
#include <cstdio>

namespace post::core {

Carriers::Carriers(Anchor& anchor, Associations& associations)
    : anchor_(anchor), associations_(associations) {}

Carriers::Callbacks& Carriers::callbacks(Row& row) {
    if (!row.callbacks) row.callbacks = std::make_unique<Callbacks>();
    return *row.callbacks;
}

Carrier Carriers::own(CarrierKey key) {
    ++rows_.find(key)->handles;
    return Carrier(anchor(), key, false);
}

Carrier Carriers::lend(CarrierKey key) { return Carrier(anchor(), key, true); }

Carrier Carriers::open(Association& association, const Association::NewCarrier& carrier,
                       ListenerKey listener, bool joins) {
    const CarrierKey key = rows_.add();
    Row& row = *rows_.find(key);
    row.association = association.id();
    row.listener = listener;
    row.kind = carrier.kind;
    row.ours = true;
    row.how = carrier.parent ? Reuse::How::forked : joins ? Reuse::How::joined : Reuse::How::first;
    Association::NewCarrier tagged = carrier;
    tagged.tag = tag_of(key);
    row.carrier = association.open(tagged);
    return own(key);
}

// Sending.

FateToken Carriers::keep(OnFate on_fate) {
    if (!on_fate) return no_fate;
    fates_.emplace(next_fate_, std::move(on_fate));
    return next_fate_++;
}

bool Carriers::hears(const Row* row, FateToken token) const {
    const auto at = fates_.find(token);
    return (at != fates_.end() && at->second) || (row && row->callbacks && row->callbacks->on_fate);
}

Sending Carriers::send(CarrierKey key, Content content, const SendOptions& options,
                       OnFate on_fate) {
    return send(key, std::move(content), 0, options, keep(std::move(on_fate)));
}

// What makes the content is kept under the token of the fate, and goes with that.
Sending Carriers::send(CarrierKey key, Generated content, const SendOptions& options,
                       OnFate on_fate) {
    const FateToken token = next_fate_++;
    fates_.emplace(token, std::move(on_fate));
    const std::uint64_t size = content.size;
    generated_.emplace(token, std::move(content));
    return send(key, Content(Bytes{}), size, options, token);
}

Sending Carriers::send(CarrierKey key, Content&& content) {
    const Row* row = rows_.find(key);
    const SendOptions* const own = row && row->callbacks ? row->callbacks->defaults.get() : nullptr;
    return send(key, std::move(content), 0, own ? *own : plain_, no_fate);
}

// False: nothing has happened.
bool Carriers::send_at_once(const Row& row, Content& content, const SendOptions& options,
                            FateToken token, MessageId& id) {
    if (row.over || queues(row, options)) return false;
    const bool simple = options.lifetime >= Duration::zero() && options.antecedents.empty() &&
                        options.properties.empty() && !options.datagram;
    Association* association = this->association(row);
    if (!association || (!simple && association->terms_error(options))) return false;
    id.carrier = row.carrier;
    id.niceness = options.niceness;
    return association->send_if_writable(now_, row.carrier, content, options, token, id.sequence);
}

// What waits for room is not overtaken by what is as nice, or nicer.
bool Carriers::queues(const Row& row, const SendOptions& options) {
    if (!row.callbacks || row.callbacks->sending.empty()) return false;
    return std::any_of(
        row.callbacks->sending.begin(), row.callbacks->sending.end(),
        [&](const auto& waiting) { return waiting->options.niceness <= options.niceness; });
}

Sending Carriers::send(CarrierKey key, Content&& content, std::uint64_t fed,
                       const SendOptions& options, FateToken token) {
    Row* row = rows_.find(key);
    MessageId id;
    if (row && fed == 0 && !row->unclaimed() && send_at_once(*row, content, options, token, id))
        return Sending(std::in_place, id, anchor());
    return send_later(key, std::move(content), fed, options, token);
}

// It is refused, or has to wait for room; or its content is still to be made.
Sending Carriers::send_later(CarrierKey key, Content&& content, std::uint64_t fed,
                             const SendOptions& options, FateToken token) {
    Row* row = rows_.find(key);
    Association* association = row ? this->association(*row) : nullptr;
    Error error = row && row->over   ? row->ended()
                  : !association     ? Error(Errc::carrier_closed)
                  : row->unclaimed() ? not_messages()
                                     : association->send_error(row->carrier, content.size() + fed);
    if (!error) error = association->terms_error(options);
    if (error) {
        // The message's one fate, as for every other.
        const MessageId id{row ? row->carrier : CarrierId{}, options.niceness, {}};
        if (row) trace_refused(id, row->association, content.size() + fed, error);
        if (token != no_fate || hears(row, token))
            handle(happened::Progress{row ? tag_of(key) : no_tag,
                                      Fate{Fate::Kind::failed, id, error, false}, token});
        return Sending(Result<MessageId>(error), anchor());
    }
    if (fed > 0 && !queues(*row, options) &&
        association->writable(row->carrier, options.niceness)) {
        const auto sent = association->send(now_, row->carrier, std::move(content), options, token,
                                            fed);
        return Sending(MessageId{row->carrier, options.niceness, *sent}, anchor());
    }
    WaitingRef<WaitingSend> waiting(new (anchor_) WaitingSend);
    waiting->carrier = key;
    waiting->content = associations_.shared().keep(std::move(content));
    waiting->options = options;
    waiting->on_fate = token;
    waiting->fed = fed;
    ++awaited_;
    callbacks(*row).sending.push_back(waiting);
    limit(*waiting.get());
    association->starve(row->carrier, options.niceness);
    return Sending(Operation<MessageId>(WaitingRef<Waiting<MessageId>>(waiting), anchor()));
}

Operation<Fate> Carriers::deliver(CarrierKey key, Content content, const SendOptions& options) {
    const WaitingRef<WaitingFate> waiting(new (anchor_) WaitingFate);
    ++awaited_;
    Sending sending = send(key, std::move(content), options, [this, waiting](const Fate& fate) {
        if (fate.kind != Fate::Kind::sent) answer<Fate>(waiting, fate);
    });
    if (!sending.ready()) waiting->sending.emplace(std::move(sending));
    return Operation<Fate>(WaitingRef<Waiting<Fate>>(waiting), anchor());
}

const SendOptions* Carriers::defaults(CarrierKey key) {
    const Row* row = rows_.find(key);
    return row && row->callbacks ? row->callbacks->defaults.get() : nullptr;
}

void Carriers::defaults(CarrierKey key, SendOptions options) {
    if (Row* row = rows_.find(key))
        callbacks(*row).defaults = std::make_unique<SendOptions>(std::move(options));
}

bool Carriers::writable(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || row->over) return false;
    const Association* association = associations_.find(row->association);
    return association && (!row->callbacks || row->callbacks->sending.empty()) &&
           association->writable(row->carrier);
}

void Carriers::on_fate(CarrierKey key, OnFate on_fate) {
    Row* row = rows_.find(key);
    if (!row) return;
    if (Association* association = this->association(*row))
        association->want_fates(row->carrier, static_cast<bool>(on_fate));
    callbacks(*row).on_fate = std::move(on_fate);
}

void Carriers::finish(CarrierKey key) {
    Row* row = rows_.find(key);
    if (row) row->unclaimed();
    if (Association* association = row ? this->association(*row) : nullptr)
        association->finish(row->carrier);
}

// Receiving.

namespace {

bool valid(ReceiveParts parts) {
    return parts.minimum >= 1 && parts.minimum <= Inbox::most_minimum &&
           parts.minimum <= parts.maximum;
}

bool is_whole(ReceiveParts parts) {
    return parts.minimum == Carriers::whole.minimum && parts.maximum == 0;
}

Error wrong_parts() {
    return Error(Errc::invalid_argument, {}, Stage::call,
                 "ReceiveParts: 1 <= minimum <= maximum, and minimum at most 1 MiB");
}

}  // namespace

void Carriers::ready(CarrierKey key, Carrier::OnMessage on_message, ReceiveParts parts) {
    if (!is_whole(parts) && !valid(parts)) throw Failure(wrong_parts());
    Row* row = rows_.find(key);
    if (!row || row->over) return;
    if (!on_message) return end_ready(key);
    if (row->unclaimed()) throw Failure(not_messages());
    if (!row->ready_owns) ++registered_;
    row->ready_owns = true;
    row->ready = std::move(on_message);
    if (row->callbacks || !is_whole(parts)) callbacks(*row).ready_parts = parts;
    if (Association* association = this->association(*row)) association->want(row->carrier);
    handle(happened::Readable{tag_of(key)});
}

std::optional<InMessage> Carriers::take(Association& association, CarrierId carrier,
                                        ReceiveParts parts) {
    if (is_whole(parts)) return association.take(carrier);
    return association.take_part(carrier, parts.minimum, parts.maximum);
}

void Carriers::largest_message(CarrierKey key, std::uint64_t bytes) {
    Row* row = rows_.find(key);
    if (Association* association = row ? this->association(*row) : nullptr)
        association->largest_message(row->carrier, bytes);
}

Operation<InMessage> Carriers::receive(CarrierKey key, ReceiveParts parts) {
    using Answer = Result<InMessage>;
    if (!is_whole(parts) && !valid(parts)) return {Answer(wrong_parts()), anchor()};
    Row* row = rows_.find(key);
    if (!row) return {Answer(Error(Errc::carrier_closed)), anchor()};
    if (row->unclaimed()) return {Answer(not_messages()), anchor()};
    Association* association = this->association(*row);
    const auto later = [&]() -> Operation<InMessage> {
        auto waiting = wait(callbacks(*row).receiving);
        waiting->parts = parts;
        return {WaitingRef<Waiting<InMessage>>(waiting), anchor()};
    };
    if (!association || !association->has(row->carrier)) {
        // When it is forgotten already, its Over is on the way with the reason.
        if (row->over) return {Answer(row->ended()), anchor()};
        return later();
    }
    // Those that were dropped take nothing any more.
    const auto wanted = [](const auto& waiting) { return waiting->wanted; };
    const bool first = !row->callbacks || std::none_of(row->callbacks->receiving.begin(),
                                                       row->callbacks->receiving.end(), wanted);
    if (first) {
        if (auto message = take(*association, row->carrier, parts))
            return {Answer(std::move(*message)), anchor()};
        if (auto error = association->received_all(row->carrier))
            return {Answer(row->over ? row->ended() : *error), anchor()};
    }
    association->want(row->carrier);
    return later();
}

// Forks.

Carrier Carriers::fork(CarrierKey key, const Carrier::ForkOptions& options) {
    Row* row = rows_.find(key);
    Association* association = row && !row->over ? this->association(*row) : nullptr;
    if (!association || row->kind == CarrierKind::one_way) return {};
    if (association->state() >= Association::State::closing) return {};
    Association::NewCarrier fork;
    fork.parent = row->carrier;
    fork.kind = options.one_way ? CarrierKind::one_way : CarrierKind::messages;
    fork.priority = options.priority;
    fork.weight = std::clamp<std::uint32_t>(options.weight, 1, Carrier::largest_weight);
    fork.announce = options.announce;
    fork.channel = channel_of({options.label, options.protocol, options.channel});
    return open(*association, fork, row->listener);
}

void Carriers::accept_with(Callbacks& callbacks, Carrier::OnCarrier on_carrier) {
    end_accept(callbacks);
    callbacks.accept = std::move(on_carrier);
    if (callbacks.accept) ++registered_;
}

void Carriers::end_accept(Callbacks& callbacks) {
    if (callbacks.accept || callbacks.accept_lent) --registered_;
    callbacks.accept = {};
    callbacks.accept_lent = false;
}

Operation<Carrier> Carriers::accept_later(Callbacks& callbacks) {
    callbacks.queues = true;
    if (callbacks.backlog.empty()) return {wait(callbacks.accepting), anchor()};
    Carrier carrier = std::move(callbacks.backlog.front());
    callbacks.backlog.erase(callbacks.backlog.begin());
    return {Result<Carrier>(std::move(carrier)), anchor()};
}

void Carriers::accept(CarrierKey key, Carrier::OnCarrier on_carrier) {
    Row* row = rows_.find(key);
    if (row && !row->over) accept_with(callbacks(*row), std::move(on_carrier));
}

Operation<Carrier> Carriers::accept(CarrierKey key) {
    Row* row = rows_.find(key);
    if (row && !row->over) return accept_later(callbacks(*row));
    return {Result<Carrier>(Errc::carrier_closed), anchor()};
}

// Life.

Operation<void> Carriers::activate(CarrierKey key) {
    using Answer = Result<void>;
    Row* row = rows_.find(key);
    Association* association = row ? this->association(*row) : nullptr;
    if (!association || row->over) {
        Error error = row ? row->ended() : Error(Errc::carrier_closed);
        return {Answer(std::move(error)), anchor()};
    }
    association->want(row->carrier);
    association->stay();
    if (association->state() == Association::State::established) return {Answer(), anchor()};
    association->activate();
    return {wait(activating_[row->association]), anchor()};
}

bool Carriers::is_active(CarrierKey key) {
    Row* row = rows_.find(key);
    return row && !row->over && associations_.activity(row->association) == Activity::active;
}

void Carriers::close(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || row->over) return;
    if (row->callbacks) {
        for (auto& waiting : std::exchange(row->callbacks->sending, {})) {
            const Error error(Errc::carrier_closed);
            const MessageId id{row->carrier, waiting->options.niceness, {}};
            trace_refused(id, row->association, waiting->size(), error);
            fate(waiting->on_fate, tag_of(key), Fate{Fate::Kind::failed, id, error, false});
            answer<MessageId>(waiting, error);
        }
    }
    if (Association* association = this->association(*row)) association->close(now_, row->carrier);
}

void Carriers::abort(CarrierKey key, AbortCode code) {
    Row* row = rows_.find(key);
    if (!row || row->over) return;
    const std::error_code cause(static_cast<int>(code.value()), application_category());
    if (Association* association = this->association(*row))
        association->abort(row->carrier, Error(Errc::cancelled, cause));
}

void Carriers::on_closed(CarrierKey key, Carrier::OnClosed on_closed) {
    Row* row = rows_.find(key);
    if (!row) return;
    if (row->over) {  // it is late, and hears all the same
        functions_.push([on_closed = std::move(on_closed), error = row->ended()]() mutable {
            if (on_closed) on_closed(error);
        });
        return;
    }
    callbacks(*row).on_closed = std::move(on_closed);
}

void Carriers::hold(CarrierKey key) {
    if (Row* row = rows_.find(key)) ++row->handles;
}

void Carriers::drop(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || --row->handles > 0) return;
    if (row->ready_owns) return;
    if (row->over) return remove_if_done(key);
    close(key);
}

// Listeners.

ListenerKey Carriers::listen(std::vector<Address> addresses) {
    const ListenerKey key = listeners_.add();
    listeners_.find(key)->addresses = std::move(addresses);
    return key;
}

Listener Carriers::handle(ListenerKey key) {
    ++listeners_.find(key)->handles;
    return Listener(anchor(), key);
}

void Carriers::accept(ListenerKey key, Carrier::OnCarrier on_carrier) {
    ListenerRow* row = listeners_.find(key);
    if (row && !row->closed) accept_with(row->callbacks, std::move(on_carrier));
}

Operation<Carrier> Carriers::accept(ListenerKey key) {
    ListenerRow* row = listeners_.find(key);
    if (row && !row->closed) return accept_later(row->callbacks);
    return {Result<Carrier>(Errc::not_listening), anchor()};
}

void Carriers::close(ListenerKey key) {
    ListenerRow* row = listeners_.find(key);
    if (!row || std::exchange(row->closed, true)) return;
    end_accept(row->callbacks);
    fail_all(row->callbacks.accepting, Error(Errc::not_listening));
    closed_.push_back(key);
    // The backlog's Carriers close with it; not from in here, they are rows of ours.
    for (Carrier& carrier : row->callbacks.backlog)
        functions_.push([carrier = std::move(carrier)] {});
    row->callbacks.backlog.clear();
}

void Carriers::drop(ListenerKey key) {
    ListenerRow* row = listeners_.find(key);
    if (!row || --row->handles > 0) return;
    if (row->callbacks.accept || row->callbacks.accept_lent) return;
    close(key);
}

std::vector<ListenerKey> Carriers::poll_closed() { return std::exchange(closed_, {}); }

// Loops and time.

void Carriers::set(Alarm& alarm) {
    // Outside a turn the clock is not known: the next turn, which is due at once, starts the count.
    alarms_.add(alarm, dispatching_ ? std::optional<Instant>(now_) : std::nullopt);
}

// Errors.

void Carriers::on_unhandled(Function<void(const Error&)> on_unhandled) {
    on_unhandled_ = std::move(on_unhandled);
}

void Carriers::unhandled(Error error) {
    if (TraceLog& trace = associations_.shared().trace; trace.on())
        trace.add({}, traced::Unhandled{error});
    functions_.push([this, error = std::move(error)] {
        if (on_unhandled_) {
            // Out of its place while it runs: it may replace itself.
            auto handler = std::move(on_unhandled_);
            const Finally put_back{[&] {
                if (!on_unhandled_) on_unhandled_ = std::move(handler);
            }};
            return handler(error);
        }
        std::fputs(("post: " + error.message() + "\n").c_str(), stderr);
        if (!error.detail.empty()) std::fputs((error.detail.string() + "\n").c_str(), stderr);
    });
}

bool Carriers::busy() const {
    return registered_ > 0 || awaited_ > 0 || calls_due() ||
           associations_.shared().outstanding > 0 || associations_.shared().draining > 0;
}

}  // namespace post::core
