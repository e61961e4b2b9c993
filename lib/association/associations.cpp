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
    if (!key.empty()) by_key_[key] = options.id;
    ++live_;
    return *use(options.id);
}

Association* Associations::share(const Key& key) {
    const auto at = by_key_.find(key);
    if (at == by_key_.end()) return nullptr;
    Association* found = use(at->second);
    const bool ending = !found || found->state() == Association::State::closing ||
                        found->state() == Association::State::gone;
    return ending ? nullptr : found;
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

void Associations::take_active(std::vector<AssociationId>& taken) {
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
    const auto at = by_key_.find(found->key);
    if (at != by_key_.end() && at->second == id) by_key_.erase(at);
    found->association.reset();
    found->key.clear();
    free_.push_back(slot_of(id));
    --live_;
    return true;
}

Instant Associations::deadline() const { return timers_.empty() ? never : timers_.begin()->first; }

std::vector<AssociationId> Associations::all() const {
    std::vector<AssociationId> ids;
    for (std::uint32_t at = 0; at < slots_.size(); ++at)
        if (slots_[at].association) ids.push_back(id_of(at, slots_[at].generation));
    return ids;
}

}  // namespace post::core
