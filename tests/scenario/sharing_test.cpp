// Who shares an Association with whom, how long one lives without Carriers, and when run() and
// shutdown() are done.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

bool activate(Scene& scene, Carrier& carrier) {
    auto active = carrier.activate();
    return scene.until([&] { return active.ready(); }) && active.get();
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("Carriers to the same Remote share the Association, also while it is being made") {
        Scene scene;
        scene.collect();
        auto first = scene.initiate();
        auto second = scene.initiate();
        CHECK(first.association() == second.association());
        first.send("first");
        second.send("second");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        CHECK(scene.accepted[0].association() == scene.accepted[1].association());
        auto third = scene.initiate();
        third.send("third");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 3; }));
        CHECK(third.association() == first.association());
        CHECK(first.association().carriers() == 3);
        CHECK(first.id() != second.id());
        CHECK(first.transients().size() == 1);
        const Stack stack = stack_of_stories();
        CHECK(first.transients()[0].alpn == (stack == Stack::quic        ? "post-quic/1"
                                             : stack == Stack::sctp_dtls ? "post-sctp/1"
                                             : stack == Stack::tls       ? "post-qmux/1"
                                                                         : ""));
    }

    TEST_CASE("another trust, protocol, identity, bound or Remote makes another Association") {
        Scene scene;
        scene.collect({.alpn = {"echo"}});
        auto base = scene.initiate();
        std::vector<Carrier> others;
        Context& context = scene.near_context();
        others.push_back(context.initiate("post://server.test", {.trust = Trust::danger_anyone()}));
        others.push_back(scene.initiate({.alpn = "echo"}));
        others.push_back(scene.initiate({.local = {.identity = Identity::self_signed("me")}}));
        others.push_back(scene.initiate({.bounds = {.idle_timeout = 20s}}));
        others.push_back(context.initiate("post://10.0.0.2:4433", scene.pinned()));
        Remote renamed("post://server.test:4433");
        renamed.set_server_name("other.test");
        others.push_back(context.initiate(renamed, scene.pinned()));
        REQUIRE(activate(scene, base));
        for (std::size_t i = 0; i < others.size(); ++i) {
            CAPTURE(i);
            CHECK(activate(scene, others[i]));
            CHECK_FALSE(others[i].association() == base.association());
            for (std::size_t k = 0; k < i; ++k)
                CHECK_FALSE(others[i].association() == others[k].association());
        }
        // All of them through one port of the client's.
        CHECK(base.association().paths()[0].local.port ==
              others[0].association().paths()[0].local.port);
    }

    TEST_CASE("an Association without Carriers is closed after five seconds") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        Ends ends, theirs;
        gather_end(carrier, ends);
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Association association = carrier.association();
        const Association there = scene.accepted[0].association();
        scene.accepted[0].on_closed([theirs](const Error& error) { theirs.push_back(error); });
        carrier.close();
        Texts got;
        gather(scene.accepted[0], got);
        scene.accepted.clear();
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::carrier_closed);
        CHECK(association.active());
        scene.world.run_for(4900ms);
        CHECK(association.active());
        scene.world.run_for(200ms);
        CHECK_FALSE(association.active());
        scene.world.run_for(1s);
        CHECK_FALSE(there.active());
        CHECK(scene.unhandled.empty());
        CHECK(scene.server_unhandled.empty());
        // And everything comes to rest.
        CHECK(scene.world.run_until_quiet(60s));
        // The next Carrier makes a new one.
        auto again = scene.initiate();
        CHECK_FALSE(again.association() == association);
        CHECK(activate(scene, again));
    }

    TEST_CASE("a Carrier within the five seconds keeps the Association") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        REQUIRE(activate(scene, carrier));
        const Association association = carrier.association();
        carrier.abort();
        scene.world.run_for(3s);
        auto again = scene.initiate();
        CHECK(again.association() == association);
        scene.world.run_for(10s);
        CHECK(association.active());
    }

    TEST_CASE("run() returns when nothing is left, and closes the idle Associations at once") {
        Scene scene;
        scene.echo();
        Texts got;
        {
            auto carrier = scene.initiate();
            carrier.send("hello");
            carrier.ready([got](Carrier&, InMessage message) {
                got.push_back(message.content().string());
                return false;
            });
        }
        const Duration before = scene.world.elapsed();
        scene.near_context().run();
        CHECK(got.size() == 1);
        CHECK(scene.world.elapsed() - before < 1s);
        scene.world.run_for(100ms);
        CHECK(scene.world.run_until_quiet(1s));
        CHECK(scene.unhandled.empty());
        CHECK(scene.server_unhandled.empty());
    }

    TEST_CASE(
        "run() waits for what is unacknowledged, registered or awaited, and for nothing else") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        scene.near_context().run();  // an idle handle keeps nobody
        CHECK(scene.world.elapsed() == 0s);
        Fates fates;
        carrier.send("hello", {}, fates.watch());
        scene.near_context().run();
        CHECK(fates.acked() == 1);
        REQUIRE(scene.accepted.size() == 1);
        auto answer = carrier.receive();
        scene.world.after(3s, [&] { scene.accepted[0].send("late"); });
        scene.near_context().run();
        CHECK(answer.ready());
        scene.world.after(1s, [&] { scene.near_context().stop(); });
        carrier.accept([](Carrier) { return true; });
        const Duration before = scene.world.elapsed();
        scene.near_context().run();
        CHECK(scene.world.elapsed() - before >= 1s);
        // A dropped operation is awaited by nobody.
        carrier.accept({});
        { auto dropped = carrier.receive(); }
        scene.near_context().run();
    }

    TEST_CASE("shutdown waits for what was sent") {
        Scene scene(seed(), {.delay = 10ms, .rate = 2'000'000});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        carrier.send(std::string(200'000, 's'), {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Texts got;
        gather(scene.accepted[0], got);
        CHECK(scene.near_context().shutdown(10s));
        CHECK(fates.acked() == 1);
        fates.check();
        CHECK(scene.until([&] { return got.size() == 1; }));
    }

    TEST_CASE("shutdown waits no longer than it is told") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        carrier.send("one", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.link.change([](sim::LinkOptions& options) { options.down = true; });
        carrier.send("two", {}, fates.watch());
        const Duration before = scene.world.elapsed();
        CHECK_FALSE(scene.near_context().shutdown(2s));
        CHECK(scene.world.elapsed() - before >= 2s);
        CHECK(scene.world.elapsed() - before < 3s);
        CHECK(fates.all());
        fates.check();
    }
}

}  // namespace post::test
