// The short way through the outbox: plain messages in line, which most are. Nothing is looked up,
// ordered or hurried for them, and what becomes of a run of them is counted once.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

namespace {

// A message was last touched when it was sent, or a round trip ago, and much has been since: what
// comes a few messages on is fetched meanwhile.
constexpr std::size_t fetched_ahead = 8;

void fetch(const void* memory) { __builtin_prefetch(memory); }

}  // namespace

Sequence Outbox::push_plain(OutLane& lane, Bytes&& content, const SendOptions& options,
                            FateToken on_fate) {
    OutClass& queue = class_for(lane, class_of(options.niceness));
    const bool first = queue.next == queue.entries.size();
    const std::uint64_t sequence = queue.end();
    count_queued(lane, queue, static_cast<std::int64_t>(content.size()));
    OutEntry& entry = queue.entries.emplace();
    entry.content = std::move(content);
    entry.niceness = options.niceness;
    entry.on_fate = on_fate;
    entry.idempotent = options.idempotent;
    count_message(lane);
    // Behind others it changes nobody's place in the schedule.
    if (first) arrange(lane, queue);
    return Sequence{sequence};
}

// The first in line as one piece. False: it is not that simple.
bool Outbox::pull_plain(OutLane& lane, OutClass& queue, std::uint64_t chunk, Piece& piece) {
    OutEntry& entry = queue.entries[queue.next];
    const std::uint64_t size = entry.content.size();
    if (!entry.plain() || size > chunk) return false;
    OutWork& work = *lane.work;
    const std::uint64_t sequence = queue.first + queue.next;
    piece.carrier = lane.carrier;
    piece.niceness = queue.niceness;
    piece.sequence = Sequence{sequence};
    piece.offset = 0;
    piece.total = size;
    piece.bytes = size < small_content ? Bytes::lent(entry.content.data(), size) : entry.content;
    piece.marks = Marks{.idempotent = entry.idempotent};
    if (piece.extras) piece.extras = {};
    count_queued(lane, queue, -static_cast<std::int64_t>(size));
    count_unsettled(lane, static_cast<std::int64_t>(size));
    schedule_.served(size + 1);
    entry.leave();
    ++queue.next;
    if (--work.waiting == 0) arrange_tail(lane);
    piece.marks.ask = work.queued == 0 && work.waiting == 0;
    work.hand_over(queue.niceness, sequence);
    go_on(lane, queue);
    return true;
}

// The first in line has left. Another plain one takes its place; all else is looked at.
void Outbox::go_on(OutLane& lane, OutClass& queue) {
    queue.skip_passed();
    const bool plain = queue.next < queue.entries.size() && !queue.entries[queue.next].rare;
    if (!plain) arrange(lane, queue);
}

// Nobody else is as urgent, so that none would have its turn meanwhile. The last message is left to
// next(): it asks for an answer.
Supply::Run Outbox::more(std::uint64_t room, std::uint64_t largest) {
    if (!schedule_.alone(turn_) || !turn_->queue) return {};
    OutLane& lane = *turn_->lane;
    OutClass& queue = *turn_->queue;
    OutWork& work = *lane.work;
    OutWork::Pulled* const before = work.in_hand.empty() ? nullptr : &work.in_hand.back();
    const bool follows = before && before->plain && before->niceness == queue.niceness &&
                         before->sequence + before->count == queue.first + queue.next;
    if (!follows || !queue.plain_line()) return {};
    run_.clear();
    std::uint64_t bytes = 0;
    const std::uint64_t left = limits_.unsettled - std::min(limits_.unsettled, unsettled_bytes_);
    while (bytes + run_.size() < room && bytes < left && run_.size() + 1 < work.waiting &&
           queue.next < queue.entries.size()) {
        OutEntry& entry = queue.entries[queue.next];
        const std::uint64_t size = entry.content.size();
        if (!entry.plain() || entry.idempotent || size > largest) break;
        fetch(&queue.entries[queue.next + fetched_ahead]);
        fetch(entry.content.data());
        run_.push_back(entry.content.span());
        bytes += size;
        entry.leave();
        ++queue.next;
    }
    if (run_.empty()) return {};
    work.waiting -= run_.size();
    before->count += static_cast<std::uint32_t>(run_.size());
    count_queued(lane, queue, -static_cast<std::int64_t>(bytes));
    count_unsettled(lane, static_cast<std::int64_t>(bytes));
    schedule_.served(bytes + run_.size());
    go_on(lane, queue);
    return run_;
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
        if (!std::exchange(entry.said, true)) report(lane, entry, at, Fate::Kind::sent);
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
        fetch(&queue.entries[fetched_ahead]);
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
