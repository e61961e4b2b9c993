// Rows: how many bytes, and how many messages, one Carrier delivers.
#pragma once

#include "row.hpp"

namespace post::bench {

void measure_bulk(const ClientEnd& end);
// The bytes of a Stream, read from a file descriptor that the Context pumps.
void measure_descriptor(const ClientEnd& end);
template <std::size_t size> void measure_messages(const ClientEnd& end);
// Messages of 64 bytes, by co_await carrier.send and co_await carrier.receive.
void measure_awaited_messages(const ClientEnd& end);

}  // namespace post::bench
