// What an inbox does when its connection is replaced: what has come stays, what was promised does
// not, and what comes a second time is dropped.
#include <algorithm>

#include "lib/association/inbox.hpp"

namespace post::core {

void Inbox::unplug_all() {
    // The next connection begins with a whole budget, of which what is held here has its part.
    unpromised_ = charged_;
    budget_due_ = 0;
    granted_ = 0;
    for (InLane* lane : waiting_) lane->waiting = false;
    waiting_.clear();
    // The last words are among what is said of Carriers that have ended.
    last_words_ = {};
}

void Inbox::rest() {
    for (InLane* lane : std::exchange(touched_, {})) {
        lane->touched = false;
        release_if_idle(*lane);
    }
}

void Inbox::unplug(InLane& lane) {
    lane.dark = true;
    lane.ask = false;
    lane.spared = false;
    if (lane.work) lane.work->granted = 0;
}

void Inbox::plug(Instant now, InLane& lane) {
    if (!lane.dark) return;
    lane.dark = false;
    lane.promised = static_cast<std::int64_t>(std::min(limits_.window, largest_window));
    touch(lane);
    if (!lane.work) return;
    for (Assembly& one : lane.work->unfinished) one.reported = one.received;
    lane.work->progressed = now;
}

// Said once more of all numbers at the front: what has come of them stays as it was.
void Inbox::handle_skip_again(Instant now, InLane& lane, const Skip& skip) {
    const auto missing = receipts(lane, skip.niceness).missing(skip.first, skip.count);
    for (const Delivered::Range& range : missing)
        handle_skip(now, lane, {skip.carrier, skip.niceness, range.first, range.count});
}

void Inbox::end_unopened(Instant now, CarrierId carrier) {
    outcomes_.opened(carrier);
    outcomes_.was_reset(carrier, {});
    if (successors_.empty()) return;
    successors_.settle_rest(carrier, false);
    give_out_free(now);
}

std::vector<Delivered> Inbox::summary(const InLane& lane) const {
    std::vector<Delivered> all;
    for (const Receipts& known : known_of(lane)) {
        all.push_back(known.summary(lane.carrier));
        bool first = true;
        if (!lane.work) continue;
        for (const Assembly& one : lane.work->unfinished) {
            if (one.niceness != known.niceness() || one.received == 0) continue;
            if (one.sequence < all.back().watermark) continue;
            if (!std::exchange(first, false)) all.push_back(known.summary(lane.carrier));
            all.back().partial = one.sequence;
            all.back().progress = one.received;
        }
    }
    return all;
}

void Inbox::forget(InLane& lane) {
    drop_unfinished(lane);
    lane.watermark = 0;
    if (!lane.work) return;
    lane.work->receipts.clear();
    lane.work->receipts.emplace_back(NicenessClass{});
}

}  // namespace post::core
