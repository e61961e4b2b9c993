// A network namespace for one test, that goes with it.
#pragma once

#include <sched.h>

#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>

namespace post::test {

// Runs the test in a thread with a network of its own: lo, and an interface post0 with 10.7.0.1/24
// and fd00:7::1/64, which leads nowhere. Contexts are made inside. False: there can be none.
inline bool in_namespace(const std::function<void()>& test) {
    bool there = false;
    std::exception_ptr thrown;
    std::thread([&] {
        there = unshare(CLONE_NEWNET) == 0 &&
                std::system(
                    "ip link set lo up && ip link add post0 type veth peer name post1 && "
                    "ip link set post1 up && ip link set post0 up && "
                    "ip addr add fd00:7::1/64 dev post0 nodad && "
                    "ip addr add 10.7.0.1/24 dev post0") == 0;
        if (!there) return;
        try {
            test();
        } catch (...) {
            thrown = std::current_exception();
        }
    }).join();
    if (thrown) std::rethrow_exception(thrown);
    return there;
}

}  // namespace post::test
