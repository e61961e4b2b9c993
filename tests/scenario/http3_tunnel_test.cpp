// Tunnels of HTTP/3 between a client and a server of ours: extended CONNECT (RFC 9220), bytes both
// ways, and HTTP Datagrams (RFC 9297) beside them.
#include <algorithm>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

struct TunnelScene : Scene {
    explicit TunnelScene(std::uint64_t seed = test::seed(),
                         const sim::LinkOptions& both = {.delay = 10ms})
        : Scene(seed, both) {}
    // Answers what opens a tunnel with `status`, and sends back what comes in it, as it came.
    void serve(std::vector<std::string> protocols, const std::string& status = "200") {
        ListenOptions options;
        options.policy.stacks = {Stack::http3};
        options.http.connect = std::move(protocols);
        listener = listen(std::move(options));
        listener.accept([this, status](Carrier carrier) {
            carrier.ready([this, status](Carrier& self, InMessage message) {
                if (message.properties().size() > 0) {
                    asked.push_back(message.properties());
                    self.send(status == "200" ? "" : "no", {.properties = {{":status", status}}});
                } else if (message.raw()) {
                    bytes += message.view();
                    self.send(message.content());
                } else {
                    ++datagrams;
                    self.send(message.content(), apart);
                }
                return true;
            });
            return true;
        });
    }
    Carrier connect(const std::string& protocol, OnFate on_fate = {}) {
        InitiateOptions options;
        options.trust = Trust::pinned(identity.pin());
        Carrier carrier = near_context().initiate("https://server.test:4433/there?x=1", options);
        watch(carrier);
        carrier.send("", {.properties = {{":protocol", protocol}}}, std::move(on_fate));
        return carrier;
    }
    void watch(Carrier& carrier) {
        gather_end(carrier, ends);
        carrier.ready([this](Carrier&, InMessage message) {
            if (message.properties().size() > 0) {
                answers.push_back(message.properties());
                body += message.view();
            } else if (message.raw()) {
                back += message.view();
            } else {
                came.push_back(message.content().string());
            }
            return true;
        });
    }
    std::string status() {
        until([&] { return !answers.empty() || ends.size() > 0; });
        return answers.empty() ? "" : std::string(http::field(answers[0], ":status"));
    }

