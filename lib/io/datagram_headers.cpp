// Socket options of applications' datagrams, and membership in groups (RFC 3678).
#include "lib/io/datagram_headers.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <cstring>
#include <utility>

#include "lib/io/system.hpp"

namespace post::io {

namespace {

constexpr int coverage_sent = 10;    // UDPLITE_SEND_CSCOV
constexpr int coverage_wanted = 11;  // UDPLITE_RECV_CSCOV

// 0: the system chooses; nothing: there is none of that name.
std::optional<unsigned> index_of(const std::string& interface) {
    if (interface.empty()) return 0u;
    const unsigned index = if_nametoindex(interface.c_str());
    return index == 0 ? std::nullopt : std::optional(index);
}

std::error_code no_interface() { return std::make_error_code(std::errc::no_such_device); }

std::error_code configure_source(int fd, bool v6, const UdpOptions& options, unsigned index) {
    const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (!set_option(fd, level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, options.loopback))
        return last_error();
    if (index == 0) return {};
    if (v6) {
        if (!set_option(fd, level, IPV6_MULTICAST_IF, static_cast<int>(index))) return last_error();
        return {};
    }
    ip_mreqn by{};
    by.imr_ifindex = static_cast<int>(index);
    if (setsockopt(fd, level, IP_MULTICAST_IF, &by, sizeof(by)) != 0) return last_error();
    return {};
}

template <class T> void put(sockaddr_storage& place, const T& address) {
    static_assert(sizeof(T) <= sizeof(place));
    std::memcpy(&place, &address, sizeof(address));
}

void put(sockaddr_storage& place, const Address& address) {
    const SocketAddress native(address);
    if (address.family == Address::Family::v6)
        put(place, native.v6);
    else
        put(place, native.v4);
}

}  // namespace

void DatagramHeaders::apply(int fd, const DatagramOptions& wanted) {
    const int level = v6_ ? IPPROTO_IPV6 : IPPROTO_IP;
    if (wanted.dont_fragment != dont_fragment_) {
        dont_fragment_ = wanted.dont_fragment;
        const int how = !dont_fragment_ || (v6_ && !*dont_fragment_) ? IP_PMTUDISC_WANT
                        : *dont_fragment_                            ? IP_PMTUDISC_DO
                                                                     : IP_PMTUDISC_DONT;
        set_option(fd, level, v6_ ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, how);
        if (v6_) set_option(fd, level, IPV6_DONTFRAG, dont_fragment_.value_or(false));
    }
    if (lite_) {
        const std::uint16_t coverage = wanted.coverage.value_or(0);
        if (coverage != std::exchange(coverage_, coverage))
            set_option(fd, IPPROTO_UDPLITE, coverage_sent, coverage);
        return;
    }
    const bool checksum = wanted.checksum.value_or(true);
    if (checksum == std::exchange(checksum_, checksum)) return;
    if (v6_)
        set_option(fd, IPPROTO_UDP, UDP_NO_CHECK6_TX, !checksum);
    else
        set_option(fd, SOL_SOCKET, SO_NO_CHECK, !checksum);
}

std::error_code prepare(int fd, bool v6, const Io::DatagramSocket& options) {
    const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const UdpOptions& udp = options.udp;
    if (!set_option(fd, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1)) return last_error();
    // Of IP options the system says nothing where there are none.
    if (v6) {
        if (!set_option(fd, level, IPV6_RECVHOPOPTS, 1) ||
            !set_option(fd, level, IPV6_RECVDSTOPTS, 1))
            return last_error();
    } else if (!set_option(fd, level, IP_RECVOPTS, 1)) {
        return last_error();
    }
    if (options.lite && udp.least_coverage != 0 &&
        !set_option(fd, IPPROTO_UDPLITE, coverage_wanted, udp.least_coverage))
        return last_error();
    if (v6 && udp.accept_without_checksum && !options.lite &&
        !set_option(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, 1))
        return last_error();
    const auto index = index_of(udp.interface);
    if (!index) return no_interface();
    if (options.remote.is_multicast()) return configure_source(fd, v6, udp, *index);
    // Several Sinks on one port, which each get what comes.
    if (options.joins && !set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return last_error();
    return {};
}

std::error_code join(int fd, const Address& group, const UdpOptions& options) {
    const bool v6 = group.family == Address::Family::v6;
    const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const auto index = index_of(options.interface);
    if (!index) return no_interface();
    if (options.sources.empty()) {
        group_req any{};
        any.gr_interface = *index;
        put(any.gr_group, group);
        return setsockopt(fd, level, MCAST_JOIN_GROUP, &any, sizeof(any)) == 0 ? std::error_code{}
                                                                               : last_error();
    }
    for (const Address& source : options.sources) {
        group_source_req one{};
        one.gsr_interface = *index;
        put(one.gsr_group, group);
        put(one.gsr_source, source);
        if (setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &one, sizeof(one)) != 0)
            return last_error();
    }
    return {};
}

}  // namespace post::io
