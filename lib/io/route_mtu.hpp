// RouteMtu: what the interface on the way to an address takes in one packet (IP_MTU, ip(7)). Two
// sockets that never send, one a family, are connected to each address in turn: two system calls
// an answer, and nothing that could grow old.
#pragma once

#include <cstddef>

#include <post/address.hpp>

#include "lib/io/descriptor.hpp"

namespace post::io {

class RouteMtu {
public:
    // The UDP payload, at most 65507 bytes; 0 when there is no way, or the system does not say.
    std::size_t limit(const Address& remote);

private:
    Descriptor v4_;
    Descriptor v6_;
};

}  // namespace post::io
