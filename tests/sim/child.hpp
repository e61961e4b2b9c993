// A test run once more in a process of its own: the same test program is started for one test
// case, and what that says with say() comes back. The strongest form of "the same seed gives the
// same bytes", since two processes share neither generators nor addresses in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace post::sim {

// True in a process that run_in_child started.
bool in_child();
// In the child: a line for the parent.
void say(std::string_view line);
// Runs the test case with that name (without commas; it may be marked doctest::skip()) and
// POST_SEED. Returns the lines that it said; throws std::runtime_error with the child's whole
// output when it fails.
std::string run_in_child(std::string_view test, std::uint64_t seed);

}  // namespace post::sim
