// The mapping of foreign byte streams by itself: what is acknowledged, to the byte; what waits for
// room, and what for a connection.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "mappings/tcp/endpoint.hpp"
#include "tests/fake/queue_supply.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

// A client's mapping without TLS, and the sockets played by hand.
struct Byhand {
    explicit Byhand(const Limits& limits = {}) : endpoint({}) {
        tcp::ConnectOptions options;
        options.remote = *Address::parse("192.0.2.2", 80);
        options.transport.limits = limits;
        mapping = endpoint.connect(now, options);
        connect(LinkId{0});
    }
    // What it wants is looked at; of a certain kind.
    template <class Want> std::vector<LinkId> wanted() {
        std::vector<LinkId> links;
        while (const auto want = mapping->poll_link())
            if (std::get_if<Want>(&want->what)) links.push_back(want->link);
        return links;
    }
    void connect(LinkId id) {
        REQUIRE(wanted<link::Connect>() == std::vector{id});
        mapping->handle_link(now, {id, link::Begun{*Address::parse("192.0.2.1", 50000)}});
        mapping->handle_link(now, {id, link::Writable{}});
    }
    CarrierId open() {
        const CarrierId carrier{next};
        next += 2;
        supply.push(Open{carrier, {}, CarrierKind::messages});
        return carrier;
    }
    void send(CarrierId carrier, std::string text) {
        Piece piece;
        piece.carrier = carrier;
        piece.sequence = Sequence{sequence++};
        piece.total = text.size();
        piece.bytes = Bytes(std::move(text));
        supply.push(std::move(piece));
    }
    // All that it would write now, for a link.
    std::string written(LinkId id) {
        std::string text;
        std::vector<std::byte> space(largest_run);
        for (;;) {
            const Datagrams run = mapping->poll_transmit(now, supply, space);
            drain();
            if (run.empty() && !run.end) return text;
            if (run.link == id)
                text.append(reinterpret_cast<const char*>(run.bytes.data()), run.bytes.size());
            if (run.end && run.link == id) ended = true;
        }
    }
    void unacknowledged(LinkId id, std::uint64_t bytes) {
        mapping->handle_link(now, {id, link::Unacknowledged{bytes}});
        drain();
    }
    void drain() {
        std::vector<Event> fresh;
        mapping->poll_events(fresh);
        for (Event& event : fresh) {
            if (const auto* acked = std::get_if<event::Acked>(&event)) pieces += acked->pieces;
            if (const auto* unblocked = std::get_if<event::Unblocked>(&event))
                supply.unblock(*unblocked->carrier);
            events.push_back(std::move(event));
        }
    }

    Instant now = Instant(1s);
    tcp::Endpoint endpoint;
    std::unique_ptr<Mapping> mapping;
    QueueSupply supply;
    std::vector<Event> events;
    std::uint64_t pieces = 0;
    std::uint64_t next = 0;
    std::uint64_t sequence = 0;
    bool ended = false;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("byte streams: a piece is acknowledged with its last byte, not one sooner") {
        Byhand it;
        const CarrierId carrier = it.open();
        for (const char* text : {"a", "bcd", "ef"}) it.send(carrier, text);
        CHECK(it.written(LinkId{0}) == "abcdef");
        CHECK(it.supply.packed_of(carrier) == 3);
        const std::uint64_t acked[] = {0, 1, 1, 1, 2, 2, 3};
        for (std::uint64_t bytes = 0; bytes <= 6; ++bytes) {
            CAPTURE(bytes);
            it.unacknowledged(LinkId{0}, 6 - bytes);
            CHECK(it.pieces == acked[bytes]);
        }
        // More comes behind it, and an answer that knows less than the one before is an old one.
        it.send(carrier, std::string(100'000, 'x'));
        CHECK(it.written(LinkId{0}).size() == 100'000);
        it.unacknowledged(LinkId{0}, 1);
        it.unacknowledged(LinkId{0}, 50'000);
        CHECK(it.pieces == 3);
        it.unacknowledged(LinkId{0}, 0);
        CHECK(it.pieces == 4);
        // Without a byte there is nothing to wait for but what is before it.
        it.send(carrier, "");
        CHECK(it.written(LinkId{0}).empty());
        CHECK(it.pieces == 5);
        it.send(carrier, "x");
        it.send(carrier, "");
        CHECK(it.written(LinkId{0}) == "x");
        CHECK(it.pieces == 5);
        it.unacknowledged(LinkId{0}, 0);
        CHECK(it.pieces == 7);
    }

    TEST_CASE(
        "byte streams: the system is asked soon, then rarely, and not at all without a need") {
        Byhand it;
        const CarrierId carrier = it.open();
        CHECK(it.mapping->deadline() == never);
        it.send(carrier, "hello");
        it.written(LinkId{0});
        int asked = 0;
        const Instant begin = it.now;
        while (it.now - begin < 10s) {
            REQUIRE(it.mapping->deadline() != never);
            REQUIRE(it.mapping->deadline() > it.now);
            it.now = it.mapping->deadline();
            it.mapping->handle_timeout(it.now);
            CHECK(it.wanted<link::Ask>().size() == 1);
            it.unacknowledged(LinkId{0}, 5);
            ++asked;
        }
        CHECK(asked > 10);
        CHECK(asked < 70);
        it.unacknowledged(LinkId{0}, 0);
        CHECK(it.mapping->deadline() == never);
        CHECK(it.pieces == 1);
    }

    TEST_CASE("byte streams: what has no room waits in the outbox, and its neighbour goes on") {
        Byhand it;
        const CarrierId one = it.open();
        it.written(LinkId{0});
        const CarrierId other = it.open();
        it.written(LinkId{0});
        it.connect(LinkId{1});
        it.drain();
        it.mapping->handle_link(it.now, {LinkId{0}, link::Full{}});
        for (int i = 0; i < 3; ++i) it.send(one, "one");
        it.send(other, "other");
        CHECK(it.written(LinkId{1}) == "other");
        CHECK(it.supply.is_blocked(one));
        CHECK(it.supply.waiting() == 3);
        it.mapping->handle_link(it.now, {LinkId{0}, link::Writable{}});
        it.drain();
        CHECK(it.written(LinkId{0}) == "oneoneone");
    }

    TEST_CASE("byte streams: the end comes behind the last byte, and is the last") {
        Byhand it;
        const CarrierId carrier = it.open();
        it.send(carrier, "last words");
        it.supply.push(Finish{carrier});
        CHECK(it.written(LinkId{0}) == "last words");
        CHECK(it.ended);
        it.unacknowledged(LinkId{0}, 0);
        it.mapping->handle_link(it.now, {LinkId{0}, link::Ended{}});
        it.drain();
        CHECK(std::get_if<event::Ended>(&it.events.back()));
        CHECK(it.wanted<link::Close>() == std::vector{LinkId{0}});
        CHECK_FALSE(it.mapping->over());  // the next Carrier has a connection of its own
        const CarrierId next = it.open();
        it.written(LinkId{1});
        it.connect(LinkId{1});
        it.drain();
        it.send(next, "again");
        CHECK(it.written(LinkId{1}) == "again");
    }
}

}  // namespace post::test
