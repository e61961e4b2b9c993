// Lifetimes, niceness and priority: what is late is not sent, what is begun is cut, and what is
// urgent overtakes.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// What arrived, by its first letter, in the order in which it was whole.
std::string letters(const Texts& texts) {
    std::string all;
    for (const auto& text : texts.all()) all += text[0];
    return all;
}

const std::string large(400'000, 'L');

struct Slow : Scene {
    // 2 Mbit/s: the large message takes 1.6 s.
    explicit Slow(std::uint64_t seed, double loss = 0)
        : Scene(seed, {.delay = 20ms, .rate = 2'000'000, .loss = loss}) {
        collect();
        carrier = initiate();
        carrier.send("0");
        REQUIRE(until([&] { return accepted.size() == 1; }));
        gather(accepted[0], got);
        REQUIRE(until([&] { return got.size() == 1; }));
        got.clear();
    }
    Carrier carrier;
    Texts got;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a message whose lifetime ends while it waits is expired and skipped") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Slow scene(seed, 0.02);
            Fates fates;
            scene.carrier.send(large, {}, fates.watch());
            scene.carrier.send("A", {.lifetime = 100ms}, fates.watch());
            scene.carrier.send("B", {.lifetime = 60s}, fates.watch());
            scene.carrier.send("C", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }, 30s));
            fates.check();
            CHECK(fates[1].expired == 1);
            CHECK(fates[1].sent == 0);
            CHECK(fates[1].error == Errc::expired);
            CHECK(fates.acked() == 3);
            CHECK(letters(scene.got) == "LBC");
        }
    }

    TEST_CASE("a begun message whose lifetime ends is cut, and no part of it is shown") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Slow scene(seed, 0.02);
            Fates fates;
            scene.carrier.send(large, {.lifetime = 400ms}, fates.watch());
            scene.carrier.send("A", {}, fates.watch());
            scene.carrier.send(large, {}, fates.watch());
            const Duration before = scene.world.elapsed();
            REQUIRE(scene.until([&] { return fates[0].last_words() == 1; }));
            CHECK(scene.world.elapsed() - before < 410ms);
            REQUIRE(scene.until([&] { return fates.all(); }, 30s));
            fates.check();
            CHECK(fates[0].expired == 1);
            CHECK(letters(scene.got) == "AL");
            CHECK(scene.got[1] == large);
        }
    }

    TEST_CASE("a lifetime ends while the connection is being made") {
        Scene scene(seed(), {.delay = 100ms});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        carrier.send("A", {.lifetime = 50ms}, fates.watch());
        carrier.send("B", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
        CHECK(fates[0].expired == 1);
        CHECK(fates[1].acked == 1);
        Texts got;
        gather(scene.accepted[0], got);
        scene.world.run_for(1s);
        CHECK(letters(got) == "B");
    }

    TEST_CASE("after its last byte is in a packet a message expires no more") {
        Slow scene(seed());
        Fates fates;
        scene.link.change([](sim::LinkOptions& options) { options.down = true; });
        scene.carrier.send("A", {.lifetime = 100ms}, fates.watch());
        scene.world.run_for(2s);
        CHECK_FALSE(fates.all());
        scene.link.change([](sim::LinkOptions& options) { options.down = false; });
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[0].acked == 1);
        CHECK(letters(scene.got) == "A");
    }

    TEST_CASE("a negative lifetime is refused") {
        Slow scene(seed());
        Fates fates;
        auto sending = scene.carrier.send("A", {.lifetime = -1ms}, fates.watch());
        REQUIRE(sending.ready());
        CHECK(sending.get().error() == Errc::invalid_argument);
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[0].error == Errc::invalid_argument);
    }

    TEST_CASE("an urgent message overtakes a large one of the same Carrier") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Slow scene(seed, 0.01);
            Fates fates;
            scene.carrier.send(large, {.niceness = 1}, fates.watch());
            scene.world.run_for(300ms);
            scene.carrier.send("U", {}, fates.watch());
            const Duration before = scene.world.elapsed();
            REQUIRE(scene.until([&] { return scene.got.size() == 1; }));
            CHECK(letters(scene.got) == "U");
            // Behind what stands in the bottleneck's queue and a lost packet, not behind 400 kB.
            CHECK(scene.world.elapsed() - before < 700ms);
            REQUIRE(scene.until([&] { return fates.all(); }, 30s));
            CHECK(fates.acked() == 2);
            CHECK(scene.got[1] == large);
        }
    }

    TEST_CASE("niceness orders what waits, and keeps the order inside a class") {
        Scene scene(seed(), {.delay = 50ms});
        scene.collect();
        auto carrier = scene.initiate();
        std::uint32_t nice = 0;
        for (const char* text : {"e", "c", "a", "f", "d", "b", "g"}) {
            static constexpr std::uint32_t classes[] = {70, 63, 0, 100, 63, 0, 64};
            carrier.send(text, {.niceness = classes[nice++]});
        }
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Texts got;
        gather(scene.accepted[0], got);
        REQUIRE(scene.until([&] { return got.size() == 7; }));
        CHECK(letters(got).substr(0, 2) == "ab");
        CHECK(letters(got).find('c') < letters(got).find('d'));
    }

    TEST_CASE("a Carrier with a smaller priority number goes first") {
        Slow scene(seed());
        auto bulk = scene.carrier.fork({.priority = 5});
        auto urgent = scene.carrier.fork({.priority = 1});
        Fates bulk_fates, urgent_fates;
        bulk.send(large, {}, bulk_fates.watch());
        scene.world.run_for(200ms);
        urgent.send(std::string(100'000, 'U'), {}, urgent_fates.watch());
        // The server takes what it accepts.
        Texts got;
        for (int i = 0; i < 200 && (!bulk_fates.all() || !urgent_fates.all()); ++i) {
            scene.world.run_for(50ms);
            for (auto& carrier : scene.accepted)
                if (carrier.id() != scene.carrier.id()) gather(carrier, got);
        }
        CHECK(letters(got) == "UL");
        bulk_fates.check();
        urgent_fates.check();
    }

    TEST_CASE("the receiver sees niceness, the idempotent mark and the final one") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("a", {.niceness = 2, .idempotent = true});
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        carrier.send("b", {.final = true});
        auto first = scene.accepted[0].receive();
        REQUIRE(scene.until([&] { return first.ready(); }));
        auto a = first.get().value();
        CHECK(a.niceness() == Niceness{2});
        CHECK(a.idempotent());
        CHECK_FALSE(a.final());
        auto second = scene.accepted[0].receive();
        REQUIRE(scene.until([&] { return second.ready(); }));
        auto b = second.get().value();
        CHECK(b.final());
        CHECK(b.niceness() == Niceness{0});
        auto third = scene.accepted[0].receive();
        REQUIRE(scene.until([&] { return third.ready(); }));
        CHECK(third.get().error() == Errc::carrier_closed);
    }
}

}  // namespace post::test
