// Records other than addresses against a name server that the test scripts: what it says, what it
// gets wrong, what is kept of it and for how long, and how it is asked.
#include <fstream>
#include <map>

#include <doctest/doctest.h>

#include "tests/live/edge.hpp"
#include "tests/live/name_server.hpp"

using namespace post;
using namespace post::test;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

using Reply = NameServer::Reply;
using Record = NameServer::Record;
constexpr auto name = NameServer::name;
constexpr auto u16 = NameServer::u16;
constexpr auto parameter = NameServer::parameter;

NameServer::Script saying(Reply reply) {
    return [reply](const std::string&, int) { return reply; };
}

struct Asking {
    explicit Asking(NameServer::Script script, EpollOptions options = {})
        : server(std::move(script)) {
        options.name_servers = {server.address()};
        io = make_epoll_io(options);
    }

    // All answers of one lookup; three seconds at most.
    std::vector<Io::Resolved> ask(const std::string& host, Question question,
                                  const std::string& service = {}) {
        std::vector<Io::Resolved> all;
        const Instant end = io->now() + 3s;
        io->lookup({LookupId{1}, host, 443, question, service});
        while (io->now() < end && (all.empty() || !all.back().complete)) {
            io->wait(std::min(end, io->now() + 5ms));
            server.serve();
            io->now();
            io->receive();
            for (auto& resolved : io->poll_resolved()) all.push_back(std::move(resolved));
        }
        return all;
    }
    Io::Resolved one(const std::string& host, Question question) {
        auto all = ask(host, question);
        REQUIRE(all.size() == 1);
        CHECK(all[0].complete);
        return std::move(all[0]);
    }

    NameServer server;
    std::unique_ptr<Io> io;
};

std::string service(unsigned priority, const std::string& target, const std::string& rest = {}) {
    return u16(priority) + name(target) + rest;
}

