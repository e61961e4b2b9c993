// Early data (0-RTT) of Carriers that go on: the first idempotent message after dormancy, or behind
// a connection that broke, comes with the first flight of the next one, which says by ATTACH whose
// it is (FORMAT.md, 7.4).
#include <set>

#include "tests/scenario/early_attach_scene.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""h;

class Fleet final : public TicketKeySource {
public:
    Secrets secrets() override { return {std::string(32, 'a'), {}}; }
    bool first_use(const Bytes& name, std::chrono::seconds) override {
        return works && names.insert(name.string()).second;
    }
    std::set<std::string> names;
    bool works = true;
};

// What the client sends to the server while it is on.
struct Recording {
    explicit Recording(Scene& scene) {
        scene.world.observe([this](const sim::Packet& packet, sim::Verdict) {
            if (on && packet.to == *Address::parse("10.0.0.2", server_port))
                packets.push_back(packet);
        });
    }
    // As whom it came from, or from somewhere else.
    void play(Scene& scene, std::optional<Address> from = {}) const {
        for (sim::Packet packet : packets) {
            if (from) packet.from = *from;
            scene.world.send(scene.near, packet);
        }
    }
    bool on = false;
    std::vector<sim::Packet> packets;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE(
        "early attach: a dormant Carrier's message arrives half a round trip after it wakes") {
        for (const std::uint64_t seed : seeds(10)) {
            CAPTURE(seed);
            const Duration delay = 1ms * (5 + static_cast<int>(seed % 97));
            for (const Stack stack : early_stacks) {
                CAPTURE(std::string(to_string(stack)));
                Rest scene({stack}, seed, delay);
                for (int round = 0; round < 3; ++round) {
                    scene.rest();
                    scene.say("wake " + std::to_string(round), twice);
                    REQUIRE(scene.heard.size() == 1);
                    CHECK(scene.heard[0].early);
                    // On tls TCP comes first.
                    CHECK(scene.arrived() < (stack == Stack::tls ? 3 : 1) * delay + 1ms);
                    CHECK(scene.carrier.association().resumed());
                    CHECK(scene.report().early == 1);
                    CHECK_FALSE(scene.report().early_rejected);
                    CHECK(scene.report().string().find(", resumed, 1 message early") !=
                          std::string::npos);
                    const Support support = scene.carrier.explain(Feature::early_data);
                    CHECK(std::string(support.reason).find("were taken") != std::string::npos);
                    // And it is the same Carrier in both directions, as before.
                    scene.say("more " + std::to_string(round), once);
                }
                scene.check_quiet();
            }
        }
    }

    TEST_CASE("early attach: the server's word about it comes after a whole round trip") {
        Rest scene;
        scene.rest();
        Fates fate;
        scene.said.push_back("re: wake");
        scene.carrier.send("wake", twice, fate.watch());
        REQUIRE(scene.until([&] { return fate.all(); }));
        CHECK(fate.acked() == 1);
        CHECK(scene.world.now() - scene.report().attempts.at(0).started < 2 * one_way + 2ms);
        // What the server says waits for the proof that counts.
        CHECK(scene.answers.size() == scene.said.size() - 1);
        scene.settle();
    }

