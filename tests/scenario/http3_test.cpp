// HTTP/3 between a client and a server of ours, through the public API.
#include <functional>
#include <set>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// A server that speaks nothing but HTTP/3, and a client of it.
struct WebScene : Scene {
    explicit WebScene(std::uint64_t seed = test::seed(),
                      const sim::LinkOptions& both = {.delay = 10ms})
        : Scene(seed, both) {}
    using Serve = std::function<void(Carrier&, InMessage&)>;

    // Gives each request to `serve`, whole.
    void serve(Serve serve, ListenOptions options = {}) {
        options.policy.stacks = {Stack::http3};
        listener = far_context().listen({.port = server_port, .identity = identity},
                                        std::move(options));
        listener.accept([serve = std::move(serve)](Carrier carrier) {
            carrier.ready([serve](Carrier& self, InMessage request) {
                serve(self, request);
                return true;
            });
            return true;
        });
    }
    Carrier ask(const std::string& target = "/", InitiateOptions options = {}) {
        options.trust = Trust::pinned(identity.pin());
        return near_context().initiate("https://server.test:4433" + target, std::move(options));
    }
    InMessage reply(Carrier& carrier) {
        auto received = carrier.receive();
        REQUIRE(until([&] { return received.ready(); }, 60s));
        auto got = received.get();
        if (!got) FAIL(got.error().message());
        return *std::move(got);
    }
    Error end(Carrier& carrier) {
        auto received = carrier.receive();
        REQUIRE(until([&] { return received.ready(); }, 60s));
        auto got = received.get();
        REQUIRE(!got);
        return got.error();
    }
};

