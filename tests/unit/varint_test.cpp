// Varints: the examples of RFC 9000, A.1, every border, and that each value comes back.
#include "mappings/wire/varint.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "tests/seed.hpp"
#include "tests/unit/framing_support.hpp"

using namespace post;
using namespace post::wire;

TEST_SUITE("unit") {
    TEST_CASE("a varint is read as RFC 9000, A.1 shows it") {
        struct Row {
            const char* name;
            const char* bytes;
            std::uint64_t value;
        };
        const std::array rows = {
            Row{"eight bytes", "c2 19 7c 5e ff 14 e8 8c", 151'288'809'941'952'652},
            Row{"four bytes", "9d 7f 3e 7d", 494'878'333},
            Row{"two bytes", "7b bd", 15'293},
            Row{"one byte", "25", 37},
            Row{"longer than it need be", "40 25", 37},
        };
        for (const Row& row : rows) {
            CAPTURE(row.name);
            const auto bytes = test::hex(row.bytes);
            CHECK(varint_size_at(bytes[0]) == bytes.size());
            CHECK(take_varint(bytes.data()) == row.value);
        }
    }

    TEST_CASE("a varint has its shortest form on both sides of each border") {
        struct Row {
            std::uint64_t value;
            const char* bytes;
        };
        const std::array rows = {
            Row{0, "00"},
            Row{63, "3f"},
            Row{64, "40 40"},
            Row{16'383, "7f ff"},
            Row{16'384, "80 00 40 00"},
            Row{(1U << 30) - 1, "bf ff ff ff"},
            Row{1U << 30, "c0 00 00 00 40 00 00 00"},
            Row{varint_max, "ff ff ff ff ff ff ff ff"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.value);
            const auto expected = test::hex(row.bytes);
            std::vector<std::byte> written(largest_varint);
            written.resize(
                static_cast<std::size_t>(put_varint(written.data(), row.value) - written.data()));
            CHECK(written == expected);
            CHECK(varint_size(row.value) == expected.size());
        }
    }

    TEST_CASE("each varint comes back as it was written") {
        std::mt19937_64 random(test::seed());
        for (int i = 0; i < 20'000; ++i) {
            const std::uint64_t value = random() >> (2 + random() % 62);
            std::array<std::byte, largest_varint> space{};
            const std::byte* end = put_varint(space.data(), value);
            REQUIRE(static_cast<std::size_t>(end - space.data()) == varint_size(value));
            REQUIRE(varint_size_at(space[0]) == varint_size(value));
            REQUIRE(take_varint(space.data()) == value);
        }
    }

    TEST_CASE("varints work in constant expressions") {
        constexpr std::uint64_t value = [] {
            std::array<std::byte, largest_varint> space{};
            put_varint(space.data(), 494'878'333);
            return take_varint(space.data());
        }();
        static_assert(value == 494'878'333);
    }
}
