// Tunnels and datagrams of HTTP/3 with a peer that writes its bytes by hand, in both roles: what
// breaks a rule of RFC 9220 or RFC 9297 ends the request or the connection with the right code, and
// what comes at the wrong time is dropped.
#include "tests/scenario/http3_by_hand.hpp"

namespace post::test {

namespace {

using namespace http3_bytes;

const std::string connect_method("\xcf", 1);
const std::string tunnel = prefix + connect_method + https + root + authority;
const std::string both_settings = std::string("\0", 1) +
                                  frame(4, varint(8) + varint(1) + varint(0x33) + varint(1));

std::string asks_for(const std::string& protocol) {
    return frame(1, tunnel + literal(":protocol", protocol));
}

const SendOptions apart{.ordered = false, .reliable = false};
// The quarter of a stream's id, of the second stream: forks open their parent's first.
const std::string its = varint(1);

// Our server takes "echo" and sends back what comes.
struct TunnelByHand : ClientByHand {
    TunnelByHand()
        : ClientByHand(
              [this](Carrier& self, InMessage& message) {
                  if (message.properties().size() > 0) {
                      ++requests;
                      self.send("");
                  } else if (!message.raw()) {
                      datagrams.push_back(message.content().string());
                      self.send(message.content(), apart);
                  }
              },
              {.http = {.connect = {"echo"}}}),
          control(one_way(both_settings)) {}
    // Stream 4, if it is the first.
    Carrier ask(const std::string& bytes) {
        Carrier request = first.fork();
        gather_end(request, request_ends);
        request.ready([this](Carrier&, InMessage message) {
            came.push_back(message.content().string());
            return true;
        });
        request.send(bytes);
        until([&] { return came.size() > 0 || ends.size() > 0; });
        return request;
    }

    Carrier control;
    Ends request_ends;
    Texts came;
    Texts datagrams;
    int requests = 0;
};

// The client is ours, and asks for a tunnel.
struct ServerByHand : Scene {
    ServerByHand() : Scene(test::seed(), {.delay = 5ms}) {
        collect({.policy = {.stacks = {Stack::quic}}, .alpn = {"h3"}});
        InitiateOptions options;
        options.trust = Trust::pinned(identity.pin());
        plain = near_context().initiate("https://server.test:4433/", std::move(options));
        plain.send("");
        carrier = plain.fork();
        gather_end(carrier, ends);
        carrier.ready([this](Carrier&, InMessage message) {
            if (message.properties().size() > 0)
                ++answers;
            else
                (message.raw() ? raw : datagrams).push_back(message.content().string());
            return true;
        });
        carrier.send("", {.properties = {{":protocol", "echo"}}}, fates.watch());
        // The control stream, two of QPACK, and a request that needs no SETTINGS.
        REQUIRE(until([&] { return accepted.size() == 4; }));
    }
    void say(const std::string& bytes) {
        Carrier::ForkOptions one_way;
        one_way.one_way = true;
        for (Carrier& one : accepted)
            if (Carrier fork = one.fork(one_way); fork && !control) control = std::move(fork);
        REQUIRE(control);
        control.send(bytes);
    }
    bool asked() {
        return until([&] { return accepted.size() == 5; }, 5s);
    }
    // Stream 4.
    Carrier& request() { return accepted[4]; }

    Carrier plain;
    Carrier carrier;
    Carrier control;
    Fates fates;
    Ends ends;
    int answers = 0;
    Texts raw;
    Texts datagrams;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("http3: datagrams that name no stream end the connection with their code") {
        struct Row {
            const char* name;
            std::string datagram;
            int code;
        };
        const std::vector<Row> rows{
            {"empty", "", 0x33},
            {"half an id", "\x40", 0x33},
            {"a quarter of 2^60", "\xd0" + std::string(7, '\0') + "x", 0x33},
            {"the largest number", std::string(8, '\xff'), 0x33},
            {"the largest quarter", "\xcf" + std::string(7, '\xff') + "x", 0x108},
            {"beyond what may be opened", varint(1'000'000) + "x", 0x108},
        };
        for (const Row& row : rows) {
            CAPTURE(std::string(row.name));
            TunnelByHand scene;
            Carrier request = scene.ask(asks_for("echo"));
            CHECK(scene.requests == 1);
            request.send(row.datagram, apart);
            REQUIRE(scene.until([&] { return scene.ends.size() == 1; }));
            CHECK(scene.ends[0].cause.value() == row.code);
            CHECK(scene.datagrams.empty());
        }
    }

    TEST_CASE("http3: a datagram of a request to which it means nothing ends that request alone") {
        TunnelByHand scene;
        Carrier request = scene.first.fork();
        Ends ends;
        gather_end(request, ends);
        request.send(frame(1, good));
        request.send(its + "x", apart);
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0].cause.value() == 0x33);
        CHECK(scene.alive());
        CHECK(scene.datagrams.empty());
    }

    TEST_CASE("http3: datagrams before their request and behind its end are dropped") {
        TunnelByHand scene;
        Carrier request = scene.ask(asks_for("echo"));
        request.send(its + "in time", apart);
        REQUIRE(scene.until([&] { return scene.datagrams.size() == 1; }));
        for (int i = 0; i < 1000; ++i) request.send(varint(7) + std::string(1000, 'd'), apart);
        scene.world.run_for(1s);
        request.send("", {.final = true});
        scene.world.run_for(1s);
        Carrier other = scene.first.fork();
        other.send(frame(1, good));
        for (int i = 0; i < 1000; ++i) other.send(its + std::string(1000, 'd'), apart);
        CHECK(scene.alive());
        CHECK(scene.datagrams.size() == 1);
        CHECK(scene.ends.empty());
    }

