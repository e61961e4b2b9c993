// Digest: a running FNV-1a of 64 bits over what happened in a World, so that "the same" is one
// number to compare. Not a cryptographic hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <post/address.hpp>

namespace post::sim {

class Digest {
public:
    std::uint64_t value() const { return value_; }

    void add(std::span<const std::byte> bytes) {
        add(bytes.size());
        for (auto byte : bytes) step(static_cast<std::uint8_t>(byte));
    }
    void add(std::uint64_t number) {
        for (int i = 0; i < 8; ++i) step(static_cast<std::uint8_t>(number >> (8 * i) & 0xff));
    }
    void add(const Address& address) {
        for (auto byte : address.ip) step(byte);
        add(std::uint64_t{address.scope} << 32 | std::uint64_t{address.port} << 8 |
            static_cast<std::uint64_t>(address.family));
    }

private:
    void step(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3; }

    std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace post::sim
