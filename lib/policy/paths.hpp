// Paths: which interfaces may be used, in which order, and from which address each of them reaches
// a Remote (RFC 9622, 6.1 and 6.2.11; RFC 6724, 5). The Local, the policy and what the edge found
// in; values out. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <post/error.hpp>
#include <post/interface.hpp>
#include <post/local.hpp>
#include <post/policy.hpp>
#include <post/result.hpp>

namespace post::core {

// The near half of a candidate: where its sockets are bound.
struct LocalPath {
    std::string interface {};  // empty: as the system routes
    std::uint32_t index = 0;   // of the interface; 0: none
    Address source{};          // without a port; family none: as the system chooses
    std::size_t mtu = 0;       // of the interface; 0: unknown
    bool operator==(const LocalPath&) const = default;
};

struct PathSelection {
    struct Refused {
        std::string interface;
        std::string reason;
    };
    std::vector<Interface> chosen;  // in order; what is equal as it was given
    std::vector<Refused> refused;
    Error error;  // no_route: what was required is not there, or nothing may be used

    // Everybody may be used, and in no order: the system's routes decide.
    static bool needed(const Local& local, const Policy& policy, const Preferences& system);
};

inline constexpr std::size_t most_paths = 16;

// `interfaces` as the edge found them, the best first.
PathSelection select_paths(const std::vector<Interface>& interfaces, const Policy& policy,
                           const Preferences& system = {}, const Local& local = {});

// Those that `named` means: a name, an index or an address.
bool is_named(const Interface& interface, const std::string& named);

// From which address `interface` reaches `remote`; or why it does not, as the error's detail.
// `own`: all addresses of this machine, which nothing but the loopback interface leads to.
Result<LocalPath> reach(const Interface& interface, const Address& remote, SourceChoice choice,
                        const Address& wanted, const std::vector<Address>& own);

}  // namespace post::core
