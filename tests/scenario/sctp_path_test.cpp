// What SCTP learns of its path and makes of it: sizes of datagrams, congestion marks, and sends
// that the system refuses. Over DTLS and right over UDP.
#include <map>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

Path path_of(const Carrier& carrier) { return carrier.association().paths().at(0); }

Policy policy_of(Stack stack) {
    return {stack == Stack::sctp_udp ? Security::none : Security::required, {stack}};
}

constexpr Stack both[] = {Stack::sctp_dtls, Stack::sctp_udp};

// A server that counts what it gets, and a client with one Carrier.
struct Talk {
    explicit Talk(Stack stack, const sim::LinkOptions& link, InitiateOptions options = {})
        : scene(seed(), link) {
        scene.listener = scene.listen({.policy = policy_of(stack)});
        scene.listener.accept([this](Carrier accepted) {
            accepted.ready([this](Carrier&, InMessage message) {
                bytes += message.content().size();
                ++messages;
                return true;
            });
            return true;
        });
        options.policy = policy_of(stack);
        carrier = scene.initiate(std::move(options));
    }
    // Says so much, and whether it was all there in time.
    bool say(std::size_t size, Duration limit = 20s) {
        carrier.send(std::string(size, 'x'));
        const auto wanted = messages + 1;
        return scene.until([&] { return messages == wanted; }, limit);
    }

    Scene scene;
    Carrier carrier;
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("datagrams of SCTP grow to what the path carries, between Post peers") {
        for (const Stack stack : both) {
            for (const std::size_t mtu :
                 {std::size_t{1280}, std::size_t{1434}, std::size_t{1500}}) {
                CAPTURE(std::string(to_string(stack)));
                CAPTURE(mtu);
                Talk talk(stack, {.delay = 10ms});
                std::size_t largest = 0;
                talk.scene.link.change([&](sim::LinkOptions& link) {
                    link.drop = [&, mtu](const sim::Packet& packet) {
                        if (packet.size() > mtu) return true;
                        largest = std::max(largest, packet.size());
                        return false;
                    };
                });
                REQUIRE(talk.say(1000));
                talk.scene.world.run_for(20s);
                REQUIRE(talk.say(1'000'000));
                // A little more than what is sure is not worth a second chunk's headers.
                const std::size_t expected = mtu == 1280 ? 1200 : mtu - 28;
                CHECK(path_of(talk.carrier).mtu == expected);
                CHECK(largest > expected + 28 - 16);
                CHECK(largest <= expected + 28);
            }
        }
    }

