// Messages that run out of time, and sends that wait for room.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

Instant Outbox::deadline() const { return expiries_.empty() ? never : expiries_.begin()->at; }

void Outbox::handle_timeout(Instant now) {
    if (deadline() > now) return;
    const Error expired(Errc::expired);
    const Error unheard(Errc::expired, {}, Stage::established,
                        "it travelled alone, and the peer's library never spoke of it");
    while (deadline() <= now) {
        const Expiry expiry = *expiries_.begin();
        expiries_.erase(expiries_.begin());
        OutLane& lane = *expiry.lane;
        OutClass& queue = *lane.find(expiry.niceness);
        OutEntry& entry = queue.at(expiry.sequence);
        if (entry.early) continue;  // not_early() will see to it
        // Acked or failed, from now on.
        const bool sent = entry.tried || entry.state > OutEntry::State::begun;
        if (entry.alone == OutEntry::Alone::acked) {
            lose(lane, queue, expiry.sequence, unheard);
            release_if_idle(lane);
            continue;
        }
        if (sent || (peer_.plain && entry.state == OutEntry::State::begun)) {
            if (!entry.passed) count_out(queue, expiry.sequence);
            entry.deadline = never;
            if (!entry.passed) count_in(queue, expiry.sequence);
        } else {
            settle(lane, queue, expiry.sequence, Fate::Kind::expired, &expired);
        }
        arrange(lane, queue);
    }
    settled_.flush();
    end_doomed();
}

void Outbox::wake_starved() {
    std::erase_if(starved_, [&](const auto& one) {
        const auto& [lane, niceness] = one;
        if (!writable(*lane, niceness) && !lane->finish_wanted) return false;
        events_.push_back(happened::Writable{lane->tag});
        return true;
    });
}

void Outbox::starve(OutLane& lane, NicenessClass niceness) {
    const std::pair one(&lane, niceness);
    if (std::find(starved_.begin(), starved_.end(), one) == starved_.end()) starved_.push_back(one);
}

}  // namespace post::core
