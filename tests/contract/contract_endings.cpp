// The promises of mappings/mapping.hpp about endings: of Carriers, of what is in flight, and of the
// connection.

#include <cerrno>
#include <random>

#include "tests/contract/support.hpp"

namespace post::test {

TEST_SUITE("contract") {
    TEST_CASE_TEMPLATE("finished comes after the last message, ended after both directions",
                       PairType, FakePair, QuicPair, SctpPair, TlsPair, SctpUdpPair, TcpPair,
                       TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "last words");
        pair.client.finish(carrier);
        pair.run(1s);
        CHECK(pair.server.messages(carrier).size() == 1);
        CHECK(pair.server.template all<event::Finished>(carrier).size() == 1);
        CHECK(first_of<event::Arrived>(pair.server) < first_of<event::Finished>(pair.server));
        CHECK(pair.server.template all<event::Ended>().empty());
        // The other direction still works.
        pair.server.send(carrier, "answer");
        pair.server.finish(carrier);
        pair.run(1s);
        CHECK(pair.client.messages(carrier).size() == 1);
        for (auto* end : {&pair.client, &pair.server}) {
            CHECK(end->template all<event::Finished>(carrier).size() == 1);
            CHECK(end->template all<event::Ended>(carrier).size() == 1);
            CHECK(end->mapping->quiet());
        }
    }

    TEST_CASE_TEMPLATE("a one-way carrier ends with its only direction", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto source = pair.client.open(CarrierKind::one_way);
        pair.client.send(source, "gone");
        pair.client.finish(source);
        // There is no way back.
        pair.run(1s);
        CHECK(pair.server.messages(source).size() == 1);
        CHECK(pair.server.template all<event::Ended>(source).size() == 1);
        CHECK(pair.client.template all<event::Ended>(source).size() == 1);
    }

    // usrsctp once kept the last of them for ever: channels.hpp, unanswered_.
    TEST_CASE_TEMPLATE("the end of a Carrier holds nobody up, whatever is lost in front of it",
                       PairType, QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        const auto going = pair.client.open();
        const auto ending = pair.server.open();
        pair.client.send(going, "first");
        pair.server.send(ending, "first");
        pair.run(1s);
        bool lose = true;
        pair.on_launch = [&](bool to_server, Instant&) { return !(to_server && lose); };
        pair.client.send(going, "lost at first");
        pair.transmit_now();
        lose = false;
        pair.client.mapping->reset(ending, abort_error(1));
        pair.transmit_now();
        pair.run(50ms);
        pair.client.send(going, "behind");
        CHECK(pair.run_until([&] { return pair.server.messages(going).size() == 3; }, 10s));
    }

