// UdpSocket: one UDP port of one address family.
#include "lib/io/udp_socket.hpp"

#include <linux/errqueue.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "lib/io/outlet.hpp"
#include "lib/io/packet_info.hpp"
#include "lib/io/system.hpp"

namespace post::io {
namespace {

// What the kernel takes in one send: UDP_MAX_SEGMENTS, as it was first (later kernels take more).
constexpr std::size_t most_segments = 64;
// Troubles that wait for poll_troubles; what comes beyond it says nothing new.
constexpr std::size_t most_troubles = 256;

// The privileged form is not clipped to net.core.rmem_max and wmem_max.
void set_buffer(int fd, int forced, int plain, std::size_t bytes) {
    if (bytes == 0) return;
    const int size = static_cast<int>(std::min<std::size_t>(bytes, 1u << 30));
    if (!set_option(fd, SOL_SOCKET, forced, size)) set_option(fd, SOL_SOCKET, plain, size);
}

iovec vector_of(std::span<const std::byte> bytes) {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

int send_one(int fd, const msghdr& message) {
    ssize_t sent;
    do sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

bool is_full(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS; }

// The kernel or the device cannot cut runs after all: EIO without checksum offload, EINVAL and
// EOPNOTSUPP from elsewhere. (EINVAL also says that a segment exceeds the link's MTU, or that the
// source address is not ours: then sending singly fails as well.)
bool may_refuse_gso(int error) {
    return error == EIO || error == EINVAL || error == EOPNOTSUPP || error == EMSGSIZE;
}

}  // namespace

bool UdpSocket::has_gso() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0) return false;
    int value = 0;
    socklen_t size = sizeof(value);
    const bool has = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &size) == 0;
    ::close(fd);
    return has;
}

Result<UdpSocket> UdpSocket::open(SocketId id, const Options& options) {
    if (options.local.family == Address::Family::none)
        return Error(Errc::invalid_argument, {}, Stage::call, "a UDP socket needs an address");
    const int domain = options.local.family == Address::Family::v6 ? AF_INET6 : AF_INET;
    const bool lite = options.datagrams && options.datagrams->lite;
    const char* const what = lite ? "a UDP-Lite socket on" : "a UDP socket on";
    const int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          lite ? IPPROTO_UDPLITE : IPPROTO_UDP);
    if (fd < 0) return opening_error(last_error(), what, options.local);
    UdpSocket opened(id, fd, options);
    if (const auto error = opened.configure(options))
        return opening_error(error, what, options.local);
    return opened;
}

