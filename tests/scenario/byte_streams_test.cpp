// Foreign byte streams: each Carrier is a TCP connection of its own, with TLS in it or without.
#include <algorithm>
#include <array>
#include <set>

#include <post/stream.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

struct Kind {
    const char* name;
    Stack stack;
};
constexpr std::array kinds{Kind{"tcp", Stack::tcp}, Kind{"tls", Stack::tls}};

ListenOptions listening(Stack stack) {
    ListenOptions options;
    options.policy = {stack == Stack::tcp ? Security::none : Security::required, {stack}};
    if (stack == Stack::tls) options.alpn = {"echo"};
    return options;
}

InitiateOptions initiating(Stack stack) {
    InitiateOptions options;
    options.policy = {stack == Stack::tcp ? Security::none : Security::required, {stack}};
    if (stack == Stack::tls) options.alpn = "echo";
    return options;
}

// All that came on a Carrier: boundaries mean nothing.
struct Received {
    std::shared_ptr<std::string> text = std::make_shared<std::string>();
    Ends ends;
    void read(Carrier& carrier) {
        gather_end(carrier, ends);
        carrier.ready([text = text](Carrier&, InMessage message) {
            *text += message.content().string();
            return true;
        });
    }
};

struct BytesScene : Scene {
    explicit BytesScene(Stack on, std::uint64_t seed = test::seed(),
                        const sim::LinkOptions& way = {.delay = 10ms, .rate = 20'000'000})
        : Scene(seed, way) {
        collect(listening(on));
        carrier = initiate(initiating(on));
    }
    bool accepts(std::size_t count) {
        return until([&] { return accepted.size() == count; });
    }
    Carrier carrier;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("byte streams: bytes go both ways, and every one is acknowledged") {
        for (const Kind kind : kinds) {
            for (auto seed : seeds(3)) {
                CAPTURE(kind.name);
                CAPTURE(seed);
                BytesScene scene(kind.stack, seed,
                                 {.delay = 10ms, .rate = 20'000'000, .loss = 0.03});
                Fates fates;
                Received there, back;
                back.read(scene.carrier);
                std::string all;
                for (int i = 0; i < 40; ++i) {
                    const std::string part(static_cast<std::size_t>(1 + i * 997),
                                           static_cast<char>('a' + i % 26));
                    all += part;
                    scene.carrier.send(part, {}, fates.watch());
                }
                REQUIRE(scene.accepts(1));
                there.read(scene.accepted[0]);
                REQUIRE(scene.until([&] { return fates.all(); }, 1min));
                fates.check();
                CHECK(fates.acked() == 40);
                REQUIRE(scene.until([&] { return there.text->size() == all.size(); }));
                CHECK(*there.text == all);
                scene.accepted[0].send(all);
                CHECK(scene.until([&] { return back.text->size() == all.size(); }, 1min));
                CHECK(*back.text == all);
                const auto association = scene.carrier.association();
                CHECK(association.stack() == kind.stack);
                CHECK(association.alpn() == (kind.stack == Stack::tls ? "echo" : ""));
                CHECK(association.explain(Feature::acked).level == Support::Level::native);
                CHECK(scene.unhandled.empty());
            }
        }
    }

