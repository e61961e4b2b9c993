// The TCP sockets of one Io on a simulated host.
#include "tests/sim/tcp_sockets.hpp"

#include <algorithm>

#include "lib/io/tcp_socket.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/host_io.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

namespace {

// As the real edge has them.
constexpr Duration linger_time = std::chrono::seconds(5);

}  // namespace

TcpSockets::~TcpSockets() {
    for (const auto& [id, local] : listeners_) {
        host_.unbind(io_, id);
        host_.tcp().unlisten({io_.id(), id});
    }
    for (auto& [id, socket] : sockets_) {
        TcpConnection& it = connection(socket);
        it.end(world_.now());
        it.discard();
        host_.tcp().release(socket.key);
    }
}

Result<SocketId> TcpSockets::connect(const Io::TcpOptions& options, const Address& remote) {
    const SocketId id = next_id();
    auto key = host_.tcp().connect({io_.id(), id}, options, remote, receive_buffer_);
    if (!key) return key.error();
    sockets_[id].key = *key;
    handle_change(id);
    return id;
}

Result<SocketId> TcpSockets::listen(const Io::TcpOptions& options) {
    const SocketId id = next_id();
    // Those who share a port are told from each other by this, and by nothing else.
    const Io::Share share{static_cast<std::uint16_t>(io_.id() * 251 + id.value()),
                          static_cast<std::uint16_t>(options.shared ? 2 : 1)};
    auto local = host_.bind(io_, id, Protocol::tcp, options.local, share, options.outlet.interface);
    if (!local) return local.error();
    host_.tcp().listen({io_.id(), id}, options, receive_buffer_);
    listeners_[id] = *local;
    return id;
}

void TcpSockets::close(SocketId id) {
    if (listeners_.erase(id) != 0) {
        host_.unbind(io_, id);
        host_.tcp().unlisten({io_.id(), id});
        shut_.erase(id);
        for (const Io::Taken& one : waiting_)
            if (one.listener == id) abort(one.socket);
        std::erase_if(waiting_, [&](const Io::Taken& one) { return one.listener == id; });
        return;
    }
    Socket* socket = find(id);
    if (!socket || socket->until != never) return;
    TcpConnection& it = connection(*socket);
    const bool unmade = it.state() == TcpConnection::State::first ||
                        it.state() == TcpConnection::State::connecting;
    if (it.state() == TcpConnection::State::dead || (unmade && it.unacknowledged() == 0)) {
        host_.tcp().forget(socket->key);
        ready_.erase(id);
        sockets_.erase(id);
        return;
    }
    socket->until = world_.now() + linger_time;
    closing_.insert({socket->until, id});
    it.end(world_.now());
    host_.tcp().act(socket->key);
}

void TcpSockets::abort(SocketId id) {
    Socket* socket = find(id);
    if (!socket || socket->until != never) return;
    const TcpStack::Key key = socket->key;
    connection(*socket).reset();
    ready_.erase(id);
    sockets_.erase(id);
    host_.tcp().release(key);
}

bool TcpSockets::send(SocketId id, std::span<const std::byte> bytes) {
    Socket* socket = find(id);
    if (!socket || socket->until != never) return false;
    TcpConnection& it = connection(*socket);
    if (it.state() == TcpConnection::State::dead) return false;
    it.write(world_.now(), bytes);
    socket->writable = it.writable();
    host_.tcp().act(socket->key);
    return true;
}

void TcpSockets::end_sending(SocketId id) {
    Socket* socket = find(id);
    if (!socket) return;
    connection(*socket).end(world_.now());
    host_.tcp().act(socket->key);
}

void TcpSockets::hold(SocketId id, bool held) {
    if (listeners_.contains(id)) {
        if (held) return static_cast<void>(shut_.insert(id));
        shut_.erase(id);
        take_waiting();
        return;
    }
    Socket* socket = find(id);
    if (!socket || socket->until != never) return;
    socket->held = held;
    if (held) ready_.erase(id);  // what is there stays there
    handle_change(id);
}

void TcpSockets::take_at_most(SocketId id, std::size_t bytes) {
    if (Socket* socket = find(id)) socket->most = std::min(Socket{}.most, bytes);
}

SocketId TcpSockets::handle_taken(SocketId listener, const TcpStack::Key& key) {
    const SocketId id = next_id();
    const bool waits = shut_.contains(listener) || taken_.size() >= most_taken;
    sockets_[id] = {.key = key, .writable = true, .waits = waits};
    (waits ? waiting_ : taken_).push_back({listener, id, key.local, key.remote});
    return id;
}

