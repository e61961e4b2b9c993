// Hot standby: a connection of TLS stands beside the one in use, and takes its place within a round
// trip (FORMAT.md, 7.3). And redundancy: what must not be late goes over both.
#include <algorithm>
#include <map>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;
constexpr Duration trip = 2 * one_way;
constexpr Bounds lasting = {.continuity = 30s};

InitiateOptions with_standby(Duration redundant_below = {}) {
    return {.policy = {.stacks = {Stack::quic, Stack::tls},
                       .standby = true,
                       .redundant_below = redundant_below},
            .bounds = lasting};
}

// A client with a standby that sends numbered messages on several Carriers, and a server that sends
// as many back.
struct Pair : Scene {
    explicit Pair(std::uint64_t seed, double loss = 0, InitiateOptions options = with_standby(),
                  ListenOptions server_options = {.bounds = lasting})
        : Scene(seed, {.delay = one_way, .loss = loss}) {
        listener = listen(std::move(server_options));
        listener.accept([this](Carrier carrier) {
            far_carriers.push_back(std::move(carrier));
            const std::size_t number = far_carriers.size() - 1;
            far_carriers.back().ready([this, number](Carrier& self, InMessage message) {
                std::string content = std::move(message).content().string();
                arrived((**server).now(), far_got[number], content);
                self.send(std::move(content), {}, fates.watch());
                return true;
            });
            return true;
        });
        options.trust = Trust::pinned(identity.pin());
        near_carriers.push_back(
            near_context().initiate("post://10.0.0.2:4433", std::move(options)));
        for (int i = 0; i < 2; ++i) near_carriers.push_back(near_carriers.front().fork());
        for (std::size_t i = 0; i < near_carriers.size(); ++i)
            near_carriers[i].ready([this, i](Carrier&, InMessage message) {
                arrived((**client).now(), near_got[i], std::move(message).content().string());
                return true;
            });
    }
    void arrived(Instant now, std::vector<std::string>& got, std::string content) {
        got.push_back(std::move(content));
        // What was on its way is there after one delay.
        if (broken != never && first_after == never && now > broken + one_way) first_after = now;
    }
    Association association() const { return near_carriers.front().association(); }
    bool ready() const {
        const auto all = association().transients();
        return all.size() == 2 && all[0].active && !all[1].active && all[1].stack == Stack::tls;
    }
    // Sends the messages up to `count` on each Carrier, one every millisecond.
    void load(std::size_t count, std::size_t first = 0) {
        for (std::size_t i = first; i < count; ++i)
            world.after(1ms * static_cast<int>(i - first), [this, i] {
                for (Carrier& carrier : near_carriers) carrier.send(text(i), {}, fates.watch());
            });
    }
    std::string text(std::size_t i) const {
        // Some need more than a packet.
        return std::to_string(i) + (heavy && i % 7 == 0 ? std::string(5000, 'x') : std::string());
    }
    void drop(std::function<bool(const sim::Packet&)> which) {
        link.change([&](sim::LinkOptions& options) { options.drop = which; });
    }
    bool complete(std::size_t count) const {
        const auto all = [&](const auto& got) {
            return std::all_of(got.begin(), got.end(),
                               [&](const auto& one) { return one.second.size() >= count; });
        };
        return far_got.size() == near_carriers.size() && near_got.size() == near_carriers.size() &&
               all(far_got) && all(near_got);
    }
    // Where it stands, for who has to find out why.
    std::string standing() const {
        std::string text = "at " + std::to_string(world.elapsed().count() / 1'000'000) + " ms, " +
                           association().explain().substr(0, association().explain().find('\n'));
        for (const auto& [number, got] : far_got)
            text += "; far " + std::to_string(number) + ": " + std::to_string(got.size());
        for (const auto& [number, got] : near_got)
            text += "; near " + std::to_string(number) + ": " + std::to_string(got.size());
        text += "; acked " + std::to_string(fates.acked()) + " of " + std::to_string(fates.size()) +
                ", failed " + std::to_string(fates.failed());
        for (std::size_t i = 0; i < fates.size(); ++i)
            if (fates[i].error) return text + ", first with: " + fates[i].error.message();
        return text;
    }
    void check(std::size_t count) const {
        for (const auto* side : {&far_got, &near_got})
            for (const auto& [number, got] : *side) {
                CAPTURE(number);
                REQUIRE(got.size() == count);
                for (std::size_t i = 0; i < count; ++i) CHECK(got[i] == text(i));
            }
        fates.check();
        CHECK(static_cast<std::size_t>(fates.acked()) == 2 * count * near_carriers.size());
        for (const Error& error : unhandled) FAIL_CHECK(error.message());
        for (const Error& error : server_unhandled) FAIL_CHECK(error.message());
    }
    void finish(std::size_t count) {
        const bool whole = until([&] { return complete(count) && fates.all(); }, 90s);
        INFO(standing());
        REQUIRE(whole);
        check(count);
    }

    std::vector<Carrier> near_carriers;
    std::vector<Carrier> far_carriers;
    std::map<std::size_t, std::vector<std::string>> near_got;
    std::map<std::size_t, std::vector<std::string>> far_got;
    Fates fates;
    bool heavy = true;
    Instant broken = never;
    Instant first_after = never;
};

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
                Pair scene(seed);
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
            Pair scene(seed(), 0, std::move(options));
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
            Pair scene(seed);
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
            Pair scene(seed);
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
            CHECK(scene.far_context().now() > Instant{});
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
            Pair scene(seed);
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
            Pair scene(seed);
            scene.load(150);
            scene.world.after(90ms + 1ms * static_cast<int>(seed % 40),
                              [&] { scene.drop(everything); });
            scene.world.after(200ms + 400ms * static_cast<int>(seed % 10), [&] { scene.drop({}); });
            scene.finish(150);
        }
    }

    TEST_CASE("standby: the server is gone for good, and all ends as it does without one") {
        Pair scene(seed());
        scene.load(1);
        REQUIRE(scene.until([&] { return scene.ready(); }));
        scene.drop(everything);
        Fates late;
        scene.near_carriers[0].send("late", {}, late.watch());
        REQUIRE(scene.until([&] { return late.all(); }, 90s));
        CHECK(late.failed() == 1);
    }

    TEST_CASE("standby: where TCP is blocked there is none, which is said, and costs little") {
        Pair scene(seed());
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
        Pair scene(seed(), 0, with_standby(), {.bounds = {.continuity = 0s}});
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
        Pair scene(seed());
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
        Pair scene(seed());
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
            Pair scene(seed(), 0, std::move(options));
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

    TEST_CASE("redundancy: what must not be late is there half a trip later, whatever quic does") {
        for (const auto seed : seeds(20)) {
            CAPTURE(seed);
            Pair scene(seed, 0, with_standby(500ms));
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
            Pair scene(seed, 0, with_standby(10s));
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
            Pair scene(seed, 0, with_standby(10s));
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
