// Several waits as one: what they answer, in whatever order the answers come, and that giving up
// forgets the wait and nothing else.
#include <post/waits.hpp>

#include <array>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/carrier/alarms.hpp"
#include "tests/unit/coro_support.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ns;

using Ints = Operation<int>;

std::string text(const Result<int>& result) {
    if (result) return std::to_string(*result);
    return result.error() == Errc::timed_out   ? "timed out"
           : result.error() == Errc::cancelled ? "cancelled"
                                               : "error";
}
std::string text(const std::optional<Result<int>>& result) { return result ? text(*result) : "-"; }

Task<> both(Ints first, Ints second, std::string& log) {
    const auto [one, two] = co_await all(std::move(first), std::move(second));
    log += text(one) + " " + text(two);
}

Task<> either(Ints first, Ints second, std::string& log) {
    const auto [one, two] = co_await any(std::move(first), std::move(second));
    log += text(one) + " " + text(two);
}

Task<> limited(Ints operation, Duration limit, std::string& log) {
    const auto value = co_await timeout(std::move(operation), limit);
    log += text(value) + ".";
}

Task<> stoppable(Ints operation, Cancellation& by, std::string& log) {
    const auto value = co_await cancellable(std::move(operation), by);
    log += text(value) + ".";
}

// A coroutine that can be destroyed while it waits.
struct Own {
    struct promise_type : coro::PromiseBase {
        Own get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
    };
    std::coroutine_handle<promise_type> frame;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("all waits for every one, whichever comes last") {
        for (const std::size_t first : {0u, 1u}) {
            CAPTURE(first);
            Bench bench;
            std::string log;
            auto one = bench.operation();
            const Task<> task = both(std::move(one), bench.operation(), log);
            bench.answer(first == 0 ? 1 : 2, first);
            bench.turn();
            CHECK(log.empty());
            bench.answer_and_turn(first == 0 ? 2 : 1);
            CHECK(log == "1 2");
            CHECK(task.done());
        }
        Bench bench;
        std::string log;
        const Task<> known = both(bench.known(1), bench.known(2), log);
        CHECK(log == "1 2");
        const Task<> half = both(bench.known(3), bench.operation(), log);
        bench.answer_and_turn(Error(Errc::carrier_closed));
        CHECK(log == "1 23 error");
    }

    TEST_CASE("any gives the first answer, and drops a temporary that has none") {
        Bench bench;
        std::string log;
        auto one = bench.operation();
        const Task<> task = either(std::move(one), bench.operation(), log);
        bench.answer(2, 1);
        bench.turn();
        CHECK(log == "- 2");
        CHECK_FALSE(bench.wanted());
        bench.answer_and_turn(1);  // nobody is called
        CHECK(log == "- 2");
    }

    TEST_CASE("any gives every answer that is there when the wait ends") {
        Bench bench;
        std::string log;
        auto one = bench.operation();
        const Task<> task = either(std::move(one), bench.operation(), log);
        bench.answer(1);
        bench.answer(2);
        bench.turn();
        CHECK(log == "1 2");
        CHECK(task.done());
    }

    TEST_CASE("an operation that is waited for by its name stays, and can be waited for again") {
        Bench bench;
        std::string log;
        const auto loop = [](Bench& on, std::string& to) -> Task<> {
            auto ours = on.operation();
            auto theirs = on.operation();
            for (int round = 0; round < 3; ++round) {
                auto [one, two] = co_await any(ours, theirs);
                to += text(one) + " " + text(two) + ".";
                if (two) theirs = on.operation();
            }
        };
        const Task<> task = loop(bench, log);
        bench.answer(1, 1);
        bench.turn();
        bench.answer(2, 1);
        bench.turn();
        CHECK(log == "- 1.- 2.");
        CHECK(bench.wanted());
        bench.answer_and_turn(3);
        CHECK(log == "- 1.- 2.3 -.");
        CHECK(task.done());
    }

    TEST_CASE("operations in an array are waited for together, and keep their answers") {
        Bench bench;
        std::string log;
        const auto gather = [](Bench& on, std::string& to) -> Task<> {
            std::vector<Ints> many;
            for (int i = 0; i < 3; ++i) many.push_back(on.operation());
            const std::size_t first = co_await any(many);
            to += "first " + std::to_string(first) + ": ";
            for (Ints& one : co_await all(std::span(many))) to += text(one.get()) + " ";
            std::vector<Ints> none;
            for (Ints& one : co_await all(none)) to += text(one.get());
        };
        const Task<> task = gather(bench, log);
        bench.answer(20, 1);
        bench.turn();
        CHECK(log == "first 1: ");
        bench.answer_and_turn(10);
        CHECK_FALSE(task.done());
        bench.answer_and_turn(30);
        CHECK(log == "first 1: 10 20 30 ");
        CHECK(task.done());
    }

    TEST_CASE("a timeout ends the wait, and what it waited for goes on") {
        Bench bench;
        std::string log;
        bench.turn_at(5s);
        const Task<> task = limited(bench.operation(), 1s, log);
        CHECK(bench.deadline() < Duration::zero());  // a turn is due, to begin the count
        bench.turn_at(7s);
        CHECK(bench.deadline() == 8s);
        bench.turn_at(8s - 1ns);
        CHECK(log.empty());
        bench.turn_at(8s);
        CHECK(log == "timed out.");
        CHECK_FALSE(bench.wanted());
        CHECK(bench.deadline() == Duration::max());
    }

