// Plan: how a connection to a Remote would be raced: every candidate in its place, when it would
// begin, and why; and what would not be tried, and why not. Nothing but name servers has been asked
// for it. A plain value, the caller's; string() prints it for people. The race uses the same order,
// and moves with what happens: a failure begins the next candidate at once, an answer that comes
// late is put where it belongs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/error.hpp>
#include <post/policy.hpp>
#include <post/reuse.hpp>
#include <post/time.hpp>

namespace post {

struct Plan {
    // In order: path, then stack and endpoint as the race takes them. At most 16.
    struct Candidate {
        std::string path;  // the interface; empty: as the system's routes have it
        Stack stack = Stack::quic;
        Address remote;
        std::string from;  // which answer the address came of
        bool secure = true;
        // After the first candidate, when nothing is heard of those before. None: only when all
        // secure ones have failed, at once then.
        std::optional<Duration> delay{};
        std::string reason;  // of its place
        Address source{};    // where it would come from; family none: as the system chooses
    };
    struct Refused {
        // "tls to [2001:db8::1]:4433", "192.0.2.1:4433 over eth1", "sctp-udp", "interface wlan0"
        std::string what;
        std::string reason;
    };

    std::string remote;  // as the application named it
    std::vector<Candidate> candidates{};
    std::vector<Refused> refused{};
    std::vector<std::string> notes{};  // wishes of the system that gave way
    // Whether a Carrier would share an Association that is there; then nothing of this is tried,
    // unless that one ends first.
    Reuse reuse{};
    // Why there is no candidate: `unsupported` with the requirement that cannot be met, `no_route`
    // where no interface may be used (the detail lists those there are), or what resolution said.
    Error error{};

    // All of it for people:
    //   post://a.example:4433
    //      0 ms  quic to [2001:db8::1]:4433 (AAAA): quic is number 1 of the policy; IPv6 is ...
    //    250 ms  tls to 192.0.2.1:4433 (A): TCP gets through where UDP does not ...
    //       not  sctp-dtls: 'label' is prohibited, and native: ...
    std::string string() const;
};

}  // namespace post
