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
//   "stream N"  messages of N bytes, as fast as they go
//   "heap"      one message with the bytes that its heap holds
// Any other message is sent back, here and on every fork; one that is final is the last.
void serve_post(const ServerEnd& end);

// Of both ends' Contexts.
ContextOptions context_options(Waiting waiting, std::string_view protection);

// A Carrier to that server. Different names are different Associations.
Carrier initiate(Context& context, const ClientEnd& end, const std::string& name = "localhost");

// The same, and turns until it is active. Throws Failure.
Carrier connect(Context& context, Driver& driver, const ClientEnd& end);

// Bytes that the heap of this process holds.
double heap_bytes();

}  // namespace post::bench
