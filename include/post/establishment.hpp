// Establishment: how a connection came about, or did not: what names were resolved to and when,
// every candidate that was tried, where it got to, and what was left out (the race follows Happy
// Eyeballs v3). A plain value, the caller's; string() prints it for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/error.hpp>
#include <post/policy.hpp>
#include <post/time.hpp>

namespace post {

struct Establishment {
    enum class Result : std::uint8_t {
        under_way,
        won,     // its handshake was complete and authenticated first
        failed,  // `error` says why
        lost,    // another one won
    };
    // One answer to what was asked of the name servers, of the first 64.
    struct Answer {
        std::string question;       // "AAAA", "A", "SVCB"
        Instant at{};               // when it came
        std::size_t endpoints = 0;  // that it gave
        Error error{};
    };
    // One connection that was begun, in the order of their beginning: at most 16.
    struct Attempt {
        Stack stack = Stack::quic;
        Address remote;
        std::string from;    // which answer the address came of
        std::string reason;  // of its place
        Result result = Result::under_way;
        Stage stage = Stage::connect;  // how far it came
        Instant started{};
        Instant heard = never;  // when it heard something of the peer's host first
        Instant ended = never;  // when it won, failed or lost
        Error error{};          // with the foreign code
        std::string path{};     // the interface that it was bound to; empty: as the system routes
        Address source{};       // and its address there
    };
    // What was never begun because it may not be, of the first 64.
    struct Refused {
        std::optional<Stack> stack{};  // none: whatever the stack
        Address remote;                // family none: whatever the address
        std::string reason;
        std::string path{};  // the interface; empty: whatever the path
    };

    std::string remote;  // as the application named it
    Instant began{};
    Instant resolved = never;  // when nothing was left to be looked up
    Instant ended = never;     // when one had won, or all had failed
    bool resumed = false;      // the winner went on where an earlier connection was (Association)
    // Messages that the winner's first flight carried (0-RTT); and whether the peer took none of
    // it, so that they were sent again behind the handshake.
    std::size_t early = 0;
    bool early_rejected = false;
    std::vector<Answer> answers{};
    std::vector<Attempt> attempts{};
    std::vector<Refused> refused{};

    // The attempt that won; nullptr: none has.
    const Attempt* winner() const;
    // All of it for people, times in milliseconds since it began:
    //   post://a.example:4433: connected after 331.0 ms
    //     12.0 ms  AAAA: 1 address
    //     62.0 ms  quic to [2001:db8::1]:4433: lost after 269.0 ms, heard nothing
    std::string string() const;
};
const char* to_string(Establishment::Result result) noexcept;

}  // namespace post
