// Schedule: whose turn it is to send, among all that one association has to send (RFC 9622, 9.2.6):
// by Carrier priority, then niceness, both strict; then by deadline; and those that have none are
// served evenly, by the weight of their Carriers. What stands here may be sent now: what is
// blocked, waits for another message or has nothing left takes itself out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include <post/ids.hpp>
#include <post/time.hpp>

namespace post::core {

class Schedule {
    struct Level;
    static constexpr std::uint64_t scale = 64 * 1024;  // of what a Place has had: bytes by weight

public:
    struct Key {
        Priority priority;
        std::uint32_t niceness = 0;  // `last`: the end of a direction, behind everything
        auto operator<=>(const Key&) const = default;
    };
    static constexpr std::uint32_t last = 0xffffffff;

    // A place in the schedule. Its owner keeps it where it is for as long as it stands here.
    class Place {
    public:
        Place() = default;
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

        bool scheduled() const { return level_ != nullptr; }
        // Its share among equals.
        void weigh(std::uint32_t weight) { cost_ = scale / weight; }

    private:
        friend class Schedule;
        Level* level_ = nullptr;
        Instant deadline_ = never;
        std::uint64_t rank_ = 0;      // by which it stands among those without a deadline
        std::uint64_t served_ = 0;    // what it has had, in bytes by weight
        std::uint64_t arrival_ = 0;   // among equals first come, first served
        std::uint64_t cost_ = scale;  // of a byte
    };

    Schedule() = default;
    Schedule(const Schedule&) = delete;
    Schedule& operator=(const Schedule&) = delete;

    // Gives it a place, or another one when it has one already.
    void put(Place& place, const Key& key, Instant deadline) {
        const bool there = place.level_ && place.level_->key == key && place.deadline_ == deadline;
        if (!there) move(place, key, deadline);
    }
    void take_out(Place& place);
    // Whose turn it is; nullptr: nobody's.
    Place* turn() { return decided_ ? turn_ : decide(); }
    // Whether it is this one's turn, and nobody else's is as near.
    bool alone(const Place* place) {
        return place && turn() == place && place->level_->places.size() == 1;
    }
    // Whose turn it was has been given so many bytes.
    void served(std::uint64_t bytes) {
        if (!turn_) return;
        Level& level = *turn_->level_;
        level.clock = std::max(level.clock, turn_->served_);
        turn_->served_ += bytes * turn_->cost_;
        if (turn_->deadline_ == never && level.places.size() > 1) give_way();
    }

private:
    struct Order {
        Instant deadline;
        std::uint64_t rank;
        std::uint64_t arrival;
        Place* place;
        bool operator<(const Order& other) const {
            if (deadline != other.deadline) return deadline < other.deadline;
            if (rank != other.rank) return rank < other.rank;
            return arrival < other.arrival;
        }
    };
    using Places = std::set<Order>;
    struct Level {
        Key key;
        Places places;
        std::uint64_t clock = 0;  // what the one that was served last has had
    };
    // How far one may get ahead of the next before that has its turn: a few small messages, so that
    // equals share a packet.
    static constexpr std::uint64_t quantum = 256;
    static constexpr std::size_t most_kept = 64;

    static Order order_of(Place& place) {
        return {place.deadline_, place.rank_, place.arrival_, &place};
    }
    void move(Place& place, const Key& key, Instant deadline);
    Place* decide();
    void give_way();
    void insert(Level& level, Place& place);

    std::map<Key, Level> levels_;  // empty ones are kept for their next use, up to a number
    std::vector<Places::node_type> spare_;
    Place* turn_ = nullptr;
    bool decided_ = false;  // nothing has happened that would make it another one's turn
    std::uint64_t arrivals_ = 0;
};

}  // namespace post::core
