// The system calls of TCP: socket(7), tcp(7), ip(7).
#include "lib/io/tcp_socket.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "lib/io/outlet.hpp"
#include "lib/io/system.hpp"

namespace post::io {
namespace {

// Connections that are made and wait to be taken; the system may cut it (net.core.somaxconn).
constexpr int backlog = 1024;
// SYNs with data that wait to be acknowledged; beyond it the handshake is an ordinary one.
constexpr int fast_open_queue = 256;
// Unanswered questions until the peer is given up, and the pause between them.
constexpr int keep_alive_probes = 5;
constexpr auto keep_alive_interval = std::chrono::seconds(15);
// Connections that one accept() passes over since they have gone again.
constexpr int most_gone = 16;

Descriptor stream_socket(const Address& address, bool& multipath) {
    const int domain = address.family == Address::Family::v6 ? AF_INET6 : AF_INET;
    const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (multipath) {
        Descriptor fd(socket(domain, type, IPPROTO_MPTCP));
        if (fd) return fd;
        // Built without, turned off, or before Linux 5.6.
        if (errno != ENOPROTOOPT && errno != EPROTONOSUPPORT && errno != EINVAL) return fd;
        multipath = false;
    }
    return Descriptor(socket(domain, type, IPPROTO_TCP));
}

template <class Unit> int whole(Duration duration, int most) {
    const auto count = std::chrono::ceil<Unit>(duration).count();
    return static_cast<int>(std::clamp<decltype(count)>(count, 1, most));
}

// What a listener has is inherited by the connections that it takes. Whatever is missing is done
// without: MPTCP does not have all of it on every system.
std::error_code configure(int fd, const Address& address, const Io::TcpOptions& options) {
    if (address.family == Address::Family::v6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
        return last_error();
    // What is sent has waited for its time already.
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, TcpSocket::most_unsent);
    if (options.keep_alive > Duration::zero()) {
        using std::chrono::seconds;
        const int idle = whole<seconds>(options.keep_alive, 32767);  // MAX_TCP_KEEPIDLE
        const int interval = static_cast<int>(keep_alive_interval.count());
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::min(idle, interval));
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keep_alive_probes);
    }
    if (options.user_timeout > Duration::zero())
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                   whole<std::chrono::milliseconds>(options.user_timeout, 1 << 30));
    return {};
}

