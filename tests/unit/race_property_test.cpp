// Race, 1 000 seeds a row: round trips, answers and hosts are thrown, and what a race may cost
// compared with a direct connection is bounded. Times are those of the first message: half a round
// trip after the handshake.
#include <algorithm>

#include "tests/seed.hpp"
#include "tests/sim/random.hpp"
#include "tests/unit/race_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using Way = RaceWorld::Way;
using Family = Address::Family;

constexpr std::uint64_t rows = 1000;

struct Scene {
    RaceWorld world;
    sim::Random random;
    std::vector<Stack> stacks;
    std::vector<Address> addresses;
    Duration resolved{};  // when all answers are there

    // Round trips from 1 to `longest`; a name with `each` addresses of each family; answers come
    // within the resolution delay of each other, in any order.
    Scene(std::uint64_t seed, Duration longest, int each, std::vector<Stack> allowed)
        : random(seed), stacks(std::move(allowed)) {
        world.rtt = below(longest - 1ms) + 1ms;
        std::vector<Endpoint> sixes;
        std::vector<Endpoint> fours;
        for (int i = 1; i <= each; ++i) {
            sixes.push_back({.address = v6(i), .from = "AAAA"});
            fours.push_back({.address = v4(i), .from = "A"});
            addresses.push_back(v6(i));
            addresses.push_back(v4(i));
        }
        const Duration first = below(100ms);
        const Duration second = first + below(49ms);
        const bool six_first = random.next() % 2;
        resolved = second;
        world.begin(Remote("post://a.example"), {.stacks = stacks});
        world.answer(six_first ? first : second, sixes, Answered::aaaa, !six_first);
        world.answer(six_first ? second : first, fours, Answered::a, six_first);
    }
    Duration below(Duration most) {
        return Duration(
            static_cast<Duration::rep>(random.unit() * static_cast<double>(most.count())));
    }
    // A first message over `stack` alone, when the address is known at once.
    Duration direct(Stack stack) const {
        return RaceWorld::round_trips(stack) * world.rtt + world.rtt / 2;
    }
    Duration first_message() const { return world.took() + world.rtt / 2; }

    // What holds of every race, whatever happens.
    void check_spacing() const {
        REQUIRE(world.tries.size() <= Race::most);
        for (std::size_t i = 1; i < world.tries.size(); ++i) {
            const Instant before = world.tries[i - 1].at;
            const Instant at = world.tries[i].at;
            REQUIRE(at - before >= 10ms);
            const bool failed = std::any_of(
                world.failures.begin(), world.failures.end(),
                [&](Instant when) { return when >= before && when <= at; });
            if (!failed) REQUIRE(at - before >= 100ms);
        }
        for (std::size_t i = 0; i < world.tries.size(); ++i)
            REQUIRE(world.tries[i].id.value() == i);
        if (world.tries.size() >= 2) {
            const bool tcp = std::any_of(stacks.begin(), stacks.end(),
                                         [](Stack stack) { return core::row(stack).tcp; });
            const bool first_two = core::row(world.tries[0].stack).tcp ||
                                   core::row(world.tries[1].stack).tcp;
            REQUIRE(first_two == tcp);
        }
    }
};

std::vector<Stack> stacks_of(std::uint64_t seed) {
    static const std::vector<std::vector<Stack>> all = {
        {Stack::quic},
        {Stack::tls},
        {Stack::quic, Stack::tls},
        {Stack::tls, Stack::quic},
        {Stack::quic, Stack::sctp_dtls, Stack::tls},
        {Stack::sctp_dtls, Stack::quic, Stack::tls}};
    return all[seed % all.size()];
}

