// What a wait for a message answers when none will come: the reason for it, be it the peer's good
// order, a lost connection, or one that never was.
#include "tests/scenario/scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("a receive that waits when the connection dies answers with what killed it") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto waiting = carrier.receive();
        auto second = carrier.receive();
        scene.link.change([](sim::LinkOptions& options) { options.down = true; });
        REQUIRE(scene.until([&] { return waiting.ready() && second.ready(); }, 2min));
        for (auto* one : {&waiting, &second}) {
            const Error error = one->get().error();
            CHECK(error == Errc::connection_lost);
            CHECK(error.stage == Stage::established);
        }
        auto late = carrier.receive();
        REQUIRE(late.ready());
        CHECK(late.get().error() == Errc::connection_lost);
        // Who asks late hears it too.
        std::vector<Error> ends;
        carrier.on_closed([&](const Error& error) { ends.push_back(error); });
        CHECK(ends.empty());
        REQUIRE(scene.until([&] { return !ends.empty(); }));
        CHECK(ends[0] == Errc::connection_lost);
        CHECK(scene.unhandled.empty());  // the application took it
    }

    TEST_CASE("a receive that waits for a refused connection answers with the refusal") {
        if (!secured()) return;  // nobody is refused
        Scene scene;
        scene.collect();
        const auto trust = Trust::pinned(Identity::self_signed("other.test").pin());
        auto carrier = scene.near_context().initiate(
            "post://server.test:4433", {.policy = policy_of_stories(), .trust = trust});
        carrier.send("hello");
        auto waiting = carrier.receive();
        REQUIRE(scene.until([&] { return waiting.ready(); }));
        const Error error = waiting.get().error();
        CHECK(error == Errc::certificate_pin);
        CHECK(error.stage == Stage::verify);
        scene.world.run_for(1s);
        CHECK(scene.unhandled.size() == 1);  // a loop over receive() would not look at it
    }

    TEST_CASE("a receive behind the peer's good end answers carrier_closed") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto waiting = carrier.receive();
        scene.accepted[0].send("bye", {.final = true});
        REQUIRE(scene.until([&] { return waiting.ready(); }));
        CHECK(waiting.get().value().content() == "bye");
        auto behind = carrier.receive();
        REQUIRE(scene.until([&] { return behind.ready(); }));
        CHECK(behind.get().error() == Errc::carrier_closed);
        carrier.close();
        scene.accepted[0].close();
        auto late = carrier.receive();
        REQUIRE(scene.until([&] { return late.ready(); }));
        CHECK(late.get().error() == Errc::carrier_closed);
    }
}

}  // namespace post::test
