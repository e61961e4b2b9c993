// A Context that other threads give work to and stop: what may be called from anywhere.
#include <doctest/doctest.h>

#include <post/post.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace post::test {

namespace {

constexpr std::size_t givers = 4;
constexpr std::size_t works = 2'000;  // from each of them

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("work from several threads is called once, in the order of each, by its Context") {
        Context context;
        std::array<std::vector<std::size_t>, givers> called;
        bool elsewhere = false;
        std::size_t left = givers * works;
        const auto here = std::this_thread::get_id();
        std::vector<std::thread> threads;
        for (std::size_t giver = 0; giver < givers; ++giver) {
            threads.emplace_back([&, giver] {
                for (std::size_t work = 0; work < works; ++work)
                    context.submit([&, giver, work] {
                        elsewhere = elsewhere || std::this_thread::get_id() != here;
                        called[giver].push_back(work);
                        if (--left == 0) context.stop();
                    });
            });
        }
        // Without anything to wait for, run() returns as soon as it has caught up.
        while (left > 0) context.run();
        for (std::thread& thread : threads) thread.join();
        CHECK(!elsewhere);
        for (const auto& order : called) {
            REQUIRE(order.size() == works);
            for (std::size_t work = 0; work < works; ++work) REQUIRE(order[work] == work);
        }
    }

    TEST_CASE("stop from another thread ends a run that waits") {
        const auto identity = Identity::self_signed("127.0.0.1");
        Context context;
        auto listener = context.listen({.identity = identity});
        listener.accept([](Carrier) { return true; });
        for (int round = 0; round < 100; ++round) {
            std::thread stopper([&] { context.stop(); });
            context.run();
            stopper.join();
        }
    }

    TEST_CASE("work that was not called is destroyed with its Context") {
        auto kept = std::make_shared<std::atomic<int>>(0);
        {
            Context context;
            std::vector<std::thread> threads;
            for (std::size_t giver = 0; giver < givers; ++giver)
                threads.emplace_back([&context, kept] {
                    for (int i = 0; i < 100; ++i) context.submit([kept] { ++*kept; });
                });
            for (std::thread& thread : threads) thread.join();
        }
        CHECK(*kept == 0);
        CHECK(kept.use_count() == 1);
    }
}

}  // namespace post::test
