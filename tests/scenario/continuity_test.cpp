// Continuity: the stack under an association dies, at any moment and under load, and is replaced:
// every message arrives once, in order, with one fate, and neither application notices more than a
// pause (FORMAT.md, 7.2).
#include <algorithm>

#include "tests/scenario/traffic_scene.hpp"

namespace post::test {

namespace {

Policy stacks(std::vector<Stack> all) { return {.stacks = std::move(all)}; }

struct Outage : TrafficScene {
    Outage(std::uint64_t seed, double loss, Policy policy)
        : TrafficScene(seed, loss, {.policy = std::move(policy), .bounds = lasting}) {}
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("continuity: quic dies at a random moment under load, and tls goes on") {
        for (const double loss : {0.0, 0.02}) {
            for (const auto seed : seeds(loss > 0 ? 30 : 70)) {
                CAPTURE(seed);
                CAPTURE(loss);
                Outage scene(seed, loss, stacks({Stack::quic, Stack::tls}));
                scene.load(100);
                const Duration when = 45ms + 1ms * static_cast<int>(seed * 7919 % 70);
                // Both ends have to have heard of each other, which losses may delay.
                std::function<void()> strike = [&] {
                    if (scene.fates.acked() > 0) return scene.break_with(sim::udp);
                    scene.world.after(5ms, [&] { strike(); });
                };
                scene.world.after(when, [&] { strike(); });
                const bool whole = scene.until(
                    [&] { return scene.complete(100) && scene.fates.all(); }, 60s);
                INFO(scene.standing());
                REQUIRE(whole);
                scene.check(100);
                CHECK(scene.association().stack() == Stack::tls);
            }
        }
    }

    // 1 + 2 probe timeouts, of about a round trip and the peer's delay of acknowledgements each;
    // then as a race with UDP blocked. What was lost before changes nothing; of what is lost of the
    // new connection's own packets its retransmissions decide.
    TEST_CASE("continuity: the first message over the new stack is no later than its bound") {
        for (const double loss : {0.0, 0.02}) {
            for (const auto seed : seeds(20)) {
                CAPTURE(seed);
                CAPTURE(loss);
                Outage scene(seed, loss, stacks({Stack::quic, Stack::tls}));
                scene.load(200);
                Duration probe{};
                std::function<void()> strike = [&] {
                    if (scene.fates.acked() == 0) return scene.world.after(5ms, [&] { strike(); });
                    const auto paths = scene.association().paths();
                    REQUIRE(!paths.empty());
                    const Path& path = paths.front();
                    probe = path.smoothed_rtt + std::max<Duration>(4 * path.rtt_variance, 1ms) +
                            25ms;
                    scene.break_with(sim::udp);
                    scene.link.change([](sim::LinkOptions& each) { each.loss = 0; });
                };
                scene.world.after(100ms + 1ms * static_cast<int>(seed % 50), [&] { strike(); });
                const bool whole = scene.until(
                    [&] { return scene.complete(200) && scene.fates.all(); }, 60s);
                INFO(scene.standing());
                REQUIRE(whole);
                scene.check(200);
                CHECK(scene.first_after - scene.broken <= 3 * probe + 300ms + trip * 5 / 2);
            }
        }
    }

    TEST_CASE("continuity: long after an outage a peer's close tells at once what it ends") {
        Outage scene(test::seed(), 0, stacks({Stack::quic, Stack::tls}));
        scene.load(20);
        scene.world.after(60ms, [&] { scene.break_with(sim::udp); });
        REQUIRE(scene.until([&] { return scene.complete(20) && scene.fates.all(); }, 60s));
        scene.world.run_for(40s);
        Fates late;
        scene.near_carriers[1].send("too late", {}, late.watch());
        scene.far_carriers[1].close();
        REQUIRE(scene.until([&] { return late.all(); }, 1s));
        CHECK(late.failed() == 1);
        CHECK(late[0].error == Errc::carrier_closed);
    }

