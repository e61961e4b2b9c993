// Redundancy: what must not be late goes over the connection in use and its standby, and is given
// out once (FORMAT.md, 7.3).
#include "tests/scenario/standby_scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("redundancy: what must not be late is there half a trip later, whatever quic does") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            StandbyScene scene(seed, 0, with_standby(500ms));
            scene.load(3);
            scene.finish(3);
            REQUIRE(scene.until([&] { return scene.ready(); }));
            scene.world.run_for(50ms);
            const SendOptions urgent{.lifetime = 100ms, .immediate = true};
            // Over both, and taken once.
            for (Carrier& carrier : scene.near_carriers)
                carrier.send(scene.text(3), urgent, scene.fates.watch());
            scene.finish(4);
            scene.world.run_for(1s);
            scene.drop(sim::udp);
            const Instant sent = scene.near_context().now();
            scene.near_carriers[seed % 3].send("now", urgent, scene.fates.watch());
            const std::size_t at = scene.far_got[seed % 3].size();
            REQUIRE(scene.until([&] { return scene.far_got[seed % 3].size() > at; }));
            CHECK(scene.near_context().now() - sent <= one_way + 2ms);
            CHECK(scene.association().stack() == Stack::quic);
            const bool all = scene.until([&] { return scene.fates.all(); }, 30s);
            INFO(scene.standing());
            REQUIRE(all);
            scene.world.run_for(5s);
            CHECK(scene.association().stack() == Stack::tls);
            CHECK(scene.far_got[seed % 3].size() == at + 1);
            scene.fates.check();
            CHECK(scene.fates.failed() == 0);
            CHECK(scene.fates.expired() == 0);
        }
    }

    TEST_CASE("redundancy: under loss, and through a break, each comes once and in order") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            StandbyScene scene(seed, 0, with_standby(10s));
            scene.load(3);
            REQUIRE(scene.until([&] { return scene.complete(3) && scene.ready(); }));
            scene.link.change([](sim::LinkOptions& each) { each.loss = 0.05; });
            for (std::size_t i = 3; i < 200; ++i)
                scene.world.after(2ms * static_cast<int>(i), [&, i] {
                    SendOptions options;
                    if (i % 3) options = {.lifetime = 5s, .immediate = true};
                    for (Carrier& carrier : scene.near_carriers)
                        carrier.send(scene.text(i), options, scene.fates.watch());
                });
            scene.world.after(50ms + 7ms * static_cast<int>(seed % 40),
                              [&] { scene.drop(sim::udp); });
            scene.finish(200);
        }
    }

    TEST_CASE("redundancy: Carriers that end meanwhile end on both connections") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            StandbyScene scene(seed, 0, with_standby(10s));
            scene.load(3);
            REQUIRE(scene.until([&] { return scene.complete(3) && scene.ready(); }));
            scene.link.change([](sim::LinkOptions& each) { each.loss = 0.02; });
            const SendOptions urgent{.lifetime = 5s, .immediate = true};
            Fates fates;
            Ends ends;
            gather_end(scene.near_carriers[1], ends);
            for (int i = 0; i < 5; ++i)
                for (Carrier& carrier : scene.near_carriers)
                    carrier.send("last", urgent, fates.watch());
            scene.world.run_for(1ms * static_cast<int>(seed % 30));
            scene.near_carriers[1].close();
            scene.near_carriers[2].abort(AbortCode{7});
            scene.world.run_for(1ms * static_cast<int>(seed * 7 % 60));
            scene.drop(sim::udp);
            scene.near_carriers[0].send("on", urgent, fates.watch());
            REQUIRE(scene.until([&] { return fates.all() && !ends.empty(); }, 60s));
            fates.check();
            CHECK(scene.far_got[0].back() == "on");
            CHECK(scene.far_got[0].size() == 3 + 6);
            CHECK(scene.far_got[1].size() == 3 + 5);
            for (const Error& error : scene.unhandled) FAIL_CHECK(error.message());
        }
    }
}

}  // namespace post::test
