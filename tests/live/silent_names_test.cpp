// A Context whose name servers do not answer: the error says who was asked.
#include <poll.h>

#include <doctest/doctest.h>

#include <post/post.hpp>

#include "tests/live/name_server.hpp"

using namespace post;
using namespace post::test;
using std::chrono_literals::operator""ms;

TEST_SUITE("live") {
    TEST_CASE("who connects by name servers that never answer is told which they are") {
        NameServer first([](const std::string&, int) { return std::nullopt; });
        NameServer second([](const std::string&, int) { return std::nullopt; });
        Context context(
            {.name_servers = {first.address(), second.address()}, .name_timeout = 300ms});
        Error unhandled;
        context.on_unhandled([&](const Error& error) { unhandled = error; });
        auto carrier = context.initiate("post://a.example");
        auto active = carrier.activate();
        for (int turns = 0; turns < 1000 && !active.ready(); ++turns) {
            first.serve();
            second.serve();
            pollfd waited{context.fd(), POLLIN, 0};
            poll(&waited, 1, 10);
            while (context.turn()) {}
        }
        REQUIRE(active.ready());
        const auto result = active.get();
        REQUIRE_FALSE(result);
        CHECK(result.error() == Errc::resolve_failed);
        CHECK(result.error().stage == Stage::resolve);
        const std::string text = result.error().detail.string();
        CAPTURE(text);
        CHECK(text.find("a.example") != std::string::npos);
        CHECK(text.find(first.address()) != std::string::npos);
        CHECK(text.find(second.address()) != std::string::npos);
        CHECK_FALSE(first.asked().empty());
    }
}
