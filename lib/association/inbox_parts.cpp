// Messages that are taken in parts, whole or not.
#include <algorithm>

#include "lib/association/inbox.hpp"

namespace post::core {

// Of those that are not whole the most urgent one goes first; what waits for others does not go.
bool Inbox::may_part(const Assembly& one, const InLane& lane) const {
    const std::uint64_t left = one.total - one.message.offset();
    const std::uint64_t enough = std::min<std::uint64_t>(lane.minimum, left);
    if (one.message.size() == 0 || one.message.size() < enough || one.waits) return false;
    return !(one.marks.ordered && lane.work->successors > 0 &&
             successors_.in_line(one.name(lane.carrier)));
}

// What stood before a message is gone, so that a part of that may be taken now.
void Inbox::wake_for_part(InLane& lane) {
    if (lane.minimum == 0 || !lane.work) return;
    for (const Assembly& one : lane.work->unfinished)
        if (may_part(one, lane)) return readable(lane);
}

std::optional<InMessage> Inbox::take_part(InLane& lane, std::uint64_t minimum,
                                          std::uint64_t maximum) {
    lane.minimum = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(minimum, 1, most_minimum));
    lane.asked = true;
    if (lane.work && !lane.work->unfinished.empty()) touch(lane);
    if (!lane.empty()) {
        InMessage& front = lane.work->whole.front();
        if (front.size() <= maximum) return take(lane);
        const std::uint64_t before = overhead_of(front);
        InMessage part = front.take_front(maximum, front.total());
        weigh(lane, static_cast<std::int64_t>(overhead_of(front) - before));
        lane.work->untaken -= part.size();
        finished_ -= part.size();
        release(lane, part.size());
        return part;
    }
    Assembly* next = nullptr;
    if (lane.work)
        for (Assembly& one : lane.work->unfinished)
            if (may_part(one, lane) && (!next || one.niceness < next->niceness)) next = &one;
    if (!next) {
        lane.told = false;
        return std::nullopt;
    }
    const std::uint64_t size = std::min<std::uint64_t>(next->message.size(), maximum);
    InMessage part = next->message.take_front(size, next->total);
    lane.work->assembling -= size;
    release(lane, size);
    return part;
}

}  // namespace post::core
