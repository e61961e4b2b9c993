// Policy: what the application demands of the way its messages take (draft 2.8, RFC 9622, 6).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <post/time.hpp>

namespace post {

// A protocol stack instance. The README's table says what each is made of.
enum class Stack : std::uint8_t {
    quic,       // streams of QUIC (RFC 9000)
    sctp_dtls,  // streams of SCTP over DTLS over UDP (RFC 8261): data channels, for plain peers
    sctp_udp,   // streams of SCTP right over UDP (RFC 6951): not secured, so Security::none only
    tls,        // streams of QMux in TLS 1.3 over TCP: where UDP does not get through
};
const char* to_string(Stack stack) noexcept;

enum class Security : std::uint8_t {
    required,  // encrypted, and the peer is who it says; the default, and never traded for speed
    none,      // stacks without security are taken too, where `stacks` names them: anybody on the
               // way can read, change and forge whatever passes
};

struct Policy {
    Security security = Security::required;
    // In the order of preference. initiate uses the first one; listen takes peers on all of them,
    // on one number of UDP and TCP (sctp_udp: SctpOptions::udp_port).
    std::vector<Stack> stacks = {Stack::quic, Stack::sctp_dtls, Stack::tls};
    bool operator==(const Policy&) const = default;
};

// How far the peer may go before the library says no. Every bound can be set: numbers from 1 to
// 2^60, largest_message at most half of receive_budget, timeouts above zero; anything else is
// refused with invalid_argument by initiate and listen.
struct Bounds {
    // Received and taken whole, bytes; who receives in parts (ReceiveParts) has no limit.
    std::uint64_t largest_message = 16 * 1024 * 1024;
    std::uint64_t receive_budget = 64 * 1024 * 1024;  // received and untaken, an Association
    std::uint64_t send_budget = 1024 * 1024;          // not yet in a packet, a Carrier, bytes
    std::uint64_t association_send_budget = 64 * 1024 * 1024;
    // Packed and not yet acked, bytes. Each Carrier may go beyond it by one message, or by 576 KiB
    // of each long one that is begun, so that the peer has something to acknowledge.
    std::uint64_t unsettled = 32 * 1024 * 1024;
    std::uint64_t carriers = 65536;                         // that the peer may have open
    Duration handshake_timeout = std::chrono::seconds(10);  // for each candidate
    Duration idle_timeout = std::chrono::seconds(30);       // the lesser of both ends'
    Duration stalled_after = std::chrono::seconds(60);      // an unfinished message; zero: never
    Duration linger = std::chrono::seconds(10);             // what close() waits for at most
    // How long both ends may be silent before we say something, while a Carrier is open, so that
    // the idle timeout only ends what is broken or unused. None: a third of the idle timeout that
    // both ends agreed on. Zero: never, and silence ends open Carriers too (RFC 9622, 8.1.4).
    std::optional<Duration> keep_alive{};
    bool operator==(const Bounds&) const = default;
};

}  // namespace post