    TEST_CASE("byte streams: a message is acked when its last byte is, and not before") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            BytesScene scene(kind.stack);
            Received there;
            Fates fates;
            scene.carrier.send("first", {}, fates.watch());
            REQUIRE(scene.accepts(1));
            there.read(scene.accepted[0]);
            REQUIRE(scene.until([&] { return fates.all(); }));
            // Nothing of what comes now arrives: it is sent, and stays unacknowledged.
            scene.link.change([](sim::LinkOptions& options) { options.loss = 1; });
            scene.carrier.send("second", {}, fates.watch());
            scene.carrier.send("third", {}, fates.watch());
            scene.world.run_for(2s);
            CHECK(fates[1].sent == 1);
            CHECK(fates.acked() == 1);
            scene.link.change([](sim::LinkOptions& options) { options.loss = 0; });
            CHECK(scene.until([&] { return fates.acked() == 3; }, 1min));
            CHECK(*there.text == "firstsecondthird");
            fates.check();
        }
    }

    TEST_CASE("byte streams: finish is the end of one direction, and both make the end") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            BytesScene scene(kind.stack);
            Ends ends, theirs;
            gather_end(scene.carrier, ends);
            Fates fates;
            scene.carrier.send("request", {.final = true}, fates.watch());
            REQUIRE(scene.accepts(1));
            Carrier& accepted = scene.accepted[0];
            gather_end(accepted, theirs);
            auto request = accepted.receive();
            REQUIRE(scene.until([&] { return request.ready(); }));
            CHECK(request.get().value().content() == "request");
            auto end = accepted.receive();
            REQUIRE(scene.until([&] { return end.ready(); }));
            CHECK(end.get().error() == Errc::carrier_closed);
            scene.world.run_for(5min);  // a silent half-open connection is no broken one
            CHECK(ends.empty());
            accepted.send("response");
            accepted.finish();
            auto response = scene.carrier.receive();
            REQUIRE(scene.until([&] { return response.ready(); }));
            CHECK(response.get().value().content() == "response");
            CHECK(scene.until([&] { return ends.size() == 1 && theirs.size() == 1; }));
            CHECK(ends[0] == Errc::carrier_closed);
            CHECK(theirs[0] == Errc::carrier_closed);
            CHECK(fates.acked() == 1);
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("byte streams: a server may be the first who says something") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            Scene scene;
            scene.listener = scene.listen(listening(kind.stack));
            std::vector<Carrier> kept;
            scene.listener.accept([&](Carrier carrier) {
                carrier.send("220 ready\r\n");
                kept.push_back(std::move(carrier));
                return true;
            });
            auto received = scene.initiate(initiating(kind.stack));
            auto greeting = received.receive();
            REQUIRE(scene.until([&] { return greeting.ready(); }));
            CHECK(greeting.get().value().content() == "220 ready\r\n");

            auto registered = received.fork();
            Received other;
            other.read(registered);
            CHECK(scene.until([&] { return *other.text == "220 ready\r\n"; }));

            auto stream = received.fork().as_stream().value();
            auto bytes = stream.read();
            REQUIRE(scene.until([&] { return bytes.ready(); }));
            CHECK(bytes.get().value() == "220 ready\r\n");

            auto active = received.fork();
            auto activation = active.activate();
            CHECK(scene.until([&] { return kept.size() == 4; }));
            CHECK(active.as_stream());  // nobody was told of messages
        }
    }

    TEST_CASE("byte streams: a fork is another connection, and the end of one is its own") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            BytesScene scene(kind.stack);
            std::vector<Carrier> forks;
            scene.carrier.send("0");
            for (int i = 1; i < 50; ++i) {
                forks.push_back(scene.carrier.fork());
                forks.back().send(std::to_string(i));
            }
            REQUIRE(scene.accepts(50));
            std::vector<Received> there(50);
            for (std::size_t i = 0; i < 50; ++i) there[i].read(scene.accepted[i]);
            CHECK(scene.until([&] {
                return std::none_of(there.begin(), there.end(),
                                    [](const Received& one) { return one.text->empty(); });
            }));
            std::set<std::string> texts;
            for (const Received& one : there) texts.insert(*one.text);
            CHECK(texts.size() == 50);
            CHECK(scene.carrier.association().carriers() == 50);
            Ends ends;
            gather_end(scene.carrier, ends);
            // The first one goes, and the rest talk on.
            scene.carrier.abort(AbortCode{1});
            REQUIRE(scene.until([&] { return ends.size() == 1; }));
            Received back;
            back.read(forks[7]);
            for (Carrier& carrier : scene.accepted) carrier.send("still here");
            CHECK(scene.until([&] { return *back.text == "still here"; }));
        }
    }

    TEST_CASE("byte streams: an abort resets, and the peer keeps the errno") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            BytesScene scene(kind.stack);
            Received there;
            scene.carrier.send("hello");
            REQUIRE(scene.accepts(1));
            there.read(scene.accepted[0]);
            Fates fates;
            scene.accepted[0].send("not acknowledged", {}, fates.watch());
            REQUIRE(scene.until([&] { return *there.text == "hello"; }));
            scene.carrier.abort(AbortCode{42});
            REQUIRE(scene.until([&] { return there.ends.size() == 1 && fates.all(); }));
            CHECK(there.ends[0] == Errc::carrier_reset);
            CHECK(there.ends[0].cause == std::errc::connection_reset);
            fates.check();
        }
    }

    TEST_CASE("byte streams: a reset in the middle of a message ends it with its errno") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            BytesScene scene(kind.stack, test::seed(), {.delay = 10ms, .rate = 1'000'000});
            Ends ends;
            gather_end(scene.carrier, ends);
            Fates fates;
            scene.carrier.send(std::string(1'000'000, 'x'), {}, fates.watch());
            REQUIRE(scene.accepts(1));
            scene.world.run_for(300ms);
            scene.accepted[0].abort(AbortCode{0});
            REQUIRE(scene.until([&] { return fates.all() && !ends.empty(); }));
            CHECK(fates.failed() == 1);
            CHECK(fates[0].error == Errc::carrier_reset);
            CHECK(fates[0].error.cause == std::errc::connection_reset);
            CHECK(ends[0] == Errc::carrier_reset);
            CHECK_FALSE(scene.carrier.fork());  // of what is over
        }
    }

    TEST_CASE("byte streams: who takes nothing holds back its own peer and nobody else") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            Scene scene(test::seed(), {.delay = 5ms, .rate = 50'000'000});
            scene.collect(listening(kind.stack));
            auto options = initiating(kind.stack);
            options.bounds.send_budget = 16 * 1024 * 1024;
            auto carrier = scene.initiate(options);
            auto fork = carrier.fork();
            Fates slow, fast;
            constexpr int count = 400;
            for (int i = 0; i < count; ++i) {
                carrier.send(std::string(20'000, 's'), {}, slow.watch());
                fork.send(std::string(20'000, 'f'), {}, fast.watch());
            }
            REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
            std::vector<Received> there(2);
            // Who is who is told by the first byte.
            std::size_t reads = 2;
            for (std::size_t i = 0; i < 2; ++i) {
                auto first = scene.accepted[i].receive();
                REQUIRE(scene.until([&] { return first.ready(); }));
                if (first.get().value().content().view().front() == 'f') reads = i;
            }
            REQUIRE(reads < 2);
            there[reads].read(scene.accepted[reads]);
            CHECK(scene.until([&] { return fast.all(); }, 1min));
            scene.world.run_for(20s);
            CHECK(slow.acked() < count * 3 / 4);
            there[1 - reads].read(scene.accepted[1 - reads]);
            CHECK(scene.until([&] { return slow.all(); }, 1min));
            slow.check();
            fast.check();
            CHECK(slow.acked() == count);
            CHECK(fast.acked() == count);
        }
    }

    TEST_CASE("byte streams: nobody there, nobody answers, and a port that refuses a fork") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            Scene scene;
            auto refused = scene.initiate(initiating(kind.stack));
            auto refusal = refused.activate();
            REQUIRE(scene.until([&] { return refusal.ready(); }));
            CHECK(refusal.get().error() == Errc::refused_port);

            scene.far.silent = true;
            auto silent = scene.initiate(initiating(kind.stack));
            auto silence = silent.activate();
            REQUIRE(scene.until([&] { return silence.ready(); }, 30s));
            CHECK(silence.get().error() == Errc::handshake_timeout);
            scene.far.silent = false;

            scene.collect(listening(kind.stack));
            auto first = scene.initiate(initiating(kind.stack));
            first.send("first");
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            scene.listener.close();
            auto fork = first.fork();
            Ends ends;
            gather_end(fork, ends);
            Fates fates;
            fork.send("second", {}, fates.watch());
            REQUIRE(scene.until([&] { return !ends.empty() && fates.all(); }));
            CHECK(ends[0] == Errc::refused_port);
            CHECK(fates.failed() == 1);
            Received there;
            there.read(scene.accepted[0]);
            first.send(" and more");
            CHECK(scene.until([&] { return *there.text == "first and more"; }));
        }
    }

    TEST_CASE(
        "byte streams: only so many connections at once, and the rest when others have ended") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            Scene scene;
            scene.collect(listening(kind.stack));
            auto options = initiating(kind.stack);
            options.bounds.carriers = 3;
            auto first = scene.initiate(options);
            first.send("0");
            std::vector<Carrier> forks;
            for (int i = 1; i < 5; ++i) {
                forks.push_back(first.fork());
                forks.back().send(std::to_string(i));
            }
            scene.world.run_for(2s);
            CHECK(scene.accepted.size() == 3);
            first.abort(AbortCode{0});
            forks[0].abort(AbortCode{0});
            CHECK(scene.until([&] { return scene.accepted.size() == 5; }));
        }
    }

    TEST_CASE("byte streams: what is asked for in vain is an error that says so") {
        Scene scene;
        InitiateOptions secure;
        secure.policy.stacks = {Stack::tcp};
        CHECK_THROWS_AS(scene.near_context().initiate("post://server.test:4433", secure), Failure);
        auto named = initiating(Stack::tcp);
        named.alpn = "echo";
        CHECK_THROWS_AS(scene.near_context().initiate("post://server.test:4433", named), Failure);
        InitiateOptions without;
        without.without_alpn = true;
        CHECK_THROWS_AS(scene.near_context().initiate("post://server.test:4433", without), Failure);
        ListenOptions both;
        both.policy = {Security::none, {Stack::tls, Stack::tcp}};
        const auto listening = scene.far_context().try_listen(
            {.port = server_port, .identity = scene.identity}, both);
        REQUIRE_FALSE(listening);
        CHECK(listening.error() == Errc::invalid_argument);
        CHECK(listening.error().detail.view().find("share") != std::string_view::npos);
    }

    TEST_CASE("byte streams: a server's fork is refused with a reason") {
        BytesScene scene(Stack::tcp);
        scene.carrier.send("hello");
        REQUIRE(scene.accepts(1));
        CHECK(scene.accepted[0].association().explain(Feature::fork).level ==
              Support::Level::unsupported);
        CHECK(scene.carrier.association().explain(Feature::fork).level == Support::Level::native);
        auto fork = scene.accepted[0].fork();
        Ends ends;
        gather_end(fork, ends);
        fork.send("no way");
        REQUIRE(scene.until([&] { return !ends.empty(); }));
        CHECK(ends[0] == Errc::unsupported);
    }

    TEST_CASE("byte streams: a Source is a connection on which nothing comes back") {
        for (const Kind kind : kinds) {
            CAPTURE(kind.name);
            Scene scene;
            scene.collect(listening(kind.stack));
            auto options = initiating(kind.stack);
            options.one_way = true;
            auto source = scene.initiate(options);
            Ends ends;
            gather_end(source, ends);
            source.send("one way");
            source.finish();
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            Received there;
            there.read(scene.accepted[0]);
            scene.accepted[0].send("nobody hears this");
            CHECK(scene.until([&] { return ends.size() == 1; }));
            CHECK(ends[0] == Errc::carrier_closed);
            CHECK(*there.text == "one way");
        }
    }

    TEST_CASE("byte streams: one TLS port has Post peers, foreign ones, and such without a name") {
        Scene scene;
        ListenOptions options;
        options.policy.stacks = {Stack::tls};
        options.alpn = {"echo", "http/1.1"};
        options.without_alpn = true;
        scene.collect(options);
        const auto talks = [&](InitiateOptions how, std::string_view alpn) {
            how.policy.stacks = {Stack::tls};
            auto carrier = scene.initiate(how);
            const std::size_t before = scene.accepted.size();
            carrier.send("hello");
            REQUIRE(scene.until([&] { return scene.accepted.size() == before + 1; }));
            auto received = scene.accepted.back().receive();
            REQUIRE(scene.until([&] { return received.ready(); }));
            CHECK(received.get().value().content() == "hello");
            CHECK(carrier.association().alpn() == alpn);
            CHECK(scene.accepted.back().association().alpn() == alpn);
        };
        InitiateOptions how;
        talks(how, "post-qmux/1");
        how.alpn = "http/1.1";
        talks(how, "http/1.1");
        how.alpn = "echo";
        talks(how, "echo");
        how.alpn = "";
        how.without_alpn = true;
        talks(how, "");
        // Nobody takes this one, and without_alpn does not change that.
        how.alpn = "other";
        how.policy.stacks = {Stack::tls};
        auto refused = scene.initiate(how);
        auto active = refused.activate();
        REQUIRE(scene.until([&] { return active.ready(); }));
        CHECK(active.get().error() == Errc::alpn_mismatch);
    }

    TEST_CASE("byte streams: a client without ALPN is turned away by who does not take it") {
        Scene scene;
        scene.collect(listening(Stack::tls));
        InitiateOptions options;
        options.policy.stacks = {Stack::tls};
        options.without_alpn = true;
        auto carrier = scene.initiate(options);
        Ends ends;
        gather_end(carrier, ends);
        carrier.send("hello");
        REQUIRE(scene.until([&] { return !ends.empty(); }));
        CHECK(ends[0] == Errc::alpn_mismatch);
        CHECK(scene.accepted.empty());
    }
}

}  // namespace post::test
