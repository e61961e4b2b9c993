// QUIC: the ends of streams when the wire reorders what belongs to them.

#include "tests/contract/support.hpp"

namespace post::test {

namespace {

// The client has asked a question. The first packet of the answer, which ends the server's
// direction, comes so late that the others are there already; and meanwhile the client wants no
// answer any more. The server hears of that when all of its packets are acknowledged.
struct LateBeginning {
    explicit LateBeginning(QuicPair& pair) : carrier(pair.client.open()) {
        pair.client.mapping->keep_alive(true);
        pair.client.send(carrier, "question");
        pair.run(1s);
        std::size_t answers = 0;
        pair.on_launch = [&](bool to_server, Instant& at) {
            if (!to_server && answers++ == 0) at += 5ms;
            return true;
        };
        pair.server.send(carrier, pattern(4000));
        pair.server.finish(carrier);
        pair.transmit_now();
        CHECK(answers > 2);
        pair.run(12ms);  // the others have arrived
        CHECK(pair.client.bytes_arrived(carrier) == 0);
        pair.client.mapping->stop(carrier, Error(Errc::carrier_closed));
        pair.on_launch = [](bool, Instant&) { return false; };
        pair.transmit_now();
        pair.on_launch = nullptr;
    }

    CarrierId carrier;
};

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("quic: a carrier ends that was stopped behind a gap, though nobody resets it") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        LateBeginning late(pair);
        pair.client.finish(late.carrier);
        pair.run(60s);
        CHECK(pair.server.all<event::Reset>().empty());
        CHECK(pair.server.all<event::Ended>(late.carrier).size() == 1);
        CHECK(pair.client.all<event::Ended>(late.carrier).size() == 1);
        CHECK(pair.client.mapping->quiet());
        CHECK(pair.stuck_deadlines() == 0);
        // What is said of it now concerns nobody.
        pair.client.mapping->stop(late.carrier, abort_error(1));
        pair.client.mapping->reset(late.carrier, abort_error(1));
        auto carrier = pair.client.open();
        pair.client.send(carrier, "another");
        pair.run(1s);
        CHECK(pair.server.messages(carrier).size() == 1);
    }

    TEST_CASE("quic: a carrier that was stopped and reset behind a gap ends") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        LateBeginning late(pair);
        pair.client.mapping->reset(late.carrier, abort_error(1));
        pair.run(60s);
        CHECK(pair.server.all<event::Ended>(late.carrier).size() == 1);
        CHECK(pair.client.all<event::Ended>(late.carrier).size() == 1);
    }

    TEST_CASE("quic: a one-way carrier that was stopped behind a gap ends") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        pair.run(1s);
        auto carrier = pair.server.open(CarrierKind::one_way);
        pair.server.send(carrier, "beginning");
        pair.run(1s);
        std::size_t sent = 0;
        pair.on_launch = [&](bool to_server, Instant& at) {
            if (!to_server && sent++ == 0) at += 5ms;
            return true;
        };
        pair.server.send(carrier, pattern(4000));
        pair.server.finish(carrier);
        pair.transmit_now();
        pair.run(12ms);
        pair.client.mapping->stop(carrier, Error(Errc::carrier_closed));
        pair.on_launch = [](bool, Instant&) { return false; };
        pair.transmit_now();
        pair.on_launch = nullptr;
        pair.run(60s);
        CHECK(pair.server.all<event::Ended>(carrier).size() == 1);
        CHECK(pair.client.all<event::Ended>(carrier).size() == 1);
    }

    TEST_CASE("quic: a carrier that was stopped behind a gap goes on in the other direction") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        LateBeginning late(pair);
        for (int second = 0; second < 60; ++second) {
            pair.client.send(late.carrier, pattern(100));
            pair.run(1s);
        }
        CHECK(pair.client.all<event::Ended>(late.carrier).empty());
        CHECK(pair.server.messages(late.carrier).size() == 61);
        pair.client.finish(late.carrier);
        pair.run(60s);
        CHECK(pair.server.all<event::Finished>(late.carrier).size() == 1);
        CHECK(pair.client.all<event::Ended>(late.carrier).size() == 1);
        CHECK(pair.server.all<event::Ended>(late.carrier).size() == 1);
    }
}

}  // namespace post::test
