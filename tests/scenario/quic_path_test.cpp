// What QUIC learns of its path and makes of it: packet sizes, congestion marks, and a client whose
// address changes.

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

Path path_of(const Carrier& carrier) { return carrier.association().paths().at(0); }

// A server that counts what it gets.
struct Tally {
    explicit Tally(Scene& scene, ListenOptions options = {}) {
        scene.listener = scene.listen(std::move(options));
        scene.listener.accept([this](Carrier carrier) {
            carrier.ready([this](Carrier&, InMessage message) {
                bytes += message.content().size();
                ++messages;
                return true;
            });
            return true;
        });
    }
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("packets grow to the MTU of the link, or to what the options say") {
        for (std::size_t mtu : {std::size_t{1280}, std::size_t{1500}, std::size_t{9000}}) {
            CAPTURE(mtu);
            Scene scene(seed(), {.delay = 10ms, .mtu = mtu});
            Tally got(scene);
            auto carrier = scene.initiate();
            carrier.send("hello");
            scene.world.run_for(2s);
            CHECK(path_of(carrier).mtu == mtu - 28);
            CHECK(scene.link.there.counters().too_big == 0);
            auto capped = scene.initiate({.quic = {.largest_payload = 1240}});
            capped.send("hello");
            scene.world.run_for(2s);
            CHECK(path_of(capped).mtu == 1240);
        }
    }

    TEST_CASE("on a short path an answer and the acknowledgement of its question share a packet") {
        Scene scene(seed(), {.delay = 20us});
        scene.listener = scene.listen();
        scene.listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& from, InMessage message) {
                from.send(message.content());
                return true;
            });
            return true;
        });
        auto carrier = scene.initiate();
        int trips = 0;
        carrier.ready([&](Carrier& from, InMessage message) {
            ++trips;
            from.send(message.content());
            return true;
        });
        carrier.send("over and over");
        // The estimate of the round trip begins at a third of a second.
        REQUIRE(scene.until([&] { return trips >= 200; }));
        const auto sent = [&] {
            return scene.link.there.counters().sent + scene.link.back.counters().sent;
        };
        const auto before = sent();
        const int first = trips;
        REQUIRE(scene.until([&] { return trips >= first + 1000; }));
        CHECK(sent() - before <= 2 * 1000 + 20);
    }

    TEST_CASE("a round trip that grows past a millisecond stops nothing") {
        Scene scene(seed(), {.delay = 400us});
        Tally got(scene);
        auto carrier = scene.initiate();
        const auto send = [&] { carrier.send(std::string(100'000, 'x')); };
        for (std::uint64_t i = 0; i < 100; ++i) {
            send();
            REQUIRE(scene.until([&] { return got.messages == i + 1; }, 1s));
        }
        scene.link.change([](sim::LinkOptions& link) { link.delay = 600us; });
        for (std::uint64_t i = 100; i < 200; ++i) {
            CAPTURE(i);
            send();
            CHECK(scene.until([&] { return got.messages == i + 1; }, 20ms));
        }
    }

    TEST_CASE("a window does not leave as one burst") {
        Scene scene(seed(), {.delay = 50ms, .rate = 100'000'000, .queue = 20});
        Tally got(scene);
        auto carrier = scene.initiate();
        carrier.send("hello");
        scene.world.run_for(1s);
        carrier.send(std::string(400'000, 'x'));
        CHECK(scene.until([&] { return got.messages == 2; }, 2s));
        CHECK(scene.link.there.counters().queue_full == 0);
    }

    TEST_CASE("an interface of large frames before a path of small ones is found out") {
        Scene scene(seed(), {.delay = 10ms, .mtu = 9000});
        scene.link.change([](sim::LinkOptions& link) {
            link.drop = [](const sim::Packet& packet) { return packet.size() > 1500; };
        });
        Tally got(scene);
        auto carrier = scene.initiate();
        carrier.send(std::string(1'000'000, 'x'));
        CHECK(scene.until([&] { return got.messages == 1; }));
        scene.world.run_for(5s);
        CHECK(path_of(carrier).mtu == 1452);
    }

    TEST_CASE("a transfer survives an MTU that shrinks in mid-flow, and uses it when it is back") {
        Scene scene(seed(), {.delay = 10ms, .rate = 50'000'000, .queue = 200});
        Tally got(scene);
        // Else another connection may take over before this one has found out.
        auto carrier = scene.initiate({.bounds = {.continuity = {}}});
        const auto send = [&] { carrier.send(std::string(500'000, 'x')); };
        send();
        REQUIRE(scene.until([&] { return got.messages == 1; }));
        scene.world.run_for(1s);
        CHECK(path_of(carrier).mtu == 1472);
        scene.link.change([](sim::LinkOptions& link) { link.mtu = 1300; });
        send();
        CHECK(scene.until([&] { return got.messages == 2; }, 10s));
        CHECK(path_of(carrier).mtu == 1200);
        scene.link.change([](sim::LinkOptions& link) { link.mtu = 1500; });
        scene.world.run_for(11s);
        send();
        CHECK(scene.until([&] { return got.messages == 3; }, 10s));
        CHECK(path_of(carrier).mtu == 1472);
    }

    TEST_CASE("congestion marks are sent, proved, and slow the sender down") {
        const auto passed_in = [](double mark) {
            Scene scene(seed(),
                        {.delay = 10ms, .rate = 20'000'000, .queue = 1000, .ecn_mark = mark});
            Tally got(scene);
            auto carrier = scene.initiate({.bounds = {.send_budget = 64 * 1024 * 1024}});
            for (int i = 0; i < 100; ++i) carrier.send(std::string(100'000, 'x'));
            scene.world.run_for(4s);
            CHECK(path_of(carrier).ecn);
            CHECK(scene.link.there.counters().lost == 0);
            if (mark > 0) CHECK(scene.link.there.counters().marked > 10);
            return got.bytes;
        };
        const auto unmarked = passed_in(0);
        CHECK(unmarked > 5'000'000);
        CHECK(passed_in(0.05) < unmarked / 2);
    }

    TEST_CASE("marks that a path removes are given up") {
        Scene scene(seed(), {.delay = 10ms, .ecn_bleach = true});
        Tally got(scene);
        auto carrier = scene.initiate();
        carrier.send(std::string(1'000'000, 'x'));
        REQUIRE(scene.until([&] { return got.messages == 1; }));
        CHECK_FALSE(path_of(carrier).ecn);
    }

    TEST_CASE("a client whose port changes goes on, and one whose address changes too") {
        for (bool address : {false, true}) {
            CAPTURE(address);
            Scene scene;
            scene.near.add_address("10.0.0.9");
            scene.collect();
            auto carrier = scene.initiate();
            carrier.send("before");
            Texts texts;
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            gather(scene.accepted[0], texts);
            const auto before = path_of(scene.accepted[0]).remote;
            if (address)
                scene.world.rebind(scene.near, "10.0.0.9");
            else
                scene.world.rebind(scene.near);
            carrier.send("after");
            CHECK(scene.until([&] { return texts.size() == 2; }));
            scene.world.run_for(2s);
            CHECK(path_of(scene.accepted[0]).remote != before);
            Texts back;
            gather(carrier, back);
            scene.accepted[0].send("the other way");
            CHECK(scene.until([&] { return back.size() == 1; }));
            CHECK(scene.unhandled.empty());
        }
    }
}

}  // namespace post::test
