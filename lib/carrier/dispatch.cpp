// What happened below becomes calls of the application, one after the other, from nowhere else.
// While a callback runs it is out of its row, so that it may replace or destroy itself.
#include <algorithm>

#include "lib/carrier/waiting.hpp"

namespace post::core {

namespace {

// Messages that one Carrier gets in one dispatch before the others have a turn.
constexpr int most_messages = 8192;

}  // namespace

void Carriers::handle(Happened event) { happened_.push(std::move(event)); }

void Carriers::call(Function<void()> function) { functions_.push(std::move(function)); }

void Carriers::listened(WaitingRef<WaitingBase> waiting) {
    if (!waiting->answered()) return;  // answer() comes back here
    functions_.push([waiting = std::move(waiting)] {
        if (auto notify = std::move(waiting->notify)) notify();
    });
}

void Carriers::abandoned(WaitingBase& waiting) {
    --awaited_;
    waiting.dropped(anchor_);
}

void Carriers::dispatch() {
    used_ = false;
    dispatching_ = true;
    const Finally done{[&] { dispatching_ = false; }};
    // Only what is due now: what the calls cause comes in the next turn, so that a turn ends.
    for (std::size_t left = happened_.size(); left > 0 && !happened_.empty(); --left) {
        Happened event = std::move(happened_.front());
        happened_.pop();
        std::visit([&](auto& happened) { make(happened); }, event);
    }
    while (auto ring = alarms_.poll(now_)) ring();
    for (std::size_t left = functions_.size(); left > 0 && !functions_.empty(); --left) {
        Function<void()> function = std::move(functions_.front());
        functions_.pop();
        function();
    }
}

// Who takes a fork: the Carrier that it was forked from, else the Listener that this came from.
Carriers::Callbacks* Carriers::acceptor(CarrierKey parent, ListenerKey listener) {
    const auto takes = [](const Callbacks& callbacks) {
        return callbacks.accept || callbacks.accept_lent || callbacks.queues;
    };
    Row* row = rows_.find(parent);
    if (row && row->callbacks && takes(*row->callbacks)) return row->callbacks.get();
    ListenerRow* door = listeners_.find(listener);
    if (door && !door->closed && takes(door->callbacks)) return &door->callbacks;
    return nullptr;
}

void Carriers::make(happened::Opened& event) {
    Association* association = associations_.use(event.association);
    if (!association || !association->has(event.carrier)) return;
    // Asked now: the parent may have been accepted just before.
    const CarrierKey parent = key_of(association->parent(event.carrier));
    const Row* parent_row = rows_.find(parent);
    const std::uint64_t origin = associations_.origin(event.association);
    const ListenerKey listener = parent_row ? parent_row->listener
                                            : ListenerKey{static_cast<std::uint32_t>(origin),
                                                          static_cast<std::uint32_t>(origin >> 32)};
    Callbacks* to = acceptor(parent, listener);
    if (!to || (!to->accept && to->backlog.size() >= most_backlog))
        return association->refuse(event.carrier);
    const CarrierKey key = rows_.add();
    Row& row = *rows_.find(key);
    row.association = event.association;
    row.carrier = event.carrier;
    row.listener = listener;
    row.kind = event.kind;
    if (row.kind == CarrierKind::stream) row.use = Row::Use::unclaimed;
    association->adopt(event.carrier, tag_of(key));
    Carrier carrier = own(key);
    if (to->accept) return call_accept(parent, listener, std::move(carrier));
    for (auto& waiting : std::exchange(to->accepting, {})) {
        if (carrier && waiting->wanted)
            answer<Carrier>(waiting, std::move(carrier));
        else if (waiting->wanted)
            to->accepting.push_back(waiting);
    }
    if (carrier) to->backlog.push_back(std::move(carrier));
}

void Carriers::call_accept(CarrierKey parent, ListenerKey listener, Carrier carrier) {
    Callbacks* to = acceptor(parent, listener);
    const bool by_parent = rows_.find(parent) && rows_.find(parent)->callbacks.get() == to;
    Carrier::OnCarrier accept = std::move(to->accept);
    to->accept_lent = true;
    bool more = true;
    // Its row may be gone by then, or have another callback.
    const auto put_back = [&] {
        Row* row = by_parent ? rows_.find(parent) : nullptr;
        ListenerRow* door = by_parent ? nullptr : listeners_.find(listener);
        Callbacks* now = row ? row->callbacks.get() : door ? &door->callbacks : nullptr;
        if (!now || !now->accept_lent) return;
        if (more) {
            now->accept_lent = false;
            now->accept = std::move(accept);
            return;
        }
        end_accept(*now);
        if (door && door->handles == 0) close(listener);
    };
    try {
        more = accept(std::move(carrier));
    } catch (...) {
        put_back();
        throw;
    }
    put_back();
}

void Carriers::make(happened::Readable& event) {
    const CarrierKey key = key_of(event.carrier);
    give_to_waiting(key);
    give_to_ready(key);
}

void Carriers::give_to_waiting(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || !row->callbacks || row->callbacks->receiving.empty()) return;
    Association* association = this->association(*row);
    auto& queue = row->callbacks->receiving;
    std::size_t served = 0;
    for (; served < queue.size(); ++served) {
        const auto& waiting = queue[served];
        if (!waiting->wanted) continue;
        std::optional<InMessage> message;
        if (association) message = take(*association, row->carrier, waiting->parts);
        if (message) {
            answer<InMessage>(waiting, std::move(*message));
            continue;
        }
        // One that is forgotten already has its Over, with the reason, on the way.
        const bool known = association && association->has(row->carrier);
        const auto all = row->over ? std::optional<Error>(row->ended())
                         : known   ? association->received_all(row->carrier)
                                   : std::nullopt;
        if (!all) break;
        answer<InMessage>(waiting, *all);
    }
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(served));
}

