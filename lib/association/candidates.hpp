// Candidates: in which order the ways to a Remote are tried, and which are not (RFC 9622, 4.1.2;
// Happy Eyeballs v3, 5). A candidate is a stack and an endpoint. The plan and the race both ask
// arrange(), so that what is planned is what is done. No clock, no state.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/policy.hpp>
#include <post/time.hpp>

#include "lib/association/endpoint.hpp"

namespace post::core {

// How to race: what may be tried, and when.
struct RaceOptions {
    static constexpr Duration least_delay = std::chrono::milliseconds(100);
    static constexpr Duration most_delay = std::chrono::seconds(2);

    // Secure ones, in the order of preference. An insecure one among them is refused.
    std::vector<Stack> stacks{};
    // Only after every secure candidate has failed.
    std::vector<Stack> insecure{};
    // Between two attempts, from least_delay to most_delay.
    Duration attempt_delay = std::chrono::milliseconds(250);
    // How long the first address waits for better ones and for SVCB.
    Duration resolution_delay = std::chrono::milliseconds(50);
    Duration least_spacing = std::chrono::milliseconds(10);  // after failures too; not less
    // Of an earlier connection: attempts follow each other when the first retransmission would be
    // due, three of it (RFC 6298, 2.2; RFC 9002, 6.2.2), instead of attempt_delay.
    std::optional<Duration> history_rtt{};
    // The application's own protocol, which every stack offers; empty: Post's, one for each stack.
    std::string alpn{};
    // The family that is tried first, and waited for.
    Address::Family preferred = Address::Family::v6;
    // True when SVCB is asked beside addresses, and is to be waited for.
    bool svcb = false;
    // The application named a group itself, and means it: no name service leads there.
    bool groups = false;

    // What is remembered of earlier races to this Remote: it changes places, and refuses nothing.
    struct Known {
        Stack stack;
        Address remote;
        bool operator==(const Known&) const = default;
    };
    std::optional<Known> winner{};   // first, on its address or, is that gone, on its family
    std::vector<Known> failed_on{};  // after all others: the stack on the address's family
};

struct Candidate {
    Stack stack = Stack::quic;
    bool secure = true;
    Endpoint endpoint;
    std::string reason{};  // why it stands in its place
};

struct Order {
    struct Refused {
        std::optional<Stack> stack{};  // none: whatever the stack
        Address remote;
        std::string reason;
        bool unspoken = false;  // the records offer none of its protocols
    };
    std::vector<Candidate> candidates;  // all secure ones first
    std::vector<Refused> refused;
};

// What was begun already, in the order of its beginning.
struct Begun {
    Stack stack;
    Address remote;
};

inline constexpr std::size_t most_attempts = 16;
inline constexpr std::size_t most_endpoints = 32;

// The order:
//   1. by the priority that the service published, lower ones first;
//   2. round robin over (stack, family): stacks in their order with one over TCP as the second
//      of them, and the family changes from place to place;
//   3. in each of these, addresses as they were resolved (RFC 6724 is the resolver's to apply).
// Then the second place of all, when the first does not go over TCP, goes to one that does, of the
// other family if there is such a one; what won the last time comes first, and what failed then
// last. Above `most_attempts` each (stack, family) gets its share, round robin.
Order arrange(std::span<const Endpoint> endpoints, const RaceOptions& options,
              std::span<const Begun> begun = {});

// The time from one attempt to the next.
Duration attempt_delay(const RaceOptions& options);

// Why nothing is ever sent to it (ATTACKS: what an answer can make us do); empty: it may be tried.
std::string wrong_with(const Address& address, bool groups = false);

}  // namespace post::core
