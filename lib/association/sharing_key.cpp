// All that Carriers must agree on to share an association.
#include <post/context.hpp>

#include "lib/association/sharing.hpp"

namespace post::core {

namespace {

// Where Remotes go by addresses, ports and other names.
void add_ways(SharingKey& key, const Remote& remote) {
    key.add(Reuse::Aspect::ways, remote.address().string());
    for (const Scheme scheme : {Scheme::post, Scheme::https, Scheme::quic, Scheme::sctp,
                                Scheme::tls, Scheme::tcp, Scheme::udp})
        key.add(Reuse::Aspect::ways, std::to_string(remote.port(scheme)));
}

}  // namespace

std::string sharing_key(const Remote& remote, const InitiateOptions& options) {
    using enum Reuse::Aspect;
    const std::string all = remote.string();  // of several the first one, and a comma
    std::string first = all.substr(0, all.find(", "));
    // What is asked of one host goes over one connection.
    if (remote.scheme() == Scheme::https && remote.target() != "/")
        first.resize(first.size() - remote.target().size());
    SharingKey key(std::move(first));
    add_ways(key, remote);
    for (const Remote& other : remote.others()) {
        key.add(ways, other.string());
        add_ways(key, other);
    }
    key.add(server_name, remote.server_name());
    key.add(local, options.local.address.string());
    key.add(local, std::to_string(options.local.port));
    key.add(local, std::to_string(options.local.last_port));
    for (const std::string& named : options.local.interfaces) key.add(local, named);
    key.add(local, "");  // behind the interfaces
    key.add(local, to_string(options.local.source));
    key.add(local, std::to_string(options.local.dscp));
    key.add(identity, options.local.identity.certificates().view());
    key.add(trust, std::to_string(static_cast<int>(options.trust.kind())));
    key.add(trust, options.trust.pin());
    key.add(trust, options.trust.fingerprint());
    key.add(trust, options.trust.authorities_pem().view());
    key.add(alpn, options.alpn);
    key.add(alpn, options.without_alpn ? "without" : "");
    key.add(security, std::to_string(static_cast<int>(options.policy.security)));
    for (Stack stack : options.policy.stacks) key.add(stacks, to_string(stack));
    if (options.policy.standby)
        key.add(stacks, "standby " + std::to_string(options.policy.redundant_below.count()));
    key.add(preferences, options.policy.preferences.string());
    const Bounds& bound = options.bounds;
    for (std::uint64_t number : {bound.largest_message, bound.receive_budget, bound.send_budget,
                                 bound.association_send_budget, bound.unsettled, bound.carriers})
        key.add(bounds, std::to_string(number));
    for (Duration time : {bound.handshake_timeout, bound.idle_timeout, bound.stalled_after,
                          bound.linger, bound.continuity, bound.dormant_for})
        key.add(bounds, std::to_string(time.count()));
    key.add(bounds, bound.keep_alive ? std::to_string(bound.keep_alive->count()) : "");
    for (QuicVersion version : options.quic.versions)
        key.add(quic, std::to_string(static_cast<std::uint32_t>(version)));
    key.add(quic, std::to_string(options.quic.largest_payload));
    key.add(quic, std::to_string(static_cast<int>(options.quic.congestion)));
    key.add(quic, std::to_string(static_cast<int>(options.quic.cipher)));
    key.add(quic, std::to_string(options.quic.key_update_after));
    key.add(quic, options.quic.take_preferred ? "" : "stays");
    for (std::size_t number :
         {std::size_t{options.sctp.local_port}, std::size_t{options.sctp.remote_port},
          std::size_t{options.sctp.streams}, options.sctp.largest_payload,
          std::size_t{options.sctp.udp_port}})
        key.add(sctp, std::to_string(number));
    for (const auto number :
         {std::int64_t{options.tls.multipath}, std::int64_t{options.tls.fast_open},
          std::int64_t{options.tls.keep_alive.count()},
          std::int64_t{options.tls.user_timeout.count()}})
        key.add(tls, std::to_string(number));
    key.add(isolation, options.isolation);
    return key.text();
}

}  // namespace post::core