Record svcb(const std::string& data) { return {NameServer::type_svcb, data}; }

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("a service record comes with everything that it says") {
        const std::string all = parameter(0, u16(1) + u16(3)) +
                                parameter(1, "\x0bpost-quic/1\2h3") + parameter(2, "") +
                                parameter(3, u16(8443)) +
                                parameter(4, std::string("\xc0\0\2\1\xc0\0\2\2", 8)) +
                                parameter(6, std::string("\x20\1\x0d\xb8") + std::string(11, '\0') +
                                                 '\1') +
                                parameter(4711, "whatever");
        Asking asking(
            saying({.records = {svcb(service(1, "b.Example", all)), svcb(service(2, ""))}}));
        const auto answer = asking.one("_4433._post.a.example", Question::svcb);
        CHECK(answer.kind == RecordKind::svcb);
        CHECK_FALSE(answer.error);
        REQUIRE(answer.services.size() == 2);
        const ServiceRecord& first = answer.services[0];
        CHECK(first.priority == 1);
        CHECK(first.target == "b.example");
        CHECK((first.mandatory == std::vector<std::uint16_t>{1, 3}));
        CHECK((first.alpn == std::vector<std::string>{"post-quic/1", "h3"}));
        CHECK(first.no_default_alpn);
        CHECK(first.port == 8443);
        CHECK((first.ipv4_hint ==
               std::vector{*Address::parse("192.0.2.1"), *Address::parse("192.0.2.2")}));
        CHECK((first.ipv6_hint == std::vector{*Address::parse("2001:db8::1")}));
        // "." is the owner's own name.
        CHECK(answer.services[1].target == "_4433._post.a.example");
        CHECK(answer.ttl == 60s);
        CHECK((asking.server.asked() == std::vector<std::string>{"_4433._post.a.example SVCB"}));
    }

    TEST_CASE("what a service record gets wrong spoils the set, what is not for us only itself") {
        const Record good = svcb(service(5, "good.example"));
        struct Row {
            const char* what;
            std::string data;
            std::size_t services;  // of the answer
        };
        const Row rows[] = {
            {"an unknown key that is mandatory",
             service(1, "x.example", parameter(0, u16(4711)) + parameter(4711, "")), 1},
            {"ech, which is not spoken, is mandatory",
             service(1, "x.example", parameter(0, u16(5)) + parameter(5, "e")), 1},
            {"an unknown key", service(1, "x.example", parameter(4711, "abc")), 2},
            {"a mandatory key that is missing", service(1, "x.example", parameter(0, u16(1))), 0},
            {"mandatory names itself", service(1, "x.example", parameter(0, u16(0))), 0},
            {"mandatory is empty", service(1, "x.example", parameter(0, "")), 0},
            {"mandatory descends",
             service(1, "x.example",
                     parameter(0, u16(3) + u16(1)) + parameter(1, "\2h3") + parameter(3, u16(1))),
             0},
            {"keys descend", service(1, "x.example", parameter(3, u16(1)) + parameter(1, "\2h3")),
             0},
            {"an ALPN of no letters",
             service(1, "x.example", parameter(1, std::string("\0\2h3", 4))), 0},
            {"an ALPN that is cut off", service(1, "x.example", parameter(1, "\5h3")), 0},
            {"no ALPN", service(1, "x.example", parameter(1, "")), 0},
            {"no default and no other", service(1, "x.example", parameter(2, "")), 0},
            {"no-default-alpn has a value",
             service(1, "x.example", parameter(1, "\2h3") + parameter(2, "x")), 0},
            {"a port of one byte", service(1, "x.example", parameter(3, "x")), 0},
            {"port 0", service(1, "x.example", parameter(3, u16(0))), 0},
            {"a hint of five bytes", service(1, "x.example", parameter(4, "12345")), 0},
            {"no hint", service(1, "x.example", parameter(6, "")), 0},
            {"a target with a blank", service(1, "x y.example"), 0},
            {"an alias, beside which nothing counts", service(0, "x.example", parameter(3, "x")),
             1},
        };
        for (const Row& row : rows) {
            CAPTURE(row.what);
            Asking asking(saying({.records = {good, svcb(row.data)}}));
            const auto answer = asking.one("_4433._post.a.example", Question::svcb);
            CHECK(answer.services.size() == row.services);
            CHECK(static_cast<bool>(answer.error) == (row.services == 0));
            CHECK_FALSE(answer.denied);
            if (answer.services.size() == 1)
                CHECK(answer.services[0].target ==
                      (answer.services[0].priority == 0 ? "x.example" : "good.example"));
        }
    }

    TEST_CASE("SRV, TLSA and HTTPS records come as they are") {
        Asking asking([](const std::string&, int type) -> std::optional<Reply> {
            switch (type) {
                case NameServer::type_srv:
                    return Reply{.records = {{type, u16(1) + u16(2) + u16(7) + name("b.example")},
                                             {type, u16(1) + u16(2) + u16(0) + name("c.example")},
                                             {type, u16(3) + u16(4) + u16(5) + name("")}}};
                case NameServer::type_tlsa:
                    return Reply{.records = {{type, "\3\1\1" + std::string(32, 'x')}},
                                 .authenticated = true};
                case NameServer::type_https:
                    return Reply{.records = {{type, service(1, "", parameter(1, "\2h3"))}}};
                default: return {};
            }
        });
        const auto srv = asking.one("_echo._tcp.a.example", Question::srv);
        CHECK((srv.servers == std::vector<ServerRecord>{{1, 2, 7, "b.example"}, {3, 4, 5, ""}}));
        const auto tlsa = asking.one("_443._tcp.a.example", Question::tlsa);
        REQUIRE(tlsa.tlsa.size() == 1);
        CHECK(tlsa.tlsa[0].usage == 3);
        CHECK(tlsa.tlsa[0].selector == 1);
        CHECK(tlsa.tlsa[0].matching == 1);
        CHECK(tlsa.tlsa[0].data == std::string(32, 'x'));
        CHECK(tlsa.authenticated);  // the name server is on this machine
        CHECK(asking.io->trusts_names());
        const auto https = asking.one("a.example", Question::https);
        REQUIRE(https.services.size() == 1);
        CHECK(https.services[0].target == "a.example");
        CHECK_FALSE(https.authenticated);
    }

    TEST_CASE("aliases are followed within an answer, and do not go round") {
        const auto cname = [](const std::string& from, const std::string& to) {
            return Record{NameServer::type_cname, name(to), from, 30};
        };
        const std::string ip("\xc0\0\2\7", 4);
        Asking chain(saying({.records = {cname("", "b.example"),
                                         cname("b.example", "c.example"),
                                         {NameServer::type_a, ip, "c.example"},
                                         {NameServer::type_a, "\1\2\3\4", "evil.example"}}}));
        const auto all = chain.ask("a.example.", Question::addresses);
        REQUIRE(all.size() == 2);
        const auto& v4 = all[0].addresses.empty() ? all[1] : all[0];
        CHECK(v4.addresses == std::vector{*Address::parse("192.0.2.7", 443)});
        CHECK(v4.name == "c.example");
        CHECK(v4.ttl == 30s);

        Asking round(
            saying({.records = {cname("", "b.example"), cname("b.example", "a.example")}}));
        for (const auto& answer : round.ask("a.example.", Question::addresses)) {
            CHECK(answer.error == Errc::resolve_failed);
            CHECK_FALSE(answer.denied);
        }
        Asking elsewhere(saying({.records = {{NameServer::type_a, ip, "other.example"}}}));
        for (const auto& answer : elsewhere.ask("a.example.", Question::addresses))
            CHECK(answer.addresses.empty());
    }

    TEST_CASE("what was answered is kept for its time, and not asked again") {
        for (const std::uint32_t ttl : {0u, 60u, 0x80000000u}) {
            CAPTURE(ttl);
            Asking asking([ttl](const std::string&, int type) {
                return Reply{
                    .addresses = {type == NameServer::type_a ? "192.0.2.1" : "2001:db8::1"},
                    .ttl = ttl};
            });
            for (int i = 0; i < 3; ++i) {
                const auto answers = asking.ask("Kept.example.", Question::addresses);
                CHECK(answers.size() == 2);
                for (const auto& each : answers) CHECK(each.cached == (ttl == 60 && i > 0));
            }
            CHECK(asking.server.asked().size() == (ttl == 60 ? 2 : 6));
            CHECK(asking.io->deadline() == never);
        }
        // That there is nothing, too, when the name server says for how long.
        for (const int rcode : {0, NameServer::nxdomain, NameServer::servfail}) {
            for (const bool soa : {false, true}) {
                CAPTURE(rcode);
                CAPTURE(soa);
                Reply reply{.rcode = rcode};
                if (soa) reply.negative_ttl = 60;
                Asking asking(saying(reply), {.name_timeout = 500ms});
                const auto first = asking.one("_1._post.none.example", Question::svcb);
                const std::size_t before = asking.server.asked().size();
                const auto second = asking.one("_1._post.none.example", Question::svcb);
                const bool denied = rcode != NameServer::servfail;
                CHECK(first.denied == denied);
                CHECK(second.denied == denied);
                CHECK(second.error.cause == first.error.cause);
                CHECK((asking.server.asked().size() == before) == (denied && soa));
            }
        }
    }

    TEST_CASE("what does not fit into a datagram is asked for over TCP") {
        Asking asking(saying({.records = {svcb(service(1, "b.example"))}, .truncated = true}));
        CHECK(asking.one("_1._post.a.example", Question::svcb).services.size() == 1);
        CHECK((asking.server.asked() ==
               std::vector<std::string>{"_1._post.a.example SVCB", "_1._post.a.example SVCB TCP"}));
    }

    TEST_CASE("a name server that cannot read EDNS is asked without") {
        Asking asking(saying({.records = {svcb(service(1, "b.example"))}, .edns_error = true}));
        CHECK(asking.one("_1._post.a.example", Question::svcb).services.size() == 1);
        CHECK(asking.server.asked().back() == "_1._post.a.example SVCB without EDNS");
    }

    TEST_CASE("names are looked for in the search list, records are not") {
        Asking asking(
            [](const std::string& asked, int) -> std::optional<Reply> {
                if (asked != "host.corp.example") return Reply{.rcode = NameServer::nxdomain};
                return Reply{.addresses = {"192.0.2.1"}};
            },
            {.name_domains = {"lab.example", "corp.example"}});
        auto all = asking.ask("host", Question::addresses);
        std::erase_if(all, [](const auto& answer) { return answer.addresses.empty(); });
        REQUIRE(all.size() == 1);
        CHECK(all[0].name == "host.corp.example");
        const std::size_t before = asking.server.asked().size();
        CHECK(asking.one("_1._post.host", Question::svcb).denied);
        CHECK(asking.server.asked().size() == before + 1);
    }

    TEST_CASE("the hosts file is read first, each time") {
        const std::string path = "hosts-of-the-test";
        std::ofstream(path) << "192.0.2.5 here.example\n2001:db8::5 here.example\n"
                            << "192.0.2.6 four.example\n";
        Asking asking(saying({}), {.hosts_file = path});
        std::vector<std::string> texts;
        for (const auto& answer : asking.ask("here.example", Question::addresses))
            for (const Address& address : answer.addresses) texts.push_back(address.string());
        CHECK((texts == std::vector<std::string>{"[2001:db8::5]:443", "192.0.2.5:443"}));
        CHECK(asking.ask("four.example", Question::addresses).size() == 2);
        CHECK(asking.server.asked().empty());
        std::ofstream(path) << "192.0.2.9 here.example\n";
        const auto again = asking.ask("here.example", Question::addresses);
        REQUIRE(again.size() == 2);
        CHECK(again[1].addresses == std::vector{*Address::parse("192.0.2.9", 443)});
        std::remove(path.c_str());
    }

    TEST_CASE("a service has its port from the system's list, a zone its interface") {
        Asking asking(saying({.addresses = {"192.0.2.1"}}));
        const auto echo = asking.ask("127.0.0.1", Question::addresses, "echo");
        REQUIRE(echo.size() == 1);
        if (!echo[0].error)
            CHECK(echo[0].addresses == std::vector{*Address::parse("127.0.0.1", 7)});
        const auto none = asking.ask("a.example", Question::addresses, "nobody-has-it");
        REQUIRE(none.size() == 1);
        CHECK(none[0].error.detail.view().find("nobody-has-it") != std::string_view::npos);
        const auto zoned = asking.ask("fe80::1%lo", Question::addresses);
        REQUIRE(zoned.size() == 1);
        REQUIRE(zoned[0].addresses.size() == 1);
        CHECK(zoned[0].addresses[0].scope == 1);
        const auto nowhere = asking.ask("fe80::1%no-such-if", Question::addresses);
        REQUIRE(nowhere.size() == 1);
        CHECK(nowhere[0].error.detail.view().find("no interface") != std::string_view::npos);
        CHECK(asking.server.asked().empty());
    }

    TEST_CASE("names of the Internet do not lead home where that is asked for") {
        Reply reply{.addresses = {"10.0.0.1", "172.31.0.1", "192.168.1.1", "127.0.0.1",
                                  "169.254.0.1", "100.64.0.1"}};
        const auto script = [&reply](const std::string&, int type) {
            return type == NameServer::type_a ? reply : Reply{};
        };
        const auto count = [](const std::vector<Io::Resolved>& all) {
            std::size_t found = 0;
            for (const auto& answer : all) found += answer.addresses.size();
            return found;
        };
        Asking home(script);
        CHECK(count(home.ask("a.example.", Question::addresses)) == 6);
        Asking away(script, {.public_names_only = true});
        const auto refused = away.ask("a.example.", Question::addresses);
        CHECK(count(refused) == 0);
        for (const auto& answer : refused) CHECK(answer.error == Errc::resolve_failed);
        reply.addresses.push_back("192.0.2.1");
        CHECK(count(away.ask("b.example.", Question::addresses)) == 1);
        // What is written out is the application's own.
        CHECK(count(away.ask("10.0.0.1", Question::addresses)) == 1);
    }

    TEST_CASE("why a name server has no answer is told in its own words") {
        const auto extended = [](unsigned code, const std::string& text) {
            return NameServer::parameter(15, NameServer::u16(code) + text);
        };
        Reply reply{.rcode = NameServer::servfail};
        const auto detail = [&reply] {
            Asking asking(saying(reply));
            const auto answer = asking.one("_1._post.a.example", Question::svcb);
            CHECK(answer.error == Errc::resolve_failed);
            CHECK_FALSE(answer.denied);
            return answer.error.detail.string();
        };
        CHECK(detail().find("SERVFAIL") != std::string::npos);
        CHECK(detail().find("they say") == std::string::npos);
        reply.options = extended(6, "");
        CHECK(detail().ends_with("they say: DNSSEC bogus (6)"));
        reply.options = extended(999, "dog\x1b[2Jate it" + std::string(1000, 'x'));
        const std::string odd = detail();
        CHECK(odd.find("they say: error (999): dog?[2Jate itxxx") != std::string::npos);
        CHECK(odd.size() < 400);
        reply.options = NameServer::parameter(15, "x");
        CHECK(detail().find("they say") == std::string::npos);
    }

    TEST_CASE("silence names the servers that were asked") {
        Asking asking([](const std::string&, int) { return std::nullopt; },
                      {.name_timeout = 200ms});
        const auto answer = asking.one("_1._post.a.example", Question::svcb);
        CHECK(answer.error == Errc::resolve_failed);
        CHECK(answer.error.detail.view().find(asking.server.address()) != std::string_view::npos);
        CHECK(answer.error.detail.view().find("SVCB") != std::string_view::npos);
    }
}
