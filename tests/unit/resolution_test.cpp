// Resolution: which lookups a Remote leads to, and which endpoints their answers do.
#include "lib/association/resolution.hpp"

#include "tests/unit/resolution_support.hpp"

using namespace post;
using namespace post::test;

TEST_SUITE("unit") {
    TEST_CASE("a name without records is its addresses, at the port of the URL") {
        Names names;
        names.host("a.example", {"192.0.2.1", "2001:db8::1"});
        const auto found = names.resolve("post://a.example");
        CHECK((names.asked == Texts{"SVCB _4433._post.a.example", "addresses a.example"}));
        CHECK((texts(found) == Texts{"[2001:db8::1]:4433 0, AAAA of a.example",
                                     "192.0.2.1:4433 0, A of a.example"}));
        CHECK_FALSE(found.error());
        const auto rows = std::map<std::string, Texts>{
            {"https://b.example", {"HTTPS b.example", "addresses b.example"}},
            {"https://b.example:8", {"HTTPS _8._https.b.example", "addresses b.example"}},
            {"quic://b.example", {"addresses b.example"}},
            {"tls://b.example:1", {"addresses b.example"}},
            {"post://localhost", {"addresses localhost"}},
            {"post://x.localhost.:1", {"addresses x.localhost."}},
            {"post://[fe80::1%25eth0]", {"addresses fe80::1%eth0"}},
            {"post://192.0.2.1", {}},
        };
        for (const auto& [url, asked] : rows) {
            CAPTURE(url);
            names.asked.clear();
            names.resolve(Remote(url));
            CHECK(names.asked == asked);
        }
    }

    TEST_CASE("service records come in their order, each with its port and protocols") {
        Names names;
        names.host("a.example", {"192.0.2.1"});
        names.host("b.example", {"192.0.2.2", "2001:db8::2"});
        names.services["_4433._post.a.example"] = {
            {.priority = 2, .target = "a.example", .alpn = {"post-qmux/1"}},
            {.priority = 1, .target = "b.example", .alpn = {"post-quic/1"}, .port = 8443},
        };
        const auto found = names.resolve("post://a.example");
        CHECK((texts(found) == Texts{"[2001:db8::2]:8443 1 post-quic/1, AAAA of b.example",
                                     "192.0.2.2:8443 1 post-quic/1, A of b.example",
                                     "192.0.2.1:4433 2 post-qmux/1, A of a.example"}));
        // What no record names comes last.
        names.services["_4433._post.a.example"].erase(
            names.services["_4433._post.a.example"].begin());
        CHECK(texts(names.resolve("post://a.example")).back() ==
              "192.0.2.1:4433 65536, A of a.example");
        // HTTPS says HTTP/1.1 as well, unless it says that it does not.
        names.services["a.example"] = {{.priority = 1, .target = "a.example", .alpn = {"h3"}}};
        CHECK((texts(names.resolve("https://a.example")) ==
               Texts{"192.0.2.1:443 1 h3 http/1.1, A of a.example"}));
        names.services["a.example"][0].no_default_alpn = true;
        CHECK((texts(names.resolve("https://a.example")) ==
               Texts{"192.0.2.1:443 1 h3, A of a.example"}));
    }

    TEST_CASE("hints are endpoints until the addresses are there") {
        Names names;
        names.host("b.example", {"192.0.2.2"});
        names.services["_1._post.a.example"] = {{.priority = 1,
                                                 .target = "b.example",
                                                 .ipv4_hint = {*Address::parse("192.0.2.9")},
                                                 .ipv6_hint = {*Address::parse("2001:db8::9")}}};
        Resolution resolution;
        resolution.begin("post://a.example:1", {});
        CHECK(resolution.answered() == Resolution::Answered{});
        names.answer(resolution, *resolution.poll_lookup());
        CHECK((texts(resolution) == Texts{"[2001:db8::9]:1 1, ipv6hint of b.example",
                                          "192.0.2.9:1 1, ipv4hint of b.example"}));
        CHECK(resolution.poll_endpoints().size() == 2);
        CHECK(resolution.poll_endpoints().empty());
        CHECK(resolution.answered() == Resolution::Answered{true, true, true});
        while (const auto lookup = resolution.poll_lookup()) names.answer(resolution, *lookup);
        CHECK((texts(resolution) == Texts{"192.0.2.2:1 1, A of b.example"}));
        CHECK(resolution.poll_endpoints().size() == 1);
    }

    TEST_CASE("it is known which answers are still to come") {
        Names names;
        names.host("a.example", {"192.0.2.1", "2001:db8::1"});
        Resolution resolution;
        resolution.begin("post://a.example", {});
        const auto svcb = *resolution.poll_lookup();
        const auto addresses = *resolution.poll_lookup();
        CHECK_FALSE(resolution.poll_lookup());
        const auto all = names.answers(addresses);
        resolution.handle_answer(addresses.id, all[1], false);
        CHECK(resolution.answered() == Resolution::Answered{.a = true});
        resolution.handle_answer(addresses.id, all[0], true);
        CHECK(resolution.answered() == Resolution::Answered{.aaaa = true, .a = true});
        CHECK_FALSE(resolution.complete());
        names.answer(resolution, svcb);
        CHECK(resolution.complete());
        // Answers that nobody waits for change nothing.
        resolution.handle_answer(addresses.id, all[0], true);
        resolution.handle_answer(core::QueryId{99}, all[0], true);
        CHECK(resolution.endpoints().size() == 2);
    }

    TEST_CASE("aliases are followed, but neither round nor for ever") {
        Names names;
        names.host("a.example", {"192.0.2.1"});
        names.host("pool.example", {"192.0.2.2"});
        names.services["_1._post.a.example"] = {{.priority = 0, .target = "b.example"}};
        names.services["b.example"] = {{.priority = 0, .target = "pool.example"}};
        // No records at the end: the addresses there are the service's.
        CHECK((texts(names.resolve("post://a.example:1")) ==
               Texts{"192.0.2.2:1 0, A of pool.example", "192.0.2.1:1 65536, A of a.example"}));
        names.services["pool.example"] = {{.priority = 3, .target = "pool.example", .port = 2}};
        CHECK((texts(names.resolve("post://a.example:1")) ==
               Texts{"192.0.2.2:2 3, A of pool.example", "192.0.2.1:1 65536, A of a.example"}));
        names.services["pool.example"] = {{.priority = 0, .target = "b.example"}};
        CHECK(
            (texts(names.resolve("post://a.example:1")) == Texts{"192.0.2.1:1 0, A of a.example"}));
        for (int i = 0; i < 20; ++i)
            names.services["n" + std::to_string(i)] = {
                {.priority = 0, .target = "n" + std::to_string(i + 1)}};
        names.services["_1._post.a.example"] = {{.priority = 0, .target = "n0"}};
        names.asked.clear();
        const auto found = names.resolve("post://a.example:1");
        CHECK(found.endpoints().size() == 1);
        CHECK(names.asked.size() == 2 + Resolution::most_aliases);
        CHECK(found.failures().back().detail.view().find("more than 8") != std::string_view::npos);
        // "." is advice that there is no service.
        names.services["_1._post.a.example"] = {{.priority = 0, .target = ""}};
        CHECK(names.resolve("post://a.example:1").endpoints().size() == 1);
    }

    TEST_CASE("a service is where its SRV records say, by priority and by weight") {
        Names names;
        names.host("heavy.example", {"192.0.2.1"});
        names.host("light.example", {"192.0.2.2"});
        names.host("spare.example", {"192.0.2.3"});
        names.servers["_echo._tcp.a.example"] = {
            {2, 0, 9, "spare.example"}, {1, 90, 7, "heavy.example"}, {1, 10, 8, "light.example"}};
        int heavy = 0;
        for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
            const auto found = names.resolve(Remote::service("a.example", "echo", Scheme::tcp),
                                             {.seed = seed});
            const Texts all = texts(found);
            REQUIRE(all.size() == 3);
            REQUIRE(all[2] == "192.0.2.3:9 2, A of spare.example");
            heavy += all[0] == "192.0.2.1:7 1, A of heavy.example";
        }
        CHECK(heavy > 850);
        CHECK(heavy < 950);
        // The same seed, the same order.
        const Remote echo = Remote::service("a.example", "echo", Scheme::tcp);
        CHECK(names.resolve(echo, {.seed = 5}).endpoints() ==
              names.resolve(echo, {.seed = 5}).endpoints());
    }

    TEST_CASE("a service without SRV is at the system's port, one that is denied nowhere") {
        Names names;
        names.host("a.example", {"192.0.2.1"});
        names.asked.clear();
        CHECK((texts(names.resolve(Remote::service("a.example", "echo", Scheme::udp))) ==
               Texts{"192.0.2.1:7 0, A of a.example (echo)"}));
        CHECK(
            (names.asked == Texts{"SRV _echo._udp.a.example", "addresses a.example service echo"}));
        names.servers["_echo._udp.a.example"] = {{0, 0, 0, ""}};
        const auto none = names.resolve(Remote::service("a.example", "echo", Scheme::udp));
        CHECK(none.endpoints().empty());
        CHECK(none.error() == Errc::resolve_failed);
        CHECK(none.error().detail.view().find("no service echo") != std::string_view::npos);
    }

    TEST_CASE("several names and addresses are all resolved, what is the same once") {
        Names names;
        names.host("a.example", {"192.0.2.1"});
        names.host("b.example", {"192.0.2.2", "192.0.2.1"});
        const auto found = names.resolve(Remote::any(
            {"quic://a.example", "quic://b.example", "quic://192.0.2.9:1", "quic://a.example:2"}));
        CHECK((texts(found) == Texts{"192.0.2.1:4433 0, A of a.example",
                                     "192.0.2.2:4433 0, A of b.example", "192.0.2.9:1 0, as given",
                                     "192.0.2.1:2 0, A of a.example"}));
        const Remote remote("post://a.example");
        const auto at = names.resolve(Remote::any({remote.at(*Address::parse("192.0.2.7", 1)),
                                                   remote.at(*Address::parse("192.0.2.8", 1))}));
        CHECK(at.endpoints().size() == 2);
    }

    TEST_CASE("lists that do not end are cut") {
        Names names;
        for (int i = 0; i < 100; ++i) {
            const std::string host = "h" + std::to_string(i) + ".example";
            for (int j = 1; j < 50; ++j) {
                names.addresses[host].push_back(
                    *Address::parse("192.0." + std::to_string(i) + "." + std::to_string(j)));
                names.addresses[host].push_back(
                    *Address::parse("2001:db8::" + std::to_string(i) + ":" + std::to_string(j)));
            }
            names.services["_1._post.h0.example"].push_back(
                {.priority = static_cast<std::uint16_t>(i + 1), .target = host});
        }
        const auto found = names.resolve("post://h0.example:1");
        CHECK(found.endpoints().size() == Resolution::most_endpoints);
        CHECK(names.asked.size() <= 2 + Resolution::most_targets);
        std::size_t v6 = 0;
        for (const auto& endpoint : found.endpoints())
            v6 += endpoint.address.family == Address::Family::v6;
        CHECK(v6 == Resolution::most_of_family);
    }

    TEST_CASE("a failure says what failed, of everything that was asked") {
        Names names;
        names.failing = {"a.example", "_4433._post.a.example"};
        const auto found = names.resolve("post://a.example");
        CHECK(found.endpoints().empty());
        CHECK(found.error() == Errc::resolve_failed);
        const std::string text = found.error().detail.string();
        CHECK(text.find("post://a.example:4433") != std::string::npos);
        CHECK(text.find("nothing for a.example") != std::string::npos);
        CHECK(text.find("nothing for _4433._post.a.example") != std::string::npos);
        // Services that fail do not keep the addresses from being tried.
        names.failing = {"_4433._post.a.example"};
        names.host("a.example", {"192.0.2.1"});
        CHECK(names.resolve("post://a.example").endpoints().size() == 1);
    }
}
