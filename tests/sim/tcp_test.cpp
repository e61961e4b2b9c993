// The simulator's TCP: handshakes, the link's rate and losses, flow control, and the ways in which
// a connection ends.
#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "tests/seed.hpp"
#include "tests/sim/tcp_pair.hpp"

using namespace post;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using sim::TcpPair;
using sim::text;

TEST_SUITE("unit") {
    TEST_CASE("a simulated TCP connection takes one round trip to be made") {
        TcpPair pair;
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
        TcpPair pair({.delay = 50ms}, {.fast_open = true});
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
        CHECK(pair.at_server().size() == 1436);
        CHECK(pair.server.send(pair.accepted(), "answer"));
        pair.world.run_for(50ms);
        CHECK(pair.client.got[second].bytes == "answer");
        pair.world.run_for(50ms);
        CHECK(pair.at_server() == question);
        CHECK(pair.world.run_until_quiet(5s));

        // A server that has forgotten its secret takes no data before the handshake is done.
        TcpPair other({.delay = 50ms});
        const SocketId refused = other.client.connect(other.address, options);
        other.world.run_for(200ms);
        CHECK(other.client.io().writable(refused));
        CHECK_FALSE(other.client.io().writable(other.client.connect(other.address, options)));
    }

    TEST_CASE("a lost SYN with Fast Open data is repeated without them") {
        TcpPair pair({.delay = 50ms}, {.fast_open = true});
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
        TcpPair pair({.delay = 10ms, .rate = 8'000'000, .queue = 100});
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
        TcpPair slow({.delay = 50ms});
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
        for (const std::size_t segments : {1u, 10u}) {
            CAPTURE(segments);
            TcpPair pair;
            const SocketId client = pair.connect();
            pair.world.run_for(1s);
            const std::uint64_t next = pair.link.there.counters().sent + 1;
            pair.link.there.options.drop = sim::numbered(next, next);
            const Duration begin = pair.world.elapsed();
            const std::string content = text(segments * 1460);
            pair.client.send(client, content);
            REQUIRE(pair.world.run_until([&] { return pair.at_server().size() == content.size(); },
                                         5s));
            // 200 ms (twice the round trip), or the round trip that the duplicates take; then the
            // way once more.
            CHECK(pair.world.elapsed() - begin == (segments == 1 ? 250ms : 150ms));
            CHECK(pair.at_server() == content);
            CHECK(pair.world.run_until_quiet(5s));
        }
    }

    TEST_CASE("TCP survives every weather") {
        TcpPair pair({.delay = 5ms,
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
            TcpPair pair({.delay = 5ms, .loss = 0.1, .corrupt = 0.05});
            const SocketId client = pair.connect();
            pair.client.pour(client, text(100'000));
            pair.world.run_for(20s);
            CHECK(pair.at_server().size() == 100'000);
            return pair.world.digest();
        };
        CHECK(story() == story());
    }

    TEST_CASE("a TCP socket is writable while the wire is busy, and not more") {
        struct Way {
            Duration delay;
            std::uint64_t rate;
            std::size_t unsent;  // what half of a few milliseconds are, 64 KiB at most
        };
        for (const Way& way :
             {Way{10ms, 8'000'000, 3'000}, Way{Duration(100'000), 8'000'000'000, 65'000}}) {
            CAPTURE(way.rate);
            TcpPair pair({.delay = way.delay, .rate = way.rate, .queue = 1000});
            const SocketId client = pair.connect();
            std::size_t sent = 0;
            while (pair.client.io().writable(client) && sent < 10'000'000) {
                pair.client.send(client, text(1000));
                sent += 1000;
            }
            // And the ten segments that are under way.
            CHECK(sent > way.unsent + 13'000);
            CHECK(sent < way.unsent + 17'000);
            const unsigned before = pair.client.got[client].writable;
            CHECK(pair.world.run_until(
                [&] { return pair.client.got[client].writable == before + 1; }, 1s));
            CHECK(pair.client.io().writable(client));
            CHECK(pair.client.io().unacknowledged(client) > way.unsent - 3'000);
            CHECK(pair.world.run_until([&] { return pair.at_server().size() == sent; }, 1s));
        }
    }

    TEST_CASE("who is held lets the other side wait") {
        TcpPair pair({.delay = 10ms}, {}, {.receive_buffer = 100'000});
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

    TEST_CASE("who is held back for longer than its user timeout gives up, as on Linux") {
        TcpPair pair({.delay = 10ms}, {}, {.receive_buffer = 20'000});
        const SocketId client = pair.connect({.user_timeout = 10s});
        pair.server.io().hold(pair.accepted(), true);
        pair.client.pour(client, text(100'000));
        pair.world.run_for(9s);
        CHECK_FALSE(pair.client.got[client].trouble);
        pair.world.run_for(2s);
        CHECK(pair.client.got[client].trouble == std::errc::timed_out);
    }

    TEST_CASE("an Io that waits wakes for a connection, for input, and for room") {
        sim::World world{test::seed()};
        auto& here = world.host("10.0.0.1");
        auto& there = world.host("10.0.0.2");
        world.link(here, there, {.delay = 10ms, .rate = 8'000'000, .queue = 100});
        sim::TcpProbe far(world, there);
        auto io = here.make_io();
        const SocketId socket = *io->connect_tcp({}, far.listen(443));
        const auto wait = [&] {
            io->wait(io->now() + 1s);
            CHECK(io->now() < sim::Timeline::start + 1s);
            return io->receive();
        };
        wait();
        REQUIRE(io->writable(socket));
        REQUIRE(io->poll_writable().size() == 1);
        const std::string run = text(60'000);
        Datagrams bytes;
        bytes.segment = run.size();
        bytes.bytes = std::as_bytes(std::span(run));
        while (io->writable(socket)) io->send(socket, bytes);
        while (!io->writable(socket)) wait();
        CHECK(io->poll_writable().size() == 1);
        far.send(far.taken.at(0).socket, "hello");
        while (wait().empty()) {}
        io->close(socket);
        // Until the peer has ended, too, or has not for five seconds.
        const Instant end = io->deadline();
        CHECK(end == io->now() + 5s);
        io->wait(never);
        CHECK(io->now() == end);
        io->receive();
        CHECK(io->deadline() == never);

        const SocketId port = *io->listen_tcp({.local = *Address::parse("0.0.0.0", 80)});
        const SocketId visitor = far.connect(*Address::parse("10.0.0.1", 80));
        io->wait(never);
        io->receive();
        const auto taken = io->poll_taken();
        REQUIRE(taken.size() == 1);
        CHECK(taken[0].listener == port);
        CHECK(taken[0].remote == far.io().local_address(visitor));
    }
}
