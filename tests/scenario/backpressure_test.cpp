// Budgets of both sides: a sender that has no room waits, a reader that takes nothing stops its own
// peer and nobody else, and what is received is never more than was promised.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

const std::string kilobyte(1000, 'k');

// The window of who reads nothing, and the send budget behind it.
void fill_up(Scene& scene, Carrier& carrier, Fates& fates) {
    for (int i = 0; i < 30; ++i) {
        while (carrier.writable()) carrier.send(kilobyte, {}, fates.watch());
        scene.world.run_for(100ms);
    }
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a send beyond the budget keeps its message until there is room") {
        Scene scene;
        scene.echo();
        auto carrier = scene.initiate({.bounds = {.send_budget = 5000}});
        Fates fates;
        std::vector<Sending> sendings;
        Texts got;
        gather(carrier, got);
        for (int i = 0; i < 20; ++i)
            sendings.push_back(carrier.send(std::to_string(i) + kilobyte, {}, fates.watch()));
        CHECK(sendings[4].ready());
        CHECK_FALSE(sendings[5].ready());
        CHECK_FALSE(carrier.writable());
        REQUIRE(scene.until([&] { return fates.all() && got.size() == 20; }));
        fates.check();
        CHECK(carrier.writable());
        CHECK(fates.acked() == 20);
        for (std::size_t i = 0; i < 20; ++i) {
            REQUIRE(sendings[i].ready());
            CHECK(sendings[i].get().value().sequence == Sequence{i});
            CHECK(got[i] == std::to_string(i) + kilobyte);
        }
    }

    TEST_CASE("a send that found no room and was dropped fails as would_block") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 1000}});
        Fates fates;
        carrier.send(kilobyte, {}, fates.watch());
        carrier.send("dropped", {}, fates.watch());
        auto kept = carrier.send("kept", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && kept.ready(); }));
        fates.check();
        CHECK(fates[1].error == Errc::would_block);
        CHECK_FALSE(fates[1].maybe_delivered);
        CHECK(fates.acked() == 2);
        CHECK(kept.get());
        CHECK(scene.unhandled.empty());
        Texts got;
        gather(scene.accepted[0], got);
        REQUIRE(scene.until([&] { return got.size() == 2; }));
        CHECK(got[1] == "kept");
    }

    TEST_CASE("nobody hears of a dropped send but on_unhandled") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 1000}});
        carrier.send(kilobyte);
        carrier.send("dropped");
        REQUIRE(scene.until([&] { return !scene.unhandled.empty(); }));
        CHECK(scene.unhandled[0] == Errc::would_block);
        scene.world.run_for(1s);
        CHECK(scene.unhandled.size() == 1);
    }

    TEST_CASE("closing a Carrier ends the sends that wait for room") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 1000}});
        Fates fates;
        carrier.send(kilobyte, {}, fates.watch());
        auto waiting = carrier.send("waits", {}, fates.watch());
        carrier.close();
        REQUIRE(scene.until([&] { return fates.all() && waiting.ready(); }));
        fates.check();
        CHECK(fates[0].acked == 1);
        CHECK(fates[1].error == Errc::carrier_closed);
        CHECK(waiting.get().error() == Errc::carrier_closed);
    }

    TEST_CASE("aborting a Carrier ends the sends that wait for room") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 1000}});
        Fates fates;
        carrier.send(kilobyte, {}, fates.watch());
        auto waiting = carrier.send("waits", {}, fates.watch());
        carrier.abort();
        REQUIRE(scene.until([&] { return fates.all() && waiting.ready(); }));
        fates.check();
        CHECK(fates.failed() == 2);
        CHECK_FALSE(waiting.get());
    }

    TEST_CASE("a reader that takes nothing stops its own peer and nobody else") {
        for (auto seed : seeds(2)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 10ms, .rate = 50'000'000, .loss = 0.01});
            scene.collect();
            auto lazy = scene.initiate();
            auto busy = lazy.fork();
            Fates lazy_fates, busy_fates;
            for (int i = 0; i < 900; ++i) lazy.send(kilobyte, {}, lazy_fates.watch());
            scene.world.run_for(2s);
            REQUIRE(scene.accepted.size() == 1);
            const int stood_at = lazy_fates.acked();
            CHECK(stood_at < 100);  // its first window: 32 KiB
            for (int i = 0; i < 900; ++i) busy.send(kilobyte, {}, busy_fates.watch());
            REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
            Texts got;
            gather(scene.accepted[1], got);
            CHECK(scene.until([&] { return busy_fates.all(); }, 20s));
            CHECK(busy_fates.acked() == 900);
            CHECK(lazy_fates.acked() == stood_at);
            // And it goes on when somebody reads.
            Texts late;
            gather(scene.accepted[0], late);
            CHECK(scene.until([&] { return lazy_fates.all(); }, 20s));
            CHECK(late.size() == 900);
            lazy_fates.check();
        }
    }

    TEST_CASE("Carriers that nobody reads cannot take all of the send budget") {
        for (const std::uint64_t budget : {std::uint64_t{400'000}, std::uint64_t{4'000'000}}) {
            CAPTURE(budget);
            Scene scene;
            scene.collect();
            auto first = scene.initiate(
                {.bounds = {.send_budget = 100'000, .association_send_budget = budget}});
            std::vector<Carrier> stuck;
            Fates theirs;
            for (int i = 0; i < 60; ++i) {
                stuck.push_back(i == 0 ? std::move(first) : stuck.front().fork());
                while (stuck.back().writable()) stuck.back().send(kilobyte, {}, theirs.watch());
                scene.world.run_for(10ms);
                while (stuck.back().writable()) stuck.back().send(kilobyte, {}, theirs.watch());
            }
            scene.world.run_for(1s);
            // Another one has room, and goes as fast as what is read.
            auto busy = stuck.front().fork();
            CHECK(busy.writable());
            Fates fates;
            std::vector<Sending> sendings;
            for (int i = 0; i < 200; ++i)
                sendings.push_back(busy.send(kilobyte, {}, fates.watch()));
            REQUIRE(scene.until([&] { return scene.accepted.size() == 61; }));
            Texts got;
            gather(scene.accepted.back(), got);
            CHECK(scene.until([&] { return fates.all(); }, 10s));
            CHECK(fates.acked() == 200);
            CHECK(got.size() == 200);
            // Of theirs no more is kept than that, apart from what is in their windows.
            CHECK(theirs.size() * kilobyte.size() <= budget + 60 * 64 * 1024);
        }
    }

    TEST_CASE("a send that waits for room expires when its lifetime is over") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 5000}});
        Fates fill, fates;
        fill_up(scene, carrier, fill);
        const Duration begin = scene.world.elapsed();
        const auto send = [&](Duration lifetime) {
            return carrier.send(kilobyte, {.lifetime = lifetime}, fates.watch());
        };
        auto late = send(2s);
        auto soon = send(300ms);
        auto patient = carrier.send("has time", {}, fates.watch());
        scene.world.run_for(299ms);
        CHECK_FALSE(soon.ready());
        CHECK(fates.expired() == 0);
        REQUIRE(scene.until([&] { return soon.ready(); }));
        CHECK(scene.world.elapsed() - begin <= 301ms);
        CHECK(soon.get().error() == Errc::expired);
        REQUIRE(scene.until([&] { return fates.expired() == 1; }));
        CHECK(fates[1].expired == 1);
        CHECK(fates[1].sent == 0);
        CHECK_FALSE(fates[1].maybe_delivered);
        // Whoever gets room has what is left of his time, and not all of it again.
        scene.world.run_for(1s);
        Texts got;
        gather(scene.accepted[0], got);
        REQUIRE(scene.until([&] { return fates.all() && fill.all(); }));
        CHECK(late.get());
        CHECK(patient.get());
        CHECK(fates.acked() == 2);
        CHECK(got[got.size() - 1] == "has time");
        fates.check();
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("a lifetime goes on while its message changes from waiting to sent") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate({.bounds = {.send_budget = 5000}});
        Fates fill, fates;
        fill_up(scene, carrier, fill);
        const Duration begin = scene.world.elapsed();
        // The seventh waits for 700 ms, has room then, and no window.
        std::vector<Sending> sendings;
        for (int i = 0; i < 20; ++i)
            sendings.push_back(carrier.send(kilobyte, {.lifetime = i == 6 ? 1s : Duration()},
                                            i == 6 ? fates.watch() : fill.watch()));
        CHECK_FALSE(sendings[6].ready());
        scene.world.run_for(700ms);
        std::vector<Operation<InMessage>> taken;
        for (int i = 0; i < 9; ++i) taken.push_back(scene.accepted[0].receive());
        REQUIRE(scene.until([&] { return fates.all(); }));
        const Duration took = scene.world.elapsed() - begin;
        CHECK(fates.expired() == 1);
        CHECK(took >= 1s);
        CHECK(took <= 1001ms);
    }

    TEST_CASE("messages larger than the window arrive, many at once, with a small budget") {
        for (auto seed : seeds(2)) {
            CAPTURE(seed);
            Scene scene(seed, {.delay = 10ms, .rate = 100'000'000, .loss = 0.005});
            ListenOptions options;
            options.bounds.largest_message = 400'000;
            options.bounds.receive_budget = 1'000'000;
            scene.collect(options);
            auto first = scene.initiate();
            std::vector<Carrier> carriers;
            Fates fates;
            for (int i = 0; i < 20; ++i) {
                carriers.push_back(first.fork());
                carriers.back().send(std::string(300'000, static_cast<char>('a' + i)), {},
                                     fates.watch());
            }
            Texts got;
            std::size_t taken = 0;
            const bool done = scene.until(
                [&] {
                    for (; taken < scene.accepted.size(); ++taken)
                        gather(scene.accepted[taken], got);
                    return fates.all();
                },
                60s);
            CHECK(done);
            fates.check();
            CHECK(fates.acked() == 20);
            CHECK(got.size() == 20);
            for (const auto& text : got.all()) CHECK(text.size() == 300'000);
        }
    }

    TEST_CASE("a message above the receiver's limit fails with its Carrier, and the others go on") {
        Scene scene;
        ListenOptions options;
        options.bounds.largest_message = 100'000;
        scene.collect(options);
        auto carrier = scene.initiate();
        auto other = carrier.fork();
        Fates fates;
        Ends ends;
        gather_end(carrier, ends);
        other.send("other", {}, fates.watch());
        carrier.send(std::string(100'000, 'x'), {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        Texts got;
        for (auto& accepted : scene.accepted) gather(accepted, got);
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 2);
        carrier.send(std::string(100'001, 'x'), {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[2].error == Errc::message_too_large);
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::message_too_large);
        other.send("other", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[3].acked == 1);
        fates.check();
    }

    TEST_CASE("the fullest Carrier is reset when the budget of untaken bytes is spent") {
        Scene scene(seed(), {.delay = 5ms, .rate = 100'000'000});
        ListenOptions options;
        options.bounds.largest_message = 60'000;
        options.bounds.receive_budget = 200'000;
        scene.collect(options);
        auto first = scene.initiate();
        std::vector<Carrier> carriers;
        Fates fates;
        Ends ends;
        // Overcommitted windows: 30 Carriers with 32 KiB each are more than the budget.
        for (int i = 0; i < 30; ++i) {
            carriers.push_back(first.fork());
            gather_end(carriers.back(), ends);
            for (int n = 0; n < 40; ++n) carriers.back().send(kilobyte, {}, fates.watch());
        }
        scene.world.run_for(5s);
        // Whoever was thrown out says so; the budget itself was never exceeded, or the transport
        // would have closed the connection.
        for (const Error& error : ends.all()) CHECK(error == Errc::too_slow);
        CHECK(first.association().active());
        // Those who are left are served when they are read.
        Texts got;
        for (auto& accepted : scene.accepted) gather(accepted, got);
        CHECK(scene.until([&] { return fates.all(); }, 20s));
        fates.check();
        CHECK(static_cast<int>(got.size()) >= fates.acked() - 40 * static_cast<int>(ends.size()));
        CHECK(first.association().active());
    }

    TEST_CASE("the receive budget of a Context counts all its Associations") {
        ContextOptions server_options;
        server_options.receive_budget = 300'000;
        Scene scene(seed(), {.delay = 5ms, .rate = 100'000'000}, server_options);
        scene.collect();
        std::vector<Carrier> carriers;
        Fates fates;
        // Right over UDP a host may have eight (ATTACKS, A22).
        const std::size_t associations = stack_of_stories() == Stack::sctp_udp ? 8 : 20;
        for (std::uint64_t i = 0; i < associations; ++i) {
            // Other bounds: an Association each.
            InitiateOptions options;
            options.bounds.carriers = 100 + i;
            carriers.push_back(scene.initiate(options));
            for (int n = 0; n < 60; ++n) carriers.back().send(kilobyte, {}, fates.watch());
        }
        scene.world.run_for(5s);
        CHECK(scene.accepted.size() == associations);
        Texts got;
        for (auto& accepted : scene.accepted) gather(accepted, got);
        CHECK(scene.until([&] { return fates.all(); }, 30s));
        fates.check();
    }
}

}  // namespace post::test
