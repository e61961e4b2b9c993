// Which message goes first, inside one Carrier and among those that wait for each other.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

namespace {

constexpr std::size_t most_failed = 1024;

template <class Set, class Value> void erase_one(Set& set, const Value& value) {
    const auto at = set.find(value);
    if (at != set.end()) set.erase(at);
}

bool tail_due(const OutLane& lane) {
    return (lane.finish_wanted && !lane.finish_pulled) || lane.announce;
}

}  // namespace

// What goes next of a class: the first in line, or one of those apart. None: all wait.
std::optional<OutClass::Apart> Outbox::first_of(const OutLane& lane, OutClass& queue) const {
    const bool full = lane.work->begun >= OutWork::most_begun;  // no further message may begin
    std::optional<OutClass::Apart> first;
    const auto offer = [&](const OutClass::Apart& one) {
        if (!first || one < *first) first = one;
    };
    if (queue.next < queue.entries.size()) {
        const OutEntry& head = queue.entries[queue.next];
        const bool may_begin = !full || head.slot || head.state == OutEntry::State::settled;
        if (may_begin && !held_back(head) && !is_held(lane, queue, head)) {
            OutClass::Apart line{queue.niceness.value(), never, queue.first + queue.next};
            if (queue.hurry) {
                const OutClass::Hurry& hurry = *queue.hurry;
                if (!hurry.nicenesses.empty()) line.niceness = *hurry.nicenesses.begin();
                if (!hurry.deadlines.empty()) line.deadline = *hurry.deadlines.begin();
            }
            offer(line);
        }
    }
    for (const OutClass::Apart& one : queue.begun) {
        if (is_held(lane, queue, queue.at(one.sequence))) continue;
        offer(one);
        break;
    }
    if (!queue.apart.empty() && !full) offer(*queue.apart.begin());
    return first;
}

void Outbox::arrange(OutLane& lane, OutClass& queue) {
    const bool common = queue.plain_line() && !queue.entries[queue.next].rare && !lane.blocked &&
                        !lane.bulk_held && lane.work->begun < OutWork::most_begun;
    if (common) return schedule_.put(queue.place, {lane.priority, queue.niceness.value()}, never);
    const auto first = lane.blocked ? std::nullopt : first_of(lane, queue);
    if (first)
        schedule_.put(queue.place, {lane.priority, first->niceness}, first->deadline);
    else
        schedule_.take_out(queue.place);
}

void Outbox::arrange_tail(OutLane& lane) {
    // What travels alone does not keep its place before the end of the stream.
    const bool all_out = !lane.work || (lane.work->waiting == 0 && lane.work->flying == 0);
    const bool due = tail_due(lane) && !lane.blocked && all_out;
    if (due && !lane.work) class_for(lane, NicenessClass{});
    if (due)
        schedule_.put(lane.work->tail, {lane.priority, Schedule::last}, never);
    else if (lane.work)
        schedule_.take_out(lane.work->tail);
}

void Outbox::arrange_all(OutLane& lane) {
    if (lane.work)
        for (const auto& queue : lane.work->classes) arrange(lane, *queue);
    arrange_tail(lane);
}

void Outbox::reconsider(OutLane& lane) {
    if (!lane.work) return;
    for (const auto& queue : lane.work->classes) {
        for (std::uint64_t at = queue->first; at < queue->end(); ++at) {
            OutEntry& entry = queue->at(at);
            if (entry.bound())
                entry.rare->holding = static_cast<std::uint32_t>(std::count_if(
                    entry.rare->before.begin(), entry.rare->before.end(), [&](const Bond& bond) {
                        return holds_back(bond.lane->find(bond.niceness)->at(bond.sequence), entry);
                    }));
            if (entry.apart && !entry.passed) count_in(*queue, at);
        }
    }
    arrange_all(lane);
}

void Outbox::take_out(OutLane& lane) {
    if (!lane.work) return;
    for (const auto& queue : lane.work->classes) schedule_.take_out(queue->place);
    schedule_.take_out(lane.work->tail);
}

// Who goes on when what is on its way has no word of the peer's (Limits::unsettled).

// Whether the peer will speak of the lane by itself: of a message that is wholly on its way, or of
// the progress of a long one. Of less it says nothing, so that much may always go: what others have
// on their way, or what lies half way in a window that nobody empties, holds up no Carrier.
bool Outbox::owed(const OutLane& lane) const {
    // Of each that is begun twice as much as the peer waits for, since one report may take the
    // place of another; and a chunk, to complete it.
    constexpr std::uint64_t told_of = 512 * 1024;
    return lane.work && (lane.work->unsettled > lane.work->waiting ||
                         lane.work->in_flight >= lane.work->begun * told_of + largest_chunk);
}

void Outbox::release_held_up() {
    heard_ = false;
    std::erase_if(held_up_, [this](OutLane* lane) {
        if (spent() && owed(*lane)) return false;
        lane->held_up = false;
        if (!lane->blocked) arrange_all(*lane);
        return true;
    });
}

