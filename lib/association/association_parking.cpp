// An association that rests is put away, and made again when somebody asks for it.
#include <algorithm>

#include "lib/association/association.hpp"
#include "lib/association/parked.hpp"

namespace post::core {

// Whether Parked has a place for all that there is of it.
bool Association::may_park() {
    if (state_ != State::dormant || mapping_ || !leaves_.empty() || !events_.empty()) return false;
    const bool whole = control_.empty() && keepsakes_.empty() && lingering_.empty() &&
                       unheard_.empty() && continuity_->ended.empty() && held_.empty();
    return whole && inbox_.idle() && outbox_.idle() &&
           std::none_of(lanes_.begin(), lanes_.end(), [](const auto& one) {
               const Lane& lane = one.second;
               return lane.ended || lane.closing || lane.listed || lane.in.touched;
           });
}

Parked Association::park() {
    Parked parked;
    parked.lanes = std::move(lanes_);
    parked.role = options_.role;
    if (options_.remote) parked.keep(*options_.remote);
    if (const auto opened = inbox_.outcomes().plain())
        parked.opened = *opened;
    else
        parked.outcomes = std::make_unique<Outcomes>(std::move(inbox_.outcomes()));
    parked.guard = options_.guard;
    parked.key = continuity_->key;
    parked.name = continuity_->name;
    parked.epoch = continuity_->epoch;
    parked.race_id = options_.race_id;
    parked.next_carrier = next_carrier_;
    parked.peer_largest = peer_largest_;
    parked.peer_features = peer_features_;
    parked.give_up = dormancy_->give_up;
    parked.counted = std::exchange(dormancy_->counted, 0);
    parked.stack = stack_;
    parked.dane = options_.dane;
    return parked;
}

Association::Association(AssociationId id, Parked&& parked, const Bounds& bounds, Shared& shared)
    : Association(options_of(id, parked, bounds), shared) {
    lanes_ = std::move(parked.lanes);
    inbox_.outcomes() = parked.outcomes ? std::move(*parked.outcomes) : Outcomes::of(parked.opened);
    continuity_ = std::make_unique<Continuity>();
    continuity_->key = parked.key;
    continuity_->name = parked.name;
    continuity_->epoch = parked.epoch;
    dormancy_ = std::make_unique<Dormancy>();
    dormancy_->give_up = parked.give_up;
    dormancy_->counted = parked.counted;
    next_carrier_ = parked.next_carrier;
    peer_largest_ = parked.peer_largest;
    peer_features_ = parked.peer_features;
    stack_ = parked.stack;
    state_ = State::dormant;
}

// Who wakes it says how it is to race (race_by).
Association::Options Association::options_of(AssociationId id, const Parked& parked,
                                             const Bounds& bounds) {
    Options options;
    options.id = id;
    options.role = parked.role;
    if (parked.role == Role::client) options.remote = parked.where();
    options.bounds = bounds;
    options.name = parked.name;
    options.race_id = parked.race_id;
    options.dane = parked.dane;
    options.guard = parked.guard;
    return options;
}

}  // namespace post::core
