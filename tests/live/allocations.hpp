// Counts what this program takes from the heap: allocations.cpp replaces operator new.
#pragma once

#include <cstdint>

namespace post::test {

// How often operator new was called so far, by all threads. Always 0 where a sanitizer has its own
// (clang's; a test says so).
std::uint64_t allocations();

}  // namespace post::test