    TEST_CASE_TEMPLATE("a reset carries its code and ends one direction", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "hello");
        pair.run(1s);
        pair.client.mapping->reset(carrier, abort_error(42));
        pair.run(1s);
        auto resets = pair.server.template all<event::Reset>(carrier);
        REQUIRE(resets.size() == 1);
        CHECK(resets[0].error == Errc::carrier_reset);
        CHECK(resets[0].error.cause == std::error_code(42, application_category()));
        pair.server.send(carrier, "you still listen");
        pair.server.finish(carrier);
        pair.run(1s);
        CHECK(pair.client.messages(carrier).size() == 1);
        CHECK(pair.client.template all<event::Ended>(carrier).size() == 1);
        CHECK(pair.server.template all<event::Ended>(carrier).size() == 1);
    }

    TEST_CASE_TEMPLATE("a reset carries its code, whatever is lost and overtaken", PairType,
                       QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        std::mt19937_64 dice(seed());
        pair.on_launch = [&](bool to_server, Instant&) { return !to_server || dice() % 10 >= 3; };
        const auto bulk = pair.client.open();
        std::vector<CarrierId> carriers;
        for (int i = 0; i < 50; ++i) {
            carriers.push_back(pair.client.open());
            pair.client.send(carriers.back(), "hello");
            for (int j = 0; j < 3; ++j) pair.client.send(bulk, Bytes(std::string(8000, 'b')));
            const auto came = [&] { return !pair.server.messages(carriers.back()).empty(); };
            for (int wait = 0; wait < 600 && !came(); ++wait) pair.run(100ms);
            pair.client.mapping->reset(carriers.back(), abort_error(42));
        }
        pair.run(10s);
        pair.on_launch = nullptr;
        pair.run(30s);
        for (const CarrierId carrier : carriers) {
            const auto resets = pair.server.template all<event::Reset>(carrier);
            REQUIRE(resets.size() == 1);
            CHECK(resets[0].error == Errc::carrier_reset);
            CHECK(resets[0].error.cause == std::error_code(42, application_category()));
        }
        CHECK(pair.server.messages(bulk).size() == 150);
    }

    TEST_CASE_TEMPLATE("stop tells the sender, and what it sends is dropped", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "hello");
        pair.run(1s);
        pair.server.mapping->stop(carrier, abort_error(7));
        pair.run(1s);
        auto stopped = pair.client.template all<event::Stopped>(carrier);
        REQUIRE(stopped.size() == 1);
        CHECK(stopped[0].error.cause == std::error_code(7, application_category()));
        pair.client.send(carrier, "never");
        pair.run(1s);
        CHECK(pair.server.messages(carrier).size() == 1);
        CHECK(pair.client.mapping->quiet());
    }

    TEST_CASE_TEMPLATE("commands for carriers that nobody knows do nothing", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair, TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        CarrierId nobody{4242};
        pair.client.mapping->reset(nobody, abort_error(1));
        pair.client.mapping->stop(nobody, abort_error(1));
        pair.client.mapping->extend_window(nobody, 1000);
        pair.client.supply.push(Finish{nobody});
        pair.client.send(nobody, "x");
        pair.run(1s);
        // A byte stream is a Carrier from its beginning.
        CHECK(pair.server.events.size() == (is_byte_stream<PairType> ? 2 : 1));
        // A server of QUIC gives an address token besides.
        CHECK(pair.client.events.size() == 1 + pair.client.template all<event::Token>().size());
        CHECK_FALSE(pair.client.mapping->over());
    }

    TEST_CASE_TEMPLATE("close writes one flight, and the peer learns why", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        pair.run(1s);
        auto before = pair.client.events.size();
        pair.client.mapping->close(
            Error(Errc::too_slow, {}, Stage::established, "the reader never reads"));
        CHECK_FALSE(pair.client.mapping->over());
        pair.run(1s);
        CHECK(pair.client.mapping->over());
        CHECK(pair.client.events.size() == before);
        CHECK(pair.client.mapping->deadline() == never);
        REQUIRE(pair.server.lost());
        CHECK(*pair.server.lost() == Errc::too_slow);
        CHECK(pair.server.lost()->detail.view().find("never reads") != std::string_view::npos);
        CHECK(pair.server.lost()->candidate.port == 50000);
        CHECK(pair.server.mapping->over());
        CHECK(first_of<event::Lost>(pair.server) == pair.server.events.size() - 1);
    }

    TEST_CASE_TEMPLATE("silence ends a connection after its idle timeout", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "hello");
        pair.run(1s);
        pair.cut();
        pair.client.send(carrier, "into the void");
        pair.run(20s);
        CHECK_FALSE(pair.client.lost());
        pair.run(20s);
        REQUIRE(pair.client.lost());
        CHECK(*pair.client.lost() == Errc::connection_lost);
        CHECK(pair.client.mapping->over());
        CHECK(pair.client.mapping->deadline() == never);
        CHECK(pair.server.lost());
        CHECK(pair.stuck_deadlines() == 0);
    }

    TEST_CASE_TEMPLATE("a peer that never answers ends the attempt in time", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair, TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        pair.cut();
        pair.run(9s);
        CHECK_FALSE(pair.client.lost());
        pair.run(2s);
        REQUIRE(pair.client.lost());
        CHECK(*pair.client.lost() == Errc::handshake_timeout);
        CHECK(pair.client.lost()->stage ==
              (is_byte_stream<PairType> ? Stage::connect : Stage::handshake));
        CHECK(pair.client.lost()->candidate.port == 4433);
        CHECK(pair.client.mapping->over());
    }

    TEST_CASE_TEMPLATE("a refused port ends an attempt, and nothing later", PairType, FakePair,
                       QuicPair, SctpPair, SctpUdpPair) {
        std::error_code refused(ECONNREFUSED, std::generic_category());
        SUBCASE("before the peer spoke") {
            PairType pair(seeded());
            auto remote = pair.client.mapping->path().remote;
            auto other = *Address::parse("192.0.2.77", 4433);
            pair.client.mapping->handle_trouble(pair.now(), other, refused);
            CHECK_FALSE(pair.client.mapping->over());
            pair.client.mapping->handle_trouble(pair.now(), remote, refused);
            pair.client.drain();
            REQUIRE(pair.client.lost());
            CHECK(*pair.client.lost() == Errc::refused_port);
            CHECK(pair.client.lost()->cause == refused);
            CHECK(pair.client.mapping->over());
        }
        SUBCASE("when it has spoken it is only a hint") {
            PairType pair(seeded());
            REQUIRE(pair.connect());
            pair.client.mapping->handle_trouble(pair.now(), pair.client.mapping->path().remote,
                                                refused);
            pair.run(1s);
            CHECK_FALSE(pair.client.lost());
        }
    }

    TEST_CASE_TEMPLATE("quiet says when nothing is left to be sent again", PairType, FakePair,
                       QuicPair, SctpPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        pair.run(1s);
        CHECK(pair.client.mapping->quiet());
        auto carrier = pair.client.open();
        pair.client.send_cut(carrier, Bytes(pattern(20000)), 20000);
        CHECK(pair.run_until([&] { return pair.client.supply.packed_of(carrier) == 1; }));
        CHECK_FALSE(pair.client.mapping->quiet());
        pair.run(1s);
        CHECK(pair.client.mapping->quiet());
    }

    TEST_CASE_TEMPLATE("content is held by reference until it is acknowledged", PairType, FakePair,
                       QuicPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        pair.server.take = true;
        struct Watch : Bytes::Owner {
            std::string text = pattern(16000);
            bool gone = false;
        } watch;
        watch.destroy = [](Bytes::Owner* owner) noexcept {
            static_cast<Watch*>(owner)->gone = true;
        };
        auto carrier = pair.client.open();
        pair.client.send_cut(
            carrier,
            Bytes::from_owner(&watch, reinterpret_cast<const std::byte*>(watch.text.data()), 16000),
            16000);
        CHECK(pair.run_until([&] { return pair.client.supply.packed_of(carrier) == 1; }));
        CHECK_FALSE(watch.gone);
        CHECK(pair.run_until([&] { return !pair.server.messages(carrier).empty(); }));
        pair.run(1s);
        CHECK(pair.server.messages(carrier)[0] == watch.text);
        // The fake hands the very bytes to the other end, and the supply keeps what it gave last.
        pair.server.events.clear();
        pair.client.supply.push(Finish{carrier});
        pair.run(1s);
        CHECK(watch.gone);
    }

    TEST_CASE_TEMPLATE("a thousand carriers, ten messages each", PairType, FakePair, QuicPair,
                       SctpPair, TlsPair, SctpUdpPair) {
        auto options = seeded();
        options.server.carriers = 2000;
        PairType pair(options);
        REQUIRE(pair.connect());
        std::vector<CarrierId> carriers;
        for (int i = 0; i < 1000; ++i) carriers.push_back(pair.client.open());
        for (int round = 0; round < 10; ++round)
            for (auto carrier : carriers)
                pair.client.send(carrier, "message " + std::to_string(round));
        for (auto carrier : carriers) pair.client.finish(carrier);
        CHECK(pair.run_until(
            [&] { return pair.server.template all<event::Finished>().size() == 1000; }));
        std::size_t messages = 0;
        for (auto carrier : carriers) messages += pair.server.messages(carrier).size();
        CHECK(messages == 10000);
        CHECK(pair.server.messages(carriers[500]).back() == "message 9");
        for (auto carrier : carriers) pair.server.finish(carrier);
        pair.run(2s);
        CHECK(pair.server.template all<event::Ended>().size() == 1000);
        CHECK(pair.client.template all<event::Ended>().size() == 1000);
        CHECK(pair.client.mapping->quiet());
    }

    TEST_CASE_TEMPLATE("plain peers: bytes are messages, and pieces are acknowledged", PairType,
                       FakePair, QuicPair, SctpPair, SctpUdpPair, TcpPair, TlsBytesPair) {
        auto options = seeded();
        options.raw = true;
        PairType pair(options);
        REQUIRE(pair.connect());
        CHECK_FALSE(pair.client.template all<event::Established>()[0].post);
        pair.client.supply.push(Settings{});
        auto carrier = pair.client.open(CarrierKind::messages, CarrierId{0});
        pair.client.send(carrier, "one");
        pair.client.send(carrier, "two");
        pair.client.send(carrier, Bytes());
        pair.run(1s);
        auto opened = pair.server.template all<event::Opened>();
        REQUIRE(opened.size() == 1);
        CHECK(opened[0].open.carrier == carrier);
        CHECK_FALSE(opened[0].open.parent);
        CHECK(pair.server.template all<Settings>().empty());
        std::string all;
        for (const auto& text : pair.server.messages(carrier)) all += text;
        CHECK(all == "onetwo");
        CHECK(pair.client.supply.packed_of(carrier) == 3);
        if (PairType::is_quic || is_byte_stream<PairType>) CHECK(pair.client.acked(carrier) == 3);
        pair.client.finish(carrier);
        pair.run(1s);
        CHECK(pair.server.template all<event::Finished>(carrier).size() == 1);
    }

    TEST_CASE_TEMPLATE("no deadline makes a caller spin", PairType, FakePair, QuicPair, SctpPair,
                       TlsPair, SctpUdpPair, TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        for (int i = 0; i < 50; ++i) {
            pair.client.send(carrier, pattern(500));
            pair.run(100ms);
        }
        pair.run(10s);
        CHECK(pair.stuck_deadlines() == 0);
        CHECK(pair.server.messages(carrier).size() == 50);
    }
}

}  // namespace post::test
