// Ports: sockets and endpoints are opened and shared here, and connections begin.
#include <algorithm>

#include "lib/context_paths.hpp"
#include "lib/context_root.hpp"
#include "lib/policy/stacks.hpp"
#include "mappings/http3/protocols.hpp"
#include "mappings/quic/path_mtu.hpp"

namespace post::core {

namespace {

// What a key update costs is spread over so many packets at least.
constexpr std::uint64_t least_key_life = 64;
// Contexts on one port.
constexpr std::uint16_t most_shared = 1024;
constexpr std::size_t least_reset_key = 32;

bool good_alpn(const std::string& alpn) { return !alpn.empty() && alpn.size() <= 255; }

Error wrong(std::string text) {
    return Error(Errc::invalid_argument, {}, Stage::call, Bytes(std::move(text)));
}

bool names(const Policy& policy, Stack stack) {
    return std::find(policy.stacks.begin(), policy.stacks.end(), stack) != policy.stacks.end();
}

// Whether the policy names nothing else than this.
bool only(const Policy& policy, Stack stack) {
    return std::all_of(policy.stacks.begin(), policy.stacks.end(),
                       [&](Stack one) { return one == stack; });
}

Result<void> check(const Bounds& bounds, const Policy& policy) {
    if (policy.stacks.empty())
        return Error(Errc::unsupported, {}, Stage::call, "the policy names no stack");
    for (const Stack stack : policy.stacks) {
        const bool datagrams = stack == Stack::udp || stack == Stack::udp_lite;
        if (!row(stack).secure && policy.security == Security::required)
            return Error(Errc::unsupported, {}, Stage::call,
                         std::string(to_string(stack)) +
                             " is not secured: Policy::security must be Security::none for it");
        if (datagrams && policy.stacks.size() > 1)
            return wrong(std::string(to_string(stack)) +
                         " shares its port with nobody and is raced with nobody: it has to be the "
                         "only one of Policy::stacks");
    }
    if (bounds.largest_message == 0 || bounds.receive_budget == 0 || bounds.send_budget == 0 ||
        bounds.association_send_budget == 0 || bounds.unsettled == 0 || bounds.carriers == 0)
        return wrong("a bound is zero");
    constexpr std::uint64_t largest = std::uint64_t{1} << 60;
    if (std::max({bounds.largest_message, bounds.receive_budget, bounds.send_budget,
                  bounds.association_send_budget, bounds.unsettled, bounds.carriers}) > largest)
        return wrong("a bound is above 2^60");
    if (bounds.largest_message > bounds.receive_budget / 2)
        return wrong(
            "Bounds::largest_message is more than half of Bounds::receive_budget, so that "
            "its memory could not be promised");
    if (bounds.handshake_timeout <= Duration::zero() || bounds.idle_timeout <= Duration::zero() ||
        bounds.linger < Duration::zero() || bounds.continuity < Duration::zero() ||
        bounds.dormant_for < Duration::zero())
        return wrong("a timeout is not positive");
    if (bounds.keep_alive && *bounds.keep_alive < Duration::zero())
        return wrong("Bounds::keep_alive is negative");
    return {};
}

Result<void> check(const QuicOptions& quic) {
    const auto& versions = quic.versions;
    if (versions.empty() || versions.size() > 2 ||
        (versions.size() == 2 && versions[0] == versions[1]))
        return wrong("QuicOptions::versions names one or two different versions");
    for (QuicVersion version : versions)
        if (version != QuicVersion::v1 && version != QuicVersion::v2)
            return wrong("QuicOptions::versions has one that does not exist");
    if (quic.largest_payload != 0 &&
        (quic.largest_payload < quic::least_payload || quic.largest_payload > largest_run))
        return wrong("QuicOptions::largest_payload is 0, or 1200 to 65507 bytes");
    if (quic.key_update_after < least_key_life)
        return wrong("QuicOptions::key_update_after is less than 64 packets");
    if (!quic.reset_key.empty() && quic.reset_key.size() < least_reset_key)
        return wrong("QuicOptions::reset_key is shorter than 32 bytes");
    const auto bad = [](const Address& address, Address::Family family) {
        return address.family != Address::Family::none &&
               (address.family != family || address.port == 0 || address.is_any() ||
                address.is_multicast());
    };
    if (bad(quic.preferred_v4, Address::Family::v4) || bad(quic.preferred_v6, Address::Family::v6))
        return wrong("QuicOptions::preferred_v4 and preferred_v6 are an address and a port each");
    return {};
}

Result<void> check(const SctpOptions& sctp) {
    constexpr std::size_t least_payload = 512;
    constexpr std::uint16_t least_streams = 3;
    if (sctp.local_port == 0 || sctp.remote_port == 0)
        return wrong("SctpOptions::local_port and remote_port are 1 to 65535");
    if (sctp.streams < least_streams) return wrong("SctpOptions::streams is 3 to 65535");
    if (sctp.largest_payload != 0 &&
        (sctp.largest_payload < least_payload || sctp.largest_payload > largest_run))
        return wrong("SctpOptions::largest_payload is 0, or 512 to 65507 bytes");
    return {};
}

Result<void> check(const TlsOptions& tls) {
    if (tls.keep_alive < Duration::zero() || tls.user_timeout < Duration::zero())
        return wrong("TlsOptions::keep_alive and user_timeout are not negative");
    return {};
}

Result<void> check(const UdpOptions& udp) {
    constexpr std::size_t most_flows = std::size_t{1} << 20;
    constexpr std::size_t most_sources = 64;
    if (Error error = Association::datagram_error(udp.datagrams)) return error;
    if (udp.least_coverage != 0 && udp.least_coverage < 8)
        return wrong("UdpOptions::least_coverage is 0, or 8 and more");
    if (udp.flows == 0 || udp.flows > most_flows) return wrong("UdpOptions::flows is 1 to 2^20");
    if (udp.sources.size() > most_sources) return wrong("UdpOptions::sources are at most 64");
    return {};
}

// What initiate and listen have in common.
template <class Options> Result<void> check_common(const Options& options) {
    if (auto fine = check(options.bounds, options.policy); !fine) return fine;
    if (auto fine = check(options.quic); !fine) return fine;
    if (auto fine = check(options.sctp); !fine) return fine;
    if (auto fine = check(options.udp); !fine) return fine;
    if (of_datagrams(options.policy) && !options.alpn.empty())
        return wrong("datagrams have no handshake in which an ALPN could be agreed on");
    return check(options.tls);
}

// A standby is tls, and has to be kept alive.
Result<void> check_standby(const InitiateOptions& options) {
    const Policy& policy = options.policy;
    if (policy.redundant_below < Duration::zero())
        return wrong("Policy::redundant_below is negative");
    if (!policy.standby && policy.redundant_below > Duration::zero())
        return wrong("Policy::redundant_below needs Policy::standby: there is no other way");
    if (!policy.standby) return {};
    const auto& stacks = policy.stacks;
    if (std::find(stacks.begin(), stacks.end(), Stack::tls) == stacks.end())
        return wrong("Policy::standby needs Stack::tls among Policy::stacks");
    if (options.bounds.continuity == Duration::zero())
        return wrong("Policy::standby needs Bounds::continuity, which is zero");
    if (options.bounds.keep_alive == Duration::zero())
        return wrong("Policy::standby has to be kept alive, and Bounds::keep_alive is zero");
    return {};
}

}  // namespace

Result<void> Root::check_initiate(const InitiateOptions& options) {
    if (auto fine = check_common(options); !fine) return fine;
    if (auto fine = check_standby(options); !fine) return fine;
    if (options.without_alpn && !only(options.policy, Stack::tls))
        return Error(Errc::unsupported, {}, Stage::call,
                     "InitiateOptions::without_alpn is for tls alone: the other stacks need ALPN, "
                     "or have none; let Policy::stacks name nothing but Stack::tls");
    if (!options.alpn.empty() && options.policy.stacks.front() == Stack::tcp)
        return Error(Errc::unsupported, {}, Stage::call,
                     "tcp has no ALPN: leave InitiateOptions::alpn empty");
    if (options.quic.address_validation != QuicOptions{}.address_validation ||
        !options.quic.reset_key.empty() ||
        options.quic.preferred_v4.family != Address::Family::none ||
        options.quic.preferred_v6.family != Address::Family::none)
        return wrong(
            "QuicOptions::address_validation, reset_key, preferred_v4 and preferred_v6 are for "
            "listen");
    if (!options.alpn.empty() && !good_alpn(options.alpn))
        return wrong("an ALPN token has 1 to 255 bytes");
    if (options.local.shared != 0 || options.local.of != 1)
        return wrong("Local::shared is for listen");
    return check(options.local);
}

Result<void> Root::check_listen(const Local& local, const ListenOptions& options) {
    if (auto fine = check_common(options); !fine) return fine;
    if (names(options.policy, Stack::tcp) && names(options.policy, Stack::tls))
        return wrong(
            "tcp and tls cannot share a TCP port, since nothing tells a client of one from a "
            "client of the other: listen twice, on two ports");
    if (!local.identity && !only(options.policy, Stack::tcp) && !of_datagrams(options.policy))
        return wrong(
            "a Listener needs an identity: Identity::from_files(certificate, key), or "
            "Identity::self_signed(\"localhost\") for development");
    if (options.early_data && options.client_certificate != ListenOptions::ClientCertificate::none)
        return wrong(
            "ListenOptions::early_data is not for Listeners that ask for certificates: whom early "
            "data is from is known behind the handshake");
    if (options.tickets > 16) return wrong("ListenOptions::tickets is 0 to 16");
    for (const std::string& alpn : options.alpn)
        if (!good_alpn(alpn)) return wrong("an ALPN token has 1 to 255 bytes");
    if (!http3::good_protocols(options.http.connect))
        return wrong("HttpOptions::connect has at most 16 tokens of 1 to 64 bytes");
    if (local.of == 0 || local.of > most_shared || local.shared >= local.of)
        return wrong("Local::shared is 0 to Local::of - 1, and Local::of at most 1024");
    if (local.of > 1 && local.port == 0 && local.address.port == 0)
        return wrong("a port that is shared must be named: Local::port");
    return check(local);
}

std::array<std::uint8_t, 16> Root::random_name() {
    std::array<std::uint8_t, 16> name;
    io_->random(std::as_writable_bytes(std::span(name)));
    return name;
}

Limits Root::limits(const Bounds& bounds) {
    Limits limits;
    limits.budget = bounds.receive_budget;
    limits.most_carriers = bounds.carriers;
    limits.carriers = std::min(limits.carriers, bounds.carriers);
    limits.largest_message = bounds.largest_message;
    limits.handshake_timeout = bounds.handshake_timeout;
    limits.idle_timeout = bounds.idle_timeout;
    limits.keep_alive = bounds.keep_alive;
    return limits;
}

quic::TransportOptions Root::transport(const Bounds& bounds, const QuicOptions& quic) const {
    quic::TransportOptions options;
    options.limits = limits(bounds);
    options.versions = quic.versions;
    options.congestion = quic.congestion;
    options.key_update_after = quic.key_update_after;
    options.take_preferred = quic.take_preferred;
    return options;
}

// As large as the interface allows, and as the application does.
std::size_t Root::largest_payload(const Address& remote, const QuicOptions& quic, std::size_t mtu) {
    const std::size_t limit = payload_limit(remote, mtu);
    if (limit == 0) return quic.largest_payload ? quic.largest_payload : quic::least_payload;
    return quic.largest_payload ? std::min(limit, quic.largest_payload) : limit;
}

// `listen`: what clients are taken with; none: no clients are.
Result<Root::Port*> Root::open_port(const Address& local, const QuicOptions* listen,
                                    Io::Share share, const Io::Outlet& outlet) {
    auto socket = io_->open_udp({.local = local, .share = share, .outlet = outlet});
    if (!socket) return socket.error();
    auto port = std::make_unique<Port>();
    port->socket = *socket;
    port->local = io_->local_address(*socket);
    port->interface = outlet.interface;
    port->dscp = outlet.dscp;
    quic::EndpointOptions options;
    options.random = [this](std::span<std::byte> bytes) { io_->random(bytes); };
    options.protection = protection_;
    options.context_index = share.index;
    options.contexts = share.of;
    options.log = static_cast<bool>(logs_);
    options.versions.clear();
    if (listen) {
        options.versions = listen->versions;
        options.reset_key = listen->reset_key;
        if (listen->address_validation == AddressValidation::always) options.validate_from = 0;
    }
    port->endpoint = std::make_shared<quic::Endpoint>(std::move(options));
    ports_.push_back(std::move(port));
    return ports_.back().get();
}

// The client's port towards `remote`: one for each family, path and Local, shared by its
// associations.
Result<Root::Port*> Root::client_port(const Local& local, const LocalPath& path,
                                      const Address& remote, Stack stack) {
    const auto from = source(local, path, remote);
    if (!from) return from.error();
    const bool chosen = local.port != 0 && local.last_port == 0;
    for (const auto& port : ports_) {
        const std::uint16_t number = port->local.port;
        const bool same_port = local.port == 0 ? port->kept
                               : chosen        ? number == local.port
                                               : number >= local.port && number <= local.last_port;
        Address there = port->local;
        there.port = 0;
        // DTLS tells connections apart by their addresses alone.
        const bool taken = stack == Stack::sctp_dtls && port->dtls && port->dtls->reaches(remote);
        if ((stack == Stack::sctp_udp) != static_cast<bool>(port->udp)) continue;
        if (port->interface != path.index || port->dscp != local.dscp) continue;
        if (same_port && there == *from && (!taken || chosen)) return port.get();
    }
    auto opened = first_free(local, [&](std::uint16_t number) {
        Address at = *from;
        at.port = number;
        return open_port(at, nullptr, {}, outlet(local, path));
    });
    if (opened) (*opened)->kept = true;
    if (opened && stack == Stack::sctp_udp) udp_endpoint(**opened);
    return opened;
}

crypto::ClientSecurity Root::security(const Association& association,
                                      const InitiateOptions& options, const Address& remote,
                                      Resolution::Transport transport) {
    crypto::ClientSecurity security;
    security.identity = options.local.identity;
    security.trust = options.trust;
    security.server_name = association.options().remote->server_name();
    security.cipher = options.quic.cipher;
    auto certificates = association.certificates(remote, transport);
    security.tlsa = std::move(certificates.records);
    security.tlsa_host = std::move(certificates.host);
    return security;
}

crypto::ServerSecurity Root::security(const Local& local, const ListenOptions& options,
                                      Stack stack) {
    using Theirs = ListenOptions::ClientCertificate;
    crypto::ServerSecurity security;
    security.identity = local.identity;
    security.client_certificate = options.client_certificate == Theirs::required
                                      ? crypto::ClientCertificate::required
                                  : options.client_certificate == Theirs::optional
                                      ? crypto::ClientCertificate::optional
                                      : crypto::ClientCertificate::none;
    security.client_trust = options.client_trust;
    security.cipher = options.quic.cipher;
    security.tickets = tickets(ticket_keys_, early_guard_, local, options, stack);
    return security;
}

// How a connection of QUIC begins, whatever is spoken on it.
quic::ConnectOptions Root::quic_way(const Association& association, const Setup& setup, Way& way,
                                    Stack stack) {
    const InitiateOptions& options = setup.options;
    auto connect = way_to<quic::ConnectOptions>(way.remote, way.port->local, association, options);
    connect.transport = transport(options.bounds, options.quic);
    connect.transport.largest_payload = largest_payload(way.remote, options.quic, way.path.mtu);
    connect.transport.run_limit = io_->run_limit(way.port->socket);
    resume(association, setup, stack, way, connect.security);
    connect.parameters = way.parameters;
    connect.token = address_token(association, setup, way);
    connect.transport.initial_rtt = kept_rtt(association, setup, way);
    return connect;
}

Result<std::unique_ptr<Mapping>> Root::connect_quic(const Association& association,
                                                    const Setup& setup, Way& way,
                                                    TransientId transient) {
    return way.port->endpoint->connect(now_, transient,
                                       quic_way(association, setup, way, Stack::quic));
}

}  // namespace post::core
