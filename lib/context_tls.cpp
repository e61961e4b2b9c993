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

Io::TcpOptions tcp_options(const Address& local, const TlsOptions& options) {
    Io::TcpOptions tcp;
    tcp.local = local;
    tcp.multipath = options.multipath;
    tcp.keep_alive = options.keep_alive;
    tcp.user_timeout = options.user_timeout;
    return tcp;
}

}  // namespace

tls::Endpoint& Root::tls_endpoint() {
    if (tls_) return *tls_;
    tls::EndpointOptions options;
    options.random = [this](std::span<std::byte> bytes) { io_->random(bytes); };
    options.protection = protection_;
    tls_ = std::make_unique<tls::Endpoint>(std::move(options));
    return *tls_;
}

std::size_t Root::segment(const Address& remote) {
    const std::size_t limit = io_->payload_limit(remote);
    return limit > least_segment + header_more ? limit - header_more : least_segment;
}

std::optional<SocketId> Root::socket_of(const Setup& setup) {
    if (setup.connection) return setup.connection;
    if (setup.port) return setup.port->socket;
    return std::nullopt;
}

// Those who waited for room in their socket have it.
void Root::note_writable() {
    for (const SocketId socket : io_->poll_writable()) {
        const auto waiting = blocked_.find(socket);
        if (waiting == blocked_.end()) continue;
        for (const AssociationId id : waiting->second)
            if (associations_.use(id)) setups_[id].waits = false;
        blocked_.erase(waiting);
    }
}

void Root::connect_tls(Association& association, Setup& setup, const Address& remote) {
    const InitiateOptions& options = setup.options;
    Address local = options.local.address;
    if (options.local.port != 0) {
        if (local.family == Address::Family::none)
            local = remote.family == Address::Family::v6 ? Address::any_v6() : Address::any_v4();
        local.port = options.local.port;
    }
    const auto socket = io_->connect_tcp(tcp_options(local, options.tls), remote);
    if (!socket) {
        Error error = socket.error();
        error.stage = Stage::connect;
        return association.handle_failure(error);
    }
    auto connect = way_to<tls::ConnectOptions>(remote, io_->local_address(*socket), association,
                                               options);
    connect.transport.limits = limits(options.bounds);
    connect.transport.segment = segment(remote);
    auto mapping = tls_endpoint().connect(now_, connect);
    if (!mapping) {
        io_->close(*socket);
        return association.handle_failure(mapping.error());
    }
    if (setup.connection)
        for (;;) {
            const Datagrams last = association.poll_leaving(now_, space_);
            if (last.empty()) break;
            io_->send(*setup.connection, last);
        }
    drop_connection(setup);
    setup.connection = *socket;
    connections_[*socket] = association.id();
    association.attach(std::move(*mapping));
}

Result<Root::TcpPort> Root::open_tcp_port(const Address& local, bool shared,
                                          const TlsOptions& options) {
    Io::TcpOptions tcp = tcp_options(local, options);
    tcp.shared = shared;
    const auto socket = io_->listen_tcp(tcp);
    if (!socket) return socket.error();
    TcpPort port;
    port.socket = *socket;
    port.local = io_->local_address(*socket);
    return port;
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
        port->accept.transport.segment = segment(taken_one.remote);
        auto mapping = tls_endpoint().accept(now_, port->accept, taken_one.local, taken_one.remote);
        if (!mapping) {  // the door is full
            io_->close(taken_one.socket);
            continue;
        }
        Association& made = take_client(port->listener, port->bounds);
        setups_[made.id()].connection = taken_one.socket;
        connections_[taken_one.socket] = made.id();
        made.attach(std::move(*mapping));
    }
}

void Root::drop_connection(Setup& setup) {
    if (!setup.connection) return;
    connections_.erase(*setup.connection);
    blocked_.erase(*setup.connection);
    setup.waits = false;
    io_->close(*setup.connection);
    setup.connection.reset();
}

}  // namespace post::core
