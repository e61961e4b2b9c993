// TcpSockets: the TCP half of EpollIo.
#include "lib/io/tcp_sockets.hpp"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/io/system.hpp"
#include "lib/io/tcp_measure.hpp"

namespace post::io {
namespace {

// What one turn takes from all, as much as from UDP. Only as much is ever touched as came.
constexpr std::size_t arena_size = 2 * 1024 * 1024;
constexpr std::size_t arena_step = 64;
// With less room than this a connection waits for the next turn.
constexpr std::size_t least_space = 16 * 1024;
// What is thrown away costs no copy.
constexpr std::size_t most_discarded = 1024 * 1024;
// Connections that one turn takes from one port.
constexpr std::size_t most_accepts = 32;
// Nothing says when there are descriptors or memory again.
constexpr Duration pause_without_descriptors = std::chrono::milliseconds(100);
// How long a closed connection may take to deliver what was sent and to hear that the peer is done,
// too; and how many of those there may be, the oldest being cut short.
constexpr Duration linger_time = std::chrono::seconds(5);
constexpr std::size_t most_lingering = 1024;

constexpr std::uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

}  // namespace

TcpSockets::~TcpSockets() {
    for (auto& [id, connection] : connections_) {
        TcpSocket& socket = connection.socket;
        if (socket.state() != TcpSocket::State::open) continue;
        socket.flush();
        socket.end_sending();
        // Input that nobody has read would turn the close into a reset, which overtakes the rest.
        socket.discard(most_discarded);
    }
}

Result<SocketId> TcpSockets::connect(const Io::TcpOptions& options, const Address& remote) {
    auto made = TcpSocket::connect(options, remote);
    if (!made) return made.error();
    const SocketId id = next_id();
    if (!made->error() && !watch(made->fd(), id, all_events))
        return Error(Errc::too_many, last_error(), Stage::call, "watching a TCP connection");
    if (!arena_) arena_.reset(new std::byte[arena_size]);
    Connection& connection =
        connections_.emplace(id, Connection{.socket = std::move(*made)}).first->second;
    connection.thorough = connection.socket.multipath();
    // What failed at once is told in the next turn, as if it had failed later.
    if (connection.socket.error()) list(id, connection);
    return id;
}

Result<SocketId> TcpSockets::listen(const Io::TcpOptions& options) {
    auto opened = TcpListener::open(options);
    if (!opened) return opened.error();
    const SocketId id = next_id();
    if (!watch(opened->fd(), id, EPOLLIN | EPOLLET))
        return Error(Errc::too_many, last_error(), Stage::call, "watching a TCP port");
    if (!arena_) arena_.reset(new std::byte[arena_size]);
    if (!spare_) spare_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
    listeners_.emplace(id, Listener{std::move(*opened)});
    return id;
}

void TcpSockets::close(SocketId id, Instant now) {
    listeners_.erase(id);
    Connection* connection = find(id);
    if (!connection || connection->closing) return;
    TcpSocket& socket = connection->socket;
    const bool unmade = socket.state() == TcpSocket::State::connecting ||
                        socket.state() == TcpSocket::State::first;
    socket.end_sending();
    if (socket.state() == TcpSocket::State::broken || (unmade && socket.unacknowledged() == 0))
        return erase(id);
    connection->closing = true;
    connection->held = false;
    lingering_.push_back({id, now + linger_time});
    if (!connection->finished) list(id, *connection);
    settle(id, *connection);
    if (lingering_.size() > most_lingering) erase(lingering_.front().id);
}

void TcpSockets::abort(SocketId id) {
    Connection* connection = find(id);
    if (!connection || connection->closing) return;
    connection->socket.reset();
    erase(id);
}

Result<int> TcpSockets::release(SocketId id) {
    Connection* connection = find(id);
    const bool whole = connection && !connection->closing &&
                       connection->socket.state() == TcpSocket::State::open &&
                       connection->socket.flushed();
    if (!whole) return Error(Errc::unsupported, {}, Stage::call, "the connection is not whole");
    epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->socket.fd(), nullptr);
    const int fd = std::move(connection->socket).release();
    erase(id);
    return fd;
}

Result<Io::Handed> TcpSockets::open_pair() {
    auto pair = TcpSocket::pair();
    if (!pair) return pair.error();
    const SocketId id = next_id();
    if (!watch(pair->ours.fd(), id, all_events))
        return Error(Errc::too_many, last_error(), Stage::call, "watching a socket");
    if (!arena_) arena_.reset(new std::byte[arena_size]);
    connections_.emplace(id, Connection{.socket = std::move(pair->ours)});
    return Io::Handed{id, pair->other.release()};
}

bool TcpSockets::send(SocketId id, std::span<const std::byte> bytes) {
    Connection* connection = find(id);
    if (!connection || connection->closing) return false;
    connection->socket.send(bytes);
    settle(id, *connection);
    return connection->socket.state() != TcpSocket::State::broken;
}

