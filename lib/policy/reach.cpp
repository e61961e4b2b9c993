// From which address an interface reaches a Remote: the rules of RFC 6724, 5, on one interface.
#include <algorithm>
#include <tuple>

#include "lib/policy/paths.hpp"

namespace post::core {

namespace {

using Family = Address::Family;

const char* name(Family family) { return family == Family::v6 ? "IPv6" : "IPv4"; }

bool is_link_local(const Address& address) {
    if (address.family == Family::v4) return address.ip[0] == 169 && address.ip[1] == 254;
    return address.ip[0] == 0xfe && (address.ip[1] & 0xc0) == 0x80;
}

unsigned bits_of(const Address& address) { return address.family == Family::v4 ? 32 : 128; }

unsigned common_bits(const Address& a, const Address& b) {
    const unsigned most = bits_of(a);
    unsigned bits = 0;
    while (bits < most && ((a.ip[bits / 8] ^ b.ip[bits / 8]) & (0x80 >> bits % 8)) == 0) ++bits;
    return bits;
}

bool same_ip(const Address& a, const Address& b) { return a.family == b.family && a.ip == b.ip; }

bool routes_to(const Interface& interface, const Address& remote) {
    if (interface.more_routes || remote.is_multicast()) return true;
    const auto leads = [&](const Interface::Route& route) {
        return route.to.family == remote.family && common_bits(route.to, remote) >= route.prefix;
    };
    const auto beside = [&](const Interface::Source& source) {
        return source.address.family == remote.family &&
               common_bits(source.address, remote) >= source.prefix;
    };
    return std::any_of(interface.routes.begin(), interface.routes.end(), leads) ||
           std::any_of(interface.sources.begin(), interface.sources.end(), beside);
}

Error no(std::string reason) {
    return Error(Errc::no_route, {}, Stage::connect, Bytes(std::move(reason)));
}

// RFC 6724, 5, smaller is better: rule 3 (deprecated ones last), rule 7 (temporary ones first, or
// as the application has it), rule 8 (the longest prefix). Rule 2 is the caller's: link-local
// sources are for link-local Remotes. Rule 6 (labels): not done, since one interface seldom has
// addresses of two labels, and a longer prefix finds the right one there.
auto rank(const Interface::Source& source, const Address& remote, SourceChoice choice) {
    const bool local = is_link_local(source.address) != is_link_local(remote);
    const bool temporary = source.temporary == (choice != SourceChoice::stable);
    const unsigned shared = std::min<unsigned>(source.prefix, common_bits(source.address, remote));
    return std::tuple(local, source.deprecated, !temporary, bits_of(remote) - shared);
}

}  // namespace

Result<LocalPath> reach(const Interface& interface, const Address& remote, SourceChoice choice,
                        const Address& wanted, const std::vector<Address>& own) {
    const bool here = remote.is_loopback() ||
                      std::any_of(own.begin(), own.end(),
                                  [&](const Address& each) { return same_ip(each, remote); });
    if (here != (interface.type == InterfaceType::loopback))
        return no(here ? "it is this machine, which the loopback interface alone leads to"
                       : "the loopback interface leads to this machine alone");
    const bool near = !here && remote.family == Family::v6 && is_link_local(remote);
    if (near && remote.scope != interface.index)
        return no(remote.scope == 0 ? "a link-local address without its zone"
                                    : "a link-local address of another link");
    const Interface::Source* best = nullptr;
    for (const Interface::Source& source : interface.sources) {
        if (source.address.family != remote.family) continue;
        if (wanted.family != Family::none && !same_ip(source.address, wanted)) continue;
        const bool far = !here && is_link_local(source.address) && !is_link_local(remote) &&
                         !remote.is_multicast();
        if (far) continue;
        if (!best || rank(source, remote, choice) < rank(*best, remote, choice)) best = &source;
    }
    if (!best && wanted.family == remote.family)
        return no("it does not have the address " + wanted.ip_string());
    if (!best) return no(std::string("it has no ") + name(remote.family) + " address for it");
    if (!here && !routes_to(interface, remote)) return no("no route leads there");
    LocalPath path{interface.name, interface.index, best->address, interface.mtu};
    path.source.port = 0;
    return path;
}

}  // namespace post::core
