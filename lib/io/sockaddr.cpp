// Addresses as the system wants them.
#include "lib/io/sockaddr.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace post::io {

SocketAddress::SocketAddress(const Address& address) : SocketAddress() {
    switch (address.family) {
        case Address::Family::none: break;
        case Address::Family::v4:
            v4 = {};
            v4.sin_family = AF_INET;
            v4.sin_port = htons(address.port);
            v4.sin_addr = v4_of(address);
            size = sizeof(v4);
            break;
        case Address::Family::v6:
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(address.port);
            v6.sin6_addr = v6_of(address);
            v6.sin6_scope_id = address.scope;
            size = sizeof(v6);
            break;
    }
}

Address address_of(const sockaddr& any, socklen_t size) {
    if (any.sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
        sockaddr_in v4{};
        std::memcpy(&v4, &any, sizeof(v4));
        return address_of(v4.sin_addr, ntohs(v4.sin_port));
    }
    if (any.sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &any, sizeof(v6));
        return address_of(v6.sin6_addr, ntohs(v6.sin6_port), v6.sin6_scope_id);
    }
    return {};
}

Address address_of(const in_addr& ip, std::uint16_t port) {
    Address address;
    std::memcpy(address.ip.data(), &ip, sizeof(ip));
    address.port = port;
    address.family = Address::Family::v4;
    return address;
}

Address address_of(const in6_addr& ip, std::uint16_t port, std::uint32_t scope) {
    Address address;
    std::memcpy(address.ip.data(), &ip, sizeof(ip));
    address.port = port;
    address.family = Address::Family::v6;
    if (IN6_IS_ADDR_LINKLOCAL(&ip) || IN6_IS_ADDR_MC_LINKLOCAL(&ip)) address.scope = scope;
    return address;
}

in_addr v4_of(const Address& address) {
    in_addr ip{};
    std::memcpy(&ip, address.ip.data(), sizeof(ip));
    return ip;
}

in6_addr v6_of(const Address& address) {
    in6_addr ip{};
    std::memcpy(&ip, address.ip.data(), sizeof(ip));
    return ip;
}

}  // namespace post::io
