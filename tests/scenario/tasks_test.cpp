// Coroutines over the simulated network: how waits end, where exceptions go, and what is printed
// when nobody listens.
#include <unistd.h>
#include <cstdio>
#include <stdexcept>

#include <post/coro.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

Task<> echo(Carrier carrier) {
    while (auto message = co_await carrier.receive())
        co_await carrier.send(std::move(*message).content());
}

Task<> serve(Listener listener) {
    while (auto carrier = co_await listener.accept()) echo(std::move(*carrier));
}

Task<> note_end(Carrier carrier, Ends ends) {
    auto message = co_await carrier.receive();
    ends.push_back(message.error());
    auto sent = co_await carrier.send("after the end");
    ends.push_back(sent.error());
}

Task<> throws(Carrier carrier) {
    auto active = co_await carrier.activate();
    if (active) throw std::runtime_error("from a Task");
}

Task<int> count(Carrier& carrier, int until) {
    int got = 0;
    while (got < until) {
        auto message = co_await carrier.receive();
        if (!message) throw Failure(message.error());
        ++got;
    }
    co_return got;
}

Task<> count_twice(Carrier carrier, int& total) {
    total += co_await count(carrier, 2);
    total += co_await count(carrier, 1);
}

// What is written to the standard error while it lives.
class Captured {
public:
    Captured() : file_(std::tmpfile()), saved_(dup(STDERR_FILENO)) {
        std::fflush(stderr);
        dup2(fileno(file_), STDERR_FILENO);
    }
    ~Captured() {
        restore();
        std::fclose(file_);
    }
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;
    std::string text() {
        restore();
        std::rewind(file_);
        std::string all;
        for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_))
            all += static_cast<char>(c);
        return all;
    }

private:
    void restore() {
        if (saved_ < 0) return;
        std::fflush(stderr);
        dup2(saved_, STDERR_FILENO);
        close(saved_);
        saved_ = -1;
    }
    std::FILE* file_;
    int saved_;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("coroutines serve and call, and tasks wait for tasks") {
        Scene scene;
        serve(scene.listen());
        auto carrier = scene.initiate();
        for (const char* text : {"a", "b", "c"}) carrier.send(text);
        int total = 0;
        count_twice(std::move(carrier), total);
        CHECK(scene.until([&] { return total == 3; }));
    }

    TEST_CASE("a Context that goes ends every wait of a coroutine with context_closed") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        carrier.send("hello");
        Ends ends;
        note_end(std::move(carrier), ends);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        CHECK(ends.empty());
        scene.client.reset();
        REQUIRE(ends.size() == 2);
        CHECK(ends[0] == Errc::context_closed);
        CHECK(ends[1] == Errc::context_closed);
    }

    TEST_CASE("an exception in a Task that was dropped reaches on_unhandled") {
        Scene scene;
        scene.collect();
        throws(scene.initiate());
        REQUIRE(scene.until([&] { return !scene.unhandled.empty(); }));
        CHECK(scene.unhandled[0] == Errc::exception);
        CHECK(scene.unhandled[0].detail == "from a Task");
        scene.world.run_for(1s);
        CHECK(scene.unhandled.size() == 1);
    }

    TEST_CASE("a Failure in a Task reaches on_unhandled as the Error that it has") {
        Scene scene;
        int total = 0;
        auto carrier = scene.initiate();
        carrier.send("nobody listens");
        count_twice(std::move(carrier), total);
        REQUIRE(scene.until([&] { return !scene.unhandled.empty(); }));
        for (const Error& error : scene.unhandled) CHECK(error == Errc::refused_port);
        CHECK(total == 0);
    }

    TEST_CASE("without on_unhandled an error is printed with its report") {
        Scene scene;
        scene.near_context().on_unhandled({});
        Captured captured;
        auto carrier = scene.initiate();
        carrier.send("nobody listens");
        scene.world.run_for(5s);
        const std::string text = captured.text();
        CHECK(text.rfind("post: ", 0) == 0);
        CHECK(text.find("10.0.0.2:4433") != std::string::npos);
        CHECK(text.find("post: ", 1) == std::string::npos);  // once
    }
}

}  // namespace post::test
