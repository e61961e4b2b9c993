// The leaves of a client's race, at a listener that hears early data on several of them
// (FORMAT.md, 5.2): the first that says its race owns it, and its Carriers are the application's at
// once. Others bring copies, and wait; the one that the client chooses becomes the connection of
// the owner.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>

#include <post/ids.hpp>
#include <post/time.hpp>

namespace post::core {

class EarlyRaces {
public:
    // As long as a leaf may take to its handshake, and its client to choose.
    static constexpr Duration kept_for = std::chrono::seconds(30);
    // Of more the oldest are forgotten: then each leaf is an association of its own, and a message
    // that is not known to be early may come on two of them.
    static constexpr std::size_t most = 8192;

    // Whose the race is: that of who asked first.
    AssociationId claim(Instant now, std::uint64_t race, AssociationId id) {
        while (!by_age_.empty() && (by_age_.front().first <= now || by_age_.size() >= most)) {
            owners_.erase(by_age_.front().second);
            by_age_.pop_front();
        }
        const auto [at, fresh] = owners_.try_emplace(race, id);
        if (fresh) by_age_.emplace_back(now + kept_for, race);
        return at->second;
    }
    bool empty() const { return owners_.empty(); }

private:
    std::unordered_map<std::uint64_t, AssociationId> owners_;
    std::deque<std::pair<Instant, std::uint64_t>> by_age_;
};

// What a listener's association knows of such a race.
struct Joining {
    std::uint64_t race = 0;
    bool owner = false;         // its Carriers were offered before it was chosen
    AssociationId to{};         // not ours: whose connection this one shall be
    bool wanted = false;        // poll_join has an answer
    bool waits = false;         // an owner that has lost its connection, and is not chosen
    Instant reopen_by = never;  // of what the client opened on another leaf alone
};

}  // namespace post::core
