// Sends that wait for room in the budget, and how they end before there is some: their operation is
// dropped, or their lifetime is over.
#include <algorithm>

#include "lib/carrier/carriers.hpp"
#include "lib/carrier/waiting.hpp"

namespace post::core {

void WaitingSend::dropped(Anchor& anchor) {
    if (anchor.carriers) anchor.carriers->give_up(*this);
}

// Out of its Carrier's queue; null: it stands in none any more.
WaitingRef<WaitingSend> Carriers::take_out(WaitingSend& waiting) {
    Row* row = rows_.find(waiting.carrier);
    if (!row || !row->callbacks) return {};
    auto& queue = row->callbacks->sending;
    const auto at = std::find_if(queue.begin(), queue.end(),
                                 [&](const auto& one) { return one.get() == &waiting; });
    if (at == queue.end()) return {};
    const WaitingRef<WaitingSend> taken = *at;
    queue.erase(at);
    return taken;
}

// The operation was dropped while it held its message: that is the message's end.
void Carriers::give_up(WaitingSend& waiting) {
    const WaitingRef<WaitingSend> last = take_out(waiting);
    if (!last) return;
    const Row* row = rows_.find(waiting.carrier);
    const bool heard = hears(row, waiting.on_fate);
    Error error(Errc::would_block, {}, Stage::call,
                "send() found no room in the budget and its operation was dropped; await it, or "
                "send when writable()");
    const MessageId id{row->carrier, waiting.options.niceness, {}};
    trace_refused(id, row->association, waiting.size(), error);
    if (heard)
        return handle(happened::Progress{
            tag_of(waiting.carrier), Fate{Fate::Kind::failed, id, error, false}, waiting.on_fate});
    unhandled(std::move(error));
    fates_.erase(waiting.on_fate);
    const auto made = generated_.extract(waiting.on_fate);  // destroyed last: it may hold handles
}

// A lifetime counts from the send, whenever there is room.
void Carriers::limit(WaitingSend& waiting) {
    const Duration lifetime = waiting.options.lifetime;
    if (lifetime == Duration::zero()) return;
    waiting.due = lifetime > never - now_ ? never : now_ + lifetime;
    if (waiting.due == never) return;
    waiting.alarm.set(AnchorRef(&anchor_), lifetime, [this, &waiting] { expire(waiting); });
}

// Nobody takes the place of one whose lifetime is over, whose alarm may ring a little later: it
// counts from the turn behind the send.
void Carriers::expire_due(CarrierKey key) {
    const auto due = [&]() -> WaitingSend* {
        const Row* row = rows_.find(key);
        if (!row || !row->callbacks) return nullptr;
        for (const auto& waiting : row->callbacks->sending)
            if (waiting->due <= now_) return waiting.get();
        return nullptr;
    };
    while (WaitingSend* const waiting = due()) expire(*waiting);
}

void Carriers::expire(WaitingSend& waiting) {
    const WaitingRef<WaitingSend> last = take_out(waiting);
    if (!last) return;
    Row* row = rows_.find(waiting.carrier);
    const Error error(Errc::expired, {}, Stage::call,
                      "its lifetime ended while it waited for room in the send budget");
    const MessageId id{row->carrier, waiting.options.niceness, {}};
    trace_refused(id, row->association, waiting.size(), error);
    if (hears(row, waiting.on_fate))
        handle(happened::Progress{tag_of(waiting.carrier),
                                  Fate{Fate::Kind::expired, id, error, false}, waiting.on_fate});
    answer<MessageId>(last, Result<MessageId>(error));
    Association* association = waiting.options.final ? this->association(*row) : nullptr;
    if (association) association->finish(row->carrier);
}

}  // namespace post::core
