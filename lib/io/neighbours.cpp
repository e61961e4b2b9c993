// What neighbours say to each other: a header in this process's own form, since only programs with
// this library share a port, and the datagrams.
#include "lib/io/neighbours.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace post::io {

namespace {

// Changes with the layout, so that different builds do not misread each other.
constexpr std::uint32_t magic = 0x70736e01;

struct Header {
    std::uint32_t magic;
    std::uint32_t segment;
    Address local;
    Address remote;
    Ecn ecn;
};

// sockaddr_un with a name that begins with a zero byte: no file, gone with its socket.
struct Name {
    sockaddr_un address{};
    socklen_t size = 0;

    Name(const Address& local, std::uint16_t index) {
        address.sun_family = AF_UNIX;
        const std::string name = "post/" + std::to_string(geteuid()) + "/" + local.string() + "/" +
                                 std::to_string(index);
        const std::size_t length = std::min(name.size(), sizeof(address.sun_path) - 1);
        std::memcpy(address.sun_path + 1, name.data(), length);
        size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
    }
    const sockaddr* any() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// True when the sender runs as our user: nobody else may put words into a peer's mouth.
bool is_ours(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) continue;
        ucred sender{};
        std::memcpy(&sender, CMSG_DATA(c), sizeof(sender));
        return sender.uid == geteuid();
    }
    return false;
}

}  // namespace

Result<Neighbours> Neighbours::open(const Address& local, std::uint16_t index) {
    const auto failed = [&](Errc errc, const char* what) {
        return Error(errc, std::error_code(errno, std::system_category()), Stage::call, what);
    };
    Descriptor fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return failed(Errc::too_many, "a socket for those that share the port");
    const int on = 1;
    if (setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
        return failed(Errc::unsupported, "SO_PASSCRED");
    const Name name(local, index);
    if (bind(fd.get(), name.any(), name.size) != 0)
        return failed(errno == EADDRINUSE ? Errc::address_in_use : Errc::unsupported,
                      "Local::shared: another Context has this place on the port");
    return Neighbours(std::move(fd), local);
}

void Neighbours::pass(std::uint16_t index, const Datagrams& run) {
    Header header{};
    header.magic = magic;
    header.segment = static_cast<std::uint32_t>(run.segment);
    header.local = run.local;
    header.remote = run.remote;
    header.ecn = run.ecn;
    Name name(local_, index);
    iovec parts[] = {{&header, sizeof(header)},
                     {const_cast<std::byte*>(run.bytes.data()), run.bytes.size()}};
    msghdr message{};
    message.msg_name = &name.address;
    message.msg_namelen = name.size;
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    while (sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

Neighbours::Receipt Neighbours::receive(std::span<std::byte> space, Datagrams& run) {
    Header header{};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
    iovec parts[] = {{&header, sizeof(header)}, {space.data(), space.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (size < 0) return Receipt::nothing;
    if (static_cast<std::size_t>(size) <= sizeof(header) || (message.msg_flags & MSG_TRUNC) != 0 ||
        header.magic != magic || header.segment == 0 || !is_ours(message) ||
        header.remote.family != local_.family)
        return Receipt::skipped;
    run.local = header.local;
    run.remote = header.remote;
    run.ecn = header.ecn;
    run.bytes = space.first(static_cast<std::size_t>(size) - sizeof(header));
    run.segment = std::min<std::size_t>(header.segment, run.bytes.size());
    return Receipt::run;
}

}  // namespace post::io