std::string_view value(const InMessage& message, std::string_view name) {
    return http::field(message.properties(), name);
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("http3: a URL is asked for, and answered") {
        WebScene scene;
        scene.serve([](Carrier& carrier, InMessage& request) {
            CHECK(value(request, ":method") == "GET");
            CHECK(value(request, ":scheme") == "https");
            CHECK(value(request, ":authority") == "server.test:4433");
            CHECK(value(request, ":path") == "/hello?x=1");
            CHECK(value(request, "accept") == "text/plain");
            CHECK(carrier.association().stack() == Stack::http3);
            carrier.send("hello, world", {.properties = {{"content-type", "text/plain"},
                                                         {"set-cookie", "a=1"},
                                                         {"set-cookie", "b=2"}}});
        });
        Fates fates;
        Carrier carrier = scene.ask("/hello?x=1");
        carrier.send("", {.properties = {{"accept", "text/plain"}}}, fates.watch());
        InMessage reply = scene.reply(carrier);
        CHECK(http::status(reply) == 200);
        CHECK(reply.view() == "hello, world");
        CHECK(value(reply, "content-type") == "text/plain");
        CHECK(value(reply, "content-length") == "12");
        std::vector<std::string> cookies;
        for (const auto& [name, cookie] : reply.properties())
            if (name == "set-cookie") cookies.push_back(cookie);
        CHECK(cookies == std::vector<std::string>{"a=1", "b=2"});
        CHECK_FALSE(reply.raw());
        CHECK(carrier.association().stack() == Stack::http3);
        CHECK(scene.end(carrier) == Errc::carrier_closed);
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
        CHECK(fates.acked() == 1);
    }

    TEST_CASE("http3: forks are requests on one connection, in parallel") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            WebScene scene(seed, {.delay = 10ms, .rate = 20'000'000, .loss = 0.03});
            scene.serve([](Carrier& carrier, InMessage& request) {
                carrier.send("you asked for " + std::string(value(request, ":path")));
            });
            Carrier first = scene.ask("/0");
            first.send("");
            std::vector<Carrier> forks;
            Texts texts;
            for (int i = 1; i <= 300; ++i) {
                forks.push_back(first.fork());
                gather(forks.back(), texts);
                forks.back().send("", {.properties = {{":path", "/" + std::to_string(i)}}});
            }
            REQUIRE(scene.until([&] { return texts.size() == 300; }, 60s));
            CHECK(scene.reply(first).view() == "you asked for /0");
            std::set<std::string> all(texts.all().begin(), texts.all().end());
            CHECK(all.size() == 300);
            Carrier same = scene.ask("/another");
            CHECK(same.reuse().how == Reuse::How::joined);
        }
    }

    TEST_CASE("http3: a body longer than memory goes both ways, with backpressure") {
        WebScene scene(seed(), {.delay = 5ms, .rate = 200'000'000});
        constexpr std::uint64_t size = 24 * 1024 * 1024;
        ListenOptions listen;
        listen.policy.stacks = {Stack::http3};
        listen.bounds.receive_budget = 1024 * 1024;
        listen.bounds.largest_message = 256 * 1024;
        scene.listener = scene.far_context().listen(
            {.port = server_port, .identity = scene.identity}, listen);
        std::uint64_t uploaded = 0;
        scene.listener.accept([&](Carrier carrier) {
            carrier.ready(ReceiveParts{}, [&](Carrier& self, InMessage part) {
                uploaded += part.size();
                if (!part.last()) return true;
                self.send(Generated{
                    .size = size, .produce = [](std::uint64_t, std::size_t most) -> Result<Bytes> {
                        return Bytes(std::string(most, 'd'));
                    }});
                return true;
            });
            return true;
        });
        InitiateOptions options;
        options.bounds = listen.bounds;
        Carrier carrier = scene.ask("/upload", options);
        Fates fates;
        carrier.send(Generated{.size = size,
                               .produce = [](std::uint64_t, std::size_t most) -> Result<Bytes> {
                                   return Bytes(std::string(most, 'u'));
                               }},
                     {}, fates.watch());
        std::uint64_t downloaded = 0;
        bool over = false;
        carrier.ready(ReceiveParts{}, [&](Carrier&, InMessage part) {
            if (part.offset() == 0) CHECK(http::status(part) == 200);
            CHECK(part.total() == size);
            downloaded += part.size();
            over = part.last();
            return !over;
        });
        REQUIRE(scene.until([&] { return over; }, 120s));
        CHECK(uploaded == size);
        CHECK(downloaded == size);
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 1);
    }

    TEST_CASE("http3: a reader that pauses is not taken for a path that lost its packet size") {
        WebScene scene(seed(), {.delay = 5ms, .rate = 100'000'000});
        std::optional<Association> theirs;
        ListenOptions listen;
        listen.policy.stacks = {Stack::http3};
        scene.listener = scene.far_context().listen(
            {.port = server_port, .identity = scene.identity}, listen);
        scene.listener.accept([&](Carrier carrier) {
            theirs = carrier.association();
            carrier.ready([](Carrier& self, InMessage) {
                self.send(
                    Generated{.size = 16 * 1024 * 1024,
                              .produce = [](std::uint64_t, std::size_t most) -> Result<Bytes> {
                                  return Bytes(std::string(most, 'd'));
                              }});
                return true;
            });
            return true;
        });
        Carrier carrier = scene.ask("/");
        carrier.send("");
        const auto read = [&](std::uint64_t bytes) {
            for (std::uint64_t got = 0; got < bytes;) {
                auto part = carrier.receive(ReceiveParts{});
                REQUIRE(scene.until([&] { return part.ready(); }));
                auto came = part.get();
                if (!came) FAIL(got << ": " << came.error().message());
                got += came->size();
            }
        };
        read(4 * 1024 * 1024);
        REQUIRE(theirs);
        REQUIRE(theirs->paths().size() == 1);
        const std::size_t found = theirs->paths()[0].mtu;
        CHECK(found > 1400);
        for (int i = 0; i < 10; ++i) {
            scene.world.run_for(500ms);
            CHECK(theirs->paths()[0].mtu == found);
        }
        read(1024 * 1024);
        CHECK(theirs->paths()[0].mtu == found);
    }

    TEST_CASE("http3: interim responses come first, trailers last") {
        WebScene scene;
        scene.serve([](Carrier& carrier, InMessage&) {
            carrier.send("", {.properties = {{":status", "103"}, {"link", "</a.css>"}}});
            carrier.send("content", {.properties = {{"trailer", "x-sum"}}});
            carrier.send("", {.properties = {{"x-sum", "7"}}});
        });
        Carrier carrier = scene.ask();
        carrier.send("");
        InMessage early = scene.reply(carrier);
        CHECK(http::status(early) == 103);
        CHECK(value(early, "link") == "</a.css>");
        InMessage reply = scene.reply(carrier);
        CHECK(http::status(reply) == 200);
        CHECK(reply.view() == "content");
        InMessage trailers = scene.reply(carrier);
        CHECK(trailers.size() == 0);
        CHECK(value(trailers, "x-sum") == "7");
        CHECK(scene.end(carrier) == Errc::carrier_closed);
    }

    TEST_CASE("http3: HEAD is answered without the content") {
        WebScene scene;
        scene.serve([](Carrier& carrier, InMessage& request) {
            CHECK(value(request, ":method") == "HEAD");
            carrier.send(std::string(100'000, 'x'));
        });
        Carrier carrier = scene.ask();
        carrier.send("", {.properties = {{":method", "HEAD"}}});
        InMessage reply = scene.reply(carrier);
        CHECK(reply.size() == 0);
        CHECK(value(reply, "content-length") == "100000");
        CHECK(scene.end(carrier) == Errc::carrier_closed);
    }

    TEST_CASE("http3: with expect the content waits for leave") {
        WebScene scene;
        scene.serve([](Carrier& carrier, InMessage& request) {
            CHECK(request.view() == "the content");
            carrier.send("", {.properties = {{":status", "204"}}});
        });
        Carrier carrier = scene.ask();
        carrier.send("the content", {.properties = {{"expect", "100-continue"}}});
        CHECK(http::status(scene.reply(carrier)) == 100);
        CHECK(http::status(scene.reply(carrier)) == 204);
    }

    TEST_CASE("http3: niceness is the request's priority") {
        WebScene scene;
        std::uint32_t niceness = 99;
        scene.serve([&](Carrier& carrier, InMessage& request) {
            CHECK(value(request, "priority") == "u=5");
            niceness = request.niceness().value();
            carrier.send("", {.niceness = request.niceness()});
        });
        Carrier carrier = scene.ask();
        carrier.send("", {.niceness = 2});
        CHECK(http::status(scene.reply(carrier)) == 200);
        CHECK(niceness == 2);
    }

    TEST_CASE("http3: what is aborted is cancelled, and each side hears the other's code") {
        WebScene scene;
        Ends ends;
        std::vector<Carrier> held;
        ListenOptions listen;
        listen.policy.stacks = {Stack::http3};
        scene.collect(listen);
        Carrier carrier = scene.ask();
        carrier.send("");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        gather_end(scene.accepted[0], ends);
        scene.reply(scene.accepted[0]);
        carrier.abort();
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::carrier_reset);
        CHECK(ends[0].cause == std::error_code(0x10c, http3_category()));

        Carrier other = scene.ask();
        other.send("");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        scene.accepted[1].abort(AbortCode{0x10e});
        const Error error = scene.end(other);
        CHECK(error == Errc::carrier_reset);
        CHECK(error.cause == std::error_code(0x10e, http3_category()));
    }

    TEST_CASE("http3: a closed Listener says so: what was asked is answered, nothing more is") {
        WebScene scene;
        ListenOptions listen;
        listen.policy.stacks = {Stack::http3};
        scene.collect(listen);
        Carrier carrier = scene.ask();
        carrier.send("");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.listener.close();
        scene.world.run_for(100ms);
        Fates fates;
        Carrier late = carrier.fork();
        late.send("", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.failed() == 1);
        CHECK(fates[0].error == Errc::connection_closed);
        CHECK_FALSE(fates[0].maybe_delivered);
        scene.accepted[0].send("the answer");
        CHECK(scene.reply(carrier).view() == "the answer");
        // The next one finds a new connection, or nobody.
        scene.world.run_for(100ms);
        CHECK(scene.ask().reuse().how != Reuse::How::joined);
    }

    TEST_CASE("http3: nobody who accepts refuses the request") {
        WebScene scene;
        ListenOptions listen;
        listen.policy.stacks = {Stack::http3};
        scene.listener = scene.far_context().listen(
            {.port = server_port, .identity = scene.identity}, listen);
        Carrier carrier = scene.ask();
        carrier.send("");
        const Error error = scene.end(carrier);
        CHECK(error == Errc::carrier_refused);
        CHECK(error.cause == std::error_code(0x10b, http3_category()));
    }

    TEST_CASE("http3: what cannot be said fails at once, and says why") {
        WebScene scene;
        scene.serve([](Carrier& carrier, InMessage&) { carrier.send("fine"); });
        struct Row {
            Properties fields;
            const char* content;
            const char* why;
        };
        for (const Row& row :
             {Row{{{"Accept", "x"}}, "", "no name"}, Row{{{"a b", "x"}}, "", "no name"},
              Row{{{"accept", "x\r\ny: z"}}, "", "none that a field can have"},
              Row{{{"connection", "close"}}, "", "no place"},
              Row{{{":status", "200"}}, "", "no name"},
              Row{{{":method", "CONNECT"}}, "", "CONNECT"},
              Row{{{"content-length", "4"}}, "five5", "another length"}}) {
            CAPTURE(row.why);
            Fates fates;
            Carrier carrier = scene.ask();
            carrier.send(row.content, {.properties = row.fields}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            CHECK(fates.failed() == 1);
            CHECK(fates[0].error.detail.string().find(row.why) != std::string::npos);
        }
        // A second message is another request.
        Fates fates;
        Carrier carrier = scene.ask();
        carrier.send("", {}, fates.watch());
        carrier.send("", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 1);
        CHECK(fates.failed() == 1);
        CHECK(scene.reply(carrier).view() == "fine");
    }

    TEST_CASE("http3: fields are bounded on both sides") {
        WebScene scene;
        std::string path;
        scene.serve([&](Carrier& carrier, InMessage& request) {
            path = value(request, "x-long");
            carrier.send("");
        });
        const auto ask = [&](std::size_t size) {
            Carrier carrier = scene.ask();
            Properties fields{{"x-long", std::string(size, 'p')}};
            auto sent = carrier.send("", {.properties = fields});
            return std::pair(std::move(carrier), sent.ready() && !sent.get());
        };
        auto [fits, refused] = ask(15'000);
        CHECK_FALSE(refused);
        CHECK(http::status(scene.reply(fits)) == 200);
        CHECK(path.size() == 15'000);
        CHECK(ask(17'000).second);
    }

    TEST_CASE("http3: one port serves Post and HTTP/3") {
        WebScene scene;
        ListenOptions options;
        options.policy.stacks = {Stack::quic, Stack::http3};
        scene.echo(options);
        Carrier post = scene.initiate();
        post.send("as a message");
        Carrier web = scene.ask();
        web.send("as a request");
        CHECK(scene.reply(web).view() == "as a request");
        CHECK(scene.reply(post).view() == "as a message");
        CHECK(post.association().stack() == Stack::quic);
    }

    TEST_CASE("http3: who speaks something else is told that nobody agrees") {
        Scene scene;
        scene.echo();
        Carrier carrier = scene.near_context().initiate(
            "https://server.test:4433/", {.trust = Trust::pinned(scene.identity.pin())});
        auto active = carrier.activate();
        REQUIRE(scene.until([&] { return active.ready(); }));
        CHECK(active.get().error() == Errc::alpn_mismatch);
    }

    TEST_CASE("http3: a response is received whole only as far as largest_message") {
        WebScene scene;
        scene.serve([](Carrier& carrier, InMessage&) { carrier.send(std::string(50'000, 'x')); });
        Carrier carrier = scene.ask();
        carrier.largest_message(40'000);
        carrier.send("");
        CHECK(scene.end(carrier) == Errc::message_too_large);
    }

    TEST_CASE("http3: the plan of an https URL names it, and what was learned of it") {
        WebScene scene;
        auto plan = scene.near_context().plan("https://server.test:4433/");
        REQUIRE(scene.until([&] { return plan.ready(); }));
        const Plan found = plan.get().value();
        REQUIRE(found.candidates.size() == 1);
        CHECK(found.candidates[0].stack == Stack::http3);
        Carrier carrier = scene.ask();
        CHECK(carrier.association().explain(Feature::properties).level == Support::Level::native);
    }
}

}  // namespace post::test
