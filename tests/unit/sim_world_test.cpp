// How a World goes on: drivers, deadlines, waits, and the ends that it refuses to miss.
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/seed.hpp"
#include "tests/sim/probe.hpp"
#include "tests/sim/world.hpp"

using namespace post;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""ns;

TEST_SUITE("unit") {
    TEST_CASE("drivers are turned at their deadlines in the order of their hosts") {
        sim::World world{test::seed()};
        auto first = world.host("10.0.0.1").make_io();
        auto second = world.host("10.0.0.2").make_io();
        std::string order;
        std::vector<Duration> times;
        Instant deadline = world.now() + 5ms;
        const auto driver = [&](char name, const Io& io) {
            world.add({[&, name] {
                           order += name;
                           times.push_back(world.elapsed());
                           if (name == 'b' && deadline <= world.now()) deadline = never;
                       },
                       [&] { return deadline; }, &io});
        };
        driver('b', *second);
        driver('a', *first);
        world.run_for(1s);
        CHECK(order == "abab");  // once at the beginning, once at the deadline
        CHECK(times.back() == 5ms);
        CHECK(world.elapsed() == 1s);
        second->wake();
        world.run_for(1s);
        CHECK(order == "ababab");  // a run turns all of them
    }

    TEST_CASE("a woken driver is turned without a deadline") {
        sim::World world{test::seed()};
        auto io = world.host("10.0.0.1").make_io();
        int turns = 0;
        world.add({[&] { ++turns; }, [] { return never; }, io.get()});
        world.after(10ms, [&] { io->wake(); });
        world.run_for(1s);
        CHECK(turns == 2);
    }

    TEST_CASE("a driver without an Io is turned after everything that happens") {
        sim::World world{test::seed()};
        std::vector<Duration> turns;
        world.add({[&] { turns.push_back(world.elapsed()); }, [] { return never; }});
        world.after(10ms, [] {});
        world.run_for(1s);
        CHECK(turns == std::vector<Duration>{0ms, 10ms});
    }

    TEST_CASE("a context that says there is more to do gets another turn at the same instant") {
        struct {
            int turns = 0;
            bool turn() { return ++turns < 3; }
            Instant deadline() const { return turns < 3 ? Instant::min() : never; }
        } context;
        sim::World world{test::seed()};
        auto io = world.host("10.0.0.1").make_io();
        world.drive(context, *io);
        CHECK(world.run_until([&] { return context.turns == 3; }, 0s));
        world.run_for(1s);
        CHECK(context.turns == 4);
    }

    TEST_CASE("a driver goes with its Io and may go in its own turn") {
        sim::World world{test::seed()};
        auto io = world.host("10.0.0.1").make_io();
        int turns = 0;
        world.add({[&] {
                       ++turns;
                       io.reset();
                   },
                   [&] { return world.now(); }, io.get()});
        world.run_for(1s);
        CHECK(turns == 1);
        CHECK(world.quiet());
    }

    TEST_CASE("what a turn throws comes out of the run and the world goes on") {
        sim::World world{test::seed()};
        auto io = world.host("10.0.0.1").make_io();
        int turns = 0;
        world.add({[&] {
                       if (++turns == 1) throw std::runtime_error("once");
                   },
                   [] { return never; }, io.get()});
        CHECK_THROWS_WITH(world.run_for(1s), "once");
        world.run_for(1s);
        CHECK(turns == 2);
    }

    TEST_CASE("turns without end at one instant are found out") {
        sim::World world{test::seed(), {.turns_an_instant = 100}};
        auto io = world.host("10.0.0.1").make_io();
        world.add({[] {}, [&] { return world.now(); }, io.get()});
        CHECK_THROWS_WITH(world.run_for(1s),
                          doctest::Contains("10.0.0.1, whose deadline stays in the past"));
    }

    TEST_CASE("events without end at one instant are found out") {
        sim::World world{test::seed(), {.turns_an_instant = 100}};
        std::function<void()> again = [&] { world.after(0ms, [&] { again(); }); };
        again();
        CHECK_THROWS_AS(world.run_for(1s), sim::Stuck);
    }

    TEST_CASE("a world has a lifetime") {
        sim::World world{test::seed(), {.lifetime = 1h}};
        world.after(1h, [] {});
        world.run_for(1h);
        world.after(1ns, [] {});
        CHECK_THROWS_AS(world.run_for(1s), sim::Stuck);
    }

    TEST_CASE("wait() lets the others go on until there is input") {
        sim::World world{test::seed()};
        auto& host = world.host("10.0.0.1");
        world.link(host, world.host("10.0.0.2"), {.delay = 20ms});
        sim::Probe echo(world, world.host("10.0.0.2"));
        echo.echo();
        auto io = host.make_io();
        const SocketId socket = io->open_udp({.local = Address::any_v4()}).value();
        const std::string text = "hello";
        Datagrams run;
        run.remote = echo.address();
        run.segment = text.size();
        run.bytes = std::as_bytes(std::span(text));
        io->send(socket, run);
        io->wait(never);
        CHECK(world.elapsed() == 40ms);
        CHECK(io->receive().size() == 1);
        io->wait(io->now() + 5ms);
        CHECK(world.elapsed() == 45ms);
        io->wake();
        io->wait(never);
        CHECK(world.elapsed() == 45ms);
        CHECK_THROWS_WITH_AS(io->wait(never), doctest::Contains("nothing will ever happen"),
                             sim::Stuck);
    }

    TEST_CASE("a quiet world has nothing under way") {
        sim::World world{test::seed()};
        world.link(world.host("10.0.0.1"), world.host("10.0.0.2"), {.delay = 20ms});
        sim::Probe a(world, world.host("10.0.0.1"));
        sim::Probe b(world, world.host("10.0.0.2"));
        CHECK(world.quiet());
        a.send(b.address(), "x");
        CHECK_FALSE(world.quiet());
        CHECK(world.run_until_quiet(1s));
        CHECK(world.elapsed() == 20ms);
        CHECK(b.got.size() == 1);
    }

    TEST_CASE("randomness is seeded for each Io") {
        const auto draw = [](std::uint64_t seed, const char* ip) {
            sim::World world{seed};
            world.host("10.0.0.1");
            auto io = world.host(ip).make_io();
            std::array<std::byte, 13> bytes;
            io->random(bytes);
            return bytes;
        };
        CHECK(draw(1, "10.0.0.2") == draw(1, "10.0.0.2"));
        CHECK(draw(1, "10.0.0.2") != draw(2, "10.0.0.2"));
        CHECK(draw(1, "10.0.0.1") != draw(1, "10.0.0.2"));
    }

    TEST_CASE("a record has every packet with its headers") {
        const std::string name = "sim_world_test";
        {
            sim::World world{test::seed()};
            world.record(name);
            world.keep_record();
            world.link(world.host("10.0.0.1"), world.host("10.0.0.2"), {});
            sim::Probe a(world, world.host("10.0.0.1"), 1000);
            sim::Probe b(world, world.host("10.0.0.2"), 2000);
            a.send(b.address(), "hi", Ecn::ect0);
            world.run_for(1ms);
        }
        std::ifstream file(name + ".pcap.txt");
        std::stringstream text;
        text << file.rdbuf();
        CHECK(text.str().find("# 10.0.0.1:1000 -> 10.0.0.2:2000 passed\n") != std::string::npos);
        // IPv4: 30 bytes, ECT(0), DF, TTL 64, UDP; ports 1000 and 2000; 10 bytes; "hi"
        CHECK(text.str().find("00:00:00.000000000 000000 45 02 00 1e 00 00 40 00 40 11 26 cb "
                              "0a 00 00 01\n"
                              "000010 0a 00 00 02 03 e8 07 d0 00 0a ") != std::string::npos);
        CHECK(text.str().find(" 68 69\n") != std::string::npos);
        std::remove((name + ".pcap.txt").c_str());
    }
}
