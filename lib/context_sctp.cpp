// SCTP on the ports of the root: over DTLS beside QUIC, told apart by the first byte, and right
// over UDP on ports of its own.
#include <algorithm>
#include <array>

#include "lib/context_root.hpp"

namespace post::core {

namespace {

// Where an interface takes so much it is the only one on the way (loopback); else every path
// carries least_payload, and probes find out whether one carries more: what the interface takes, or
// where nobody knows that, what Ethernet does.
constexpr std::size_t local_only = 65'500;
constexpr std::size_t local_payload = 16 * 1024;
constexpr std::size_t least_payload = 1200;
constexpr std::size_t usual_payload = 1472;

}  // namespace

sctp::TransportOptions Root::sctp_transport(const Bounds& bounds, const SctpOptions& sctp) const {
    sctp::TransportOptions options;
    options.limits = limits(bounds);
    options.streams = sctp.streams;
    options.local_port = sctp.local_port;
    options.remote_port = sctp.remote_port;
    if (sctp.largest_payload) options.largest_plain = sctp.largest_payload;
    return options;
}

std::size_t Root::largest_sctp(const Address& remote, const SctpOptions& sctp, std::size_t mtu) {
    const std::size_t limit = payload_limit(remote, mtu);
    if (sctp.largest_payload)
        return limit ? std::min(limit, sctp.largest_payload) : sctp.largest_payload;
    return limit >= local_only ? std::min(limit, local_payload) : least_payload;
}

// 0: no more than that is asked for.
std::size_t Root::largest_sctp_probe(const Address& remote, const SctpOptions& sctp,
                                     std::size_t mtu) {
    if (sctp.largest_payload) return 0;
    const std::size_t limit = payload_limit(remote, mtu);
    return limit ? std::min(limit, local_payload) : usual_payload;
}

sctp::Engine& Root::engine() {
    if (!sctp_) sctp_ = std::make_unique<sctp::Engine>([this] { io_->wake(); });
    return *sctp_;
}

sctp::EndpointOptions Root::sctp_endpoint() {
    sctp::EndpointOptions options;
    options.random = [this](std::span<std::byte> bytes) { io_->random(bytes); };
    return options;
}

sctp::DtlsEndpoint& Root::dtls_endpoint(Port& port) {
    if (!port.dtls) port.dtls = std::make_unique<sctp::DtlsEndpoint>(engine(), sctp_endpoint());
    return *port.dtls;
}

sctp::UdpEndpoint& Root::udp_endpoint(Port& port) {
    if (!port.udp) port.udp = std::make_unique<sctp::UdpEndpoint>(engine(), sctp_endpoint());
    return *port.udp;
}

void Root::listen_sctp(Port& port, const Local& local, const ListenOptions& options) {
    sctp::AcceptOptions& accept = port.accept_sctp.emplace();
    accept.security = security(local, options, Stack::sctp_dtls);
    for (const std::string& alpn : options.alpn) accept.alpn.push_back(alpn);
    accept.transport = sctp_transport(options.bounds, options.sctp);
    port.sctp = options.sctp;
}

Result<std::unique_ptr<Mapping>> Root::connect_sctp(const Association& association,
                                                    const Setup& setup, Way& way,
                                                    TransientId transient) {
    auto connect = sctp_way(association, setup, way);
    resume(association, setup, Stack::sctp_dtls, way, connect.security);
    return dtls_endpoint(*way.port).connect(now_, transient, connect);
}

sctp::ConnectOptions Root::sctp_way(const Association& association, const Setup& setup,
                                    const Way& way) {
    const InitiateOptions& options = setup.options;
    auto connect = way_to<sctp::ConnectOptions>(way.remote, way.port->local, association, options);
    connect.transport = sctp_transport(options.bounds, options.sctp);
    connect.transport.largest_payload = largest_sctp(way.remote, options.sctp, way.path.mtu);
    connect.transport.largest_probe = largest_sctp_probe(way.remote, options.sctp, way.path.mtu);
    connect.transport.run_limit = io_->run_limit(way.port->socket);
    return connect;
}

void Root::route_sctp(Port& port, const Datagrams& datagrams) {
    const bool listening = port.listener && port.accept_sctp;
    if (!port.dtls && !listening) return;
    std::array<std::byte, 128> answer;
    for (Datagrams rest = datagrams; !rest.empty();) {
        const auto routed = dtls_endpoint(port).route(now_, rest, listening, answer);
        if (const auto* to = std::get_if<sctp::DtlsEndpoint::ToConnection>(&routed)) {
            return give(to->transient, rest);
        }
        const Datagrams first = rest.first(1);
        rest = rest.after(1);
        if (const auto* client = std::get_if<sctp::DtlsEndpoint::NewClient>(&routed)) {
            accept_sctp(port, first, client->proof);
        } else if (const auto* word = std::get_if<sctp::DtlsEndpoint::Answer>(&routed)) {
            const Datagrams back{first.local, first.remote, Ecn::not_ect, word->size,
                                 std::span<const std::byte>(answer).first(word->size)};
            io_->send(port.socket, back);
        }
    }
}

void Root::accept_sctp(Port& port, const Datagrams& first, const crypto::DtlsPrestate& proof) {
    sctp::AcceptOptions& accept = *port.accept_sctp;
    accept.transport.largest_payload = largest_sctp(first.remote, port.sctp);
    accept.transport.largest_probe = largest_sctp_probe(first.remote, port.sctp);
    accept.transport.run_limit = io_->run_limit(port.socket);
    Association& made = take_client(port);
    taken(made, port.dtls->accept(now_, transient_of({made.id(), {}}), accept, first, proof));
}

// Right over UDP.

void Root::listen_sctp_udp(Port& port, std::uint16_t sctp_port, const ListenOptions& options) {
    sctp::TransportOptions transport = sctp_transport(options.bounds, options.sctp);
    port.sctp = options.sctp;
    transport.run_limit = io_->run_limit(port.socket);
    udp_endpoint(port).listen(sctp_port, transport);
}

Result<std::unique_ptr<Mapping>> Root::connect_sctp_udp(const Association& association,
                                                        const Setup& setup, const Way& way,
                                                        TransientId transient,
                                                        std::uint16_t sctp_port) {
    auto connect = sctp_way(association, setup, way);
    connect.transport.remote_port = sctp_port;
    connect.transport.post = setup.options.alpn.empty();
    return udp_endpoint(*way.port).connect(now_, transient, connect);
}

void Root::route_sctp_udp(Port& port, const Datagrams& datagrams) {
    std::array<std::byte, 1280> answer;
    for (Datagrams rest = datagrams; !rest.empty();) {
        const auto routed = port.udp->route(now_, rest, answer);
        const auto* to = std::get_if<sctp::UdpEndpoint::ToConnection>(&routed);
        const std::size_t count = to ? to->datagrams : 1;
        const Datagrams front = rest.first(count);
        rest = rest.after(count);
        if (to) {
            give(to->transient, front);
        } else if (std::holds_alternative<sctp::UdpEndpoint::NewClient>(routed)) {
            Association& made = take_client(port);
            const sctp::PathSizes sizes{largest_sctp(front.remote, port.sctp),
                                        largest_sctp_probe(front.remote, port.sctp)};
            taken(made, port.udp->accept(now_, transient_of({made.id(), {}}), front, sizes));
        } else if (const auto* word = std::get_if<sctp::UdpEndpoint::Answer>(&routed)) {
            const Datagrams back{front.local, front.remote, Ecn::not_ect, word->size,
                                 std::span<const std::byte>(answer).first(word->size)};
            io_->send(port.socket, back);
        }
    }
}

// The timers of usrsctp, and what they and other threads brought.
void Root::serve_sctp() {
    if (!sctp_) return;
    sctp_->tick(now_);
    touched_.clear();
    sctp_->poll_touched(touched_);
    for (TransientId transient : touched_)
        associations_.use(associations_.route(transient).association);
}

}  // namespace post::core
