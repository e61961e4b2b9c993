// Counts what this program takes from the heap: allocations.cpp replaces operator new.
#pragma once

#include <cstdint>

namespace post::test {

// How often operator new was called so far, by all threads.
std::uint64_t allocations();

}  // namespace post::test
