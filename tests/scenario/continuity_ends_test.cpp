// Continuity of Carriers that are over at one end, of which the other end may not have heard when
// the connection broke; and of connections that go silent as soon as they are attached.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;

ListenOptions lasting() { return {.bounds = {.continuity = 60s}}; }
InitiateOptions lasting(std::vector<Stack> all) {
    return {.policy = {.stacks = std::move(all)}, .bounds = {.continuity = 60s}};
}

// A client with a Carrier that stays, and both ends of one that ends.
struct Ending : Scene {
    Ending() : Scene(test::seed(), {.delay = one_way}) {
        listener = listen(lasting());
        listener.accept([this](Carrier carrier) {
            accepted.push_back(std::move(carrier));
            return true;
        });
        stays = initiate(lasting({Stack::quic, Stack::tls}));
        stays.accept([this](Carrier carrier) {
            theirs.push_back(std::move(carrier));
            return true;
        });
        stays.send("begin", {}, fates.watch());
        REQUIRE(until([&] { return fates.all() && !accepted.empty(); }));
        world.run_for(1s);
    }
    // What the client sends from now on arrives, and what comes back does not, over UDP.
    void deafen() { link.back.options.drop = sim::udp; }
    void go_over() {
        world.run_for(100ms);
        link.there.options.drop = sim::udp;
        stays.send("on we go", {}, fates.watch());
        REQUIRE(until([&] { return fates.all(); }, 20s));
        CHECK(stays.association().stack() == Stack::tls);
        fates.check();
        CHECK(static_cast<std::size_t>(fates.acked()) == fates.size());
    }
    // Another connection over QUIC, of which nothing but the handshake comes through at first.
    void renew() {
        bool shaken = false;
        const auto of_connection = [&](const sim::Packet& packet) {
            const bool handshake = (packet.bytes.view().front() & 0x80) != 0;  // RFC 9000, 17.2
            shaken = shaken || handshake;
            return !handshake;
        };
        world.run_for(50ms);
        link.change([&](sim::LinkOptions& each) { each.drop = of_connection; });
        REQUIRE(until([&] { return shaken; }));
        world.run_for(4 * one_way);
        link.change([](sim::LinkOptions& each) { each.drop = nullptr; });
    }
    // Each ended in good order, and soon after what else there was.
    void check(const Ends& ends, std::size_t count) {
        REQUIRE(until([&] { return ends.size() == count; }, 1s));
        for (const Error& error : ends.all()) CHECK(error == Errc::carrier_closed);
        for (const Error& error : unhandled) FAIL_CHECK(error.message());
        for (const Error& error : server_unhandled) FAIL_CHECK(error.message());
    }

    Carrier stays;
    std::vector<Carrier> theirs;
    Fates fates;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("continuity: one end heard all of the peer's Carrier, whose word of it was lost") {
        Ending scene;
        Ends ends;
        Carrier far = scene.accepted.front().fork({.announce = true});
        gather_end(far, ends);
        far.finish();
        REQUIRE(scene.until([&] { return !scene.theirs.empty(); }));
        scene.world.run_for(1s);
        gather_end(scene.theirs.front(), ends);
        scene.theirs.front().receive();
        scene.deafen();
        scene.theirs.front().finish();
        scene.go_over();
        scene.check(ends, 2);
    }

    TEST_CASE("continuity: the peer had all of a one-way Carrier, and its word of that was lost") {
        for (const bool says : {false, true}) {
            CAPTURE(says);
            Ending scene;
            Ends ends;
            Carrier near = scene.stays.fork({.announce = true, .one_way = true});
            gather_end(near, ends);
            if (says) near.send("said", {}, scene.fates.watch());
            REQUIRE(scene.until([&] { return scene.accepted.size() == 2 && scene.fates.all(); }));
            scene.world.run_for(1s);
            Texts got;
            gather_end(scene.accepted.back(), ends);
            gather(scene.accepted.back(), got);
            scene.deafen();
            near.finish();
            scene.renew();
            scene.check(ends, 2);
            CHECK(got.size() == (says ? 1 : 0));
        }
    }

    // The client cannot know that it was all there.
    TEST_CASE("continuity: a Carrier that is over and not taken from yet may be opened again") {
        Ending scene;
        Ends ends;
        Carrier near = scene.stays.fork({.announce = true, .one_way = true});
        gather_end(near, ends);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        scene.world.run_for(1s);
        scene.deafen();
        near.send("kept", {.final = true}, scene.fates.watch());
        scene.go_over();
        scene.check(ends, 1);
        Texts got;
        gather_end(scene.accepted.back(), ends);
        gather(scene.accepted.back(), got);
        scene.check(ends, 2);
        REQUIRE(got.size() == 1);
        CHECK(got[0] == "kept");
    }

    TEST_CASE("continuity: a peer has closed, discarded what came, and said so in vain") {
        Ending scene;
        Ends ends;
        Carrier near = scene.stays.fork({.announce = true, .one_way = true});
        gather_end(near, ends);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        scene.world.run_for(1s);
        gather_end(scene.accepted.back(), ends);
        scene.deafen();
        scene.accepted.back().close();
        scene.world.run_for(5ms);
        Fates late;
        near.send("late", {.final = true}, late.watch());
        scene.renew();
        scene.check(ends, 2);
        late.check();
        CHECK(late[0].error == Errc::carrier_closed);
    }