    TEST_CASE("an answer in time ends the timeout, also one that comes with it") {
        Bench bench;
        std::string log;
        const Task<> first = limited(bench.operation(), 1s, log);
        bench.turn_at(0s);
        bench.answer_and_turn(1);
        CHECK(log == "1.");
        CHECK(bench.deadline() == Duration::max());
        const Task<> second = limited(bench.operation(), 1s, log);
        bench.turn_at(1s);
        bench.answer(2);
        bench.turn_at(2s);
        CHECK(log == "1.2.");
        const Task<> third = limited(bench.known(3), 0s, log);
        CHECK(log == "1.2.3.");
        const Task<> fourth = limited(bench.operation(), 0s, log);
        const Task<> for_ever = limited(bench.operation(), Duration::max(), log);
        bench.turn_at(3s);
        bench.turn_at(3s + 1ns);
        CHECK(log == "1.2.3.timed out.");
        CHECK(bench.deadline() == Duration::max());
        bench.answer(5, 1);
        bench.turn();
        CHECK(log == "1.2.3.timed out.5.");
    }

    TEST_CASE("waits nest") {
        Bench bench;
        std::string log;
        const auto nest = [](Bench& on, std::string& to) -> Task<> {
            auto kept = on.operation();
            auto late = co_await timeout(any(kept, on.operation()), 1s);
            to += late ? "in time" : text(Result<int>(late.error()));
            auto [one, pair] = co_await any(on.operation(), all(kept, on.operation()));
            to += " " + text(one) + (pair ? " " + text(std::get<0>(*pair)) : "");
        };
        const Task<> task = nest(bench, log);
        bench.turn_at(0s);
        bench.turn_at(1s);
        CHECK(log == "timed out");
        bench.answer(7);     // kept
        bench.answer(0);     // dropped
        bench.answer(9, 1);  // the last
        bench.turn();
        CHECK(log == "timed out - 7");
        CHECK(task.done());
    }

    TEST_CASE("a cancellation ends its waits from a turn, and those to come") {
        Bench bench;
        std::string log;
        Cancellation stop;
        const Task<> one = stoppable(bench.operation(), stop, log);
        const Task<> two = stoppable(bench.operation(), stop, log);
        const Task<> three = stoppable(bench.operation(), stop, log);
        bench.answer_and_turn(1);
        CHECK(log == "1.");
        stop.cancel();
        CHECK(log == "1.");
        bench.turn();
        bench.turn_at(1ns);
        CHECK(log == "1.cancelled.cancelled.");
        CHECK_FALSE(bench.wanted());
        const Task<> late = stoppable(bench.operation(), stop, log);
        const Task<> known = stoppable(bench.known(2), stop, log);
        bench.turn();
        bench.turn_at(2ns);
        CHECK(log == "1.cancelled.cancelled.2.cancelled.");
    }

    TEST_CASE("a cancellation that goes first cancels nothing") {
        Bench bench;
        std::string log;
        auto stop = std::make_unique<Cancellation>();
        const Task<> task = stoppable(bench.operation(), *stop, log);
        stop.reset();
        bench.answer_and_turn(4);
        CHECK(log == "4.");
    }

    TEST_CASE("a coroutine that is destroyed in a combined wait forgets all of it") {
        Bench bench;
        Cancellation stop;
        auto kept = bench.operation();
        const auto waits = [](Bench& on, Ints& ours, Cancellation& by) -> Own {
            const int before = 0;
            (void)co_await timeout(cancellable(all(ours, on.operation()), by), 1s);
            (void)before;
        };
        waits(bench, kept, stop).frame.destroy();
        CHECK(bench.deadline() == Duration::max());
        CHECK(bench.wanted());
        CHECK_FALSE(bench.wanted(1));
        stop.cancel();
        bench.answer(5);
        bench.turn_at(2s);
        REQUIRE(kept.ready());
        CHECK(text(kept.get()) == "5");
    }

    TEST_CASE("an exception behind a combined wait reaches on_unhandled of its Context") {
        Bench bench;
        const auto fails = [](Bench& on) -> Task<> {
            auto [one, two] = co_await all(on.operation(), on.operation());
            throw Failure(one ? two.error() : one.error());
        };
        { const Task<> dropped = fails(bench); }
        bench.answer(1);
        bench.answer_and_turn(Error(Errc::carrier_reset));
        bench.turn();
        REQUIRE(bench.unhandled.size() == 1);
        CHECK(bench.unhandled[0] == Errc::carrier_reset);
    }

    TEST_CASE("alarms ring in their order, whatever is cancelled") {
        Bench bench;
        const auto anchor = bench.known(0).anchor();
        std::vector<int> rung;
        std::array<core::Alarm, 50> alarms;
        for (int i = 0; i < 50; ++i)
            alarms[static_cast<std::size_t>(i)].set(anchor, (i * 37 % 50 + 1) * 1ms,
                                                    [&rung, i] { rung.push_back(i * 37 % 50); });
        bench.turn_at(0s);
        for (std::size_t i = 0; i < 50; i += 3) alarms[i].cancel();
        std::vector<int> left;
        for (int when = 0; when < 50; ++when)
            for (int i = 0; i < 50; ++i)
                if (i * 37 % 50 == when && i % 3 != 0) left.push_back(when);
        for (int t = 0; t <= 51; t += 3) bench.turn_at(t * 1ms);
        CHECK(rung == left);
        CHECK(bench.deadline() == Duration::max());
    }
}

}  // namespace post::test