    TEST_CASE("continuity: as long as nothing breaks it costs no packet") {
        for (const Stack stack : {Stack::quic, Stack::sctp_dtls, Stack::tls}) {
            CAPTURE(std::string(to_string(stack)));
            const auto count = [&](Duration continuity) {
                Scene scene;
                Texts got;
                scene.listener = scene.listen({.bounds = {.continuity = continuity}});
                scene.listener.accept([&](Carrier carrier) {
                    gather(carrier, got);
                    scene.accepted.push_back(std::move(carrier));
                    return true;
                });
                Carrier carrier = scene.initiate(
                    {.policy = stacks({stack}), .bounds = {.continuity = continuity}});
                Carrier fork = carrier.fork();
                for (int i = 0; i < 50; ++i)
                    scene.world.after(7ms * i, [&, i] {
                        (i % 3 ? carrier : fork).send(Outage::text(static_cast<std::size_t>(i)));
                    });
                CHECK(scene.until([&] { return got.size() == 50; }));
                scene.world.run_for(5min);
                CHECK(carrier.association().active());
                carrier.close();
                fork.close();
                scene.world.run_for(30s);
                const sim::Counters there = scene.link.there.counters();
                const sim::Counters back = scene.link.back.counters();
                return std::pair(there.sent, back.sent);
            };
            CHECK(count(30s) == count(0s));
        }
    }

    TEST_CASE("continuity: each stack is replaced by itself or by another one") {
        struct Row {
            std::string name;
            std::vector<Stack> stacks;
            bool udp;  // is what breaks for good; else everything, for a while
        };
        const std::vector<Row> rows = {
            {"quic by sctp-dtls", {Stack::quic, Stack::sctp_dtls}, false},
            {"sctp-dtls by tls", {Stack::sctp_dtls, Stack::tls}, true},
            {"quic by quic", {Stack::quic}, false},
            {"sctp-dtls by sctp-dtls", {Stack::sctp_dtls}, false},
            {"tls by tls", {Stack::tls}, false},
        };
        for (const Row& row : rows) {
            for (const auto seed : seeds(6)) {
                CAPTURE(row.name);
                CAPTURE(seed);
                Outage scene(seed, 0, stacks(row.stacks));
                scene.load(100);
                scene.world.after(100ms + 1ms * static_cast<int>(seed * 31 % 40), [&] {
                    if (row.udp) return scene.break_with(sim::udp);
                    scene.break_with([](const sim::Packet&) { return true; });
                });
                // Longer than the idle timeout, and not as long as both ends wait.
                scene.world.after(45s, [&] {
                    if (!row.udp) scene.break_with({});
                });
                const bool whole = scene.until(
                    [&] { return scene.complete(100) && scene.fates.all(); }, 120s);
                INFO(scene.standing());
                REQUIRE(whole);
                scene.check(100);
            }
        }
    }

    TEST_CASE("continuity: to a server that never heard of it all is sent, and fails nothing") {
        struct Row {
            std::string name;
            std::vector<Stack> stacks;
        };
        const std::vector<Row> rows = {{"quic", {Stack::quic, Stack::tls}},
                                       {"sctp-dtls", {Stack::sctp_dtls, Stack::tls}}};
        for (const Row& row : rows)
            for (const auto seed : seeds(2))
                // From before the client has a connection to when the server's word is there.
                for (Duration when = 10ms; when < 150ms; when += 4ms) {
                    CAPTURE(row.name);
                    CAPTURE(seed);
                    CAPTURE(when.count());
                    Outage scene(seed, 0, stacks(row.stacks));
                    scene.load(20);
                    scene.world.after(when, [&] { scene.break_with(sim::udp); });
                    const bool whole = scene.until(
                        [&] { return scene.complete(20) && scene.fates.all(); }, 60s);
                    INFO(scene.standing());
                    REQUIRE(whole);
                    scene.check(20);
                }
    }

