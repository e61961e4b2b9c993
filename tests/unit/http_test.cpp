// Alt-Svc, and what stands in messages of HTTP.
#include <post/http.hpp>

#include <doctest/doctest.h>

namespace post::test {

using std::chrono_literals::operator""s;

TEST_SUITE("unit") {
    TEST_CASE("the status of a response is read, and of anything else there is none") {
        const auto status = [](const char* text) {
            InMessage message;
            message.describe({{":status", text}});
            return http::status(message);
        };
        CHECK(status("204") == 204);
        CHECK(status("103") == 103);
        CHECK(status("x") == 0);
        CHECK(http::status(InMessage()) == 0);
    }

    TEST_CASE("Alt-Svc names alternatives, and what is wrong in it is left out") {
        const auto all = http::alternatives(
            {{"alt-svc", "h3=\":443\"; ma=60, h2=\"alt.example:8443\""},
             {"server", "x"},
             {"alt-svc",
              "h3=\"[2001:db8::1]:444\";persist=1; ma=\"5\", h3=:443x, =\":1\", h3, clear"}});
        REQUIRE(all.size() == 3);
        CHECK(all[0].alpn == "h3");
        CHECK(all[0].host.empty());
        CHECK(all[0].port == 443);
        CHECK(all[0].max_age == 60s);
        CHECK(all[1].alpn == "h2");
        CHECK(all[1].host == "alt.example");
        CHECK(all[1].port == 8443);
        CHECK(all[1].max_age == 86400s);
        CHECK(all[2].host == "[2001:db8::1]");
        CHECK(all[2].port == 444);
        CHECK(all[2].max_age == 5s);
    }

    TEST_CASE("of Alt-Svc no more is read than sixteen") {
        std::string text = "h3=\":1\"";
        for (int i = 0; i < 100; ++i) text += ", h3=\":1\"";
        CHECK(http::alternatives({{"alt-svc", text}}).size() == 16);
    }
}

}  // namespace post::test
