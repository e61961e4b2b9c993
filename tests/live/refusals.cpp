// A kernel that refuses.
#include "tests/live/refusals.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace {

post::test::Refusals::Decide decide_now;
bool coarse_now = false;
int coarse_asked = 0;

}  // namespace

extern "C" ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    const int error = decide_now ? decide_now(*message) : 0;
    if (error == 0) return syscall(SYS_sendmsg, fd, message, flags);
    errno = error;
    return -1;
}

// As the kernel does it: what comes before the first failure is sent and counted.
extern "C" int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    for (unsigned i = 0; i < count; ++i) {
        const ssize_t size = sendmsg(fd, &messages[i].msg_hdr, flags);
        if (size < 0) return i > 0 ? static_cast<int>(i) : -1;
        messages[i].msg_len = static_cast<unsigned>(size);
    }
    return static_cast<int>(count);
}

extern "C" int epoll_pwait2(int fd, epoll_event* events, int most, const timespec* timeout,
                            const sigset_t* mask) {
    if (!coarse_now)
        return static_cast<int>(
            syscall(SYS_epoll_pwait2, fd, events, most, timeout, mask, _NSIG / 8));
    ++coarse_asked;
    errno = ENOSYS;
    return -1;
}

namespace post::test {

Refusals::Refusals(Decide decide) { decide_now = std::move(decide); }

Refusals::~Refusals() { decide_now = nullptr; }

CoarseSleep::CoarseSleep() {
    coarse_now = true;
    coarse_asked = 0;
}

CoarseSleep::~CoarseSleep() { coarse_now = false; }

int CoarseSleep::asked() const { return coarse_asked; }

std::size_t segment_of(const msghdr& message) {
    auto& mutable_message = const_cast<msghdr&>(message);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&mutable_message, c)) {
        if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_SEGMENT) continue;
        std::uint16_t segment = 0;
        std::memcpy(&segment, CMSG_DATA(c), sizeof(segment));
        return segment;
    }
    return 0;
}

}  // namespace post::test
