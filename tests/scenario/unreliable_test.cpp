// Messages that need not be reliable: lost ones have their fate and are not sent again, a receiver
// without room drops them, and they share a path with bulk like any other.
#include <algorithm>
#include <set>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

const SendOptions unreliable{.ordered = false, .reliable = false};

struct Loose : Scene {
    explicit Loose(std::uint64_t seed, const sim::LinkOptions& both = {.delay = 10ms})
        : Scene(seed, both) {
        collect();
        carrier = initiate();
        carrier.send("first");
        REQUIRE(until([&] { return accepted.size() == 1; }));
    }
    // The next one in line: a number and `size` bytes.
    void send(std::size_t size, SendOptions options = unreliable) {
        std::string text = std::to_string(fates.size()) + ':' + std::string(size, 'x');
        sendings.push_back(carrier.send(std::move(text), std::move(options), fates.watch()));
    }
    // From now on what the server gets is counted, by its number.
    void read() {
        accepted[0].ready([this](Carrier&, InMessage message) {
            const std::string text = message.content().string();
            if (text != "first") got.insert(std::stoul(text));
            return true;
        });
    }
    // Every message has its one fate, and what is said of it is so.
    void check() {
        fates.check();
        for (std::size_t i = 0; i < fates.size(); ++i) {
            CAPTURE(i);
            CHECK(got.count(i) <= 1);
            if (fates[i].acked) CHECK(got.count(i) == 1);
            if (fates[i].expired) CHECK(fates[i].error == Errc::expired);
            if (fates[i].expired && !fates[i].maybe_delivered) CHECK(got.count(i) == 0);
        }
    }

