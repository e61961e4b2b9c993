// Messages that may leave before the peer is known, as copies.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

namespace {

// Messages of a class that are looked at.
constexpr std::size_t most_seen = 256;

// Fields of HTTP, and nothing that is an order to the peer's library.
bool has_fields_alone(const OutRare& rare) {
    return rare.extras && !rare.feed && rare.before.empty() && rare.in_vain.empty();
}

// Says nothing but what every peer takes, and is whole. Of a plain one it is known what it takes.
bool may_go_early(const OutEntry& entry, bool fields) {
    return entry.idempotent && entry.reliable && entry.pulled == 0 &&
           (!entry.rare || (fields && has_fields_alone(*entry.rare))) &&
           entry.state == OutEntry::State::queued;
}

}  // namespace

std::vector<Outbox::Early> Outbox::find_early(const OutLane& lane, std::size_t messages,
                                              std::uint64_t bytes) const {
    std::vector<Early> found;
    if (!lane.work || lane.blocked) return found;
    const bool fields = peer_.plain && peer_.properties;
    std::vector<const OutClass*> classes;
    for (const auto& queue : lane.work->classes) classes.push_back(queue.get());
    std::sort(classes.begin(), classes.end(), [](const OutClass* left, const OutClass* right) {
        return left->niceness < right->niceness;
    });
    for (const OutClass* queue : classes) {
        bool in_order = true;  // no ordered message has to wait yet
        const std::size_t end = std::min(queue->entries.size(), queue->next + most_seen);
        for (std::size_t i = queue->next; i < end && found.size() < messages; ++i) {
            const OutEntry& entry = queue->entries[i];
            if (entry.state == OutEntry::State::settled) {
                in_order = false;  // its number has to be skipped, in its turn
                continue;
            }
            const bool fits = may_go_early(entry, fields) && entry.content.size() <= bytes &&
                              (in_order || !entry.ordered);
            // Of those the first is the request, and what follows belongs to it.
            if (fields && !fits) return found;
            if (!fits) {
                in_order = in_order && !entry.ordered;
                continue;
            }
            bytes -= entry.content.size();
            found.push_back({queue->niceness, Sequence{queue->first + i}, entry.content.size()});
            if (fields) return found;
        }
    }
    return found;
}

bool Outbox::copy_early(OutLane& lane, NicenessClass niceness, Sequence sequence, Piece& piece) {
    OutClass* const queue = lane.find(niceness);
    if (!queue || !queue->has(sequence.value())) return false;
    OutEntry& entry = queue->at(sequence.value());
    if (!may_go_early(entry, peer_.plain && peer_.properties)) return false;
    entry.early = true;
    piece = Piece{.carrier = lane.carrier,
                  .niceness = niceness,
                  .sequence = sequence,
                  .offset = 0,
                  .total = entry.content.size(),
                  .bytes = entry.content,
                  .marks = {.ordered = !entry.apart,
                            .idempotent = true,
                            .final = entry.final,
                            .ask = sequence.value() + 1 == queue->end(),
                            .text = entry.text}};
    if (entry.rare) piece.extras = extras_for(Instant{}, entry);
    return true;
}

void Outbox::went_early(OutLane& lane, NicenessClass niceness, Sequence sequence) {
    OutClass* const queue = lane.find(niceness);
    if (!queue || !queue->has(sequence.value())) return;
    OutEntry& entry = queue->at(sequence.value());
    if (entry.passed) return;
    entry.early = false;
    const std::uint64_t size = entry.content.size();
    const bool open = entry.state != OutEntry::State::settled;
    if (open) {
        count_queued(lane, *queue, -static_cast<std::int64_t>(size));
        count_unsettled(lane, static_cast<std::int64_t>(size));
    }
    pass(lane, *queue, sequence.value());
    if (open) {
        entry.pulled = size;
        entry.state = OutEntry::State::pulled;
    }
    lane.work->in_hand.push(
        {.niceness = niceness, .last = true, .bytes = size, .sequence = sequence.value()});
    arrange(lane, *queue);
}

void Outbox::not_early(Instant now, OutLane& lane, NicenessClass niceness, Sequence sequence,
                       bool elsewhere) {
    OutClass* const queue = lane.find(niceness);
    if (!queue || !queue->has(sequence.value())) return;
    OutEntry& entry = queue->at(sequence.value());
    if (!std::exchange(entry.early, false) || entry.state != OutEntry::State::queued) return;
    entry.tried |= elsewhere;
    if (elsewhere || entry.deadline == never || entry.deadline > now) return;
    const Error expired(Errc::expired);
    settle(lane, *queue, sequence.value(), Fate::Kind::expired, &expired);
    arrange(lane, *queue);
    settled_.flush();
    end_doomed();
}

bool Outbox::note_copy(OutLane& lane, NicenessClass niceness, Sequence sequence) {
    OutClass* const queue = lane.find(niceness);
    if (!queue || !queue->has(sequence.value())) return false;
    OutEntry& entry = queue->at(sequence.value());
    if (entry.state == OutEntry::State::settled) return false;
    entry.tried = true;
    return true;
}

}  // namespace post::core
