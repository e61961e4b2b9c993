// RFC 6724 on plain addresses, and sources from sockets that are connected and never used.
#include "lib/io/address_order.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "lib/io/descriptor.hpp"
#include "lib/io/sockaddr.hpp"

namespace post::io {
namespace {

// RFC 6724, 2.1. Where several rows fit, the longest prefix counts: the rows are in that order.
struct Policy {
    std::array<std::uint8_t, 16> prefix;
    unsigned bits;
    int precedence;
    int label;
};
constexpr Policy policies[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, 50, 0},  // ::1/128
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 35, 4},         // ::ffff:0:0/96
    {{}, 96, 1, 3},                                                  // ::/96
    {{0x20, 0x01}, 32, 5, 5},                                        // 2001::/32
    {{0x20, 0x02}, 16, 30, 2},                                       // 2002::/16
    {{0x3f, 0xfe}, 16, 1, 12},                                       // 3ffe::/16
    {{0xfe, 0xc0}, 10, 1, 11},                                       // fec0::/10
    {{0xfc}, 7, 3, 13},                                              // fc00::/7
    {{}, 0, 40, 1},                                                  // ::/0
};

using Ip = std::array<std::uint8_t, 16>;

// IPv4 as a mapped address.
Ip as_v6(const Address& address) {
    if (address.family != Address::Family::v4) return address.ip;
    Ip ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::copy_n(address.ip.begin(), 4, ip.begin() + 12);
    return ip;
}

unsigned common_bits(const Ip& a, const Ip& b) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (unsigned mask = 0x80; mask != 0; mask >>= 1, ++bits)
            if ((a[i] & mask) != (b[i] & mask)) return bits;
    }
    return bits;
}

const Policy& policy_of(const Address& address) {
    const Ip ip = as_v6(address);
    return *std::find_if(std::begin(policies), std::end(policies), [&](const Policy& policy) {
        return common_bits(ip, policy.prefix) >= policy.bits;
    });
}

// RFC 6724, 3.1 and 3.2: as in the scope field of multicast addresses.
int scope_of(const Address& address) {
    constexpr int link_local = 2;
    constexpr int site_local = 5;
    constexpr int global = 14;
    const auto& ip = address.ip;
    if (address.is_loopback()) return link_local;
    if (address.family == Address::Family::v4)
        return ip[0] == 169 && ip[1] == 254 ? link_local : global;
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) return link_local;
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0) return site_local;
    return global;
}

// What comes first is smaller.
auto rank(const Reach& reach) {
    const Address& from = reach.source;
    const Address& to = reach.destination;
    const bool reached = from.family != Address::Family::none;
    const bool same_scope = reached && scope_of(from) == scope_of(to);
    const bool same_label = reached && policy_of(from).label == policy_of(to).label;
    // Rule 9: the network's part of an address has 64 bits; IPv4 has no such part (RFC 6724, B).
    const bool v6 = reached && to.family == Address::Family::v6;
    const unsigned prefix = v6 ? std::min(64u, common_bits(from.ip, to.ip)) : 0;
    return std::tuple(!reached, !same_scope, !same_label, -policy_of(to).precedence, scope_of(to),
                      64 - prefix);
}

Address source_to(const Address& destination) {
    const bool v6 = destination.family == Address::Family::v6;
    const Descriptor fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
    // Any port will do: nothing is sent.
    Address to = destination;
    if (to.port == 0) to.port = 9;
    SocketAddress address(to);
    if (!fd || connect(fd.get(), &address.any, address.size) != 0) return {};
    SocketAddress local;
    local.size = sizeof(local.v6);
    if (getsockname(fd.get(), &local.any, &local.size) != 0) return {};
    return address_of(local.any, local.size);
}

}  // namespace

void sort_reaches(std::vector<Reach>& reaches) {
    std::stable_sort(reaches.begin(), reaches.end(),
                     [](const Reach& a, const Reach& b) { return rank(a) < rank(b); });
}

void sort_addresses(std::vector<Address>& addresses) {
    if (addresses.size() < 2) return;
    std::vector<Reach> reaches;
    for (const Address& address : addresses) reaches.push_back({address, source_to(address)});
    sort_reaches(reaches);
    std::transform(reaches.begin(), reaches.end(), addresses.begin(),
                   [](const Reach& reach) { return reach.destination; });
}

}  // namespace post::io
