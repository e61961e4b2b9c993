// The order in which addresses of one name are worth trying (RFC 6724, 6), by what the system would
// send from: those without a way come last.
#pragma once

#include <vector>

#include <post/address.hpp>

namespace post::io {

struct Reach {
    Address destination;
    Address source{};  // family none: there is no way
};

// Sorts by rules 1, 2, 5, 6, 8 and 9; what they say nothing of stays as it came. Rules 3, 4 and 7
// (deprecated and home addresses, tunnels) are not done, because the system does not say.
void sort_reaches(std::vector<Reach>& reaches);

// The same, asking the system for the sources. Sends nothing.
void sort_addresses(std::vector<Address>& addresses);

}  // namespace post::io
