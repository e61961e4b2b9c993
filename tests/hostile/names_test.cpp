// A27 and A28 of the table: who breaks what is safe so that something worse is taken, and name
// servers that lie. What they answer in detail is in tests/live/resolver_records_test.cpp, what the
// race makes of it in tests/unit/race_property_test.cpp.
#include <algorithm>

#include "tests/hostile/table.hpp"
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// The race of a Carrier, as it was last seen before `done`: it is forgotten with the connection.
template <class Done> Establishment watched(Scene& scene, const Carrier& carrier, Done done) {
    Establishment last;
    REQUIRE(scene.until(
        [&] {
            if (auto made = carrier.association().establishment()) last = *std::move(made);
            return done();
        },
        120s));
    return last;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A27: who drops UDP and answers in plaintext learns nothing and wins nothing") {
        std::size_t attempts = 0;
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            bool leaked = false;
            const auto watch = [&leaked](const sim::Packet& packet) {
                leaked |= packet.bytes.view().find("secret") != std::string_view::npos;
                return packet.protocol == sim::Protocol::udp;
            };
            Scene scene(seed, {.delay = 10ms, .drop = watch});
            scene.collect({.policy = {Security::none, {Stack::tcp}}});
            CHECK_THROWS_AS(scene.near_context().initiate(
                                "post://10.0.0.2:4433",
                                {.policy = {Security::required, {Stack::tls, Stack::tcp}}}),
                            Failure);
            auto carrier = scene.near_context().initiate(
                "post://10.0.0.2:4433", {.trust = Trust::pinned(scene.identity.pin())});
            Fates fates;
            carrier.send("secret", {}, fates.watch());
            const auto made = watched(scene, carrier, [&] { return fates.all(); });
            CHECK(fates.failed() == 1);
            CHECK_FALSE(leaked);
            CHECK_FALSE(made.winner());
            for (const auto& attempt : made.attempts) CHECK(attempt.stack != Stack::tcp);
            attempts = std::max(attempts, made.attempts.size());
        }
        measured("A27", "UDP dropped, plaintext offered",
                 "0 bytes in the clear, " + std::to_string(attempts) + " attempts, all secure");
    }

    TEST_CASE("A27: what is left where UDP is dropped is believed no more than the rest") {
        Scene scene(test::seed(), {.delay = 10ms, .drop = [](const sim::Packet& packet) {
                                       return packet.protocol == sim::Protocol::udp;
                                   }});
        scene.collect();
        const Identity other = Identity::self_signed("server.test");
        auto carrier = scene.near_context().initiate("post://server.test:4433",
                                                     {.trust = Trust::pinned(other.pin())});
        auto active = carrier.activate();
        REQUIRE(scene.until([&] { return active.ready(); }, 60s));
        const auto result = active.get();
        REQUIRE_FALSE(result);
        CHECK(result.error() == Errc::certificate_pin);
        CHECK(scene.accepted.empty());
    }

    TEST_CASE("A28: 4 000 addresses are 16 attempts, 100 ms or more from each other") {
        Scene scene;
        std::vector<std::string> addresses;
        for (int i = 0; i < 2000; ++i) {
            addresses.push_back("10.9." + std::to_string(i / 250) + '.' +
                                std::to_string(1 + i % 250));
            addresses.push_back("2001:db8:9::" + std::to_string(1 + i));
        }
        for (const char* nobody : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::"})
            addresses.insert(addresses.begin(), nobody);
        scene.world.name("many.test", addresses);
        auto carrier = scene.near_context().initiate(
            "post://many.test", scene.pinned({.policy = {.stacks = {Stack::quic, Stack::tls}}}));
        auto active = carrier.activate();
        const auto made = watched(scene, carrier, [&] { return active.ready(); });
        CHECK_FALSE(active.get());
        INFO(made.string());
        CHECK(made.attempts.size() <= 16);
        Duration least = 60s;
        for (std::size_t i = 0; i < made.attempts.size(); ++i) {
            const Address& to = made.attempts[i].remote;
            CHECK((to.family == Address::Family::v4 ? to.ip[0] == 10 : to.ip[0] == 0x20));
            if (i > 0)
                least = std::min(least, made.attempts[i].started - made.attempts[i - 1].started);
        }
        // An address without a route fails at once, and then 10 ms are enough.
        CHECK(least >= 10ms);
        measured("A28", "4 000 addresses of a name",
                 std::to_string(made.attempts.size()) + " attempts (<= 16), " +
                     decimal(static_cast<double>(least.count()) / 1e6) + " ms apart (>= 10)");
    }

    TEST_CASE("A28: an answer that comes after all is over changes nothing") {
        int packets = 0;
        Scene scene(test::seed(), {.delay = 10ms, .drop = [&packets](const sim::Packet&) {
                                       ++packets;
                                       return false;
                                   }});
        scene.collect();
        scene.world.name("late.test", {"10.0.0.2"}, {.delay_v4 = 8s, .delay_v6 = 8s});
        auto carrier = scene.near_context().initiate("post://late.test", scene.pinned());
        carrier.send("hello");
        scene.until([] { return false; }, 1s);
        carrier.abort();
        carrier = {};
        scene.until([] { return false; }, 20s);
        CHECK(scene.accepted.empty());
        CHECK(packets == 0);
    }
}

}  // namespace post::test
