// Associations that rest are put away (lib/association/parked.hpp), with what the root has of them.
#include "lib/context_root.hpp"

namespace post::core {

void Root::park(AssociationId id) {
    Association* const found = associations_.peek(id);
    const Setup& setup = setups_[id];
    const bool free = setup.ways.empty() && setup.lookups.empty() && setup.moves.number == 0;
    if (!free || !found->may_park()) return;
    associations_.park(id, setup.options);
    forget(id);
}

}  // namespace post::core
