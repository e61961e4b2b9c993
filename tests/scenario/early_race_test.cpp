// Early data (0-RTT) on every leaf of a race: whichever of them the server hears first, whichever
// wins, each message is heard once, and the application's Carrier is one.
#include "tests/scenario/early_scene.hpp"

namespace post::test {

namespace {

bool is_udp(const sim::Packet& packet) { return packet.protocol == sim::Protocol::udp; }

InitiateOptions race(Duration continuity = {}) {
    return {.policy = {.stacks = {Stack::quic, Stack::tls}}, .bounds = {.continuity = continuity}};
}
ListenOptions early(Duration continuity = {}) {
    return {.early_data = true, .bounds = {.continuity = continuity}};
}

// Both stacks have a ticket.
void be_known(Scene& scene, Server& server, Duration continuity = {}) {
    for (const Stack stack : {Stack::tls, Stack::quic}) {
        InitiateOptions options = race(continuity);
        options.policy = {.stacks = {stack}};
        visit(scene, server, options);
    }
    server.heard->clear();
}

const std::vector<std::string> once = {"hello"};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("early in a race: each message has one fate") {
        for (const std::uint64_t seed : seeds(6)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 200ms});
            Server server(scene);
            be_known(scene, server);
            check_early(visit(scene, server, race()));
            scene.world.run_for(40s);
            CHECK(server.texts() == once);
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("early in a race: where nothing of the first leaf arrives, the second is early") {
        Scene scene(seed(), {.delay = 200ms});
        Server server(scene);
        be_known(scene, server);
        scene.link.there.options.drop = is_udp;
        const Visit second = visit(scene, server, race());
        CHECK(second.report.winner()->stack == Stack::tls);
        check_early(second);
        // One round trip for TCP, and half of one.
        const Duration later = second.report.winner()->started -
                               second.report.attempts.at(0).started;
        CHECK(second.arrived == later + 400ms + 200ms);
        CHECK(server.texts() == once);
    }

    TEST_CASE("early in a race: another leaf wins than the one that was heard, and takes it over") {
        for (const Duration continuity : {Duration{}, Duration(30s)}) {
            for (const std::uint64_t seed : seeds(6)) {
                CAPTURE(continuity.count());
                CAPTURE(seed);
                Scene scene(seed, {.delay = 20ms});
                Server server(scene, early(continuity));
                be_known(scene, server, continuity);
                // The server hears the first flight; nobody hears the server.
                scene.link.back.options.drop = is_udp;
                const Visit other = visit(scene, server, race(continuity),
                                          {{"hello", twice}, {"there", {}}, {"again", twice}});
                CHECK(other.answers ==
                      std::vector<std::string>{"re: hello", "re: there", "re: again"});
                CHECK(other.report.winner()->stack == Stack::tls);
                CHECK(server.texts() == std::vector<std::string>{"hello", "there", "again"});
                CHECK(server.heard->front().early);
                CHECK(server.heard->front().at < server.heard->back().at);
                scene.world.run_for(40s);
                CHECK(server.heard->size() == 3);
                CHECK(scene.unhandled.empty());
                CHECK(scene.server_unhandled.empty());
            }
        }
    }

    TEST_CASE("early in a race: a leaf that comes behind the choice is not heard") {
        Scene scene(seed(), {.delay = 20ms});
        Server server(scene);
        InitiateOptions quic = race();
        quic.policy = {.stacks = {Stack::quic}};
        visit(scene, server, quic);
        server.heard->clear();
        // QUIC takes a long way round.
        std::vector<sim::Packet> late;
        scene.link.there.options.drop = [&](const sim::Packet& packet) {
            if (is_udp(packet)) late.push_back(packet);
            return is_udp(packet);
        };
        CHECK_FALSE(visit(scene, server, race()).early);
        scene.link.there.options.drop = {};
        REQUIRE_FALSE(late.empty());
        for (const sim::Packet& packet : late) scene.world.send(scene.near, packet);
        scene.world.run_for(40s);
        CHECK(server.texts() == once);
    }

    TEST_CASE("early in a race: whatever is lost, each message is heard once and in order") {
        for (const Duration continuity : {Duration{}, Duration(30s)}) {
            for (const std::uint64_t seed : seeds(20)) {
                CAPTURE(continuity.count());
                CAPTURE(seed);
                Scene scene(seed, {.delay = 60ms});
                ListenOptions listen = early(continuity);
                InitiateOptions options = race(continuity);
                listen.bounds.handshake_timeout = options.bounds.handshake_timeout = 1min;
                Server server(scene, listen);
                be_known(scene, server, continuity);
                scene.world.link(scene.near, scene.far,
                                 {.delay = 60ms, .loss = 0.25, .reorder = 0.1, .duplicate = 0.1});
                std::vector<std::pair<std::string, SendOptions>> many;
                std::vector<std::string> expected;
                for (int i = 0; i < 20; ++i) {
                    expected.push_back(std::to_string(i) + std::string(300, '.'));
                    many.emplace_back(expected.back(), i % 7 == 6 ? SendOptions{} : twice);
                }
                visit(scene, server, options, many, 5min);
                scene.world.run_for(1min);
                CHECK(server.texts() == expected);
            }
        }
    }
}

}  // namespace post::test
