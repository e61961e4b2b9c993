// A kernel that refuses: refusals.cpp stands in front of sendmsg, sendmmsg and epoll_pwait2, since
// a loopback is never full, and this kernel lacks nothing.
#pragma once

#include <sys/socket.h>

#include <functional>

namespace post::test {

// While it lives, each message that is about to be sent is shown to `decide`, which returns 0 to
// let it through or the errno with which it fails. One at a time, from one thread.
class Refusals {
public:
    using Decide = std::function<int(const msghdr&)>;
    explicit Refusals(Decide decide);
    Refusals(const Refusals&) = delete;
    Refusals& operator=(const Refusals&) = delete;
    ~Refusals();
};

// While it lives, epoll_pwait2 is not there, as before Linux 5.11.
class CoarseSleep {
public:
    CoarseSleep();
    CoarseSleep(const CoarseSleep&) = delete;
    CoarseSleep& operator=(const CoarseSleep&) = delete;
    ~CoarseSleep();

    // How often somebody asked for it.
    int asked() const;
};

// The segment size that the message asks the kernel for; 0: none.
std::size_t segment_of(const msghdr& message);

}  // namespace post::test