void Carriers::give_to_ready(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || !row->ready) return;
    Association* association = this->association(*row);
    auto ready = std::move(row->ready);
    Carrier lent = lend(key);
    bool more = true;
    // Whatever happens in the callback, it goes back to its row, unless that has a new one.
    const auto put_back = [&] {
        Row* again = rows_.find(key);
        if (again && again->ready_owns && !again->ready) again->ready = std::move(ready);
    };
    int given = 0;
    Bytes::Dropped dropped;  // contents that the callback has left here
    try {
        while (association && more && given++ < most_messages) {
            auto message = row->callbacks
                               ? take(*association, row->carrier, row->callbacks->ready_parts)
                               : association->take(row->carrier);
            if (!message) break;
            more = ready.lend(lent, std::move(*message));
            if (message->size() < small_content) dropped.add(std::move(*message).content());
            if (!lent) lent = lend(key);  // the callback took it over
            row = rows_.find(key);
            if (!row || !row->ready_owns) return;
            association = this->association(*row);
            if (!row->ready) continue;
            ready = std::move(row->ready);  // it was replaced
            more = true;
        }
    } catch (...) {
        put_back();
        handle(happened::Readable{tag_of(key)});
        throw;
    }
    const bool all = !association || association->received_all(row->carrier);
    if (more && !all) {
        put_back();
        if (given > most_messages) handle(happened::Readable{tag_of(key)});
        return;
    }
    put_back();
    end_ready(key);
}

// The callback is done with the Carrier: without a handle left the Carrier closes.
void Carriers::end_ready(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || !row->ready_owns) return;
    row->ready_owns = false;
    Carrier::OnMessage done;  // destroyed last, when nothing here is needed any more
    done = std::move(row->ready);
    --registered_;
    if (row->handles > 0) return;
    if (row->over) return remove_if_done(key);
    close(key);
}

void Carriers::make(happened::Writable& event) {
    const CarrierKey key = key_of(event.carrier);
    expire_due(key);
    Row* row = rows_.find(key);
    Association* association = row ? this->association(*row) : nullptr;
    if (!association || !row->callbacks) return;
    // In their order, but for those that less urgent ones would keep waiting.
    Niceness full{0xffffffff};
    std::erase_if(row->callbacks->sending, [&](const auto& waiting) {
        const Niceness niceness = waiting->options.niceness;
        const Error wrong = association->send_error(row->carrier, waiting->size());
        if (!wrong && (niceness >= full || !association->writable(row->carrier, niceness))) {
            full = std::min(full, niceness);
            association->starve(row->carrier, niceness);
            return false;
        }
        waiting->age(now_);
        waiting->alarm.cancel();
        const auto sent = association->send(now_, row->carrier, std::move(waiting->content),
                                            waiting->options, waiting->on_fate, waiting->fed);
        MessageId id{row->carrier, niceness, {}};
        if (sent) {
            id.sequence = *sent;
            answer<MessageId>(waiting, id);
        } else {
            fate(waiting->on_fate, event.carrier,
                 Fate{Fate::Kind::failed, id, sent.error(), false});
            answer<MessageId>(waiting, sent.error());
        }
        return true;
    });
}

