// What an outbox does when its connection is replaced: all that the peer has not spoken of is to be
// sent again, in the old order and under the old numbers. The peer drops what it has already.
#include <algorithm>

#include "lib/association/outbox.hpp"

namespace post::core {

namespace {

// From where a message goes on: the peer has what is before. Of one that is made while it is sent
// the rest is still here.
void go_back(OutEntry& entry) {
    entry.pulled = entry.delivered;
    Feed* const feed = entry.feed();
    if (!feed) return;
    std::uint64_t before = feed->released;
    feed->next = 0;
    while (feed->next < feed->parts.size() &&
           before + feed->parts[feed->next].size() <= entry.pulled)
        before += feed->parts[feed->next++].size();
    feed->within = entry.pulled - before;
}

}  // namespace

void Outbox::unplug(OutLane& lane) {
    lane.opened = lane.blocked = lane.bulk_held = false;
    lane.again = true;
    if (!lane.failed) lane.finish_pulled = false;
    if (!lane.work) return;
    take_out(lane);
    OutWork& work = *lane.work;
    const Error lost(Errc::expired, {}, Stage::established,
                     "it travelled alone when the connection broke, and is not sent again "
                     "(SendOptions::reliable)");
    for (const auto& queue : work.classes) {
        for (std::uint64_t at = queue->first; at < queue->end(); ++at) {
            OutEntry& entry = queue->at(at);
            if (entry.alone == OutEntry::Alone::flying && entry.state == OutEntry::State::packed) {
                entry.alone = OutEntry::Alone::lost;
                settle(lane, *queue, at, Fate::Kind::expired, &lost);
            }
        }
        queue->hurry.reset();
        queue->apart.clear();
        queue->begun.clear();
        queue->last_of_kind.clear();
    }
    work.in_hand.clear();
    work.awaiting.clear();
    work.flying = work.begun = work.waiting = 0;
    for (const auto& queue : work.classes) {
        for (std::uint64_t at = queue->first; at < queue->end(); ++at) {
            OutEntry& entry = queue->at(at);
            entry.slot = false;
            if (entry.rare) entry.rare->ahead = entry.rare->follower = std::nullopt;
            const bool settled = entry.state == OutEntry::State::settled;
            // What was given up is said again; of what may still be acknowledged nothing.
            if (settled ? !entry.given_up : entry.alone == OutEntry::Alone::acked) continue;
            if (settled) {
                entry.pulled = entry.delivered = 0;
            } else {
                // The peer spoke of all of it, and only not of its end.
                const bool whole = entry.delivered == entry.size() && entry.size() > 0;
                if (whole) continue;
                const bool counted = entry.state == OutEntry::State::packed && !entry.bound();
                if (counted) --packed_messages_;
                entry.tried = entry.tried || (!in_vain_ && entry.state >= OutEntry::State::pulled);
                const std::uint64_t before = entry.pulled;
                go_back(entry);
                count_queued(lane, *queue, static_cast<std::int64_t>(before - entry.pulled));
                count_unsettled(lane, -static_cast<std::int64_t>(before - entry.pulled));
                entry.state = OutEntry::State::queued;
            }
            entry.passed = false;
            ++work.waiting;
        }
        queue->next = 0;
        queue->skip_passed();
        trim(*queue);
    }
    settled_.flush();
}

// Who waits for whom is found out again when all are back in their places.
void Outbox::line_up_again(std::span<OutLane* const> lanes) {
    const auto each = [&](auto visit) {
        for (OutLane* lane : lanes) {
            if (!lane->work) continue;
            for (const auto& queue : lane->work->classes)
                for (std::uint64_t at = queue->first; at < queue->end(); ++at)
                    if (!queue->at(at).passed) visit(*queue, at, queue->at(at));
        }
    };
    each([&](OutClass& queue, std::uint64_t at, OutEntry& entry) {
        const bool alive = entry.state != OutEntry::State::settled;
        if (entry.apart && entry.ordered && alive) line_up(queue, at);
        if (!entry.bound()) return;
        entry.rare->holding = static_cast<std::uint32_t>(std::count_if(
            entry.rare->before.begin(), entry.rare->before.end(), [&](const Bond& bond) {
                return holds_back(bond.lane->find(bond.niceness)->at(bond.sequence), entry);
            }));
    });
    // line_up() moved some in and out of the sets already.
    for (OutLane* lane : lanes) {
        if (!lane->work) continue;
        for (const auto& queue : lane->work->classes) {
            queue->hurry.reset();
            queue->apart.clear();
            queue->begun.clear();
        }
    }
    each([&](OutClass& queue, std::uint64_t at, OutEntry&) { count_in(queue, at); });
    heard_ = true;
    for (OutLane* lane : lanes) {
        arrange_all(*lane);
        release_if_idle(*lane);
    }
    end_doomed();
    in_vain_ = false;
}

// More of a message came over an earlier connection than was known: it goes on behind that, unless
// it is on its way again. False: the peer cannot have so much.
bool Outbox::go_on_from(OutLane& lane, OutClass& queue, const Delivered& delivered) {
    const std::uint64_t sequence = delivered.partial->value();
    OutEntry& entry = queue.at(sequence);
    if (!lane.again || delivered.progress >= entry.size() || delivered.progress > entry.made())
        return false;
    if (entry.state != OutEntry::State::queued) return true;
    count_out(queue, sequence);
    count_queued(lane, queue, -static_cast<std::int64_t>(delivered.progress - entry.pulled));
    entry.delivered = delivered.progress;
    go_back(entry);
    count_in(queue, sequence);
    if (entry.feed()) release_fed(entry);
    return true;
}

void Outbox::never_tried(OutLane& lane) {
    if (!lane.work) return;
    for (const auto& queue : lane.work->classes)
        for (std::uint64_t at = queue->first; at < queue->end(); ++at) queue->at(at).tried = false;
}

void Outbox::start_anew(OutLane& lane, const Error& error) {
    if (!lane.work) return;
    for (const auto& queue : lane.work->classes) {
        for (std::uint64_t at = queue->first; at < queue->end(); ++at) {
            OutEntry& entry = queue->at(at);
            if (entry.state == OutEntry::State::settled) continue;
            const bool half = entry.pulled > 0 || entry.delivered > 0;
            if (entry.feed() ? half : entry.tried && !entry.idempotent) {
                settle(lane, *queue, at, Fate::Kind::failed, &error);
            } else if (half) {
                // The peer has forgotten its front.
                count_queued(lane, *queue, static_cast<std::int64_t>(entry.pulled));
                entry.pulled = entry.delivered = 0;
            }
        }
        trim(*queue);
    }
    settled_.flush();
    arrange_all(lane);
}

}  // namespace post::core
