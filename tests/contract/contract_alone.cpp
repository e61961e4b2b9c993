// The promises of mappings/mapping.hpp about messages that travel alone, for every mapping.

#include <algorithm>
#include <set>

#include "tests/contract/support.hpp"

namespace post::test {

namespace {

// A Carrier of the client's that the server has heard of.
template <class PairType> CarrierId known_carrier(PairType& pair) {
    REQUIRE(pair.connect());
    auto carrier = pair.client.open();
    pair.client.send(carrier, "first");
    pair.run(1s);
    REQUIRE(pair.server.messages(carrier).size() == 1);
    return carrier;
}

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE_TEMPLATE("alone: a message goes past its stream, in both directions", PairType,
                       FakePair, QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        auto carrier = known_carrier(pair);
        CHECK(pair.client.template all<event::Established>()[0].alone);
        CHECK(pair.server.template all<event::Established>()[0].alone);
        pair.client.send_alone(carrier, "a", {{"name", "value"}});
        pair.client.send_alone(carrier, "");
        pair.server.send_alone(carrier, pattern(900));
        pair.run(1s);
        CHECK(pair.server.messages_alone(carrier) == std::vector<std::string>{"a", ""});
        CHECK(pair.client.messages_alone(carrier) == std::vector<std::string>{pattern(900)});
        const auto first = pair.server.template all<event::ArrivedAlone>()[0].piece;
        CHECK(first.sequence == Sequence{1});
        CHECK(first.first());
        CHECK(first.last());
        CHECK_FALSE(first.marks.reliable);
        CHECK_FALSE(first.marks.ordered);
        REQUIRE(first.extras);
        CHECK(*first.extras->properties.find("name") == "value");
        // It was said that they are packed, by name and not by number, and what became of them.
        CHECK(pair.client.supply.alone_of(carrier) == std::vector{Sequence{1}, Sequence{2}});
        CHECK(pair.client.supply.packed_of(carrier) == 1);
        const auto settled = pair.client.template all<event::SettledAlone>(carrier);
        REQUIRE(settled.size() == 2);
        CHECK_FALSE(settled[0].lost);
        CHECK(settled[1].sequence == Sequence{2});
        CHECK(pair.client.mapping->quiet());
        // The next one on the stream has the next number after them.
        pair.client.send(carrier, "second");
        pair.run(1s);
        CHECK(pair.server.messages(carrier) == std::vector<std::string>{"first", "second"});
        CHECK(pair.server.template all<event::Arrived>().back().piece.sequence == Sequence{3});
    }

    TEST_CASE_TEMPLATE("alone: what the peer does not know yet, or is too long, takes the stream",
                       PairType, FakePair, QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send_alone(carrier, "early");
        pair.run(1s);
        CHECK(pair.server.messages(carrier) == std::vector<std::string>{"early"});
        CHECK(pair.server.template all<event::Arrived>()[0].piece.marks.reliable);
        pair.client.send_alone(carrier, pattern(3000));
        pair.client.send_alone(carrier, "short");
        pair.run(1s);
        CHECK(pair.server.messages(carrier).size() == 2);
        CHECK(pair.server.messages_alone(carrier) == std::vector<std::string>{"short"});
        CHECK(pair.client.supply.packed_of(carrier) == 2);
        CHECK(pair.client.supply.alone_of(carrier) == std::vector{Sequence{2}});
    }

    TEST_CASE_TEMPLATE("alone: the full window of another Carrier does not hold it back", PairType,
                       FakePair, QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        auto carrier = known_carrier(pair);
        auto other = pair.client.open();
        pair.server.take = false;
        pair.client.send_cut(other, Bytes(pattern(100000)), 1000);
        pair.run(1s);
        CHECK(pair.client.supply.is_blocked(other));
        for (int i = 0; i < 10; ++i) pair.client.send_alone(carrier, std::to_string(i));
        pair.run(1s);
        CHECK(pair.server.messages_alone(carrier).size() == 10);
    }

