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
using post::Scheme;

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
            {"POST://example.net", "example.net", 4433, false},
            {"https://example.net", "example.net", 443, false},
            {"sctp://example.net", "example.net", 4433, false},
            {"tls://example.net:7", "example.net", 7, false},
            {"tcp://example.net:7", "example.net", 7, false},
            {"udp://192.0.2.1:7", "192.0.2.1", 7, true},
            {"post://[::ffff:192.0.2.1]", "192.0.2.1", 4433, true},
            {"post://m\xc3\xbcnchen.example", "xn--mnchen-3ya.example", 4433, false},
            {"post://M\xc3\x9cNCHEN.example:1", "xn--mnchen-3ya.example", 1, false},
            // The full stop of Chinese and Japanese.
            {"post://\xe4\xbe\x8b\xe3\x80\x82jp", "xn--fsq.jp", 4433, false},
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
            {"posts://example.net", 0},
            {"://example.net", 0},
            {"tls://example.net", 17},
            {"tcp://example.net/", 17},
            {"udp://[::1]", 11},
            {"https://h/a b", 11},
            {"https://h/a%2", 11},
            {"https://h/a#b", 11},
            {"https://h/\xc3\xbc", 10},
            {"https://h:1x", 11},
            {"post://1.2.3", 7},
            {"post://010.0.0.1", 7},
            {"post://0x7f.1", 7},
            {"post://example.123", 7},
            {"post://[fe80::1%]", 15},
            {"post://[fe80::1%25eth 0]", 15},
            {"post://[fe80::1%99999999999]", 15},
            {"post://[2001:db8::1%eth0]", 19},
            // Digits of another script are no address, and what follows is shown at its column.
            {"post://\xef\xbc\x91.\xef\xbc\x92.\xef\xbc\x93.\xef\xbc\x94", 7},
            {"post://\xc3\xbc\xc3\xbc:0", 10},
            {"post://\xff\xfe", 7},
            {"post://" + std::string(9000, 'a'), 8192},
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

    TEST_CASE("a link-local address has a zone, whose name waits for the system") {
        for (const char* url : {"post://[fe80::1%25eth0]:1", "post://[fe80::1%eth0]:1"}) {
            const Remote named(url);
            CHECK(named.host() == "fe80::1%eth0");
            CHECK_FALSE(named.complete());
            CHECK(named.server_name() == "fe80::1");
            CHECK(named.string() == "post://[fe80::1%25eth0]:1");
            CHECK(Remote(named.string()) == named);
            CHECK(Remote("fe80::1%eth0", 1) == named);
        }
        for (const char* url : {"post://[fe80::1%253]", "post://[fe80::1%3]"}) {
            const Remote numbered(url);
            CHECK(numbered.complete());
            CHECK(numbered.address().scope == 3);
            CHECK(numbered.server_name() == "fe80::1");
            CHECK(Remote(numbered.string()) == numbered);
            CHECK(Remote(numbered.address()) == numbered);
        }
        CHECK(Remote("post://[fe80::1%25]").address().scope == 25);
        CHECK(Remote("post://[fe80::1%2525]").address().scope == 25);
    }

    TEST_CASE("https keeps its path and query, and nobody else has one") {
        CHECK(Remote("https://h").target() == "/");
        CHECK(Remote("https://h?q=1").target() == "/?q=1");
        CHECK(Remote("https://h:8/a/b%20c?d=e&f").target() == "/a/b%20c?d=e&f");
        CHECK(Remote("https://h:8/a?b").string() == "https://h:8/a?b");
        CHECK(Remote("h", 8, Scheme::https).target() == "/");
        CHECK(Remote("post://h/").target().empty());
    }

    TEST_CASE("a protocol can have a port of its own") {
        Remote remote("post://example.net");
        remote.set_port(Scheme::tls, 8443);
        CHECK(remote.port() == 4433);
        CHECK(remote.port(Scheme::quic) == 4433);
        CHECK(remote.port(Scheme::tls) == 8443);
        CHECK(remote != Remote("post://example.net"));
        CHECK_THROWS_AS(remote.set_port(Scheme::tls, 0), Failure);
    }

    TEST_CASE("a service has a name in place of a port") {
        const Remote echo = Remote::service("example.net", "echo", Scheme::tcp);
        CHECK(echo.service() == "echo");
        CHECK(echo.port() == 0);
        CHECK_FALSE(echo.complete());
        CHECK_FALSE(Remote::service("192.0.2.1", "echo").complete());
        CHECK(echo.string() == "tcp service echo of example.net");
        for (const char* name : {"", "a b", "-a", "a-", "1234", "longer-than-fifteen", "a_b"})
            CHECK_THROWS_AS(Remote::service("example.net", name), Failure);
        const Remote found = echo.at(*Address::parse("192.0.2.1", 7));
        CHECK(found.complete());
        CHECK(found.port() == 7);
        CHECK(found.server_name() == "example.net");
    }

    TEST_CASE("several names and addresses are one Remote") {
        Remote all = Remote::any({"post://a.example", "post://192.0.2.1:1"});
        CHECK(all.host() == "a.example");
        CHECK(all.others().size() == 1);
        CHECK_FALSE(all.complete());
        CHECK(all.string() == "post://a.example:4433, post://192.0.2.1:1");
        all.add(Remote::any({"post://b.example", "post://c.example"}));
        CHECK(all.others().size() == 3);
        CHECK(all.server_name() == "a.example");
        CHECK(Remote::any({"post://192.0.2.1", "post://192.0.2.2"}).complete());
        CHECK_THROWS_AS(Remote::any({}), Failure);
        CHECK_THROWS_AS(all.add("tls://a.example:1"), Failure);
        for (int i = 0; i < 12; ++i) all.add("post://d.example");
        CHECK_THROWS_AS(all.add("post://e.example"), Failure);
        CHECK(all.others().size() == Remote::most_others);
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
        const char* beginnings[] = {"post://", "", "https://h/", "tls://[fe80::1%25", "udp://"};
        for (int round = 0; round < 20'000; ++round) {
            std::string url = beginnings[random() % std::size(beginnings)];
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
