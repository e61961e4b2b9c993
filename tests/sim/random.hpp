// Random: the simulation's dice. xoshiro256**, seeded through splitmix64 as its authors advise:
// small, fast, the same on every machine (std:: distributions are not), and no secret to anybody.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace post::sim {

inline std::uint64_t splitmix64(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

class Random {
public:
    explicit Random(std::uint64_t seed) {
        for (auto& word : state_) word = splitmix64(seed);
    }
    // Dice of their own for part `part` of a whole: what one part throws never moves another's.
    Random(std::uint64_t seed, std::uint64_t part) : Random(splitmix64(seed) ^ splitmix64(part)) {}

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }
    // 0 <= x < 1, in steps of 2^-53.
    double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    // 0 <= x < bound; 0 for a bound of 0. The bias of the modulus is below bound / 2^64.
    std::uint64_t below(std::uint64_t bound) { return bound ? next() % bound : 0; }
    void fill(std::span<std::byte> bytes) {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            if (i % 8 == 0) word = next();
            bytes[i] = static_cast<std::byte>(word >> (i % 8 * 8) & 0xff);
        }
    }

private:
    std::array<std::uint64_t, 4> state_;
};

}  // namespace post::sim
