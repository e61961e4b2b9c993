// The two ends of the rows that measure the library, through its public interface alone. One server
// does for all: the first message of a Carrier says what is wanted of it.
#pragma once

#include <string>
#include <string_view>

#include <post/post.hpp>

#include "driver.hpp"
#include "row.hpp"

namespace post::bench {

// The requests that the server knows:
//   "stream N"     messages of N bytes, as fast as they go
//   "coroutine N"  the same, sent by a coroutine
//   "bulk N"       messages of 1 MiB with niceness N, as fast as they go; and for each "now" that
//                  follows on any Carrier one stamped message of niceness 0 on that
//   "heap"         one message with the bytes that its heap holds
// Any other message is sent back, here and on every fork; one that is final is the last.
void serve_post(const ServerEnd& end);
// Every Carrier is taken as a Stream, and written to as fast as it goes.
void serve_stream(const ServerEnd& end);

// Of both ends' Contexts.
ContextOptions context_options(Waiting waiting, std::string_view protection);

// A Carrier to that server. Different names are different Associations, and so are different
// `number`s, whose connections may resume each other's sessions.
Carrier initiate(Context& context, const ClientEnd& end, const std::string& name = "localhost",
                 std::uint64_t number = 0);

// The same, and turns until it is active. Throws Failure.
Carrier connect(Context& context, Driver& driver, const ClientEnd& end);

// 64 bytes that say when they were made; and how long ago that was, for another process of this
// machine.
inline constexpr std::size_t stamped_size = 64;
std::string stamp();
double seconds_since(std::string_view stamped);

// Bytes that the heap of this process holds.
double heap_bytes();

}  // namespace post::bench
