// What links do to packets: delay, rate, queue, losses, order, copies, bits, marks and sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/seed.hpp"
#include "tests/sim/probe.hpp"
#include "tests/sim/world.hpp"

using namespace post;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""ns;

namespace {

// Two probes and the link between them.
struct Pair {
    explicit Pair(const sim::LinkOptions& options, std::uint64_t seed = test::seed())
        : world(seed),
          link(world.link(world.host("10.0.0.1"), world.host("10.0.0.2"), options)),
          a(world, world.host("10.0.0.1")),
          b(world, world.host("10.0.0.2")) {}

    void send(std::size_t count, std::size_t size = 100, Ecn ecn = Ecn::not_ect) {
        for (std::size_t i = 0; i < count; ++i) {
            std::string bytes(size, '.');
            const std::string number = std::to_string(i);
            std::copy(number.begin(), number.end(), bytes.begin());
            a.send(b.address(), bytes, ecn);
        }
    }
    const sim::Counters& counters() const { return link.there.counters(); }

    sim::World world;
    sim::Link& link;
    sim::Probe a;
    sim::Probe b;
};

std::size_t number_of(const sim::Probe::Got& got) { return std::stoul(got.bytes); }

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a packet arrives after the delay and not before") {
        Pair pair({.delay = 20ms});
        pair.send(1);
        CHECK_FALSE(pair.world.run_until([&] { return !pair.b.got.empty(); }, 20ms - 1ns));
        CHECK(pair.world.run_until([&] { return !pair.b.got.empty(); }, 1ns));
        CHECK(pair.b.got[0].at == 20ms);
        CHECK(pair.b.got[0].from == pair.a.address());
        CHECK(pair.b.got[0].to == pair.b.address());
    }

    TEST_CASE("a link of an hour costs no time") {
        Pair pair({.delay = 1h});
        pair.b.echo();
        pair.send(1);
        CHECK(pair.world.run_until([&] { return !pair.a.got.empty(); }, 3h));
        CHECK(pair.world.elapsed() == 2h);
    }

    TEST_CASE("jitter varies the delay within its bound and keeps the order") {
        Pair pair({.delay = 20ms, .jitter = 10ms});
        for (int i = 0; i < 200; ++i) {
            pair.a.send(pair.b.address(), std::to_string(i));
            pair.world.run_for(1ms);
        }
        pair.world.run_for(1s);
        REQUIRE(pair.b.got.size() == 200);
        std::set<Duration> delays;
        for (std::size_t i = 0; i < 200; ++i) {
            CHECK(number_of(pair.b.got[i]) == i);
            const Duration delay = pair.b.got[i].at - i * 1ms;
            CHECK(delay >= 20ms);
            CHECK(delay <= 30ms);
            delays.insert(delay);
        }
        CHECK(delays.size() > 50);
    }

    TEST_CASE("the rate spaces packets by their size on the wire") {
        // 972 + 28 bytes at 8 Mbit/s: a millisecond each
        Pair pair({.delay = 5ms, .rate = 8'000'000});
        pair.send(4, 972);
        pair.world.run_for(1s);
        REQUIRE(pair.b.got.size() == 4);
        for (std::size_t i = 0; i < 4; ++i) CHECK(pair.b.got[i].at == 6ms + i * 1ms);
    }

    TEST_CASE("the queue holds so many packets beside the one being sent and drops the tail") {
        Pair pair({.rate = 8'000'000, .queue = 10});
        pair.send(20, 972);
        pair.world.run_for(1s);
        CHECK(pair.b.got.size() == 11);
        CHECK(number_of(pair.b.got.back()) == 10);
        CHECK(pair.counters().queue_full == 9);
        // It has drained since.
        pair.send(11, 972);
        pair.world.run_for(1s);
        CHECK(pair.b.got.size() == 22);
    }

    TEST_CASE("losses are as many as asked for") {
        Pair pair({.loss = 0.1});
        for (int i = 0; i < 100; ++i) {
            pair.send(100);
            pair.world.run_for(1ms);
        }
        // The standard deviation is 30.
        CHECK(pair.counters().lost > 850);
        CHECK(pair.counters().lost < 1150);
        CHECK(pair.b.got.size() == 10'000 - pair.counters().lost);
    }

    TEST_CASE("bursts of losses are bounded, and sticky losses come in longer ones") {
        const auto longest_and_count = [](const sim::LinkOptions& options) {
            Pair pair(options);
            std::size_t longest = 0;
            std::size_t row = 0;
            std::size_t bursts = 0;
            std::size_t lost = 0;
            pair.world.observe([&](const sim::Packet&, sim::Verdict verdict) {
                const bool loss = verdict == sim::Verdict::lost;
                lost += loss ? 1 : 0;
                bursts += loss && row == 0 ? 1 : 0;
                row = loss ? row + 1 : 0;
                longest = std::max(longest, row);
            });
            for (int i = 0; i < 100; ++i) {
                pair.send(100);
                pair.world.run_for(1ms);
            }
            return std::array{longest, lost, bursts};
        };
        const auto bounded = longest_and_count({.loss = 0.3, .burst = 3});
        CHECK(bounded[0] == 3);
        CHECK(bounded[1] > 2600);  // a fourth in a row would have made 3000
        const auto sticky = longest_and_count({.loss = 0.1, .sticky = 0.8});
        CHECK(sticky[0] > 10);
        CHECK(sticky[1] > 700);
        CHECK(sticky[1] < 1300);
        CHECK(sticky[1] / sticky[2] >= 4);  // 1 / (1 - 0.8) = 5 on the average
        CHECK(sticky[1] / sticky[2] <= 6);
    }

    TEST_CASE("reordered packets are overtaken and nothing is lost") {
        Pair pair({.delay = 20ms, .reorder = 0.1, .reorder_by = 3ms});
        for (int i = 0; i < 500; ++i) {
            pair.a.send(pair.b.address(), std::to_string(i));
            pair.world.run_for(1ms);
        }
        pair.world.run_for(1s);
        REQUIRE(pair.b.got.size() == 500);
        std::size_t late = 0;
        for (std::size_t i = 1; i < 500; ++i)
            late += number_of(pair.b.got[i]) < number_of(pair.b.got[i - 1]) ? 1 : 0;
        CHECK(late > 20);
        CHECK(pair.counters().reordered > 20);
        CHECK(pair.counters().reordered < 90);
    }

    TEST_CASE("duplicates arrive twice") {
        Pair pair({.duplicate = 1});
        pair.send(3);
        pair.world.run_for(1ms);
        REQUIRE(pair.b.got.size() == 6);
        CHECK(pair.b.got[0].bytes == pair.b.got[1].bytes);
        CHECK(pair.counters().duplicated == 3);
    }

    TEST_CASE("corruption turns one bit") {
        Pair pair({.corrupt = 1});
        pair.a.send(pair.b.address(), std::string(100, '\0'));
        pair.world.run_for(1ms);
        REQUIRE(pair.b.got.size() == 1);
        int bits = 0;
        for (char c : pair.b.got[0].bytes) bits += std::popcount(static_cast<unsigned char>(c));
        CHECK(bits == 1);
    }

    TEST_CASE("what is longer than the MTU vanishes and at the border it passes") {
        Pair pair({.mtu = 1280});
        pair.send(1, 1280 - 28);
        pair.send(1, 1280 - 28 + 1);
        pair.world.run_for(1s);
        REQUIRE(pair.b.got.size() == 1);
        CHECK(pair.counters().too_big == 1);
        CHECK(pair.a.troubles.empty());
        pair.link.there.options.tell_mtu = true;
        pair.send(1, 1280);
        pair.world.run_for(1s);
        REQUIRE(pair.a.troubles.size() == 1);
        CHECK(pair.a.troubles[0].code.value() == EMSGSIZE);
        CHECK(pair.a.troubles[0].remote == pair.b.address());
    }

    TEST_CASE("a blackhole swallows what is sent while it is open") {
        Pair pair({.blackhole = {{10ms, 20ms}, {30ms, 31ms}}});
        for (int i = 0; i < 40; ++i) {
            pair.send(1);
            pair.world.run_for(1ms);
        }
        CHECK(pair.b.got.size() == 29);
        CHECK(pair.counters().blackholed == 11);
        pair.link.change([](sim::LinkOptions& options) { options.down = true; });
        pair.send(1);
        pair.world.run_for(1ms);
        CHECK(pair.counters().blackholed == 12);
    }

    TEST_CASE("filters drop by protocol or by number") {
        Pair pair({.drop = sim::numbered(2, 3)});
        pair.send(5);
        pair.world.run_for(1ms);
        REQUIRE(pair.b.got.size() == 3);
        CHECK(number_of(pair.b.got[1]) == 3);
        pair.link.set({.drop = sim::udp});
        pair.send(5);
        pair.world.run_for(1ms);
        CHECK(pair.b.got.size() == 3);
        CHECK(pair.counters().filtered == 7);
    }

    TEST_CASE("ECN marks pass, are set by dice or by the queue, and are bleached") {
        Pair pair({.rate = 8'000'000, .ecn_queue = 3});
        pair.send(8, 972, Ecn::ect0);
        pair.world.run_for(1s);
        REQUIRE(pair.b.got.size() == 8);
        CHECK(pair.b.got[2].ecn == Ecn::ect0);
        CHECK(pair.b.got[7].ecn == Ecn::ce);
        pair.link.set({.ecn_mark = 1});
        pair.send(1, 100, Ecn::not_ect);
        pair.send(1, 100, Ecn::ect1);
        pair.world.run_for(1s);
        CHECK(pair.b.got[8].ecn == Ecn::not_ect);
        CHECK(pair.b.got[9].ecn == Ecn::ce);
        pair.link.set({.ecn_bleach = true});
        pair.send(1, 100, Ecn::ect0);
        pair.world.run_for(1s);
        CHECK(pair.b.got[10].ecn == Ecn::not_ect);
    }

    TEST_CASE("the directions of a link are apart") {
        sim::World world{test::seed()};
        auto& left = world.host("10.0.0.1");
        auto& right = world.host("10.0.0.2");
        world.link(left, right, {.delay = 10ms}, {.delay = 30ms});
        sim::Probe a(world, left);
        sim::Probe b(world, right);
        b.echo();
        a.send(b.address(), "x");
        world.run_for(1s);
        REQUIRE(a.got.size() == 1);
        CHECK(b.got[0].at == 10ms);
        CHECK(a.got[0].at == 40ms);
    }

    TEST_CASE("an option can change while the world runs") {
        Pair pair({.mtu = 1500});
        pair.world.at(5ms, [&] { pair.link.there.options.mtu = 1300; });
        for (int i = 0; i < 10; ++i) {
            pair.send(1, 1400);
            pair.world.run_for(1ms);
        }
        CHECK(pair.counters().passed == 5);
    }

    TEST_CASE("the same seed has the same digest and another seed another one") {
        const auto run = [](std::uint64_t seed) {
            Pair pair({.delay = 5ms, .jitter = 5ms, .loss = 0.1, .reorder = 0.1, .corrupt = 0.1},
                      seed);
            pair.b.echo();
            pair.send(100);
            pair.world.run_for(1s);
            return pair.world.digest();
        };
        CHECK(run(1) == run(1));
        CHECK(run(1) != run(2));
    }
}
