// Selection: which stacks of a Policy are tried, in which order, and why not the others (RFC 9622,
// 6.2; RFC 9623, 4.1). Policy, the system's preferences and the table of features in; values out.
#pragma once

#include <string>
#include <vector>

#include <post/error.hpp>
#include <post/policy.hpp>

namespace post::core {

struct Selection {
    struct Chosen {
        Stack stack;
        bool secure;
        std::string reason;  // of its place
    };
    struct Refused {
        Stack stack;
        std::string reason;
    };
    std::vector<Chosen> chosen;  // in order, all secure ones first
    std::vector<Refused> refused;
    std::vector<std::string> relaxed;  // wishes of the system that the application's left no room
    // Nothing is left: `unsupported`, and the detail names each requirement and who cannot meet it.
    Error error;

    std::vector<Stack> secure() const { return stacks(true); }
    std::vector<Stack> insecure() const { return stacks(false); }

private:
    std::vector<Stack> stacks(bool secure) const;
};

// `plain`: the peer will not speak Post (an ALPN of the application's own).
Selection select(const Policy& policy, const Preferences& system = {}, bool plain = false);

}  // namespace post::core