void TcpSockets::end_sending(SocketId id) {
    if (Connection* connection = find(id)) connection->socket.end_sending();
}

void TcpSockets::hold(SocketId id, bool held) {
    if (const auto at = listeners_.find(id); at != listeners_.end()) {
        Listener& listener = at->second;
        listener.held = held;
        if (!held && std::exchange(listener.left, false)) list(id, listener);
        return;
    }
    Connection* connection = find(id);
    if (!connection || connection->closing) return;
    connection->held = held;
    // Of one that is held the end is still wanted, and nothing but epoll says that there is one.
    if (connection->readable && (!held || connection->thorough)) list(id, *connection);
}

void TcpSockets::take_at_most(SocketId id, std::size_t bytes) {
    if (Connection* connection = find(id)) connection->most = std::min(most_a_turn, bytes);
}

void TcpSockets::handle_event(SocketId id, std::uint32_t events) {
    if (const auto listener = listeners_.find(id); listener != listeners_.end()) {
        if (!listener->second.waiting) list(id, listener->second);
        return;
    }
    Connection* connection = find(id);
    if (!connection || connection->told) return;
    TcpSocket& socket = connection->socket;
    const bool blocked = !socket.writable();
    if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI)) != 0) connection->thorough = true;
    if (socket.state() == TcpSocket::State::connecting) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0)
            socket.take_error();
        else if ((events & EPOLLOUT) != 0)
            socket.set_connected();
    }
    if ((events & EPOLLERR) != 0 && (connection->held || connection->finished)) socket.take_error();
    if (connection->finished) socket.look_for_hangup();
    if ((events & EPOLLOUT) != 0 && socket.state() != TcpSocket::State::connecting) socket.flush();
    const bool first = socket.state() == TcpSocket::State::first;
    if ((blocked || first) && socket.writable()) turned_.push_back(id);
    if ((events & ~std::uint32_t{EPOLLOUT}) != 0 && !connection->finished) {
        connection->readable = true;
        if (!connection->held || connection->thorough) list(id, *connection);
    }
    settle(id, *connection);
}

void TcpSockets::settle(SocketId id, Connection& connection) {
    TcpSocket& socket = connection.socket;
    const bool broken = socket.state() == TcpSocket::State::broken;
    if (connection.closing) {
        if (broken || (connection.finished && socket.flushed())) erase(id);
    } else if (broken && !connection.told) {
        // What arrived before comes first, where somebody wants it.
        if (!connection.held && !connection.finished) return list(id, connection);
        connection.told = true;
        troubles_.push_back({id, socket.remote(), socket.error()});
    }
}

void TcpSockets::receive(Instant now, std::vector<Io::Received>& received) {
    used_ = 0;
    while (!lingering_.empty() && lingering_.front().until <= now) erase(lingering_.front().id);
    if (now >= accept_at_) {
        accept_at_ = never;
        for (auto& [id, listener] : listeners_)
            if (std::exchange(listener.waiting, false)) list(id, listener);
    }
    if (ready_.empty()) return;
    turn_.swap(ready_);
    std::size_t done = 0;
    while (done < turn_.size() && arena_size - used_ >= least_space) {
        const SocketId id = turn_[done++];
        if (Connection* connection = find(id)) {
            connection->listed = false;
            if (take(id, *connection, received)) list(id, *connection);
        } else if (const auto at = listeners_.find(id); at != listeners_.end()) {
            at->second.listed = false;
            if (take(id, at->second, now)) list(id, at->second);
        }
    }
    // Those that had no chance come first in the next turn, then those that have more.
    ready_.insert(ready_.begin(), turn_.begin() + static_cast<std::ptrdiff_t>(done), turn_.end());
    turn_.clear();
}

bool TcpSockets::take(SocketId id, Connection& connection, std::vector<Io::Received>& received) {
    if (connection.closing) return linger(id, connection);
    if (connection.finished || connection.told) return false;
    TcpSocket& socket = connection.socket;
    std::byte* const begin = arena_.get() + used_;
    const std::size_t most = std::min(connection.most, arena_size - used_);
    std::size_t total = 0;
    bool more = true;
    bool left = false;  // there, for when it is held no more
    while (more && total < most) {
        std::size_t size = 0;
        const auto receipt = connection.held ? socket.peek()
                                             : socket.receive({begin + total, most - total}, size);
        switch (receipt) {
            case TcpSocket::Receipt::bytes:
                left = connection.held;
                more = !left;
                break;
            // An edge is reported for whatever comes now; but not for a FIN that was here already.
            case TcpSocket::Receipt::drained: more = connection.thorough; break;
            case TcpSocket::Receipt::end:
                connection.finished = true;
                socket.look_for_hangup();
                more = false;
                break;
            case TcpSocket::Receipt::nothing: more = false; break;
            case TcpSocket::Receipt::broken:
                connection.told = true;
                more = false;
                break;
        }
        total += size;
    }
    connection.readable = more || left;
    if (total > 0 || connection.finished) {
        used_ += (total + arena_step - 1) / arena_step * arena_step;
        received.push_back({id,
                            {.local = socket.local(),
                             .remote = socket.remote(),
                             .segment = total,
                             .bytes = {begin, total}},
                            connection.finished});
    }
    if (connection.told)
        troubles_.push_back({id, socket.remote(), socket.error()});
    else if (connection.finished)
        settle(id, connection);
    return more;
}

