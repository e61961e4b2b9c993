// Migration: a client on quic whose address goes away, or that is shown a better way out, stays
// the same connection (RFC 9000, 9); by itself and by Association::migrate.
#include "tests/scenario/roam_scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("migration: the client's address goes away, and the connection goes on elsewhere") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        const std::size_t handshake = scene.initials;
        scene.near.plug("eth0", false);
        CHECK(scene.arrives(carrier, "after"));
        scene.world.run_for(1s);
        CHECK(RoamScene::at(carrier) == "10.1.0.1");
        CHECK(scene.initials == handshake);
        CHECK(scene.fates.acked() == 2);
        CHECK(scene.ends.empty());
        REQUIRE(scene.paths.size() == 1);
        CHECK(scene.paths[0].local.ip_string() == "10.1.0.1");
        // RFC 9000, 9.5: nothing links the two paths but the addresses.
        const auto before = scene.ids_from("10.0.0.1");
        for (const std::string& id : scene.ids_from("10.1.0.1")) CHECK_FALSE(before.contains(id));
        Texts back;
        gather(carrier, back);
        scene.accepted[0].send("the other way");
        CHECK(scene.until([&] { return back.size() == 1; }));
        CHECK(scene.accepted[0].association().paths()[0].remote.ip_string() == "10.1.0.1");
    }

    TEST_CASE("migration: both ends hear of the new path") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        Log<Path> theirs;
        scene.accepted[0].on_path([theirs](const Path& path) { theirs.push_back(path); });
        scene.near.plug("eth0", false);
        REQUIRE(scene.arrives(carrier, "after"));
        scene.world.run_for(1s);
        REQUIRE(theirs.size() == 1);
        CHECK(theirs[0].remote.ip_string() == "10.1.0.1");
    }

    TEST_CASE("migration: an interface that is preferred and comes is asked first, then taken") {
        RoamScene scene;
        scene.near.plug("wlan0", false);
        Carrier carrier = scene.reach(RoamScene::on_quic({RoamScene::prefer("wlan0")}));
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        const Instant came = scene.world.now();
        scene.near.plug("wlan0", true);
        CHECK(scene.arrives(carrier, "meanwhile"));
        scene.world.run_for(1s);
        CHECK(RoamScene::at(carrier) == "10.1.0.1");
        CHECK(scene.arrives(carrier, "after"));
        CHECK(scene.paths.size() == 1);
        // Nothing but the question goes before its answer, one round trip later.
        std::size_t early = 0;
        for (const auto& one : scene.seen)
            if (one.from.ip_string() == "10.1.0.1" && one.at >= came &&
                one.at < came + 2 * RoamScene::radio)
                ++early;
        CHECK(early >= 1);
        CHECK(early <= 2);
        // And back, when it goes.
        scene.near.plug("wlan0", false);
        CHECK(scene.arrives(carrier, "back"));
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        CHECK(scene.ends.empty());
    }

    TEST_CASE("migration: where a preferred interface does not lead to the peer all stays") {
        RoamScene scene;
        scene.near.plug("wlan0", false);
        scene.over("10.1.0.1", {.delay = 20ms, .loss = 1.0});
        Carrier carrier = scene.reach(RoamScene::on_quic({RoamScene::prefer("wlan0")}));
        scene.near.plug("wlan0", true);
        const Instant came = scene.world.now();
        for (int i = 0; i < 50; ++i) {
            scene.world.run_for(100ms);
            const Instant sent = scene.world.now();
            CHECK(scene.arrives(carrier, "message " + std::to_string(i)));
            CHECK(scene.world.now() - sent < 2 * RoamScene::wired);
        }
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        CHECK(scene.paths.empty());
        // The question, and its repetitions, once.
        CHECK(scene.sent_from("10.1.0.1", came) >= 1);
        CHECK(scene.sent_from("10.1.0.1", came) <= 6);
    }

    TEST_CASE("migration: a flood of changes costs a bounded number of moves") {
        RoamScene scene;
        Carrier carrier = scene.reach(RoamScene::on_quic({RoamScene::prefer("wlan0")}));
        scene.world.run_for(2s);
        const Instant began = scene.world.now();
        for (int i = 0; i < 1000; ++i) {
            scene.near.plug("wlan0", i % 2 == 1);
            scene.world.run_for(10ms);
        }
        const double seconds = std::chrono::duration<double>(scene.world.now() - began).count();
        CHECK(static_cast<double>(scene.paths.size()) <= 2 * (4 + seconds + 1));
        scene.near.plug("wlan0", false);
        scene.world.run_for(3s);
        CHECK(scene.arrives(carrier, "after the flood"));
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        CHECK(scene.ends.empty());
    }

    TEST_CASE("migration: with no address left it waits for one") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        scene.near.plug("eth0", false);
        scene.near.plug("wlan0", false);
        carrier.send("into the void", {}, scene.fates.watch());
        scene.world.run_for(5s);
        const std::size_t before = scene.texts.size();
        scene.near.plug("wlan0", true);
        CHECK(scene.until([&] { return scene.texts.size() == before + 1; }, 3s));
        CHECK(scene.ends.empty());
    }

    TEST_CASE("migration: where nobody orders interfaces the system's routes are followed back") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        const std::uint16_t port = carrier.association().paths()[0].local.port;
        scene.near.plug("eth0", false);
        CHECK(scene.arrives(carrier, "there"));
        CHECK(carrier.association().paths()[0].local.port == port);  // no second move to the peer
        scene.world.run_for(1s);
        scene.near.plug("eth0", true);
        CHECK(scene.arrives(carrier, "and back"));
        scene.world.run_for(1s);
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        CHECK(scene.paths.size() == 2);
    }

    TEST_CASE("migration: a path that is gone twice is replaced by the one that has come back") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        const char* const interfaces[] = {"eth0", "wlan0"};
        for (int i = 0; i < 12; ++i) {
            CAPTURE(i);
            scene.near.plug(interfaces[i % 2], false);
            scene.near.plug(interfaces[1 - i % 2], true);
            CHECK(scene.arrives(carrier, "round " + std::to_string(i), 5s));
            scene.world.run_for(2s);
        }
        CHECK(scene.ends.empty());
        CHECK(scene.paths.size() == 12);
    }

    TEST_CASE("migration: a new path that is dead is given up for the next one") {
        RoamScene scene;
        scene.near.add_interface("wwan0", {"10.2.0.1"}, InterfaceType::cellular);
        scene.near.set_gateway("wwan0", "10.2.0.254");
        scene.over("10.2.0.1", {.delay = 30ms});
        scene.over("10.1.0.1", {.delay = 20ms, .loss = 1.0});
        Carrier carrier = scene.reach();
        scene.near.plug("eth0", false);
        CHECK(scene.arrives(carrier, "after", 10s));
        CHECK(RoamScene::at(carrier) == "10.2.0.1");
        CHECK(scene.ends.empty());
    }

    TEST_CASE("migrate: by hand, to an interface that is named, and back") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        auto there = carrier.association().migrate({.interfaces = {"wlan0"}});
        const auto path = scene.answer(there);
        REQUIRE(path);
        CHECK(path->local.ip_string() == "10.1.0.1");
        CHECK(RoamScene::at(carrier) == "10.1.0.1");
        CHECK(scene.arrives(carrier, "there"));
        // Where it is already, nothing has to be done.
        auto again = carrier.association().migrate({.interfaces = {"wlan0"}});
        CHECK(again.ready());
        auto back = carrier.association().migrate({.address = *Address::parse("10.0.0.1")});
        REQUIRE(scene.answer(back));
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        // With nothing named: elsewhere.
        auto away = carrier.association().migrate({});
        REQUIRE(scene.answer(away));
        CHECK(RoamScene::at(carrier) == "10.1.0.1");
        CHECK(scene.arrives(carrier, "away"));
    }

    TEST_CASE("migrate: to an address of the other family, or to none of ours, is no_route") {
        RoamScene scene;
        scene.near.add_address("2001:db8::1");
        Carrier carrier = scene.reach();
        auto other = carrier.association().migrate({.address = *Address::parse("2001:db8::1")});
        const auto refused = scene.answer(other);
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == Errc::no_route);
        CHECK(contains(refused.error().detail.string(), "other family"));
        auto nobody = carrier.association().migrate({.address = *Address::parse("10.9.9.9")});
        const auto unknown = scene.answer(nobody);
        REQUIRE_FALSE(unknown);
        CHECK(unknown.error() == Errc::no_route);
        CHECK(contains(unknown.error().detail.string(), "does not have the address 10.9.9.9"));
        auto named = carrier.association().migrate({.interfaces = {"tun0"}});
        const auto missing = scene.answer(named);
        REQUIRE_FALSE(missing);
        CHECK(missing.error() == Errc::no_route);
        CHECK(contains(missing.error().detail.string(), "eth0"));
        CHECK(scene.arrives(carrier, "unmoved"));
    }

    TEST_CASE("migrate: to an interface without an address that reaches the peer is no_route") {
        RoamScene scene;
        scene.near.add_interface("six0", {"2001:db8:1::1"});
        Carrier carrier = scene.reach();
        auto there = carrier.association().migrate({.interfaces = {"six0"}});
        const auto refused = scene.answer(there);
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == Errc::no_route);
        CHECK(contains(refused.error().detail.string(), "six0: it has no IPv4 address for it"));
        auto loopback = carrier.association().migrate({.interfaces = {"lo"}});
        CHECK_FALSE(scene.answer(loopback));
        CHECK(scene.paths.empty());
    }

    TEST_CASE("migrate: a peer that never answers leaves all as it was, and the error says so") {
        RoamScene scene;
        scene.over("10.1.0.1", {.delay = 20ms, .loss = 1.0});
        Carrier carrier = scene.reach();
        auto there = carrier.association().migrate({.interfaces = {"wlan0"}});
        CHECK(scene.arrives(carrier, "meanwhile"));
        const auto refused = scene.answer(there);
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == Errc::unreachable);
        CHECK(contains(refused.error().detail.string(), "wlan0 from 10.1.0.1: the server did not"));
        CHECK(RoamScene::at(carrier) == "10.0.0.1");
        CHECK(scene.arrives(carrier, "after"));
        CHECK(scene.paths.empty());
    }

    TEST_CASE("migrate: of several interfaces the next is tried when one does not answer") {
        RoamScene scene;
        scene.near.add_interface("wwan0", {"10.2.0.1"}, InterfaceType::cellular);
        scene.over("10.2.0.1", {.delay = 30ms});
        scene.over("10.1.0.1", {.delay = 20ms, .loss = 1.0});
        Carrier carrier = scene.reach();
        auto there = carrier.association().migrate({.interfaces = {"wlan0", "wwan0"}});
        const auto path = scene.answer(there);
        REQUIRE(path);
        CHECK(path->local.ip_string() == "10.2.0.1");
    }

    TEST_CASE("migrate: a later call ends the earlier one") {
        RoamScene scene;
        scene.near.add_interface("wwan0", {"10.2.0.1"}, InterfaceType::cellular);
        scene.over("10.2.0.1", {.delay = 30ms});
        Carrier carrier = scene.reach();
        auto first = carrier.association().migrate({.interfaces = {"wlan0"}});
        scene.world.run_for(5ms);
        auto second = carrier.association().migrate({.interfaces = {"wwan0"}});
        const auto path = scene.answer(second);
        REQUIRE(path);
        CHECK(path->local.ip_string() == "10.2.0.1");
        const auto earlier = scene.answer(first);
        REQUIRE_FALSE(earlier);
        CHECK(earlier.error() == Errc::cancelled);
        // Again and again at once: each has one answer, and the connection lives.
        std::vector<Operation<Path>> many;
        for (int i = 0; i < 40; ++i)
            many.push_back(carrier.association().migrate({.interfaces = {i % 3 == 0   ? "wlan0"
                                                                         : i % 3 == 1 ? "eth0"
                                                                                      : "wwan0"}}));
        REQUIRE(scene.until([&] {
            return std::all_of(many.begin(), many.end(),
                               [](const auto& one) { return one.ready(); });
        }));
        scene.world.run_for(5s);
        CHECK(scene.arrives(carrier, "after all"));
        CHECK(scene.ends.empty());
    }

    TEST_CASE("migrate: what cannot move says why") {
        for (const Stack stack : {Stack::sctp_dtls, Stack::tls}) {
            CAPTURE(to_string(stack));
            RoamScene scene;
            InitiateOptions options;
            options.policy.stacks = {stack};
            Carrier carrier = scene.reach(options);
            CHECK(carrier.explain(Feature::migration).level == Support::Level::unsupported);
            auto there = carrier.association().migrate({.interfaces = {"wlan0"}});
            const auto refused = scene.answer(there);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == Errc::unsupported);
            CHECK(contains(refused.error().detail.string(), to_string(stack)));
            CHECK(scene.arrives(carrier, "unmoved"));
        }
        RoamScene scene;
        Carrier carrier = scene.initiate(RoamScene::on_quic());
        auto early = carrier.association().migrate({});
        CHECK(scene.answer(early).error() == Errc::would_block);
        Carrier there = scene.reach();
        auto server = scene.accepted[0].association().migrate({});
        CHECK(scene.answer(server).error() == Errc::unsupported);
        CHECK(there.explain(Feature::migration).level == Support::Level::native);
        auto none = Association().migrate({});
        CHECK(none.get().error() == Errc::context_closed);
    }

    TEST_CASE("migrate: an association that ends meanwhile answers") {
        RoamScene scene;
        scene.over("10.1.0.1", {.delay = 20ms, .loss = 1.0});
        Carrier carrier = scene.reach();
        auto there = carrier.association().migrate({.interfaces = {"wlan0"}});
        scene.server->end();
        scene.world.run_for(5ms);
        CHECK_FALSE(scene.answer(there, 60s));
        RoamScene other;
        other.over("10.1.0.1", {.delay = 20ms, .loss = 1.0});
        Carrier gone = other.reach();
        auto never = gone.association().migrate({.interfaces = {"wlan0"}});
        other.client->end();
        REQUIRE(never.ready());
        CHECK(never.get().error() == Errc::context_closed);
    }

    TEST_CASE("migration: the numbers of a path begin anew with it") {
        RoamScene scene;
        Carrier carrier = scene.reach();
        for (int i = 0; i < 20; ++i) CHECK(scene.arrives(carrier, std::string(20'000, 'x')));
        const Path wired = carrier.association().paths()[0];
        CHECK(wired.minimum_rtt >= 2 * RoamScene::wired);
        CHECK(wired.minimum_rtt < 2 * RoamScene::wired + 5ms);
        CHECK(wired.one_way == wired.minimum_rtt / 2);
        CHECK(wired.delivery_rate > 100'000);
        CHECK(wired.delivery_rate < 2'500'000);  // what the link bears
        CHECK(wired.packets_sent > 100);
        auto there = carrier.association().migrate({.interfaces = {"wlan0"}});
        REQUIRE(scene.answer(there));
        CHECK(carrier.association().paths()[0].packets_sent < 20);
        scene.world.run_for(100ms);
        for (int i = 0; i < 20; ++i) CHECK(scene.arrives(carrier, std::string(20'000, 'x')));
        const Path radio = carrier.association().paths()[0];
        CHECK(radio.minimum_rtt >= 2 * RoamScene::radio);
        CHECK(radio.smoothed_rtt >= 2 * RoamScene::radio);
        CHECK(radio.loss < 0.5);
    }
}

}  // namespace post::test