    TEST_CASE_TEMPLATE("alone: with a plain peer the datagram is the content", PairType, FakePair,
                       QuicPair) {
        auto options = seeded();
        options.raw = true;
        PairType pair(options);
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        auto second = pair.client.open();
        pair.client.send(carrier, "a");
        pair.client.send(second, "b");
        pair.run(1s);
        const auto opened = pair.server.template all<event::Opened>();
        REQUIRE(opened.size() == 2);
        const auto lowest = std::min(opened[0].open.carrier, opened[1].open.carrier);
        const auto higher = std::max(opened[0].open.carrier, opened[1].open.carrier);
        pair.client.send_alone(second, "datagram");
        pair.run(1s);
        CHECK(pair.server.messages_alone(lowest) == std::vector<std::string>{"datagram"});
        CHECK(pair.server.messages_alone(higher).empty());
        REQUIRE(pair.client.template all<event::SettledAlone>(second).size() == 1);
        CHECK_FALSE(pair.client.template all<event::SettledAlone>(second)[0].lost);
        // To the lowest that is open; to nobody when none is.
        pair.client.finish(carrier);
        pair.run(1s);
        const bool first_was_lowest = pair.server.template all<event::Finished>(lowest).size() == 1;
        pair.client.send_alone(second, "again");
        pair.run(1s);
        CHECK(pair.server.messages_alone(first_was_lowest ? higher : lowest).back() == "again");
    }

    TEST_CASE_TEMPLATE("alone: nothing is said of a Carrier that was given up", PairType, FakePair,
                       QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        auto carrier = known_carrier(pair);
        pair.client.send_alone(carrier, "x");
        pair.client.mapping->reset(carrier, abort_error(1));
        pair.client.mapping->stop(carrier, abort_error(1));
        pair.run(30s);
        CHECK(pair.client.supply.alone_of(carrier).empty());
        CHECK(pair.client.template all<event::SettledAlone>(carrier).empty());
        CHECK(pair.stuck_deadlines() == 0);
    }

    TEST_CASE("quic: alone: a lost message is reported once and not sent again") {
        for (std::uint64_t i = 0; i < 10; ++i) {
            auto options = seeded();
            options.seed += i;
            CAPTURE(options.seed);
            QuicPair pair(options);
            auto carrier = known_carrier(pair);
            bool lose = true;
            std::uint64_t launched = 0;
            pair.on_launch = [&](bool to_server, Instant&) {
                if (to_server) ++launched;
                return !(to_server && lose);
            };
            pair.client.send_alone(carrier, "lost");
            pair.transmit_now();
            lose = false;
            CHECK(launched == 1);
            pair.run(5s);
            CHECK(pair.server.messages_alone(carrier).empty());
            const auto settled = pair.client.all<event::SettledAlone>(carrier);
            REQUIRE(settled.size() == 1);
            CHECK(settled[0].lost);
            CHECK(settled[0].sequence == Sequence{1});
            CHECK(pair.client.mapping->quiet());
            CHECK_FALSE(pair.client.lost());
        }
    }

    TEST_CASE_TEMPLATE("alone: as long as a packet holds, and longer ones take the stream",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        auto carrier = known_carrier(pair);
        std::size_t largest = 0;
        for (std::size_t size = 1000; size < 1200; ++size) {
            const auto before = pair.server.messages_alone(carrier).size();
            const auto datagrams = pair.datagrams();
            pair.client.send_alone(carrier, Bytes(pattern(size)));
            pair.transmit_now();
            const auto sent = pair.datagrams() - datagrams;
            pair.run(200ms);
            if (pair.server.messages_alone(carrier).size() == before) continue;
            largest = size;
            CHECK(sent == 1);
        }
        CHECK(largest >= 1100);
        CHECK(pair.server.messages_alone(carrier).back() == pattern(largest));
        CHECK(pair.server.messages(carrier).size() == 1 + 1199 - largest);
    }

    // Up to 1.24 ngtcp2 forgets it when the rest of the packet was sent again as a probe.
    TEST_CASE("quic: alone: one that is lost beside bytes of a stream is reported, too") {
        QuicPair pair(seeded());
        auto carrier = known_carrier(pair);
        bool lose = true;
        pair.on_launch = [&](bool to_server, Instant&) { return !(to_server && lose); };
        pair.client.send_alone(carrier, "lost");
        pair.client.send(carrier, "second");
        const auto before = pair.datagrams();
        pair.transmit_now();
        CHECK(pair.datagrams() == before + 1);
        lose = false;
        pair.run(20s);
        CHECK(pair.server.messages(carrier) == std::vector<std::string>{"first", "second"});
        CHECK(pair.server.messages_alone(carrier).empty());
        const auto settled = pair.client.all<event::SettledAlone>(carrier);
        REQUIRE(settled.size() == 1);
        CHECK(settled[0].lost);
        CHECK(pair.client.mapping->quiet());
        CHECK(pair.stuck_deadlines() == 0);
    }

