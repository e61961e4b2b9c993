// Peers and strangers that mean no good: what they do is bounded in time and memory, ends what they
// touch with a reason, and changes nothing else.
#include "tests/hostile/table.hpp"
#include "tests/scenario/hostile.hpp"
#include "tests/sim/probe.hpp"

namespace post::test {

namespace {

// OPEN of a Carrier for messages, without a parent.
std::string open(std::uint64_t carrier) {
    return {'\x35', static_cast<char>(0x40 | carrier >> 8), static_cast<char>(carrier & 0xff), 0};
}

// A CHUNK that begins a message of 100 bytes with the first of them.
const std::string begins("\x31\x40\x00\x40\x64\x01x", 7);
// One more byte of it.
const std::string goes_on("\x31\x00\x01y", 4);

// A server with a hostile client, which is established.
struct Siege : Scene {
    explicit Siege(ListenOptions options = {}) {
        collect(std::move(options));
        hostile.emplace(*this);
        hostile->settle();
        REQUIRE(until([&] { return hostile->established(); }));
    }
    ~Siege() { hostile.reset(); }
    std::optional<Hostile> hostile;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A3: a client that stalls in the handshake is forgotten after ten seconds") {
        Scene scene;
        scene.collect();
        // Its first flight arrives, and nothing more.
        scene.link.there.options.drop = [](const sim::Packet& packet) { return packet.index > 1; };
        auto carrier = scene.initiate();
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.far_context().deadline() != never; }));
        const Duration began = scene.world.elapsed();
        CHECK_FALSE(scene.until([&] { return scene.far_context().deadline() == never; }, 9s));
        CHECK(scene.until([&] { return scene.far_context().deadline() == never; }, 2s));
        CHECK(scene.world.elapsed() - began >= 9s);
        const Duration lasted = scene.world.elapsed() - began;
        CHECK(lasted <= 11s);
        measured("A3", "a client that stalls in the handshake",
                 "forgotten after " + decimal(std::chrono::duration<double>(lasted).count()) +
                     " s (10 +- 1)");
        CHECK(scene.accepted.empty());
    }

    TEST_CASE("A9: a hundred Carriers that trickle are ended as stalled, and cost what they sent") {
        ListenOptions patient;
        patient.bounds.idle_timeout = 10min;
        Siege scene(patient);
        for (std::uint64_t i = 0; i < 100; ++i) scene.hostile->write(CarrierId{2 * i}, open(2 * i));
        REQUIRE(scene.until([&] { return scene.accepted.size() == 100; }));
        scene.world.run_for(1s);
        const std::size_t before = heap();
        for (std::uint64_t i = 0; i < 100; ++i) scene.hostile->write(CarrierId{2 * i}, begins);
        scene.world.run_for(30s);
        // Both ends live in this process; the sender's queue and the receiver's assembly together.
        const std::size_t cost = grown(before);
        CHECK(cost < 100 * (2 * 1024 + 4096));
        // Half of them go on at a byte a minute, which is progress.
        for (std::uint64_t i = 0; i < 50; ++i) scene.hostile->write(CarrierId{2 * i}, goes_on);
        scene.world.run_for(28s);
        CHECK(scene.hostile->resets().empty());
        scene.world.run_for(20s);
        CHECK(scene.hostile->resets().size() == 50);
        for (const auto& [carrier, error] : scene.hostile->resets()) CHECK(carrier.value() >= 100);
        scene.world.run_for(40s);
        CHECK(scene.hostile->resets().size() == 100);
        measured("A9", "100 Carriers that trickle",
                 heap_figure(cost, 100 * (2 * 1024 + 4096)) + " at both ends, all ended");
        auto received = scene.accepted[99].receive();
        REQUIRE(scene.until([&] { return received.ready(); }));
        CHECK(received.get().error() == Errc::stalled);
    }

    TEST_CASE("A9: Carriers that stop before anything of a message has come are ended as stalled") {
        ListenOptions patient;
        patient.bounds.idle_timeout = 10min;
        patient.bounds.stalled_after = 20s;
        Siege scene(patient);
        const std::vector<std::string> beginnings{
            "\x21",                                      // half of a header of two bytes
            std::string("\x31\x40", 2),                  // of a chunk, cut
            std::string("\x31\x40\x00\x40\x64\x01", 6),  // whole, and no content
            "\x05",                                      // the same of a short message
        };
        std::uint64_t id = 0;
        for (const std::string& beginning : beginnings) {
            scene.hostile->write(CarrierId{id}, open(id) + beginning);
            id += 2;
        }
        // Whole, and silent ever since.
        scene.hostile->write(CarrierId{id}, open(id) + "\x05hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == beginnings.size() + 1; }));
        scene.world.run_for(10s);
        // One goes on, but not far enough.
        scene.hostile->write(CarrierId{2}, std::string(1, '\0'));
        scene.world.run_for(9s);
        CHECK(scene.hostile->resets().empty());
        scene.world.run_for(7s);
        CHECK(scene.hostile->resets().size() == beginnings.size() - 1);
        CHECK_FALSE(scene.hostile->resets().contains(CarrierId{2}));
        scene.world.run_for(10s);
        CHECK(scene.hostile->resets().size() == beginnings.size());
        for (std::size_t i = 0; i < beginnings.size(); ++i) {
            auto received = scene.accepted[i].receive();
            REQUIRE(scene.until([&] { return received.ready(); }));
            CHECK(received.get().error() == Errc::stalled);
        }
        scene.world.run_for(60s);
        CHECK_FALSE(scene.hostile->lost());
        auto hello = scene.accepted.back().receive();
        REQUIRE(hello.ready());
        CHECK(hello.get().value().content() == "hello");
    }

    TEST_CASE("A9: who has no window, since nobody takes what is here, may stand in a header") {
        ListenOptions patient;
        patient.bounds.idle_timeout = 10min;
        patient.bounds.stalled_after = 20s;
        Siege scene(patient);
        // 32 KiB in messages of 4000 bytes (two bytes of header each), as far as the window goes.
        std::string much = open(0);
        for (int i = 0; i < 16; ++i) much += "\x2f\xa0" + std::string(0xfa0, 'x');
        scene.hostile->write(CarrierId{0}, much);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.world.run_for(120s);
        CHECK(scene.hostile->resets().empty());
        int came = 0;
        scene.accepted[0].ready([&](Carrier&, const InMessage& message) {
            came += message.size() == 0xfa0;
            return true;
        });
        CHECK(scene.until([&] { return came == 16; }, 60s));
        scene.world.run_for(60s);
        CHECK(scene.hostile->resets().empty());
    }

    TEST_CASE("A10: a message announced with 2^62 - 1 bytes ends its Carrier at its header") {
        Siege scene;
        const std::string header("\x31\x40\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 13);
        scene.hostile->write(CarrierId{0}, open(0));
        scene.hostile->write(CarrierId{2}, open(2));
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        auto received = scene.accepted[0].receive();
        scene.world.run_for(1s);
        const std::size_t before = heap();
        scene.hostile->write(CarrierId{0}, header);
        REQUIRE(scene.until([&] { return !scene.hostile->resets().empty(); }));
        const std::size_t cost = grown(before);
        CHECK(cost <= 64 * 1024);
        measured("A10", "a message of 2^62 - 1 bytes announced", heap_figure(cost, 64 * 1024));
        CHECK(scene.hostile->resets().begin()->first == CarrierId{0});
        REQUIRE(scene.until([&] { return received.ready(); }));
        CHECK(received.get().error() == Errc::message_too_large);
        // The other one goes on.
        scene.hostile->write(CarrierId{2}, std::string("\x05hello"));
        auto other = scene.accepted[1].receive();
        REQUIRE(scene.until([&] { return other.ready(); }));
        CHECK(other.get().value().content() == "hello");
        CHECK_FALSE(scene.hostile->lost());
    }

    TEST_CASE("A33: an end inside a message is an error, never a short message") {
        for (const std::string& frames :
             {std::string("\x05hel"), begins, begins + goes_on, std::string("\x20"),
              std::string("\x30\x00\x05hell", 7), std::string("\x05hello\x05he"), std::string()}) {
            CAPTURE(frames.size());
            Siege scene;
            scene.hostile->write(CarrierId{0}, open(0) + frames);
            scene.hostile->finish(CarrierId{0});
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            if (frames.find("hello") != std::string::npos) {
                auto whole = scene.accepted[0].receive();
                REQUIRE(scene.until([&] { return whole.ready(); }));
                CHECK(whole.get().value().content() == "hello");
            }
            auto broken = scene.accepted[0].receive();
            REQUIRE(scene.until([&] { return broken.ready(); }));
            CHECK(broken.get().error() == Errc::protocol_violation);
            CHECK_FALSE(scene.hostile->lost());
        }
    }

    TEST_CASE("a broken frame closes the connection with a reason and delivers nothing") {
        for (const std::string& frames :
             {std::string("\xff"), std::string("\x37"), std::string("\x31\x80"),
              std::string("\x32\x00", 2), std::string("\x38\x00", 2), std::string("\x34\x01x")}) {
            CAPTURE(frames.size());
            Siege scene;
            scene.hostile->write(CarrierId{0}, open(0) + frames);
            REQUIRE(scene.until([&] { return static_cast<bool>(scene.hostile->lost()); }));
            CHECK(scene.hostile->lost().cause.value() != 0);
            scene.world.run_for(1s);
            // Others are served as before.
            auto carrier = scene.initiate();
            Fates fates;
            carrier.send("hello", {}, fates.watch());
            CHECK(scene.until([&] { return fates.acked() == 1; }));
        }
    }

    TEST_CASE("Carriers of a client that never sends SETTINGS are not shown") {
        Scene scene;
        scene.collect();
        Hostile hostile(scene);
        REQUIRE(scene.until([&] { return hostile.established(); }));
        hostile.write(CarrierId{0}, open(0) + "\x05hello");
        scene.world.run_for(9s);
        CHECK(scene.accepted.empty());
    }

    TEST_CASE("garbage, truncated, replayed and reflected datagrams change nothing") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 10ms, .duplicate = 0.2, .corrupt = 0.1});
            scene.echo();
            auto& stranger = scene.world.host("10.0.0.3");
            // Farther away than the two are from each other: whoever can send the client's first
            // packet before the client does can be taken for it, as RFC 9000, 21.1 says.
            scene.world.link(stranger, scene.far, {.delay = 30ms});
            scene.world.link(stranger, scene.near, {.delay = 30ms});
            sim::Probe probe(scene.world, stranger);
            const Log<sim::Packet> seen;
            scene.world.observe([seen](const sim::Packet& packet, sim::Verdict) {
                if (packet.from.ip[3] == 3 || packet.to.ip[3] == 3) return;
                if (packet.bytes.size() > 1) seen.push_back(packet);
            });
            auto carrier = scene.initiate();
            Texts got;
            gather(carrier, got);
            sim::Random random(seed);
            std::size_t sent = 0;
            for (; sent < 60; ++sent) {
                carrier.send("message " + std::to_string(sent));
                scene.world.run_for(10ms);
                if (seen.empty()) continue;
                const sim::Packet packet = seen[random.below(seen.size())];
                std::string bytes = packet.bytes.string();
                probe.send(packet.to, bytes);    // again, from elsewhere
                probe.send(packet.from, bytes);  // back to its sender
                probe.send(packet.to, bytes.substr(0, 1 + random.below(bytes.size() - 1)));
                bytes[random.below(bytes.size())] ^= 0x40;
                probe.send(packet.to, bytes);
                for (auto& byte : bytes) byte = static_cast<char>(random.below(256));
                probe.send(packet.to, bytes);
                probe.send(packet.from, bytes);
            }
            CHECK(scene.until([&] { return got.size() == sent; }, 30s));
            for (std::size_t i = 0; i < got.size(); ++i)
                CHECK(got[i] == "message " + std::to_string(i));
            for (const Error& error : scene.unhandled) FAIL_CHECK(error.message());
            REQUIRE(carrier.association().active());
            CHECK(carrier.association().paths()[0].remote.ip[3] == 2);
        }
    }
}

}  // namespace post::test