UdpSocket::UdpSocket(SocketId id, int fd, const Options& options)
    : id_(id),
      fd_(fd),
      local_(options.local),
      v6_(options.local.family == Address::Family::v6),
      gso_(options.gso && !(options.datagrams && options.datagrams->lite)),
      ecn_(options.ecn),
      dscp_(options.outlet.dscp) {
    if (options.datagrams) headers_.emplace(v6_, options.datagrams->lite);
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept
    : id_(other.id_),
      fd_(std::exchange(other.fd_, -1)),
      local_(other.local_),
      v6_(other.v6_),
      gso_(other.gso_),
      ecn_(other.ecn_),
      mark_(other.mark_),
      dscp_(other.dscp_),
      headers_(other.headers_),
      connected_(other.connected_),
      one_address_(other.one_address_),
      bound_(other.bound_),
      waiting_(other.waiting_),
      queue_(std::move(other.queue_)) {}

UdpSocket::~UdpSocket() {
    if (fd_ >= 0) ::close(fd_);
}

std::error_code UdpSocket::configure(const Options& options) {
    const int level = v6_ ? IPPROTO_IPV6 : IPPROTO_IP;
    // One family a socket: no mapped addresses anywhere.
    if (v6_ && !set_option(fd_, level, IPV6_V6ONLY, 1)) return last_error();
    one_address_ = !headers_ && !options.local.is_any() && !options.local.is_multicast();
    const int packet_info = v6_ ? IPV6_RECVPKTINFO : IP_PKTINFO;
    if (!one_address_ && !set_option(fd_, level, packet_info, 1)) return last_error();
    if (!set_option(fd_, level, v6_ ? IPV6_RECVERR : IP_RECVERR, 1)) return last_error();
    if (headers_) {
        if (const auto error = prepare(fd_, v6_, *options.datagrams)) return error;
    } else if (const auto error = never_fragment(level)) {
        return error;
    }
    if (options.reuse_port && !set_option(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return last_error();
    if (const auto error = apply(options.outlet, fd_, v6_, bound_)) return error;

    // These may be missing or come to less: everything works without them, slower.
    if (ecn_) ecn_ = set_option(fd_, level, v6_ ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
    // Nearly all that a transport sends is marked; what is not says so.
    mark_ = dscp_ << 2;
    const int marked = mark_ | static_cast<int>(Ecn::ect0);
    if (ecn_ && !headers_ && set_option(fd_, level, v6_ ? IPV6_TCLASS : IP_TOS, marked))
        mark_ = marked;
    if (options.gro && !(headers_ && options.datagrams->lite))
        set_option(fd_, IPPROTO_UDP, UDP_GRO, 1);
    set_buffer(fd_, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer);
    set_buffer(fd_, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer);

    const SocketAddress address(options.local);
    if (bind(fd_, &address.any, address.size) != 0) return last_error();
    if (headers_ && options.datagrams->joins)
        if (const auto error = join(fd_, options.local, options.datagrams->udp)) return error;
    if (headers_ && options.datagrams->remote.family != Address::Family::none) {
        const SocketAddress remote(options.datagrams->remote);
        if (connect(fd_, &remote.any, remote.size) != 0) return last_error();
        connected_ = true;
    }
    local_ = bound_address(fd_);
    if (local_.family == Address::Family::none) return last_error();
    return {};
}

// Nor held to the kernel's idea of the path's MTU, which anybody's ICMP can lower: the protocols
// above probe for themselves (RFC 8899; RFC 9000, 14).
std::error_code UdpSocket::never_fragment(int level) const {
    static_assert(IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE);
    const int discover = v6_ ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
    if (!set_option(fd_, level, discover, IP_PMTUDISC_PROBE) &&
        !set_option(fd_, level, discover, IP_PMTUDISC_DO))
        return last_error();
    if (v6_ && !set_option(fd_, level, IPV6_DONTFRAG, 1)) return last_error();
    return {};
}

UdpSocket::Receipt UdpSocket::receive(std::span<std::byte> space, Datagrams& run) {
    // Two packet informations, in case that an application's cgroup turned more options on; and two
    // headers of options, which come last.
    alignas(cmsghdr) char control[256 + 2 * CMSG_SPACE(248)];
    SocketAddress remote;
    iovec vector{space.data(), std::min(space.size(), receive_space)};
    msghdr message{};
    message.msg_name = &remote.any;
    message.msg_namelen = sizeof(remote.v6);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);

    const ssize_t size = recvmsg(fd_, &message, MSG_DONTWAIT);
    if (size < 0) {
        // Other errors are the pending ones of earlier sends: ICMP, which drain_errors() tells.
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EBADF) return Receipt::nothing;
        return Receipt::skipped;
    }
    if ((size == 0 && !headers_) || (message.msg_flags & MSG_TRUNC) != 0) return Receipt::skipped;

    const ReceivedControl info(message, local_.port);
    run.local = info.local.family == local_.family ? info.local : local_;
    run.remote = address_of(remote.any, message.msg_namelen);
    run.ecn = ecn_ ? info.ecn : Ecn::not_ect;
    run.bytes = space.first(static_cast<std::size_t>(size));
    run.segment = info.segment > 0 ? std::min(info.segment, run.bytes.size()) : run.bytes.size();
    if (run.remote.family == Address::Family::none) return Receipt::skipped;
    if (headers_) run.options = info.header;
    run.blank = size == 0;
    return Receipt::run;
}

bool UdpSocket::send(const Datagrams& run, std::vector<Io::Trouble>& troubles) {
    if (run.empty() || (run.segment == 0 && !run.blank)) return true;
    if (run.remote.family != local_.family) {
        report(run.remote, EAFNOSUPPORT, troubles);
        return true;
    }
    // What waits goes first, so that the order is kept.
    if (!queue_.empty()) return queue_.push(run);
    const std::size_t done = transmit(run, troubles);
    if (done >= run.count()) return true;
    return queue_.push(run.after(done));
}

void UdpSocket::flush(std::vector<Io::Trouble>& troubles) {
    waiting_ = Waiting::no;
    while (!queue_.empty()) {
        const Datagrams run = queue_.front();
        const std::size_t done = transmit(run, troubles);
        const bool all = done >= run.count();
        queue_.pop(done);
        if (!all) return;
    }
}

std::size_t UdpSocket::transmit(Datagrams run, std::vector<Io::Trouble>& troubles) {
    // A mark sets the whole octet (RFC 3168, 22), and would take the socket's own DSCP away.
    if (dscp_ != 0 && !run.options.dscp) run.options.dscp = dscp_;
    const std::size_t count = run.count();
    if (headers_) headers_->apply(fd_, run.options);
    const std::size_t segment = std::max<std::size_t>(1, run.segment);
    const DatagramOptions& header = run.options;
    const bool may_cut = header.checksum.value_or(true) && header.ip_options.empty() &&
                         header.hop_options.empty();
    // 65507 is what IPv4 takes; a run for IPv6 may be no longer, for the same result on both.
    const std::size_t batch = std::min(most_segments,
                                       std::max<std::size_t>(1, largest_run / segment));
    std::size_t done = 0;
    while (done < count) {
        const Datagrams rest = run.after(done);
        const bool cut = gso_ && may_cut;
        const Datagrams part = rest.first(cut ? batch : most_messages);
        std::size_t refused = 0;
        if (cut && part.count() > 1) {
            if (const auto sent = transmit_run(part, troubles)) {
                done += *sent;
                if (*sent < part.count()) return done;
                continue;
            }
            const std::size_t sent = transmit_each(part, troubles, refused);
            // Singly they go, together they do not: so it will be next time.
            if (sent > 0 && refused == 0) gso_ = false;
            done += sent;
            if (sent < part.count()) return done;
            continue;
        }
        const std::size_t sent = transmit_each(part, troubles, refused);
        done += sent;
        if (sent < part.count()) return done;
    }
    return done;
}

// The whole run with one call; nothing when the kernel does not cut it and it may go singly.
std::optional<std::size_t> UdpSocket::transmit_run(const Datagrams& run,
                                                   std::vector<Io::Trouble>& troubles) {
    SocketAddress remote(run.remote);
    SendControl control(run, v6_, ecn_, connected_ || one_address_, mark_);
    control.append_segment(run.segment);
    iovec vector = vector_of(run.bytes);
    msghdr message{};
    message.msg_name = connected_ ? nullptr : &remote.any;
    message.msg_namelen = connected_ ? 0 : remote.size;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    control.attach(message);

    int error = send_one(fd_, message);
    // An error may be the pending one of an earlier datagram, to anybody: it is told once.
    if (error != 0 && !is_full(error)) error = send_one(fd_, message);
    if (error == 0) return run.count();
    if (no_room(error)) return 0;
    if (may_refuse_gso(error)) return {};
    report(run.remote, error, troubles);
    return run.count();
}

// Each datagram by itself, in sendmmsg batches. `refused` counts those that were given up.
std::size_t UdpSocket::transmit_each(const Datagrams& run, std::vector<Io::Trouble>& troubles,
                                     std::size_t& refused) {
    SocketAddress remote(run.remote);
    SendControl control(run, v6_, ecn_, connected_ || one_address_, mark_);
    std::array<iovec, most_messages> vectors;
    std::array<mmsghdr, most_messages> messages;
    const std::size_t count = run.count();
    std::size_t done = 0;
    bool retried = false;
    while (done < count) {
        const std::size_t batch = std::min(count - done, most_messages);
        for (std::size_t i = 0; i < batch; ++i) {
            const std::size_t begin = (done + i) * run.segment;
            const std::size_t size = std::min(run.segment, run.bytes.size() - begin);
            vectors[i] = vector_of(run.bytes.subspan(begin, size));
            messages[i] = {};
            msghdr& message = messages[i].msg_hdr;
            message.msg_name = connected_ ? nullptr : &remote.any;
            message.msg_namelen = connected_ ? 0 : remote.size;
            message.msg_iov = &vectors[i];
            message.msg_iovlen = 1;
            control.attach(message);
        }
        // One datagram is sent by sendmsg, which is the cheaper call.
        int sent = 1;
        int error = 0;
        if (batch == 1) {
            error = send_one(fd_, messages[0].msg_hdr);
        } else {
            sent = sendmmsg(fd_, messages.data(), static_cast<unsigned>(batch),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0) error = errno;
        }
        if (error == 0) {
            done += static_cast<std::size_t>(sent);
            retried = false;
            continue;
        }
        if (error == EINTR) continue;
        if (no_room(error)) return done;
        // The error may be the pending one of an earlier datagram, to anybody: it is told once.
        if (!std::exchange(retried, true)) continue;
        // The first of the batch failed. The others may differ (the last one may be shorter) only
        // where the size is the matter; else the whole run has the same fate.
        report(run.remote, error, troubles);
        const std::size_t given_up = error == EMSGSIZE ? 1 : count - done;
        refused += given_up;
        done += given_up;
        retried = false;
    }
    return done;
}

bool UdpSocket::no_room(int error) {
    if (!is_full(error)) return false;
    waiting_ = error == ENOBUFS ? Waiting::for_memory : Waiting::for_room;
    return true;
}

void UdpSocket::drain_errors(std::vector<Io::Trouble>& troubles, std::size_t most) {
    for (std::size_t i = 0; i < most; ++i) {
        alignas(cmsghdr) char control[512];
        SocketAddress remote;
        msghdr message{};
        message.msg_name = &remote.any;
        message.msg_namelen = sizeof(remote.v6);
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        if (recvmsg(fd_, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR) continue;
            // Nothing more is queued; an error without an entry (the queue was full) would keep
            // the socket readable for ever.
            int pending = 0;
            socklen_t size = sizeof(pending);
            getsockopt(fd_, SOL_SOCKET, SO_ERROR, &pending, &size);
            return;
        }
        for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
            const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
            const bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
            if (!v4 && !v6) continue;
            const auto said = control_value<sock_extended_err>(*c);
            if (said.ee_origin != SO_EE_ORIGIN_ICMP && said.ee_origin != SO_EE_ORIGIN_ICMP6)
                continue;
            report(address_of(remote.any, message.msg_namelen), static_cast<int>(said.ee_errno),
                   troubles);
        }
    }
}

// What says something about the way to `remote`. EMSGSIZE does not: it is how a probe for a larger
// MTU fails, and what anybody can forge to make packets small. Of applications' datagrams nobody
// else would tell it.
void UdpSocket::report(const Address& remote, int error, std::vector<Io::Trouble>& troubles) const {
    if (error == 0 || troubles.size() >= most_troubles) return;
    if (error == EMSGSIZE && !headers_) return;
    if (remote.family == Address::Family::none) return;
    const std::error_code code(error, std::system_category());
    // The parts of a run say the same thing again.
    if (!troubles.empty() && troubles.back().socket == id_ && troubles.back().remote == remote &&
        troubles.back().code == code)
        return;
    troubles.push_back({id_, remote, code});
}

}  // namespace post::io
