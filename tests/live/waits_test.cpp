// Waits in real time: that run() wakes for a timeout, and what waiting takes from the heap.
#include <doctest/doctest.h>

#include <post/codec.hpp>
#include <post/coro.hpp>
#include <post/post.hpp>

#include <chrono>
#include <ostream>
#include <string>

#include "tests/live/allocations.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Operations that are awaited and whose answers come by hand, all made before the counting.
struct Answers {
    core::AnchorRef anchor;
    core::WaitingRef<core::Waiting<int>> waiting{new (core::home({})) core::Waiting<int>};
    Operation<int> operation() { return {waiting, anchor}; }
    void answer() {
        waiting->answer.emplace(1);
        if (auto notify = std::move(waiting->notify)) notify();
    }
};

Task<> combine(Operation<int> one, Operation<int> two, Operation<int> three, Cancellation& by,
               std::uint64_t& before) {
    int sum = 0;
    before = allocations();
    auto [first, second] = co_await all(std::move(one), timeout(cancellable(any(two), by), 1s));
    auto third = co_await cancellable(timeout(three, 1s), by);
    sum += *first + *third;
    (void)second;
    (void)sum;
}

Task<> wait_in_vain(Carrier carrier, Context& context, Duration& waited) {
    const Instant begin = context.now();
    auto nothing = co_await timeout(carrier.receive(), 30ms);
    if (!nothing) waited = context.now() - begin;
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("combined waits take nothing from the heap") {
        Context context;
        const auto anchor = context.initiate("post://127.0.0.1:9").receive().anchor();
        // The first round fills tables.
        for (const bool counted : {false, true}) {
            Answers one{anchor}, two{anchor}, three{anchor};
            Cancellation by;
            std::uint64_t before = 0;
            const Task<> task = combine(one.operation(), two.operation(), three.operation(), by,
                                        before);
            one.answer();
            two.answer();
            CHECK_FALSE(task.done());
            three.answer();
            CHECK(task.done());
            if (counted) CHECK(allocations() == before);
        }
    }

    TEST_CASE("run wakes for a timeout") {
        Context context;
        Duration waited{};
        wait_in_vain(context.initiate("post://127.0.0.1:9"), context, waited);
        context.run();
        CHECK(waited >= 30ms);
        CHECK(waited < 5s);
    }
}

}  // namespace post::test
