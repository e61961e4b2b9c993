// Rows: how long an answer takes, and how many Carriers are opened, used and ended in a second.
#pragma once

#include "row.hpp"

namespace post::bench {

// One 64 B message there and back at a time, on a warm Carrier.
void measure_trip(const ClientEnd& end);
// 100 forks at once: each sends 64 B, its last, and gets the same back; then the next takes its
// place.
void measure_fork(const ClientEnd& end);

}  // namespace post::bench
