// Receive memory is promised before it is used: windows, grants and the budget.
#include <algorithm>
#include <limits>

#include "lib/association/inbox.hpp"

namespace post::core {

void Inbox::charge(std::uint64_t bytes) {
    charged_ += bytes;
    context_.charged += bytes;
}

// Bytes that the application has taken, or that were thrown away: the peer may send as many again.
void Inbox::release(InLane& lane, std::uint64_t bytes) {
    charged_ -= bytes;
    context_.charged -= bytes;
    budget_due_ += bytes;
    lane.since = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(lane.since + bytes, std::numeric_limits<std::uint32_t>::max()));
    touch(lane);
    if (lane.held() == 0 && lane.weight() == 0) unhold(lane);
}

// The first window is timed from its first bytes.
void Inbox::count_come(Instant now, InLane& lane, std::uint64_t bytes) {
    if (!lane.begun) lane.epoch_began = now;
    lane.begun = true;
    lane.promised -= static_cast<std::int64_t>(bytes);
}

std::uint64_t Inbox::to_come(const InLane& lane) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(lane.promised, 0));
}

void Inbox::hold(InLane& lane) {
    std::uint32_t& place = work(lane).place;
    if (place != InWork::nowhere) return;
    place = static_cast<std::uint32_t>(lanes_.size());
    lanes_.push_back(&lane);
}

void Inbox::unhold(InLane& lane) {
    if (!lane.work || lane.work->place == InWork::nowhere) return;
    const std::uint32_t place = lane.work->place;
    lanes_.back()->work->place = place;
    lanes_[place] = lanes_.back();
    lanes_.pop_back();
    lane.work->place = InWork::nowhere;
}

void Inbox::touch(InLane& lane) {
    if (lane.touched) return;
    lane.touched = true;
    touched_.push_back(&lane);
}

// What its sender does not use for a long message that others may be more urgent than, with what is
// around its chunks (Outbox::kept_for_urgent).
constexpr std::uint64_t kept_for_urgent = 16 * 1024 + 256;
constexpr std::uint64_t longer_than_that = 16 * 1024;

// What may still come of unfinished messages, and what has come of them, beyond a window. What was
// promised for one that was given up since is nobody's grant: it makes the window wider, and the
// peer may never use it.
std::uint64_t Inbox::unfinished(const InLane& lane) {
    if (!lane.work) return 0;
    const std::uint64_t promised = to_come(lane);
    const std::uint64_t window = std::uint64_t{lane.window} + (lane.spared ? kept_for_urgent : 0);
    std::uint64_t rest = 0;
    for (const Assembly& one : lane.work->unfinished)
        rest += std::min(promised - rest, one.total - one.received);
    const std::uint64_t bytes = std::min(promised, rest + window) + lane.work->assembling;
    return bytes - std::min(bytes, window);
}

// What of a promise the lane's sender will leave to what is more urgent.
std::uint64_t Inbox::spare_of(const InLane& lane) {
    const auto& unfinished = lane.work->unfinished;
    const bool leaves = std::any_of(unfinished.begin(), unfinished.end(), [](const Assembly& one) {
        return one.niceness != NicenessClass{} && one.total > longer_than_that;
    });
    return leaves ? kept_for_urgent : 0;
}

// What the unfinished messages of the lane need beyond what was promised. A transport keeps credit
// back until about half of a first window has come together (and the framing's bytes are credit
// too), so a message that needs the last half window of a promise could wait for ever: then more.
std::uint64_t Inbox::wanted(const InLane& lane) const {
    if (!lane.work) return 0;
    std::uint64_t rest = 0;
    for (const Assembly& one : lane.work->unfinished) {
        // Who takes parts gets window as it takes, and no more than a part beyond that.
        const std::uint64_t here = one.message.size();
        const std::uint64_t part = lane.minimum - std::min<std::uint64_t>(lane.minimum, here);
        const std::uint64_t left = one.total - one.received;
        if (lane.minimum > 0)
            rest += std::min(part, left);
        else if (fields_ && one.total == unlimited)  // as much again as has come
            rest += std::min(std::clamp(here, limits_.window, largest_window),
                             limit(lane) + 1 - std::min(here, limit(lane) + 1));
        else if (one.total - one.message.offset() <= limit(lane))
            rest += left;
    }
    const std::uint64_t margin = limits_.window / 2 + spare_of(lane);
    const std::uint64_t promised = to_come(lane);
    if (rest == 0 || rest + margin <= promised) return 0;
    return rest + margin + limits_.window / 2 - promised;
}

// A Carrier with a full account gets nothing until its application takes something; when finished
// messages crowd the budget, only Carriers with an empty account do. What is granted can always
// finish, also where another message of the Carrier's used a part of it: the other half of the
// budget is there for that.
bool Inbox::may_grant(const InLane& lane, std::uint64_t bytes) const {
    if (lane.granted() > 0)
        return granted_ + bytes <= limits_.budget && context_.charged + bytes <= context_.limit;
    const bool crowded = finished_ > limits_.budget / 2;
    // One alone always fits, the window that comes on top of it included.
    const bool fits = granted_ == 0 || granted_ + bytes <= limits_.budget / 2;
    return lane.untaken() < (crowded ? 1 : lane.window) && fits &&
           context_.charged + bytes <= context_.limit;
}

