// The simulator's TCP: the ways in which connections are not made, end, break and are given up.
#include <doctest/doctest.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/seed.hpp"
#include "tests/sim/tcp_pair.hpp"

using namespace post;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""min;
using sim::TcpPair;

namespace {

int trouble(const sim::TcpProbe::Got& got) { return got.trouble.value(); }

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a TCP port where nobody listens refuses, or says nothing") {
        TcpPair pair;
        Address closed = pair.address;
        closed.port = 444;
        const SocketId refused = pair.client.connect(closed);
        pair.world.run_for(99ms);
        CHECK(pair.client.got[refused].trouble_at == 0ms);
        pair.world.run_for(1ms);
        CHECK(trouble(pair.client.got[refused]) == ECONNREFUSED);
        CHECK_FALSE(pair.client.io().writable(refused));
        CHECK_FALSE(pair.client.send(refused, "x"));
        pair.client.io().close(refused);

        pair.server_host.silent = true;
        const SocketId unheard = pair.client.connect(closed);
        const Duration begin = pair.world.elapsed();
        REQUIRE(pair.world.run_until([&] { return trouble(pair.client.got[unheard]) != 0; }, 5min));
        CHECK(trouble(pair.client.got[unheard]) == ETIMEDOUT);
        // A SYN and six more: 1 + 2 + 4 + 8 + 16 + 32 + 60 s.
        CHECK(pair.world.elapsed() - begin == 123s);

