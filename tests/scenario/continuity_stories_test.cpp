// Continuity of single Carriers, while another connection is looked for, and with peers that have
// forgotten, or want none of it (FORMAT.md, 7.2).
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;

// Whoever listens for ones that outlive their connections.
ListenOptions lasting() { return {.bounds = {.continuity = 30s}}; }
// And who begins them.
InitiateOptions lasting(std::vector<Stack> all) {
    return {.policy = {.stacks = std::move(all)}, .bounds = {.continuity = 30s}};
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("continuity: race after race beside a connection leaves it what it has") {
        Scene scene(seed(), {.delay = one_way, .blackhole = {{.from = 200ms, .to = 12s}}});
        scene.collect(lasting());
        Carrier carrier = scene.initiate(lasting({Stack::tls}));
        Fates fates;
        for (int i = 0; i < 80; ++i)
            scene.world.after(5ms * i, [&] { carrier.send("hello", {}, fates.watch()); });
        REQUIRE(scene.until([&] { return fates.size() == 80 && fates.all(); }, 60s));
        fates.check();
        CHECK(fates.acked() == 80);
    }

    TEST_CASE("continuity: a race beside a connection says nothing about that one") {
        Scene scene(seed(), {.delay = one_way});
        scene.collect(lasting());
        Carrier carrier = scene.initiate(lasting({Stack::quic, Stack::tls}));
        Fates fates;
        const auto say = [&](const char* text) { carrier.send(text, {}, fates.watch()); };
        say("one");
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.link.set({.delay = one_way, .drop = sim::udp});
        say("two");
        REQUIRE(scene.until([&] { return fates.all(); }, 60s));
        CHECK(carrier.association().stack() == Stack::tls);
        scene.link.set({.delay = one_way, .down = true});
        say("three");
        scene.world.run_for(3s);
        CHECK(carrier.association().stack() == Stack::tls);
        scene.link.set({.delay = one_way, .drop = sim::udp});
        REQUIRE(scene.until([&] { return fates.all(); }, 60s));
        CHECK(carrier.association().stack() == Stack::tls);
        CHECK(fates.acked() == 3);
    }

    // It cannot be told from one that would go on, until it refuses.
    TEST_CASE("continuity: where the SETTINGS were lost of a server without it all begins anew") {
        Scene scene(seed(), {.delay = one_way});
        Texts got;
        scene.listener = scene.listen({.bounds = {.continuity = {}}});
        scene.listener.accept([&](Carrier carrier) {
            gather(carrier, got);
            scene.accepted.push_back(std::move(carrier));
            return true;
        });
        Carrier carrier = scene.initiate(lasting({Stack::quic, Stack::tls}));
        Ends ends;
        gather_end(carrier, ends);
        Fates fates;
        carrier.send("taken", {}, fates.watch());
        carrier.send("again", {.idempotent = true}, fates.watch());
        scene.world.after(29ms, [&] {
            // What was on its way arrives, and nobody hears of that.
            scene.link.there.options.drop = scene.link.back.options.drop = sim::udp;
        });
        scene.world.after(100ms, [&] { carrier.send("later", {.lifetime = 5min}, fates.watch()); });
        REQUIRE(scene.until([&] { return fates.size() == 3 && fates.all(); }, 90s));
        fates.check();
        CHECK(fates[0].failed == 1);
        CHECK(fates[0].maybe_delivered);
        CHECK(fates[1].acked == 1);
        CHECK(ends.empty());
        carrier.send("after", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[3].acked == 1);
        int taken = 0;
        for (std::size_t i = 0; i < got.size(); ++i) taken += got[i] == "taken";
        CHECK(taken == 1);
        CHECK(got[got.size() - 1] == "after");
    }

    TEST_CASE("continuity: with a patience of zero a broken connection ends its association") {
        Scene scene;
        scene.collect(lasting());
        InitiateOptions options = lasting({Stack::quic, Stack::tls});
        options.bounds.continuity = {};
        Carrier carrier = scene.initiate(std::move(options));
        Fates fates;
        carrier.send("one", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.link.set({.delay = one_way, .drop = sim::udp});
        carrier.send("two", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }, 40s));
        CHECK(fates[1].error == Errc::connection_lost);
        CHECK(fates[1].maybe_delivered);
    }

    TEST_CASE("continuity: what an aborted Carrier brought before the outage can still be read") {
        Scene scene;
        std::vector<Carrier> accepted;
        scene.listener = scene.listen(lasting());
        scene.listener.accept([&](Carrier carrier) {
            accepted.push_back(std::move(carrier));
            return true;
        });
        InitiateOptions options = lasting({Stack::quic, Stack::tls});
        Carrier carrier = scene.initiate(std::move(options));
        Carrier other = carrier.fork();
        Fates fates;
        carrier.send("kept", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.link.set({.delay = one_way, .drop = sim::udp});
        carrier.abort(AbortCode{7});
        other.send("on we go", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }, 60s));
        CHECK(fates.acked() == 2);
        CHECK(other.association().stack() == Stack::tls);
        const auto next = [&] {
            auto message = accepted.front().receive();
            REQUIRE(scene.until([&] { return message.ready(); }));
            return message.get();
        };
        auto kept = next();
        REQUIRE(kept);
        CHECK(kept->view() == "kept");
        CHECK(next().error() == Errc::carrier_reset);
    }

    TEST_CASE("continuity: a long message goes on where it was, and is whole") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = one_way, .rate = 80'000'000, .queue = 1000});
            std::string content(3'000'000, 'a');
            for (std::size_t i = 0; i < content.size(); i += 97)
                content[i] = static_cast<char>('b' + i % 20);
            Texts got;
            scene.listener = scene.listen(lasting());
            scene.listener.accept([&](Carrier carrier) {
                gather(carrier, got);
                scene.accepted.push_back(std::move(carrier));
                return true;
            });
            InitiateOptions options = lasting({Stack::quic, Stack::tls});
            Carrier carrier = scene.initiate(std::move(options));
            Fates fates;
            carrier.send(content, {.niceness = 1}, fates.watch());
            carrier.send("urgent", {}, fates.watch());
            scene.world.after(60ms + 10ms * static_cast<int>(seed % 25), [&] {
                scene.link.change([](sim::LinkOptions& each) { each.drop = sim::udp; });
            });
            REQUIRE(scene.until([&] { return fates.all() && got.size() == 2; }, 60s));
            fates.check();
            CHECK(fates.acked() == 2);
            CHECK(got[0] == "urgent");
            CHECK(got[1] == content);
        }
    }

    TEST_CASE("continuity: a server that was started anew is told again, and only what may be") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            Scene scene(seed);
            scene.collect(lasting());
            InitiateOptions options = lasting({Stack::quic, Stack::tls});
            Carrier carrier = scene.initiate(std::move(options));
            Fates fates;
            carrier.send("before", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            // The process dies, and its goodbye with it.
            scene.link.set({.delay = one_way, .down = true});
            carrier.send("once", {}, fates.watch());
            carrier.send("twice", {.idempotent = true}, fates.watch());
            scene.world.run_for(50ms);
            scene.accepted.clear();
            scene.listener = {};
            scene.server = std::make_unique<sim::Node>(scene.world, scene.far);
            Scene::hear(**scene.server, scene.server_unhandled);
            Texts got;
            scene.listener = scene.listen(lasting());
            scene.listener.accept([&](Carrier taken) {
                gather(taken, got);
                scene.accepted.push_back(std::move(taken));
                return true;
            });
            scene.link.set({.delay = one_way});
            REQUIRE(scene.until([&] { return fates.all(); }, 60s));
            fates.check();
            CHECK(fates[1].failed == 1);
            CHECK(fates[1].maybe_delivered);
            CHECK(fates[2].acked == 1);
            REQUIRE(got.size() == 1);
            CHECK(got[0] == "twice");
            carrier.send("after", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            CHECK(got.size() == 2);
        }
    }
}

}  // namespace post::test
