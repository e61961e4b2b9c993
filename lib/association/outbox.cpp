// The outbox's queues, what is pulled from them, and the fates.
#include "lib/association/outbox.hpp"

#include <algorithm>
#include <cassert>

namespace post::core {

namespace {

// Classes with more room than this give it back when their lane rests.
constexpr std::size_t most_kept_entries = 256;

MessageId id_of(const OutLane& lane, const OutEntry& entry, std::uint64_t sequence) {
    return {lane.carrier, entry.niceness, Sequence{sequence}};
}

}  // namespace

bool Outbox::writable(const OutLane& lane, NicenessClass niceness) const {
    if (lane.finish_wanted) return false;
    if (lane.queued() < limits_.carrier_budget && queued_bytes_ < limits_.budget - reserve())
        return true;
    std::uint64_t of_lane = 0;
    if (lane.work)
        for (const auto& queue : lane.work->classes)
            if (queue->niceness <= niceness) of_lane += queue->queued;
    std::uint64_t of_all = 0;
    for (std::size_t i = 0; i <= niceness.value(); ++i) of_all += queued_of_class_[i];
    if (of_all >= limits_.budget) return of_lane == 0;
    return of_lane < (of_all < limits_.budget - reserve() ? limits_.carrier_budget : share());
}

Sequence Outbox::push_rare(OutLane& lane, Bytes&& content, const Terms& terms) {
    const SendOptions& options = terms.options;
    const NicenessClass niceness = class_of(options.niceness);
    OutClass& queue = class_for(lane, niceness);
    const std::uint64_t sequence = queue.end();
    count_queued(lane, queue, static_cast<std::int64_t>(content.size()));
    OutEntry& entry = queue.entries.emplace();
    entry.content = std::move(content);
    entry.niceness = options.niceness;
    entry.deadline = terms.deadline;
    entry.on_fate = terms.on_fate;
    entry.ordered = options.ordered;
    entry.idempotent = options.idempotent;
    entry.final = options.final;
    // One that ends the direction has its place in the stream.
    entry.reliable = options.reliable || options.final;
    entry.text = options.text;
    // Above 63 the class does not tell how nice a message is; the order of sending still does.
    entry.apart = !options.ordered || options.niceness.value() >= niceness_classes;
    if (terms.extras || terms.fed > 0) {
        entry.rare = std::make_unique<OutRare>();
        entry.rare->extras = terms.extras;
    }
    if (terms.fed > 0) {
        entry.rare->feed = std::make_unique<Feed>();
        entry.rare->feed->total = terms.fed;
        entry.rare->feed->counted = std::min(terms.fed, made_ahead);
        count_queued(lane, queue, static_cast<std::int64_t>(entry.rare->feed->counted));
        ask(lane, queue, sequence);
    }
    count_message(lane);
    if (terms.deadline != never)
        expiries_.insert({terms.deadline, lane.carrier, niceness, sequence, &lane});
    queue.skip_passed();
    if (entry.apart && entry.ordered) line_up(queue, sequence);
    count_in(queue, sequence);
    if (!terms.before.empty()) bind({lane.carrier, niceness, sequence, &lane}, terms.before);
    if (options.final) lane.finish_wanted = true;
    arrange(lane, queue);
    end_doomed();
    return Sequence{sequence};
}

bool Outbox::knows(const OutLane& lane, NicenessClass niceness, Sequence sequence) const {
    const OutClass* queue = lane.find(niceness);
    if (queue) return sequence.value() < queue->end();
    return niceness == NicenessClass{} && sequence.value() < lane.sequence;
}

void Outbox::finish(OutLane& lane) {
    lane.finish_wanted = true;
    arrange_tail(lane);
}

void Outbox::fail(OutLane& lane, const Error& error) {
    lane.finish_wanted = lane.finish_pulled = lane.failed = true;
    lane.announce = false;
    if (!lane.work) return;
    take_out(lane);
    for (const auto& queue : lane.work->classes) {
        for (std::uint64_t at = queue->first; at < queue->end(); ++at)
            if (queue->at(at).state != OutEntry::State::settled)
                settle(lane, *queue, at, Fate::Kind::failed, &error);
        queue->first = queue->end();
        queue->entries.clear();
        queue->next = 0;
        queue->apart.clear();
        queue->begun.clear();
        queue->hurry.reset();
        queue->last_of_kind.clear();
    }
    settled_.flush();
    lane.work->in_hand.clear();
    lane.work->awaiting.clear();
    lane.work->waiting = lane.work->begun = lane.work->flying = 0;
    take_out(lane);
    release_if_idle(lane);
    end_doomed();
}

void Outbox::remove(OutLane& lane) {
    assert(lane.unsettled() == 0 && lane.queued() == 0);
    std::erase_if(starved_, [&](const auto& one) { return one.first == &lane; });
    if (lane.held_up) std::erase(held_up_, &lane);
    if (!lane.work) return;
    take_out(lane);
    lane.work->classes.clear();
    lane.work->in_hand.clear();
    lane.work->awaiting.clear();
    lane.work->waiting = lane.work->begun = lane.work->flying = 0;
    works_.give(std::move(lane.work));
}

OutClass& Outbox::make_class(OutLane& lane, NicenessClass niceness) {
    if (!lane.work) {
        lane.work = works_.take();
        lane.work->tail.lane = &lane;
        lane.work->tail.weigh(lane.weight);
        for (const auto& queue : lane.work->classes) {
            queue->first = lane.sequence;
            queue->place.lane = &lane;
            queue->place.weigh(lane.weight);
        }
    }
    if (OutClass* found = lane.find(niceness)) return *found;
    OutClass& made = *lane.work->classes.emplace_back(std::make_unique<OutClass>());
    made.niceness = niceness;
    made.place.lane = &lane;
    made.place.queue = &made;
    made.place.weigh(lane.weight);
    if (niceness == NicenessClass{}) made.first = lane.sequence;
    return made;
}

// Of a lane at rest only the next sequence number is kept, and that of class 0 alone: a lane that
// used others keeps what knows them.
void Outbox::release_if_idle(OutLane& lane) {
    if (lane.unsettled() > 0 || !lane.work) return;
    OutWork& work = *lane.work;
    if (!work.in_hand.empty() || !work.awaiting.empty() || work.flying > 0) return;
    if (work.tail.scheduled()) return;
    if (work.classes.size() > 1) return;
    if (!work.classes.empty()) {
        OutClass& only = *work.classes.front();
        if (only.niceness != NicenessClass{} || !only.entries.empty() || only.place.scheduled())
            return;
        lane.sequence = only.first;
        if (only.entries.capacity() > most_kept_entries) work.classes.clear();
    }
    works_.give(std::move(lane.work));
}

void Outbox::announce(OutLane& lane) {
    lane.announce = true;
    arrange_tail(lane);
}

void Outbox::opened(OutLane& lane) {
    lane.opened = true;
    if (!lane.announce) return;
    lane.announce = false;
    arrange_tail(lane);
    release_if_idle(lane);
}

void Outbox::block(OutLane& lane) {
    lane.blocked = true;
    take_out(lane);
}

Outbox::Bulk Outbox::bulk_next() const {
    OutClass* const queue = turn_->queue;
    if (!queue || queue->niceness == NicenessClass{}) return Bulk::no;
    const std::uint64_t sequence = queue->plain_line() ? queue->first + queue->next
                                                       : first_of(*turn_->lane, *queue)->sequence;
    const OutEntry& entry = queue->at(sequence);
    if (!is_bulk(*queue, entry)) return Bulk::no;
    return entry.slot ? Bulk::begun : Bulk::fresh;
}

void Outbox::hold_bulk(OutLane& lane) {
    lane.bulk_held = true;
    arrange_all(lane);
}

void Outbox::unblock(OutLane& lane) {
    lane.blocked = lane.bulk_held = false;
    arrange_all(lane);
}

// Pulling.

OutLane* Outbox::turn() {
    if (heard_) release_held_up();
    for (;;) {
        turn_ = static_cast<OutPlace*>(schedule_.turn());
        if (!turn_) return nullptr;
        OutLane& lane = *turn_->lane;
        if (!spent() || !owed(lane)) return &lane;
        take_out(lane);
        if (!lane.held_up) held_up_.push_back(&lane);
        lane.held_up = true;
    }
}

void Outbox::next(Instant now, std::uint64_t chunk, Outgoing& out) {
    OutLane& lane = *turn_->lane;
    if (turn_->queue) return pull(now, lane, *turn_->queue, chunk, out);
    out = Finish{lane.carrier};
    lane.finish_pulled = true;
    arrange_tail(lane);
    release_if_idle(lane);
}

void Outbox::pull(Instant now, OutLane& lane, OutClass& queue, std::uint64_t chunk, Outgoing& out) {
    const bool in_line = queue.plain_line();
    Piece* const kept = std::get_if<Piece>(&out);
    if (in_line && kept && pull_plain(lane, queue, chunk, *kept)) return;
    const std::uint64_t sequence = in_line ? queue.first + queue.next
                                           : first_of(lane, queue)->sequence;
    if (!pass_settled(lane, queue, sequence, out)) {
        Piece& piece = kept ? *kept : out.emplace<Piece>();
        const OutEntry& entry = queue.at(sequence);
        piece.extras = {};
        if (entry.pulled == 0 && (entry.rare || peer_.messages))
            piece.extras = extras_for(now, entry);
        make_piece(lane, queue, sequence, chunk, piece);
    }
    arrange(lane, queue);
    release_if_idle(lane);
}

// Messages that ended while they were queued are announced as never to come. True: `out` is set.
bool Outbox::pass_settled(OutLane& lane, OutClass& queue, std::uint64_t sequence, Outgoing& out) {
    OutEntry& entry = queue.at(sequence);
    if (entry.state != OutEntry::State::settled) return false;
    if (entry.slot) {
        pass(lane, queue, sequence);
        end_begun(lane);
        entry.slot = false;
        out = Abandon{lane.carrier, queue.niceness, Sequence{sequence}};
    } else {
        std::uint64_t count = 0;
        for (std::uint64_t at = sequence; at < queue.end(); ++at, ++count) {
            const OutEntry& one = queue.at(at);
            if (one.state != OutEntry::State::settled || one.passed || one.slot) break;
            pass(lane, queue, at);
        }
        out = Skip{lane.carrier, queue.niceness, Sequence{sequence}, count};
    }
    trim(queue);
    return true;
}

// Nothing of it is left to be pulled.
void Outbox::pass(OutLane& lane, OutClass& queue, std::uint64_t sequence) {
    count_out(queue, sequence);
    queue.at(sequence).passed = true;
    if (!queue.last_of_kind.empty()) leave_line(queue, sequence);
    queue.skip_passed();
    if (--lane.work->waiting == 0) arrange_tail(lane);
}

// Where all slots were in use, others may begin now.
void Outbox::end_begun(OutLane& lane) {
    if (lane.work->begun-- == OutWork::most_begun) arrange_all(lane);
}

// What the peer's library is told of a message beside its content.
core::Boxed<Extras> Outbox::extras_for(Instant now, const OutEntry& entry) const {
    Extras extras;
    if (peer_.messages) {
        if (entry.rare && entry.rare->extras) extras.datagram = entry.rare->extras->datagram;
        if (entry.deadline != never)
            extras.lifetime = std::max(entry.deadline - now, Duration::zero());
        if (!extras.lifetime && !extras.datagram) return {};
        return extras;
    }
    if (peer_.properties && entry.rare->extras) extras.properties = entry.rare->extras->properties;
    if (peer_.antecedents) {
        for (const Bond& bond : entry.rare->before)
            extras.antecedents.push_back({bond.carrier, bond.niceness, Sequence{bond.sequence}});
        for (const Extras::Antecedent& name : entry.rare->in_vain)
            extras.antecedents.push_back(name);
        if (entry.bound() && entry.deadline != never)
            extras.lifetime = std::max(entry.deadline - now, Duration::zero());
    }
    if (extras.properties.empty() && extras.antecedents.empty()) return {};
    return extras;
}

void Outbox::make_piece(OutLane& lane, OutClass& queue, std::uint64_t sequence, std::uint64_t chunk,
                        Piece& piece) {
    OutEntry& entry = queue.at(sequence);
    Feed* const feed = entry.feed();
    if (feed) chunk = std::min(chunk, feed->parts[feed->next].size() - feed->within);
    const std::uint64_t total = entry.size();
    const bool stays = entry.reliable || entry.ordered || !peer_.alone || feed;
    // In a tunnel of HTTP/3 what does not fit into a datagram goes nowhere, and not in chunks.
    if (!stays && peer_.plain && peer_.properties) chunk = total;
    const std::uint64_t size = std::min(chunk, total - entry.pulled);
    piece.carrier = lane.carrier;
    piece.niceness = queue.niceness;
    piece.sequence = Sequence{sequence};
    piece.offset = entry.pulled;
    piece.total = total;
    if (feed)
        piece.bytes = pull_fed(*feed, size);
    else
        piece.bytes = size < small_content ? Bytes::lent(entry.content.data() + entry.pulled, size)
                                           : entry.content.slice(entry.pulled, size);
    piece.marks = Marks{.ordered = !entry.apart,
                        .idempotent = entry.idempotent,
                        .final = entry.final,
                        .text = entry.text};
    if (peer_.messages)
        piece.marks.ordered = entry.ordered, piece.marks.reliable = entry.reliable || feed;
    else
        piece.marks.reliable = stays || size < total;
    count_queued(lane, queue, -static_cast<std::int64_t>(size));
    count_unsettled(lane, static_cast<std::int64_t>(size));
    schedule_.served(size + 1);
    const bool last = entry.pulled + size == total;
    const bool was_begun = entry.slot;
    if (last) {
        pass(lane, queue, sequence);
        if (was_begun) end_begun(lane);
    } else if (!was_begun || feed) {
        count_out(queue, sequence);
        // Where it takes the last slot the others must wait now.
        if (!was_begun && ++lane.work->begun == OutWork::most_begun) arrange_all(lane);
    }
    entry.pulled += size;
    entry.slot = !last;
    entry.state = last ? OutEntry::State::pulled : OutEntry::State::begun;
    if (!last && (!was_begun || feed)) count_in(queue, sequence);
    if (feed) ask(lane, queue, sequence);
    piece.marks.ask = last && lane.queued() == 0 && lane.work->waiting == 0;
    lane.work->in_hand.push(
        {.niceness = queue.niceness, .last = last, .bytes = size, .sequence = sequence});
}

// What became of what was pulled.

void Outbox::packed(OutLane& lane, std::uint64_t pieces) {
    if (!lane.work) return;
    OutWork& work = *lane.work;
    while (pieces > 0 && !work.in_hand.empty()) {
        const OutWork::Pulled pulled = OutWork::take_front(work.in_hand, pieces);
        if (peer_.plain) work.awaiting.push(pulled);
        if (pulled.last) on_packed(lane, pulled);
    }
    release_if_idle(lane);
}

bool Outbox::handle_delivered(OutLane& lane, const Delivered& delivered) {
    // Said of a class 0 at rest, it is old news: what knows it is there for as long as it takes.
    if (delivered.niceness == NicenessClass{}) class_for(lane, delivered.niceness);
    OutClass* queue = lane.find(delivered.niceness);
    if (!queue) return false;
    bool again = false;
    // Settles what is in [from, end); false: something there was never sent.
    const auto settle_all = [&](std::uint64_t from, std::uint64_t end, Fate::Kind kind,
                                const Error* error) {
        if (end > queue->end()) return false;
        for (std::uint64_t at = std::max(from, queue->first); at < end; ++at) {
            OutEntry& entry = queue->at(at);
            if (!entry.passed && !entry.tried && !entry.given_up) return false;
            const bool waits = !entry.passed && !entry.slot;
            if (entry.state != OutEntry::State::settled) settle(lane, *queue, at, kind, error);
            // An earlier connection brought it there: it need not go again.
            if (waits) pass(lane, *queue, at);
            again |= waits;
        }
        return true;
    };
    const auto settle_ranges = [&](const std::vector<Delivered::Range>& ranges, Fate::Kind kind,
                                   const Error* error) {
        return std::all_of(ranges.begin(), ranges.end(), [&](const Delivered::Range& range) {
            const std::uint64_t from = range.first.value();
            return from <= queue->end() && range.count <= queue->end() - from &&
                   settle_all(from, from + range.count, kind, error);
        });
    };
    if (delivered.dropped) {
        const Error dropped(Errc::expired, {}, Stage::established,
                            "the receiver dropped it: what it had to come after failed, or did not "
                            "come within its lifetime; or it need not be reliable, and its Carrier "
                            "had no room for it");
        if (!settle_ranges(*delivered.dropped, Fate::Kind::expired, &dropped)) return false;
    }
    settle_plain(lane, *queue, delivered.watermark.value());
    if (!settle_all(queue->first, delivered.watermark.value(), Fate::Kind::acked, nullptr) ||
        !settle_ranges(delivered.ranges, Fate::Kind::acked, nullptr))
        return false;
    if (delivered.partial && delivered.partial->value() >= queue->first) {
        if (!queue->has(delivered.partial->value())) return false;
        OutEntry& entry = queue->at(delivered.partial->value());
        if (delivered.progress > entry.pulled && entry.state != OutEntry::State::settled &&
            !go_on_from(lane, *queue, delivered))
            return false;
        const std::uint64_t progress = std::min(delivered.progress, entry.pulled);
        if (entry.state != OutEntry::State::settled && progress > entry.delivered) {
            count_unsettled(lane, -static_cast<std::int64_t>(progress - entry.delivered));
            entry.delivered = progress;
            if (entry.feed()) release_fed(entry);
        }
    }
    trim(*queue);
    if (again) arrange(lane, *queue);
    settled_.flush();
    release_if_idle(lane);
    end_doomed();
    return true;
}

void Outbox::handle_acked(OutLane& lane, std::uint64_t pieces) {
    if (!lane.work) return;
    OutWork& work = *lane.work;
    while (pieces > 0 && !work.awaiting.empty()) {
        const OutWork::Pulled pulled = OutWork::take_front(work.awaiting, pieces);
        OutClass& queue = *lane.find(pulled.niceness);
        const std::uint64_t end = pulled.sequence + pulled.count;
        for (std::uint64_t at = std::max(pulled.sequence, queue.first); at < end; ++at) {
            OutEntry& entry = queue.at(at);
            if (entry.state == OutEntry::State::settled) continue;
            const std::uint64_t bytes = pulled.plain ? entry.content.size() : pulled.bytes;
            entry.delivered += bytes;
            count_unsettled(lane, -static_cast<std::int64_t>(bytes));
            // Of the last bytes settle() tells.
            if (entry.feed() && !pulled.last) release_fed(entry);
            if (pulled.last) settle(lane, queue, at, Fate::Kind::acked);
        }
        trim(queue);
    }
    settled_.flush();
    release_if_idle(lane);
}

void Outbox::settle(OutLane& lane, OutClass& queue, std::uint64_t sequence, Fate::Kind kind,
                    const Error* error) {
    OutEntry& entry = queue.at(sequence);
    const std::uint64_t to_make = entry.feed() ? entry.feed()->counted : 0;
    const std::uint64_t unpulled = entry.made() - entry.pulled + to_make;
    count_queued(lane, queue, -static_cast<std::int64_t>(unpulled));
    count_unsettled(lane, -static_cast<std::int64_t>(entry.pulled - entry.delivered));
    entry.delivered = entry.pulled;
    count_fates(lane, 1);
    if (entry.deadline != never)
        expiries_.erase({entry.deadline, lane.carrier, queue.niceness, sequence, &lane});
    const bool alone = entry.alone != OutEntry::Alone::no;
    if (entry.state == OutEntry::State::packed && !entry.bound() && !alone) --packed_messages_;
    const bool maybe = kind == Fate::Kind::failed
                           ? entry.tried || entry.early || entry.state >= OutEntry::State::pulled
                           : entry.alone == OutEntry::Alone::lost;
    if (!entry.passed) count_out(queue, sequence);
    if (entry.feed() && kind == Fate::Kind::acked)
        events_.push_back(happened::Furthered{entry.on_fate, entry.size()});
    if (entry.rare) {
        const Bond self{lane.carrier, queue.niceness, sequence, &lane};
        unbind(entry, self);
        release_successors(entry, self, kind != Fate::Kind::acked);
        entry.rare->feed.reset();
        const bool in_line = entry.rare->ahead || entry.rare->follower;
        if (!in_line) entry.rare.reset();
    }
    if (kind != Fate::Kind::acked) {
        remember_failed(id_of(lane, entry, sequence));
        entry.given_up = lane.gaps = true;
    }
    entry.state = OutEntry::State::settled;
    if (!entry.passed) count_in(queue, sequence);
    // A copy was sooner.
    if (kind == Fate::Kind::acked && !entry.said) report(lane, entry, sequence, Fate::Kind::sent);
    report(lane, entry, sequence, kind, error, maybe);
    settled_.add(std::move(entry.content));
}

void Outbox::tell(OutLane& lane, const OutEntry& entry, std::uint64_t sequence, Fate::Kind kind,
                  const Error* error, bool maybe_delivered) {
    Fate fate{kind, id_of(lane, entry, sequence), error ? *error : Error{}, maybe_delivered};
    const bool wanted = entry.on_fate != no_fate || lane.fates;
    events_.push_back(
        happened::Progress{lane.tag, std::move(fate), entry.on_fate, entry.size(), wanted});
}

}  // namespace post::core
