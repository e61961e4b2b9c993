// Continuity where nothing was on its way when the path broke: what is sent next finds that out,
// and no timeout of an idle connection is waited for.
#include "tests/scenario/scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("continuity: a path that broke while all was acknowledged is doubted soon") {
        struct Row {
            std::string name;
            std::vector<Stack> stacks;
            bool (*broken)(const sim::Packet&);
            Stack after;
            Duration bound;  // three probe timeouts of the stack, and the race
        };
        const std::vector<Row> rows = {
            {"quic", {Stack::quic, Stack::tls}, sim::udp, Stack::tls, 700ms},
            {"sctp-dtls", {Stack::sctp_dtls, Stack::tls}, sim::udp, Stack::tls, 1500ms},
            {"tls", {Stack::tls, Stack::quic}, sim::tcp, Stack::quic, 1500ms}};
        for (const Row& row : rows)
            for (const Duration rest : {0ms, 5000ms}) {
                CAPTURE(row.name);
                CAPTURE(rest.count());
                Scene scene(seed());
                if (row.broken == sim::tcp)
                    scene.link.change([](sim::LinkOptions& each) { each.drop = sim::udp; });
                scene.collect({.bounds = {.continuity = 30s}});
                Carrier carrier = scene.initiate(
                    {.policy = {.stacks = row.stacks}, .bounds = {.continuity = 30s}});
                Fates fates;
                for (int i = 0; i < 20; ++i)
                    carrier.send(std::string(1000, 'x'), {}, fates.watch());
                REQUIRE(scene.until([&] { return fates.all(); }));
                REQUIRE(carrier.association().stack() == row.stacks.front());
                scene.world.run_for(rest);
                scene.link.change([&](sim::LinkOptions& each) { each.drop = row.broken; });
                const Instant broken = scene.near_context().now();
                carrier.send("and on", {}, fates.watch());
                REQUIRE(scene.until([&] { return fates.all(); }, 40s));
                CHECK(fates[20].acked == 1);
                CHECK(carrier.association().stack() == row.after);
                CHECK(scene.near_context().now() - broken < row.bound);
                fates.check();
            }
    }

    // The client's Finished is lost, and all else that it says: to the server there is no
    // connection yet, and it forgets the client after its handshake timeout.
    TEST_CASE(
        "continuity: a server that gives a handshake up has no word for who has it complete") {
        Scene scene(seed());
        scene.collect({.bounds = {.handshake_timeout = 5s, .continuity = 30s}});
        Carrier carrier = scene.initiate(
            {.policy = {.stacks = {Stack::quic}}, .bounds = {.continuity = 30s}});
        Fates fates;
        for (int i = 0; i < 20; ++i)
            carrier.send(std::to_string(i), {.idempotent = true}, fates.watch());
        REQUIRE(scene.until([&] { return scene.link.there.counters().sent > 0; }));
        scene.link.there.options.loss = 1;
        REQUIRE(scene.until([&] { return bool{carrier.association().establishment()}; }));
        scene.world.run_for(12s);
        CHECK(fates.acked() == 0);
        scene.link.there.options.loss = 0;
        REQUIRE(scene.until([&] { return fates.all(); }, 40s));
        CHECK(fates.acked() == 20);
        fates.check();
        REQUIRE(scene.accepted.size() == 1);
        for (int i = 0; i < 20; ++i) {
            auto message = scene.accepted[0].receive().get();
            REQUIRE(message);
            CHECK(message->view() == std::to_string(i));
        }
        CHECK(scene.server_unhandled.empty());
        CHECK(scene.unhandled.empty());
    }
}

}  // namespace post::test
