// The messages of rtnetlink(7).
#include "lib/io/rtnetlink.hpp"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <tuple>

#include "lib/io/sockaddr.hpp"

namespace post::io {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

template <class T> std::optional<T> read(Bytes bytes) {
    if (bytes.size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
}

// Takes a header with the length of the whole in it, and its value, from the front of `left`.
// Nothing when the length is no length.
template <class Header, class Length>
std::optional<std::pair<Header, Bytes>> next(Bytes& left, Length Header::*length) {
    const auto header = read<Header>(left);
    if (!header) return std::nullopt;
    const std::size_t size = (*header).*length;
    if (size < sizeof(Header) || size > left.size()) return std::nullopt;
    const Bytes value = left.subspan(sizeof(Header), size - sizeof(Header));
    left = left.subspan(std::min(left.size(), padded(size)));
    return std::pair{*header, value};
}

// Calls `each` with the type and value of every attribute. False: they are malformed.
template <class Each> bool for_each_attribute(Bytes left, Each each) {
    while (!left.empty()) {
        const auto attribute = next(left, &rtattr::rta_len);
        if (!attribute) return false;
        each(attribute->first.rta_type & NLA_TYPE_MASK, attribute->second);
    }
    return true;
}

// Without the end that C strings have.
std::string_view text_of(Bytes value) {
    const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
    return text.substr(0, text.find('\0'));
}

std::optional<Address> address_in(Bytes value, unsigned family, std::uint32_t scope = 0) {
    if (family == AF_INET && value.size() == sizeof(in_addr))
        return address_of(*read<in_addr>(value), 0);
    if (family == AF_INET6 && value.size() == sizeof(in6_addr))
        return address_of(*read<in6_addr>(value), 0, scope);
    return std::nullopt;
}

InterfaceType type_of(unsigned hardware, std::string_view kind) {
    for (const std::string_view tunnel :
         {"tun", "wireguard", "gre", "gretap", "ip6gre", "ip6tnl", "ipip", "sit", "vti", "vti6",
          "xfrm", "ppp", "vxlan", "geneve"})
        if (kind == tunnel) return InterfaceType::tunnel;
    switch (hardware) {
        case ARPHRD_LOOPBACK: return InterfaceType::loopback;
        case ARPHRD_ETHER: return InterfaceType::wired;
        case ARPHRD_IEEE80211:
        case ARPHRD_IEEE80211_PRISM:
        case ARPHRD_IEEE80211_RADIOTAP: return InterfaceType::wifi;
        case ARPHRD_RAWIP: return InterfaceType::cellular;
        case ARPHRD_PPP:
        case ARPHRD_TUNNEL:
        case ARPHRD_TUNNEL6:
        case ARPHRD_SIT:
        case ARPHRD_IPGRE:
        case ARPHRD_IP6GRE:
        case ARPHRD_NONE: return InterfaceType::tunnel;
        default: return InterfaceType::other;
    }
}

// Smaller is better: the metric of the best default route; what has none comes behind.
auto rank(const Interface& interface) {
    constexpr std::uint64_t none = std::uint64_t{1} << 32;
    std::uint64_t best = none;
    for (const Interface::Route& route : interface.routes)
        if (route.prefix == 0) best = std::min<std::uint64_t>(best, route.metric);
    return std::tuple(interface.type == InterfaceType::loopback, best, interface.index);
}

}  // namespace

InterfaceTable::Answer InterfaceTable::take(Bytes bytes, std::uint32_t sequence) {
    if (bytes.empty()) return Answer::malformed;
    while (!bytes.empty()) {
        const auto message = next(bytes, &nlmsghdr::nlmsg_len);
        if (!message) return Answer::malformed;
        const auto& [header, body] = *message;
        if (header.nlmsg_seq != sequence) continue;  // of a question that was given up
        if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) return Answer::interrupted;
        bool fine = true;
        switch (header.nlmsg_type) {
            case NLMSG_DONE: return Answer::done;
            case NLMSG_ERROR: return Answer::refused;
            case RTM_NEWLINK: fine = take_link(body); break;
            case RTM_NEWADDR: fine = take_address(body); break;
            case RTM_NEWROUTE: fine = take_route(body); break;
            default: break;
        }
        if (!fine) return Answer::malformed;
    }
    return Answer::more;
}

bool InterfaceTable::take_link(Bytes body) {
    const auto about = read<ifinfomsg>(body);
    if (!about) return false;
    Link link;
    std::string_view kind;
    bool fine = true;
    const bool whole = for_each_attribute(
        body.subspan(padded(sizeof(*about))), [&](unsigned type, Bytes value) {
            if (type == IFLA_IFNAME) link.interface.name = text_of(value);
            if (type == IFLA_MTU) link.interface.mtu = read<std::uint32_t>(value).value_or(0);
            if (type != IFLA_LINKINFO) return;
            fine &= for_each_attribute(value, [&](unsigned inner, Bytes text) {
                if (inner == IFLA_INFO_KIND) kind = text_of(text);
            });
        });
    if (!whole || !fine) return false;
    const std::string& name = link.interface.name;
    const bool named = !name.empty() && name.size() < IFNAMSIZ &&
                       name.find('/') == std::string::npos;
    if (!named || about->ifi_index <= 0) return false;
    link.interface.index = static_cast<std::uint32_t>(about->ifi_index);
    link.interface.type = type_of(about->ifi_type, kind);
    link.up = (about->ifi_flags & IFF_UP) != 0 && (about->ifi_flags & IFF_RUNNING) != 0;
    if (links_.size() < most_interfaces || links_.contains(link.interface.index))
        links_[link.interface.index] = std::move(link);
    return true;
}