// Urgency.

Urgency Outbox::urgency(const OutClass& queue, const OutEntry& entry) const {
    // What ended is only announced as never to come.
    if (entry.state == OutEntry::State::settled) return {queue.niceness.value(), never};
    // Ordered ones that the class does not tell apart keep their order whatever their deadlines.
    const bool in_order = entry.apart && entry.ordered;
    const Urgency own{entry.apart ? entry.niceness.value() : queue.niceness.value(),
                      in_order ? never : entry.deadline};
    return entry.rare ? own.with(entry.rare->inherited) : own;
}

// What a message that has not passed adds to the urgency of its class.
void Outbox::count_in(OutClass& queue, std::uint64_t sequence) {
    const OutEntry& entry = queue.at(sequence);
    const Urgency own = urgency(queue, entry);
    if (entry.apart) {
        if (held_back(entry)) return;
        auto& set = entry.slot ? queue.begun : queue.apart;
        set.insert({own.niceness, own.deadline, sequence});
        return;
    }
    const bool nicer = own.niceness < queue.niceness.value();
    if (!nicer && own.deadline == never) return;
    if (!queue.hurry) queue.hurry = std::make_unique<OutClass::Hurry>();
    if (nicer) queue.hurry->nicenesses.insert(own.niceness);
    if (own.deadline != never) queue.hurry->deadlines.insert(own.deadline);
}

void Outbox::count_out(OutClass& queue, std::uint64_t sequence) {
    const OutEntry& entry = queue.at(sequence);
    const bool plain_line = !entry.apart && !queue.hurry;
    if (plain_line) return;
    const Urgency own = urgency(queue, entry);
    if (entry.apart) {
        auto& set = entry.slot ? queue.begun : queue.apart;
        set.erase({own.niceness, own.deadline, sequence});
        return;
    }
    if (own.niceness < queue.niceness.value()) erase_one(queue.hurry->nicenesses, own.niceness);
    if (own.deadline != never) erase_one(queue.hurry->deadlines, own.deadline);
}

// An ordered message whose niceness its class does not tell stands behind the last one of its kind.
void Outbox::line_up(OutClass& queue, std::uint64_t sequence) {
    OutEntry& entry = queue.at(sequence);
    const auto [last, first] = queue.last_of_kind.try_emplace(entry.niceness.value(), sequence);
    if (first) return;
    OutEntry& ahead = queue.at(last->second);
    if (!entry.rare) entry.rare = std::make_unique<OutRare>();
    if (!ahead.rare) ahead.rare = std::make_unique<OutRare>();
    entry.rare->ahead = last->second;
    ahead.rare->follower = sequence;
    last->second = sequence;
}

// It has passed: who stood behind it stands behind those that it stood behind.
void Outbox::leave_line(OutClass& queue, std::uint64_t sequence) {
    OutEntry& entry = queue.at(sequence);
    const auto last = queue.last_of_kind.find(entry.niceness.value());
    const bool was_last = last != queue.last_of_kind.end() && last->second == sequence;
    const auto ahead = entry.rare ? entry.rare->ahead : std::nullopt;
    const auto follower = entry.rare ? entry.rare->follower : std::nullopt;
    if (was_last && !ahead) queue.last_of_kind.erase(last);
    if (was_last && ahead) last->second = *ahead;
    if (ahead) queue.at(*ahead).rare->follower = follower;
    if (!follower) return;
    count_out(queue, *follower);
    queue.at(*follower).rare->ahead = ahead;
    count_in(queue, *follower);
}

// A message and those that have to go before it are as urgent as what waits for them.
void Outbox::hurry(const Bond& first, const Urgency& by) {
    std::vector<std::pair<Bond, Urgency>> more{{first, by}};
    while (!more.empty()) {
        const auto [bond, passed_on] = more.back();
        more.pop_back();
        OutClass& queue = *bond.lane->find(bond.niceness);
        OutEntry& entry = queue.at(bond.sequence);
        if (entry.passed) continue;
        if (!entry.rare) entry.rare = std::make_unique<OutRare>();
        const Urgency inherited = entry.rare->inherited.with(passed_on);
        if (inherited == entry.rare->inherited) continue;
        count_out(queue, bond.sequence);
        entry.rare->inherited = inherited;
        count_in(queue, bond.sequence);
        arrange(*bond.lane, queue);
        for (const Bond& before : entry.rare->before)
            more.emplace_back(before, urgency(queue, entry));
        if (entry.rare->ahead) {
            Bond ahead = bond;
            ahead.sequence = *entry.rare->ahead;
            more.emplace_back(ahead, urgency(queue, entry));
        }
    }
}

// Antecedents (draft 2.2.3).