void Inbox::grant(Instant now, InLane& lane, std::uint64_t bytes, Mapping& mapping) {
    lane.work->progressed = now;
    lane.promised += static_cast<std::int64_t>(bytes);
    if (spare_of(lane) > 0) lane.spared = true;
    lane.work->granted += bytes;
    granted_ += bytes;
    mapping.extend_window(lane.carrier, bytes);
}

void Inbox::flush(Instant now, Mapping& mapping) {
    const std::uint64_t free = std::min(budget_due_, unpromised_);
    unpromised_ -= free;
    if (budget_due_ > free) mapping.extend_budget(budget_due_ - free);
    budget_due_ = 0;
    if (context_.charged == 0) small_.rest();
    if (touched_.empty() && waiting_.empty()) return;
    looking_.swap(touched_);
    for (InLane* lane : looking_) {
        lane->touched = false;
        if (lane->dark) {  // plug() touches it again
            release_if_idle(*lane);
            continue;
        }
        if (lane->over || lane->discarding) {
            // Its grants have done their work when nothing is held any more.
            if (lane->work && lane->held() == 0) granted_ -= std::exchange(lane->work->granted, 0);
            release_if_idle(*lane);
            continue;
        }
        tune(now, *lane, mapping);
        // What was granted beyond the window is not promised a second time. It has done its work
        // when its message is whole: one that nobody takes keeps no other from its grant.
        const std::int64_t beyond = lane->promised + static_cast<std::int64_t>(lane->held()) -
                                    lane->window;
        if (beyond <= 0) lane->spared = false;
        // Nor does one that its sender gave up: what is left of that promise counts again when a
        // message uses it.
        const std::uint64_t due = beyond > 0 ? std::min(static_cast<std::uint64_t>(beyond),
                                                        unfinished(*lane))
                                             : 0;
        if (due != lane->granted()) {
            granted_ += due - lane->granted();
            lane->work->granted = due;
        }
        if (beyond < 0 && -beyond >= lane->window / 4) {
            mapping.extend_window(lane->carrier, static_cast<std::uint64_t>(-beyond));
            lane->promised -= beyond;
        }
        if (wanted(*lane) > 0 && !lane->waiting) {
            lane->waiting = true;
            waiting_.push_back(lane);
        }
        release_if_idle(*lane);
    }
    looking_.clear();
    const auto urgency = [](const InLane* lane) {
        std::uint8_t least = niceness_classes;
        for (const Assembly& one : lane->work->unfinished)
            least = std::min(least, one.niceness.value());
        return least;
    };
    if (waiting_.size() > 1)
        std::stable_sort(waiting_.begin(), waiting_.end(),
                         [&](const InLane* a, const InLane* b) { return urgency(a) < urgency(b); });
    std::erase_if(waiting_, [&](InLane* lane) {
        const std::uint64_t bytes = wanted(*lane);
        const bool needless = bytes == 0 || lane->over || lane->discarding;
        if (!needless && !may_grant(*lane, bytes)) return false;
        if (!needless) grant(now, *lane, bytes, mapping);
        lane->waiting = false;
        return true;
    });
}

// A window that was used up within two round trips was too small, as long as memory is free.
void Inbox::tune(Instant now, InLane& lane, const Mapping& mapping) const {
    if (lane.since < lane.window) return;
    const bool fast = now - lane.epoch_began < 2 * mapping.path().smoothed_rtt;
    const bool free = charged_ < limits_.budget / 2 && context_.charged < context_.limit / 2;
    if (fast && free)
        lane.window = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(std::uint64_t{lane.window} * 2, largest_window));
    lane.since = 0;
    lane.epoch_began = now;
}

InLane* Inbox::fullest() {
    // A transport keeps some credit back (mappings/quic/settings.hpp), at most 512 KiB and a 32nd
    // of the budget, which the peer then does not have for anybody.
    const std::uint64_t margin = std::min<std::uint64_t>(576 * 1024, limits_.budget / 16);
    const bool spent = charged_ + overhead_ + margin >= limits_.budget ||
                       context_.charged + context_.overhead >= context_.limit;
    if (!spent || lanes_.empty()) return nullptr;
    return *std::max_element(lanes_.begin(), lanes_.end(), [](const InLane* a, const InLane* b) {
        return std::pair(a->weight(), a->held()) < std::pair(b->weight(), b->held());
    });
}

// Who has no window, because nobody takes what is here, is not to blame for standing still.
bool Inbox::is_full(const InLane& lane) {
    return (lane.minimum > 0 || !lane.asked) && lane.held() >= lane.window / 4;
}

bool Inbox::stuck(InLane& lane, bool grew) const {
    if (limits_.stalled_after <= Duration::zero() || lane.over) return false;
    const bool blameless = grew || is_full(lane) || lane.waiting;
    lane.silent = blameless ? 0 : static_cast<std::uint8_t>(lane.silent + 1);
    return lane.silent >= 4;
}

std::vector<InLane*> Inbox::stalled(Instant now) const {
    std::vector<InLane*> late;
    if (limits_.stalled_after <= Duration::zero()) return late;
    // Who waits for a grant of ours is not to blame.
    for (InLane* lane : lanes_) {
        if (!lane->work || lane->waiting) continue;
        const InWork& work = *lane->work;
        const bool stuck = !work.unfinished.empty() && !is_full(*lane) &&
                           now - work.progressed >= limits_.stalled_after;
        const bool waits = work.successors > 0 &&
                           now - successors_.oldest(lane->carrier) >= limits_.stalled_after;
        if (stuck || waits) late.push_back(lane);
    }
    return late;
}

}  // namespace post::core
