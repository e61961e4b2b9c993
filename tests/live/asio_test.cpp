// A Context on Asio's loop: over loopback, with each kind of completion token.
#include <doctest/doctest.h>

#if !__has_include(<asio.hpp>)

TEST_SUITE("live") {
    TEST_CASE("a Context lives on an io_context of Asio's") {
        MESSAGE("skipped: Asio is not there (on Debian it is the package libasio-dev)");
    }
}

#else

#include <post/asio.hpp>
#include <post/coro.hpp>
#include <post/post.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
// Asio has coroutines where it knows those of the compiler; of clang 14 it does not.
#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/experimental/awaitable_operators.hpp>
#endif

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// An echo server and a client in one Context on one io_context.
struct Bench {
    Bench() : identity(Identity::self_signed("localhost")) {
        context.on_unhandled([](const Error&) {});
        listener = context.listen({.identity = identity});
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& from, InMessage message) {
                if (message.content() != "no answer") from.send(std::move(message).content());
                return true;
            });
            return true;
        });
    }
    Carrier initiate() {
        return context.initiate(Remote("localhost", listener.port()),
                                {.trust = Trust::pinned(identity.pin())});
    }
    // Runs until `done`; false when that takes too long.
    template <class Done> bool until(const Done& done) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < end) io.run_one_for(100ms);
        return done();
    }

    asio::io_context io;
    Identity identity;
    Context context;
    AsioLoop loop{io, context};
    Listener listener;
};

#if defined(ASIO_HAS_CO_AWAIT)

asio::awaitable<void> talk(Bench& bench, std::vector<std::string>& got) {
    Carrier carrier = bench.initiate();
    for (const char* text : {"one", "two"}) {
        const std::string content = text;
        const auto fate = co_await bench.loop.wait(carrier.deliver(content), asio::use_awaitable);
        if (fate->kind == Fate::Kind::acked) got.push_back("acked");
        auto reply = co_await bench.loop.wait(carrier.receive(), asio::use_awaitable);
        got.push_back(reply->content().string());
    }
    carrier.close();
    auto end = co_await bench.loop.wait(carrier.receive(), asio::use_awaitable);
    got.push_back(end ? "more" : "the end");
}

// Asio's own timer against a wait that never ends.
asio::awaitable<void> race(Bench& bench, std::string& log) {
    using asio::experimental::awaitable_operators::operator||;
    Carrier carrier = bench.initiate();
    carrier.send("no answer");
    asio::steady_timer timer(bench.io, 50ms);
    auto first = co_await (bench.loop.wait(carrier.receive(), asio::use_awaitable) ||
                           timer.async_wait(asio::use_awaitable));
    log += first.index() == 1 ? "timer " : "message ";
    carrier.send("after it");
    auto reply = co_await bench.loop.wait(timeout(carrier.receive(), 5s), asio::use_awaitable);
    log += reply ? reply->content().string() : "nothing";
    auto late = co_await bench.loop.wait(timeout(carrier.receive(), 20ms), asio::use_awaitable);
    log += late.error() == Errc::timed_out ? " timed out" : " what?";
}

#endif

}  // namespace

TEST_SUITE("live") {
#if defined(ASIO_HAS_CO_AWAIT)
    TEST_CASE("Asio's coroutines talk to a Context on the same loop") {
        Bench bench;
        std::vector<std::string> got;
        asio::co_spawn(bench.io, talk(bench, got), asio::detached);
        REQUIRE(bench.until([&] { return got.size() == 5; }));
        CHECK(got == std::vector<std::string>{"acked", "one", "acked", "two", "the end"});
    }

    TEST_CASE("Asio's cancellation ends a wait, and loses no message") {
        Bench bench;
        std::string log;
        asio::co_spawn(bench.io, race(bench, log), asio::detached);
        CHECK(bench.until([&] { return log.find("timed out") != std::string::npos; }));
        CHECK(log == "timer after it timed out");
    }
#else
    TEST_CASE("Asio's coroutines talk to a Context on the same loop") {
        MESSAGE("skipped: Asio does not know the coroutines of this compiler");
    }
#endif

    TEST_CASE("callbacks and futures get a Result, never from inside wait") {
        Bench bench;
        Carrier carrier = bench.initiate();
        std::optional<Result<MessageId>> sent;
        bench.loop.wait(carrier.send("one"), [&](Result<MessageId> id) { sent = std::move(id); });
        CHECK_FALSE(sent);  // although the answer was there
        auto reply = bench.loop.wait(carrier.receive(), asio::use_future);
        CHECK(bench.until([&] { return sent && reply.wait_for(0s) == std::future_status::ready; }));
        CHECK(*sent);
        CHECK(reply.get()->content() == "one");
        std::unique_ptr<int> owned = std::make_unique<int>(1);  // a handler that only moves
        bool both = false;
        bench.loop.wait(all(carrier.send("two"), carrier.receive()),
                        [&, owned = std::move(owned)](
                            Result<std::tuple<Result<MessageId>, Result<InMessage>>> two) {
                            both = std::get<0>(*two) && std::get<1>(*two)->content() == "two" &&
                                   *owned == 1;
                        });
        CHECK(bench.until([&] { return both; }));
    }

    TEST_CASE("calls from handlers of Asio's are heard of at once") {
        Bench bench;
        Carrier carrier = bench.initiate();
        int replies = 0;
        carrier.ready([&](Carrier&, InMessage) { return ++replies < 3; });
        carrier.send("to connect");
        REQUIRE(bench.until([&] { return replies == 1; }));
        asio::steady_timer timer(bench.io, 10ms);
        timer.async_wait([&](const std::error_code&) { carrier.send("from a timer"); });
        REQUIRE(bench.until([&] { return replies == 2; }));
        std::thread elsewhere([&] { bench.context.submit([&] { carrier.send("submitted"); }); });
        elsewhere.join();
        CHECK(bench.until([&] { return replies == 3; }));
    }

    TEST_CASE("an exception of a callback leaves run, and the next run goes on") {
        Bench bench;
        Carrier carrier = bench.initiate();
        int replies = 0;
        carrier.ready([&](Carrier&, InMessage) -> bool {
            if (++replies == 1) throw std::runtime_error("thrown by the application");
            return true;
        });
        carrier.send("one");
        carrier.send("two");
        CHECK_THROWS_AS((void)bench.until([&] { return replies == 2; }), std::runtime_error);
        CHECK(bench.until([&] { return replies == 2; }));
    }

    TEST_CASE("a loop and a Context may go in a callback, and run returns") {
        asio::io_context io;
        auto context = std::make_unique<Context>();
        auto loop = std::make_unique<AsioLoop>(io, *context);
        bool called = false;
        std::optional<Error> waited;
        Carrier carrier = context->initiate("post://127.0.0.1:9");
        loop->wait(carrier.receive(), [&](Result<InMessage> message) { waited = message.error(); });
        context->submit([&] {
            called = true;
            loop.reset();
            context.reset();
        });
        io.run_for(10s);
        CHECK(called);
        REQUIRE(waited);
        CHECK(*waited == Errc::context_closed);
    }
}

}  // namespace post::test

#endif
