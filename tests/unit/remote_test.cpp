// Remote: the URLs that it takes, and where the caret points in those that it does not.
#include <post/remote.hpp>

#include <ostream>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "tests/seed.hpp"

using post::Address;
using post::Errc;
using post::Failure;
using post::Remote;

namespace {

// The column in the line below the URL, both of which are indented by two.
std::size_t caret(const post::Error& error) {
    const std::string text = error.detail.string();
    const std::size_t at = text.find('^');
    REQUIRE(at != std::string::npos);
    return at - (text.rfind('\n', at) + 1) - 2;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("URLs of every form become a host and a port") {
        struct Row {
            const char* url;
            const char* host;
            std::uint16_t port;
            bool complete;
        };
        const Row rows[] = {
            {"post://example.net", "example.net", 4433, false},
            {"post://example.net/", "example.net", 4433, false},
            {"quic://example.net:1", "example.net", 1, false},
            {"post://example.net:65535/", "example.net", 65535, false},
            {"post://localhost:443", "localhost", 443, false},
            {"post://_post._udp.example.net", "_post._udp.example.net", 4433, false},
            {"post://a-b.xn--caf-dma.example:9", "a-b.xn--caf-dma.example", 9, false},
            {"post://192.0.2.1", "192.0.2.1", 4433, true},
            {"post://192.0.2.1:80", "192.0.2.1", 80, true},
            {"post://[2001:db8::1]", "2001:db8::1", 4433, true},
            {"post://[2001:DB8:0:0::1]:80", "2001:db8::1", 80, true},
            {"post://[::1]:4433/", "::1", 4433, true},
        };
        for (const Row& row : rows) {
            CAPTURE(row.url);
            const Remote remote(row.url);
            CHECK(remote.host() == row.host);
            CHECK(remote.port() == row.port);
            CHECK(remote.complete() == row.complete);
            CHECK(remote.server_name() == row.host);
            if (row.complete) CHECK(remote.address().port == row.port);
            CHECK(Remote(remote.string()) == remote);  // what is written can be read
        }
    }

    TEST_CASE("a URL that is wrong is shown with a caret below the place") {
        struct Row {
            std::string url;
            std::size_t at;
        };
        const Row rows[] = {
            {"", 0},
            {"example.net", 0},
            {"http://example.net", 0},
            {"post:/example.net", 0},
            {"POST://example.net", 0},
            {"post://", 7},
            {"post://:80", 7},
            {"post:///path", 7},
            {"post://exa mple.net", 10},
            {"post://example..net", 15},
            {"post://user@example.net", 11},
            {"post://[::1", 7},
            {"post://[]", 8},
            {"post://[192.0.2.1]", 8},
            {"post://[fe80::g]", 8},
            {"post://[::1]80", 12},
            {"post://h:", 9},
            {"post://h:0", 9},
            {"post://h:65536", 9},
            {"post://h:99999999999999999999", 9},
            {"post://h:-1", 9},
            {"post://h:+1", 9},
            {"post://h:80x", 11},
            {"post://h:80/path", 11},
            {"post://h:80?query", 11},
            {"post://h/path", 8},
            {"post://h#f", 8},
            {"post://::1", 7},
            {"post://" + std::string(64, 'a'), 70},  // a label has 63 letters
            {"post://" + std::string(300, 'a'), 7},  // a name 253
        };
        for (const Row& row : rows) {
            CAPTURE(row.url);
            const auto remote = Remote::parse(row.url);
            REQUIRE_FALSE(remote);
            CHECK(remote.error() == Errc::invalid_url);
            CHECK(remote.error().stage == post::Stage::call);
            CHECK(caret(remote.error()) == row.at);
            CHECK_THROWS_AS(Remote{row.url}, Failure);
        }
    }

    TEST_CASE("a label of 63 letters and a name of 253 are the longest") {
        const std::string label(63, 'a');
        CHECK(Remote::parse("post://" + label));
        const std::string name = label + "." + label + "." + label + "." + std::string(61, 'b');
        REQUIRE(name.size() == 253);
        CHECK(Remote::parse("post://" + name));
        CHECK_FALSE(Remote::parse("post://" + name + "b"));
    }

    TEST_CASE("a name and a port, or an address, make a Remote") {
        CHECK(Remote("example.net", 80).string() == "post://example.net:80");
        CHECK(Remote("::1", 80).string() == "post://[::1]:80");
        CHECK(Remote("::1", 80).complete());
        CHECK(Remote("192.0.2.1", 80).address() == *Address::parse("192.0.2.1", 80));
        CHECK(Remote(*Address::parse("2001:db8::2", 7)).host() == "2001:db8::2");
        CHECK_THROWS_AS(Remote("example.net", 0), Failure);
        CHECK_THROWS_AS(Remote("exa mple", 80), Failure);
        CHECK_THROWS_AS(Remote("", 80), Failure);
        CHECK_THROWS_AS(Remote(Address{}), Failure);
        CHECK_THROWS_AS(Remote(*Address::parse("192.0.2.1")), Failure);
    }

    TEST_CASE("the name to verify can be another one") {
        Remote remote("post://192.0.2.1");
        remote.set_server_name("example.net");
        CHECK(remote.server_name() == "example.net");
        CHECK(remote.host() == "192.0.2.1");
    }

    TEST_CASE("no garbage is taken for a URL that is not written back the same") {
        std::mt19937_64 random(post::test::seed());
        const std::string alphabet = "post://quic[]:.%?#@-_019afz \t\n\xc3\xa9";
        for (int round = 0; round < 20'000; ++round) {
            std::string url = random() % 2 == 0 ? "post://" : "";
            for (std::size_t left = random() % 20; left > 0; --left)
                url += alphabet[random() % alphabet.size()];
            const auto remote = Remote::parse(url);
            if (!remote) {
                REQUIRE(caret(remote.error()) <= url.size());
                continue;
            }
            REQUIRE(remote->port() != 0);
            REQUIRE_FALSE(remote->host().empty());
            const auto again = Remote::parse(remote->string());
            REQUIRE(again);
            REQUIRE(*again == *remote);
        }
    }
}