bool TcpSockets::linger(SocketId id, Connection& connection) {
    switch (connection.socket.discard(most_discarded)) {
        case TcpSocket::Receipt::bytes: return true;
        case TcpSocket::Receipt::drained: return connection.thorough;
        case TcpSocket::Receipt::nothing: return false;
        case TcpSocket::Receipt::end: connection.finished = true; break;
        case TcpSocket::Receipt::broken: break;
    }
    settle(id, connection);
    return false;
}

bool TcpSockets::take(SocketId id, Listener& listener, Instant now) {
    for (std::size_t i = 0; i < most_accepts; ++i) {
        if (listener.held) {
            listener.left = true;
            return false;
        }
        if (accept_at_ != never) {
            listener.waiting = true;
            return false;
        }
        auto accepted = listener.socket.accept();
        if (!accepted.socket) {
            if (accepted.error == std::errc::interrupted) return true;
            if (accepted.error != std::errc::resource_unavailable_try_again)
                pause(listener, accepted.error, now);
            return false;
        }
        const SocketId taken = next_id();
        if (!watch(accepted.socket->fd(), taken, all_events)) {
            pause(listener, last_error(), now);
            return false;
        }
        const auto at =
            connections_.emplace(taken, Connection{.socket = std::move(*accepted.socket)}).first;
        TcpSocket& socket = at->second.socket;
        at->second.thorough = socket.multipath();
        taken_.push_back({id, taken, socket.local(), socket.remote()});
    }
    return true;
}

// Who waits to be taken would be reported again and again while there is no descriptor for it; so
// it is taken with the one that is kept for this, and turned away.
void TcpSockets::pause(Listener& listener, std::error_code error, Instant now) {
    const bool none_left = error == std::errc::too_many_files_open ||
                           error == std::errc::too_many_files_open_in_system;
    if (none_left && spare_) {
        spare_ = Descriptor();
        listener.socket.turn_away();
        spare_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    listener.waiting = true;
    accept_at_ = now + pause_without_descriptors;
}

void TcpSockets::poll_troubles(std::vector<Io::Trouble>& troubles) {
    if (troubles_.empty()) return;
    troubles.insert(troubles.end(), troubles_.begin(), troubles_.end());
    troubles_.clear();
}

void TcpSockets::poll_writable(std::vector<SocketId>& turned) {
    if (turned_.empty()) return;
    turned.insert(turned.end(), turned_.begin(), turned_.end());
    turned_.clear();
}

Instant TcpSockets::deadline() const {
    return lingering_.empty() ? accept_at_ : std::min(accept_at_, lingering_.front().until);
}

Address TcpSockets::local_address(SocketId id) const {
    if (const auto at = listeners_.find(id); at != listeners_.end())
        return at->second.socket.local();
    const Connection* connection = find(id);
    return connection ? connection->socket.local() : Address{};
}

bool TcpSockets::bound(SocketId id) const {
    const Connection* connection = find(id);
    return !connection || connection->socket.bound();
}

void TcpSockets::measure(SocketId id, Path& path) const {
    if (const Connection* connection = find(id)) measure_tcp(connection->socket.fd(), path);
}

std::uint64_t TcpSockets::unacknowledged(SocketId id) const {
    const Connection* connection = find(id);
    return connection ? connection->socket.unacknowledged() : 0;
}

std::size_t TcpSockets::run(SocketId id) const {
    const Connection* connection = find(id);
    return connection ? connection->socket.run() : TcpSocket::least_unsent;
}

bool TcpSockets::writable(SocketId id) const {
    const Connection* connection = find(id);
    return connection && !connection->closing && connection->socket.writable();
}

bool TcpSockets::watch(int fd, SocketId id, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id.value();
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

template <class Entry> void TcpSockets::list(SocketId id, Entry& entry) {
    if (!std::exchange(entry.listed, true)) ready_.push_back(id);
}

void TcpSockets::erase(SocketId id) {
    connections_.erase(id);
    while (!lingering_.empty() && !connections_.contains(lingering_.front().id))
        lingering_.pop_front();
}

TcpSockets::Connection* TcpSockets::find(SocketId id) {
    const auto at = connections_.find(id);
    return at == connections_.end() ? nullptr : &at->second;
}

const TcpSockets::Connection* TcpSockets::find(SocketId id) const {
    const auto at = connections_.find(id);
    return at == connections_.end() ? nullptr : &at->second;
}

}  // namespace post::io
