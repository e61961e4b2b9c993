// Local: what the near end of an Association is made of (draft 2.5, RFC 9622, 6.1): address, port,
// identity. A plain value.
#pragma once

#include <cstdint>

#include <post/address.hpp>
#include <post/identity.hpp>

namespace post {

struct Local {
    // 0: the system chooses. One UDP port serves all Associations of a Local.
    std::uint16_t port = 0;
    // Family none: every address of the machine, IPv4 and IPv6.
    Address address{};
    // A Listener must have one; a client shows its own only where the server asks for it.
    Identity identity{};
};

}  // namespace post
