// Path: what is known of one way through the network (draft 2.7), as a snapshot. All values are
// read-only; those that nobody has measured yet are zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include <post/address.hpp>
#include <post/time.hpp>

namespace post {

struct Path {
    Address local;
    Address remote;
    std::size_t mtu = 0;           // bytes of UDP or TCP payload that fit into one packet
    Duration smoothed_rtt{};       // RFC 9002, 5.3
    Duration minimum_rtt{};        // RFC 9002, 5.2
    Duration rtt_variance{};       // RFC 9002, 5.3: how far samples lie from smoothed_rtt
    double loss = 0;               // share of the packets sent that were declared lost, 0 to 1
    std::uint64_t rate = 0;        // bytes a second that congestion control lets out now
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
