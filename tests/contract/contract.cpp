// The promises of mappings/mapping.hpp, as one list that every mapping must keep: Carriers,
// messages and windows. How things end is in contract_endings.cpp.

#include <algorithm>

#include "tests/contract/support.hpp"

namespace post::test {

TEST_SUITE("contract") {
    TEST_CASE_TEMPLATE("established is the first event at both ends", PairType, FakePair, QuicPair,
                       SctpPair, TlsPair, SctpUdpPair, TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        CHECK(first_of<event::Established>(pair.client) == 0);
        CHECK(first_of<event::Established>(pair.server) == 0);
        CHECK(pair.client.template all<event::Established>().front().post !=
              is_byte_stream<PairType>);
        CHECK(pair.client.mapping->path().remote.port == 4433);
    }

    TEST_CASE_TEMPLATE("a message crosses in each direction of a carrier", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair, TcpPair, TlsBytesPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "hello");
        CHECK(pair.run_until([&] { return !pair.server.messages(carrier).empty(); }));
        auto opened = pair.server.template all<event::Opened>();
        REQUIRE(opened.size() == 1);
        CHECK(opened[0].open.carrier == carrier);
        CHECK_FALSE(opened[0].open.parent);
        pair.server.send(carrier, "and back");
        CHECK(pair.run_until([&] { return !pair.client.messages(carrier).empty(); }));
        CHECK(pair.server.messages(carrier) == std::vector<std::string>{"hello"});
        CHECK(pair.client.messages(carrier) == std::vector<std::string>{"and back"});
        CHECK(pair.client.supply.packed_of(carrier) == 1);
    }

    TEST_CASE_TEMPLATE("either side opens carriers, with parents and kinds", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto parent = pair.client.open();
        auto child = pair.client.open(CarrierKind::stream, parent);
        auto source = pair.client.open(CarrierKind::one_way);
        auto theirs = pair.server.open();
        for (auto carrier : {parent, child, source}) pair.client.send(carrier, "x");
        pair.server.send(theirs, "y");
        pair.run(1s);
        auto opened = pair.server.template all<event::Opened>();
        REQUIRE(opened.size() == 3);
        for (const auto& one : opened) {
            if (one.open.carrier == child) {
                CHECK(one.open.parent == parent);
                CHECK(one.open.kind == CarrierKind::stream);
            }
            if (one.open.carrier == source) CHECK(one.open.kind == CarrierKind::one_way);
        }
        REQUIRE(pair.client.template all<event::Opened>().size() == 1);
        CHECK(pair.client.template all<event::Opened>()[0].open.carrier == theirs);
        CHECK(theirs.value() % 2 == 1);
        CHECK(pair.client.messages(theirs) == std::vector<std::string>{"y"});
    }

