// Task: it starts at its call, hands over results and exceptions, goes on when it is dropped, and
// may be destroyed while it waits. The operations here have no Context: their answers come by hand.
#include <post/coro.hpp>

#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/coro_support.hpp"

using post::Errc;
using post::Error;
using post::Operation;
using post::Result;
using post::Task;
using post::test::Bench;
using post::test::Guard;

namespace {

Task<int> plus_one(Operation<int> operation) {
    const Result<int> value = co_await std::move(operation);
    if (!value) throw post::Failure(value.error());
    co_return *value + 1;
}

Task<> store(Operation<int> operation, int& result, int& gone) {
    const Guard guard(gone);
    const auto value = co_await std::move(operation);
    result = value ? *value : -1;
}

Task<std::unique_ptr<std::string>> text(Operation<int> operation) {
    const auto value = co_await std::move(operation);
    co_return std::make_unique<std::string>(std::to_string(*value));
}

Task<> failing(Operation<int> operation) {
    const auto value = co_await std::move(operation);
    if (value) throw std::runtime_error("value " + std::to_string(*value));
}

Task<> nested(Bench& bench, std::string& log) {
    std::string caught;
    log += "begin ";
    const int first = co_await plus_one(bench.operation());
    log += std::to_string(first) + " ";
    try {
        co_await failing(bench.operation());
    } catch (const std::runtime_error& error) {
        caught = error.what();
    }
    log += caught + " ";
    log += *co_await text(bench.operation());
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a task starts at its call and ends in the turn that has its answer") {
        Bench bench;
        int result = 0;
        int gone = 0;
        Task<> task = store(bench.operation(), result, gone);
        CHECK_FALSE(task.done());
        bench.answer(41);
        CHECK(result == 0);  // never from inside the call that answered
        bench.turn();
        CHECK(result == 41);
        CHECK(task.done());
        CHECK(gone == 1);
    }

    TEST_CASE("an answer that is known needs no turn, and an error is an answer") {
        Bench bench;
        int result = 0;
        int gone = 0;
        CHECK(store(bench.known(5), result, gone).done());
        CHECK(result == 5);
        const Task<> task = store(bench.operation(), result, gone);
        bench.answer_and_turn(Error(Errc::carrier_closed));
        CHECK(task.done());
        CHECK(result == -1);
    }

    TEST_CASE("a dropped task goes on and frees itself") {
        Bench bench;
        int result = 0;
        int gone = 0;
        { const Task<> dropped = store(bench.operation(), result, gone); }
        CHECK(gone == 0);
        CHECK(bench.wanted());
        bench.answer_and_turn(3);
        CHECK(result == 3);
        CHECK(gone == 1);
    }

    TEST_CASE("a task may be assigned over another one, which goes on") {
        Bench bench;
        int first = 0;
        int second = 0;
        int gone = 0;
        Task<> task = store(bench.operation(), first, gone);
        task = store(bench.operation(), second, gone);
        bench.answer_and_turn(1);
        bench.answer_and_turn(2);
        CHECK(first == 1);
        CHECK(second == 2);
        CHECK(gone == 2);
        CHECK(task.done());
    }

    TEST_CASE("tasks await tasks, with results of any type and exceptions") {
        Bench bench;
        std::string log;
        const Task<> task = nested(bench, log);
        CHECK(log == "begin ");
        bench.answer_and_turn(1);
        CHECK(log == "begin 2 ");
        bench.answer_and_turn(7);
        CHECK(log == "begin 2 value 7 ");
        bench.answer_and_turn(9);
        CHECK(log == "begin 2 value 7 9");
        CHECK(task.done());
        CHECK(bench.unhandled.empty());
    }

    TEST_CASE("an exception that nobody awaits reaches on_unhandled, whoever held the task") {
        Bench bench;
        { const Task<> dropped = failing(bench.operation()); }
        bench.answer_and_turn(1);
        bench.turn();
        REQUIRE(bench.unhandled.size() == 1);
        CHECK(bench.unhandled[0] == Errc::exception);
        CHECK(bench.unhandled[0].detail == "value 1");
        {
            const Task<> held = failing(bench.operation());
            bench.answer_and_turn(2);
            CHECK(held.done());
            bench.turn();
            CHECK(bench.unhandled.size() == 1);  // somebody may await it yet
        }
        bench.turn();
        CHECK(bench.unhandled.size() == 2);
        { const Task<int> dropped = plus_one(bench.operation()); }
        bench.answer_and_turn(Error(Errc::carrier_reset));
        bench.turn();
        CHECK(bench.unhandled.back() == Errc::carrier_reset);  // a Failure keeps its error
    }

    // A coroutine of the application's own kind, which it can destroy while it waits.
    struct Own {
        struct promise_type : post::coro::PromiseBase {
            Own get_return_object() {
                return {std::coroutine_handle<promise_type>::from_promise(*this)};
            }
            std::suspend_always final_suspend() noexcept { return {}; }
            void return_void() {}
        };
        std::coroutine_handle<promise_type> frame;
    };

    TEST_CASE("a coroutine that is destroyed while it waits forgets the wait") {
        Bench bench;
        int gone = 0;
        const auto waits = [](Bench& on, int& ended) -> Own {
            const Guard guard(ended);
            (void)co_await on.operation();
        };
        waits(bench, gone).frame.destroy();
        CHECK(gone == 1);
        CHECK_FALSE(bench.wanted());
        bench.answer_and_turn(1);  // nobody is called

        const Own second = waits(bench, gone);
        bench.answer(2);  // the call is due already
        second.frame.destroy();
        bench.turn();
        CHECK(gone == 2);
    }

    TEST_CASE("a task that outlives the coroutine that awaits it ends alone") {
        Bench bench;
        int result = 0;
        int inner = 0;
        int outer = 0;
        const auto waits = [](Bench& on, int& value, int& one, int& two) -> Own {
            const Guard guard(two);
            co_await store(on.operation(), value, one);
        };
        waits(bench, result, inner, outer).frame.destroy();
        CHECK(outer == 1);
        CHECK(inner == 0);
        bench.answer_and_turn(6);
        CHECK(result == 6);
        CHECK(inner == 1);
    }

    TEST_CASE("a wait whose Context is gone has its answer, and ends") {
        int result = 0;
        int gone = 0;
        auto bench = std::make_unique<Bench>();
        auto operation = bench->operation();
        bench->answer(Error(Errc::context_closed));
        bench.reset();
        CHECK(store(std::move(operation), result, gone).done());
        CHECK(result == -1);
    }

    TEST_CASE("a good frame passes the frame check") {
        Bench bench;
        const Task<int> task = plus_one(bench.operation());  // checked when it waited
        CHECK_FALSE(task.done());
        bench.answer_and_turn(0);
    }
}
