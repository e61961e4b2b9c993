// Those of the table that are put away.
#include <algorithm>

#include "lib/association/associations.hpp"

namespace post::core {

void Associations::park(AssociationId id, const InitiateOptions& options) {
    Slot& found = *slot(id);
    const bool client = found.association->options().role == Role::client;
    const TermsId terms = client ? terms_.keep(options)
                                 : terms_.keep(found.association->options().bounds);
    found.parked = std::make_unique<Parked>(found.association->park());
    found.association.reset();
    found.parked->terms = terms;
    found.parked->key_hash = std::hash<Key>{}(found.key);
    found.parked->place = place_of(found.key);
    if (const auto at = by_key_.find(found.key); at != by_key_.end() && at->second == id)
        by_key_.erase(at);
    Key().swap(found.key);
    // It is said again from what is known; but for what it differed in.
    if (found.reuse && found.reuse->how == Reuse::How::first) found.reuse = {};
    forget_woken(id);
}

bool Associations::parked(AssociationId id) const {
    const std::uint32_t at = slot_of(id);
    return at < slots_.size() && slots_[at].parked &&
           slots_[at].generation == id.value() >> slot_bits;
}

Activity Associations::activity(AssociationId id) const {
    if (parked(id)) return Activity::dormant;
    const Association* found = find(id);
    return found ? found->activity() : Activity::over;
}

Associations::Slot& Associations::unpark(Slot& slot, AssociationId id) {
    const auto parked = std::exchange(slot.parked, nullptr);
    const TermsId terms = parked->terms;
    slot.association = std::make_unique<Association>(id, std::move(*parked), terms_.bounds(terms),
                                                     shared_);
    if (const auto& remote = slot.association->options().remote) {
        slot.key = sharing_key(*remote, terms_.options(terms));
        // Another one may have come in its place.
        by_key_.emplace(slot.key, id);
    }
    woken_[id] = terms;
    looked_at_.push_back(id);
    return slot;
}

// Those that may have this key, so that they are found by it.
void Associations::unpark(const Key& key) {
    const std::size_t hash = std::hash<Key>{}(key);
    std::vector<AssociationId> found;
    const auto [first, last] = by_remote_.equal_range(place_of(key));
    for (auto at = first; at != last; ++at) {
        const Slot& one = slots_[slot_of(at->second)];
        if (one.parked && one.parked->key_hash == hash) found.push_back(at->second);
    }
    for (const AssociationId id : found) slot(id);
}

void Associations::drop_parked(AssociationId id) {
    Slot& dropped = slots_[slot_of(id)];
    const auto parked = std::exchange(dropped.parked, nullptr);
    if (dropped.deadline != never) timers_.erase({std::exchange(dropped.deadline, never), id});
    if (const auto named = by_name_.find(parked->name);
        named != by_name_.end() && named->second == id)
        by_name_.erase(named);
    shared_.dormant -= parked->counted;
    terms_.drop(parked->terms);
    forget(dropped, id, parked->place);
}

std::optional<InitiateOptions> Associations::poll_woken(AssociationId id) {
    const auto woken = woken_.empty() ? woken_.end() : woken_.find(id);
    if (woken == woken_.end()) return std::nullopt;
    std::optional<InitiateOptions> options;
    if (!slots_[slot_of(id)].key.empty()) options = terms_.options(woken->second);
    forget_woken(id);
    return options;
}

void Associations::forget_woken(AssociationId id) {
    if (const auto woken = woken_.extract(id)) terms_.drop(woken.mapped());
}

}  // namespace post::core
