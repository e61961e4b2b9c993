// What callbacks may do: anything. Each kind may destroy what it stands on, the Context included,
// and may throw; turn() hands the exception on and the next turn goes on.
#include <stdexcept>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// Runs the World although turns throw; the number of exceptions that came out.
int run_through(Scene& scene, const std::function<bool()>& done, Duration limit = 5s) {
    int thrown = 0;
    const Duration end = scene.world.elapsed() + limit;
    while (scene.world.elapsed() < end) {
        try {
            if (scene.world.run_until(done, end - scene.world.elapsed())) break;
        } catch (const std::runtime_error& error) {
            CHECK(std::string(error.what()) == "thrown by the application");
            ++thrown;
        }
    }
    CHECK(done());
    return thrown;
}

[[noreturn]] void fail() { throw std::runtime_error("thrown by the application"); }

// A Context that a callback ends. The Io stays until the World is over.
struct Doomed {
    explicit Doomed(Scene& of)
        : scene(of), io(of.near.make_io()), context(std::make_unique<Context>(options(io))) {
        scene.client.reset();
        context->on_unhandled([](const Error&) {});
        driver = scene.world.add({[this] {
                                      if (!context) io->receive();  // nobody else will
                                      if (context && context->turn()) scene.world.turn_again();
                                  },
                                  [this] { return context ? context->deadline() : never; },
                                  io.get()});
    }
    ~Doomed() {
        scene.world.remove(driver);
        context.reset();
    }
    Doomed(const Doomed&) = delete;
    Doomed& operator=(const Doomed&) = delete;

    static ContextOptions options(const std::shared_ptr<Io>& io) {
        ContextOptions options;
        options.io = io;
        return options;
    }
    Carrier initiate() { return context->initiate("post://server.test:4433", scene.pinned()); }
    bool until_gone() {
        return scene.until([&] { return !context; });
    }