    // usrsctp once ended the association here: channels_send.cpp, goes_alone().
    TEST_CASE_TEMPLATE("alone: each of many is settled once, whatever the link does", PairType,
                       QuicPair, SctpPair, SctpUdpPair) {
        for (std::uint64_t run = 0; run < 10; ++run) {
            auto options = seeded();
            options.seed += run;
            CAPTURE(options.seed);
            options.link = {.delay = 10ms, .loss = 0.05, .duplicate = 0.02, .jitter = 8ms};
            PairType pair(options);
            REQUIRE(pair.connect());
            auto carrier = pair.client.open();
            pair.client.send(carrier, "first");
            // Until the peer knows the Carrier nothing of it goes alone.
            pair.transmit_now();
            REQUIRE(pair.run_until([&] { return pair.client.mapping->quiet(); }));
            for (std::size_t i = 0; i < 2000; ++i) {
                pair.client.send_alone(carrier, Bytes(pattern(1 + i % 1100)));
                if (i % 50 == 0) pair.client.send(carrier, Bytes(pattern(5000)));
            }
            pair.run(60s);
            const auto settled = pair.client.template all<event::SettledAlone>(carrier);
            std::set<Sequence> once;
            std::size_t lost = 0;
            for (const auto& one : settled) {
                CHECK(once.insert(one.sequence).second);
                lost += one.lost;
            }
            const auto packed = pair.client.supply.alone_of(carrier);
            CHECK(packed.size() == 2000);
            CHECK(settled.size() == packed.size());
            CHECK(lost > 0);
            // One that counts as lost may arrive all the same; one that is acknowledged has.
            CHECK(pair.server.messages_alone(carrier).size() >= packed.size() - lost);
            CHECK(pair.server.messages_alone(carrier).size() <= packed.size());
            CHECK(pair.client.mapping->quiet());
        }
    }

    TEST_CASE("sctp: alone: the peer's word of a Carrier is enough while others are not settled") {
        SctpUdpPair pair(seeded());
        REQUIRE(pair.connect());
        const std::string_view never = "lost again and again";
        bool lose = false;
        pair.on_sent = [&](bool, std::span<const std::byte> bytes) {
            const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            lose = text.find(never) != text.npos;
        };
        pair.on_launch = [&](bool, Instant&) { return !lose; };
        auto other = pair.client.open();
        pair.client.send(other, Bytes(never));
        pair.transmit_now();
        auto carrier = pair.client.open();
        // A quarter of its window: the peer says that it was taken.
        pair.client.send(carrier, Bytes(pattern(9000)));
        pair.run(1s);
        REQUIRE(pair.server.messages(carrier).size() == 1);
        pair.client.send_alone(carrier, "alone");
        pair.run(1s);
        CHECK(pair.server.messages_alone(carrier) == std::vector<std::string>{"alone"});
        CHECK(pair.server.messages(other).empty());
        CHECK_FALSE(pair.client.mapping->quiet());
        pair.on_launch = {};
        pair.run(5s);
        CHECK(pair.server.messages(other) == std::vector{std::string(never)});
        CHECK(pair.client.mapping->quiet());
    }

    TEST_CASE("quic: alone: the largest that a packet takes goes alone, one byte more does not") {
        QuicPair pair(seeded());
        auto carrier = known_carrier(pair);
        pair.run(10s);  // the MTU is found
        std::size_t largest = 0;
        for (std::size_t size = 1100; size < 1500; ++size) {
            const auto before = pair.server.messages_alone(carrier).size();
            pair.client.send_alone(carrier, Bytes(pattern(size)));
            pair.run(200ms);
            if (pair.server.messages_alone(carrier).size() > before) largest = size;
        }
        const auto mtu = pair.client.mapping->path().mtu;
        CHECK(largest > mtu - 80);
        CHECK(largest < mtu);
        CHECK(pair.server.messages_alone(carrier).back() == pattern(largest));
        CHECK(pair.server.messages(carrier).size() == 1 + 1499 - largest);
    }

    TEST_CASE("quic: alone: one that waits is put on the stream when packets shrink") {
        QuicPair pair(seeded());
        auto carrier = known_carrier(pair);
        pair.run(10s);
        const auto mtu = pair.client.mapping->path().mtu;
        REQUIRE(mtu > 1300);
        // Larger packets vanish from here on; so do those that carry the messages, until the path
        // is found to have shrunk.
        std::size_t largest = 1250;
        pair.on_size = [&](std::size_t size) { return size <= largest; };
        for (int i = 0; i < 3000; ++i) pair.client.send_alone(carrier, Bytes(pattern(mtu - 100)));
        pair.run(60s);
        CHECK(pair.server.messages(carrier).size() > 1);
        CHECK(pair.client.supply.waiting() == 0);
        const auto alone = pair.client.supply.alone_of(carrier).size();
        CHECK(pair.client.supply.packed_of(carrier) + alone == 3001);
        CHECK(pair.client.all<event::SettledAlone>(carrier).size() == alone);
    }
}

}  // namespace post::test
