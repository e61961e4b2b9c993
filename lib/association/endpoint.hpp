// Endpoint: where a Remote can be reached, as resolution found it: one address and port, and what
// was said of it. The most specific form of a Remote (draft 2.4).
#pragma once
#include <cstdint>
#include <optional>
#include <post/address.hpp>
#include <string>
#include <vector>
namespace post::core {
struct Endpoint {
    Address address;
    std::uint32_t priority = 0;  // SvcPriority (RFC 9460, 2.4.1) or SRV's: lower ones first
    // The protocols that the record offers; none: nothing was said, and all may be tried.
    std::optional<std::vector<std::string>> alpn{};
    std::string
        from;  // which answer it came of, for reports: "AAAA of a.example", "ipv6hint of b.example"
    bool operator==(const Endpoint&) const = default;
};
}  // namespace post::core
