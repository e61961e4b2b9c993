// Messages whose content is made while they are sent: asked for a little ahead of what is packed,
// and kept until the peer has it.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

Bytes Outbox::pull_fed(Feed& feed, std::uint64_t size) {
    const Bytes& part = feed.parts[feed.next];
    Bytes bytes = part.slice(feed.within, size);
    feed.within += size;
    if (feed.within == part.size()) {
        ++feed.next;
        feed.within = 0;
    }
    return bytes;
}

void Outbox::ask(OutLane& lane, OutClass& queue, std::uint64_t sequence) {
    const OutEntry& entry = queue.at(sequence);
    Feed& feed = *entry.feed();
    if (feed.asked || feed.fed == feed.total || feed.fed - entry.pulled >= made_ahead) return;
    feed.asked = true;
    const std::uint64_t most = std::min(meal, feed.total - feed.fed);
    events_.push_back(happened::Wanted{lane.tag,
                                       MessageId{lane.carrier, entry.niceness, Sequence{sequence}},
                                       entry.on_fate, feed.fed, most});
}

void Outbox::feed(OutLane& lane, NicenessClass niceness, Sequence sequence, Bytes bytes) {
    OutClass* queue = lane.find(niceness);
    if (!queue || !queue->has(sequence.value())) return;
    OutEntry& entry = queue->at(sequence.value());
    Feed* const feed = entry.feed();
    if (!feed || entry.state == OutEntry::State::settled) return;
    feed->asked = false;
    bytes = bytes.slice(0, feed->total - feed->fed);
    count_out(*queue, sequence.value());
    // What was counted when it was sent is counted once.
    const std::uint64_t counted = std::min<std::uint64_t>(feed->counted, bytes.size());
    feed->counted -= counted;
    count_queued(lane, *queue, static_cast<std::int64_t>(bytes.size() - counted));
    feed->fed += bytes.size();
    if (!bytes.empty()) feed->parts.push(std::move(bytes));
    count_in(*queue, sequence.value());
    ask(lane, *queue, sequence.value());
    arrange(lane, *queue);
}

bool Outbox::give_up(OutLane& lane, NicenessClass niceness, Sequence sequence, const Error& error) {
    OutClass* queue = lane.find(niceness);
    if (!queue || !queue->has(sequence.value())) return true;
    OutEntry& entry = queue->at(sequence.value());
    if (!entry.feed() || entry.passed || entry.state == OutEntry::State::settled) return true;
    if (peer_.plain && entry.state == OutEntry::State::begun) return false;
    settle(lane, *queue, sequence.value(), Fate::Kind::failed, &error);
    arrange(lane, *queue);
    settled_.flush();
    end_doomed();
    return true;
}

// The peer has these: they need not be kept for it any more.
void Outbox::release_fed(const OutEntry& entry) {
    Feed& feed = *entry.feed();
    while (feed.next > 0 && feed.released + feed.parts.front().size() <= entry.delivered) {
        feed.released += feed.parts.front().size();
        feed.parts.pop();
        --feed.next;
    }
    events_.push_back(happened::Furthered{entry.on_fate, entry.delivered});
}

}  // namespace post::core
