// The short way through the outbox: plain messages in line, which most are. Nothing is looked up,
// ordered or hurried for them, and what becomes of a run of them is counted once.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

// Behind others in line it changes nobody's place in the schedule.
Sequence Outbox::push_plain(OutLane& lane, OutClass& queue, Bytes content, const Terms& terms) {
    const bool first = queue.next == queue.entries.size();
    const std::uint64_t sequence = queue.end();
    count_queued(lane, queue, static_cast<std::int64_t>(content.size()));
    OutEntry& entry = queue.entries.emplace();
    entry.content = std::move(content);
    entry.niceness = terms.options.niceness;
    entry.on_fate = terms.on_fate;
    entry.idempotent = terms.options.idempotent;
    count_message(lane);
    if (first) arrange(lane, queue);
    return Sequence{sequence};
}

// The first in line as one piece. False: it is not that simple.
bool Outbox::pull_plain(OutLane& lane, OutClass& queue, std::uint64_t chunk, Piece& piece) {
    OutEntry& entry = queue.entries[queue.next];
    const std::uint64_t size = entry.content.size();
    if (entry.rare || entry.state != OutEntry::State::queued || size > chunk) return false;
    OutWork& work = *lane.work;
    const std::uint64_t sequence = queue.first + queue.next;
    piece.carrier = lane.carrier;
    piece.niceness = queue.niceness;
    piece.sequence = Sequence{sequence};
    piece.offset = 0;
    piece.total = size;
    piece.bytes = size < small_content ? Bytes::lent(entry.content.data(), size) : entry.content;
    piece.marks = Marks{.idempotent = entry.idempotent, .final = entry.final};
    if (piece.extras) piece.extras = {};
    count_queued(lane, queue, -static_cast<std::int64_t>(size));
    count_unsettled(lane, static_cast<std::int64_t>(size));
    schedule_.served(size + 1);
    entry.pulled = size;
    entry.state = OutEntry::State::pulled;
    entry.passed = true;
    ++queue.next;
    queue.skip_passed();
    if (--work.waiting == 0) arrange_tail(lane);
    piece.marks.ask = lane.queued == 0 && work.waiting == 0;
    work.hand_over(queue.niceness, sequence);
    const bool goes_on = queue.next < queue.entries.size() && !queue.entries[queue.next].rare;
    if (!goes_on) arrange(lane, queue);
    return true;
}

void Outbox::on_packed(OutLane& lane, const OutWork::Pulled& pulled) {
    OutClass& queue = *lane.find(pulled.niceness);
    const std::uint64_t end = pulled.sequence + pulled.count;
    // What is before the first was settled before we heard that it was packed.
    for (std::uint64_t at = std::max(pulled.sequence, queue.first); at < end; ++at) {
        OutEntry& entry = queue.at(at);
        if (entry.state != OutEntry::State::pulled) continue;
        entry.state = OutEntry::State::packed;
        if (entry.rare)
            on_packed(entry);
        else
            ++packed_messages_;
        report(lane, entry, at, Fate::Kind::sent);
    }
}

// Acknowledged: those at the front that come before `end`, up to the first that is not plain.
void Outbox::settle_plain(OutLane& lane, OutClass& queue, std::uint64_t end) {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    while (queue.first < end && !queue.entries.empty()) {
        OutEntry& entry = queue.entries.front();
        const bool plain = entry.state == OutEntry::State::packed && !entry.rare &&
                           entry.deadline == never && entry.alone == OutEntry::Alone::no;
        if (!plain) break;
        report(lane, entry, queue.first, Fate::Kind::acked);
        bytes += entry.pulled - entry.delivered;
        settled_.add(std::move(entry.content));
        queue.entries.pop();
        ++queue.first;
        ++messages;
    }
    if (messages == 0) return;
    queue.next -= messages;  // they have passed, so they stood before it
    count_unsettled(lane, -static_cast<std::int64_t>(bytes));
    count_fates(lane, messages);
    packed_messages_ -= messages;
}

}  // namespace post::core
