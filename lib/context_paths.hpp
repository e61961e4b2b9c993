// How the root finds a free port in a range.
#pragma once

#include <cstdint>
#include <string>

#include <post/local.hpp>
#include <post/result.hpp>

namespace post::core {

// Calls `open` with the ports of the Local in turn, until one is not taken by somebody else.
template <class Open> auto first_free(const Local& local, Open open) -> decltype(open(local.port)) {
    for (std::uint32_t port = local.port;; ++port) {
        auto opened = open(static_cast<std::uint16_t>(port));
        const bool taken = !opened && opened.error() == Errc::address_in_use;
        if (!taken || local.last_port == 0) return opened;
        if (port < local.last_port) continue;
        Error error = opened.error();
        error.detail = Bytes("the ports " + std::to_string(local.port) + " to " +
                             std::to_string(local.last_port) + " are all taken");
        return error;
    }
}

}  // namespace post::core
