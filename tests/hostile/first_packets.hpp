// FirstPackets: Initial packets of clients that never were: one honest ClientHello, sealed for
// whatever connection id a spoofer makes up. QUIC version 1.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "mappings/quic/endpoint.hpp"

namespace post::test {

class FirstPackets {
public:
    explicit FirstPackets(std::uint64_t seed);

    // A datagram of 1200 bytes with a fresh destination. `sealed`: with the keys that belong to it;
    // else it only looks like one, which costs nothing.
    std::vector<std::byte> next(bool sealed = true);
    // The same with a token in its header.
    std::vector<std::byte> next(bool sealed, std::span<const std::byte> destination,
                                std::span<const std::byte> token);

private:
    std::mt19937_64 random_;
    std::string frames_;             // with the ClientHello
    std::vector<std::byte> source_;  // the client's id, which its ClientHello repeats
};

}  // namespace post::test
