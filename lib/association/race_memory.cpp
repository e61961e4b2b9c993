// Failures fade, winners are replaced.
#include "lib/association/race_memory.hpp"

#include <algorithm>
#include <cmath>

namespace post::core {

namespace {

using Attempt = Establishment::Attempt;
using Result = Establishment::Result;

bool same_lineage(const RaceOptions::Known& a, const RaceOptions::Known& b) {
    return a.stack == b.stack && a.remote.family == b.remote.family;
}

// What heard nothing although the winner, which began later, has come through meanwhile: it had
// more time than a whole handshake takes.
bool was_silent(const Attempt& attempt, const Attempt& winner) {
    return attempt.result == Result::lost && attempt.heard == never &&
           attempt.started < winner.started;
}

}  // namespace

void RaceMemory::remember(Instant now, const Key& key, const Establishment& establishment,
                          const std::string* path) {
    const auto here = [&](const Attempt& attempt) { return !path || attempt.path == *path; };
    const auto& attempts = establishment.attempts;
    if (std::none_of(attempts.begin(), attempts.end(), here)) return;
    Entry& entry = this->entry(key);
    const Attempt* winner = establishment.winner();
    for (const Attempt& attempt : attempts) {
        if (!here(attempt)) continue;
        const RaceOptions::Known known{attempt.stack, attempt.remote};
        if (attempt.result == Result::failed || (winner && was_silent(attempt, *winner)))
            add_failure(now, entry, known);
        if (attempt.result == Result::failed && entry.winner == known) entry.winner.reset();
    }
    if (!winner || !here(*winner)) return;
    entry.winner = RaceOptions::Known{winner->stack, winner->remote};
    if (winner->heard > winner->started) entry.rtt = winner->heard - winner->started;
    entry.won_at = now;
    std::erase_if(entry.failures,
                  [&](const Failure& each) { return same_lineage(each.what, *entry.winner); });
}

void RaceMemory::remember(Instant now, const std::string& remote, const RaceOptions& options,
                          const Establishment& establishment) {
    if (!options.out) return remember(now, Key{options.network, remote}, establishment);
    for (const RaceOptions::Path& path : options.out->paths)
        remember(now, Key{path.network, remote}, establishment, &path.interface.name);
}

void RaceMemory::steer(Instant now, const std::string& remote, RaceOptions& options) const {
    if (!options.out) return steer(now, Key{options.network, remote}, options);
    for (RaceOptions::Path& path : options.out->paths) {
        RaceOptions known;
        steer(now, Key{path.network, remote}, known);
        path.winner = known.winner;
        path.failed_on = std::move(known.failed_on);
        if (!options.history_rtt) options.history_rtt = known.history_rtt;
    }
}

void RaceMemory::restore(Instant now, const Key& key, const std::optional<Known>& winner,
                         std::optional<Duration> rtt, const std::vector<Known>& failed) {
    if (knows(key)) return;
    Entry& entry = this->entry(key);
    if (winner && winner->ago < life) {
        entry.winner = winner->what;
        entry.won_at = now - winner->ago;
        entry.rtt = rtt;
    }
    for (const Known& each : failed)
        if (each.ago < life) add_failure(now - each.ago, entry, each.what);
}

void RaceMemory::steer(Instant now, const Key& key, RaceOptions& options) const {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    const Entry& entry = found->second;
    if (entry.winner && now - entry.won_at < life) {
        options.winner = entry.winner;
        options.history_rtt = entry.rtt;
    }
    for (const Failure& failure : entry.failures)
        if (weight(now, failure) >= 1) options.failed_on.push_back(failure.what);
}

void RaceMemory::forget(const std::string& network) {
    for (auto each = entries_.begin(); each != entries_.end();) {
        if (each->first.network != network) {
            ++each;
            continue;
        }
        by_use_.erase(each->second.place);
        each = entries_.erase(each);
    }
}

double RaceMemory::weight(Instant now, const Failure& failure) {
    const double halves = static_cast<double>((now - failure.at).count()) /
                          static_cast<double>(half_life.count());
    return failure.weight * std::exp2(-halves);
}

RaceMemory::Entry& RaceMemory::entry(const Key& key) {
    if (const auto found = entries_.find(key); found != entries_.end()) {
        by_use_.splice(by_use_.end(), by_use_, found->second.place);
        return found->second;
    }
    if (entries_.size() == most) {
        entries_.erase(by_use_.front());
        by_use_.pop_front();
    }
    Entry& made = entries_[key];
    made.place = by_use_.insert(by_use_.end(), key);
    return made;
}

// One failure counts for one half life, two close to each other for about twice as long; no number
// of them for longer than `life`.
void RaceMemory::add_failure(Instant now, Entry& entry, const RaceOptions::Known& what) {
    static const double heaviest = std::exp2(static_cast<double>(life.count()) /
                                             static_cast<double>(half_life.count()));
    const auto found = std::find_if(
        entry.failures.begin(), entry.failures.end(),
        [&](const Failure& each) { return same_lineage(each.what, what); });
    if (found != entry.failures.end()) {
        found->weight = std::min(heaviest, weight(now, *found) + 2);
        found->at = now;
        return;
    }
    if (entry.failures.size() == most_failed) entry.failures.erase(entry.failures.begin());
    entry.failures.push_back({what, 2, now});
}

}  // namespace post::core
