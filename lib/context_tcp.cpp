// Byte streams of foreign protocols, with TLS or without: each Carrier of theirs is a TCP
// connection, and an association of a client has many. Its mapping says what shall become of them.
#include <algorithm>

#include "lib/context_paths.hpp"
#include "lib/context_root.hpp"

namespace post::core {

bool Root::is_bytes(Stack stack, const InitiateOptions& options) {
    if (stack == Stack::tcp) return true;
    return stack == Stack::tls &&
           (options.without_alpn || (!options.alpn.empty() && options.alpn != tls::post_alpn));
}

// Whatever wins, it may be the peer that has the first word.
bool Root::opens_eagerly(const Race::Options& race, const InitiateOptions& options) {
    const auto bytes = [&](Stack stack) { return is_bytes(stack, options); };
    return std::any_of(race.stacks.begin(), race.stacks.end(), bytes) ||
           std::any_of(race.insecure.begin(), race.insecure.end(), bytes);
}

tcp::Endpoint& Root::tcp_endpoint() {
    if (!tcp_)
        tcp_ = std::make_unique<tcp::Endpoint>(tcp::EndpointOptions{.protection = protection_});
    return *tcp_;
}

tcp::TransportOptions Root::tcp_transport(const Bounds& bounds, const Address& remote,
                                          std::size_t mtu) {
    return {.limits = limits(bounds), .segment = segment(remote, mtu)};
}

Io::TcpOptions Root::tcp_options(const Address& local, const TlsOptions& options) {
    Io::TcpOptions tcp;
    tcp.local = local;
    tcp.multipath = options.multipath;
    tcp.fast_open = options.fast_open;
    tcp.keep_alive = options.keep_alive;
    tcp.user_timeout = options.user_timeout;
    return tcp;
}

// From where the Local and the path want it.
Result<SocketId> Root::connect_from(const InitiateOptions& options, const LocalPath& path,
                                    const Address& remote) {
    const auto from = source(options.local, path, remote);
    if (!from) return from.error();
    return first_free(options.local, [&](std::uint16_t number) {
        Address local = *from;
        local.port = number != 0 ? number : options.local.address.port;
        // Family none where the system is to choose all of it.
        if (local.is_any() && local.port == 0) local = {};
        Io::TcpOptions tcp = tcp_options(local, options.tls);
        tcp.outlet = outlet(options.local, path);
        return io_->connect_tcp(tcp, remote);
    });
}

// The mapping wants its first connection itself.
Result<Root::Started> Root::connect_bytes(const Association& association, const Setup& setup,
                                          const Connect& wanted) {
    const InitiateOptions& options = setup.options;
    auto connect = way_to<tcp::ConnectOptions>(wanted.remote, {}, association, options,
                                               Resolution::Transport::tcp);
    if (wanted.stack == Stack::tcp) connect.security.reset();
    if (options.without_alpn) connect.alpn.emplace_back();
    connect.transport = tcp_transport(options.bounds, wanted.remote, wanted.path.mtu);
    Way way;
    way.attempt = wanted.attempt;
    way.linked = true;
    way.remote = wanted.remote;
    return Started{std::move(way), tcp_endpoint().connect(now_, connect)};
}

void Root::accept_bytes(const TcpPort& port, const Io::Taken& taken) {
    auto mapping = tcp_endpoint().accept(now_, tcp_transport(port.bounds, taken.remote),
                                         taken.local, taken.remote);
    Association& made = take_client(port.listener, port.bounds);
    Way way;
    way.linked = true;
    way.links[LinkId{}] = taken.socket;
    setups_[made.id()].ways.push_back(std::move(way));
    connections_[taken.socket] = {{made.id(), {}}, LinkId{}};
    made.attach(std::move(mapping));
}

void Root::transmit_links(Association& association, Way& way) {
    int runs = 0;
    do {
        for (;; ++runs) {
            serve_links(association, way);
            if (runs == most_runs && association.state() < Association::State::closing) {
                associations_.use(association.id());
                return;
            }
            const Datagrams run = association.poll_transmit(now_, way.attempt, space_);
            if (run.empty() && !run.end) break;
            const auto at = way.links.find(run.link);
            if (at == way.links.end()) continue;
            const SocketId socket = at->second;
            if (!run.empty()) io_->send(socket, run);
            if (run.end) io_->end_sending(socket);
            if (!io_->writable(socket))
                association.handle_link(now_, way.attempt, {run.link, link::Full{}});
        }
    } while (serve_links(association, way));
}

// True when there was anything to be done.
bool Root::serve_links(Association& association, Way& way) {
    bool any = false;
    while (const auto want = association.poll_link(way.attempt)) {
        serve(association, way, *want);
        any = true;
    }
    return any;
}

void Root::serve(Association& association, Way& way, const LinkWant& want) {
    if (std::get_if<link::Connect>(&want.what)) return connect_link(association, way, want.link);
    const auto at = way.links.find(want.link);
    if (at == way.links.end()) return;
    const SocketId socket = at->second;
    if (const auto* take = std::get_if<link::Take>(&want.what)) {
        if (take->most > 0) io_->take_at_most(socket, take->most);
        io_->hold(socket, take->most == 0);
    } else if (const auto* close = std::get_if<link::Close>(&want.what)) {
        way.links.erase(at);
        connections_.erase(socket);
        close->reset ? io_->abort(socket) : io_->close(socket);
    } else {
        Path path;
        io_->measure(socket, path);
        association.handle_link(
            now_, way.attempt,
            {want.link, link::Unacknowledged{io_->unacknowledged(socket), path.smoothed_rtt}});
    }
}

void Root::connect_link(Association& association, Way& way, LinkId link) {
    const InitiateOptions& options = setups_[association.id()].options;
    const auto socket = connect_from(options, way.path, way.remote);
    if (!socket)
        return association.handle_link(now_, way.attempt, {link, link::Failed{socket.error()}});
    note_path(association, way.attempt, way.path, *socket);
    way.links[link] = *socket;
    connections_[*socket] = {{association.id(), way.attempt}, link};
    association.handle_link(now_, way.attempt, {link, link::Begun{io_->local_address(*socket)}});
    // It was made at once.
    if (io_->writable(*socket))
        association.handle_link(now_, way.attempt,
                                {link, link::Writable{io_->stream_run(*socket)}});
}

// What was the association's connection is its first Carrier's now.
void Root::adopt_link(Association& association, Way& way) {
    const SocketId socket = *std::exchange(way.connection, std::nullopt);
    way.waits = false;
    way.linked = true;
    way.links[LinkId{}] = socket;
    blocked_.erase(socket);
    connections_[socket].link = LinkId{};
    if (!io_->writable(socket))
        association.handle_link(now_, way.attempt, {LinkId{}, link::Full{}});
}

void Root::drop_links(Way& way) {
    for (const auto& [link, socket] : way.links) {
        connections_.erase(socket);
        io_->close(socket);
    }
    way.links.clear();
}

}  // namespace post::core
