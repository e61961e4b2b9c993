// Hot standby: a connection of TLS stands beside the one in use, and takes its place within a round
// trip (FORMAT.md, 7.3).
#include "tests/scenario/standby_scene.hpp"

namespace post::test {

namespace {

bool everything(const sim::Packet&) { return true; }

}  // namespace

TEST_SUITE("scenario") {
    // Three probe timeouts of about a round trip and the peer's delay of acknowledgements, counted
    // from when the last was heard, half a trip after the break; and half a trip for ATTACH and
    // what stands behind it. A race would need 300 ms and a trip and a half more. What the peer may
    // have, but has not spoken of, goes first: where that is more than TCP's first window, the
    // first that is new comes a trip later.
    TEST_CASE("standby: quic dies under load, and tls brings the first message within a trip") {
        struct Row {
            std::string name;
            bool heavy;
            double loss;
        };
        const std::vector<Row> rows = {{"light", false, 0},
                                       {"light, with losses", false, 0.02},
                                       {"heavy", true, 0},
                                       {"heavy, with losses", true, 0.02}};
        for (const Row& row : rows) {
            for (const auto seed : seeds(20)) {
                CAPTURE(row.name);
                CAPTURE(seed);
                StandbyScene scene(seed);
                scene.heavy = row.heavy;
                scene.load(1);
                REQUIRE(scene.until([&] { return scene.complete(1) && scene.ready(); }, 30s));
                scene.link.change([&](sim::LinkOptions& each) { each.loss = row.loss; });
                scene.load(200, 1);
                Duration probe{};
                scene.world.after(30ms + 1ms * static_cast<int>(seed * 7919 % 50), [&] {
                    const Path path = scene.association().paths().front();
                    probe = path.smoothed_rtt + std::max<Duration>(4 * path.rtt_variance, 1ms) +
                            25ms;
                    scene.broken = scene.near_context().now();
                    scene.drop(sim::udp);
                    scene.link.change([](sim::LinkOptions& each) { each.loss = 0; });
                });
                scene.finish(200);
                CHECK(scene.association().stack() == Stack::tls);
                CHECK(scene.association().transients().size() == 1);
                // Losses widen the variance until it is doubted.
                const Duration bound = 3 * probe + (row.heavy ? 2 : 1) * trip +
                                       (row.loss > 0 ? trip : Duration{});
                CHECK(scene.first_after - scene.broken <= bound);
            }
        }
    }

    TEST_CASE("standby: it stands beside sctp-dtls too, and takes over from a quiet connection") {
        for (const Stack stack : {Stack::quic, Stack::sctp_dtls}) {
            CAPTURE(std::string(to_string(stack)));
            InitiateOptions options = with_standby();
            options.policy.stacks = {stack, Stack::tls};
            StandbyScene scene(seed(), 0, std::move(options));
            scene.load(10);
            scene.finish(10);
            REQUIRE(scene.until([&] { return scene.ready(); }));
            scene.world.run_for(5s);
            CHECK(scene.association().stack() == stack);
            scene.drop(sim::udp);
            const Instant broken = scene.near_context().now();
            scene.load(20, 10);
            scene.finish(20);
            CHECK(scene.association().stack() == Stack::tls);
            // SCTP repairs a loss within a timeout of 200 ms at least, and is doubted after three.
            CHECK(scene.near_context().now() - broken < (stack == Stack::quic ? 250ms : 2s));
        }
    }

    TEST_CASE("standby: losses on the new connection delay, and nothing more") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            StandbyScene scene(seed);
            scene.load(150);
            scene.world.after(
                50ms, [&] { scene.link.change([](sim::LinkOptions& each) { each.loss = 0.03; }); });
            std::function<void()> strike = [&] {
                if (!scene.ready()) return scene.world.after(1ms, [&] { strike(); });
                scene.drop(sim::udp);
            };
            scene.world.after(60ms + 1ms * static_cast<int>(seed * 31 % 70), [&] { strike(); });
            scene.finish(150);
        }
    }

    TEST_CASE("standby: one that dies silently is noticed and replaced") {
        for (const auto seed : seeds(4)) {
            CAPTURE(seed);
            StandbyScene scene(seed);
            scene.load(1);
            REQUIRE(scene.until([&] { return scene.ready(); }));
            const Address first = scene.association().transients()[1].path.local;
            scene.drop(sim::tcp);
            // A third of the idle timeout until it is asked, and three probe timeouts.
            REQUIRE(scene.until([&] { return !scene.ready(); }, 12s));
            scene.drop({});
            REQUIRE(scene.until([&] { return scene.ready(); }, 20s));
            CHECK(scene.association().transients()[1].path.local.port != first.port);
            scene.world.run_for(15s);
            CHECK(scene.ready());
            scene.drop(sim::udp);
            scene.near_carriers[0].send(scene.text(1), {}, scene.fates.watch());
            scene.near_carriers[1].send(scene.text(1), {}, scene.fates.watch());
            scene.near_carriers[2].send(scene.text(1), {}, scene.fates.watch());
            scene.finish(2);
            CHECK(scene.association().stack() == Stack::tls);
        }
    }

    TEST_CASE("standby: it dies first, and nobody has noticed when quic dies too") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            StandbyScene scene(seed);
            scene.load(1);
            REQUIRE(scene.until([&] { return scene.ready(); }));
            // Those that there are: new ones get through.
            const auto old = scene.association().transients()[1].path.local;
            const auto dead = [old](const sim::Packet& packet) {
                return packet.protocol == sim::Protocol::udp || packet.from == old ||
                       packet.to == old;
            };
            scene.drop(dead);
            for (Carrier& carrier : scene.near_carriers)
                for (std::size_t i = 1; i < 50; ++i)
                    carrier.send(scene.text(i), {}, scene.fates.watch());
            scene.finish(50);
            CHECK(scene.association().stack() == Stack::tls);
        }
    }

    TEST_CASE("standby: both die for a while") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            StandbyScene scene(seed);
            scene.load(150);
            scene.world.after(90ms + 1ms * static_cast<int>(seed % 40),
                              [&] { scene.drop(everything); });
            scene.world.after(200ms + 400ms * static_cast<int>(seed % 10), [&] { scene.drop({}); });
            scene.finish(150);
        }
    }

    TEST_CASE("standby: the server is gone for good, and all ends as it does without one") {
        StandbyScene scene(seed());
        scene.load(1);
        REQUIRE(scene.until([&] { return scene.ready(); }));
        scene.drop(everything);
        Fates late;
        scene.near_carriers[0].send("late", {}, late.watch());
        REQUIRE(scene.until([&] { return late.all(); }, 90s));
        CHECK(late.failed() == 1);
    }

    TEST_CASE("standby: a server that was started anew is told again, and only what may be") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            StandbyScene scene(seed);
            scene.load(1);
            REQUIRE(scene.until([&] { return scene.complete(1) && scene.ready(); }));
            // The process dies before it is doubted, and its goodbye over quic with it. What TCP
            // has of that comes later, on the standby.
            scene.drop(everything);
            Carrier& carrier = scene.near_carriers.front();
            carrier.send("once", {}, scene.fates.watch());
            carrier.send("twice", {.idempotent = true}, scene.fates.watch());
            scene.world.run_for(1ms * static_cast<int>(seed * 37 % 120));
            scene.far_carriers.clear();
            scene.listener = {};
            scene.server = std::make_unique<sim::Node>(scene.world, scene.far);
            Scene::hear(**scene.server, scene.server_unhandled);
            Texts got;
            scene.listener = scene.listen({.bounds = lasting});
            scene.listener.accept([&](Carrier taken) {
                gather(taken, got);
                scene.accepted.push_back(std::move(taken));
                return true;
            });
            scene.drop({});
            const bool told = scene.until([&] { return scene.fates.all() && got.size() == 1; },
                                          60s);
            INFO(scene.standing());
            REQUIRE(told);
            scene.fates.check();
            CHECK(got[0] == "twice");
            carrier.send("after", {}, scene.fates.watch());
            REQUIRE(scene.until([&] { return scene.fates.all() && got.size() == 2; }));
        }
    }

    TEST_CASE("standby: where TCP is blocked there is none, which is said, and costs little") {
        StandbyScene scene(seed());
        scene.drop(sim::tcp);
        scene.load(20);
        scene.finish(20);
        scene.world.run_for(5min);
        CHECK_FALSE(scene.ready());
        CHECK(scene.association().explain().find("no standby: ") != std::string::npos);
        CHECK(scene.association().stack() == Stack::quic);
        CHECK(scene.association().active());
        scene.drop({});
        REQUIRE(scene.until([&] { return scene.ready(); }, 80s));
        CHECK(scene.association().explain().find("; standby: tls to 10.0.0.2:4433") !=
              std::string::npos);
    }

    TEST_CASE("standby: a server without continuity gets none") {
        StandbyScene scene(seed(), 0, with_standby(), {.bounds = {.continuity = 0s}});
        scene.load(20);
        scene.finish(20);
        scene.world.run_for(1min);
        CHECK(scene.association().transients().size() == 1);
        CHECK(scene.association().explain().find("no standby: the server has Bounds::continuity") !=
              std::string::npos);
    }

    TEST_CASE("standby: what asks for one without need, or without a way, is refused") {
        Scene scene;
        const auto refused = [&](InitiateOptions options) {
            try {
                scene.initiate(std::move(options));
            } catch (const std::system_error& error) {
                return error.code() == Errc::invalid_argument;
            }
            return false;
        };
        InitiateOptions options = with_standby();
        options.policy.stacks = {Stack::quic};
        CHECK(refused(options));
        options = with_standby();
        options.bounds.continuity = Duration::zero();
        CHECK(refused(options));
        options = with_standby();
        options.bounds.keep_alive = Duration::zero();
        CHECK(refused(options));
        options = with_standby(100ms);
        options.policy.standby = false;
        CHECK(refused(options));
        CHECK(refused(with_standby(-1ms)));
    }

    TEST_CASE("standby: it goes to rest with its association, and comes again with it") {
        StandbyScene scene(seed());
        scene.load(5);
        scene.finish(5);
        REQUIRE(scene.until([&] { return scene.ready(); }));
        Carrier& carrier = scene.near_carriers.front();
        auto rest = carrier.deactivate();
        REQUIRE(scene.until([&] { return rest.ready(); }));
        CHECK_FALSE(rest.get().error());
        scene.world.run_for(1s);
        CHECK(scene.association().transients().empty());
        const auto sent = scene.link.there.counters().sent;
        scene.world.run_for(5min);
        CHECK(scene.link.there.counters().sent == sent);
        carrier.activate();
        REQUIRE(scene.until([&] { return scene.ready(); }));
        scene.drop(sim::udp);
        for (Carrier& each : scene.near_carriers) each.send(scene.text(5), {}, scene.fates.watch());
        scene.finish(6);
        CHECK(scene.association().stack() == Stack::tls);
    }

    TEST_CASE("standby: when the last Carrier is closed it goes with the connection") {
        StandbyScene scene(seed());
        scene.load(5);
        scene.finish(5);
        REQUIRE(scene.until([&] { return scene.ready(); }));
        for (Carrier& carrier : scene.near_carriers) carrier.close();
        scene.world.run_for(20s);
        const auto sent = scene.link.there.counters().sent + scene.link.back.counters().sent;
        scene.world.run_for(5min);
        CHECK(scene.link.there.counters().sent + scene.link.back.counters().sent == sent);
    }

    // TCP and IP headers and all. The sum is in the README.
    TEST_CASE("standby: what an idle one costs") {
        const auto bytes = [](bool standby) {
            InitiateOptions options = with_standby();
            options.policy.standby = standby;
            StandbyScene scene(seed(), 0, std::move(options));
            scene.load(5);
            scene.finish(5);
            scene.world.run_for(5s);
            CHECK(scene.ready() == standby);
            const auto sum = [&] {
                return scene.link.there.counters().sent_bytes +
                       scene.link.back.counters().sent_bytes;
            };
            const auto before = sum();
            scene.world.run_for(10min);
            CHECK(scene.ready() == standby);
            return std::pair(before, sum() - before);
        };
        const auto [begun, idle] = bytes(true);
        const auto [begun_without, idle_without] = bytes(false);
        MESSAGE("to make it ", begun - begun_without, " bytes, 10 idle minutes ",
                idle - idle_without, " bytes");
        CHECK(begun - begun_without < 6000);
        CHECK(idle - idle_without <= 60 * 250);
    }
}

}  // namespace post::test
