// Messages that travel alone, outside of their Carrier's stream: packed once, and lost or not.
#include "lib/association/outbox.hpp"

namespace post::core {

// The mapping pulls nothing behind it, so it is the last that the lane has in hand. A lane that
// failed meanwhile has none.
void Outbox::packed_alone(OutLane& lane, NicenessClass niceness, Sequence sequence) {
    if (!lane.work || lane.work->in_hand.empty()) return;
    OutWork& work = *lane.work;
    OutWork::Pulled& last = work.in_hand.back();
    if (last.niceness != niceness || last.sequence + last.count - 1 != sequence.value()) return;
    if (--last.count == 0) work.in_hand.pop_back();
    if (work.flying++ == 0) arrange_tail(lane);
    OutClass& queue = *lane.find(niceness);
    if (!queue.has(sequence.value())) return;
    OutEntry& entry = queue.at(sequence.value());
    if (entry.state != OutEntry::State::pulled) return;
    entry.state = OutEntry::State::packed;
    entry.alone = OutEntry::Alone::flying;
    if (entry.rare) on_packed(entry);
    if (!std::exchange(entry.said, true)) report(lane, entry, sequence.value(), Fate::Kind::sent);
}

void Outbox::refused(OutLane& lane, NicenessClass niceness, Sequence sequence, const Error& error) {
    if (!lane.work || lane.work->in_hand.empty()) return;
    OutWork::Pulled& last = lane.work->in_hand.back();
    if (last.niceness != niceness || last.sequence + last.count - 1 != sequence.value()) return;
    if (--last.count == 0) lane.work->in_hand.pop_back();
    OutClass& queue = *lane.find(niceness);
    if (!queue.has(sequence.value())) return;
    OutEntry& entry = queue.at(sequence.value());
    if (entry.state != OutEntry::State::pulled) return;
    entry.state = OutEntry::State::begun;  // so that nobody says that the peer may have it
    settle(lane, queue, sequence.value(), Fate::Kind::failed, &error);
    trim(queue);
    settled_.flush();
    release_if_idle(lane);
    end_doomed();
}

void Outbox::settled_alone(OutLane& lane, const event::SettledAlone& message, Instant patience) {
    if (!lane.work) return;
    OutWork& work = *lane.work;
    if (work.flying > 0 && --work.flying == 0) arrange_tail(lane);
    OutClass* queue = lane.find(message.niceness);
    const std::uint64_t sequence = message.sequence.value();
    OutEntry* entry = queue && queue->has(sequence) ? &queue->at(sequence) : nullptr;
    const bool awaited = entry && entry->state == OutEntry::State::packed &&
                         entry->alone == OutEntry::Alone::flying;
    if (awaited && message.lost) {
        const Error lost(Errc::expired, {}, Stage::established,
                         "it was lost, and is not sent again, or not so late "
                         "(SendOptions::reliable, SendOptions::lifetime, ChannelOptions)");
        lose(lane, *queue, sequence, lost);
    } else if (awaited && peer_.plain) {
        settle(lane, *queue, sequence, Fate::Kind::acked);
        trim(*queue);
    } else if (awaited) {
        entry->alone = OutEntry::Alone::acked;
        if (entry->deadline != never)
            expiries_.erase({entry->deadline, lane.carrier, queue->niceness, sequence, &lane});
        entry->deadline = patience;
        expiries_.insert({patience, lane.carrier, queue->niceness, sequence, &lane});
    }
    settled_.flush();
    release_if_idle(lane);
    end_doomed();
}

// Its number will never be settled by the peer: it shall not wait for it.
void Outbox::lose(OutLane& lane, OutClass& queue, std::uint64_t sequence, const Error& error) {
    queue.at(sequence).alone = OutEntry::Alone::lost;
    settle(lane, queue, sequence, Fate::Kind::expired, &error);
    trim(queue);
    if (peer_.plain) return;
    const bool follows = !gaps_.empty() && gaps_.back().carrier == lane.carrier &&
                         gaps_.back().niceness == queue.niceness &&
                         gaps_.back().first.value() + gaps_.back().count == sequence;
    if (follows)
        ++gaps_.back().count;
    else
        gaps_.push_back({lane.carrier, queue.niceness, Sequence{sequence}, 1});
}

}  // namespace post::core
