// Reader and Writer: network order, and that neither ever touches what is beyond the end.
#include <doctest/doctest.h>

#include <array>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"
#include "tests/unit/framing_support.hpp"

using namespace post;
using wire::Reader;
using wire::Writer;

TEST_SUITE("unit") {
    TEST_CASE("a writer puts numbers in network order") {
        std::array<std::byte, 32> space{};
        Writer writer(space);
        writer.u8(0x01).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0f).varint(0x1f2f);
        writer.bytes(test::hex("aa bb"));
        CHECK(writer.ok());
        CHECK(writer.size() == 19);
        CHECK(test::hex_of(writer.written()) ==
              "01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 5f 2f aa bb");
    }

    TEST_CASE("a reader takes what a writer put") {
        const auto bytes = test::hex("01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 5f 2f aa bb");
        Reader reader(bytes);
        CHECK(reader.peek() == 0x01);
        CHECK(reader.u8() == 0x01);
        CHECK(reader.u16() == 0x0203);
        CHECK(reader.u32() == 0x04050607);
        CHECK(reader.u64() == 0x08090a0b0c0d0e0f);
        CHECK(reader.varint() == 0x1f2f);
        CHECK(reader.taken() == 17);
        CHECK(reader.rest().size() == 2);
        CHECK(test::hex_of(*reader.bytes(2)) == "aa bb");
        CHECK(reader.empty());
        CHECK(!reader.peek());
    }

    TEST_CASE("a read that does not fit gives nothing and takes nothing") {
        const auto bytes = test::hex("c0 01 02");
        Reader reader(bytes);
        CHECK(!reader.u32());
        CHECK(!reader.u64());
        CHECK(!reader.varint());
        CHECK(!reader.bytes(4));
        CHECK(!reader.bytes(~std::uint64_t{0}));
        CHECK(reader.left() == 3);
        CHECK(reader.u16() == 0xc001);
        CHECK(!reader.u16());
        CHECK(reader.u8() == 0x02);
        CHECK(!reader.u8());
        CHECK(reader.bytes(0)->empty());
    }

    TEST_CASE("a reader of nothing is empty") {
        Reader reader({});
        CHECK(reader.empty());
        CHECK(!reader.varint());
        CHECK(!reader.u8());
        CHECK(reader.bytes(0));
    }

    TEST_CASE("a write that does not fit is not begun, nor is any after it") {
        std::array<std::byte, 3> space{};
        Writer writer(space);
        writer.u16(0x0102);
        CHECK(writer.room() == 1);
        writer.varint(64);
        CHECK(!writer.ok());
        writer.u8(0x03);
        CHECK(!writer.ok());
        CHECK(writer.size() == 2);
        CHECK(space[2] == std::byte{0});
    }

    TEST_CASE("a writer fills its space to the last byte and no further") {
        std::array<std::byte, 4> space{};
        Writer writer(space);
        CHECK(writer.u32(0x01020304).ok());
        CHECK(writer.room() == 0);
        CHECK(writer.bytes({}).ok());
        CHECK(!writer.u8(5).ok());
        CHECK(test::hex_of(space) == "01 02 03 04");
    }

    TEST_CASE("a writer has no form for a varint above 2^62 - 1") {
        std::array<std::byte, 8> space{};
        CHECK(Writer(space).varint(wire::varint_max).ok());
        CHECK(!Writer(space).varint(wire::varint_max + 1).ok());
    }

    TEST_CASE("readers and writers work in constant expressions") {
        constexpr bool same = [] {
            std::array<std::byte, 16> space{};
            Writer writer(space);
            writer.u8(1).u16(2).u32(3).varint(16'384);
            Reader reader(writer.written());
            return reader.u8() == 1 && reader.u16() == 2 && reader.u32() == 3 &&
                   reader.varint() == 16'384U && reader.empty();
        }();
        static_assert(same);
    }
}
