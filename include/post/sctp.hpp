// SctpOptions: what an application may choose of SCTP itself (RFC 9260). The defaults are right for
// nearly everybody.
#pragma once

#include <cstddef>
#include <cstdint>

namespace post {

// For initiate and listen alike. Values outside the ranges are refused with invalid_argument.
struct SctpOptions {
    // The port numbers inside of DTLS, where they tell nothing apart any more: 1 to 65535. Data
    // channels have 5000 (RFC 8841) unless their signalling says otherwise.
    std::uint16_t local_port = 5000;
    std::uint16_t remote_port = 5000;
    // Streams that are asked for at first, each way: 3 to 65535. Every Carrier takes one, and each
    // end has half of them; more are asked for when they run out (RFC 6525). 1024 cost about 120
    // KiB.
    std::uint16_t streams = 1024;
    // The largest UDP payload, bytes: 0, or 512 to 65507. 0: 1200, which every path carries, and
    // more where the interface itself does (loopback).
    std::size_t largest_payload = 0;
    // sctp_udp: the UDP port that SCTP is in, here and at the peer (RFC 6951); the port that is
    // given elsewhere (a URL, Local::port) is that of SCTP. listen: 0 lets the system choose.
    std::uint16_t udp_port = 9899;
    bool operator==(const SctpOptions&) const = default;
};

}  // namespace post
