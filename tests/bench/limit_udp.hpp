// Limit rows over UDP: what the kernel does without a protocol, with and without packet protection.
#pragma once

#include "row.hpp"

namespace post::bench {

// As fast as it goes without loss, in batches of one call (GSO and GRO).
void serve_udp_gso(const ServerEnd& end);
void measure_udp_gso(const ClientEnd& end);
// The same, each datagram sealed and opened as QUIC does it.
void serve_udp_sealed(const ServerEnd& end);
void measure_udp_sealed(const ClientEnd& end);
// The same as the first, a call for each datagram.
void serve_udp_single(const ServerEnd& end);
void measure_udp_single(const ClientEnd& end);
// 64 bytes there and back.
void serve_udp_echo(const ServerEnd& end);
void measure_udp_trip(const ClientEnd& end);

}  // namespace post::bench
