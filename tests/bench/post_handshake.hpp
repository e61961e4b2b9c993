// Row: what a full handshake costs.
#pragma once

#include "row.hpp"

namespace post::bench {

// Associations made, 16 at a time, and closed at once.
void measure_handshake(const ClientEnd& end);
// Connections that resume an earlier one, a message there and back on each: the ticket comes behind
// the handshake.
void measure_resumed(const ClientEnd& end);

}  // namespace post::bench