    Scene& scene;
    std::shared_ptr<Io> io;
    std::unique_ptr<Context> context;
    sim::DriverId driver;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a ready callback may drop the Carrier's handle") {
        Scene scene;
        scene.echo();
        auto carrier = std::make_unique<Carrier>(scene.initiate());
        int got = 0;
        Ends ends;
        gather_end(*carrier, ends);
        carrier->ready([&](Carrier&, InMessage) {
            carrier.reset();
            return ++got < 2;
        });
        carrier->send("one");
        carrier->send("two");
        CHECK(scene.until([&] { return ends.size() == 1; }));
        CHECK(got == 2);  // the Carrier's life was the callback's
        CHECK(ends[0] == Errc::carrier_closed);
    }

    TEST_CASE("a ready callback may close or abort its Carrier") {
        Scene scene;
        scene.echo();
        for (bool abort : {false, true}) {
            CAPTURE(abort);
            auto carrier = scene.initiate();
            Ends ends;
            int got = 0;
            gather_end(carrier, ends);
            carrier.ready([&, abort](Carrier& self, InMessage) {
                ++got;
                abort ? self.abort(AbortCode{1}) : self.close();
                return true;
            });
            carrier.send("one");
            carrier.send("two");
            CHECK(scene.until([&] { return ends.size() == 1; }));
            CHECK(got == 1);
            CHECK(ends[0] == (abort ? Errc::cancelled : Errc::carrier_closed));
        }
    }

    TEST_CASE("a ready callback may take the lent Carrier over") {
        Scene scene;
        scene.echo();
        Carrier kept;
        int got = 0;
        {
            auto carrier = scene.initiate();
            carrier.ready([&](Carrier& self, InMessage) {
                ++got;
                if (!kept) kept = std::move(self);
                return false;
            });
            carrier.send("one");
        }
        REQUIRE(scene.until([&] { return got == 1; }));
        scene.world.run_for(1s);
        REQUIRE(kept);
        auto next = kept.receive();
        kept.send("two");
        REQUIRE(scene.until([&] { return next.ready(); }));
        auto message = next.get();
        REQUIRE(message);
        CHECK(message->content() == "two");
    }

    TEST_CASE("a ready callback may replace itself") {
        Scene scene;
        scene.echo();
        auto carrier = scene.initiate();
        std::string got;
        carrier.ready([&](Carrier& self, InMessage message) {
            got += "first:" + message.content().string();
            self.ready([&](Carrier&, InMessage next) {
                got += " second:" + next.content().string();
                return true;
            });
            return false;  // of no consequence: the new one has said nothing yet
        });
        for (const char* text : {"a", "b", "c"}) carrier.send(text);
        CHECK(scene.until([&] { return got == "first:a second:b second:c"; }));
    }

    TEST_CASE("each kind of callback may destroy the Context") {
        for (const char* kind :
             {"ready", "accept", "fate", "closed", "unhandled", "then", "submitted"}) {
            const std::string which = kind;
            CAPTURE(which);
            Scene scene;
            scene.collect();
            Doomed doomed(scene);
            const auto end = [&] {
                doomed.context.reset();
                CHECK_FALSE(doomed.context);
            };
            Fates fates;
            auto carrier = doomed.initiate();
            auto other = carrier.fork();
            other.send("other", {}, fates.watch());
            if (which == "unhandled") {
                doomed.context->on_unhandled([&](const Error&) { end(); });
                doomed.context->initiate("post://nowhere.test").send("nothing");
            }
            if (which == "submitted") doomed.context->submit(end);
            if (which == "closed") carrier.on_closed([&](const Error&) { end(); });
            if (which == "accept")
                carrier.accept([&](Carrier) {
                    end();
                    return true;
                });
            if (which == "ready")
                carrier.ready([&](Carrier& self, InMessage) {
                    end();
                    self.send("too late", {}, fates.watch());
                    return true;
                });
            auto operation = carrier.activate();
            if (which == "then") std::move(operation).then([&](Result<void>) { end(); });
            carrier.send("hello", {}, [&, fate = fates.watch()](const Fate& news) mutable {
                fate(news);
                if (which == "fate" && news.kind == Fate::Kind::sent) end();
            });
            if (which == "ready" || which == "accept" || which == "closed") {
                REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
                if (which == "ready") scene.accepted[1].send("now");
                if (which == "ready") scene.accepted[0].send("now");
                if (which == "accept")
                    for (auto& accepted : scene.accepted) accepted.fork().send("now");
                if (which == "closed")
                    for (auto& accepted : scene.accepted) accepted.abort();
            }
            CHECK(doomed.until_gone());
            scene.world.run_for(1s);
            CHECK(fates.all());
            fates.check();
            auto late = carrier.send("late");
            REQUIRE(late.ready());
            CHECK(late.get().error() == Errc::context_closed);
        }
    }

    TEST_CASE("an exception from each kind of callback leaves turn(), and the next turn goes on") {
        for (const char* kind : {"ready", "accept", "sent", "acked", "carrier fate", "closed",
                                 "unhandled", "then", "submitted"}) {
            const std::string which = kind;
            CAPTURE(which);
            Scene scene;
            scene.collect();
            auto carrier = scene.initiate();
            Texts got;
            Ends ends;
            Fates fates;
            bool threw = false;
            const auto fail_once = [&] {
                if (!std::exchange(threw, true)) fail();
            };
            int forks = 0;
            carrier.accept([&](Carrier) {
                ++forks;
                if (which == "accept") fail_once();
                return true;
            });
            carrier.ready([&, got](Carrier&, InMessage message) {
                got.push_back(message.content().string());
                if (which == "ready") fail_once();
                return true;
            });
            carrier.on_closed([&, ends](const Error& error) {
                ends.push_back(error);
                if (which == "closed") fail_once();
            });
            int carrier_fates = 0;
            carrier.on_fate([&](const Fate&) {
                ++carrier_fates;
                if (which == "carrier fate") fail_once();
            });
            carrier.send("one", {}, [&, fate = fates.watch()](const Fate& news) mutable {
                fate(news);
                if (which == (news.kind == Fate::Kind::sent ? "sent" : "acked")) fail_once();
            });
            carrier.send("two");
            if (which == "then") carrier.activate().then([&](Result<void>) { fail_once(); });
            if (which == "submitted") scene.near_context().submit(fail_once);
            if (which == "unhandled") {
                scene.near_context().on_unhandled([&](const Error&) { fail_once(); });
                scene.near_context().initiate("post://nowhere.test").send("nothing");
            }
            int thrown = run_through(scene, [&] { return scene.accepted.size() == 1; });
            Carrier& accepted = scene.accepted[0];
            for (const char* text : {"a", "b", "c"}) accepted.send(text);
            for (int i = 0; i < 2; ++i) accepted.fork().send("fork");
            thrown += run_through(scene, [&] {
                return got.size() == 3 && forks == 2 && fates.all() && carrier_fates == 2;
            });
            fates.check();
            CHECK(fates[0].sent == 1);
            accepted.abort();
            thrown += run_through(scene, [&] { return ends.size() == 1; });
            thrown += run_through(scene, [&] { return threw; });
            CHECK(thrown == 1);
        }
    }

    TEST_CASE("handles that outlive their Context answer context_closed") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        auto fork = carrier.fork();
        auto source = scene.near_context().initiate_source("post://server.test:4433",
                                                           scene.pinned());
        auto listener = scene.near_context().listen({.port = 9, .identity = scene.identity});
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto received = carrier.receive();
        auto accepted = carrier.accept();
        auto listened = listener.accept();
        const Association association = carrier.association();
        scene.client.reset();
        REQUIRE(received.ready());
        CHECK(received.get().error() == Errc::context_closed);
        REQUIRE(accepted.ready());
        CHECK(accepted.get().error() == Errc::context_closed);
        REQUIRE(listened.ready());
        CHECK_FALSE(listened.get());
        CHECK(carrier.send("x").get().error() == Errc::context_closed);
        CHECK(source.send("x").get().error() == Errc::context_closed);
        CHECK(carrier.receive().get().error() == Errc::context_closed);
        CHECK(carrier.accept().get().error() == Errc::context_closed);
        CHECK(listener.accept().get().error() == Errc::context_closed);
        CHECK(carrier.activate().get().error() == Errc::context_closed);
        CHECK_FALSE(carrier.writable());
        CHECK_FALSE(carrier.is_active());
        carrier.ready([](Carrier&, InMessage) { return true; });
        carrier.accept([](Carrier) { return true; });
        carrier.on_fate([](const Fate&) {});
        carrier.on_closed([](const Error&) {});
        carrier.finish();
        carrier.close();
        fork.abort();
        listener.close();
        CHECK_FALSE(carrier.fork());
        CHECK(carrier.transients().empty());
        CHECK(association.paths().empty());
        CHECK_FALSE(association.active());
        CHECK(association.carriers() == 0);
        CHECK(listener.addresses().empty());
        Carrier moved = std::move(carrier);
    }

    TEST_CASE("a send that waits for room when the Context goes has its fate and its answer") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 1000}});
        Fates fates;
        carrier.send(std::string(2000, 'a'), {}, fates.watch());
        auto waiting = carrier.send("waits", {}, fates.watch());
        CHECK_FALSE(waiting.ready());
        scene.client.reset();
        REQUIRE(waiting.ready());
        CHECK(waiting.get().error() == Errc::context_closed);
        fates.check();
        CHECK(fates.failed() == 2);
    }
}

}  // namespace post::test