std::vector<Io::Taken> TcpSockets::poll_taken() {
    auto taken = std::exchange(taken_, {});
    take_waiting();
    return taken;
}

// Those who waited, in their order, for the next turn.
void TcpSockets::take_waiting() {
    std::erase_if(waiting_, [&](const Io::Taken& one) {
        if (shut_.contains(one.listener) || taken_.size() >= most_taken) return false;
        taken_.push_back(one);
        sockets_.at(one.socket).waits = false;
        handle_change(one.socket);
        return true;
    });
}

void TcpSockets::handle_change(SocketId id) {
    Socket* socket = find(id);
    if (!socket || socket->told || socket->waits) return;
    if (socket->until != never) return settle_closing(id, *socket);
    TcpConnection& it = connection(*socket);
    if (!std::exchange(socket->writable, it.writable()) && socket->writable) turned_.push_back(id);
    const bool end = it.readable().empty() && it.ended() && !socket->finished;
    const bool input = !it.readable().empty() || end;
    if (it.error() && (socket->held || !input))
        tell(id, *socket);
    else if (end || (input && !socket->held))
        ready_.insert(id);
}

void TcpSockets::tell(SocketId id, Socket& socket) {
    socket.told = true;
    troubles_.push_back({id, socket.key.remote, connection(socket).error()});
}

void TcpSockets::settle_closing(SocketId id, Socket& socket) {
    TcpConnection& it = connection(socket);
    it.discard();
    if (it.error() || it.ended()) let_go(id);
}

void TcpSockets::let_go(SocketId id) {
    const TcpStack::Key key = sockets_.at(id).key;
    closing_.erase({sockets_.at(id).until, id});
    sockets_.erase(id);
    ready_.erase(id);
    host_.tcp().release(key);
}

void TcpSockets::receive(std::vector<Io::Received>& received) {
    while (deadline() <= world_.now()) let_go(closing_.begin()->second);
    writable_.swap(turned_);
    turned_.clear();
    for (const SocketId id : std::exchange(ready_, {}))
        if (Socket* socket = find(id)) take(id, *socket, received);
}

void TcpSockets::take(SocketId id, Socket& socket, std::vector<Io::Received>& received) {
    TcpConnection& it = connection(socket);
    const auto bytes = it.readable();
    const std::size_t size = std::min(bytes.size(), socket.most);
    socket.buffer.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    socket.finished = it.ended() && size == bytes.size();
    received.push_back({id,
                        {.local = socket.key.local,
                         .remote = socket.key.remote,
                         .segment = size,
                         .bytes = socket.buffer},
                        socket.finished});
    it.take(size);
    host_.tcp().act(socket.key);
}

void TcpSockets::poll_troubles(std::vector<Io::Trouble>& troubles) {
    troubles.insert(troubles.end(), troubles_.begin(), troubles_.end());
    troubles_.clear();
}

Instant TcpSockets::deadline() const { return closing_.empty() ? never : closing_.begin()->first; }

Address TcpSockets::local_address(SocketId id) const {
    if (const auto at = listeners_.find(id); at != listeners_.end()) return at->second;
    const Socket* socket = find(id);
    return socket ? socket->key.local : Address{};
}

std::uint64_t TcpSockets::unacknowledged(SocketId id) const {
    const Socket* socket = find(id);
    return socket ? connection(*socket).unacknowledged() : 0;
}

void TcpSockets::measure(SocketId id, Path& path) const {
    const Socket* socket = find(id);
    const Duration rtt = socket ? connection(*socket).rtt() : Duration{};
    if (rtt > Duration::zero()) path.smoothed_rtt = rtt;
}

std::size_t TcpSockets::run(SocketId id) const {
    const Socket* socket = find(id);
    return socket ? connection(*socket).run() : io::TcpSocket::least_unsent;
}

bool TcpSockets::writable(SocketId id) const {
    const Socket* socket = find(id);
    return socket && socket->until == never && connection(*socket).writable();
}

TcpConnection& TcpSockets::connection(const Socket& socket) const {
    return host_.tcp().connection(socket.key);
}

TcpSockets::Socket* TcpSockets::find(SocketId id) {
    const auto at = sockets_.find(id);
    return at == sockets_.end() ? nullptr : &at->second;
}

const TcpSockets::Socket* TcpSockets::find(SocketId id) const {
    const auto at = sockets_.find(id);
    return at == sockets_.end() ? nullptr : &at->second;
}

}  // namespace post::sim
