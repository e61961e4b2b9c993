// SctpOptions: what an application may choose of SCTP itself (RFC 9260). The defaults are right for
// nearly everybody. ChannelOptions: what a data channel is opened with, for plain peers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <post/time.hpp>

namespace post {

// How the messages of a data channel travel (RFC 8832, 5.1), both ends' alike: it holds for those
// whose SendOptions ask for nothing less. The peer is told in DATA_CHANNEL_OPEN. Between Post peers
// it is told and changes nothing: there each message says for itself.
struct ChannelOptions {
    // False: messages overtake each other.
    bool ordered = true;
    // At most one of these two. None: every message arrives.
    std::optional<std::uint32_t> retransmissions{};  // a message is sent again so often at most
    std::optional<Duration> lifetime{};  // and for so long: 0 to 2^32 - 1 ms, rounded up to those
    // RFC 8831, 6.4: 128 is below normal, 256 normal, 512 high, 1024 extra high. None: by the
    // Carrier's Priority, which knows nothing above normal: 256 for 0, 128 for all others. What the
    // peer makes of it is its own business; here the Priority counts.
    std::optional<std::uint16_t> priority{};
    bool operator==(const ChannelOptions&) const = default;
};

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
    // more where the interface itself does (loopback) and the peer speaks Post.
    std::size_t largest_payload = 0;
    // sctp_udp: the UDP port that SCTP is in, here and at the peer (RFC 6951); the port that is
    // given elsewhere (a URL, Local::port) is that of SCTP. listen: 0 lets the system choose.
    std::uint16_t udp_port = 9899;
    bool operator==(const SctpOptions&) const = default;
};

}  // namespace post
