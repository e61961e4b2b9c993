// Rows: how long urgent messages take while the path is full of others.
#pragma once

#include "row.hpp"

namespace post::bench {

// 64 B messages of niceness 0, one at a time, while the same server sends 1 MiB messages as fast as
// they go: on the Carrier of those and on another one of the same Association, with bulk of
// niceness 1 and, for comparison, of niceness 0. From the server's send to the client's callback.
void measure_urgent(const ClientEnd& end);

}  // namespace post::bench
