// What QUIC does by itself, seen through the public API: versions, validation, resets, keys,
// ciphers, congestion control, and silence.

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// Packets of one kind on their way, told by their first byte; `v2` numbers the types anew.
struct Seen {
    explicit Seen(sim::World& world) {
        world.observe([this](const sim::Packet& packet, sim::Verdict) {
            if (packet.protocol != sim::Protocol::udp || packet.bytes.size() < 5) return;
            const auto at = [&](std::size_t i) {
                return std::to_integer<unsigned>(packet.bytes.span()[i]);
            };
            const bool v1 = at(4) == 1;
            if ((at(0) & 0x80) != 0 && (at(0) & 0x30) == (v1 ? 0x30U : 0x00U)) ++retries;
            if (packet.bytes.size() == 42) ++resets;
            marked += packet.ecn == Ecn::ect0;
        });
    }
    int retries = 0;
    int resets = 0;
    int marked = 0;
};

Path path_of(const Carrier& carrier) { return carrier.association().paths().at(0); }

// Sends `size` bytes there and gets them back.
bool echoes(Scene& scene, Carrier& carrier, std::size_t size = 100, Duration limit = 60s) {
    std::size_t back = 0;
    carrier.ready([&](Carrier&, InMessage message) {
        back += message.content().size();
        return false;
    });
    carrier.send(std::string(size, 'x'));
    return scene.until([&] { return back == size; }, limit);
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a first flight of version 1 becomes a connection of version 2") {
        Scene scene;
        scene.collect({.quic = {.versions = {QuicVersion::v2, QuicVersion::v1}}});
        auto carrier = scene.initiate();
        carrier.send("hello");
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        const auto v2 = static_cast<std::uint32_t>(QuicVersion::v2);
        CHECK(path_of(carrier).version == v2);
        CHECK(path_of(scene.accepted[0]).version == v2);
    }

    TEST_CASE("a client of version 2 alone is taken, and one of no common version is told so") {
        Scene scene;
        scene.echo({.quic = {.versions = {QuicVersion::v2}}});
        auto carrier = scene.initiate({.quic = {.versions = {QuicVersion::v2}}});
        CHECK(echoes(scene, carrier));
        CHECK(path_of(carrier).version == static_cast<std::uint32_t>(QuicVersion::v2));
        auto other = scene.initiate({.quic = {.versions = {QuicVersion::v1}}});
        Ends ends;
        gather_end(other, ends);
        other.send("hello");
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::handshake_failed);
    }

    TEST_CASE("a server that validates always asks once, and not a client that was there before") {
        Scene scene;
        Seen seen(scene.world);
        scene.echo({.quic = {.address_validation = AddressValidation::always}});
        auto first = scene.initiate();
        CHECK(echoes(scene, first));
        CHECK(seen.retries == 1);
        scene.world.run_for(1s);
        // An association of its own, with the same peer.
        auto second = scene.initiate({.bounds = {.carriers = 77}});
        CHECK(echoes(scene, second));
        CHECK(seen.retries == 1);
        scene.world.run_for(1s);
        // From another address its token is worth nothing.
        scene.near.add_address("10.0.0.9");
        scene.world.rebind(scene.near, "10.0.0.9");
        auto third = scene.initiate({.bounds = {.carriers = 78}});
        CHECK(echoes(scene, third));
        CHECK(seen.retries == 2);
    }

    TEST_CASE("of two hundred clients at once those beyond 128 are asked for their address") {
        Scene scene(seed(), {.delay = 10ms, .queue = 100'000});
        Seen seen(scene.world);
        scene.echo();
        std::vector<Carrier> carriers;
        std::size_t echoed = 0;
        for (std::uint64_t i = 0; i < 200; ++i) {
            carriers.push_back(scene.initiate({.bounds = {.carriers = 100 + i}}));
            carriers.back().ready([&](Carrier&, InMessage) {
                ++echoed;
                return false;
            });
            carriers.back().send("hello");
        }
        CHECK(scene.until([&] { return echoed == 200; }, 60s));
        CHECK(seen.retries >= 50);
        CHECK(seen.retries <= 72);
    }

    TEST_CASE("a client learns at once that its server has forgotten it") {
        Scene scene;
        Seen seen(scene.world);
        const ListenOptions options{
            .quic = {.reset_key = Bytes("thirty-two bytes that nobody knows")}};
        scene.echo(options);
        auto carrier = scene.initiate({.bounds = {.continuity = {}}});  // or it would come back
        CHECK(echoes(scene, carrier));
        Ends ends;
        gather_end(carrier, ends);
        // The process dies without a word and comes back.
        scene.link.change([](sim::LinkOptions& link) { link.down = true; });
        scene.listener.close();
        scene.server->end();
        scene.world.run_for(100ms);
        scene.link.change([](sim::LinkOptions& link) { link.down = false; });
        scene.server = std::make_unique<sim::Node>(scene.world, scene.far);
        scene.echo(options);
        carrier.send("are you there?");
        CHECK(scene.until([&] { return ends.size() == 1; }, 1s));
        CHECK(seen.resets == 1);
        REQUIRE(ends.size() == 1);
        CHECK(ends[0] == Errc::stateless_reset);
    }

    TEST_CASE("keys change under load, and nothing is lost") {
        Scene scene(seed(), {.delay = 5ms, .rate = 100'000'000, .queue = 200, .loss = 0.01});
        scene.echo({.quic = {.key_update_after = 200}});
        auto carrier = scene.initiate({.quic = {.key_update_after = 300}});
        CHECK(echoes(scene, carrier, 4'000'000, 120s));
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("each cipher carries messages, and two that differ do not meet") {
        for (Cipher cipher : {Cipher::automatic, Cipher::aes_128_gcm, Cipher::aes_256_gcm,
                              Cipher::chacha20_poly1305}) {
            Scene scene;
            scene.echo({.quic = {.cipher = cipher}});
            auto carrier = scene.initiate({.quic = {.cipher = cipher}});
            CHECK(echoes(scene, carrier, 100'000));
            auto other = scene.initiate();  // offers them all
            CHECK(echoes(scene, other));
        }
        Scene scene;
        scene.echo({.quic = {.cipher = Cipher::aes_256_gcm}});
        auto carrier = scene.initiate({.quic = {.cipher = Cipher::chacha20_poly1305}});
        Ends ends;
        gather_end(carrier, ends);
        carrier.send("hello");
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::handshake_failed);
    }

    TEST_CASE("each congestion control carries a transfer through loss") {
        for (Congestion congestion : {Congestion::cubic, Congestion::reno, Congestion::bbr}) {
            CAPTURE(static_cast<int>(congestion));
            Scene scene(seed(), {.delay = 10ms, .rate = 20'000'000, .queue = 50, .loss = 0.005});
            scene.echo({.quic = {.congestion = congestion}});
            auto carrier = scene.initiate({.quic = {.congestion = congestion}});
            CHECK(echoes(scene, carrier, 2'000'000, 60s));
            const auto path = path_of(carrier);
            CHECK(path.smoothed_rtt >= 20ms);
            CHECK(path.rtt_variance > 0ms);
            CHECK(path.rate > 0);
        }
    }

    TEST_CASE("a quiet Carrier lives on, and without keep-alive silence ends it") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("hello");
        Ends ends;
        gather_end(carrier, ends);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.world.run_for(5min);
        CHECK(ends.empty());
        Texts texts;
        gather(scene.accepted[0], texts);
        carrier.send("still here");
        CHECK(scene.until([&] { return texts.size() == 2; }));

        InitiateOptions silent;
        silent.bounds.keep_alive = Duration::zero();
        silent.bounds.continuity = {};  // or they let go, and rest
        ListenOptions listening;
        listening.bounds = silent.bounds;
        Scene other;
        other.collect(listening);
        auto quiet = other.initiate(silent);
        gather_end(quiet, ends);
        quiet.send("hello");
        REQUIRE(other.until([&] { return other.accepted.size() == 1; }));
        other.world.run_for(29s);
        CHECK(ends.empty());
        other.world.run_for(2s);
        REQUIRE(ends.size() == 1);
        CHECK(ends[0] == Errc::connection_lost);
    }

    TEST_CASE("wrong QUIC options are refused at the call") {
        Scene scene;
        const auto refused = [&](QuicOptions quic) {
            InitiateOptions options;
            options.quic = quic;
            CHECK_THROWS_AS(scene.initiate(options), Failure);
            ListenOptions listening;
            listening.quic = quic;
            auto tried = scene.far_context().try_listen(
                {.port = server_port, .identity = scene.identity}, listening);
            CHECK(tried.error() == Errc::invalid_argument);
        };
        refused({.versions = {}});
        refused({.versions = {QuicVersion::v1, QuicVersion::v1}});
        refused({.versions = {QuicVersion{7}}});
        refused({.largest_payload = 1199});
        refused({.largest_payload = 65508});
        refused({.key_update_after = 63});
        InitiateOptions listeners;
        listeners.quic.address_validation = AddressValidation::always;
        CHECK_THROWS_AS(scene.initiate(listeners), Failure);
        listeners.quic = {.reset_key = Bytes(std::string(32, 'k'))};
        CHECK_THROWS_AS(scene.initiate(listeners), Failure);
        ListenOptions short_key;
        short_key.quic.reset_key = Bytes(std::string(31, 'k'));
        CHECK_FALSE(scene.far_context().try_listen({.identity = scene.identity}, short_key));
        InitiateOptions negative;
        negative.bounds.keep_alive = -1s;
        CHECK_THROWS_AS(scene.initiate(negative), Failure);
    }

    TEST_CASE("Carriers whose QUIC options differ share no Association") {
        Scene scene;
        scene.echo();
        auto plain = scene.initiate();
        CHECK(scene.initiate().association() == plain.association());
        for (const QuicOptions& quic :
             {QuicOptions{.versions = {QuicVersion::v2}}, QuicOptions{.largest_payload = 1452},
              QuicOptions{.congestion = Congestion::bbr},
              QuicOptions{.cipher = Cipher::aes_256_gcm}, QuicOptions{.key_update_after = 64}}) {
            InitiateOptions options;
            options.quic = quic;
            CHECK_FALSE(scene.initiate(options).association() == plain.association());
        }
    }

    TEST_CASE("qlog files lie in the folder that was named") {
        const auto folder = std::filesystem::temp_directory_path() /
                            ("post-qlog-" + std::to_string(::getpid()));
        std::filesystem::create_directory(folder);
        {
            ContextOptions options;
            options.qlog = folder.string();
            try {
                Scene scene(seed(), {.delay = 10ms}, {}, std::move(options));
                scene.echo();
                auto carrier = scene.initiate();
                CHECK(echoes(scene, carrier));
                carrier.close();
            } catch (const Failure& failure) {
                CHECK(failure.error() == Errc::unsupported);  // ngtcp2 before 1.22.1
                std::filesystem::remove_all(folder);
                return;
            }
        }
        std::size_t files = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            ++files;
            CHECK(entry.path().filename().string().ends_with("_client.sqlog"));
            std::ifstream in(entry.path());
            const std::string text((std::istreambuf_iterator<char>(in)), {});
            CHECK(text.find("packet_sent") != std::string::npos);
        }
        CHECK(files == 1);
        std::filesystem::remove_all(folder);
    }
}

}  // namespace post::test
