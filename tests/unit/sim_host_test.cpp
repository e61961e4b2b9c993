// What hosts do: ports, runs, loopback, ICMP, NAT, several addresses, and names.
#include <doctest/doctest.h>

#include <string>

#include "tests/seed.hpp"
#include "tests/sim/probe.hpp"
#include "tests/sim/world.hpp"

using namespace post;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

namespace {

Address at(std::string_view ip, std::uint16_t port) { return Address::parse(ip, port).value(); }

std::vector<Io::Resolved> resolve(sim::World& world, sim::Probe& probe, const std::string& name) {
    probe.io().lookup({.id = LookupId{7}, .host = name, .port = 443});
    world.run_for(10s);
    return std::exchange(probe.resolved, {});
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("ports are taken once, but shared where all want to") {
        sim::World world{test::seed()};
        auto& host = world.host("10.0.0.1");
        host.add_address("fd00::1");
        auto io = host.make_io();
        CHECK(io->open_udp({.local = at("10.0.0.1", 443)}));
        CHECK(io->open_udp({.local = at("127.0.0.1", 443)}));
        CHECK(io->open_udp({.local = at("::", 443)}));
        CHECK(io->open_udp({.local = at("0.0.0.0", 443)}).error() == Errc::address_in_use);
        CHECK(io->open_udp({.local = at("10.0.0.1", 443), .share = {0, 2}}).error() ==
              Errc::address_in_use);
        CHECK(io->open_udp({.local = at("10.0.0.2", 443)}).error().code.value() == EADDRNOTAVAIL);
        CHECK(io->open_udp({.local = at("0.0.0.0", 444), .share = {0, 2}}));
        CHECK(io->open_udp({.local = at("0.0.0.0", 444), .share = {0, 2}}).error() ==
              Errc::address_in_use);
        const auto shared = io->open_udp({.local = at("0.0.0.0", 444), .share = {1, 2}});
        REQUIRE(shared);
        io->close(*shared);
        const auto first = io->open_udp({.local = at("0.0.0.0", 0)});
        const auto second = io->open_udp({.local = at("0.0.0.0", 0)});
        REQUIRE((first && second));
        CHECK(io->local_address(*first).port >= 49152);
        CHECK(io->local_address(*first).port != io->local_address(*second).port);
    }

    TEST_CASE("a run is cut into datagrams and comes as a run again") {
        for (const bool gro : {true, false}) {
            sim::World world{test::seed()};
            auto& host = world.host("10.0.0.1");
            sim::Probe a(world, host);
            sim::Probe b(world, host, 0, {.gro = gro});
            a.send_run(b.address(), std::string(1000, 'x') + std::string(1000, 'y') + "z", 1000);
            a.send(b.address(), std::string(1000, 'x'));
            world.run_for(1ms);
            REQUIRE(b.got.size() == 4);
            CHECK(b.got[1].bytes == std::string(1000, 'y'));
            CHECK(b.got[2].bytes == "z");
            CHECK(b.runs ==
                  (gro ? std::vector<std::size_t>{3, 1} : std::vector<std::size_t>{1, 1, 1, 1}));
        }
    }

    TEST_CASE("a turn takes a bounded part of the input and says that there is more") {
        sim::World world{test::seed()};
        auto& host = world.host("10.0.0.1");
        sim::Probe a(world, host);
        auto io = host.make_io({.gro = false, .receive_buffer = 25});
        const SocketId socket = io->open_udp({.local = at("0.0.0.0", 0)}).value();
        const Address to = at("10.0.0.1", io->local_address(socket).port);
        for (int i = 0; i < 20; ++i) a.send(to, "x");
        a.send(to, "too much");
        world.run_for(1ms);
        CHECK(io->receive().size() == 8);
        CHECK(io->more_input());
        CHECK(io->receive().size() == 8);
        CHECK(io->receive().size() == 4);
        CHECK_FALSE(io->more_input());
        CHECK(io->receive().empty());
    }

    TEST_CASE("nobody listens: ICMP comes back after the link's delay") {
        sim::World world{test::seed()};
        auto& server = world.host("10.0.0.2");
        world.link(world.host("10.0.0.1"), server, {.delay = 20ms});
        sim::Probe a(world, world.host("10.0.0.1"));
        a.send(at("10.0.0.2", 443), "x");
        CHECK(world.run_until([&] { return !a.troubles.empty(); }, 1s));
        CHECK(world.elapsed() == 40ms);
        CHECK(a.troubles[0].socket == a.socket());
        CHECK(a.troubles[0].remote == at("10.0.0.2", 443));
        CHECK(a.troubles[0].code == std::errc::connection_refused);
        server.silent = true;
        a.send(at("10.0.0.2", 443), "x");
        world.run_for(1s);
        CHECK(a.troubles.size() == 1);
    }

    TEST_CASE("hosts without a link or an address are unreachable") {
        sim::World world{test::seed()};
        world.host("10.0.0.2");
        sim::Probe a(world, world.host("10.0.0.1"));
        a.send(at("10.0.0.2", 443), "x");
        a.send(at("10.9.9.9", 443), "x");
        world.run_for(1s);
        REQUIRE(a.troubles.size() == 2);
        CHECK(a.troubles[0].code.value() == EHOSTUNREACH);
        CHECK(a.troubles[1].remote == at("10.9.9.9", 443));
        a.send(at("fd00::2", 443), "x");
        REQUIRE(a.io().poll_troubles().size() == 1);  // at once: there is no IPv6 here
    }

    TEST_CASE("a host reaches itself by loopback and by its own address") {
        sim::World world{test::seed()};
        auto& host = world.host("10.0.0.1");
        sim::Probe a(world, host);
        sim::Probe b(world, host);
        a.send(at("127.0.0.1", b.address().port), "loop");
        a.send(b.address(), std::string(60'000, 'x'));
        world.run_for(1ms);
        REQUIRE(b.got.size() == 2);
        CHECK(b.got[0].from == at("127.0.0.1", a.address().port));
        CHECK(b.got[1].from == a.address());
    }

    TEST_CASE("the source is an address that has a link to the destination") {
        sim::World world{test::seed()};
        auto& client = world.host("10.0.0.1").add_address("192.168.0.1").add_address("fd00::1");
        auto& server = world.host("10.0.0.2");
        server.add_address("fd00::2");
        world.link("192.168.0.1", "10.0.0.2", {.delay = 3ms});
        world.link("fd00::1", "fd00::2", {.delay = 5ms});
        sim::Probe a(world, client);
        sim::Probe b(world, server, 443);
        a.send(b.address(), "x");
        sim::Probe a6(world, client, "::");
        sim::Probe b6(world, server, "fd00::2", 443);
        a6.send(b6.address(), "y");
        world.run_for(1s);
        REQUIRE(b.got.size() == 1);
        CHECK(b.got[0].from.ip_string() == "192.168.0.1");
        CHECK(b.got[0].at == 3ms);
        REQUIRE(b6.got.size() == 1);
        CHECK(b6.got[0].from.ip_string() == "fd00::1");
    }

    TEST_CASE("a rebound NAT sends from a new port and forgets the old one") {
        sim::World world{test::seed()};
        auto& client = world.host("10.0.0.1");
        world.link(client, world.host("10.0.0.2"), {.delay = 1ms});
        sim::Probe a(world, client);
        sim::Probe b(world, world.host("10.0.0.2"));
        a.send(b.address(), "1");
        world.run_for(1s);
        world.rebind(client);
        a.send(b.address(), "2");
        world.run_for(1s);
        REQUIRE(b.got.size() == 2);
        CHECK(b.got[0].from == a.address());
        CHECK(b.got[1].from.ip == a.address().ip);
        CHECK(b.got[1].from.port != a.address().port);
        b.send(b.got[0].from, "old");
        b.send(b.got[1].from, "new");
        world.run_for(1s);
        REQUIRE(a.got.size() == 1);
        CHECK(a.got[0].bytes == "new");
        CHECK(a.got[0].to == a.address());

        world.rebind(client, "10.0.0.99");
        a.send(b.address(), "3");
        world.run_for(1s);
        REQUIRE(b.got.size() == 3);
        CHECK(b.got[2].from.ip_string() == "10.0.0.99");
        b.send(b.got[2].from, "again");
        world.run_for(1s);
        CHECK(a.got.size() == 2);
    }

    TEST_CASE("sockets that share a port share it by flow") {
        sim::World world{test::seed()};
        auto& host = world.host("10.0.0.1");
        auto io = host.make_io();
        const auto open = [&](std::uint16_t index) {
            return io->open_udp({.local = at("0.0.0.0", 443), .share = {index, 2}}).value();
        };
        const SocketId first = open(0);
        const SocketId second = open(1);
        std::vector<std::unique_ptr<sim::Probe>> probes;
        for (int i = 0; i < 16; ++i) {
            probes.push_back(std::make_unique<sim::Probe>(world, host));
            probes.back()->send(at("10.0.0.1", 443), "x");
            probes.back()->send(at("10.0.0.1", 443), "x");
        }
        world.run_for(1ms);
        std::size_t to_first = 0;
        std::size_t to_second = 0;
        for (const auto& received : io->receive()) {
            to_first += received.socket == first ? received.datagrams.count() : 0;
            to_second += received.socket == second ? received.datagrams.count() : 0;
        }
        CHECK(to_first > 0);
        CHECK(to_second > 0);
        CHECK(to_first % 2 == 0);
    }

    TEST_CASE("names are answered family by family in the order of their delays") {
        sim::World world{test::seed()};
        sim::Probe probe(world, world.host("10.0.0.1"));
        world.name("Server.test", {"10.0.0.2", "10.0.0.3", "fd00::2"},
                   {.delay_v4 = 10ms, .delay_v6 = 20ms});
        const auto answers = resolve(world, probe, "server.TEST");
        REQUIRE(answers.size() == 2);
        CHECK(answers[0].addresses == std::vector{at("10.0.0.2", 443), at("10.0.0.3", 443)});
        CHECK_FALSE(answers[0].complete);
        CHECK(answers[1].addresses == std::vector{at("fd00::2", 443)});
        CHECK(answers[1].complete);
    }

    TEST_CASE("names fail in every way that names have") {
        sim::World world{test::seed()};
        sim::Probe probe(world, world.host("10.0.0.1"));
        const auto nobody = resolve(world, probe, "nobody.test");
        REQUIRE(nobody.size() == 2);
        CHECK(nobody[0].error == Errc::resolve_failed);
        CHECK(nobody[0].error.cause.value() == 4);
        world.name("four.test", {"10.0.0.2"});
        const auto four = resolve(world, probe, "four.test");
        REQUIRE(four.size() == 2);
        CHECK(four[0].error.cause.value() == 1);
        CHECK(four[1].addresses.size() == 1);
        world.name("slow.test", {"10.0.0.2", "fd00::2"}, {.fate_v6 = sim::NameFate::silent});
        const Duration before = world.elapsed();
        probe.io().lookup({.id = LookupId{9}, .host = "slow.test", .port = 1});
        CHECK(world.run_until([&] { return probe.resolved.size() == 2; }, 10s));
        CHECK(world.elapsed() - before == 5s);
        CHECK(probe.resolved[1].error.cause.value() == 12);
        CHECK(probe.resolved[1].complete);
        probe.io().lookup({.id = LookupId{10}, .host = "slow.test", .port = 1});
        probe.io().cancel(LookupId{10});
        world.run_for(10s);
        CHECK(probe.resolved.size() == 2);
    }
}
