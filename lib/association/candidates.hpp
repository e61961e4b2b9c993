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
#include <post/boxed.hpp>
#include <post/policy.hpp>
#include <post/time.hpp>

#include "lib/association/endpoint.hpp"
#include "lib/policy/paths.hpp"

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
    // Its attempts are numbered from here, so that none has the number of one that still says its
    // last word.
    std::uint8_t first_attempt = 0;
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
    std::string network{};           // of which that is remembered

    // A way out of this machine, and what is remembered of its network.
    struct Path {
        Interface interface;
        std::string network{};
        std::optional<Known> winner{};
        std::vector<Known> failed_on{};
    };
    // Where connections may leave this machine.
    struct Out {
        std::vector<Path> paths{};  // best first, at most most_paths
        std::vector<PathSelection::Refused> refused{};
        Error error{};               // no path is left: the race is lost before it begins
        std::vector<Address> own{};  // of this machine
        SourceChoice choice = SourceChoice::automatic;
        Address from{};  // family none: as `choice` says
    };
    // None: one path, as the system routes, and what is remembered stands above.
    Boxed<Out> out{};
};

struct Candidate {
    Stack stack = Stack::quic;
    bool secure = true;
    Endpoint endpoint;
    std::string reason{};  // why it stands in its place
    LocalPath path{};
};

struct Order {
    struct Refused {
        std::optional<Stack> stack{};  // none: whatever the stack
        Address remote;
        std::string reason;
        bool unspoken = false;  // the records offer none of its protocols
        std::string path{};     // the interface; empty: whatever the path
    };
    std::vector<Candidate> candidates;  // all secure ones first
    std::vector<Refused> refused;
};

// What was begun already, in the order of its beginning.
struct Begun {
    Stack stack;
    Address remote;
    std::string path{};  // the interface
};

inline constexpr std::size_t most_attempts = 16;
inline constexpr std::size_t most_endpoints = 32;

// The order is that of paths (RFC 9623, 4.1.3: path, stack, endpoint), and on each of them:
//   1. by the priority that the service published, lower ones first;
//   2. round robin over (stack, family): stacks in their order with one over TCP as the second
//      of them, and the family changes from place to place;
//   3. in each of these, addresses as they were resolved (RFC 6724 is the resolver's to apply).
// Then the second place of a path, when the first does not go over TCP, goes to one that does, of
// the other family if there is such a one; what won the last time comes first, and what failed then
// last. Above `most_attempts` each (path, stack, family) gets its share, round robin. What is not
// secure comes behind all secure ones of all paths.
Order arrange(std::span<const Endpoint> endpoints, const RaceOptions& options,
              std::span<const Begun> begun = {});

// The time from one attempt to the next.
Duration attempt_delay(const RaceOptions& options);

// Why nothing is ever sent to it (ATTACKS: what an answer can make us do); empty: it may be tried.
std::string wrong_with(const Address& address, bool groups = false);

}  // namespace post::core