// A fresh message waits until those before it are packed, or acknowledged when nobody over there
// waits for them. One that failed takes it along.
void Outbox::bind(const Bond& successor, std::span<const Bond> before) {
    OutClass& queue = *successor.lane->find(successor.niceness);
    for (const Bond& bond : before) {
        const OutClass* known = bond.lane ? bond.lane->find(bond.niceness) : nullptr;
        OutEntry* first = known && known->has(bond.sequence)
                              ? &bond.lane->find(bond.niceness)->at(bond.sequence)
                              : nullptr;
        if (!first || first->state == OutEntry::State::settled) {
            if (failed_.contains(name_of(bond))) doomed_.push_back(successor);
            continue;
        }
        OutEntry& entry = queue.at(successor.sequence);
        if (!entry.rare) entry.rare = std::make_unique<OutRare>();
        if (std::find(entry.rare->before.begin(), entry.rare->before.end(), bond) !=
            entry.rare->before.end())
            continue;
        count_out(queue, successor.sequence);
        entry.rare->before.push_back(bond);
        if (holds_back(*first, entry)) ++entry.rare->holding;
        count_in(queue, successor.sequence);
        if (!first->rare) first->rare = std::make_unique<OutRare>();
        first->rare->behind.insert(successor);
        hurry(bond, urgency(queue, entry));
    }
}

// Those that wait for a message wait no longer; when it failed they are to end too.
void Outbox::release_successors(OutEntry& entry, const Bond& antecedent, bool failed) {
    for (const Bond& bond : std::exchange(entry.rare->behind, {})) {
        OutClass& queue = *bond.lane->find(bond.niceness);
        OutEntry& successor = queue.at(bond.sequence);
        if (!successor.passed) count_out(queue, bond.sequence);
        std::erase(successor.rare->before, antecedent);
        const bool left = successor.tried || successor.state >= OutEntry::State::pulled;
        if (failed && left && successor.state != OutEntry::State::settled)
            successor.rare->in_vain.push_back(
                {antecedent.carrier, antecedent.niceness, Sequence{antecedent.sequence}});
        if (holds_back(entry, successor)) --successor.rare->holding;
        if (!successor.passed) count_in(queue, bond.sequence);
        if (successor.state == OutEntry::State::packed && !successor.bound() &&
            successor.alone == OutEntry::Alone::no)
            ++packed_messages_;
        if (failed)
            doomed_.push_back(bond);
        else
            arrange(*bond.lane, queue);
    }
}

// Those that come after it may leave: the peer's library holds them back. What is held back there
// is not counted as packed, since the peer says nothing of it until it is free.
void Outbox::on_packed(OutEntry& entry) {
    if (!entry.bound() && entry.alone == OutEntry::Alone::no) ++packed_messages_;
    if (!peer_.antecedents) return;
    for (const Bond& bond : entry.rare->behind) {
        OutClass& queue = *bond.lane->find(bond.niceness);
        if (holds_back(entry, queue.at(bond.sequence))) continue;
        count_out(queue, bond.sequence);
        --queue.at(bond.sequence).rare->holding;
        count_in(queue, bond.sequence);
        arrange(*bond.lane, queue);
    }
}

// It ends before those that it waits for.
void Outbox::unbind(OutEntry& entry, const Bond& successor) {
    for (const Bond& bond : std::exchange(entry.rare->before, {})) {
        OutEntry& first = bond.lane->find(bond.niceness)->at(bond.sequence);
        if (first.rare) first.rare->behind.erase(successor);
    }
}

// A successor of a message that failed or expired expires too, and so do its own.
void Outbox::end_doomed() {
    if (doomed_.empty()) return;
    const Error error(Errc::expired, {}, Stage::established,
                      "a message that it had to come after (SendOptions::antecedents) expired or "
                      "failed");
    while (!doomed_.empty()) {
        const Bond bond = doomed_.back();
        doomed_.pop_back();
        OutClass* queue = bond.lane->find(bond.niceness);
        if (!queue || !queue->has(bond.sequence)) continue;
        // What has left already is the receiver's to drop, and may have to leave once more.
        const OutEntry& entry = queue->at(bond.sequence);
        if (!entry.tried && entry.state < OutEntry::State::pulled)
            settle(*bond.lane, *queue, bond.sequence, Fate::Kind::expired, &error);
        arrange(*bond.lane, *queue);
    }
    settled_.flush();
}

// The last ones only: a message is seldom named long after it failed.
void Outbox::remember_failed(const MessageId& message) {
    const MessageId name{message.carrier, Niceness{class_of(message.niceness).value()},
                         message.sequence};
    if (!failed_.insert(name).second) return;
    failed_order_.push(name);
    if (failed_order_.size() <= most_failed) return;
    failed_.erase(failed_order_.front());
    failed_order_.pop();
}

MessageId Outbox::name_of(const Bond& bond) {
    return {bond.carrier, Niceness{bond.niceness.value()}, Sequence{bond.sequence}};
}

}  // namespace post::core
