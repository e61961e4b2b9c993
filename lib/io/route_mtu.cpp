// RouteMtu: what the system knows of a route.
#include "lib/io/route_mtu.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <algorithm>

#include "lib/io/sockaddr.hpp"
#include "mappings/wire/datagrams.hpp"

namespace post::io {

std::size_t RouteMtu::limit(const Address& remote) {
    if (remote.family == Address::Family::none) return 0;
    const bool v6 = remote.family == Address::Family::v6;
    Descriptor& socket_of_family = v6 ? v6_ : v4_;
    if (!socket_of_family)
        socket_of_family = Descriptor(
            socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
    const int fd = socket_of_family.get();
    SocketAddress address(remote);
    if (fd < 0 || connect(fd, &address.any, address.size) != 0) return 0;
    int mtu = 0;
    socklen_t size = sizeof(mtu);
    if (getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu, &size) != 0)
        return 0;
    const std::size_t headers = (v6 ? 40 : 20) + 8;
    if (mtu <= static_cast<int>(headers)) return 0;
    return std::min(static_cast<std::size_t>(mtu) - headers, largest_run);
}

}  // namespace post::io
