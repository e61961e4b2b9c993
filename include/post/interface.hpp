// Interface: one way out of this machine, as the system has it now (RFC 9622, 6.1: a Local Endpoint
// on an interface). A plain value, the caller's. An interface with its gateways is also what the
// library takes for a provisioning domain (RFC 7556): what is learned of races in one network is
// not used in another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/policy.hpp>

namespace post {

struct Interface {
    struct Source {
        Address address;          // port 0; of a link-local one the scope is the interface
        std::uint8_t prefix = 0;  // bits of it that its link's neighbours share
        bool temporary = false;   // RFC 8981
        bool deprecated = false;  // still good for what uses it, not for anything new (RFC 4862)
        bool operator==(const Source&) const = default;
    };
    struct Route {
        Address to;  // family says of which; the default route has prefix 0
        std::uint8_t prefix = 0;
        Address gateway{};         // family none: neighbours, reached without one
        std::uint32_t metric = 0;  // lower ones first
        bool operator==(const Route&) const = default;
    };

    std::string name;  // "eth0"
    InterfaceType type = InterfaceType::other;
    std::uint32_t index = 0;
    std::size_t mtu = 0;  // bytes of a packet, with the IP header; 0: unknown
    // Those that can be used; at most 64.
    std::vector<Source> sources{};
    std::vector<Route> routes{};  // that lead out here; at most 256
    bool more_routes = false;     // there were more, so that no route does not say no way

    // "eth0 via 192.0.2.1 fe80::1": the name, and the gateways of the default routes.
    std::string network() const;
    // "eth0 (wired): 192.0.2.7, 2001:db8::7".
    std::string string() const;
    bool operator==(const Interface&) const = default;
};

}  // namespace post
