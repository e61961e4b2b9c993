// How each feature is given on the stack in use, and why: the table's answer for this peer.
#include "lib/association/association.hpp"
#include "lib/policy/features.hpp"

namespace post::core {

Support Association::explain(Feature feature) const {
    if (connections_ && options_.role == Role::server && feature == Feature::fork)
        return {Support::Level::unsupported,
                "each Carrier is a connection of its own, and only the client connects"};
    const Peer peer{.plain = plain_,
                    .datagrams = alone(),
                    .messages = messages_,
                    .waits = (peer_features_ & feature::waits) == feature::waits,
                    .properties = (peer_features_ & feature::properties) != 0};
    return core::explain(stack_, feature, peer);
}

}  // namespace post::core
