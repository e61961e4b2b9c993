// RaceMemory: the second race is direct, and what is remembered fades.
#include "lib/association/race_memory.hpp"

#include "tests/unit/race_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using core::RaceMemory;
using Way = RaceWorld::Way;

const Remote named("post://a.example");
const RaceMemory::Key key{"eth0", "post://a.example:4433"};
const std::vector<Stack> two = {Stack::quic, Stack::tls};

Way udp_blocked(Stack stack, const Address&) {
    return stack == Stack::tls ? Way::good : Way::silent;
}

// A race with what is remembered, which is then remembered.
RaceWorld race(RaceMemory& memory, Instant when,
               const std::function<Way(Stack, const Address&)>& way,
               const RaceMemory::Key& about = key) {
    RaceWorld world;
    world.now = when;
    world.way = way;
    Race::Options options{.stacks = two};
    memory.steer(world.now, about, options);
    world.begin(named, options);
    world.answer(0ms, {{.address = v6(1), .from = "AAAA"}, {.address = v4(1), .from = "A"}},
                 Answered::aaaa, true);
    world.run();
    memory.remember(world.now, about, world.race.establishment());
    return world;
}

}  // namespace

TEST_SUITE("unit") {
    const Instant start{1h};

    TEST_CASE("where UDP is blocked the second race is direct, and so is a third") {
        RaceMemory memory;
        const RaceWorld first = race(memory, start, udp_blocked);
        CHECK(first.order() == "quic6 tls4");
        CHECK(first.took() == 250ms + 2 * first.rtt);
        const RaceWorld second = race(memory, start + 1min, udp_blocked);
        CHECK(second.order() == "tls4");
        CHECK(second.took() == 2 * second.rtt);
        CHECK(race(memory, start + 10min, udp_blocked).order() == "tls4");
    }

    TEST_CASE("after ten minutes the policy's order is back") {
        RaceMemory memory;
        race(memory, start, udp_blocked);
        const auto good = [](Stack, const Address&) { return Way::good; };
        CHECK(race(memory, start + 11min, good).order() == "quic6");
        CHECK(race(memory, start + 12min, udp_blocked).order() == "quic6 tls4");
    }

    TEST_CASE("nothing is carried to another network, or another Remote") {
        RaceMemory memory;
        race(memory, start, udp_blocked);
        CHECK(race(memory, start, udp_blocked, {"wlan0", key.remote}).order() == "quic6 tls4");
        CHECK(race(memory, start, udp_blocked, {"eth0", "other"}).order() == "quic6 tls4");
        CHECK(memory.size() == 3);
        memory.forget("eth0");
        CHECK(memory.size() == 1);
        CHECK(race(memory, start + 1s, udp_blocked).order() == "quic6 tls4");
    }

    TEST_CASE("a winner that fails then is no winner, and what failed is tried last") {
        RaceMemory memory;
        race(memory, start, udp_blocked);
        const auto refused = [](Stack stack, const Address&) {
            return stack == Stack::tls ? Way::refused : Way::silent;
        };
        race(memory, start + 1s, refused);
        Race::Options options{.stacks = two};
        memory.steer(start + 2s, key, options);
        CHECK_FALSE(options.winner);
        REQUIRE_FALSE(options.failed_on.empty());
        CHECK(options.failed_on.back().stack == Stack::tls);
    }

    TEST_CASE("one failure fades in two minutes, many do not count for longer than ten") {
        RaceMemory memory;
        const auto failed = [&](Instant when) {
            Race::Options options{.stacks = two};
            memory.steer(when, key, options);
            return !options.failed_on.empty();
        };
        const auto refused = [](Stack, const Address&) { return Way::refused; };
        race(memory, start, refused);
        CHECK(failed(start + 119s));
        CHECK_FALSE(failed(start + 121s));
        for (int i = 0; i < 1000; ++i) race(memory, start, refused);
        CHECK(failed(start + 9min));
        CHECK_FALSE(failed(start + 11min));
    }

    TEST_CASE("the delay comes of the round trip that the winner saw") {
        RaceMemory memory;
        race(memory, start, udp_blocked);
        Race::Options options{.stacks = two};
        memory.steer(start + 1s, key, options);
        CHECK(options.history_rtt == RaceWorld().rtt);
        CHECK(core::attempt_delay(options) == 120ms);
    }

    TEST_CASE("it remembers at most 1 024, and the oldest gives way") {
        RaceMemory memory;
        for (int i = 0; i < 3000; ++i) {
            race(memory, start + std::chrono::seconds(i), udp_blocked, key);
            race(memory, start + std::chrono::seconds(i), udp_blocked, {"eth0", std::to_string(i)});
        }
        CHECK(memory.size() == RaceMemory::most);
        // What is used stays.
        CHECK(race(memory, start + 3000s, udp_blocked).order() == "tls4");
        CHECK(race(memory, start + 3000s, udp_blocked, {"eth0", "0"}).order() == "quic6 tls4");
    }

    TEST_CASE("each path has the memory of its own network, whichever path won") {
        RaceMemory memory;
        Race::Options options{.stacks = two};
        Race::Options::Out out;
        for (const char* name : {"eth0", "wlan0"}) {
            Interface made{name};
            made.sources = {{*Address::parse("198.51.100.7"), 24}};
            made.routes = {{Address::any_v4()}};
            out.paths.push_back({made, name + std::string(" via 198.51.100.1"), {}, {}});
        }
        options.out = out;
        RaceWorld world;
        world.now = start;
        // Nobody answers on the first path.
        world.way = [&](Stack stack, const Address&) {
            return world.tries.size() == 4 && stack == Stack::tls ? Way::good : Way::silent;
        };
        world.begin(named, options);
        world.answer(0ms, {{.address = v4(1), .from = "A"}}, Answered::a, true);
        world.run();
        REQUIRE(world.winner);
        CHECK(world.order() == "quic4 tls4 quic4 tls4");
        memory.remember(start, "post://a.example:4433", options, world.race.establishment());
        CHECK(memory.size() == 2);
        Race::Options next = options;
        memory.steer(start + 1min, "post://a.example:4433", next);
        REQUIRE(next.out->paths[1].winner);
        CHECK(next.out->paths[1].winner->stack == Stack::tls);
        CHECK_FALSE(next.out->paths[0].winner);
        CHECK(next.out->paths[0].failed_on.size() == 2);
        CHECK_FALSE(next.winner);
        // The same interface in another network.
        next.out->paths[1].network = "wlan0 via 203.0.113.1";
        memory.steer(start + 1min, "post://a.example:4433", next);
        CHECK_FALSE(next.out->paths[1].winner);
        memory.forget("eth0 via 198.51.100.1");
        memory.steer(start + 1min, "post://a.example:4433", next);
        CHECK(next.out->paths[0].failed_on.empty());
    }

    TEST_CASE("what a store has kept steers the first race, as far as it is not too old") {
        const Instant now = RaceWorld().now;
        const RaceMemory::Known won{{Stack::tls, v4(1)}, 5min};
        const RaceMemory::Known failed{{Stack::quic, v4(1)}, 0s};
        RaceMemory memory;
        memory.restore(now, key, won, 30ms, {failed});
        Race::Options options;
        memory.steer(now, key, options);
        REQUIRE(options.winner);
        CHECK(*options.winner == won.what);
        CHECK(options.history_rtt == 30ms);
        REQUIRE(options.failed_on.size() == 1);
        CHECK(options.failed_on[0] == failed.what);
        // What is known here counts more.
        memory.restore(now, key, failed, std::nullopt, {});
        memory.steer(now, key, options);
        CHECK(*options.winner == won.what);
        RaceMemory late;
        late.restore(now, key, RaceMemory::Known{won.what, 10min}, 30ms, {{failed.what, 10min}});
        Race::Options none;
        late.steer(now, key, none);
        CHECK_FALSE(none.winner);
        CHECK(none.failed_on.empty());
    }
}

}  // namespace post::test