bool InterfaceTable::take_address(Bytes body) {
    const auto about = read<ifaddrmsg>(body);
    if (!about) return false;
    std::uint32_t flags = about->ifa_flags;
    std::optional<Address> local;
    std::optional<Address> peer;
    const bool whole = for_each_attribute(
        body.subspan(padded(sizeof(*about))), [&](unsigned type, Bytes value) {
            if (type == IFA_LOCAL) local = address_in(value, about->ifa_family, about->ifa_index);
            if (type == IFA_ADDRESS) peer = address_in(value, about->ifa_family, about->ifa_index);
            if (type == IFA_FLAGS) flags = read<std::uint32_t>(value).value_or(flags);
        });
    if (!whole) return false;
    if (about->ifa_family != AF_INET && about->ifa_family != AF_INET6) return true;
    const auto& address = local ? local : peer;
    const std::size_t most = about->ifa_family == AF_INET ? 32 : 128;
    if (!address || about->ifa_prefixlen > most) return false;
    // RFC 4862, 5.4: nobody uses what may be somebody else's; RFC 4429: but what is optimistic.
    const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
    const auto link = links_.find(about->ifa_index);
    if (tentative || (flags & IFA_F_DADFAILED) != 0 || link == links_.end()) return true;
    auto& sources = link->second.interface.sources;
    // IFA_F_TEMPORARY of IPv6 is IFA_F_SECONDARY of IPv4.
    const bool temporary = about->ifa_family == AF_INET6 && (flags & IFA_F_TEMPORARY) != 0;
    const bool deprecated = (flags & (IFA_F_DEPRECATED | IFA_F_OPTIMISTIC)) != 0;
    if (sources.size() < most_sources)
        sources.push_back({*address, about->ifa_prefixlen, temporary, deprecated});
    return true;
}

bool InterfaceTable::take_route(Bytes body) {
    const auto about = read<rtmsg>(body);
    if (!about) return false;
    Interface::Route route;
    route.prefix = about->rtm_dst_len;
    std::uint32_t out = 0;
    Bytes hops;
    const bool whole = for_each_attribute(
        body.subspan(padded(sizeof(*about))), [&](unsigned type, Bytes value) {
            if (type == RTA_DST)
                route.to = address_in(value, about->rtm_family).value_or(Address{});
            if (type == RTA_GATEWAY)
                route.gateway = address_in(value, about->rtm_family).value_or(Address{});
            if (type == RTA_OIF) out = read<std::uint32_t>(value).value_or(0);
            if (type == RTA_PRIORITY) route.metric = read<std::uint32_t>(value).value_or(0);
            if (type == RTA_MULTIPATH) hops = value;
        });
    if (!whole) return false;
    const bool v4 = about->rtm_family == AF_INET;
    if (!v4 && about->rtm_family != AF_INET6) return true;
    if (route.prefix > (v4 ? 32 : 128)) return false;
    // What is ours, cached, blocked or dead leads nowhere.
    if (about->rtm_type != RTN_UNICAST || (about->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)) != 0)
        return true;
    if (route.to.family == Address::Family::none) {
        if (route.prefix != 0) return false;
        route.to = v4 ? Address::any_v4() : Address::any_v6();
    }
    add(out, route);
    return take_hops(hops, route);
}

// RTA_MULTIPATH: { length (16), flags (8), hops (8), interface (32), attributes } for each.
bool InterfaceTable::take_hops(Bytes hops, const Interface::Route& route) {
    const unsigned family = route.to.family == Address::Family::v4 ? AF_INET : AF_INET6;
    while (!hops.empty()) {
        const auto hop = next(hops, &rtnexthop::rtnh_len);
        if (!hop) return false;
        Interface::Route one = route;
        const bool whole = for_each_attribute(hop->second, [&](unsigned type, Bytes value) {
            if (type == RTA_GATEWAY) one.gateway = address_in(value, family).value_or(Address{});
        });
        if (!whole) return false;
        if ((hop->first.rtnh_flags & RTNH_F_DEAD) == 0)
            add(static_cast<std::uint32_t>(hop->first.rtnh_ifindex), one);
    }
    return true;
}

void InterfaceTable::add(std::uint32_t index, const Interface::Route& route) {
    const auto link = links_.find(index);
    if (link == links_.end()) return;
    Interface& interface = link->second.interface;
    if (interface.routes.size() < most_routes)
        interface.routes.push_back(route);
    else
        interface.more_routes = true;
}

std::vector<Interface> InterfaceTable::interfaces() const {
    std::vector<Interface> up;
    for (const auto& [index, link] : links_)
        if (link.up) up.push_back(link.interface);
    std::stable_sort(up.begin(), up.end(),
                     [](const Interface& a, const Interface& b) { return rank(a) < rank(b); });
    return up;
}

}  // namespace post::io
