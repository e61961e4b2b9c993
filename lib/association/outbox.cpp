// The outbox's queues and schedule. A lane stands in the ring of each (priority, class) in which it
// has something to send; blocked lanes fall out when their turn comes and are put back by unblock.
#include "lib/association/outbox.hpp"

#include <algorithm>
#include <cassert>

namespace post::core {

namespace {

// Bytes after which a lane lets its equals have a turn: about one packet, so that equal lanes share
// within a packet and a lane of small messages is not looked up for each of them.
constexpr std::uint64_t quantum = 1200;

// Classes with more room than this give it back when their lane rests.
constexpr std::size_t most_kept_entries = 256;

OutClass* find_class(const OutLane& lane, NicenessClass niceness) {
    if (!lane.work) return nullptr;
    for (OutClass& queue : lane.work->classes)
        if (queue.niceness == niceness) return &queue;
    return nullptr;
}

bool waits(const OutClass& queue) { return queue.next < queue.entries.size(); }

bool tail_due(const OutLane& lane) {
    return (lane.finish_wanted && !lane.finish_pulled) || lane.announce;
}

// Drops settled messages from the front; what is behind an unsettled one waits for it.
void trim(OutClass& queue) {
    while (queue.next > 0 && queue.entries.front().state == OutEntry::State::settled) {
        queue.entries.pop();
        ++queue.first;
        --queue.next;
    }
}

MessageId id_of(const OutLane& lane, const OutEntry& entry, std::uint64_t sequence) {
    return {lane.carrier, entry.niceness, Sequence{sequence}};
}

}  // namespace

bool Outbox::writable(const OutLane& lane) const {
    return !lane.finish_wanted && lane.queued < limits_.carrier_budget &&
           queued_bytes_ < limits_.budget;
}

Sequence Outbox::push(OutLane& lane, Bytes content, const SendOptions& options, Instant deadline,
                      FateToken on_fate) {
    const NicenessClass niceness = class_of(options.niceness);
    OutClass* queue = &class_for(lane, niceness);
    const std::uint64_t sequence = queue->first + queue->entries.size();
    lane.queued += content.size();
    queued_bytes_ += content.size();
    OutEntry& entry = queue->entries.emplace();
    entry.content = std::move(content);
    entry.niceness = options.niceness;
    entry.deadline = deadline;
    entry.on_fate = on_fate;
    entry.idempotent = options.idempotent;
    entry.final = options.final;
    ++lane.unsettled;
    ++unsettled_messages_;
    ++outstanding_;
    if (deadline != never) expiries_.insert({deadline, lane.carrier, niceness, sequence, &lane});
    if (options.final) lane.finish_wanted = true;
    if (!queue->scheduled) schedule(lane);
    return Sequence{sequence};
}

void Outbox::finish(OutLane& lane) {
    lane.finish_wanted = true;
    schedule(lane);
}

void Outbox::fail(OutLane& lane, const Error& error) {
    leave(lane);
    lane.finish_wanted = lane.finish_pulled = true;
    if (!lane.work) return;
    for (OutClass& queue : lane.work->classes) {
        for (std::size_t i = 0; i < queue.entries.size(); ++i) {
            OutEntry& entry = queue.entries[i];
            if (entry.state != OutEntry::State::settled)
                settle(lane, entry, id_of(lane, entry, queue.first + i), Fate::Kind::failed,
                       &error);
        }
        queue.first += queue.entries.size();
        queue.entries.clear();
        queue.next = 0;
    }
    settled_.flush();
    lane.work->in_hand.clear();
    lane.work->awaiting.clear();
    release_if_idle(lane);
}

void Outbox::remove(OutLane& lane) {
    assert(lane.unsettled == 0);
    leave(lane);
    if (!starved_.empty()) std::erase(starved_, &lane);
    if (!lane.work) return;
    lane.work->classes.clear();
    lane.work->in_hand.clear();
    works_.give(std::move(lane.work));
}

OutClass& Outbox::class_for(OutLane& lane, NicenessClass niceness) {
    if (!lane.work) {
        lane.work = works_.take();
        if (!lane.work->classes.empty()) lane.work->classes.front().first = lane.sequence;
    }
    if (OutClass* found = find_class(lane, niceness)) return *found;
    OutClass& made = lane.work->classes.emplace_back();
    made.niceness = niceness;
    if (niceness == NicenessClass{}) made.first = lane.sequence;
    return made;
}

// Of a lane at rest only the next sequence number is kept, and that of class 0 alone: a lane that
// used others keeps what knows them.
void Outbox::release_if_idle(OutLane& lane) {
    if (lane.unsettled > 0 || !lane.work) return;
    OutWork& work = *lane.work;
    if (!work.in_hand.empty() || !work.awaiting.empty() || work.classes.size() != 1) return;
    OutClass& only = work.classes.front();
    if (only.niceness != NicenessClass{} || !only.entries.empty() || only.scheduled) return;
    lane.sequence = only.first;
    if (only.entries.capacity() > most_kept_entries) work.classes.clear();
    works_.give(std::move(lane.work));
}

// Schedule.

void Outbox::enter(const Key& key, OutLane& lane) { ready_[key].push(&lane); }

void Outbox::schedule(OutLane& lane) {
    if (lane.blocked) return;
    bool idle = true;
    if (lane.work) {
        for (OutClass& queue : lane.work->classes) {
            if (!waits(queue)) continue;
            idle = false;
            if (queue.scheduled) continue;
            queue.scheduled = true;
            enter({lane.priority, queue.niceness.value()}, lane);
        }
    }
    if (idle && tail_due(lane) && !lane.tail_scheduled) {
        lane.tail_scheduled = true;
        enter({lane.priority, tail}, lane);
    }
}

// Takes the lane out of every ring, whatever its turn.
void Outbox::leave(OutLane& lane) {
    bool scheduled = lane.tail_scheduled;
    if (lane.work)
        for (OutClass& queue : lane.work->classes)
            scheduled |= std::exchange(queue.scheduled, false);
    lane.tail_scheduled = false;
    if (!scheduled) return;
    for (auto& [key, ring] : ready_) {
        if (key.priority != lane.priority) continue;
        for (std::size_t left = ring.size(); left > 0; --left) {
            OutLane* front = ring.front();
            ring.pop();
            if (front != &lane) ring.push(front);
        }
    }
    current_ = ready_.end();
}

void Outbox::clear_schedule() {
    for (auto& [key, ring] : ready_)
        for (std::size_t i = 0; i < ring.size(); ++i) {
            ring[i]->tail_scheduled = false;
            if (!ring[i]->work) continue;
            for (OutClass& queue : ring[i]->work->classes) queue.scheduled = false;
        }
    ready_.clear();
    current_ = ready_.end();
}

void Outbox::block(OutLane& lane) { lane.blocked = true; }

void Outbox::unblock(OutLane& lane) {
    lane.blocked = false;
    schedule(lane);
}

OutLane* Outbox::turn() {
    if (unsettled_bytes_ >= limits_.unsettled) return nullptr;
    for (auto at = ready_.begin(); at != ready_.end();) {
        Ring<OutLane*>& ring = at->second;
        while (!ring.empty()) {
            OutLane& lane = *ring.front();
            OutClass* queue = at->first.niceness == tail
                                  ? nullptr
                                  : find_class(lane, NicenessClass{at->first.niceness});
            if (!lane.blocked && (queue ? waits(*queue) : tail_due(lane))) {
                if (served_ >= quantum && ring.size() > 1) {
                    served_ = 0;
                    ring.pop();
                    ring.push(&lane);
                    continue;
                }
                current_ = at;
                return &lane;
            }
            (queue ? queue->scheduled : lane.tail_scheduled) = false;
            ring.pop();
            served_ = 0;
            if (!lane.blocked) schedule(lane);  // perhaps its tail
        }
        // Empty rings are kept for their next use, unless the application uses very many
        // priorities.
        at = ready_.size() > 64 ? ready_.erase(at) : std::next(at);
    }
    current_ = ready_.end();
    return nullptr;
}

void Outbox::next(std::uint64_t chunk, Outgoing& out) {
    OutLane& lane = *current_->second.front();
    if (current_->first.niceness == tail) {
        lane.tail_scheduled = false;
        current_->second.pop();
        served_ = 0;
        out = Finish{lane.carrier};
        lane.finish_pulled = true;
        return;
    }
    OutClass& queue = *find_class(lane, NicenessClass{current_->first.niceness});
    if (!pass_settled(lane, queue, out)) next_of_class(lane, queue, chunk, out);
    if (waits(queue)) return;
    // Out of the schedule at once, so that a Carrier that ends now need not be looked for there.
    queue.scheduled = false;
    current_->second.pop();
    served_ = 0;
    if (lane.finish_wanted) schedule(lane);
    release_if_idle(lane);
}

// Messages that ended while they were queued are announced as never to come. True: `out` is set.
bool Outbox::pass_settled(OutLane& lane, OutClass& queue, Outgoing& out) {
    OutEntry& entry = queue.entries[queue.next];
    if (entry.state != OutEntry::State::settled) return false;
    const Sequence first{queue.first + queue.next};
    if (entry.pulled > 0) {
        ++queue.next;
        out = Abandon{lane.carrier, queue.niceness, first};
    } else {
        std::uint64_t count = 0;
        while (waits(queue) && queue.entries[queue.next].state == OutEntry::State::settled &&
               queue.entries[queue.next].pulled == 0) {
            ++count;
            ++queue.next;
        }
        out = Skip{lane.carrier, queue.niceness, first, count};
    }
    trim(queue);
    return true;
}

void Outbox::next_of_class(OutLane& lane, OutClass& queue, std::uint64_t chunk, Outgoing& out) {
    OutEntry& entry = queue.entries[queue.next];
    const std::uint64_t total = entry.content.size();
    const std::uint64_t size = std::min(chunk, total - entry.pulled);
    if (!std::holds_alternative<Piece>(out)) out.emplace<Piece>();
    Piece& piece = std::get<Piece>(out);
    piece.carrier = lane.carrier;
    piece.niceness = queue.niceness;
    piece.sequence = Sequence{queue.first + queue.next};
    piece.offset = entry.pulled;
    piece.total = total;
    piece.bytes = size < small_content ? Bytes::lent(entry.content.data() + entry.pulled, size)
                                       : entry.content.slice(entry.pulled, size);
    piece.marks = Marks{.idempotent = entry.idempotent, .final = entry.final};
    entry.pulled += size;
    lane.queued -= size;
    queued_bytes_ -= size;
    unsettled_bytes_ += size;
    served_ += size + 1;
    const bool last = entry.pulled == total;
    entry.state = last ? OutEntry::State::pulled : OutEntry::State::begun;
    piece.marks.ask = last && lane.queued == 0;
    lane.work->in_hand.push(
        {queue.niceness, last, static_cast<std::uint32_t>(size), piece.sequence.value()});
    if (last) ++queue.next;
}

// What became of what was pulled.

void Outbox::packed(OutLane& lane, std::uint64_t pieces) {
    if (!lane.work) return;
    OutWork& work = *lane.work;
    for (; pieces > 0 && !work.in_hand.empty(); --pieces) {
        const OutWork::Pulled pulled = work.in_hand.front();
        work.in_hand.pop();
        if (plain_) work.awaiting.push(pulled);
        if (!pulled.last) continue;
        OutClass& queue = *find_class(lane, pulled.niceness);
        if (pulled.sequence < queue.first) continue;  // settled before we heard that it was packed
        OutEntry& entry = queue.entries[pulled.sequence - queue.first];
        if (entry.state != OutEntry::State::pulled) continue;
        entry.state = OutEntry::State::packed;
        ++packed_messages_;
        report(lane, entry, id_of(lane, entry, pulled.sequence), Fate::Kind::sent, nullptr, false);
    }
    release_if_idle(lane);
}

bool Outbox::handle_delivered(OutLane& lane, const Delivered& delivered) {
    // Said of a class 0 at rest, it is old news: what knows it is there for as long as it takes.
    if (delivered.niceness == NicenessClass{}) class_for(lane, delivered.niceness);
    OutClass* queue = find_class(lane, delivered.niceness);
    if (!queue) return false;
    const std::uint64_t end = queue->first + queue->next;  // all before it were wholly pulled
    const auto known = [&](Sequence first, std::uint64_t count) {
        return first.value() <= end && count <= end - first.value();
    };
    if (!known(delivered.watermark, 0)) return false;
    const auto acked = [&](std::uint64_t sequence) {
        OutEntry& entry = queue->entries[sequence - queue->first];
        if (entry.state != OutEntry::State::settled)
            settle(lane, entry, id_of(lane, entry, sequence), Fate::Kind::acked);
    };
    for (std::uint64_t at = queue->first; at < delivered.watermark.value(); ++at) acked(at);
    for (const Delivered::Range& range : delivered.ranges) {
        if (!known(range.first, range.count)) return false;
        const std::uint64_t from = std::max(range.first.value(), queue->first);
        for (std::uint64_t at = from; at < range.first.value() + range.count; ++at) acked(at);
    }
    if (delivered.partial && delivered.partial->value() >= queue->first) {
        const std::uint64_t at = delivered.partial->value() - queue->first;
        if (at >= queue->entries.size()) return false;
        OutEntry& entry = queue->entries[at];
        if (delivered.progress > entry.pulled && entry.state != OutEntry::State::settled)
            return false;
        if (entry.state != OutEntry::State::settled && delivered.progress > entry.delivered) {
            unsettled_bytes_ -= delivered.progress - entry.delivered;
            entry.delivered = delivered.progress;
        }
    }
    trim(*queue);
    settled_.flush();
    release_if_idle(lane);
    return true;
}

void Outbox::handle_acked(OutLane& lane, std::uint64_t pieces) {
    if (!lane.work) return;
    OutWork& work = *lane.work;
    for (; pieces > 0 && !work.awaiting.empty(); --pieces) {
        const OutWork::Pulled pulled = work.awaiting.front();
        work.awaiting.pop();
        OutClass& queue = *find_class(lane, pulled.niceness);
        if (pulled.sequence < queue.first) continue;
        OutEntry& entry = queue.entries[pulled.sequence - queue.first];
        if (entry.state == OutEntry::State::settled) continue;
        entry.delivered += pulled.bytes;
        unsettled_bytes_ -= pulled.bytes;
        if (pulled.last)
            settle(lane, entry, id_of(lane, entry, pulled.sequence), Fate::Kind::acked);
        trim(queue);
    }
    settled_.flush();
    release_if_idle(lane);
}

void Outbox::settle(OutLane& lane, OutEntry& entry, MessageId id, Fate::Kind kind,
                    const Error* error) {
    const std::uint64_t unpulled = entry.content.size() - entry.pulled;
    lane.queued -= unpulled;
    queued_bytes_ -= unpulled;
    unsettled_bytes_ -= entry.pulled - entry.delivered;
    entry.delivered = entry.pulled;
    --lane.unsettled;
    --unsettled_messages_;
    --outstanding_;
    if (entry.deadline != never)
        expiries_.erase(
            {entry.deadline, lane.carrier, class_of(id.niceness), id.sequence.value(), &lane});
    if (entry.state == OutEntry::State::packed) --packed_messages_;
    const bool maybe = entry.state >= OutEntry::State::pulled;
    entry.state = OutEntry::State::settled;
    report(lane, entry, id, kind, error, maybe);
    settled_.add(std::move(entry.content));
}

void Outbox::report(OutLane& lane, OutEntry& entry, MessageId id, Fate::Kind kind,
                    const Error* error, bool maybe_delivered) {
    if (entry.on_fate == no_fate && !lane.fates) return;
    Fate fate{kind, id, error ? *error : Error{}, kind == Fate::Kind::failed && maybe_delivered};
    events_.push_back(happened::Progress{lane.tag, std::move(fate), entry.on_fate});
}

// Time.

Instant Outbox::deadline() const { return expiries_.empty() ? never : expiries_.begin()->at; }

void Outbox::handle_timeout(Instant now) {
    while (!expiries_.empty() && expiries_.begin()->at <= now) {
        const Expiry expiry = *expiries_.begin();
        expiries_.erase(expiries_.begin());
        OutClass& queue = *find_class(*expiry.lane, expiry.niceness);
        OutEntry& entry = queue.entries[expiry.sequence - queue.first];
        entry.deadline = never;
        if (entry.state > OutEntry::State::begun)
            continue;  // its last byte is pulled: acked or failed
        if (plain_ && entry.state == OutEntry::State::begun) continue;
        const Error expired(Errc::expired);
        settle(*expiry.lane, entry, id_of(*expiry.lane, entry, expiry.sequence),
               Fate::Kind::expired, &expired);
    }
    settled_.flush();
}

void Outbox::wake_starved() {
    std::erase_if(starved_, [&](OutLane* lane) {
        if (!writable(*lane) && !lane->finish_wanted) return false;
        events_.push_back(happened::Writable{lane->tag});
        return true;
    });
}

void Outbox::starve(OutLane& lane) {
    if (std::find(starved_.begin(), starved_.end(), &lane) == starved_.end())
        starved_.push_back(&lane);
}

}  // namespace post::core