void Carriers::fate(FateToken token, Tag carrier, Fate fate) {
    handle(happened::Progress{carrier, std::move(fate), token});
}

void Carriers::make(happened::Progress& event) {
    if (!event.wanted) return;
    const CarrierKey key = key_of(event.carrier);
    const Row* row = rows_.find(key);
    if (row && event.fate.kind == Fate::Kind::failed && (event.on_fate || row->callbacks))
        took_note_.push_back(row->association);
    if (event.on_fate != no_fate) {
        const auto at = fates_.find(event.on_fate);
        if (at == fates_.end()) return;
        OnFate on_fate = std::move(at->second);
        std::optional<Generated> done;  // it may hold handles
        if (event.fate.kind != Fate::Kind::sent) {
            fates_.erase(at);
            if (auto made = generated_.extract(event.on_fate)) done = std::move(made.mapped());
        }
        if (on_fate) {
            const Finally put_back{[&] {
                const auto again = fates_.find(event.on_fate);
                if (again != fates_.end()) again->second = std::move(on_fate);
            }};
            return on_fate(event.fate);
        }
    }
    if (!row || !row->callbacks || !row->callbacks->on_fate) return;
    OnFate on_fate = std::move(row->callbacks->on_fate);
    const Finally put_back{[&] {
        Row* again = rows_.find(key);
        if (again && again->callbacks && !again->callbacks->on_fate)
            again->callbacks->on_fate = std::move(on_fate);
    }};
    on_fate(event.fate);
}

// The application makes the next bytes of a message; what it throws is the message's end.
void Carriers::make(happened::Wanted& event) {
    const auto at = generated_.find(event.on_fate);
    if (at == generated_.end()) return;
    auto produce = std::move(at->second.produce);
    const auto answer = [&](Result<Bytes> bytes) {
        const Row* row = rows_.find(key_of(event.carrier));
        if (Association* association = row ? this->association(*row) : nullptr)
            association->feed(event.message, std::move(bytes));
    };
    std::optional<Result<Bytes>> made;
    if (!produce)
        return answer(
            Error(Errc::invalid_argument, {}, Stage::call, "Generated::produce is empty"));
    try {
        made = produce(event.offset, static_cast<std::size_t>(event.most));
    } catch (...) {
        answer(Error(Errc::cancelled, {}, Stage::established,
                     "Generated::produce threw an exception"));
        throw;
    }
    const auto again = generated_.find(event.on_fate);
    if (again != generated_.end()) again->second.produce = std::move(produce);
    const bool fits = *made && (*made)->size() >= 1 && (*made)->size() <= event.most;
    if (*made && !fits)
        made = Error(Errc::invalid_argument, {}, Stage::established,
                     "Generated::produce gave " + std::to_string((*made)->size()) +
                         " bytes where 1 to " + std::to_string(event.most) + " were asked for");
    answer(*std::move(made));
}

void Carriers::make(happened::Furthered& event) {
    const auto at = generated_.find(event.on_fate);
    if (at == generated_.end() || !at->second.progress) return;
    auto progress = std::move(at->second.progress);
    const Finally put_back{[&] {
        const auto again = generated_.find(event.on_fate);
        if (again != generated_.end()) again->second.progress = std::move(progress);
    }};
    progress(event.bytes);
}

void Carriers::make(happened::Active& event) {
    auto waiting = activating_.extract(event.association);
    if (waiting)
        for (const auto& one : waiting.mapped()) answer<void>(one, Result<void>());
    happened::Changed active{event.association, Activity::active};
    make(active);
}

void Carriers::on_soft_error(CarrierKey key, Carrier::OnClosed on_soft_error) {
    Row* row = rows_.find(key);
    if (row && !row->over) callbacks(*row).on_soft_error = std::move(on_soft_error);
}

