// What stands below usrsctp: packets, their checksum, and how small ones join.
#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

#include "mappings/sctp/packet.hpp"
#include "mappings/sctp/packet_queue.hpp"
#include "tests/seed.hpp"

using namespace post::sctp;
using post::Ecn;

namespace {

using Bytes = std::vector<std::byte>;

// RFC 9260, appendix A, bit by bit.
std::uint32_t reference(const Bytes& packet) {
    std::uint32_t crc = 0xffffffff;
    for (std::size_t i = 0; i < packet.size(); ++i) {
        crc ^= i >= 8 && i < 12 ? 0 : std::to_integer<std::uint32_t>(packet[i]);
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return __builtin_bswap32(~crc);
}

Bytes packet_of(std::uint32_t tag, const std::vector<std::pair<ChunkType, std::size_t>>& chunks) {
    Bytes packet(common_header);
    put16(packet, 0, 5000);
    put16(packet, 2, 5000);
    put32(packet, 4, tag);
    for (const auto& [type, size] : chunks) {
        const std::size_t at = packet.size();
        packet.resize(at + ((size + 3) & ~std::size_t{3}));
        packet[at] = static_cast<std::byte>(type);
        put16(packet, at + 2, static_cast<std::uint16_t>(size));
    }
    return packet;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("sctp: the checksum is CRC32c with its own field as zero, of any length") {
        std::mt19937_64 random(post::test::seed());
        // Those of several lanes as well, and what is left behind them.
        for (std::size_t size = common_header; size < 4000; size += size < 250 ? 1 : 37) {
            Bytes packet(size);
            for (auto& byte : packet) byte = static_cast<std::byte>(random() & 0xff);
            CHECK(checksum(packet) == reference(packet));
            write_checksum(packet);
            CHECK(checksum_fits(packet));
            packet[size - 1] ^= std::byte{1};
            CHECK_FALSE(checksum_fits(packet));
        }
        CHECK_FALSE(checksum_fits(Bytes(common_header - 1)));
    }

    TEST_CASE(
        "sctp: the streams that an INIT or INIT ACK speaks of are limited, and nothing else") {
        for (const ChunkType type : {ChunkType::init, ChunkType::init_ack, ChunkType::data}) {
            Bytes packet = packet_of(1, {{type, 20}});
            const auto of_type = packet;
            put16(packet, 24, 65535);
            put16(packet, 26, 1025);
            limit_streams(packet, 1024);
            const bool limited = type != ChunkType::data;
            CHECK(get16(packet, 24) == (limited ? 1024 : 65535));
            CHECK(get16(packet, 26) == (limited ? 1024 : 1025));
            put16(packet, 24, 0), put16(packet, 26, 0);
            CHECK(packet == of_type);
            put16(packet, 26, 1024);
            const auto fine = packet;
            limit_streams(packet, 1024);
            CHECK(packet == fine);
        }
        // Cut before, in and between the two numbers.
        for (const std::size_t size : {12u, 15u, 16u, 24u, 26u, 27u}) {
            Bytes packet = packet_of(1, {{ChunkType::init, 20}});
            put16(packet, 24, 65535);
            packet.resize(size);
            if (size >= 16) put16(packet, 14, static_cast<std::uint16_t>(size - 12));
            const auto before = packet;
            limit_streams(packet, 1024);
            CHECK(packet == before);
        }
    }

    TEST_CASE("sctp: chunks are walked as far as they are whole") {
        auto packet = packet_of(1, {{ChunkType::sack, 16}, {ChunkType::data, 21}});
        const auto first = chunk_at(packet, common_header);
        REQUIRE(first);
        CHECK(first->type == ChunkType::sack);
        const auto second = chunk_at(packet, after(*first));
        REQUIRE(second);
        CHECK(second->size == 21);
        CHECK(after(*second) == packet.size());
        CHECK_FALSE(chunk_at(packet, after(*second)));
        put16(packet, common_header + 2, 3);  // shorter than its own header
        CHECK_FALSE(chunk_at(packet, common_header));
        put16(packet, common_header + 2, 2000);
        CHECK_FALSE(chunk_at(packet, common_header));
    }

    TEST_CASE("sctp: data packets of one association join up to the limit, others do not") {
        const auto data = packet_of(7, {{ChunkType::data, 80}});
        PacketQueue queue;
        queue.push(packet_of(7, {{ChunkType::sack, 16}}), Ecn::not_ect, 200);
        queue.push(data, Ecn::not_ect, 200);
        queue.push(data, Ecn::not_ect, 200);
        REQUIRE(queue.size() == 1);
        CHECK(queue.front().size() == common_header + 16 + 80 + 80);
        queue.push(data, Ecn::not_ect, 200);  // full
        CHECK(queue.size() == 2);
        queue.push(packet_of(8, {{ChunkType::data, 20}}), Ecn::not_ect, 200);  // another tag
        CHECK(queue.size() == 3);
        queue.push(packet_of(8, {{ChunkType::data, 20}}), Ecn::ect0, 200);  // another mark
        CHECK(queue.size() == 4);
        queue.push(packet_of(8, {{ChunkType::sack, 16}}), Ecn::ect0, 200);  // control comes first
        CHECK(queue.size() == 5);
        queue.push(packet_of(8, {{ChunkType::abort, 4}}), Ecn::ect0, 200);
        queue.push(packet_of(8, {{ChunkType::data, 20}}), Ecn::ect0, 200);  // behind an ABORT
        CHECK(queue.size() == 7);
        // Whose last chunk is not padded to words, nothing can be joined to.
        auto odd = packet_of(9, {{ChunkType::data, 21}});
        odd.resize(odd.size() - 3);
        queue.push(odd, Ecn::not_ect, 200);
        queue.push(packet_of(9, {{ChunkType::data, 20}}), Ecn::not_ect, 200);
        CHECK(queue.size() == 9);
        while (!queue.empty()) queue.pop();
        CHECK(queue.bytes() == 0);
    }

    TEST_CASE("sctp: an INIT grows by one parameter, and nothing else does") {
        PacketQueue queue;
        queue.push(packet_of(0, {{ChunkType::init, 40}}), Ecn::not_ect, 200);
        queue.pad_init(260);
        REQUIRE(queue.front().size() == 260);
        const auto chunk = chunk_at(queue.front(), common_header);
        REQUIRE(chunk);
        CHECK(after(*chunk) == 260);
        CHECK(get16(queue.front(), common_header + 40) == 0x8005);
        CHECK(get16(queue.front(), common_header + 42) == 260 - common_header - 40);
        queue.pad_init(260);
        CHECK(queue.front().size() == 260);
        queue.push(packet_of(0, {{ChunkType::cookie_echo, 40}}), Ecn::not_ect, 200);
        queue.pad_init(260);
        CHECK(queue.bytes() == 260 + common_header + 40);
    }
}
