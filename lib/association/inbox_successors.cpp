// What has to come after others: held back, given out when it is free, or dropped.
#include <algorithm>

#include "lib/association/inbox.hpp"

namespace post::core {

// A message is whole: it stands in the queue now, or waits for others.
void Inbox::come(Instant now, InLane& lane, InMessage message, const Antecedent& name,
                 const Marks& marks, After* after) {
    const bool early = after && (after->failed || !after->missing.empty());
    const bool behind = marks.ordered && lane.work->successors > 0 && successors_.in_line(name);
    if (!early && !behind) {
        finish(now, lane, std::move(message), name, marks);
        return give_out_free(now);
    }
    Successors::Waiting waiting = waiting_for(now, lane, marks, early ? *after : After{});
    lane.work->waiting += message.size();
    waiting.message = std::move(message);
    waiting.whole = true;
    hold_back(now, lane, name, std::move(waiting));
}

Successors::Waiting Inbox::waiting_for(Instant now, InLane& lane, const Marks& marks,
                                       After after) const {
    Successors::Waiting waiting;
    waiting.lane = &lane;
    waiting.since = now;
    waiting.deadline = after.deadline;
    waiting.marks = marks;
    waiting.overhead = Successors::weight(after.missing.size());
    waiting.missing = std::move(after.missing);
    waiting.failed = after.failed;
    return waiting;
}

void Inbox::hold_back(Instant now, InLane& lane, const Antecedent& name,
                      Successors::Waiting waiting) {
    ++lane.work->successors;
    lane.final |= waiting.marks.final;
    weigh(lane, static_cast<std::int64_t>(waiting.overhead));
    successors_.add(name, std::move(waiting));
    give_out_free(now);
}

// What waits no longer is given out, or dropped, and with it what waited for that.
void Inbox::give_out_free(Instant now) {
    if (successors_.empty()) return;
    // Of one that failed, and is not whole, nothing is kept: its Carrier needs the window.
    while (const auto name = successors_.poll_failed()) {
        InLane& lane = *successors_.find(*name)->lane;
        const auto begun = find(*lane.work, name->niceness, name->sequence);
        const std::uint64_t size = begun->message.size();
        lane.work->assembling -= size;
        begun->message = InMessage({}, begun->message.niceness(), begun->sequence);
        begun->tail = {};
        release(lane, size);
    }
    while (auto free = successors_.poll()) {
        InLane& lane = *free->message.lane;
        let_go(lane, free->message);
        if (!free->message.whole) {
            Assembly& begun = *find(*lane.work, free->name.niceness, free->name.sequence);
            begun.waits = false;
            if (lane.minimum > 0 && may_part(begun, lane)) readable(lane);
            continue;
        }
        if (!free->message.failed) {
            finish(now, lane, std::move(free->message.message), free->name, free->message.marks);
            continue;
        }
        release(lane, free->message.message.size());
        drop(lane, free->name);
        lane.work->unreported += report_messages;
        report_later(now, lane);
        settle(free->name, 1, false);
        wake_for_part(lane);
        if (!lane.done()) continue;
        done_.push_back(lane.carrier);
        lane.told = false;
        readable(lane);
    }
}

// So many may be dropped that nobody can be told of one: then it counts as taken.
void Inbox::drop(InLane& lane, const Antecedent& name) {
    Receipts& known = receipts(lane, name.niceness);
    if (!known.drop(name.sequence)) known.add(name.sequence);
}

void Inbox::let_go(InLane& lane, const Successors::Waiting& waiting) {
    --lane.work->successors;
    lane.work->waiting -= waiting.message.size();
    weigh(lane, -static_cast<std::int64_t>(waiting.overhead));
}

void Inbox::settle(const Antecedent& first, std::uint64_t count, bool good) {
    if (!good) outcomes_.failed(first, count);
    if (!successors_.empty()) successors_.settle(first, count, good);
}

std::optional<bool> Inbox::settled(const InLane& lane, const Antecedent& name) const {
    if (outcomes_.has_failed(name)) return false;
    if (lane.has(name)) return true;
    const bool waits = lane.work && lane.work->successors > 0 && successors_.contains(name);
    if (!lane.over || waits) return std::nullopt;
    return !lane.end();
}

// What waits for others, of a lane from which nothing is taken any more.
void Inbox::drop_successors(InLane& lane, Instant now) {
    if (!lane.work || lane.work->successors == 0) return;
    for (Successors::Free& free : successors_.take_all(lane.carrier)) {
        let_go(lane, free.message);
        release(lane, free.message.message.size());
        if (!free.message.whole) continue;
        drop(lane, free.name);
        report_later(now, lane);
        settle(free.name, 1, false);
    }
}

}  // namespace post::core
