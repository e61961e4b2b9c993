// The levels of the schedule and the order inside of each.
#include "lib/association/schedule.hpp"

namespace post::core {

void Schedule::move(Place& place, const Key& key, Instant deadline) {
    const Level* const before = place.level_;
    take_out(place);
    Level& level = levels_[key];
    level.key = key;
    // Who was away gets no more than the others for it.
    place.served_ = before == &level ? place.served_ : std::max(place.served_, level.clock);
    place.deadline_ = deadline;
    place.arrival_ = ++arrivals_;
    insert(level, place);
}

void Schedule::insert(Level& level, Place& place) {
    decided_ = false;
    place.level_ = &level;
    place.rank_ = place.deadline_ == never ? place.served_ : 0;
    if (spare_.empty()) {
        level.places.insert(order_of(place));
        return;
    }
    spare_.back().value() = order_of(place);
    level.places.insert(std::move(spare_.back()));
    spare_.pop_back();
}

void Schedule::take_out(Place& place) {
    Level* const level = place.level_;
    if (!level) return;
    place.level_ = nullptr;
    if (turn_ == &place) {
        turn_ = nullptr;
        decided_ = false;
    }
    auto node = level->places.extract(order_of(place));
    if (spare_.size() < most_kept) spare_.push_back(std::move(node));
    if (level->places.empty() && levels_.size() > most_kept) levels_.erase(level->key);
}

Schedule::Place* Schedule::decide() {
    decided_ = true;
    for (auto& [key, level] : levels_) {
        if (level.places.empty()) continue;
        return turn_ = level.places.begin()->place;
    }
    return turn_ = nullptr;
}

// To the next of its equals, when it has got too far ahead of it.
void Schedule::give_way() {
    Place& place = *turn_;
    Level& level = *place.level_;
    const auto at = level.places.begin();
    const Order& next = *std::next(at);
    if (at->place != &place || next.deadline != never ||
        place.served_ < next.rank + quantum * scale)
        return;
    decided_ = false;
    auto node = level.places.extract(at);
    place.rank_ = place.served_;
    node.value() = order_of(place);
    level.places.insert(std::move(node));
}

}  // namespace post::core