        // Closed while it is being made: nothing is told, and nothing is left.
        pair.client.io().close(pair.client.connect(closed));
        CHECK(pair.world.run_until_quiet(5s));
        const SocketId impatient = pair.client.connect(closed, {.user_timeout = 5s});
        REQUIRE(pair.world.run_until([&] { return trouble(pair.client.got[impatient]) != 0; }, 6s));
        CHECK(trouble(pair.client.got[impatient]) == ETIMEDOUT);
    }

    TEST_CASE("a TCP connection to where no link leads is a trouble, or an error of the call") {
        TcpPair pair;
        const SocketId lost = pair.client.connect(*Address::parse("10.9.9.9", 443));
        pair.world.run_for(10ms);
        CHECK(trouble(pair.client.got[lost]) == EHOSTUNREACH);
        CHECK_FALSE(pair.client.io().connect_tcp({}, *Address::parse("fd00::9", 443)));
        const Address foreign = *Address::parse("10.0.0.77");
        CHECK_FALSE(pair.client.io().connect_tcp({.local = foreign}, pair.address));
    }

    TEST_CASE("TCP ports are taken once, but shared where all want to; UDP has its own") {
        TcpPair pair;
        Io& io = pair.server.io();
        const Address any = *Address::parse("0.0.0.0", 443);
        CHECK(io.listen_tcp({.local = any}).error() == Errc::address_in_use);
        CHECK(io.open_udp({.local = any}));
        CHECK(io.local_address(*io.listen_tcp({.local = *Address::parse("0.0.0.0", 0)})).port >=
              49152);
        io.close(pair.server.listener);

        sim::TcpProbe one(pair.world, pair.server_host);
        sim::TcpProbe other(pair.world, pair.server_host);
        one.listen(443, {.shared = true});
        other.listen(443, {.shared = true});
        for (int i = 0; i < 40; ++i) pair.client.connect(pair.address);
        pair.world.run_for(1s);
        CHECK(one.taken.size() + other.taken.size() == 40);
        CHECK(one.taken.size() > 5);
        CHECK(other.taken.size() > 5);
    }

    TEST_CASE("each direction of a simulated TCP connection ends by itself") {
        TcpPair pair;
        const SocketId client = pair.connect();
        const SocketId server = pair.accepted();
        pair.client.send(client, "question");
        pair.client.io().end_sending(client);
        CHECK_FALSE(pair.client.io().writable(client));
        pair.world.run_for(1s);
        CHECK(pair.server.got[server].ended);
        CHECK(pair.at_server() == "question");
        CHECK_FALSE(pair.client.got[client].ended);
        pair.server.pour(server, sim::text(100'000));
        pair.world.run_for(2s);
        CHECK(pair.client.got[client].bytes == sim::text(100'000));
        CHECK(pair.client.got[client].ended);
        pair.client.io().close(client);
        pair.server.io().close(server);
        CHECK(pair.world.run_until_quiet(1s));
        CHECK_FALSE(pair.client.got[client].trouble);
        CHECK_FALSE(pair.server.got[server].trouble);
    }

    TEST_CASE("a closed TCP connection delivers what was sent, and is cut after five seconds") {
        TcpPair pair({.delay = 50ms, .rate = 8'000'000});
        const SocketId client = pair.connect();
        const SocketId server = pair.accepted();
        pair.server.send(server, "unread");
        pair.client.io().hold(client, true);
        pair.world.run_for(1s);
        pair.client.send(client, sim::text(300'000));
        const Duration begin = pair.world.elapsed();
        pair.client.io().close(client);
        CHECK_FALSE(pair.client.send(client, "more"));
        pair.world.run_for(2s);
        CHECK(pair.at_server() == sim::text(300'000));
        CHECK(pair.server.got[server].ended);
        CHECK_FALSE(pair.server.got[server].trouble);
        // What comes meanwhile is discarded; from then on it is answered by a reset.
        pair.server.send(server, "discarded");
        pair.world.run_for(begin + 5s + 10ms - pair.world.elapsed());
        CHECK_FALSE(pair.server.got[server].trouble);
        CHECK(pair.client.io().deadline() == never);
        pair.server.send(server, "too late");
        pair.world.run_for(1s);
        CHECK(trouble(pair.server.got[server]) == ECONNRESET);
        CHECK(pair.client.got[client].bytes.empty());
    }

    TEST_CASE("a program that ends leaves its TCP connections to the system") {
        TcpPair pair;
        auto brief = std::make_unique<sim::TcpProbe>(pair.world, pair.client_host);
        const SocketId client = brief->connect(pair.address);
        pair.world.run_for(200ms);
        REQUIRE(pair.server.taken.size() == 1);
        brief->send(client, sim::text(50'000));
        brief.reset();
        pair.link.there.options.loss = 0.2;
        REQUIRE(pair.world.run_until([&] { return pair.server.got[pair.accepted()].ended; }, 60s));
        CHECK(pair.at_server() == sim::text(50'000));
        pair.link.there.options.loss = 0;
        // Nobody reads there any more.
        pair.server.send(pair.accepted(), "hello?");
        pair.world.run_for(1s);
        CHECK(trouble(pair.server.got[pair.accepted()]) == ECONNRESET);
        CHECK(pair.world.run_until_quiet(5s));
    }

    TEST_CASE("an end that nothing stands before is told to who is held") {
        TcpPair pair;
        const SocketId client = pair.connect();
        const SocketId server = pair.accepted();
        pair.server.io().hold(server, true);
        pair.client.io().end_sending(client);
        pair.world.run_for(1s);
        CHECK(pair.server.got[server].ended);
        // Not so where bytes stand before it.
        pair.client.io().hold(client, true);
        pair.server.send(server, "unread");
        pair.server.io().end_sending(server);
        pair.world.run_for(1s);
        CHECK_FALSE(pair.client.got[client].ended);
        pair.client.io().hold(client, false);
        pair.world.run_for(1s);
        CHECK(pair.client.got[client].bytes == "unread");
        CHECK(pair.client.got[client].ended);
    }

    TEST_CASE("a TCP port that is held takes nobody, and those who came when it is let go") {
        TcpPair pair;
        pair.server.io().hold(pair.server.listener, true);
        const SocketId client = pair.client.connect(pair.address);
        pair.world.run_for(1s);
        CHECK(pair.client.io().writable(client));
        CHECK(pair.server.taken.empty());
        pair.client.send(client, "hello");
        pair.world.run_for(1s);
        pair.server.io().hold(pair.server.listener, false);
        pair.world.run_for(1s);
        REQUIRE(pair.server.taken.size() == 1);
        CHECK(pair.at_server() == "hello");
    }

    TEST_CASE("a reset comes behind the bytes before it, and ends even who is held") {
        for (const bool held : {false, true}) {
            TcpPair pair;
            auto brief = std::make_unique<sim::TcpProbe>(pair.world, pair.server_host);
            Address port = pair.address;
            port.port = 445;
            brief->listen(445);
            const SocketId client = pair.client.connect(port);
            pair.world.run_for(200ms);
            REQUIRE(brief->taken.size() == 1);
            pair.client.io().hold(client, held);
            brief->send(brief->taken[0].socket, "last words");
            brief.reset();
            pair.world.run_for(50ms);
            pair.client.send(client, "anybody?");
            pair.world.run_for(100ms);
            CHECK(trouble(pair.client.got[client]) == ECONNRESET);
            CHECK(pair.client.got[client].bytes == (held ? "" : "last words"));
            pair.client.io().close(client);
            CHECK(pair.world.run_until_quiet(1s));
        }
    }

    TEST_CASE("a TCP connection over a cut link is given up after its user timeout, or fifteen") {
        for (const Duration timeout : {Duration(7s), Duration::zero()}) {
            TcpPair pair;
            const SocketId client = pair.connect({.user_timeout = timeout});
            pair.world.run_for(1s);
            pair.link.change([](sim::LinkOptions& options) { options.down = true; });
            const Duration begin = pair.world.elapsed();
            pair.client.send(client, "hello");
            REQUIRE(
                pair.world.run_until([&] { return trouble(pair.client.got[client]) != 0; }, 60min));
            CHECK(trouble(pair.client.got[client]) == ETIMEDOUT);
            const Duration took = pair.world.elapsed() - begin;
            if (timeout > 0s)
                CHECK(took == 7s);
            else
                CHECK(took / 1s == 522);  // 0.2 + 0.4 + ... + 51.2, and seven times 60 s
        }
    }

    TEST_CASE("TCP goes on after a blackhole, by its timer") {
        TcpPair pair;
        const SocketId client = pair.connect();
        pair.world.run_for(1s);
        pair.link.change([](sim::LinkOptions& options) { options.down = true; });
        pair.client.pour(client, sim::text(100'000));
        pair.world.run_for(10s);
        pair.link.change([](sim::LinkOptions& options) { options.down = false; });
        CHECK(pair.world.run_until([&] { return pair.server.got[pair.accepted()].ended; }, 20s));
        CHECK(pair.at_server() == sim::text(100'000));
    }

    TEST_CASE("keep-alive finds out that the peer has gone") {
        TcpPair pair;
        const SocketId client = pair.connect({.keep_alive = 30s});
        pair.world.run_for(5min);
        CHECK_FALSE(pair.client.got[client].trouble);
        pair.link.change([](sim::LinkOptions& options) { options.down = true; });
        // Up to 30 s of silence, and five questions with 15 s each.
        pair.world.run_for(74s);
        CHECK_FALSE(pair.client.got[client].trouble);
        pair.world.run_for(32s);
        CHECK(trouble(pair.client.got[client]) == ETIMEDOUT);
    }

    TEST_CASE("a NAT that forgets breaks a TCP connection by a reset") {
        TcpPair pair;
        const SocketId client = pair.connect();
        pair.world.run_for(1s);
        pair.world.rebind(pair.client_host);
        pair.client.send(client, "still me");
        pair.world.run_for(100ms);
        CHECK(trouble(pair.client.got[client]) == ECONNRESET);
        CHECK(pair.at_server().empty());
        CHECK_FALSE(pair.server.got[pair.accepted()].trouble);
        // A new one is made from the new address.
        pair.client.send(pair.connect(), "me again");
        pair.world.run_for(1s);
        CHECK(pair.server.taken.size() == 2);
        CHECK(pair.at_server() == "me again");
    }

    TEST_CASE("a resegmented TCP connection gets through where the MTU has shrunk and is told") {
        TcpPair pair;
        const SocketId client = pair.connect();
        pair.link.set({.delay = 50ms, .mtu = 1300, .tell_mtu = true});
        pair.client.pour(client, sim::text(100'000));
        CHECK(pair.world.run_until([&] { return pair.server.got[pair.accepted()].ended; }, 20s));
        CHECK(pair.at_server() == sim::text(100'000));
    }

    TEST_CASE("TCP over IPv6, and from a host to itself") {
        sim::World world{test::seed()};
        auto& host = world.host("fd00::1");
        auto& other = world.host("fd00::2");
        world.link(host, other, {.delay = 10ms});
        sim::TcpProbe server(world, host);
        sim::TcpProbe near(world, host);
        sim::TcpProbe far(world, other);
        const Address port = server.listen(443);
        near.pour(near.connect(port), sim::text(200'000));
        world.run_for(1s);
        far.pour(far.connect(port), sim::text(200'000));
        world.run_for(2s);
        REQUIRE(server.taken.size() == 2);
        for (const auto& taken : server.taken) {
            CHECK(server.got[taken.socket].bytes == sim::text(200'000));
            CHECK(server.got[taken.socket].ended);
        }
    }

    TEST_CASE("TCP packets are filtered, counted and recorded like others") {
        const std::string name = "tcp_record";
        {
            TcpPair pair({.delay = 50ms, .drop = sim::udp});
            pair.world.record(name);
            pair.world.keep_record();
            pair.client.pour(pair.connect({.fast_open = true}), "GET / HTTP/1.0\r\n\r\n");
            pair.world.run_for(1s);
            CHECK(pair.at_server().size() == 18);
            // SYN, ACK with the request and the FIN in two segments or three.
            CHECK(pair.link.there.counters().passed >= 3);
            CHECK(pair.link.there.counters().passed <= 4);
            pair.link.set({.delay = 50ms, .drop = sim::tcp});
            const SocketId filtered = pair.client.connect(pair.address);
            pair.world.run_for(10s);
            CHECK_FALSE(pair.client.io().writable(filtered));
            CHECK(pair.link.there.counters().filtered == 4);
        }
        std::ostringstream all;
        all << std::ifstream(name + ".pcap.txt").rdbuf();
        // The SYN: IPv4 with 20 + 20 + 16 bytes, protocol 6; MSS 1460, scale, asks for a cookie.
        CHECK(all.str().find("000000 45 00 00 38 00 00 40 00 40 06") != std::string::npos);
        CHECK(all.str().find("02 04 05 b4 04 02 01 01") != std::string::npos);
        std::remove((name + ".pcap.txt").c_str());
    }
}