    TEST_CASE("datagrams of SCTP are as large as the options say, and no probe is sent then") {
        for (const Stack stack : both) {
            Talk talk(stack, {.delay = 10ms}, {.sctp = {.largest_payload = 1300}});
            std::size_t largest = 0;
            talk.scene.link.there.options.drop = [&](const sim::Packet& packet) {
                largest = std::max(largest, packet.bytes.size());
                return false;
            };
            REQUIRE(talk.say(100'000));
            CHECK(largest <= 1300);
            CHECK(largest > 1280);
        }
    }

    TEST_CASE("a plain peer of SCTP over DTLS gets no datagram that it did not ask for") {
        Scene scene(seed(), {.delay = 10ms});
        scene.collect({.policy = policy_of(Stack::sctp_dtls), .alpn = {"webrtc"}});
        std::size_t largest = 0;
        scene.link.there.options.drop = [&](const sim::Packet& packet) {
            largest = std::max(largest, packet.bytes.size());
            return false;
        };
        Fates fates;
        auto carrier = scene.initiate({.policy = policy_of(Stack::sctp_dtls), .alpn = "webrtc"});
        carrier.send(std::string(100'000, 'x'), {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 1);
        CHECK(largest <= 1200);
    }

    TEST_CASE("SCTP goes on over a path that shrinks, and finds its size") {
        for (const Stack stack : both) {
            CAPTURE(std::string(to_string(stack)));
            Talk talk(stack, {.delay = 10ms, .rate = 50'000'000, .queue = 200});
            REQUIRE(talk.say(500'000));
            talk.scene.world.run_for(1s);
            CHECK(path_of(talk.carrier).mtu == 1472);
            talk.scene.link.change([](sim::LinkOptions& link) { link.mtu = 1300; });
            CHECK(talk.say(500'000));
            talk.scene.world.run_for(20s);
            CHECK(path_of(talk.carrier).mtu == 1200);
            CHECK(talk.say(500'000, 3s));
            // Ten minutes later it is asked once more.
            talk.scene.link.change([](sim::LinkOptions& link) { link.mtu = 1500; });
            for (int i = 0; i < 45; ++i) {
                talk.scene.world.run_for(15s);
                REQUIRE(talk.say(10));
            }
            CHECK(path_of(talk.carrier).mtu == 1472);
            CHECK(talk.scene.unhandled.empty());
        }
    }

    TEST_CASE("SCTP: congestion marks are sent, and slow the sender down") {
        for (const Stack stack : both) {
            CAPTURE(std::string(to_string(stack)));
            const auto passed_in = [&](double mark) {
                Talk talk(stack,
                          {.delay = 10ms, .rate = 20'000'000, .queue = 1000, .ecn_mark = mark},
                          {.bounds = {.send_budget = 64 * 1024 * 1024}});
                for (int i = 0; i < 100; ++i) talk.carrier.send(std::string(100'000, 'x'));
                talk.scene.world.run_for(4s);
                CHECK(path_of(talk.carrier).ecn);
                CHECK(talk.scene.link.there.counters().lost == 0);
                if (mark > 0) CHECK(talk.scene.link.there.counters().marked > 10);
                return talk.bytes;
            };
            const auto unmarked = passed_in(0);
            CHECK(unmarked > 4'000'000);
            CHECK(passed_in(0.05) < unmarked / 2);
        }
    }

    TEST_CASE("SCTP gets through a path that drops what is marked") {
        for (const Stack stack : both) {
            CAPTURE(std::string(to_string(stack)));
            Talk talk(stack, {.delay = 10ms});
            talk.scene.link.change([](sim::LinkOptions& link) {
                link.drop = [](const sim::Packet& packet) { return packet.ecn != Ecn::not_ect; };
            });
            CHECK(talk.say(20'000, 60s));
        }
    }

    TEST_CASE("a send that the system refuses stalls an association of SCTP for one RTO at most") {
        for (const Stack stack : both) {
            for (const Duration gone : {10ms, 100ms, 400ms}) {
                CAPTURE(std::string(to_string(stack)));
                Talk talk(stack, {.delay = 10ms});
                REQUIRE(talk.say(1000));
                talk.scene.world.run_for(1s);
                talk.scene.near.plug("eth0", false);
                talk.carrier.send("while nothing leaves");
                talk.scene.world.run_for(gone);
                CHECK(talk.messages == 1);
                talk.scene.near.plug("eth0", true);
                // RFC 9260, 6.3.3: it doubles, and is a second at most.
                CHECK(talk.scene.until([&] { return talk.messages == 2; }, 1s));
                CHECK(talk.scene.unhandled.empty());
            }
        }
    }

    TEST_CASE("what is neither QUIC nor DTLS on their port is dropped, and harms neither") {
        Scene scene(seed(), {.delay = 10ms});
        const std::vector<Stack> stacks{Stack::quic, Stack::sctp_dtls};
        scene.echo({.policy = {Security::required, stacks}});
        std::vector<Carrier> carriers;
        std::size_t echoed = 0;
        for (const Stack stack : stacks) {
            carriers.push_back(scene.initiate({.policy = policy_of(stack)}));
            carriers.back().ready([&](Carrier&, InMessage) {
                ++echoed;
                return true;
            });
            carriers.back().send("before");
        }
        REQUIRE(scene.until([&] { return echoed == 2; }));
        scene.world.run_for(5s);
        const auto answers = scene.link.back.counters().sent;
        auto flow = scene.near_context().initiate("udp://10.0.0.2:4433",
                                                  {.policy = {Security::none, {Stack::udp}}});
        // RFC 9443, 2: STUN, nobody, ZRTP, TURN; and a Binding request as it is (RFC 8489, 5).
        for (int first = 0; first < 256; ++first) {
            std::string content(40, static_cast<char>(first));
            if (first == 0) content.replace(0, 8, std::string("\0\1\0\x14\x21\x12\xa4\x42", 8));
            if (first < 20 || (first >= 64 && first < 80)) flow.send(content);
        }
        scene.world.run_for(2s);
        CHECK(scene.link.back.counters().sent == answers);
        for (Carrier& carrier : carriers) carrier.send("after");
        CHECK(scene.until([&] { return echoed == 4; }));
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("what a Local says of DSCP stands on its packets, and keeps associations apart") {
        for (const Stack stack : {Stack::quic, Stack::sctp_dtls, Stack::sctp_udp}) {
            CAPTURE(std::string(to_string(stack)));
            std::map<int, int> there, back;  // packets, by their DSCP
            Scene scene(seed(), {.delay = 10ms});
            auto listener = scene.far_context().listen(
                {.port = server_port, .identity = scene.identity, .dscp = 10},
                {.policy = policy_of(stack)});
            int carriers = 0;
            listener.accept([&](Carrier accepted) {
                ++carriers;
                accepted.ready([](Carrier& self, InMessage message) {
                    self.send(std::move(message).content());
                    return true;
                });
                return true;
            });
            scene.link.there.options.drop = [&](const sim::Packet& packet) {
                ++there[packet.options.dscp.value_or(0)];
                return false;
            };
            scene.link.back.options.drop = [&](const sim::Packet& packet) {
                ++back[packet.options.dscp.value_or(0)];
                return false;
            };
            auto voice = scene.initiate({.policy = policy_of(stack), .local = {.dscp = 46}});
            voice.send("voice");
            scene.world.run_for(1s);
            CHECK(there.size() == 1);
            CHECK(there[46] > 2);
            CHECK(back.size() == 1);
            CHECK(back[10] > 2);
            auto plain = scene.initiate({.policy = policy_of(stack)});
            plain.send("plain");
            scene.world.run_for(1s);
            CHECK(there.size() == 2);
            CHECK(there[0] > 2);
            CHECK(carriers == 2);
            CHECK_THROWS_AS(scene.initiate({.local = {.dscp = 64}}), Failure);
        }
    }
}

}  // namespace post::test
