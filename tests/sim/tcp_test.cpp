// The simulator's TCP: handshakes, the link's rate and losses, flow control, and the ways in which
// a connection ends.
#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "tests/seed.hpp"
#include "tests/sim/tcp_probe.hpp"

using namespace post;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

namespace {

// A client and a server with 50 ms between them, each way.
struct Pair {
    sim::World world{test::seed()};
    sim::Host& client_host = world.host("10.0.0.1");
    sim::Host& server_host = world.host("10.0.0.2");
    sim::Link& link;
    sim::TcpProbe client;
    sim::TcpProbe server;
    Address address;

    explicit Pair(const sim::LinkOptions& options = {.delay = 50ms},
                  const Io::TcpOptions& listening = {}, const sim::IoOptions& io = {})
        : link(world.link(client_host, server_host, options)),
          client(world, client_host, io),
          server(world, server_host, io),
          address(server.listen(443, listening)) {}

    SocketId connect(const Io::TcpOptions& options = {}) {
        const SocketId id = client.connect(address, options);
        REQUIRE(world.run_until([&] { return client.io().writable(id) && !server.taken.empty(); },
                                60s));
        return id;
    }
    SocketId accepted() const { return server.taken.back().socket; }
    std::string& at_server() { return server.got[accepted()].bytes; }
};

std::string text(std::size_t size) {
    std::string all(size, ' ');
    for (std::size_t i = 0; i < size; ++i)
        all[i] = static_cast<char>('!' + (i * 31 + i / 251) % 90);
    return all;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a simulated TCP connection takes one round trip to be made") {
        Pair pair;
        const SocketId client = pair.client.connect(pair.address);
        CHECK_FALSE(pair.client.io().writable(client));
        pair.world.run_for(99ms);
        CHECK(pair.client.got[client].writable == 0);
        CHECK(pair.server.taken.empty());
        pair.world.run_for(1ms);
        CHECK(pair.client.got[client].writable == 1);
        CHECK(pair.client.io().writable(client));
        pair.client.send(client, "hello");
        CHECK(pair.client.io().unacknowledged(client) == 5);
        pair.world.run_for(50ms);
        REQUIRE(pair.server.taken.size() == 1);
        const Io::Taken& taken = pair.server.taken[0];
        CHECK(taken.listener == pair.server.listener);
        CHECK(taken.local == pair.address);
        CHECK(taken.remote == pair.client.io().local_address(client));
        CHECK(pair.at_server() == "hello");
        CHECK(pair.client.io().unacknowledged(client) == 5);
        pair.server.send(taken.socket, "and you");
        pair.world.run_for(50ms);
        CHECK(pair.client.got[client].bytes == "and you");
        CHECK(pair.client.io().unacknowledged(client) == 0);
        CHECK(pair.world.run_until_quiet(2s));
    }

    TEST_CASE("with a Fast Open cookie the first segment goes with the SYN") {
        Pair pair({.delay = 50ms}, {.fast_open = true});
        const Io::TcpOptions options{.fast_open = true};
        const SocketId first = pair.client.connect(pair.address, options);
        CHECK_FALSE(pair.client.io().writable(first));
        pair.world.run_for(200ms);
        CHECK(pair.client.io().writable(first));

        const SocketId second = pair.client.connect(pair.address, options);
        CHECK(pair.client.io().writable(second));
        const std::string question = text(3000);
        CHECK(pair.client.send(second, question));
        CHECK_FALSE(pair.client.io().writable(second));
        CHECK(pair.client.io().unacknowledged(second) == 3000);
        pair.world.run_for(50ms);
        // One segment of it is there after half a round trip, and can be answered.
        REQUIRE(pair.server.taken.size() == 2);
        CHECK(pair.at_server().size() == 1440);
        CHECK(pair.server.send(pair.accepted(), "answer"));
        pair.world.run_for(50ms);
        CHECK(pair.client.got[second].bytes == "answer");
        pair.world.run_for(50ms);
        CHECK(pair.at_server() == question);
        CHECK(pair.world.run_until_quiet(5s));

        // A server that has forgotten its secret takes no data before the handshake is done.
        Pair other({.delay = 50ms});
        const SocketId refused = other.client.connect(other.address, options);
        other.world.run_for(200ms);
        CHECK(other.client.io().writable(refused));
        CHECK_FALSE(other.client.io().writable(other.client.connect(other.address, options)));
    }

    TEST_CASE("a lost SYN with Fast Open data is repeated without them") {
        Pair pair({.delay = 50ms}, {.fast_open = true});
        pair.connect({.fast_open = true});
        pair.link.there.options.drop = [](const sim::Packet& packet) {
            return packet.segment.syn && !packet.bytes.empty();
        };
        const SocketId second = pair.client.connect(pair.address, {.fast_open = true});
        pair.client.send(second, "hello");
        pair.client.io().close(second);
        pair.world.run_for(2s);
        REQUIRE(pair.server.taken.size() == 2);
        CHECK(pair.at_server() == "hello");
        CHECK(pair.server.got[pair.accepted()].ended);
    }