    TEST_CASE("http3: datagrams that nobody takes end at the Carrier's window, the rest is lost") {
        TunnelByHand scene;
        scene.listener.accept([&](Carrier carrier) {
            carrier.send("");
            scene.accepted.push_back(std::move(carrier));
            return true;
        });
        Carrier request = scene.ask(asks_for("echo"));
        for (int i = 0; i < 50; ++i) {
            for (int j = 0; j < 100; ++j) request.send(its + std::string(1000, 'd'), apart);
            scene.world.run_for(50ms);
        }
        REQUIRE(scene.accepted.size() == 1);
        int taken = 0;
        scene.accepted[0].ready([&](Carrier&, const InMessage&) {
            ++taken;
            return true;
        });
        scene.world.run_for(1s);
        CHECK(taken > 1);
        CHECK(taken < 100);
        CHECK(scene.alive());
    }

    TEST_CASE("http3: a tunnel has no other frames than DATA, and no protocol without CONNECT") {
        struct Row {
            const char* name;
            std::string bytes;
            int code;
            bool connection;
        };
        const std::vector<Row> rows{
            {"HEADERS in a tunnel", asks_for("echo") + frame(1, prefix + literal("a", "b")), 0x105,
             true},
            {"SETTINGS in a tunnel", asks_for("echo") + frame(4, ""), 0x105, true},
            {"GET with :protocol", frame(1, good + literal(":protocol", "echo")), 0x10e, false},
            {":protocol twice",
             frame(1, tunnel + literal(":protocol", "echo") + literal(":protocol", "echo")), 0x10e,
             false},
            {"no :path",
             frame(1, prefix + connect_method + https + authority + literal(":protocol", "echo")),
             0x10e, false},
        };
        for (const Row& row : rows) {
            CAPTURE(std::string(row.name));
            TunnelByHand scene;
            Carrier request = scene.first.fork();
            Ends ends;
            gather_end(request, ends);
            request.ready([](Carrier&, const InMessage&) { return true; });
            request.send(row.bytes);
            REQUIRE(scene.until([&] { return ends.size() == 1; }));
            CHECK(ends[0].cause.value() == row.code);
            CHECK(scene.ends.size() == (row.connection ? 1 : 0));
        }
    }

    TEST_CASE("http3: a tunnel waits for the server's SETTINGS") {
        ServerByHand scene;
        CHECK_FALSE(scene.asked());
        scene.say(both_settings);
        REQUIRE(scene.asked());
        scene.request().send(frame(1, prefix + "\xd9") + frame(0, "bytes"));
        REQUIRE(scene.until([&] { return scene.raw.size() == 1; }));
        CHECK(scene.raw[0] == "bytes");
        CHECK(scene.answers == 1);
    }

    TEST_CASE("http3: SETTINGS that offer no tunnels fail the request that waited for them") {
        for (const std::string& said :
             {settings, std::string("\0", 1) + frame(4, varint(0x33) + varint(1)),
              std::string("\0", 1) + frame(4, varint(8) + varint(0))}) {
            ServerByHand scene;
            scene.say(said);
            REQUIRE(scene.until([&] { return scene.fates.all(); }));
            CHECK(scene.fates[0].error == Errc::unsupported);
            CHECK_FALSE(scene.fates[0].maybe_delivered);
            CHECK_FALSE(scene.asked());
        }
    }

    TEST_CASE("http3: a request that waits for SETTINGS can be given up") {
        ServerByHand scene;
        scene.carrier.abort();
        REQUIRE(scene.until([&] { return scene.fates.all(); }));
        CHECK(scene.fates.failed() == 1);
        scene.say(both_settings);
        CHECK_FALSE(scene.asked());
    }

    TEST_CASE("http3: datagrams to a peer that takes none fail, and are no bytes of the tunnel") {
        ServerByHand scene;
        scene.say(std::string("\0", 1) + frame(4, varint(8) + varint(1)));
        REQUIRE(scene.asked());
        Texts heard;
        gather(scene.request(), heard);
        scene.request().send(frame(1, prefix + "\xd9"));
        REQUIRE(scene.until([&] { return scene.answers == 1; }));
        const std::size_t before = heard.size();
        scene.carrier.send("datagram", apart, scene.fates.watch());
        REQUIRE(scene.until([&] { return scene.fates.all(); }));
        CHECK(scene.fates[1].error == Errc::unsupported);
        scene.world.run_for(1s);
        CHECK(heard.size() == before);
    }

    TEST_CASE("http3: a server's datagrams count from its answer on, and by the same rules") {
        ServerByHand scene;
        scene.say(both_settings);
        REQUIRE(scene.asked());
        scene.request().send(its + "too early", apart);
        scene.world.run_for(100ms);
        scene.request().send(frame(1, prefix + "\xd9"));
        REQUIRE(scene.until([&] { return scene.answers == 1; }));
        scene.request().send(its + "in time", apart);
        scene.request().send(varint(5) + "of no request", apart);
        REQUIRE(scene.until([&] { return scene.datagrams.size() == 1; }));
        CHECK(scene.datagrams[0] == "in time");
        CHECK(scene.ends.empty());
        Ends plain_ends;
        gather_end(scene.plain, plain_ends);
        scene.request().send(varint(0) + "of a GET", apart);
        REQUIRE(scene.until([&] { return plain_ends.size() == 1; }));
        CHECK(plain_ends[0].cause == std::error_code(0x33, http3_category()));
        CHECK(scene.ends.empty());
        scene.request().send("", apart);
        REQUIRE(scene.until([&] { return scene.ends.size() == 1; }));
        CHECK(scene.ends[0].cause == std::error_code(0x33, http3_category()));
    }
}

}  // namespace post::test
