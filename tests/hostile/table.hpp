// The table of attacks: each test says what the bound is and what it measured, and the program
// prints all lines at its end, in the order of ATTACKS.md's numbers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace post::test {

// `number`: A1, A2, ...; `figures`: "heap 12.3 MiB (<= 64 MiB)".
void measured(std::string_view number, std::string_view attack, std::string_view figures);

// "12.3 KiB", "0.98": short enough for a line of the table.
std::string amount(double bytes);
std::string decimal(double value);

// Under a sanitizer neither memory nor time can be measured: bounds on them are not checked, and
// the lines say so.
bool sanitized();
// Heap in use by this program, bytes; 0 when sanitized().
std::size_t heap();
// What the heap grew by since `before`.
std::size_t grown(std::size_t before);
// "heap 12.3 KiB (<= 64.0 KiB)"
std::string heap_figure(std::size_t bytes, std::size_t bound);
// "12.3 ms (<= 100.0)"
std::string time_figure(double seconds, double bound);

}  // namespace post::test
