// Resolution with DANE: whose certificates are asked for, and which endpoint has which.
#include <algorithm>

#include "tests/unit/resolution_support.hpp"

using namespace post;
using namespace post::test;

TEST_SUITE("unit") {
    TEST_CASE("nobody is an endpoint before the certificates are known") {
        Names names;
        names.host("a.example", {"192.0.2.1"});
        names.tlsa["_4433._udp.a.example"] = {certificate('u')};
        names.tlsa["_4433._tcp.a.example"] = {certificate('t')};
        names.authenticated = true;
        Resolution resolution;
        resolution.begin("post://a.example", {.dane = true});
        std::vector<Resolution::Lookup> lookups;
        while (const auto lookup = resolution.poll_lookup()) lookups.push_back(*lookup);
        REQUIRE(lookups.size() == 4);
        for (const auto& lookup : lookups) {
            CHECK(resolution.endpoints().empty());
            names.answer(resolution, lookup);
        }
        CHECK(resolution.endpoints().size() == 1);
        CHECK((certificates(resolution, "192.0.2.1:4433") == Texts{"u a.example", "t a.example"}));

        // What is not authenticated says nothing.
        names.authenticated = false;
        auto open = names.resolve("post://a.example", {.dane = true});
        CHECK((certificates(open, "192.0.2.1:4433") == Texts{"", ""}));
        CHECK(open.endpoints().size() == 1);
        names.failing = {"_4433._tcp.a.example"};
        CHECK(names.resolve("post://a.example", {.dane = true}).endpoints().size() == 1);
        // Who keeps it back where the rest is signed is not believed.
        names.authenticated = true;
        const auto kept = names.resolve("post://a.example", {.dane = true});
        CHECK(kept.endpoints().empty());
        CHECK(kept.error().detail.view().find("kept from us") != std::string_view::npos);
        // Neither addresses nor localhost have certificates in DNS.
        names.asked.clear();
        names.resolve("post://192.0.2.1", {.dane = true});
        CHECK(names.asked.empty());
    }

    TEST_CASE("the targets of service records have certificates of their own") {
        Names names;
        names.authenticated = true;
        names.host("a.example", {"192.0.2.1"});
        names.host("b.example", {"192.0.2.2"});
        names.services["_4433._post.a.example"] = {
            {.priority = 1, .target = "b.example", .port = 8443}};
        names.tlsa["_4433._udp.a.example"] = {certificate('a')};
        names.tlsa["_8443._udp.b.example"] = {certificate('b')};
        names.tlsa["_8443._tcp.b.example"] = {certificate('t')};
        auto found = names.resolve("post://a.example", {.dane = true});
        CHECK((certificates(found, "192.0.2.2:8443") == Texts{"b b.example", "t b.example"}));
        CHECK((certificates(found, "192.0.2.1:4433") == Texts{"a a.example", ""}));
        CHECK((certificates(found, "192.0.2.7:4433") == Texts{"", ""}));
        // Without DANE they are not asked for.
        names.asked.clear();
        names.resolve("post://a.example");
        CHECK(names.asked.size() == 3);
        // Who says where the service is has to be believed first: what leads there unsigned may
        // lead to anybody who has a certificate in DNS.
        names.unsigned_names = {"_4433._post.a.example"};
        auto open = names.resolve("post://a.example", {.dane = true});
        CHECK((certificates(open, "192.0.2.2:8443") == Texts{"", ""}));
        CHECK((certificates(open, "192.0.2.1:4433") == Texts{"a a.example", ""}));
        // So has every alias on the way.
        names.services["_4433._post.a.example"] = {{.priority = 0, .target = "c.example"}};
        names.services["c.example"] = {{.priority = 1, .target = "b.example", .port = 8443}};
        auto alias = names.resolve("post://a.example", {.dane = true});
        CHECK((certificates(alias, "192.0.2.2:8443") == Texts{"", ""}));
        names.unsigned_names.clear();
        auto signed_alias = names.resolve("post://a.example", {.dane = true});
        CHECK(
            (certificates(signed_alias, "192.0.2.2:8443") == Texts{"b b.example", "t b.example"}));
    }

    TEST_CASE("a target is no endpoint before its certificates are known, the others may be") {
        Names names;
        names.authenticated = true;
        names.host("a.example", {"192.0.2.1"});
        names.host("b.example", {"192.0.2.2"});
        names.services["_4433._post.a.example"] = {
            {.priority = 1, .target = "b.example", .ipv4_hint = {*Address::parse("192.0.2.9")}}};
        Resolution resolution;
        resolution.begin("post://a.example", {.dane = true});
        std::vector<Resolution::Lookup> late;
        while (const auto lookup = resolution.poll_lookup()) {
            if (lookup->name == "_4433._udp.b.example")
                late.push_back(*lookup);
            else
                names.answer(resolution, *lookup);
        }
        REQUIRE(late.size() == 1);
        CHECK((texts(resolution) == Texts{"192.0.2.1:4433 65536, A of a.example"}));
        names.answer(resolution, late[0]);
        CHECK((texts(resolution) ==
               Texts{"192.0.2.2:4433 1, A of b.example", "192.0.2.1:4433 65536, A of a.example"}));
        // Kept from us at the target, it is the target alone that nobody can be believed at.
        names.failing = {"_4433._tcp.b.example"};
        CHECK((texts(names.resolve("post://a.example", {.dane = true})) ==
               Texts{"192.0.2.1:4433 65536, A of a.example"}));
        names.unsigned_names = {"b.example"};
        CHECK(names.resolve("post://a.example", {.dane = true}).endpoints().size() == 2);
    }

    TEST_CASE("a hint is tried with the certificate of its target, or not at all") {
        Names names;
        names.authenticated = true;
        names.services["_4433._post.a.example"] = {
            {.priority = 1, .target = "b.example", .ipv4_hint = {*Address::parse("192.0.2.9")}}};
        Resolution resolution;
        resolution.begin("post://a.example", {.dane = true});
        while (const auto lookup = resolution.poll_lookup())
            if (lookup->question != Question::addresses) names.answer(resolution, *lookup);
        CHECK(resolution.endpoints().empty());
    }

    TEST_CASE("the servers of a service have certificates where SRV was authenticated") {
        Names names;
        names.authenticated = true;
        names.host("b.example", {"192.0.2.2"});
        names.servers["_echo._udp.a.example"] = {{1, 1, 7000, "b.example"}};
        names.tlsa["_7000._udp.b.example"] = {certificate('b')};
        const Remote echo = Remote::service("a.example", "echo", Scheme::post);
        auto found = names.resolve(echo, {.dane = true});
        CHECK((certificates(found, "192.0.2.2:7000") == Texts{"b b.example", ""}));
        names.unsigned_names = {"_echo._udp.a.example"};
        names.asked.clear();
        auto open = names.resolve(echo, {.dane = true});
        CHECK((certificates(open, "192.0.2.2:7000") == Texts{"", ""}));
        CHECK((names.asked == Texts{"SRV _echo._udp.a.example", "addresses b.example"}));
    }

    TEST_CASE("the certificates at the end of an alias count before those at its beginning") {
        Names names;
        names.authenticated = true;
        names.host("b.example", {"192.0.2.2"});
        names.aliases["a.example"] = "b.example";
        names.tlsa["_4433._udp.a.example"] = {certificate('a')};
        names.tlsa["_4433._tcp.a.example"] = {certificate('s')};
        names.tlsa["_4433._udp.b.example"] = {certificate('b')};
        auto found = names.resolve("post://a.example", {.dane = true});
        CHECK((certificates(found, "192.0.2.2:4433") == Texts{"b b.example", "s a.example"}));
        names.failing = {"_4433._udp.b.example"};
        CHECK(names.resolve("post://a.example", {.dane = true}).endpoints().empty());
        names.failing.clear();
        // An alias that nobody has signed may lead to anybody.
        names.unsigned_names = {"a.example"};
        auto open = names.resolve("post://a.example", {.dane = true});
        CHECK((certificates(open, "192.0.2.2:4433") == Texts{"a a.example", "s a.example"}));
    }

    TEST_CASE("certificates are asked for at a bounded number of places") {
        Names names;
        names.authenticated = true;
        names.host("h0.example", {"192.0.2.1"});
        for (int i = 0; i < 100; ++i) {
            const std::string host = "h" + std::to_string(i) + ".example";
            names.aliases[host] = "x" + host;
            names.services["_1._post.h0.example"].push_back(
                {.priority = static_cast<std::uint16_t>(i + 1), .target = host});
        }
        names.resolve("post://h0.example:1", {.dane = true});
        CHECK(std::count_if(names.asked.begin(), names.asked.end(), [](const std::string& text) {
                  return text.starts_with("TLSA");
              }) <= 4 * (1 + static_cast<long>(Resolution::most_targets)));
    }

    TEST_CASE("of several names everybody has the first one's certificates") {
        Names names;
        names.authenticated = true;
        names.host("a.example", {"192.0.2.1"});
        names.host("b.example", {"192.0.2.2"});
        names.tlsa["_4433._udp.a.example"] = {certificate('a')};
        names.tlsa["_4433._udp.b.example"] = {certificate('b')};
        auto found = names.resolve(
            Remote::any({"quic://a.example", "quic://b.example", "quic://192.0.2.9:1"}),
            {.dane = true});
        for (const char* text : {"192.0.2.1:4433", "192.0.2.2:4433", "192.0.2.9:1"})
            CHECK((certificates(found, text) == Texts{"a a.example", ""}));
    }
}
