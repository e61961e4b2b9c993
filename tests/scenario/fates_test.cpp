// What becomes of messages: exactly one last word each, whatever happens to the Carrier, the
// Association, either Context or the network.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

const std::string big(64 * 1024, 'b');

// Ten messages, some of which are on their way and some not yet.
void send_some(Carrier& carrier, Fates& fates) {
    for (int i = 0; i < 10; ++i) carrier.send(i % 2 == 0 ? big : "small", {}, fates.watch());
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("every message is sent and then acked, also when packets are lost") {
        for (auto seed : seeds(4)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 15ms, .rate = 20'000'000, .loss = 0.05, .reorder = 0.05});
            scene.echo();
            auto carrier = scene.initiate({.bounds = {.send_budget = 16 * 1024 * 1024}});
            Texts got;
            gather(carrier, got);
            Fates fates;
            for (int i = 0; i < 5; ++i) send_some(carrier, fates);
            CHECK(scene.until([&] { return fates.all() && got.size() == 50; }, 60s));
            fates.check();
            CHECK(fates.acked() == 50);
            for (std::size_t i = 0; i < got.size(); ++i)
                CHECK(got[i].size() == (i % 2 == 0 ? big.size() : 5));
        }
    }

    TEST_CASE("the fates come to the Carrier where a send named no callback") {
        Scene scene;
        scene.echo();
        auto carrier = scene.initiate();
        std::vector<Fate::Kind> kinds;
        std::optional<MessageId> id;
        carrier.on_fate([&](const Fate& fate) {
            kinds.push_back(fate.kind);
            CHECK(fate.message == id);
        });
        auto sending = carrier.send("hello", {.niceness = 3});
        REQUIRE(sending.ready());
        id = sending.get().value();
        CHECK(id->niceness == Niceness{3});
        REQUIRE(scene.until([&] { return kinds.size() == 2; }));
        CHECK(kinds[0] == Fate::Kind::sent);
        CHECK(kinds[1] == Fate::Kind::acked);
    }

    TEST_CASE("an abort of the peer's fails what is not acked and tells its code") {
        Scene scene(seed(), {.delay = 10ms, .rate = 1'000'000});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        Ends ends;
        gather_end(carrier, ends);
        send_some(carrier, fates);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.accepted[0].abort(AbortCode{77});
        REQUIRE(scene.until([&] { return fates.all() && ends.size() == 1; }));
        fates.check();
        CHECK(fates.failed() > 0);
        CHECK(ends[0] == Errc::carrier_reset);
        CHECK(ends[0].cause == std::error_code(77, application_category()));
        CHECK(fates[9].error == Errc::carrier_reset);
        CHECK(fates[9].error.cause.value() == 77);
        CHECK_FALSE(fates[9].maybe_delivered);  // it never was in a packet
    }

    TEST_CASE("an abort of our own fails what is not acked, and the peer gets the code") {
        Scene scene(seed(), {.delay = 10ms, .rate = 1'000'000});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        Ends theirs, ours;
        gather_end(carrier, ours);
        send_some(carrier, fates);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        gather_end(scene.accepted[0], theirs);
        carrier.abort(AbortCode{0xffffffff});
        // On SCTP our own end waits for the peer's stream to be reset.
        REQUIRE(scene.until([&] { return fates.all() && theirs.size() == 1 && ours.size() == 1; }));
        fates.check();
        CHECK(fates[9].error == Errc::cancelled);
        CHECK(theirs[0] == Errc::carrier_reset);
        CHECK(static_cast<std::uint32_t>(theirs[0].cause.value()) == 0xffffffffu);
        CHECK(ours[0] == Errc::cancelled);
    }

    TEST_CASE("close delivers what was sent, and both sides end in good order") {
        Scene scene(seed(), {.delay = 10ms, .rate = 10'000'000, .loss = 0.02});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        Ends theirs, ours;
        Texts got;
        gather_end(carrier, ours);
        send_some(carrier, fates);
        carrier.close();
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        gather_end(scene.accepted[0], theirs);
        gather(scene.accepted[0], got);
        REQUIRE(scene.until([&] { return fates.all() && ours.size() == 1; }));
        fates.check();
        CHECK(fates.acked() == 10);
        CHECK(got.size() == 10);
        CHECK(ours[0] == Errc::carrier_closed);
        scene.accepted.clear();
        CHECK(scene.until([&] { return theirs.size() == 1; }));
        CHECK(theirs[0] == Errc::carrier_closed);
    }

    TEST_CASE("a finished direction takes no more, the other goes on") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        Texts at_client, at_server;
        carrier.send("last", {}, fates.watch());
        carrier.finish();
        carrier.send("too late", {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1 && fates.all(); }));
        CHECK(fates[0].acked == 1);
        CHECK(fates[1].error == Errc::carrier_closed);
        gather(carrier, at_client);
        gather(scene.accepted[0], at_server);
        scene.accepted[0].send("answer");
        CHECK(scene.until([&] { return at_client.size() == 1 && at_server.size() == 1; }));
        CHECK(at_client[0] == "answer");
    }

    TEST_CASE("close discards what the peer sends, whose messages fail as carrier_closed") {
        Scene scene(seed(), {.delay = 10ms, .rate = 1'000'000});
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Fates fates;
        send_some(scene.accepted[0], fates);
        scene.world.run_for(100ms);
        carrier.close();
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
        CHECK(fates[9].error == Errc::carrier_closed);
    }

    TEST_CASE("the end of the peer's Context fails what is not acked") {
        Scene scene(seed(), {.delay = 10ms, .rate = 1'000'000});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        Ends ends;
        gather_end(carrier, ends);
        send_some(carrier, fates);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Duration before = scene.world.elapsed();
        scene.server.reset();
        REQUIRE(scene.until([&] { return fates.all() && ends.size() == 1; }));
        CHECK(scene.world.elapsed() - before < 5s);  // it said goodbye
        fates.check();
        CHECK(ends[0] == Errc::connection_closed);
        CHECK(ends[0].cause == make_error_code(Errc::context_closed));
        CHECK(fates[9].error == Errc::connection_closed);
    }

    TEST_CASE("the end of our own Context fails what is not acked") {
        Scene scene(seed(), {.delay = 10ms, .rate = 1'000'000});
        scene.collect();
        auto carrier = scene.initiate();
        Fates fates;
        Ends ends;
        gather_end(carrier, ends);
        send_some(carrier, fates);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto operation = carrier.receive();
        scene.client.reset();
        CHECK(fates.all());
        fates.check();
        CHECK(fates[9].error == Errc::context_closed);
        REQUIRE(ends.size() == 1);
        CHECK(ends[0] == Errc::context_closed);
        REQUIRE(operation.ready());
        CHECK(operation.get().error() == Errc::context_closed);
    }

    TEST_CASE("messages to a silent peer fail after the handshake timeout") {
        Scene scene;
        scene.far.silent = true;
        auto carrier = scene.initiate();
        Fates fates;
        send_some(carrier, fates);
        CHECK_FALSE(scene.until([&] { return fates.all(); }, 9900ms));
        REQUIRE(scene.until([&] { return fates.all(); }, 1s));
        fates.check();
        CHECK(fates.failed() == 10);
        CHECK(fates[0].error == Errc::handshake_timeout);
        CHECK_FALSE(fates[0].maybe_delivered);
    }

    TEST_CASE("a network that goes dark fails messages within the idle timeout") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.continuity = {}}});  // or that much later
        Fates fates;
        carrier.send("hello", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        Ends ends, theirs;
        gather_end(carrier, ends);
        gather_end(scene.accepted[0], theirs);
        Texts got;
        gather(scene.accepted[0], got);
        scene.link.change([](sim::LinkOptions& link) { link.down = true; });
        carrier.send("anybody there?", {}, fates.watch());
        const Duration before = scene.world.elapsed();
        REQUIRE(scene.until([&] { return fates.all() && !ends.empty(); }, 40s));
        CHECK(scene.world.elapsed() - before <= 31s);
        fates.check();
        CHECK(fates[1].error == Errc::connection_lost);
        CHECK(fates[1].maybe_delivered);
        CHECK(ends[0] == Errc::connection_lost);
        // It is "within" and not "after": nothing is given up early either.
        CHECK(scene.world.elapsed() - before >= 20s);
        CHECK(scene.until([&] { return !theirs.empty(); }, 40s));
    }

    TEST_CASE("a blackhole shorter than the idle timeout loses nothing") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Scene scene(
                seed,
                {.delay = 10ms, .rate = 10'000'000, .blackhole = {{.from = 200ms, .to = 12s}}});
            scene.collect();
            auto carrier = scene.initiate({.bounds = {.send_budget = 16 * 1024 * 1024}});
            Fates fates;
            for (int i = 0; i < 8; ++i) send_some(carrier, fates);
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            Texts got;
            gather(scene.accepted[0], got);
            REQUIRE(scene.until([&] { return fates.all(); }, 60s));
            fates.check();
            CHECK(fates.acked() == 80);
            CHECK(got.size() == 80);
        }
    }

    TEST_CASE("close waits no longer than the linger time") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.linger = 3s}});
        Fates fates;
        carrier.send("hello", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.link.change([](sim::LinkOptions& options) { options.down = true; });
        carrier.send("never", {}, fates.watch());
        carrier.close();
        CHECK_FALSE(scene.until([&] { return fates.all(); }, 2900ms));
        REQUIRE(scene.until([&] { return fates.all(); }, 200ms));
        fates.check();
        CHECK(fates[1].error == Errc::cancelled);
        CHECK(fates[1].maybe_delivered);
    }

    TEST_CASE("a dropped Carrier drains") {
        Scene scene(seed(), {.delay = 10ms, .rate = 5'000'000});
        scene.collect();
        Fates fates;
        {
            auto carrier = scene.initiate();
            send_some(carrier, fates);
        }
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Texts got;
        gather(scene.accepted[0], got);
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 10);
        fates.check();
        CHECK(got.size() == 10);
    }
}

}  // namespace post::test
