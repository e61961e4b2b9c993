// Rows: messages of the stack udp, each a datagram of 1200 bytes, and what the kernel does with as
// many by sendmmsg and recvmmsg in batches of the same size.
#pragma once

#include "row.hpp"

namespace post::bench {

void serve_datagrams(const ServerEnd& end);
void measure_datagrams(const ClientEnd& end);
void serve_udp_batches(const ServerEnd& end);
void measure_udp_batches(const ClientEnd& end);

}  // namespace post::bench