    // What a server says first may be lost, and what it says next arrive: that waits for nothing.
    TEST_CASE("continuity: a connection that broke while the server's SETTINGS were lost goes on") {
        struct Row {
            std::string name;
            std::vector<Stack> stacks;
        };
        const std::vector<Row> rows = {{"quic", {Stack::quic, Stack::tls}},
                                       {"sctp-dtls", {Stack::sctp_dtls, Stack::tls}}};
        for (const Row& row : rows)
            for (Duration lost = 22ms; lost < 130ms; lost += 2ms) {
                CAPTURE(row.name);
                CAPTURE(lost.count());
                Outage scene(seed(), 0, stacks(row.stacks));
                for (std::size_t i = 0; i < 30; ++i)
                    scene.world.after(5ms * static_cast<int>(i), [&, i] {
                        for (Carrier& carrier : scene.near_carriers)
                            carrier.send(Outage::text(i), {}, scene.fates.watch());
                    });
                auto& back = scene.link.back.options;
                scene.world.after(lost - 500us, [&] { back.drop = sim::udp; });
                scene.world.after(lost + 1500us, [&] { back.drop = {}; });
                scene.world.after(lost + 19ms, [&] { scene.break_with(sim::udp); });
                const bool whole = scene.until(
                    [&] { return scene.complete(30) && scene.fates.all(); }, 90s);
                INFO(scene.standing());
                REQUIRE(whole);
                scene.check(30);
            }
    }

    TEST_CASE("continuity: beyond its patience all ends as it would have without it") {
        for (const bool mended : {true, false}) {
            CAPTURE(mended);
            Outage scene(seed(), 0, stacks({Stack::quic}));
            scene.load(20);
            scene.world.after(100ms, [&] {
                scene.broken = scene.near_context().now();
                scene.link.set({.delay = one_way, .down = true});
            });
            if (mended) scene.world.after(40s, [&] { scene.link.set({.delay = one_way}); });
            Carrier& carrier = scene.near_carriers.front();
            Fates late;
            scene.world.after(200ms, [&] { carrier.send("late", {}, late.watch()); });
            REQUIRE(scene.until([&] { return late.size() > 0 && late.all(); }, 120s));
            late.check();
            CHECK(late.acked() == (mended ? 1 : 0));
            if (!mended) {
                CHECK(late[0].error == Errc::connection_lost);
                CHECK(scene.world.elapsed() < 30s + 30s + 10s);
            }
        }
    }

    TEST_CASE("continuity: what is closed, aborted, forked and finished meanwhile counts") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            Outage scene(seed, 0, stacks({Stack::quic, Stack::tls}));
            scene.load(10);
            REQUIRE(scene.until([&] { return scene.complete(10) && scene.fates.all(); }));
            REQUIRE(scene.far_carriers.size() == 3);
            Ends near_ends;
            Ends far_ends;
            gather_end(scene.near_carriers[1], near_ends);
            gather_end(scene.far_carriers[2], far_ends);
            Texts forked;
            scene.break_with(sim::udp);
            Carrier fork = scene.near_carriers[0].fork();
            Fates fates;
            fork.send("fork", {}, fates.watch());
            gather(fork, forked);
            scene.far_carriers[1].abort(AbortCode{7});
            scene.near_carriers[2].send("last", {}, fates.watch());
            scene.near_carriers[2].close();
            REQUIRE(scene.until(
                [&] {
                    return fates.all() && forked.size() == 1 && !near_ends.empty() &&
                           !far_ends.empty();
                },
                60s));
            fates.check();
            CHECK(fates.acked() == 2);
            CHECK(near_ends[0] == Errc::carrier_reset);
            CHECK(scene.far_got[2].back() == "last");
            CHECK(scene.association().stack() == Stack::tls);
        }
    }
}

}  // namespace post::test