template <class Body> void each_seed(Body&& body) {
    for (std::uint64_t i = 0; i < rows; ++i) {
        const std::uint64_t seed = test::seed() * rows + i;
        CAPTURE(seed);
        body(seed);
    }
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("all is good: a race is as fast as a direct connection") {
        each_seed([](std::uint64_t seed) {
            Scene scene(seed, 249ms, 2, stacks_of(seed));
            scene.world.run();
            scene.check_spacing();
            REQUIRE(scene.world.winner);
            REQUIRE(scene.first_message() <= scene.resolved + scene.direct(scene.stacks.front()));
        });
    }

    TEST_CASE("the addresses are known: plus 0, and no second attempt") {
        each_seed([](std::uint64_t seed) {
            RaceWorld world;
            sim::Random random(seed);
            // Up to 100 ms the third round trip is there before the second attempt would be.
            world.rtt = Duration(1 + static_cast<Duration::rep>(random.next() % 100'000'000));
            const std::vector<Stack> stacks = stacks_of(seed);
            world.begin(Remote(v6(1)), {.stacks = stacks});
            world.run();
            REQUIRE(world.took() == RaceWorld::round_trips(stacks.front()) * world.rtt);
            if (stacks.front() != Stack::sctp_dtls) REQUIRE(world.tries.size() == 1);
        });
    }

    TEST_CASE("IPv6 is a black hole: 250 ms more at most than over the stack that wins") {
        each_seed([](std::uint64_t seed) {
            Scene scene(seed, 400ms, 1 + static_cast<int>(seed % 4), stacks_of(seed));
            scene.world.way = [](Stack, const Address& remote) {
                return remote.family == Family::v6 ? Way::silent : Way::good;
            };
            scene.world.run();
            scene.check_spacing();
            REQUIRE(scene.world.winner);
            REQUIRE(scene.first_message() <=
                    scene.resolved + 250ms + scene.direct(scene.world.tries.at(1).stack));
        });
    }

    TEST_CASE("UDP is blocked: 50 ms, 250 ms and 2.5 round trips") {
        each_seed([](std::uint64_t seed) {
            std::vector<Stack> stacks = stacks_of(seed);
            if (stacks.size() == 1) stacks = {Stack::quic, Stack::tls};
            Scene scene(seed, 400ms, 1 + static_cast<int>(seed % 4), stacks);
            scene.world.way = [](Stack stack, const Address&) {
                return core::row(stack).tcp ? Way::good : Way::silent;
            };
            scene.world.run();
            scene.check_spacing();
            REQUIRE(scene.world.winner);
            REQUIRE(scene.world.winner->stack == Stack::tls);
            // The resolution delay counts from the first answer.
            Instant first = never;
            for (const auto& answer : scene.world.race.establishment().answers)
                first = std::min(first, answer.at);
            REQUIRE(scene.first_message() <=
                    first - scene.world.began + 50ms + 250ms + 5 * scene.world.rtt / 2);
        });
    }

    TEST_CASE("only the last of 8 addresses answers: 7 or 15 delays and its handshake") {
        each_seed([](std::uint64_t seed) {
            const bool both = seed % 2;
            const std::vector<Stack> stacks = both ? std::vector{Stack::quic, Stack::tls}
                                                   : std::vector{Stack::quic};
            Scene scene(seed, 400ms, 4, stacks);
            const std::size_t good = scene.random.next() % 8;
            const Address last = good == 0 ? v4(4) : scene.addresses[good];
            scene.world.way = [last](Stack, const Address& remote) {
                return remote == last ? Way::good : Way::silent;
            };
            scene.world.run();
            scene.check_spacing();
            REQUIRE(scene.world.winner);
            REQUIRE(scene.first_message() <= scene.resolved + (both ? 15 : 7) * 250ms +
                                                 scene.direct(scene.world.winner->stack));
        });
    }

    TEST_CASE("whatever happens: at most 16 attempts, spaced, and an end or a wait for peers") {
        each_seed([](std::uint64_t seed) {
            Scene scene(seed, 2s, static_cast<int>(seed % 12), stacks_of(seed));
            const std::uint64_t mix = scene.random.next();
            scene.world.way = [mix](Stack stack, const Address& remote) {
                std::uint64_t state = mix ^ std::hash<Address>{}(remote) ^
                                      (static_cast<std::uint64_t>(stack) << 7);
                const std::uint64_t dice = sim::splitmix64(state) % 8;
                return dice < 3    ? Way::silent
                       : dice < 6  ? Way::refused
                       : dice == 6 ? Way::half
                                   : Way::good;
            };
            scene.world.run();
            scene.check_spacing();
            const auto& data = scene.world.race.establishment();
            if (!scene.world.winner) {
                const bool waits = std::any_of(
                    data.attempts.begin(), data.attempts.end(), [](const auto& attempt) {
                        return attempt.result == Establishment::Result::under_way;
                    });
                REQUIRE(scene.world.race.exhausted() == !waits);
                REQUIRE(scene.world.race.deadline() == never);
            }
        });
    }

    TEST_CASE("what won is tried first the next time, and the second race is direct") {
        each_seed([](std::uint64_t seed) {
            std::vector<Stack> stacks = stacks_of(seed);
            Scene first(seed, 249ms, 2, stacks);
            const auto way = [](Stack stack, const Address& remote) {
                const bool tcp = core::row(stack).tcp;
                return remote.family == Family::v4 && (tcp || stack == Stack::sctp_dtls)
                           ? Way::good
                           : Way::silent;
            };
            first.world.way = way;
            first.world.run();
            if (!first.world.winner) return;  // QUIC alone
            RaceWorld second;
            second.rtt = first.world.rtt;
            second.way = way;
            Race::Options options{.stacks = stacks};
            options.winner = {first.world.winner->stack, first.world.winner->remote};
            second.begin(Remote("post://a.example"), options);
            second.answer(0ms, {{.address = v6(1)}, {.address = first.world.winner->remote}},
                          Answered::aaaa, true);
            second.run();
            REQUIRE(second.winner);
            REQUIRE(second.winner->id == AttemptId{0});
            REQUIRE(second.took() == RaceWorld::round_trips(second.winner->stack) * second.rtt);
        });
    }
}

}  // namespace post::test
