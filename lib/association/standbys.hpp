// Which connections stand by for which associations of listeners (FORMAT.md, 7.3): at most one for
// each. The connection is an association of its own until it is attached, and asks here from time
// to time whether it still is wanted.
#pragma once

#include <unordered_map>

#include <post/ids.hpp>

namespace post::core {

class Standbys {
public:
    // From now on it is this one; another one is not any more.
    void take(AssociationId owner, AssociationId standby) { by_owner_[owner] = standby; }
    bool stands(AssociationId owner, AssociationId standby) const {
        const auto at = by_owner_.find(owner);
        return at != by_owner_.end() && at->second == standby;
    }
    // The association is over, or the connection.
    void forget(AssociationId owner) { by_owner_.erase(owner); }
    void forget(AssociationId owner, AssociationId standby) {
        if (stands(owner, standby)) by_owner_.erase(owner);
    }

private:
    std::unordered_map<AssociationId, AssociationId> by_owner_;
};

}  // namespace post::core
