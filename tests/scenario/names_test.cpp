// From a name to a working Carrier: families, orders, failures, and the next candidate after the
// first one failed.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// Sends a message to `url` and waits until it is acked.
bool reaches(Scene& scene, const char* url, Duration limit = 30s) {
    auto carrier = scene.near_context().initiate(url, scene.pinned());
    Fates fates;
    carrier.send("hello", {}, fates.watch());
    const bool acked = scene.until([&] { return fates.all(); }, limit) && fates.acked() == 1;
    fates.check();
    return acked;
}

struct SixScene : Scene {
    explicit SixScene(std::uint64_t seed = test::seed()) : Scene(seed) {
        near.add_address("2001:db8::1");
        far.add_address("2001:db8::2");
        collect();
    }
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("hello by name, by IPv4 address and by IPv6 address") {
        for (auto seed : seeds(2)) {
            CAPTURE(seed);
            SixScene scene(seed);
            CHECK(reaches(scene, "post://server.test:4433"));
            CHECK(reaches(scene, "post://10.0.0.2:4433"));
            CHECK(reaches(scene, "post://[2001:db8::2]"));
            REQUIRE(scene.accepted.size() == 3);
            const auto paths = scene.accepted[2].association().paths();
            REQUIRE(paths.size() == 1);
            CHECK(paths[0].remote.family == Address::Family::v6);
        }
    }

    TEST_CASE("a name with both families is reached over IPv6 first") {
        SixScene scene;
        scene.world.name("dual.test", {"10.0.0.2", "2001:db8::2"});
        auto carrier = scene.near_context().initiate("post://dual.test", scene.pinned());
        auto active = carrier.activate();
        REQUIRE(scene.until([&] { return active.ready(); }));
        REQUIRE(active.get());
        CHECK(carrier.is_active());
        const auto paths = carrier.association().paths();
        REQUIRE(paths.size() == 1);
        CHECK(paths[0].remote == Address::parse("2001:db8::2", 4433));
    }

    TEST_CASE("one family of a name may fail, be empty, or come late") {
        using Fate = sim::NameFate;
        SixScene scene;
        scene.world.name("a.test", {"10.0.0.2"}, {.fate_v6 = Fate::server_failure});
        scene.world.name("b.test", {"10.0.0.2"}, {.fate_v6 = Fate::no_such_name});
        scene.world.name("c.test", {"10.0.0.2"}, {.fate_v6 = Fate::silent});
        scene.world.name("d.test", {"10.0.0.2"}, {.delay_v4 = 2s});
        scene.world.name("e.test", {"2001:db8::2"}, {.fate_v4 = Fate::server_failure});
        for (const char* url : {"post://a.test", "post://b.test", "post://c.test", "post://d.test",
                                "post://e.test"}) {
            CAPTURE(url);
            CHECK(reaches(scene, url));
        }
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("the second candidate is tried after the first refused") {
        Scene scene;
        scene.collect();
        auto& closed = scene.world.host("10.0.0.3");
        scene.world.link(scene.near, closed, {.delay = 10ms});
        scene.world.name("two.test", {"10.0.0.3", "10.0.0.2"});
        const Duration before = scene.world.elapsed();
        CHECK(reaches(scene, "post://two.test"));
        CHECK(scene.world.elapsed() - before < 1s);
    }

    TEST_CASE("the second candidate is tried after the first never answered") {
        Scene scene;
        scene.collect();
        auto& mute = scene.world.host("10.0.0.3");
        mute.silent = true;
        scene.world.link(scene.near, mute, {.delay = 10ms});
        scene.world.name("two.test", {"10.0.0.3", "10.0.0.2"});
        CHECK(reaches(scene, "post://two.test"));
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("the second candidate is tried when the first has the wrong certificate") {
        Scene scene;
        scene.collect();
        auto& other = scene.world.host("10.0.0.3");
        scene.world.link(scene.near, other, {.delay = 10ms});
        sim::Node impostor{scene.world, other};
        auto listener = impostor->listen(
            {.port = server_port, .identity = Identity::self_signed("impostor.test")});
        impostor->on_unhandled([](const Error&) {});
        int taken = 0;
        listener.accept([&](Carrier) {
            ++taken;
            return true;
        });
        scene.world.name("two.test", {"10.0.0.3", "10.0.0.2"});
        CHECK(reaches(scene, "post://two.test"));
        CHECK(taken == 0);
    }
}

}  // namespace post::test