    SendOptions apart{.ordered = false, .reliable = false};
    std::vector<Properties> asked;
    std::string bytes;
    int datagrams = 0;
    std::vector<Properties> answers;
    std::string body;
    std::string back;
    std::vector<std::string> came;
    Ends ends;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("http3: a tunnel is asked for, opened, and flows both ways until it ends") {
        TunnelScene scene;
        scene.serve({"connect-ip", "echo"});
        Fates fates;
        Carrier carrier = scene.connect("Echo", fates.watch());
        CHECK(scene.status() == "200");
        REQUIRE(scene.asked.size() == 1);
        const Properties& fields = scene.asked[0];
        CHECK(http::field(fields, ":method") == "CONNECT");
        CHECK(http::field(fields, ":protocol") == "Echo");
        CHECK(http::field(fields, ":scheme") == "https");
        CHECK(http::field(fields, ":path") == "/there?x=1");
        CHECK(http::field(fields, ":authority") == "server.test:4433");
        CHECK(fields.find("content-length") == nullptr);
        CHECK(scene.answers[0].find("content-length") == nullptr);
        carrier.send("hello, ", {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.back == "hello, "; }));
        carrier.send("tunnel", {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.back == "hello, tunnel"; }));
        CHECK(scene.ends.empty());
        carrier.finish();
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
        CHECK(fates.acked() == 3);
        // The server's Carrier has no more to say when its client has not.
        REQUIRE(scene.until([&] { return scene.ends.size() == 1; }));
        CHECK(scene.ends[0] == Errc::carrier_closed);
        CHECK(scene.unhandled.empty());
        CHECK(scene.server_unhandled.empty());
    }

    TEST_CASE("http3: long messages flow through a tunnel, in order, whatever the link loses") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            TunnelScene scene(seed, {.delay = 10ms, .rate = 20'000'000, .loss = 0.02});
            scene.serve({"echo"});
            std::string all;
            Fates fates;
            Carrier carrier = scene.connect("echo", fates.watch());
            // Before there is an answer, too.
            for (int i = 0; i < 30; ++i) {
                std::string part(static_cast<std::size_t>(i) * 1700 + 1,
                                 static_cast<char>('a' + i % 26));
                all += part;
                carrier.send(part, {}, fates.watch());
            }
            REQUIRE(scene.until([&] { return scene.back.size() == all.size(); }, 120s));
            CHECK((scene.back == all));
            CHECK((scene.bytes == all));
            REQUIRE(scene.until([&] { return fates.all(); }));
            CHECK(fates.acked() == 31);
        }
    }

    TEST_CASE("http3: datagrams of a tunnel go there and back beside its bytes, or are lost") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            TunnelScene scene(seed, {.delay = 10ms, .loss = 0.1});
            scene.serve({"echo"});
            Carrier carrier = scene.connect("echo");
            REQUIRE(scene.status() == "200");
            Fates fates;
            std::vector<std::string> sent;
            for (int i = 0; i < 200; ++i) {
                sent.push_back(std::to_string(i) + std::string(100, 'd'));
                carrier.send(sent.back(), scene.apart, fates.watch());
                carrier.send("b");
                scene.world.run_for(2ms);
            }
            REQUIRE(scene.until([&] { return fates.all() && scene.back.size() == 200; }, 60s));
            fates.check();
            CHECK(scene.back == std::string(200, 'b'));
            CHECK(fates.acked() + fates.expired() == 200);
            CHECK(fates.expired() > 0);
            CHECK(scene.datagrams >= fates.acked());
            CHECK(scene.datagrams < 200);
            CHECK(scene.came.size() > 100);
            CHECK(scene.came.size() <= static_cast<std::size_t>(scene.datagrams));
            for (const std::string& one : scene.came)
                CHECK(std::find(sent.begin(), sent.end(), one) != sent.end());
        }
    }

    TEST_CASE("http3: a datagram that fits no packet fails, and the tunnel goes on") {
        TunnelScene scene;
        scene.serve({"echo"});
        Carrier carrier = scene.connect("echo");
        REQUIRE(scene.status() == "200");
        Fates fates;
        carrier.send(std::string(5000, 'l'), scene.apart, fates.watch());
        carrier.send("short", scene.apart, fates.watch());
        carrier.send("", scene.apart, fates.watch());
        carrier.send("bytes", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && scene.back == "bytes"; }));
        CHECK(fates.failed() == 1);
        CHECK(fates[0].error == Errc::message_too_large);
        CHECK_FALSE(fates[0].maybe_delivered);
        CHECK(scene.came == std::vector<std::string>{"short", ""});
    }

    TEST_CASE("http3: what flows in a tunnel has no fields") {
        TunnelScene scene;
        scene.serve({"echo"});
        Carrier carrier = scene.connect("echo");
        REQUIRE(scene.status() == "200");
        Fates fates;
        carrier.send("x", {.properties = {{"a", "b"}}}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[0].error == Errc::unsupported);
        carrier.send("y");
        REQUIRE(scene.until([&] { return scene.back == "y"; }));
    }

    TEST_CASE("http3: a protocol that the server does not take is answered with 501") {
        TunnelScene scene;
        scene.serve({"echo"});
        Carrier carrier = scene.connect("websocket");
        CHECK(scene.status() == "501");
        CHECK(scene.asked.empty());
    }

    TEST_CASE("http3: an answer that opens no tunnel is one like any other") {
        TunnelScene scene;
        scene.serve({"echo"}, "403");
        Carrier carrier = scene.connect("echo");
        CHECK(scene.status() == "403");
        REQUIRE(scene.until([&] { return scene.body == "no"; }));
        CHECK(http::field(scene.answers[0], "content-length") == "2");
    }

    TEST_CASE("http3: a server that takes no tunnels is not asked for one") {
        TunnelScene scene;
        scene.serve({});
        Fates fates;
        Carrier carrier = scene.connect("echo", fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[0].error == Errc::unsupported);
        CHECK_FALSE(fates[0].maybe_delivered);
        // What its SETTINGS said is known by now, and the Carrier can ask for something else.
        Carrier again = scene.connect("echo", fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[1].error == Errc::unsupported);
        again.send("");
        CHECK(scene.status() == "200");
        REQUIRE(scene.asked.size() == 1);
        CHECK(http::field(scene.asked[0], ":method") == "GET");
    }

    TEST_CASE("http3: CONNECT and :protocol go together") {
        TunnelScene scene;
        scene.serve({"echo"});
        Carrier carrier = scene.connect("echo");
        REQUIRE(scene.status() == "200");
        for (const Properties& fields :
             {Properties{{":method", "CONNECT"}},
              Properties{{":method", "GET"}, {":protocol", "echo"}},
              Properties{{":protocol", "echo"}, {"content-length", "0"}},
              Properties{{":protocol", "echo"}, {"expect", "100-continue"}},
              Properties{{":protocol", ""}}}) {
            Fates fates;
            Carrier fork = carrier.fork();
            fork.send("", {.properties = fields}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            CHECK(fates[0].error == Errc::invalid_argument);
        }
    }

    TEST_CASE("http3: HttpOptions names tokens") {
        TunnelScene scene;
        for (const std::vector<std::string>& protocols :
             {std::vector<std::string>{""}, std::vector<std::string>{"a b"},
              std::vector<std::string>{std::string(65, 'a')}, std::vector<std::string>(17, "a")}) {
            ListenOptions options;
            options.policy.stacks = {Stack::http3};
            options.http.connect = protocols;
            Result<Listener> made = scene.far_context().try_listen(
                {.port = server_port, .identity = scene.identity}, options);
            CHECK(made.error() == Errc::invalid_argument);
        }
    }
}

}  // namespace post::test
