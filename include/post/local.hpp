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
    // For listen: one port for several Contexts, each with its own thread or process. `of` Contexts
    // of the same user listen on the same port, the same address and with the same options, as
    // number `shared` = 0 to of - 1 (at most 1024). The system spreads peers over them, each
    // connection belongs to one of them for good, and datagrams that reach the wrong one are handed
    // on. Such a port must be named; a place that is taken is address_in_use.
    std::uint16_t shared = 0;
    std::uint16_t of = 1;
};

}  // namespace post
