// RaceMemory: what became of earlier races, for each network and Remote: which stack and address
// won, how long a round trip was, and what was silent or failed meanwhile (Happy Eyeballs v3, 5.3).
// It steers the next race: it changes places and the delay, and never adds or refuses a candidate,
// so that a wrong memory costs time only. What is old is forgotten, and so everybody comes back to
// the order of the policy. Bounded; no clock.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <post/establishment.hpp>
#include <post/time.hpp>

#include "lib/association/candidates.hpp"

namespace post::core {

class RaceMemory {
public:
    static constexpr std::size_t most = 1024;      // networks and Remotes; the oldest gives way
    static constexpr std::size_t most_failed = 8;  // (stack, family) of each
    // As long as Happy Eyeballs has always remembered (RFC 6555, 4.2).
    static constexpr Duration life = std::chrono::minutes(10);
    // A failure weighs half as much every so often, and below one it counts no more.
    static constexpr Duration half_life = std::chrono::minutes(2);

    // Whom it is about. Nothing of one network is used in another (Happy Eyeballs v3, 5.3).
    struct Key {
        std::string network;  // what the edge calls the way out; empty: there is only one
        std::string remote;   // and whatever else must be kept apart, such as isolation
        auto operator<=>(const Key&) const = default;
    };

    // A race is over: `establishment` says how. `path`: what became of the attempts on this
    // interface alone; nullptr: of all.
    void remember(Instant now, const Key& key, const Establishment& establishment,
                  const std::string* path = nullptr);
    // Puts what is remembered into the options of the next one.
    void steer(Instant now, const Key& key, RaceOptions& options) const;
    // The same for the network of the options, or, where they have paths, for that of each.
    void remember(Instant now, const std::string& remote, const RaceOptions& options,
                  const Establishment& establishment);
    void steer(Instant now, const std::string& remote, RaceOptions& options) const;
    // What another process, or an earlier one, knew of it `ago`; nothing that is known here counts
    // less.
    struct Known {
        RaceOptions::Known what;
        Duration ago{};
    };
    bool knows(const Key& key) const { return entries_.contains(key); }
    void restore(Instant now, const Key& key, const std::optional<Known>& winner,
                 std::optional<Duration> rtt, const std::vector<Known>& failed);
    // The machine has left the network.
    void forget(const std::string& network);
    std::size_t size() const { return entries_.size(); }

private:
    struct Failure {
        RaceOptions::Known what;
        double weight;
        Instant at;
    };
    struct Entry {
        std::optional<RaceOptions::Known> winner;
        std::optional<Duration> rtt;
        Instant won_at{};
        std::vector<Failure> failures;
        std::list<Key>::iterator place;
    };

    static double weight(Instant now, const Failure& failure);
    Entry& entry(const Key& key);
    static void add_failure(Instant now, Entry& entry, const RaceOptions::Known& what);

    std::map<Key, Entry> entries_;
    std::list<Key> by_use_;  // the oldest first
};

}  // namespace post::core
