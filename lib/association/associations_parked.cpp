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
    found.parked->remote_hash = hash_of_remote(found.key);
    found.parked->key_hash = hash_of(found.key);
    stand(id, *found.parked, true);
    if (const auto at = by_key_.find(found.parked->key_hash);
        at != by_key_.end() && at->second == id)
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
    stand(id, *parked, false);
    slot.association = std::make_unique<Association>(id, std::move(*parked), terms_.bounds(terms),
                                                     shared_);
    if (const auto& remote = slot.association->options().remote) {
        slot.key = sharing_key(*remote, terms_.options(terms));
        // Another one may have come in its place.
        by_key_.emplace(hash_of(slot.key), id);
    }
    woken_[id] = terms;
    looked_at_.push_back(id);
    return slot;
}

// It stands among those of its Remote as one that is put away, or no more.
void Associations::stand(AssociationId id, const Parked& as, bool away) {
    auto node = by_remote_.extract({as.remote_hash, away ? 0 : as.key_hash, id});
    if (!node) return;  // a server's
    node.value().key = away ? as.key_hash : 0;
    by_remote_.insert(std::move(node));
}

// Those that may have this key, so that they are found by it.
void Associations::unpark(const Key& key) {
    const std::size_t hash = hash_of(key);
    const Place first{hash_of_remote(key), hash};
    std::vector<AssociationId> found;
    for (auto at = by_remote_.lower_bound(first); at != by_remote_.end(); ++at) {
        if (at->remote != first.remote || at->key != first.key) break;
        found.push_back(at->id);
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
    forget(dropped, {parked->remote_hash, parked->key_hash, id});
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
