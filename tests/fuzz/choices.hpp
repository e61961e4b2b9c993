// Choices: the data of a fuzz target as a list of decisions, read from the front.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mappings/wire/reader.hpp"

namespace post::test {

// Zeros stand behind the end.
class Choices {
public:
    explicit Choices(std::span<const std::byte> data) : data_(data) {}
    bool empty() const { return data_.empty(); }
    std::uint64_t byte() { return data_.u8().value_or(0); }
    std::uint64_t word() {
        const std::uint64_t high = byte();
        return high << 8 | byte();
    }
    // Small ones mostly, and those at which something changes.
    std::uint64_t number() {
        static constexpr std::array<std::uint64_t, 12> edges{
            0x3f,       0x3fff,     0x3fffffff,       1u << 15,         1u << 20,         64u << 20,
            1ull << 32, 1ull << 60, (1ull << 60) + 1, (1ull << 62) - 2, (1ull << 62) - 1, 0xffff};
        const auto choice = byte();
        if (choice < 0xe0) return choice % 0x40;
        if (choice < 0xf0) return word();
        return edges[choice % edges.size()];
    }
    std::vector<std::byte> bytes(std::uint64_t size) {
        const auto taken = data_.bytes(std::min<std::uint64_t>(size, data_.left())).value();
        return {taken.begin(), taken.end()};
    }
    std::string text(std::uint64_t size) {
        const auto taken = bytes(size);
        return {reinterpret_cast<const char*>(taken.data()), taken.size()};
    }

private:
    wire::Reader data_;
};

}  // namespace post::test
