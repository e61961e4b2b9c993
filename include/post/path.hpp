// Path: what is known of one way through the network (draft 2.7), as a snapshot. All values are
// read-only and of this path alone: when a connection moves (Association::migrate) they begin anew.
// Those that nobody has measured yet, or that the stack does not measure, are zero. quic measures
// all; tls has from the system (TCP_INFO) what Linux knows of its connection, where it runs on a
// real one; the others have the round trip and what goes out.
#pragma once

#include <cstddef>
#include <cstdint>

#include <post/address.hpp>
#include <post/time.hpp>

namespace post {

struct Path {
    Address local;
    Address remote;
    std::size_t mtu = 0;      // bytes of UDP or TCP payload that fit into one packet
    Duration smoothed_rtt{};  // nanoseconds, as all here; RFC 9002, 5.3
    Duration minimum_rtt{};   // the least of this path; RFC 9002, 5.2
    // How long a packet takes to the peer: half of minimum_rtt, since no clocks are compared. Exact
    // where both ways are equally long; else it is off by up to as much as it says.
    Duration one_way{};
    Duration rtt_variance{};  // RFC 9002, 5.3: how far samples lie from smoothed_rtt
    // Share of the packets sent that were declared lost, 0 to 1; of TCP, that were sent again.
    double loss = 0;
    std::uint64_t rate = 0;  // bytes a second that congestion control lets out now
    // Bytes a second that the peer acknowledged, in the best of the last eight round trips. No more
    // than was sent: while the application has little to say the path may bear much more.
    std::uint64_t delivery_rate = 0;
    std::uint64_t in_flight = 0;   // bytes sent and not yet acknowledged
    std::uint64_t bytes_sent = 0;  // UDP or TCP payload
    std::uint64_t bytes_received = 0;
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_lost = 0;
    // Packets carry congestion marks (ECT(0)), and what came back proves that they get through (RFC
    // 9000, 13.4.2).
    bool ecn = false;
    std::uint32_t version = 0;  // of QUIC, as on the wire (QuicVersion); 0 until it is agreed
};

}  // namespace post
