// TCP connections of the root, with TLS and QMux in them: each is one association's, and its socket
// leads to it.
#include <algorithm>

#include "lib/context_root.hpp"

namespace post::core {

namespace {

// What a segment of TCP has less than a datagram of UDP: 20 bytes of header and 12 of timestamps
// (RFC 7323) instead of 8.
constexpr std::size_t header_more = 24;
// Where nothing is known: a segment that every path of 1280 bytes carries.
constexpr std::size_t least_segment = 1200;
// What one turn may take from a port (lib/io/tcp_sockets.cpp), and from two.
constexpr std::size_t most_at_once = 64;

}  // namespace

tls::Endpoint& Root::tls_endpoint() {
    if (tls_) return *tls_;
    tls::EndpointOptions options;
    options.random = [this](std::span<std::byte> bytes) { io_->random(bytes); };
    options.protection = protection_;
    options.foreign = [this](Instant now, const tls::TransportOptions& transport,
                             const Address& local, const Address& remote,
                             std::unique_ptr<crypto::TlsStream> tls) {
        return tcp_endpoint().accept(now, {transport.limits, transport.segment}, local, remote,
                                     std::move(tls));
    };
    tls_ = std::make_unique<tls::Endpoint>(std::move(options));
    return *tls_;
}

std::size_t Root::segment(const Address& remote, std::size_t mtu) {
    const std::size_t limit = payload_limit(remote, mtu);
    return limit > least_segment + header_more ? limit - header_more : least_segment;
}

Result<Root::Started> Root::connect_tls(const Association& association, const Setup& setup,
                                        const Connect& wanted) {
    const Address& remote = wanted.remote;
    const InitiateOptions& options = setup.options;
    const auto socket = connect_from(options, wanted.path, remote);
    if (!socket) return socket.error();
    auto connect = way_to<tls::ConnectOptions>(remote, io_->local_address(*socket), association,
                                               options, Resolution::Transport::tcp);
    Way way;
    way.path = wanted.path;
    resume(association, setup, Stack::tls, way, connect.security);
    connect.parameters = way.parameters;
    connect.transport.limits = limits(options.bounds);
    connect.transport.segment = segment(remote, wanted.path.mtu);
    auto mapping = tls_endpoint().connect(now_, connect);
    if (!mapping) {
        io_->close(*socket);
        return mapping.error();
    }
    way.attempt = wanted.attempt;
    way.connection = *socket;
    way.remote = remote;
    return Started{way, *std::move(mapping)};
}

Result<Root::TcpPort> Root::open_tcp_port(const Address& local, const Io::Outlet& outlet,
                                          bool shared, const TlsOptions& options) {
    Io::TcpOptions tcp = tcp_options(local, options);
    tcp.shared = shared;
    tcp.outlet = outlet;
    const auto socket = io_->listen_tcp(tcp);
    if (!socket) return socket.error();
    TcpPort port;
    port.socket = *socket;
    port.local = io_->local_address(*socket);
    return port;
}

// While the door is full clients wait in the system, which has made their connections: whoever is
// turned away would have failed.
void Root::hold_doors() {
    const bool full = tls_ && !tls_->has_room(most_at_once);
    if (std::exchange(doors_held_, full) == full) return;
    for (const TcpPort& port : tcp_ports_)
        if (port.secured) io_->hold(port.socket, full);
}

void Root::take_connections() {
    for (const Io::Taken& taken_one : io_->poll_taken()) {
        const auto port = std::find_if(
            tcp_ports_.begin(), tcp_ports_.end(),
            [&](const TcpPort& one) { return one.socket == taken_one.listener; });
        if (port == tcp_ports_.end()) {
            io_->close(taken_one.socket);
            continue;
        }
        if (!port->secured) {
            accept_bytes(*port, taken_one);
            continue;
        }
        port->accept.transport.segment = segment(taken_one.remote);
        auto mapping = tls_endpoint().accept(now_, port->accept, taken_one.local, taken_one.remote);
        if (!mapping) {  // the door is full
            io_->close(taken_one.socket);
            continue;
        }
        Association& made = take_client(port->listener, port->bounds);
        Way way;
        way.connection = taken_one.socket;
        setups_[made.id()].ways.push_back(way);
        connections_[taken_one.socket] = {{made.id(), {}}, {}};
        made.attach(std::move(*mapping));
    }
    hold_doors();
}

void Root::handle_input(const Connection& connection, const Io::Received& received) {
    const auto [route, link] = connection;
    Association* found = associations_.use(route.association);
    if (!found) return;
    Datagrams bytes = received.datagrams;
    bytes.link = link.value_or(LinkId{});
    if (!bytes.empty()) found->handle_input(now_, route.attempt, bytes);
    // The handshake may have chosen a foreign protocol.
    if (!link && found->links())
        if (Way* const adopted = way(route)) adopt_link(*found, *adopted);
    if (received.end && link)
        found->handle_link(now_, route.attempt, {*link, link::Ended{}});
    else if (received.end)
        found->handle_end(now_, route.attempt);
}

}  // namespace post::core
