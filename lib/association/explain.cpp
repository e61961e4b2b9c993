// How each feature is given on the stack in use, and why: the table's answer for this peer.
#include "lib/association/association.hpp"
#include "lib/policy/features.hpp"

namespace post::core {

Support Association::explain(Feature feature) const {
    if (!mapping_ && options_.role == Role::client) {
        const auto& first = options_.race.stacks.empty() ? options_.race.insecure
                                                         : options_.race.stacks;
        const Stack stack = first.empty() ? stack_ : first.front();
        const bool plain = !options_.race.alpn.empty() || options_.eager;
        return core::explain(stack, feature, expected(stack, plain));
    }
    if (connections_ && options_.role == Role::server && feature == Feature::fork)
        return {Support::Level::unsupported,
                "each Carrier is a connection of its own, and only the client connects"};
    const Establishment* const known = feature == Feature::early_data ? establishment() : nullptr;
    if (known && known->early > 0)
        return {Support::Level::native,
                known->early_rejected
                    ? "what went with the first flight was not taken, and was sent again"
                    : "idempotent messages went with the first flight, and were taken"};
    const Peer peer{.plain = plain_,
                    .datagrams = alone(),
                    .messages = messages_,
                    .waits = (peer_features_ & feature::waits) == feature::waits,
                    .properties = (peer_features_ & feature::properties) != 0};
    return core::explain(stack_, feature, peer);
}

Support Association::explain(CarrierId carrier, Feature feature) const {
    const auto none = [](const char* reason) {
        return Support{Support::Level::unsupported, reason};
    };
    const Support support = explain(feature);
    const Lane* lane = find(carrier);
    if (!lane || support.level == Support::Level::unsupported) return support;
    if (feature == Feature::fork && lane->kind == CarrierKind::one_way)
        return none("a Source or Sink has no forks");
    if (feature == Feature::message_boundaries && lane->kind == CarrierKind::stream)
        return none("it is a Stream: bytes without boundaries");
    // Data channels may be opened to lose or to overtake (RFC 8832, 5.1).
    if (!lane->rare().channel || !messages_ || !plain_) return support;
    const ChannelOptions& channel = lane->rare().channel->options;
    if (feature == Feature::order && !channel.ordered)
        return none("the data channel was opened without an order");
    if (feature == Feature::reliability && (channel.retransmissions || channel.lifetime))
        return none("the data channel was opened to lose what comes too late");
    return support;
}

}  // namespace post::core
