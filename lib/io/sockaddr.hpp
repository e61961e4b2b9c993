// Addresses as the system wants them. A post::Address on one side, a sockaddr on the other.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <post/address.hpp>

namespace post::io {

// Either family's sockaddr and its size; size 0 for an Address of no family.
struct SocketAddress {
    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
    };
    socklen_t size = 0;

    SocketAddress() : v6{} {}
    explicit SocketAddress(const Address& address);
};

// Family none for what is neither IPv4 nor IPv6, or is cut off. `size` is what the system wrote.
Address address_of(const sockaddr& any, socklen_t size);
Address address_of(const in_addr& ip, std::uint16_t port);
// `scope` is kept for link-local addresses alone, where it belongs to the address.
Address address_of(const in6_addr& ip, std::uint16_t port, std::uint32_t scope);

in_addr v4_of(const Address& address);
in6_addr v6_of(const Address& address);

}  // namespace post::io
