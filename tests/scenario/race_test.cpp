// Racing: the fastest way that is secure carries the messages, whatever of the network is broken,
// within the bounds that Happy Eyeballs gives; and neither application notices the others.
#include <algorithm>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;
constexpr Duration trip = 2 * one_way;

const std::vector<Stack> all_stacks = {Stack::quic, Stack::sctp_dtls, Stack::tls};

struct RaceScene : Scene {
    explicit RaceScene(std::uint64_t seed = test::seed(),
                       const sim::LinkOptions& both = {.delay = one_way})
        : Scene(seed, both) {
        near.add_address("2001:db8::1");
        far.add_address("2001:db8::2");
        listener = listen();
        listener.accept([this](Carrier taken) {
            taken.ready([this](Carrier& self, InMessage message) {
                if (arrived == never) arrived = (**server).now();
                self.send(std::move(message).content());
                return true;
            });
            ++carriers;
            return true;
        });
    }
    // How long a message takes to arrive, from its first use of the Remote on.
    std::optional<Duration> reach(Remote remote, std::vector<Stack> stacks = all_stacks,
                                  Duration limit = 60s) {
        const Instant began = near_context().now();
        carrier = near_context().initiate(
            std::move(remote),
            {.policy = {.stacks = std::move(stacks)}, .trust = Trust::pinned(identity.pin())});
        carrier.send("hello", {.niceness = 1}, fates.watch());
        if (!until([&] { return arrived != never && fates.all(); }, limit)) return std::nullopt;
        return arrived - began;
    }
    Stack stack() const { return carrier.association().stack(); }

    Carrier carrier;
    Fates fates;
    Instant arrived = never;
    int carriers = 0;
};

// At most 16 attempts, 100 ms from one to the next, and after a failure 10 ms.
void check_spacing(const Establishment& made) {
    REQUIRE(made.attempts.size() <= 16);
    for (std::size_t i = 1; i < made.attempts.size(); ++i) {
        const Instant before = made.attempts[i - 1].started;
        const Instant at = made.attempts[i].started;
        const bool failed = std::any_of(
            made.attempts.begin(), made.attempts.end(), [&](const auto& each) {
                return each.result == Establishment::Result::failed && each.ended <= at;
            });
        CHECK(at - before >= (failed ? 10ms : 100ms));
    }
}

