// Waits that end early, and messages that go on regardless: timeouts, cancellation and deliver over
// the simulated network.
#include <post/coro.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

using FateLog = Log<Fate>;

Task<> deliver(Carrier& carrier, std::string text, FateLog fates, SendOptions options = {}) {
    auto fate = co_await carrier.deliver(text, std::move(options));
    fates.push_back(*fate);
}

Task<> receive_within(Carrier& carrier, Duration limit, Texts texts) {
    auto message = co_await timeout(carrier.receive(), limit);
    texts.push_back(message                              ? message->content().string()
                    : message.error() == Errc::timed_out ? "timed out"
                                                         : "error");
}

Task<> receive_until(Carrier& carrier, Cancellation& by, Texts texts) {
    auto message = co_await cancellable(carrier.receive(), by);
    texts.push_back(message                              ? message->content().string()
                    : message.error() == Errc::cancelled ? "cancelled"
                                                         : "error");
}

// Fills the send budget, and one message more waits for room.
std::string fill(Carrier& carrier) {
    while (carrier.writable()) carrier.send(std::string(100'000, 'f'));
    return "for want of room";
}

Task<> send_within(Carrier& carrier, Texts texts, bool keep, OnFate on_fate) {
    auto sending = carrier.send("waits", {}, std::move(on_fate));
    if (keep) {
        auto sent = co_await timeout(sending, 1ms);
        texts.push_back(sent ? "sent" : "timed out");
        auto later = co_await timeout(sending, 10s);
        texts.push_back(later ? "sent" : "timed out");
    } else {
        auto sent = co_await timeout(std::move(sending), 1ms);
        texts.push_back(sent ? "sent" : "timed out");
    }
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("deliver answers with the fate of its message") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        const FateLog fates;
        deliver(carrier, "hello", fates);
        CHECK(fates.empty());
        REQUIRE(scene.until([&] { return fates.size() == 1; }));
        CHECK(fates[0].kind == Fate::Kind::acked);
        CHECK(fates[0].message.carrier == carrier.id());

        auto fork = carrier.fork();
        deliver(fork, std::string(100 << 20, 'x'), fates);  // longer than the receiver takes
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        auto message = scene.accepted[1].receive();
        REQUIRE(scene.until([&] { return fates.size() == 2; }));
        CHECK(fates[1].kind == Fate::Kind::failed);
        CHECK(fates[1].error == Errc::message_too_large);

        scene.link.set({.delay = 10ms, .loss = 1.0});
        carrier.send(std::string(100'000, 'f'));
        deliver(carrier, "late", fates, {.niceness = 1, .lifetime = 50ms});
        deliver(carrier, "never", fates);
        REQUIRE(scene.until([&] { return fates.size() == 3; }));
        CHECK(fates[2].kind == Fate::Kind::expired);
        scene.client.reset();
        REQUIRE(fates.size() == 4);
        CHECK(fates[3].kind == Fate::Kind::failed);
        CHECK(fates[3].error == Errc::context_closed);
        auto gone = carrier.deliver("nobody");
        REQUIRE(gone.ready());
        CHECK(gone.get()->error == Errc::context_closed);
    }

    TEST_CASE("a deliver that is dropped forgets the answer and not the message") {
        Scene scene;
        scene.collect();
        auto source = scene.near_context().initiate_source("post://server.test:4433",
                                                           scene.pinned());
        (void)source.deliver("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Texts texts;
        gather(scene.accepted[0], texts);
        REQUIRE(scene.until([&] { return texts.size() == 1; }));
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("a deliver without room waits for it, and dropped it ends as would_block") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        fill(carrier);
        const FateLog fates;
        deliver(carrier, "has room in time", fates);
        (void)carrier.deliver("dropped");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Texts texts;
        gather(scene.accepted[0], texts);
        REQUIRE(scene.until([&] { return fates.size() == 1; }));
        CHECK(fates[0].kind == Fate::Kind::acked);
        scene.world.run_for(1s);
        CHECK(texts[texts.size() - 1] == "has room in time");
    }

    TEST_CASE("a receive that timed out loses no message") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("first");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Carrier& there = scene.accepted[0];
        const Texts texts;
        receive_within(there, 1s, texts);
        receive_within(there, 300ms, texts);
        receive_within(there, 100ms, texts);
        const auto before = scene.world.elapsed();
        REQUIRE(scene.until([&] { return texts.size() == 2; }));
        CHECK(scene.world.elapsed() - before == 100ms);
        CHECK(texts.all() == std::vector<std::string>{"first", "timed out"});
        REQUIRE(scene.until([&] { return texts.size() == 3; }));
        CHECK(scene.world.elapsed() - before == 300ms);
        carrier.send("second");
        carrier.send("third");
        scene.world.run_for(1s);
        receive_within(there, 1s, texts);
        receive_within(there, 1s, texts);
        scene.world.run_for(10ms);
        CHECK(texts[3] == "second");
        CHECK(texts[4] == "third");
    }

    TEST_CASE("a cancelled receive loses no message") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("first");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Texts texts;
        gather_end(carrier, {});
        Cancellation stop;
        receive_until(scene.accepted[0], stop, texts);
        receive_until(scene.accepted[0], stop, texts);
        stop.cancel();
        scene.world.run_for(1s);
        CHECK(texts.all() == std::vector<std::string>{"first", "cancelled"});
        carrier.send("second");
        receive_within(scene.accepted[0], 1s, texts);
        REQUIRE(scene.until([&] { return texts.size() == 3; }));
        CHECK(texts[2] == "second");
    }

    TEST_CASE("a receive behind a dropped one gets the message that is there") {
        Scene scene;
        scene.collect();
        Carrier first = scene.initiate();
        Carrier second = first.fork();
        first.send("1");
        second.send("1");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        CHECK(scene.accepted[1].receive().ready());
        { const auto dropped = scene.accepted[1].receive(); }
        std::string got;
        scene.accepted[0].ready([&](Carrier&, InMessage message) {
            if (message.content() != "2") return true;
            // It came in the same packet, and nobody was told of it yet.
            auto other = scene.accepted[1].receive();
            if (other.ready()) got = other.get().value().content().string();
            return true;
        });
        first.send("2");
        second.send("2");
        scene.world.run_for(100ms);
        CHECK(got == "2");
    }

    TEST_CASE("a send that timed out goes on where its operation has a name") {
        for (const bool keep : {true, false}) {
            CAPTURE(keep);
            Scene scene;
            scene.collect();
            auto carrier = scene.initiate();
            fill(carrier);
            const Texts texts;
            Fates fates;
            send_within(carrier, texts, keep, fates.watch());
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1 && texts.size() > 0; }));
            CHECK(texts[0] == "timed out");
            const Texts got;
            gather(scene.accepted[0], got);
            REQUIRE(scene.until([&] { return fates.all(); }));
            fates.check();
            CHECK(fates.acked() == (keep ? 1 : 0));
            if (keep) CHECK(texts[1] == "sent");
            if (!keep) CHECK(fates[0].error == Errc::would_block);
        }
    }

    TEST_CASE("a Context that goes ends combined waits with context_closed, and no alarm rings") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        const Texts texts;
        receive_within(carrier, 1s, texts);
        scene.world.run_for(100ms);
        CHECK(texts.empty());
        scene.client.reset();
        REQUIRE(texts.size() == 1);
        CHECK(texts[0] == "error");
    }
}

}  // namespace post::test