    Carrier carrier;
    Fates fates;
    std::vector<Sending> sendings;
    std::multiset<std::size_t> got;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("unreliable: what is lost expires, once, and is never shown") {
        for (auto seed : seeds(5)) {
            CAPTURE(seed);
            Loose scene(seed, {.delay = 20ms, .rate = 10'000'000, .loss = 0.05});
            scene.world.run_for(1s);
            scene.read();
            CHECK(scene.carrier.association().explain(Feature::unreliable).level ==
                  Support::Level::native);
            for (int i = 0; i < 1000; ++i) {
                scene.send(static_cast<std::size_t>(i % 900));
                if (i % 10 == 0) scene.world.run_for(5ms);
            }
            REQUIRE(scene.until([&] { return scene.fates.all(); }, 30s));
            scene.check();
            CHECK(scene.fates.failed() == 0);
            CHECK(scene.fates.expired() > 10);
            CHECK(scene.fates.expired() < 150);
            // No packet overtakes another here, so what counts as lost is.
            for (std::size_t i = 0; i < scene.fates.size(); ++i) {
                if (scene.fates[i].expired == 0) continue;
                CHECK(scene.fates[i].maybe_delivered);
                CHECK(scene.fates[i].error.detail.string().find("lost") != std::string::npos);
            }
            // But on SCTP: what was on its way when a retransmission is due counts as lost.
            const auto acked = static_cast<std::size_t>(scene.fates.acked());
            CHECK(scene.got.size() >= acked);
            if (stack_of_stories() == Stack::quic) CHECK(scene.got.size() == acked);
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("unreliable: beside ordered messages on a bad path, each in its way") {
        for (auto seed : seeds(10)) {
            CAPTURE(seed);
            Loose scene(seed, {.delay = 10ms,
                               .jitter = 15ms,
                               .rate = 10'000'000,
                               .loss = 0.03,
                               .duplicate = 0.02});
            // Not sooner: a wrong bit in the handshake of DTLS 1.2, which travels in the clear,
            // ends it (RFC 5246, 7.2.2).
            scene.link.change([](sim::LinkOptions& link) { link.corrupt = 0.01; });
            std::vector<std::size_t> in_order;
            scene.accepted[0].ready([&](Carrier&, InMessage message) {
                const std::string text = message.content().string();
                if (text == "first") return true;
                scene.got.insert(std::stoul(text));
                if (std::stoul(text) % 3 == 0) in_order.push_back(std::stoul(text));
                return true;
            });
            for (std::size_t i = 0; i < 600; ++i) {
                const Niceness niceness = static_cast<std::uint32_t>(i % 2);
                if (i % 3 == 0)
                    scene.send(i * 7 % 3000, {.lifetime = 60s});
                else
                    scene.send(i % 1000,
                               {.niceness = niceness, .ordered = false, .reliable = false});
                if (i % 20 == 0) scene.world.run_for(5ms);
            }
            REQUIRE(scene.until([&] { return scene.fates.all(); }, 60s));
            scene.check();
            CHECK(scene.fates.failed() == 0);
            for (std::size_t i = 0; i < 600; i += 3) CHECK(scene.fates[i].acked == 1);
            CHECK(in_order.size() == 200);
            CHECK(std::is_sorted(in_order.begin(), in_order.end()));
        }
    }

    TEST_CASE("unreliable: the end of a Carrier is behind all that was sent on it") {
        for (auto seed : seeds(20)) {
            CAPTURE(seed);
            Loose scene(seed, {.delay = 10ms, .jitter = 20ms});
            scene.world.run_for(1s);
            scene.read();
            Ends ends;
            gather_end(scene.accepted[0], ends);
            for (int i = 0; i < 20; ++i) scene.send(500);
            scene.carrier.finish();
            scene.accepted[0].finish();
            REQUIRE(scene.until([&] { return scene.fates.all() && ends.size() == 1; }, 30s));
            scene.check();
            CHECK(scene.fates.failed() == 0);
            // A packet that is late may count as lost; what arrived was not too late for the end.
            CHECK(scene.got.size() == 20);
            CHECK(ends[0] == Errc::carrier_closed);
        }
    }

    TEST_CASE("unreliable: before the peer knows the Carrier, and when too long, it is reliable") {
        for (auto seed : seeds(5)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 20ms, .loss = 0.1});
            scene.collect();
            Carrier carrier = scene.initiate();
            Fates fates;
            for (int i = 0; i < 20; ++i) carrier.send("early", unreliable, fates.watch());
            carrier.send(std::string(5000, 'l'), unreliable, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }, 60s));
            fates.check();
            CHECK(fates.acked() == 21);
        }
    }

    TEST_CASE("unreliable: a receiver that takes nothing drops what it has no room for") {
        Loose scene(seed(), {.delay = 10ms, .rate = 20'000'000});
        scene.world.run_for(1s);
        Carrier other = scene.carrier.fork();
        other.send("other");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        Texts others;
        gather(scene.accepted[1], others);
        for (int i = 0; i < 5000; ++i) scene.send(900);
        REQUIRE(scene.until([&] { return scene.fates.all(); }, 60s));
        CHECK(scene.fates.failed() == 0);
        // A window of 32 KiB.
        CHECK(scene.fates.acked() > 30);
        CHECK(scene.fates.acked() < 40);
        std::size_t dropped = 0;
        for (std::size_t i = 0; i < scene.fates.size(); ++i)
            dropped += scene.fates[i].expired && !scene.fates[i].maybe_delivered;
        CHECK(dropped > 4000);
        // Nobody else is stopped, and the Carrier is not lost.
        other.send("still here", unreliable);
        REQUIRE(scene.until([&] { return others.size() == 2; }));
        scene.read();
        REQUIRE(scene.until(
            [&] { return scene.got.size() == static_cast<std::size_t>(scene.fates.acked()); }));
        scene.check();
        scene.send(900);
        scene.carrier.send("first");
        REQUIRE(scene.until([&] { return scene.fates.all(); }));
        CHECK(scene.fates[5000].acked == 1);
    }

    TEST_CASE("unreliable: urgent ones pass bulk, and thousands of them settle") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Loose scene(seed, {.delay = 20ms, .rate = 10'000'000, .queue = 25});
            scene.read();
            Carrier bulk = scene.carrier.fork();
            bulk.send("first");
            REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
            scene.accepted[1].ready([](Carrier&, const InMessage&) { return true; });
            Fates large;
            for (int i = 0; i < 20; ++i)
                bulk.send(std::string(1'000'000, 'b'), {.niceness = 1}, large.watch());
            scene.world.run_for(1s);
            Duration slowest{};
            for (int i = 0; i < 3000; ++i) {
                const auto begun = scene.world.elapsed();
                const auto before = scene.got.size();
                scene.send(20);
                if (i % 100) continue;
                scene.until([&] { return scene.got.size() > before; }, 1s);
                slowest = std::max(slowest, scene.world.elapsed() - begun);
            }
            // 20 ms, and 30 ms of a full queue, and what lay in front of it.
            CHECK(slowest < 400ms);
            REQUIRE(scene.until([&] { return scene.fates.all(); }, 60s));
            scene.check();
            CHECK(scene.fates.failed() == 0);
            CHECK(scene.fates.acked() > 2000);
            CHECK_FALSE(large.all());
        }
    }

    TEST_CASE("unreliable: whoever closes first, every message has its fate") {
        for (auto seed : seeds(30)) {
            CAPTURE(seed);
            sim::Random dice(seed, 1);
            Loose scene(seed, {.delay = 10ms, .jitter = 10ms, .rate = 5'000'000, .loss = 0.05});
            scene.world.run_for(200ms);
            scene.read();
            for (int i = 0; i < 200; ++i) scene.send(dice.below(1200));
            scene.world.run_for(std::chrono::milliseconds(dice.below(200)));
            switch (dice.below(5)) {
                case 0: scene.accepted[0].close(); break;
                case 1: scene.accepted[0].abort(AbortCode{7}); break;
                case 2: scene.carrier.close(); break;
                case 3: scene.carrier.abort(AbortCode{7}); break;
                default: scene.server.reset(); break;
            }
            REQUIRE(scene.until([&] { return scene.fates.all(); }, 120s));
            scene.fates.check();
        }
    }

    TEST_CASE("unreliable: with a plain peer a datagram is a message of the first open Carrier") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 10ms, .rate = 20'000'000, .loss = 0.03});
            scene.collect({.alpn = {"echo"}});
            Carrier carrier = scene.initiate({.alpn = "echo"});
            carrier.send("s");
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            Texts got, back;
            gather(scene.accepted[0], got);
            gather(carrier, back);
            CHECK(carrier.association().explain(Feature::unreliable).level ==
                  Support::Level::native);
            Fates fates;
            for (int i = 0; i < 300; ++i) {
                carrier.send("message " + std::to_string(i), unreliable, fates.watch());
                scene.accepted[0].send("answer", unreliable, fates.watch());
                scene.world.run_for(1ms);
            }
            REQUIRE(scene.until([&] { return fates.all(); }));
            fates.check();
            CHECK(fates.failed() == 0);
            CHECK(fates.acked() > 500);
            CHECK(fates.expired() > 0);
            CHECK(got.size() + back.size() >= 1 + static_cast<std::size_t>(fates.acked()));
            for (const auto& text : back.all()) CHECK(text == "answer");
            for (std::size_t i = 1; i < got.size(); ++i) CHECK(got[i].substr(0, 8) == "message ");
        }
    }
}

}  // namespace post::test