void reset_on_close(int fd) {
    const linger at_once{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

bool is_full(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// accept(2): errors of the connection that would have been next.
bool is_gone(int error) {
    constexpr std::array gone = {ECONNABORTED, EPERM,       EPROTO,    ENETDOWN,
                                 ENOPROTOOPT,  EHOSTDOWN,   ENONET,    EOPNOTSUPP,
                                 EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ECONNRESET};
    return std::find(gone.begin(), gone.end(), error) != gone.end();
}

}  // namespace

Result<TcpSocket> TcpSocket::connect(const Io::TcpOptions& options, const Address& remote) {
    constexpr const char* what = "a TCP connection to";
    if (remote.family == Address::Family::none)
        return Error(Errc::invalid_argument, {}, Stage::call, "a TCP connection needs an address");
    bool multipath = options.multipath;
    Descriptor fd = stream_socket(remote, multipath);
    if (!fd) return opening_error(last_error(), what, remote);
    if (const auto error = configure(fd.get(), remote, options))
        return opening_error(error, what, remote);
    const bool v6 = remote.family == Address::Family::v6;
    bool bound = true;
    if (const auto error = apply(options.outlet, fd.get(), v6, bound))
        return opening_error(error, what, remote);
    if (options.local.family != Address::Family::none) {
        // The port is chosen by connect(), which may use one that talks to somebody else.
        if (options.local.port == 0) set_option(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        const SocketAddress local(options.local);
        if (bind(fd.get(), &local.any, local.size) != 0)
            return opening_error(last_error(), "a TCP connection from", options.local);
    }
    const bool fast_open = options.fast_open &&
                           set_option(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);

    const SocketAddress address(remote);
    const int made = ::connect(fd.get(), &address.any, address.size);
    const std::error_code error = made == 0 ? std::error_code{} : last_error();
    TcpSocket opened(std::move(fd), {}, remote, multipath);
    opened.bound_ = bound;
    opened.state_ = made == 0 && fast_open ? State::first : State::connecting;
    if (error && error != std::errc::operation_in_progress) opened.fail(error);
    opened.local_ = bound_address(opened.fd());
    return opened;
}

TcpSocket::Receipt TcpSocket::receive(std::span<std::byte> space, std::size_t& size) {
    size = 0;
    ssize_t got;
    do got = recv(fd(), space.data(), space.size(), MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        size = static_cast<std::size_t>(got);
        return size < space.size() ? Receipt::drained : Receipt::bytes;
    }
    const bool full = got < 0 && is_full(errno);
    // The system tells an error once: if send() has met it, an end is what is left here.
    if (got < 0 && !full) fail(last_error());
    if (error_) return Receipt::broken;
    return full ? Receipt::nothing : Receipt::end;
}

TcpSocket::Receipt TcpSocket::peek() {
    std::byte next;
    ssize_t got;
    do got = recv(fd(), &next, 1, MSG_DONTWAIT | MSG_PEEK);
    while (got < 0 && errno == EINTR);
    if (got > 0) return Receipt::bytes;
    const bool full = got < 0 && is_full(errno);
    if (got < 0 && !full) fail(last_error());
    if (error_) return Receipt::broken;
    return full ? Receipt::nothing : Receipt::end;
}

TcpSocket::Receipt TcpSocket::discard(std::size_t most) {
    ssize_t got;
    std::array<std::byte, 4096> scratch;
    if (local_stream_) most = scratch.size();
    // tcp(7): with MSG_TRUNC nothing is copied.
    do
        got = local_stream_ ? recv(fd(), scratch.data(), most, MSG_DONTWAIT)
                            : recv(fd(), nullptr, most, MSG_DONTWAIT | MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got > 0) return static_cast<std::size_t>(got) < most ? Receipt::drained : Receipt::bytes;
    if (got < 0 && !is_full(errno)) fail(last_error());
    if (error_) return Receipt::broken;
    return got < 0 ? Receipt::nothing : Receipt::end;
}

void TcpSocket::send(std::span<const std::byte> bytes) {
    if (state_ == State::broken || ending_ || bytes.empty()) return;
    if (flushed() && writable()) bytes = bytes.subspan(write(bytes));
    if (bytes.empty() || state_ == State::broken) return;
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
}

bool TcpSocket::flush() {
    if (state_ == State::broken) return false;
    unsent_ = std::exchange(room_, true) ? std::min(unsent_, run()) : run();
    follow_rate();
    begin_ += write(std::span(kept_).subspan(begin_));
    if (!flushed()) return false;
    // An idle connection holds no memory for the next time.
    kept_ = {};
    begin_ = 0;
    finish_sending();
    return writable();
}

std::size_t TcpSocket::write(std::span<const std::byte> bytes) {
    std::size_t done = 0;
    while (done < bytes.size() && room_) {
        const auto rest = bytes.subspan(done);
        iovec vector{const_cast<std::byte*>(rest.data()), rest.size()};
        msghdr message{};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        const ssize_t sent = sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        // EINPROGRESS: the SYN went without data after all.
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && !is_full(errno) && errno != EINPROGRESS) {
            fail(last_error());
            return bytes.size();
        }
        const auto taken = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
        done += taken;
        unsent_ += taken;
        until_asked_ -= std::min(until_asked_, taken);
        if (state_ == State::first) {
            state_ = State::connecting;
            in_syn_ = taken;
            return done;
        }
        if (sent < 0) room_ = false;
    }
    if (room_ && unsent_ > run()) look_for_room();
    return done;
}

// poll() does more than ask: it leaves word that epoll shall report the room when it comes, which
// it does else only where a write was refused.
void TcpSocket::look_for_room() {
    int queued = 0;
    if (ioctl(fd(), SIOCOUTQNSD, &queued) == 0 && queued <= static_cast<int>(run())) {
        unsent_ = static_cast<std::size_t>(queued);
        return;
    }
    pollfd asked{fd(), POLLOUT, 0};
    room_ = poll(&asked, 1, 0) != 1 || (asked.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
    unsent_ = run();
}

// Asked again when eight times as much was sent as may wait: 40 ms of a slow way.
void TcpSocket::follow_rate() {
    if (until_asked_ > 0 || local_stream_) return;
    std::size_t limit = unsent_limit_;
    tcp_info info{};
    socklen_t size = sizeof(info);
    if (getsockopt(fd(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
        size >= offsetof(tcp_info, tcpi_delivery_rate) + sizeof(info.tcpi_delivery_rate) &&
        info.tcpi_delivery_rate > 0) {
        // What had too little to send says only that the way takes more.
        limit = unsent_for(info.tcpi_delivery_rate);
        if (info.tcpi_delivery_rate_app_limited)
            limit = std::min(std::max(limit, 2 * unsent_limit_), most_unsent);
    }
    // Small changes are not worth a system call.
    if (limit * 4 < unsent_limit_ * 3 || limit * 3 > unsent_limit_ * 4) {
        unsent_limit_ = limit;
        set_option(fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(limit));
    }
    until_asked_ = 8 * unsent_limit_;
}

void TcpSocket::end_sending() {
    ending_ = true;
    finish_sending();
}

void TcpSocket::reset() { reset_on_close(fd()); }

int TcpSocket::release() && {
    const int flags = fcntl(fd(), F_GETFL);
    if (flags >= 0) fcntl(fd(), F_SETFL, flags & ~O_NONBLOCK);
    return fd_.release();
}

Result<TcpSocket::Pair> TcpSocket::pair() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return Error(Errc::too_many, last_error(), Stage::call, "a pair of sockets");
    Pair made{TcpSocket(Descriptor(ends[0]), {}, {}, false), Descriptor(ends[1])};
    made.ours.local_stream_ = true;
    const int flags = fcntl(ends[0], F_GETFL);
    if (flags < 0 || fcntl(ends[0], F_SETFL, flags | O_NONBLOCK) != 0)
        return Error(Errc::too_many, last_error(), Stage::call, "a pair of sockets");
    return made;
}

void TcpSocket::look_for_hangup() {
    if (!local_stream_ || state_ == State::broken) return;
    pollfd asked{fd(), 0, 0};
    if (poll(&asked, 1, 0) == 1 && (asked.revents & POLLHUP) != 0)
        fail({EPIPE, std::system_category()});
}

void TcpSocket::finish_sending() {
    if (!ending_ || ended_ || !flushed()) return;
    // Where nothing is connected yet, shutdown() would give the connection up.
    if (state_ == State::connecting || state_ == State::first) return;
    ended_ = true;
    shutdown(fd(), SHUT_WR);
}

std::uint64_t TcpSocket::unacknowledged() const {
    const std::size_t kept = kept_.size() - begin_;
    if (state_ == State::broken) return kept;
    if (state_ == State::connecting) return kept + in_syn_;
    int queued = 0;
    if (ioctl(fd(), SIOCOUTQ, &queued) != 0) return kept;
    // A FIN counts as a byte until it is acknowledged, and it is the last one.
    if (ended_ && queued > 0) --queued;
    return kept + static_cast<std::uint64_t>(queued);
}

void TcpSocket::take_error() {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
        fail({error, std::system_category()});
}

void TcpSocket::fail(std::error_code error) {
    if (!error_) error_ = error;
    state_ = State::broken;
}

bool TcpSocket::writable() const {
    return (state_ == State::open || state_ == State::first) && room_ && !ending_ && flushed();
}

Result<TcpListener> TcpListener::open(const Io::TcpOptions& options) {
    constexpr const char* what = "a TCP port on";
    const Address& local = options.local;
    if (local.family == Address::Family::none)
        return Error(Errc::invalid_argument, {}, Stage::call, "a TCP port needs an address");
    bool multipath = options.multipath;
    Descriptor fd = stream_socket(local, multipath);
    if (!fd) return opening_error(last_error(), what, local);
    // Connections of before, in TIME_WAIT, are nobody's reason to wait.
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.shared && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1))
        return opening_error(last_error(), what, local);
    if (const auto error = configure(fd.get(), local, options))
        return opening_error(error, what, local);
    bool granted = true;  // it is strict
    if (const auto error = apply(options.outlet, fd.get(), local.family == Address::Family::v6,
                                 granted))
        return opening_error(error, what, local);
    if (options.fast_open) set_option(fd.get(), IPPROTO_TCP, TCP_FASTOPEN, fast_open_queue);
    const SocketAddress address(local);
    if (bind(fd.get(), &address.any, address.size) != 0 || listen(fd.get(), backlog) != 0)
        return opening_error(last_error(), what, local);
    const Address bound = bound_address(fd.get());
    return TcpListener(std::move(fd), bound, multipath);
}

TcpListener::Accepted TcpListener::accept() {
    for (int gone = 0; gone <= most_gone; ++gone) {
        SocketAddress remote;
        remote.size = sizeof(remote.v6);
        Descriptor fd(accept4(fd_.get(), &remote.any, &remote.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd) {
            const Address local = bound_address(fd.get());
            return {
                TcpSocket(std::move(fd), local, address_of(remote.any, remote.size), multipath_),
                {}};
        }
        if (errno != EINTR && !is_gone(errno)) return {{}, last_error()};
    }
    // Others may wait behind those: the next turn asks again.
    return {{}, std::make_error_code(std::errc::interrupted)};
}

void TcpListener::turn_away() {
    const Descriptor fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) reset_on_close(fd.get());
}

}  // namespace post::io
