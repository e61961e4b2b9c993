// Row: what those cost who do nothing.
#pragma once

#include "row.hpp"

namespace post::bench {

// Makes a crowd of idle Associations, then of idle Carriers: the memory that each takes at both
// ends, and how much dearer a turn becomes for the one Association that is active.
void measure_idle(const ClientEnd& end);

}  // namespace post::bench
