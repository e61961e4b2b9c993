// DCEP (RFC 8832): DATA_CHANNEL_OPEN byte by byte, what is not one, and what of a Carrier it says.
#include "mappings/sctp/dcep.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/unit/framing_support.hpp"

using namespace post;
using namespace std::chrono_literals;
using sctp::ChannelOpen;
using sctp::Dcep;
using test::hex;
using test::hex_of;
using Reliability = sctp::ChannelTerms::Reliability;

namespace {

Open named(std::string label, std::string protocol, ChannelOptions options = {}) {
    Open open{CarrierId{0}, std::nullopt, CarrierKind::messages};
    open.channel = ChannelInfo{std::move(label), std::move(protocol), options};
    return open;
}

// What is said of `open`, as the other side hears it.
core::Boxed<ChannelInfo> crossed(const Open& open) {
    const auto read = sctp::read_open(sctp::write(ChannelOpen(open)));
    REQUIRE(read);
    return read->info();
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("from capture: DATA_CHANNEL_OPEN") {
        const auto bytes = sctp::write(
            ChannelOpen(named("chat", "irc", {.ordered = false, .retransmissions = 5})));
        CHECK(hex_of(bytes) == hex_of(hex("03"            // DATA_CHANNEL_OPEN
                                          "81"            // unordered, limited retransmissions
                                          "01 00"         // priority 256
                                          "00 00 00 05"   // 5 of them
                                          "00 04 00 03"   // lengths
                                          "63 68 61 74"   // chat
                                          "69 72 63")));  // irc
        const auto open = sctp::read_open(bytes);
        REQUIRE(open);
        CHECK(open->unordered);
        CHECK(open->reliability == Reliability::retransmissions);
        CHECK(open->parameter == 5);
        CHECK(open->priority == 256);
        CHECK(open->label == "chat");
        CHECK(open->protocol == "irc");
    }

    TEST_CASE("what a Carrier is opened with crosses untouched") {
        const std::string odd("\0\xff\xfe nothing like UTF-8", 24);
        const ChannelInfo all[] = {
            {"", "", {}},
            {"label", "", {}},
            {"", "protocol", {}},
            {odd, odd, {}},
            {std::string(65535, 'l'), std::string(65535, 'p'), {}},
            {"u", "", {.ordered = false}},
            {"r", "", {.retransmissions = 0}},
            {"r", "", {.ordered = false, .retransmissions = 0xffff'ffff}},
            {"l", "", {.lifetime = 0ms}},
            {"l", "", {.ordered = false, .lifetime = 0xffff'ffffms}},
            {"p", "", {.priority = 0}},
            {"p", "", {.priority = 65535}},
        };
        for (const ChannelInfo& info : all) {
            const auto heard = crossed(named(info.label, info.protocol, info.options));
            CHECK(static_cast<bool>(heard) == !(info == ChannelInfo{}));
            if (heard) CHECK(*heard == info);
        }
    }

    TEST_CASE("lifetimes are whole milliseconds, rounded up, as far as the field goes") {
        CHECK(sctp::milliseconds_of(0ms) == 0);
        CHECK(sctp::milliseconds_of(-1ms) == 0);
        CHECK(sctp::milliseconds_of(Duration(1)) == 1);
        CHECK(sctp::milliseconds_of(5ms) == 5);
        CHECK(sctp::milliseconds_of(5ms + Duration(1)) == 6);
        CHECK(sctp::milliseconds_of(Duration::max()) == 0xffff'ffff);
    }

    TEST_CASE("the Carrier's priority is said, unless the channel has one of its own") {
        Open open{CarrierId{0}, std::nullopt, CarrierKind::messages};
        CHECK(ChannelOpen(open).priority == 256);
        open.priority = 1;
        CHECK(ChannelOpen(open).priority == 128);
        open.priority = 0xffff'ffff;
        CHECK(ChannelOpen(open).priority == 128);
        open.channel = ChannelInfo{"", "", {.priority = 1024}};
        CHECK(ChannelOpen(open).priority == 1024);
    }

    TEST_CASE("a DATA_CHANNEL_OPEN that is cut off, or has a byte too many, is none") {
        auto bytes = sctp::write(ChannelOpen(named("chat", "irc")));
        REQUIRE(sctp::read_open(bytes));
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CAPTURE(size);
            CHECK_FALSE(sctp::read_open(std::span(bytes).first(size)));
        }
        bytes.push_back(std::byte{0});
        CHECK_FALSE(sctp::read_open(bytes));
    }

    TEST_CASE("lengths that do not fit are refused") {
        struct Row {
            const char* name;
            const char* bytes;
        };
        const Row rows[] = {
            {"label longer than the message", "03 00 01 00 00 00 00 00 00 02 00 00 61"},
            {"protocol longer than the message", "03 00 01 00 00 00 00 00 00 00 00 02 61"},
            {"both together", "03 00 01 00 00 00 00 00 00 01 00 01 61"},
            {"the largest", "03 00 01 00 00 00 00 00 ff ff ff ff 61"},
            {"neither, and a byte", "03 00 01 00 00 00 00 00 00 00 00 00 61"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.name);
            const auto bytes = hex(row.bytes);
            CHECK(sctp::dcep_type(bytes) == Dcep::open);
            CHECK_FALSE(sctp::read_open(bytes));
        }
    }

    TEST_CASE("only the six channel types are known") {
        for (unsigned type = 0; type < 256; ++type) {
            CAPTURE(type);
            auto bytes = hex("03 00 01 00 00 00 00 07 00 00 00 00");
            bytes[1] = static_cast<std::byte>(type);
            const auto open = sctp::read_open(bytes);
            CHECK(open.has_value() == ((type & 0x7f) <= 2));
            if (!open) continue;
            CHECK(open->unordered == (type >= 0x80));
            CHECK(static_cast<unsigned>(open->reliability) == (type & 0x7f));
            CHECK(open->parameter == 7);
        }
    }

    TEST_CASE("ACK is one byte, and other types are nothing") {
        CHECK(sctp::dcep_type(hex("02")) == Dcep::ack);
        CHECK_FALSE(sctp::dcep_type(hex("02 00")));
        CHECK_FALSE(sctp::dcep_type({}));
        for (unsigned type = 0; type < 256; ++type) {
            std::vector<std::byte> bytes(12);
            bytes[0] = static_cast<std::byte>(type);
            CHECK(sctp::dcep_type(bytes).has_value() == (type == 3));
        }
    }
}