    TEST_CASE("a TCP connection is as fast as its link, after a slow start") {
        Pair pair({.delay = 10ms, .rate = 8'000'000, .queue = 100});
        const SocketId client = pair.connect();
        const std::string content = text(2'000'000);
        const Duration begin = pair.world.elapsed();
        pair.client.pour(client, content);
        REQUIRE(pair.world.run_until([&] { return pair.server.got[pair.accepted()].ended; }, 60s));
        CHECK(pair.at_server() == content);
        const Duration took = pair.world.elapsed() - begin;
        CHECK(took > 2s);  // 1 MB/s
        CHECK(took < 2500ms);

        // Ten segments at first, twice as many each round trip: a second is ten round trips, and
        // four of them are enough for these.
        Pair slow({.delay = 50ms});
        const SocketId one = slow.connect();
        slow.client.pour(one, text(10 * 1460));
        slow.world.run_for(50ms);
        CHECK(slow.at_server().size() == 10 * 1460);
        const SocketId two = slow.connect();
        slow.world.run_for(100ms);
        slow.client.pour(two, text(60'000));
        slow.world.run_for(50ms);
        CHECK(slow.at_server().size() == 10 * 1460);
        slow.world.run_for(100ms);
        CHECK(slow.at_server().size() == 30 * 1460);
        slow.world.run_for(100ms);
        CHECK(slow.at_server().size() == 60'000);
    }

    TEST_CASE("a lost TCP segment costs a retransmission timeout, many duplicates a round trip") {
        Pair pair;
        const SocketId client = pair.connect();
        pair.world.run_for(1s);
        const auto lose_one = [&] {
            const std::uint64_t next = pair.link.there.counters().sent + 1;
            pair.link.there.options.drop = sim::numbered(next, next);
        };
        lose_one();
        Duration begin = pair.world.elapsed();
        pair.client.send(client, "x");
        REQUIRE(pair.world.run_until([&] { return pair.at_server() == "x"; }, 5s));
        // 200 ms (twice the round trip of 100 ms), and the way.
        CHECK(pair.world.elapsed() - begin == 250ms);
        pair.world.run_for(1s);

        lose_one();
        begin = pair.world.elapsed();
        pair.client.send(client, text(10 * 1460));
        REQUIRE(pair.world.run_until([&] { return pair.at_server().size() == 14'601; }, 5s));
        // The three duplicates come after a round trip; the segment that was missing goes then.
        CHECK(pair.world.elapsed() - begin == 150ms);
        CHECK(pair.at_server() == "x" + text(10 * 1460));
        CHECK(pair.world.run_until_quiet(5s));
    }

    TEST_CASE("TCP survives every weather") {
        Pair pair({.delay = 5ms,
                   .jitter = 5ms,
                   .rate = 20'000'000,
                   .loss = 0.03,
                   .reorder = 0.03,
                   .duplicate = 0.03,
                   .corrupt = 0.02});
        const SocketId client = pair.connect();
        const std::string there = text(300'000);
        const std::string back = text(200'000);
        pair.client.pour(client, there);
        pair.server.pour(pair.accepted(), back);
        REQUIRE(pair.world.run_until(
            [&] { return pair.server.got[pair.accepted()].ended && pair.client.got[client].ended; },
            300s));
        CHECK(pair.at_server() == there);
        CHECK(pair.client.got[client].bytes == back);
        CHECK(pair.link.there.counters().corrupted > 0);
        CHECK(pair.link.there.counters().lost > 0);
        CHECK_FALSE(pair.client.got[client].trouble);
        CHECK(pair.world.run_until_quiet(100s));
    }

    TEST_CASE("the same seed gives the same TCP, byte for byte") {
        const auto story = [] {
            Pair pair({.delay = 5ms, .loss = 0.1, .corrupt = 0.05});
            const SocketId client = pair.connect();
            pair.client.pour(client, text(100'000));
            pair.world.run_for(20s);
            CHECK(pair.at_server().size() == 100'000);
            return pair.world.digest();
        };
        CHECK(story() == story());
    }

    TEST_CASE("a TCP socket is writable while the wire is busy, and not more") {
        Pair pair({.delay = 10ms, .rate = 8'000'000, .queue = 1000});
        const SocketId client = pair.connect();
        std::size_t sent = 0;
        while (pair.client.io().writable(client) && sent < 10'000'000) {
            pair.client.send(client, text(1000));
            sent += 1000;
        }
        // 64 KiB that are not sent, and the ten segments that are.
        CHECK(sent > 78'000);
        CHECK(sent < 82'000);
        const unsigned before = pair.client.got[client].writable;
        CHECK(pair.world.run_until([&] { return pair.client.io().writable(client); }, 1s));
        CHECK(pair.client.got[client].writable == before + 1);
        CHECK(pair.client.io().unacknowledged(client) > 60'000);
        CHECK(pair.world.run_until([&] { return pair.at_server().size() == sent; }, 1s));
    }

    TEST_CASE("who is held lets the other side wait") {
        Pair pair({.delay = 10ms}, {}, {.receive_buffer = 100'000});
        const SocketId client = pair.connect();
        pair.server.io().hold(pair.accepted(), true);
        const std::string content = text(500'000);
        pair.client.pour(client, content);
        pair.world.run_for(30s);
        CHECK(pair.at_server().empty());
        CHECK_FALSE(pair.client.io().writable(client));
        CHECK(pair.client.io().unacknowledged(client) > 0);
        // Asked whether the window still is shut, seldom.
        CHECK(pair.link.there.counters().sent < 150);
        pair.server.io().hold(pair.accepted(), false);
        CHECK(pair.world.run_until([&] { return pair.at_server().size() == 500'000; }, 5s));
        CHECK(pair.at_server() == content);
        CHECK(pair.world.run_until([&] { return pair.server.got[pair.accepted()].ended; }, 5s));
    }
}
