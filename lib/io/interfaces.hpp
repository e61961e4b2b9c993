// Interfaces: asks the kernel for interfaces, addresses and routes, and hears when they change
// (rtnetlink(7)). Nothing is opened before somebody asks. Errors are values: a sandbox without
// netlink has no interfaces, and the rest of the library works.
#pragma once

#include <cstdint>
#include <vector>

#include <post/interface.hpp>
#include <post/result.hpp>

#include "lib/io/descriptor.hpp"

namespace post::io {

class Interfaces {
public:
    // How the watch's events are known among those of `epoll`.
    Interfaces(int epoll, std::uint64_t event) : epoll_(epoll), event_(event) {}

    // From the first call on changes are watched.
    Result<std::vector<Interface>> gather();
    // The watch is readable.
    void handle_event();
    bool poll_changed();

private:
    void open_watch();

    int epoll_;
    std::uint64_t event_;
    Descriptor watch_;
    bool changed_ = false;
};

}  // namespace post::io
