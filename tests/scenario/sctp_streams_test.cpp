// Streams of SCTP beyond the first ones (RFC 6525), and what an association costs.
#include "tests/hostile/table.hpp"
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

Policy policy_of(Stack stack) {
    return {stack == Stack::sctp_udp ? Security::none : Security::required, {stack}};
}

constexpr Stack both[] = {Stack::sctp_dtls, Stack::sctp_udp};

// What an association costs at both ends together, with so many streams.
std::size_t cost_of_idle(Stack stack, std::uint16_t streams) {
    Scene scene(seed(), {.delay = 5ms, .rate = 1'000'000'000, .queue = 10'000});
    scene.echo({.policy = policy_of(stack), .sctp = {.streams = streams}});
    std::vector<Carrier> carriers;
    std::size_t echoed = 0;
    const auto add = [&](int count) {
        for (int i = 0; i < count; ++i) {
            carriers.push_back(
                scene.initiate({.policy = policy_of(stack),
                                .bounds = {.idle_timeout = 10min},
                                .isolation = "number " + std::to_string(carriers.size()),
                                .sctp = {.streams = streams}}));
            carriers.back().send("hello");
            carriers.back().ready([&](Carrier&, InMessage) {
                ++echoed;
                return true;
            });
        }
        REQUIRE(scene.until([&] { return echoed == carriers.size(); }, 60s));
        scene.world.run_for(2s);
    };
    add(2);
    const auto before = heap();
    constexpr int count = 6;  // from one address no more than 8 right over UDP
    add(count);
    return grown(before) / count;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE(
        "an idle association of SCTP costs each end at most 160 KiB, with 64 streams 64 KiB") {
        for (const Stack stack : both) {
            CAPTURE(std::string(to_string(stack)));
            const std::size_t usual = cost_of_idle(stack, 1024);
            const std::size_t small = cost_of_idle(stack, 64);
            if (sanitized()) continue;
            CHECK(usual <= 2 * 160 * 1024);
            CHECK(small <= 2 * 64 * 1024);
            CHECK(small < usual);
            measured("A24", "idle association, " + std::string(to_string(stack)),
                     heap_figure(usual / 2, 160 * 1024) + ", 64 streams " +
                         heap_figure(small / 2, 64 * 1024));
        }
    }

    TEST_CASE("Carriers of SCTP take more streams when the first are used up, from both ends") {
        for (const Stack stack : both) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene(seed(), {.delay = 5ms, .rate = 1'000'000'000, .queue = 10'000});
            scene.listener = scene.listen({.policy = policy_of(stack), .sctp = {.streams = 16}});
            std::vector<Carrier> theirs;
            scene.listener.accept([&](Carrier carrier) {
                carrier.ready([](Carrier& self, InMessage message) {
                    self.send(std::move(message).content());
                    return true;
                });
                theirs.push_back(std::move(carrier));
                return true;
            });
            auto first = scene.initiate({.policy = policy_of(stack), .sctp = {.streams = 16}});
            Fates fates;
            std::vector<Carrier> carriers;
            std::size_t echoed = 0, back = 0;
            const auto fork = [&](Carrier& parent, std::size_t& count) {
                carriers.push_back(parent.fork());
                carriers.back().send("hello", {}, fates.watch());
                carriers.back().ready([&count](Carrier&, InMessage) {
                    ++count;
                    return true;
                });
            };
            first.accept([&](Carrier carrier) {
                carrier.ready([](Carrier& self, InMessage message) {
                    self.send(std::move(message).content());
                    return true;
                });
                return true;
            });
            constexpr std::size_t many = 3000;
            for (std::size_t i = 0; i < many; ++i) fork(first, echoed);
            REQUIRE(scene.until([&] { return echoed == many; }, 60s));
            for (std::size_t i = 0; i < 500; ++i) fork(theirs.front(), back);
            CHECK(scene.until([&] { return back == 500 && fates.all(); }, 60s));
            CHECK(fates.acked() == static_cast<int>(many + 500));
        }
    }

    TEST_CASE("all stream ids of SCTP can be used, and no more") {
        Scene scene(seed(), {.delay = 5ms, .rate = 10'000'000'000, .queue = 100'000});
        scene.echo({.policy = policy_of(Stack::sctp_udp)});
        auto first = scene.initiate({.policy = policy_of(Stack::sctp_udp)});
        // Stream 0 is the association's; of the others half are ours, the first Carrier has one.
        constexpr std::size_t ours = 32'767;
        std::vector<Carrier> carriers;
        std::size_t echoed = 0;
        for (std::size_t i = 0; i < ours + 10; ++i) {
            carriers.push_back(first.fork());
            carriers.back().send("x");
            carriers.back().ready([&](Carrier&, InMessage) {
                ++echoed;
                return true;
            });
        }
        CHECK(scene.until([&] { return echoed == ours - 1; }, 60s));
        scene.world.run_for(2s);
        CHECK(echoed == ours - 1);
        // Who goes makes room.
        for (std::size_t i = 0; i < 20; ++i) carriers[i].close();
        CHECK(scene.until([&] { return echoed == ours + 10; }, 30s));
    }
}

}  // namespace post::test
