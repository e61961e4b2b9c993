// Rows: how many bytes, and how many messages, one Carrier delivers.
#pragma once

#include "row.hpp"

namespace post::bench {

void measure_bulk(const ClientEnd& end);
template <std::size_t size> void measure_messages(const ClientEnd& end);

}  // namespace post::bench