void Carriers::make(happened::Soft& event) {
    const CarrierKey key = key_of(event.carrier);
    Row* row = rows_.find(key);
    if (!row || row->over || !row->callbacks || !row->callbacks->on_soft_error) return;
    auto call = std::move(row->callbacks->on_soft_error);
    row->callbacks->on_soft_error = {};
    const auto put_back = [&] {
        row = rows_.find(key);
        if (row && !row->over && !row->callbacks->on_soft_error)
            row->callbacks->on_soft_error = std::move(call);
    };
    try {
        call(event.error);
    } catch (...) {
        put_back();
        throw;
    }
    put_back();
}

void Carriers::make(happened::Over& event) {
    const CarrierKey key = key_of(event.carrier);
    Row* row = rows_.find(key);
    if (!row || row->over) return;
    row->over = true;
    const Error& error = event.error;
    const bool fault = error != Errc::carrier_closed || error.cause || error.stage != Stage::none ||
                       !error.detail.empty();
    if (fault) callbacks(*row).end = std::make_unique<Error>(error);
    if (row->callbacks) {
        Callbacks& own = *row->callbacks;
        // A wait for messages takes note only of what ends a connection that there was: nobody's
        // first wrong certificate shall end in silence.
        const bool waits = !own.receiving.empty() && event.error.stage == Stage::established;
        if (own.on_closed || !own.sending.empty() || waits) took_note_.push_back(row->association);
        settle_waiting(event.carrier, row->carrier, own, event.error);
        end_accept(own);
        if (own.on_closed)
            functions_.push([on_closed = std::move(own.on_closed), error = event.error]() mutable {
                on_closed(error);
            });
    }
    end_ready(key);
    remove_if_done(key);
}

void Carriers::settle_waiting(Tag tag, CarrierId carrier, Callbacks& callbacks,
                              const Error& error) {
    fail_all(callbacks.receiving, error);
    fail_all(callbacks.accepting, error);
    for (const auto& waiting : std::exchange(callbacks.sending, {})) {
        const MessageId id{carrier, waiting->options.niceness, {}};
        const Row* row = rows_.find(key_of(tag));
        trace_refused(id, row ? row->association : AssociationId{}, waiting->size(), error);
        if (waiting->on_fate != no_fate || callbacks.on_fate)
            handle(happened::Progress{tag, Fate{Fate::Kind::failed, id, error, false},
                                      waiting->on_fate});
        answer<MessageId>(waiting, Result<MessageId>(error));
    }
    for (Carrier& left : std::exchange(callbacks.backlog, {}))
        functions_.push([left = std::move(left)] {});
}

void Carriers::remove_if_done(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || !row->over || row->handles > 0) return;
    const auto callbacks = std::move(row->callbacks);  // destroyed last: it may hold handles
    rows_.remove(key);
}

void Carriers::make(happened::Gone& event) {
    const bool noted = std::find(took_note_.begin(), took_note_.end(), event.association) !=
                       took_note_.end();
    std::erase(took_note_, event.association);
    bool waited = false;
    if (auto waiting = activating_.extract(event.association)) {
        for (const auto& one : waiting.mapped()) waited |= one->wanted;
        fail_all(waiting.mapped(), event.error);
    }
    if (auto waiting = deactivating_.extract(event.association))
        fail_all(waiting.mapped(), event.error);
    const auto in_order = [](std::error_code code) {
        return code == Errc::carrier_closed || code == Errc::context_closed ||
               code == Errc::dormant;
    };
    const bool good = in_order(event.error.code) || in_order(event.error.cause);
    if (waited || noted || !event.error || good) return;
    unhandled(event.error);
}

void Carriers::end(const Error& error) {
    for (AssociationId id : associations_.all()) {
        if (associations_.parked(id)) {
            associations_.drop_parked(id);
            continue;
        }
        Association* association = associations_.use(id);
        association->shut(error);
        std::vector<Happened> events;
        association->poll_events(events);
        for (Happened& event : events) handle(std::move(event));
    }
    rows_.each([&](CarrierKey key, Row& row) {
        if (row.callbacks) settle_waiting(tag_of(key), row.carrier, *row.callbacks, error);
        if (!row.over) handle(happened::Over{tag_of(key), error});
    });
    listeners_.each([&](ListenerKey key, ListenerRow&) { close(key); });
    while (!resolving_.empty()) answer_names(resolving_.begin()->first, error);
    while (!planning_.empty()) answer_plan(planning_.begin()->first, error);
    while (!moving_.empty()) answer_path(moving_.begin()->first, error);
}

}  // namespace post::core