    TEST_CASE("early attach: what is not idempotent waits, and what is behind it in its class") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Rest scene({stack});
            const auto wake =
                [&](const std::vector<std::pair<std::string, SendOptions>>& messages) {
                    scene.rest();
                    for (const auto& [text, options] : messages) {
                        scene.said.push_back("re: " + text);
                        scene.carrier.send(text, options, scene.fates.watch());
                    }
                    REQUIRE(scene.until([&] { return scene.heard.size() == messages.size(); }));
                    scene.settle();
                };
            wake({{"a", once}});
            CHECK(scene.heard.all() == std::vector<Heard>{{"a", false}});
            CHECK(scene.report().early == 0);
            wake({{"a", twice}, {"b", once}, {"c", twice}});
            CHECK(scene.heard.all() == std::vector<Heard>{{"a", true}, {"b", false}, {"c", false}});
            CHECK(scene.report().early == 1);
            wake({{"b", once}, {"c", twice}});
            CHECK(scene.heard.all() == std::vector<Heard>{{"b", false}, {"c", false}});
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: an unordered message overtakes those that wait, and other Carriers") {
        Rest scene;
        Carrier fork = scene.carrier.fork();
        const Texts replies;
        gather(fork, replies);
        fork.send("fork", once, scene.fates.watch());
        REQUIRE(scene.until([&] { return replies.size() == 1 && scene.fates.all(); }));
        scene.rest();
        scene.carrier.send("a", once, scene.fates.watch());
        scene.carrier.send("b", {.ordered = false, .idempotent = true}, scene.fates.watch());
        scene.carrier.send("c", {.niceness = 3, .idempotent = true}, scene.fates.watch());
        fork.send("d", twice, scene.fates.watch());
        // The server knows nothing of this one.
        Carrier fresh = scene.carrier.fork();
        gather(fresh, replies);
        fresh.send("e", twice, scene.fates.watch());
        REQUIRE(scene.until([&] { return scene.heard.size() == 5 && scene.fates.all(); }));
        scene.fates.check();
        std::set<std::string> early;
        for (const Heard& one : scene.heard.all())
            if (one.early) early.insert(one.text);
        CHECK(early == std::set<std::string>{"b", "c", "d"});
        CHECK(scene.report().early == 3);
        CHECK(scene.accepted.size() == 3);
    }

    TEST_CASE("early attach: as much as a first flight bears, and the rest follows in its place") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Rest scene({stack});
            scene.rest();
            std::vector<std::string> expected;
            for (int i = 0; i < 80; ++i) {
                expected.push_back(std::to_string(i) + std::string(100, '.'));
                scene.said.push_back("re: " + expected.back());
                scene.carrier.send(expected.back(), twice, scene.fates.watch());
            }
            scene.settle();
            CHECK(scene.texts() == expected);
            CHECK(scene.report().early == 64);
            CHECK(scene.heard[63].early);
            CHECK_FALSE(scene.heard[64].early);
            // One that takes more than a packet.
            scene.rest();
            scene.say(std::string(9000, 'x'), twice);
            CHECK(scene.heard[0].early);
            CHECK(scene.arrived() < (stack == Stack::tls ? 3 : 1) * one_way + 1ms);
            scene.check_quiet();
        }
    }

    // What went stays in the outbox, behind what is more urgent when that is asked again.
    TEST_CASE("early attach: what is said meanwhile makes a full first flight no longer") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Rest scene({stack});
            scene.rest();
            SendOptions later = twice;
            later.niceness = 1;
            for (int i = 0; i < 64; ++i)
                scene.carrier.send(std::to_string(i), later, scene.fates.watch());
            const auto sent = scene.link.there.counters().sent;
            REQUIRE(scene.until([&] { return scene.link.there.counters().sent > sent; }));
            scene.world.run_for((stack == Stack::tls ? 2 : 0) * one_way + 1ms);
            for (int i = 0; i < 3; ++i) scene.carrier.send("now", twice, scene.fates.watch());
            REQUIRE(scene.until([&] { return scene.fates.all() && scene.heard.size() == 67; }));
            scene.fates.check();
            CHECK(scene.fates.acked() == static_cast<int>(scene.fates.size()));
            CHECK(scene.report().early == 64);
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: what is rejected is sent again, once and in its order") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            const auto fleet = std::make_shared<Fleet>();
            Rest scene({stack}, test::seed(), one_way, {.ticket_keys = fleet});
            scene.rest();
            fleet->works = false;  // nobody knows whether the flight is new
            for (const char* text : {"a", "b", "c"}) {
                scene.said.push_back(std::string("re: ") + text);
                scene.carrier.send(text, twice, scene.fates.watch());
            }
            scene.settle();
            CHECK(scene.heard.all() ==
                  std::vector<Heard>{{"a", false}, {"b", false}, {"c", false}});
            CHECK(scene.report().early == 3);
            CHECK(scene.report().early_rejected);
            fleet->works = true;
            scene.rest();
            scene.say("d", twice);
            CHECK(scene.heard[0].early);
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: a server that takes no early data hears nothing early") {
        for (const Stack stack : early_stacks) {
            ListenOptions options = early_listening();
            options.early_data = false;
            Rest scene({stack}, test::seed(), one_way, {}, options);
            scene.rest();
            scene.say("wake", twice);
            CHECK_FALSE(scene.heard[0].early);
            CHECK(scene.report().early == 0);
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: a first flight that is played again changes nothing") {
        for (const Stack stack : {Stack::quic}) {
            CAPTURE(std::string(to_string(stack)));
            Rest scene({stack});
            scene.rest();
            Recording recording(scene);
            recording.on = true;
            scene.say("two", twice);
            recording.on = false;
            REQUIRE(scene.heard.all() == std::vector<Heard>{{"two", true}});
            // While the Association has a connection, and while it rests.
            for (int i = 0; i < 2; ++i) {
                recording.play(scene);
                recording.play(scene, Address::parse("10.0.0.1", 7777));
                scene.world.run_for(15s);
                CHECK(scene.heard.size() == (i == 0 ? 1 : 0));
                CHECK(scene.carrier.activity() == (i == 0 ? Activity::active : Activity::dormant));
                if (i == 0) scene.rest();
            }
            scene.say("three", twice);
            CHECK(scene.heard.all() == std::vector<Heard>{{"three", true}});
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: a flight that somebody held back is heard once, when it comes") {
        Rest scene;
        scene.rest();
        Recording recording(scene);
        recording.on = true;
        scene.link.there.options.down = true;
        scene.said.push_back("re: two");
        scene.carrier.send("two", twice, scene.fates.watch());
        scene.world.run_for(20ms);
        recording.on = false;
        REQUIRE_FALSE(recording.packets.empty());
        scene.link.there.options.down = false;
        recording.play(scene, Address::parse("10.0.0.1", 7777));
        scene.world.run_for(15ms);
        // Nobody took it before; and it ends nothing, and begins nothing.
        CHECK(scene.heard.all() == std::vector<Heard>{{"two", true}});
        CHECK(scene.accepted.front().activity() == Activity::dormant);
        scene.settle();
        CHECK(scene.heard.size() == 1);
        recording.play(scene, Address::parse("10.0.0.1", 7778));
        scene.world.run_for(15s);
        CHECK(scene.heard.size() == 1);
        scene.say("three", once);
        scene.check_quiet();
    }

    TEST_CASE("early attach: a server that was started anew hears nothing of it early") {
        for (const Stack stack : early_stacks) {
            for (const bool same_keys : {false, true}) {
                CAPTURE(std::string(to_string(stack)));
                CAPTURE(same_keys);
                const auto fleet = std::make_shared<Fleet>();
                ContextOptions keys;
                if (same_keys) keys.ticket_keys = fleet;
                Rest scene({stack}, test::seed(), one_way, keys);
                scene.rest();
                scene.restart(keys);
                scene.said.push_back("re: wake");
                scene.carrier.send("wake", twice, scene.fates.watch());
                REQUIRE(scene.until([&] { return scene.answers.size() == 2 && scene.fates.all(); },
                                    30s));
                scene.settle();
                CHECK(scene.texts() == std::vector<std::string>{"wake"});
                CHECK(scene.accepted.size() == 1);
                CHECK(scene.unhandled.empty());
            }
        }
    }

    TEST_CASE("early attach: what waits when nobody answers goes early in the next race") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Rest scene({stack});
            scene.rest();
            scene.link.there.options.down = true;
            scene.said.push_back("re: wake");
            scene.carrier.send("wake", twice, scene.fates.watch());
            scene.world.run_for(12s);
            CHECK(scene.heard.empty());
            scene.link.there.options.down = false;
            scene.settle();
            CHECK(scene.texts() == std::vector<std::string>{"wake"});
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: behind a connection that broke it goes with the next first flight") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            ListenOptions options = early_listening();
            options.bounds = {
                .handshake_timeout = 5s, .idle_timeout = 2s, .keep_alive = 1h, .continuity = 1min};
            Rest scene({stack}, test::seed(), one_way, {}, options);
            scene.world.run_for(200ms);
            scene.link.set({.delay = one_way, .down = true});
            REQUIRE(scene.until([&] { return scene.carrier.activity() == Activity::connecting; }));
            scene.heard.clear();
            for (const char* text : {"a", "b"}) {
                scene.said.push_back(std::string("re: ") + text);
                scene.carrier.send(text, *text == 'a' ? twice : once, scene.fates.watch());
            }
            // The first race began before there was anything to say.
            REQUIRE(scene.until([&] { return !scene.carrier.association().establishment(); }));
            REQUIRE(scene.accepted.front().activity() == Activity::connecting);
            scene.link.set({.delay = one_way});
            scene.settle();
            CHECK(scene.heard.all() == std::vector<Heard>{{"a", true}, {"b", false}});
            CHECK(scene.arrived() < (stack == Stack::tls ? 3 : 1) * one_way + 1ms);
            CHECK(scene.report().early == 1);
            CHECK(scene.accepted.size() == 1);
        }
    }

    TEST_CASE("early attach: on every connection of a race, and heard once") {
        for (const std::uint64_t seed : seeds(10)) {
            CAPTURE(seed);
            Rest scene({Stack::quic, Stack::tls}, seed);
            for (int round = 0; round < 3; ++round) {
                scene.rest();
                // Until others are tried as well.
                scene.link.set({.delay = 300ms});
                scene.say("wake " + std::to_string(round), twice);
                CHECK(scene.heard.size() == 1);
                scene.link.set({.delay = one_way});
                scene.say("more", once);
            }
            scene.check_quiet();
        }
    }

    TEST_CASE("early attach: whatever is lost, each message comes once, in its order") {
        for (const Stack stack : early_stacks) {
            int early = 0;
            for (const std::uint64_t seed : seeds(10)) {
                CAPTURE(seed);
                CAPTURE(std::string(to_string(stack)));
                Rest scene({stack}, seed);
                int number = 0;
                for (int round = 0; round < 4; ++round) {
                    scene.rest();
                    scene.link.set({.delay = 10ms, .loss = 0.15, .reorder = 0.1, .duplicate = 0.1});
                    std::vector<std::string> expected;
                    for (int i = 0; i < 12; ++i) {
                        expected.push_back(std::to_string(number++) + std::string(200, '.'));
                        scene.said.push_back("re: " + expected.back());
                        const bool idempotent = (seed + static_cast<std::uint64_t>(i)) % 5 != 4;
                        scene.carrier.send(expected.back(), idempotent ? twice : once,
                                           scene.fates.watch());
                    }
                    scene.settle(5min);
                    CHECK(scene.texts() == expected);
                    early += scene.heard[0].early ? 1 : 0;
                    scene.link.set({.delay = 10ms});
                }
                scene.check_quiet();
            }
            CHECK(early > 0);
        }
    }
}

}  // namespace post::test