// Nobody heard of anything but one Carrier, and nobody was pushed.
void check_silent(const RaceScene& scene) {
    const auto made = scene.carrier.association().establishment();
    REQUIRE(made);
    INFO(made->string());
    check_spacing(*made);
    CHECK(scene.carriers == 1);
    CHECK(scene.unhandled.empty());
    for (const Error& error : scene.server_unhandled) FAIL_CHECK(error.message());
    scene.fates.check();
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("race: where all is well a race is no later than a direct connection") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            RaceScene direct(seed);
            RaceScene race(seed);
            const auto alone = direct.reach("post://10.0.0.2:4433", {Stack::quic});
            const auto among = race.reach("post://10.0.0.2:4433");
            REQUIRE(alone);
            REQUIRE(among);
            CHECK(*among == *alone);
            CHECK(race.stack() == Stack::quic);
            check_silent(race);
        }
    }

    TEST_CASE("race: with UDP blocked TLS carries the message 250 ms later") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            RaceScene scene(seed, {.delay = one_way, .drop = sim::udp});
            const auto took = scene.reach("post://10.0.0.2:4433");
            REQUIRE(took);
            CHECK(*took <= 250ms + trip * 5 / 2 + 1ms);
            CHECK(scene.stack() == Stack::tls);
            check_silent(scene);
        }
    }

    TEST_CASE("race: with UDP blocked a name costs the wait for its addresses, and no more") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            RaceScene scene(seed, {.delay = one_way, .drop = sim::udp});
            scene.world.name("slow.test", {"10.0.0.2"}, {.fate_v6 = sim::NameFate::silent});
            const auto took = scene.reach("post://slow.test:4433");
            REQUIRE(took);
            CHECK(*took <= 50ms + 250ms + trip * 5 / 2 + 6ms);  // and the answer's own way
            check_silent(scene);
        }
    }

    TEST_CASE("race: an IPv6 that goes nowhere costs 250 ms") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            RaceScene direct(seed);
            direct.world.name("dual.test", {"10.0.0.2", "2001:db8::2"});
            const auto alone = direct.reach("post://dual.test:4433", {Stack::quic});
            RaceScene scene(seed, {.delay = one_way, .drop = sim::ipv6});
            scene.world.name("dual.test", {"10.0.0.2", "2001:db8::2"});
            const auto took = scene.reach("post://dual.test:4433", {Stack::quic});
            REQUIRE(alone);
            REQUIRE(took);
            CHECK(*took <= *alone + 250ms + 1ms);
            check_silent(scene);
        }
    }

    TEST_CASE("race: the last of eight addresses is found, on one stack and on two") {
        const std::vector<std::string> addresses = {"10.0.0.11", "10.0.0.12", "10.0.0.13",
                                                    "10.0.0.14", "10.0.0.15", "10.0.0.16",
                                                    "10.0.0.17", "10.0.0.2"};
        for (const auto seed : seeds(5)) {
            CAPTURE(seed);
            RaceScene one(seed);
            one.world.name("many.test", addresses);
            const auto alone = one.reach("post://many.test:4433", {Stack::quic});
            REQUIRE(alone);
            CHECK(*alone <= 7 * 250ms + trip * 3 / 2 + 6ms);  // and the answer's own way
            check_silent(one);
            RaceScene two(seed);
            two.world.name("many.test", addresses);
            const auto both = two.reach("post://many.test:4433", {Stack::quic, Stack::tls});
            REQUIRE(both);
            CHECK(*both <= 15 * 250ms + trip * 5 / 2 + 6ms);
            check_silent(two);
        }
    }

    TEST_CASE("race: what won is remembered, and the second race is direct") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            RaceScene scene(seed, {.delay = one_way, .drop = sim::udp});
            REQUIRE(scene.reach("post://10.0.0.2:4433"));
            scene.carrier = {};
            scene.until([] { return false; }, 20s);  // the connection goes without its Carrier
            scene.arrived = never;
            const auto again = scene.reach("post://10.0.0.2:4433");
            REQUIRE(again);
            CHECK(*again <= trip * 5 / 2 + 1ms);
            CHECK(scene.stack() == Stack::tls);
            CHECK(scene.carrier.association().establishment()->attempts.size() == 1);
        }
    }

    TEST_CASE("race: over a slow path several connections are made, and one Carrier is accepted") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            RaceScene scene(seed, {.delay = 400ms});
            REQUIRE(scene.reach("post://10.0.0.2:4433"));
            scene.until([] { return false; }, 3s);  // the losers' last words
            check_silent(scene);
            REQUIRE(scene.carrier.association().establishment());
            INFO(scene.carrier.association().establishment()->string());
            CHECK(scene.carrier.association().establishment()->attempts.size() > 1);
        }
    }

    TEST_CASE("race: a wrong certificate on one stack fails it, and the error names all of them") {
        RaceScene scene;
        scene.carrier = scene.near_context().initiate(
            "post://10.0.0.2:4433", {.policy = {.stacks = all_stacks}, .trust = Trust::system()});
        auto active = scene.carrier.activate();
        REQUIRE(scene.until([&] { return active.ready(); }));
        const auto result = active.get();
        REQUIRE_FALSE(result);
        const std::string text = result.error().detail.string();
        CAPTURE(text);
        for (const char* stack : {"quic", "sctp-dtls", "tls"})
            CHECK(text.find(std::string(stack) + ": verify with 10.0.0.2:4433") !=
                  std::string::npos);
        CHECK(scene.carriers == 0);
    }
}

}  // namespace post::test
