// A kernel that refuses to send: refusals.cpp stands in front of sendmsg and sendmmsg, because a
// loopback is never full and never lacks a feature.
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

// The segment size that the message asks the kernel for; 0: none.
std::size_t segment_of(const msghdr& message);

}  // namespace post::test