    TEST_CASE_TEMPLATE("pieces of two messages interleave and both arrive whole", PairType,
                       FakePair, QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        auto large = pattern(20000);
        // A large message of class 1, cut, with small ones of class 0 between its pieces.
        Piece piece;
        piece.carrier = carrier;
        piece.niceness = NicenessClass{1};
        piece.total = large.size();
        Bytes content(large);
        for (std::size_t at = 0; at < large.size(); at += 5000) {
            piece.offset = at;
            piece.bytes = content.slice(at, 5000);
            pair.client.supply.push(piece);
            pair.client.send(carrier, "small");
        }
        CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 5; }));
        auto messages = pair.server.messages(carrier);
        CHECK(std::count(messages.begin(), messages.end(), "small") == 4);
        CHECK(std::count(messages.begin(), messages.end(), large) == 1);
        CHECK(messages.back() == "small");
    }

    TEST_CASE_TEMPLATE("marks and association values arrive as they were said", PairType, FakePair,
                       QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        Settings settings;
        settings.association[3] = 7;
        settings.race = 99;
        settings.largest_message = 1000;
        settings.carriers = 50;
        pair.client.supply.push(settings);
        auto carrier = pair.client.open();
        Piece piece;
        piece.carrier = carrier;
        piece.bytes = Bytes("marked");
        piece.total = piece.bytes.size();
        piece.marks.ordered = false;
        piece.marks.idempotent = true;
        piece.marks.ask = true;
        pair.client.supply.push(piece);
        pair.client.supply.push(Skip{carrier, NicenessClass{2}, Sequence{0}, 3});
        pair.client.supply.push(Delivered{CarrierId{1}, NicenessClass{0}, Sequence{5}, {}, {}, 0});
        pair.client.supply.push(Refuse{CarrierId{3}, Errc::carrier_refused});
        pair.run(1s);
        REQUIRE(pair.server.template all<Settings>().size() == 1);
        CHECK(pair.server.template all<Settings>()[0].race == 99u);
        CHECK(pair.server.template all<Settings>()[0].association == settings.association);
        REQUIRE(pair.server.template all<event::Arrived>().size() == 1);
        CHECK(pair.server.template all<event::Arrived>()[0].piece.marks == piece.marks);
        REQUIRE(pair.server.template all<Skip>().size() == 1);
        CHECK(pair.server.template all<Skip>()[0].count == 3);
        REQUIRE(pair.server.template all<Delivered>().size() == 1);
        CHECK(pair.server.template all<Delivered>()[0].watermark == Sequence{5});
        CHECK(pair.server.template all<Refuse>().size() == 1);
    }

    TEST_CASE_TEMPLATE("a carrier's window stops it and nobody else", PairType, FakePair, QuicPair,
                       SctpPair, TlsPair, SctpUdpPair) {
        PairType pair(seeded());
        REQUIRE(pair.connect());
        pair.server.take = false;
        auto slow = pair.client.open();
        auto quick = pair.client.open();
        pair.client.send_cut(slow, Bytes(pattern(100000)), 10000);
        pair.client.send(quick, "still here");
        pair.run(2s);
        auto window = Limits{}.carrier_window;
        CHECK(pair.server.bytes_arrived(slow) <= window);
        CHECK(pair.server.bytes_arrived(slow) > window / 2);
        CHECK(pair.client.supply.is_blocked(slow));
        CHECK(pair.client.mapping->send_window(slow) == 0);
        CHECK(pair.server.messages(quick).size() == 1);

        // It goes on as it is taken, and is reported once each time.
        pair.server.take = true;
        auto before = pair.server.bytes_arrived(slow);
        pair.server.mapping->extend_window(slow, before);
        pair.server.mapping->extend_budget(before);
        CHECK(pair.run_until([&] { return pair.server.messages(slow).size() == 1; }));
        CHECK_FALSE(pair.client.template all<event::Unblocked>().empty());
        CHECK(pair.server.messages(slow)[0] == pattern(100000));
    }

    TEST_CASE_TEMPLATE("the budget stops all carriers together", PairType, FakePair, QuicPair,
                       SctpPair, TlsPair, SctpUdpPair) {
        auto options = seeded();
        options.server.budget = 50000;
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.server.take = false;
        std::vector<CarrierId> carriers;
        for (int i = 0; i < 4; ++i) {
            carriers.push_back(pair.client.open());
            pair.client.send_cut(carriers.back(), Bytes(pattern(20000)), 5000);
        }
        pair.run(2s);
        std::uint64_t arrived = 0;
        for (auto carrier : carriers) arrived += pair.server.bytes_arrived(carrier);
        CHECK(arrived <= 50000);
        CHECK(arrived > 40000);
        pair.server.mapping->extend_budget(arrived);
        CHECK(pair.run_until([&] {
            return std::all_of(carriers.begin(), carriers.end(), [&](CarrierId carrier) {
                return pair.server.messages(carrier).size() == 1;
            });
        }));
    }

    TEST_CASE_TEMPLATE("the limit of carriers blocks an opening until one has ended", PairType,
                       FakePair, QuicPair, SctpPair, TlsPair, SctpUdpPair) {
        auto options = seeded();
        options.server.carriers = 3;
        options.server.most_carriers = 3;
        PairType pair(options);
        REQUIRE(pair.connect());
        std::vector<CarrierId> carriers;
        for (int i = 0; i < 5; ++i) {
            carriers.push_back(pair.client.open());
            pair.client.send(carriers.back(), "first");
        }
        pair.run(1s);
        CHECK(pair.server.template all<event::Opened>().size() == 3);
        CHECK(pair.client.supply.is_blocked(carriers[3]));
        CHECK(pair.client.supply.is_blocked(carriers[4]));

        pair.client.finish(carriers[1]);
        pair.server.finish(carriers[1]);
        CHECK(pair.run_until([&] { return !pair.server.messages(carriers[3]).empty(); }));
        CHECK(pair.server.template all<event::Opened>().size() == 4);
        CHECK(pair.client.supply.is_blocked(carriers[4]));

        // One that was never opened is given up without a word to the peer.
        pair.client.mapping->reset(carriers[4], abort_error(1));
        pair.run(1s);
        CHECK(pair.client.template all<event::Ended>(carriers[4]).size() == 1);
        CHECK(pair.server.template all<event::Opened>().size() == 4);
    }

    TEST_CASE_TEMPLATE("the grant of carriers grows with their use", PairType, FakePair, QuicPair,
                       SctpPair, TlsPair, SctpUdpPair) {
        auto options = seeded();
        options.server.carriers = 10;
        options.server.most_carriers = 1000;
        PairType pair(options);
        REQUIRE(pair.connect());
        std::vector<CarrierId> carriers;
        for (int i = 0; i < 1000; ++i) {
            carriers.push_back(pair.client.open());
            pair.client.send(carriers.back(), "x");
        }
        CHECK(pair.run_until(
            [&] { return pair.server.template all<event::Opened>().size() == 1000; }));
        auto extra = pair.client.open();
        pair.client.send(extra, "one too many");
        pair.run(1s);
        CHECK(pair.server.template all<event::Opened>().size() == 1000);
        CHECK(pair.server.messages(carriers[999]).size() == 1);
    }
}

}  // namespace post::test
