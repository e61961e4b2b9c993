// What a mapping of foreign byte streams promises beside the common list. It has no part in what
// that says of several Carriers in one connection, of marks, of messages that travel alone, of
// codes of errors and of silence: a Carrier of its is a TCP connection, with nothing of ours on the
// wire. How several connections get on with each other is in unit/tcp_connections_test.cpp.

#include "tests/contract/support.hpp"

namespace post::test {

namespace {

template <class PairType> std::string bytes_at(const PairType& pair, bool server) {
    std::string all;
    for (const auto& text : (server ? pair.server : pair.client).messages(TcpPair::only()))
        all += text;
    return all;
}

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE_TEMPLATE("byte streams: a Carrier's window is not passed by a byte", PairType,
                       TcpPair, TlsBytesPair) {
        auto options = seeded();
        SUBCASE("the usual one") {}
        SUBCASE("a small one") { options.server.carrier_window = 1000; }
        SUBCASE("a budget that is less than it") { options.server.budget = 5000; }
        const std::uint64_t window = std::min(options.server.carrier_window, options.server.budget);
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.server.take = false;
        const auto carrier = pair.client.open();
        const std::string content = pattern(300'000);
        pair.client.send_cut(carrier, Bytes(content), 5000);
        pair.run(2s);
        CHECK(pair.server.bytes_arrived(carrier) == window);
        // The peer's system is full, and ours holds the rest back.
        CHECK(pair.client.supply.is_blocked(carrier));
        CHECK(pair.client.mapping->send_window(carrier) == 0);
        CHECK(pair.unread(true) >= TcpPair::buffer / 2);
        const std::size_t record = PairType::is_secured ? crypto::largest_tls_fragment + 5 : 0;
        CHECK(pair.most_taken(true) <= std::max<std::uint64_t>(window + record, 4096));
        // It goes on by as much as is granted.
        for (std::uint64_t granted = window; granted < window + 5000; granted += 1000) {
            CHECK(pair.server.bytes_arrived(carrier) == granted);
            pair.server.mapping->extend_window(carrier, 1000);
            pair.server.mapping->extend_budget(1000);
            pair.server.drain();
            pair.run(1s);
        }
        pair.server.take = true;
        pair.server.mapping->extend_window(carrier, 300'000);
        pair.server.mapping->extend_budget(300'000);
        CHECK(pair.run_until([&] { return pair.server.bytes_arrived(carrier) == 300'000; }));
        CHECK(bytes_at(pair, true) == content);
        CHECK(pair.stuck_deadlines() == 0);
    }

    TEST_CASE_TEMPLATE("byte streams: the end is told behind what no window had room for", PairType,
                       TcpPair, TlsBytesPair) {
        auto options = seeded();
        options.server.carrier_window = 1000;
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.server.take = false;
        const auto carrier = pair.client.open();
        pair.client.send(carrier, pattern(2400));
        pair.client.finish(carrier);
        pair.server.finish(carrier);
        for (std::uint64_t granted = 1000; granted < 2400; granted += 500) {
            pair.run(1s);
            CHECK(pair.server.bytes_arrived(carrier) == granted);
            CHECK(pair.server.template all<event::Finished>().empty());
            CHECK(pair.server.template all<event::Ended>().empty());
            pair.server.mapping->extend_window(carrier, 500);
            pair.server.drain();
        }
        pair.run(1s);
        CHECK(bytes_at(pair, true) == pattern(2400));
        CHECK(pair.server.template all<event::Finished>().size() == 1);
        CHECK(pair.server.template all<event::Ended>().size() == 1);
        CHECK(first_of<event::Ended>(pair.server) > first_of<event::Finished>(pair.server));
    }

    TEST_CASE_TEMPLATE("byte streams: an end right behind a window that is used up is told at once",
                       PairType, TcpPair, TlsBytesPair) {
        auto options = seeded();
        SUBCASE("a Carrier's") { options.server.carrier_window = 1000; }
        SUBCASE("that of all") { options.server.budget = 1000; }
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.server.take = false;
        const auto carrier = pair.client.open();
        pair.client.send(carrier, pattern(1500));
        pair.run(1s);
        pair.server.mapping->extend_window(carrier, 500);
        pair.server.mapping->extend_budget(500);
        pair.server.drain();
        pair.run(1s);
        CHECK(pair.server.bytes_arrived(carrier) == 1500);
        CHECK(pair.server.template all<event::Finished>().empty());
        pair.client.finish(carrier);
        pair.run(1s);
        CHECK(bytes_at(pair, true) == pattern(1500));
        CHECK(pair.server.template all<event::Finished>().size() == 1);
        CHECK(pair.stuck_deadlines() == 0);
    }

    // What comes in place of an end stays where it is, but for so little of a record.
    TEST_CASE_TEMPLATE("byte streams: who looks for an end takes nothing else", PairType, TcpPair,
                       TlsBytesPair) {
        auto options = seeded();
        options.server.carrier_window = 1000;
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.server.take = false;
        const auto carrier = pair.client.open();
        pair.client.send(carrier, pattern(1000));
        pair.run(1s);
        const std::size_t small = PairType::is_secured ? 24 : 0;
        std::size_t sent = 0;
        for (const std::size_t size : {1, 2, 500, 4000}) {
            pair.client.send(carrier, pattern(size));
            sent += size;
            pair.run(1s);
            CHECK(pair.server.bytes_arrived(carrier) == 1000);
        }
        CHECK(pair.unread(true) + small >= sent);
        pair.client.finish(carrier);
        pair.run(1s);
        CHECK(pair.server.template all<event::Finished>().empty());
        pair.server.mapping->extend_window(carrier, 10'000);
        pair.server.drain();
        pair.run(1s);
        CHECK(bytes_at(pair, true) ==
              pattern(1000) + pattern(1) + pattern(2) + pattern(500) + pattern(4000));
        CHECK(pair.server.template all<event::Finished>().size() == 1);
    }

    TEST_CASE_TEMPLATE("byte streams: a peer that has the first word fills one window", PairType,
                       TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        pair.server.send_cut(TcpPair::only(), Bytes(pattern(200'000)), 5000);
        pair.run(2s);
        CHECK(pair.client.bytes_arrived(TcpPair::only()) == 0);
        CHECK(pair.most_taken(false) <= Limits{}.carrier_window + crypto::largest_tls_fragment + 5);
        CHECK(pair.unread(false) >= TcpPair::buffer / 2);
        const auto carrier = pair.client.open();
        CHECK(carrier == TcpPair::only());
        CHECK(pair.run_until([&] { return pair.client.bytes_arrived(carrier) == 200'000; }));
        CHECK(bytes_at(pair, false) == pattern(200'000));
    }

    TEST_CASE_TEMPLATE("byte streams: a reset ends both directions of its connection", PairType,
                       TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        const auto carrier = pair.client.open();
        pair.client.send(carrier, "hello");
        pair.run(1s);
        pair.client.mapping->reset(carrier, abort_error(42));
        pair.client.send(carrier, "never");
        pair.run(1s);
        CHECK(pair.client.template all<event::Ended>(carrier).size() == 1);
        CHECK_FALSE(pair.client.lost());  // the next Carrier would have a connection of its own
        const auto resets = pair.server.template all<event::Reset>(carrier);
        REQUIRE(resets.size() == 1);
        CHECK(resets[0].error == Errc::carrier_reset);
        CHECK(resets[0].error.cause == std::errc::connection_reset);
        CHECK(pair.server.template all<event::Ended>(carrier).size() == 1);
        REQUIRE(pair.server.lost());
        CHECK(pair.server.mapping->over());
        CHECK(bytes_at(pair, true) == "hello");
    }

    TEST_CASE_TEMPLATE("byte streams: who wants nothing more holds nobody up", PairType, TcpPair,
                       TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        pair.server.take = false;
        const auto carrier = pair.client.open();
        pair.client.send_cut(carrier, Bytes(pattern(300'000)), 5000);
        pair.run(1s);
        pair.server.mapping->stop(carrier, abort_error(7));
        pair.run(1s);
        CHECK(pair.server.bytes_arrived(carrier) == Limits{}.carrier_window);
        CHECK(pair.unread(true) == 0);
        CHECK(pair.client.supply.packed_of(carrier) == 60);
        CHECK(pair.client.acked(carrier) == 60);
        CHECK(pair.client.mapping->quiet());
        // The other direction works.
        pair.server.send(carrier, "enough");
        CHECK(pair.run_until([&] { return bytes_at(pair, false) == "enough"; }));
    }

    TEST_CASE_TEMPLATE("byte streams: close ends what was sent in good order", PairType, TcpPair,
                       TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        const auto carrier = pair.client.open();
        pair.client.send(carrier, "last words");
        pair.transmit_now();
        pair.client.mapping->close(Error(Errc::too_slow));
        pair.run(1s);
        CHECK(pair.client.mapping->over());
        CHECK(pair.client.mapping->deadline() == never);
        CHECK(bytes_at(pair, true) == "last words");
        CHECK(pair.server.template all<event::Finished>(carrier).size() == 1);
        CHECK(pair.server.template all<event::Reset>(carrier).empty());
    }

    TEST_CASE_TEMPLATE("byte streams: both ends know the round trip", PairType, TcpPair,
                       TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        const auto carrier = pair.client.open();
        pair.client.send(carrier, "ping");
        CHECK(pair.run_until([&] { return !pair.server.messages(carrier).empty(); }));
        pair.server.send(carrier, "pong");
        CHECK(pair.run_until([&] { return !pair.client.messages(carrier).empty(); }));
        pair.run(1s);
        CHECK(pair.client.mapping->path().smoothed_rtt == 20ms);
        CHECK(pair.server.mapping->path().smoothed_rtt == 20ms);
        CHECK(pair.server.mapping->path().minimum_rtt == 20ms);
    }
}

}  // namespace post::test
