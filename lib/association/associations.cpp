// The table of associations.
#include "lib/association/associations.hpp"

#include <algorithm>

namespace post::core {

const Associations::Slot* Associations::slot(AssociationId id) const {
    return const_cast<Associations*>(this)->slot(id);
}

Association& Associations::create(Association::Options options, const Key& key, Origin origin) {
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const std::uint32_t at = free_.back();
    free_.pop_back();
    Slot& made = slots_[at];
    ++made.generation;
    made.key = key;
    made.origin = origin;
    made.deadline = never;
    made.active = false;
    options.id = id_of(at, made.generation);
    made.association = std::make_unique<Association>(options, shared_);
    if (!key.empty()) {
        by_key_[hash_of(key)] = options.id;
        by_remote_.insert({hash_of_remote(key), 0, options.id});
    }
    ++live_;
    return *use(options.id);
}

Association* Associations::share(const Key& key) {
    unpark(key);
    const auto at = by_key_.find(hash_of(key));
    const Slot* const same = at == by_key_.end() ? nullptr : slot(at->second);
    if (!same || same->key != key) return nullptr;
    Association* found = use(at->second);
    const bool ending = !found || found->state() == Association::State::closing ||
                        found->state() == Association::State::gone;
    return ending ? nullptr : found;
}

Reuse Associations::look(const Key& key, Instant now) const {
    Reuse found;
    const std::size_t remote = hash_of_remote(key);
    std::vector<AssociationId> compared;
    for (auto at = by_remote_.lower_bound({remote}); at != by_remote_.end(); ++at) {
        if (at->remote != remote || compared.size() == most_compared) break;
        compared.push_back(at->id);
    }
    for (const AssociationId id : compared) {
        const Slot& one = *slot(id);  // made again, if it was put away
        if (remote_of(one.key) != remote_of(key)) continue;
        const bool ending = one.association->state() >= Association::State::closing;
        auto differs = differences(one.key, key);
        if (ending && !differs.empty()) continue;
        // The oldest among equals, whatever the order of the table.
        const bool nearer = found.how == Reuse::How::first ||
                            std::pair(differs.size(), id) <
                                std::pair(found.differs.size(), found.association);
        const bool joins = differs.empty() && !ending;
        if (found.how == Reuse::How::joined || (!nearer && !joins)) continue;
        found.how = joins ? Reuse::How::joined : ending ? Reuse::How::ending : Reuse::How::differs;
        found.association = id;
        found.age = age(id, now);
        found.differs = std::move(differs);
    }
    return found;
}

void Associations::explain(AssociationId id, Reuse reuse) {
    if (Slot* found = slot(id)) found->reuse = std::move(reuse);
}

const Reuse* Associations::reuse(AssociationId id) const {
    const Slot* found = slot(id);
    return found && found->reuse ? &*found->reuse : nullptr;
}

Duration Associations::age(AssociationId id, Instant now) const {
    const Association* found = find(id);
    if (!found || found->state() != Association::State::established) return Reuse::never_was;
    const Establishment* known = found->establishment();
    return known ? now - known->ended : Duration::zero();
}

Association* Associations::peek(AssociationId id) {
    Slot* found = slot(id);
    return found ? found->association.get() : nullptr;
}

const Association* Associations::find(AssociationId id) const {
    const Slot* found = slot(id);
    return found ? found->association.get() : nullptr;
}

Associations::Origin Associations::origin(AssociationId id) const {
    const Slot* found = slot(id);
    return found ? found->origin : 0;
}

AssociationId Associations::find(const AssociationName& name) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? AssociationId{} : at->second;
}

void Associations::move(AssociationId from, const Route& to) { moved_[from] = to; }

void Associations::forget_move(const Route& route) {
    std::erase_if(moved_, [&](const auto& one) { return one.second == route; });
}

void Associations::take_active(std::vector<AssociationId>& taken) {
    if (!looked_at_.empty())
        for (const AssociationId id : std::exchange(looked_at_, {})) use(id);
    taken.clear();
    taken.swap(active_);
    for (AssociationId id : taken)
        if (Slot* found = slot(id)) found->active = false;
}

void Associations::wake(Instant now) {
    while (!timers_.empty() && timers_.begin()->first <= now) {
        const AssociationId id = timers_.begin()->second;
        spare_ = timers_.extract(timers_.begin());
        Slot* found = slot(id);
        found->deadline = never;
        use(id)->handle_timeout(now);
    }
}

bool Associations::put_back(AssociationId id) {
    Slot* found = slot(id);
    if (!found) return true;
    Association& association = *found->association;
    const bool over = association.state() == Association::State::gone &&
                      association.carriers() == 0;
    const Instant deadline = over ? never : association.deadline();
    if (deadline != found->deadline) {
        // Nodes are used again, so that timers that move every turn allocate nothing.
        if (found->deadline != never) spare_ = timers_.extract({found->deadline, id});
        found->deadline = deadline;
        if (deadline != never && spare_) {
            spare_.value() = {deadline, id};
            timers_.insert(std::move(spare_));
        } else if (deadline != never) {
            timers_.emplace(deadline, id);
        }
    }
    if (!over) return false;
    const Place place{hash_of_remote(found->key), 0, id};
    if (const auto named = by_name_.find(association.options().name);
        named != by_name_.end() && named->second == id)
        by_name_.erase(named);
    found->association.reset();
    forget(*found, place);
    return true;
}

// Its association is gone.
void Associations::forget(Slot& slot, const Place& place) {
    const auto at = by_key_.find(hash_of(slot.key));
    if (at != by_key_.end() && at->second == place.id) by_key_.erase(at);
    by_remote_.erase(place);
    slot.reuse = {};
    slot.key.clear();
    forget_woken(place.id);
    free_.push_back(slot_of(place.id));
    --live_;
}

Instant Associations::deadline() const { return timers_.empty() ? never : timers_.begin()->first; }

std::vector<AssociationId> Associations::all() const {
    std::vector<AssociationId> ids;
    for (std::uint32_t at = 0; at < slots_.size(); ++at)
        if (slots_[at].association || slots_[at].parked)
            ids.push_back(id_of(at, slots_[at].generation));
    return ids;
}

}  // namespace post::core