    // What the server had sent is discarded, and nothing says so. It hears that when it speaks of
    // the Carrier behind ATTACH.
    TEST_CASE("continuity: who waits for a Carrier that is over at the peer is told so") {
        for (const bool later : {false, true}) {
            CAPTURE(later);
            Ending scene;
            Ends ends;
            Carrier near = scene.stays.fork({.announce = true});
            gather_end(near, ends);
            REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
            scene.world.run_for(1s);
            Carrier& far = scene.accepted.back();
            gather_end(far, ends);
            Fates late;
            scene.link.change([](sim::LinkOptions& each) { each.drop = sim::udp; });
            far.send("discarded", {}, late.watch());
            scene.stays.send("on we go", {}, scene.fates.watch());
            const Association association = scene.stays.association();
            if (!later) near.close();
            REQUIRE(scene.until([&] { return association.stack() == Stack::tls; }, 20s));
            scene.world.run_for(one_way / 2);
            if (later) near.close();
            REQUIRE(scene.until([&] { return scene.fates.all(); }));
            scene.world.run_for(1s);
            if (later) {
                // All that was said of it on this connection is heard, and forgotten.
                far.send("too late", {}, late.watch());
                scene.link.change([](sim::LinkOptions& each) { each.drop = sim::tcp; });
                scene.stays.send("and on", {}, scene.fates.watch());
                REQUIRE(scene.until([&] { return scene.fates.all(); }, 20s));
                CHECK(association.stack() == Stack::quic);
            }
            scene.check(ends, 2);
            late.check();
            for (std::size_t i = 0; i < late.size(); ++i)
                CHECK(late[i].error == Errc::carrier_closed);
        }
    }

    // The server has heard ATTACH, and nobody hears its answer.
    TEST_CASE("continuity: a connection that falls silent while it attaches is doubted as any is") {
        Scene scene(seed(), {.delay = one_way});
        scene.collect(lasting());
        Carrier carrier = scene.initiate(lasting({Stack::quic, Stack::tls}));
        Fates fates;
        carrier.send("one", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.link.change([](sim::LinkOptions& each) { each.drop = sim::udp; });
        carrier.send("two", {}, fates.watch());
        const Association association = carrier.association();
        REQUIRE(
            scene.until([&] { return association.active() && association.stack() == Stack::tls; }));
        scene.world.run_for(one_way / 2);
        scene.link.change([](sim::LinkOptions& each) { each.drop = sim::tcp; });
        REQUIRE(scene.until([&] { return fates.all(); }, 8s));
        CHECK(fates.acked() == 2);
        CHECK(association.stack() == Stack::quic);
        fates.check();
    }

    // One Carrier is opened again behind a long message of another, and so after the darkness.
    TEST_CASE("continuity: over a connection that is silent nobody has to open anything") {
        Scene scene(seed(), {.delay = one_way, .rate = 20'000'000, .queue = 1000});
        Ends ends;
        Texts got;
        scene.listener = scene.listen(lasting());
        scene.listener.accept([&](Carrier carrier) {
            gather(carrier, got);
            gather_end(carrier, ends);
            scene.accepted.push_back(std::move(carrier));
            return true;
        });
        Carrier carrier = scene.initiate(lasting({Stack::quic, Stack::tls}));
        Carrier other = carrier.fork();
        Fates fates;
        carrier.send("one", {}, fates.watch());
        other.send("one", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        const Association association = carrier.association();
        scene.link.change([](sim::LinkOptions& each) { each.drop = sim::udp; });
        carrier.send(std::string(500'000, 'x'), {}, fates.watch());
        other.send("two", {.niceness = 1}, fates.watch());
        REQUIRE(
            scene.until([&] { return association.active() && association.stack() == Stack::tls; }));
        scene.world.run_for(3 * one_way);
        scene.link.change([](sim::LinkOptions& each) { each.down = true; });
        scene.world.run_for(45s);
        CHECK(ends.empty());
        scene.link.change([](sim::LinkOptions& each) { each.down = false; });
        REQUIRE(scene.until([&] { return fates.all(); }, 20s));
        fates.check();
        CHECK(fates.acked() == 4);
        CHECK(got.size() == 4);
        CHECK(ends.empty());
    }

    // SCTP's word goes as data of DTLS (RFC 8261), whose own end is an alert (RFC 6347).
    TEST_CASE(
        "continuity: where the end of DTLS is heard, and not why, the client may come again") {
        Scene scene(seed(), {.delay = one_way});
        scene.collect(lasting());
        Carrier carrier = scene.initiate(lasting({Stack::sctp_dtls, Stack::tls}));
        Fates fates;
        carrier.send("one", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        REQUIRE(carrier.association().stack() == Stack::sctp_dtls);
        Ends ends;
        gather_end(scene.accepted.front(), ends);
        bool ended = false;
        int segments = 0;
        scene.link.back.options.drop = sim::udp;
        scene.link.there.options.drop = [&](const sim::Packet& packet) {
            // Behind the ClientHello comes ATTACH, and that later than the alert.
            if (sim::tcp(packet)) return !packet.bytes.empty() && ++segments == 2;
            constexpr char alert = 21;
            const bool last = packet.bytes.view().front() == alert;
            ended = ended || last;
            return !last;
        };
        carrier.send("two", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }, 20s));
        CHECK(ended);
        CHECK(carrier.association().stack() == Stack::tls);
        CHECK(fates.acked() == 2);
        fates.check();
        CHECK(scene.accepted.size() == 1);
        CHECK(ends.empty());
    }
}

}  // namespace post::test
