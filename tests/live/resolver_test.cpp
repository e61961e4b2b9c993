// The resolver against a name server that the test scripts, and against the hosts file.
#include <dirent.h>

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
using Replies = std::map<int, std::optional<Reply>>;

// Answers each type with its row; silence where there is none.
NameServer::Script always(Replies replies) {
    return [replies](const std::string&, int type) -> std::optional<Reply> {
        const auto found = replies.find(type);
        return found == replies.end() ? std::nullopt : found->second;
    };
}

constexpr int a = NameServer::type_a;
constexpr int aaaa = NameServer::type_aaaa;

std::unique_ptr<Io> asking(const NameServer& server, Duration timeout = 5s) {
    return make_epoll_io({.name_servers = {server.address()}, .name_timeout = timeout});
}

// Turns until the lookup is complete, or three seconds are over.
std::vector<Io::Resolved> resolve(Io& io, NameServer& server, const std::string& host,
                                  LookupId id = LookupId{1}) {
    std::vector<Io::Resolved> all;
    const Instant end = io.now() + 3s;
    io.lookup({id, host, 443});
    while (io.now() < end && (all.empty() || !all.back().complete)) {
        io.wait(std::min(end, io.now() + 5ms));
        server.serve();
        io.now();
        io.receive();
        for (auto& resolved : io.poll_resolved()) all.push_back(std::move(resolved));
    }
    return all;
}

std::vector<std::string> addresses(const std::vector<Io::Resolved>& all) {
    std::vector<std::string> texts;
    for (const auto& resolved : all)
        for (const Address& address : resolved.addresses) texts.push_back(address.string());
    std::sort(texts.begin(), texts.end());
    return texts;
}

int open_descriptors() {
    int count = 0;
    DIR* folder = opendir("/proc/self/fd");
    while (readdir(folder)) ++count;
    closedir(folder);
    return count;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("each family's addresses come as one answer, the last one complete") {
        NameServer server(always({{a, Reply{0, {"192.0.2.1", "192.0.2.2", "192.0.2.1"}}},
                                  {aaaa, Reply{0, {"2001:db8::1"}}}}));
        const auto io = asking(server);
        const auto all = resolve(*io, server, "both.example.");
        REQUIRE(all.size() == 2);
        CHECK((addresses(all) == Texts{"192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443"}));
        CHECK_FALSE(all[0].complete);
        CHECK(all[1].complete);
        CHECK(all[0].id == LookupId{1});
        CHECK_FALSE(all[0].error);
        CHECK(io->deadline() == never);
    }

    TEST_CASE("one family alone is an answer and an error") {
        for (const int type : {a, aaaa}) {
            Replies replies{{a, Reply{}}, {aaaa, Reply{}}};
            replies[type] = Reply{0, {type == a ? "192.0.2.1" : "2001:db8::1"}};
            NameServer scripted(always(replies));
            const auto io = asking(scripted);
            const auto all = resolve(*io, scripted, "one.example.");
            REQUIRE(all.size() == 2);
            CHECK(addresses(all).size() == 1);
            const auto& bad = all[0].error ? all[0] : all[1];
            CHECK(bad.error == Errc::resolve_failed);
            CHECK(bad.error.stage == Stage::resolve);
            CHECK(bad.error.cause.category() == resolver_category());
            CHECK(bad.error.detail.view().find("one.example") != std::string_view::npos);
            CHECK(bad.error.detail.view().find(type == a ? "IPv6" : "IPv4") !=
                  std::string_view::npos);
            CHECK(bad.error.detail.view().find(scripted.address()) != std::string_view::npos);
        }
    }

    TEST_CASE("the first answer does not wait for the second") {
        NameServer server(always({{a, Reply{0, {"192.0.2.1"}}}}));
        const auto io = asking(server, 700ms);
        const Instant begin = io->now();
        io->lookup({LookupId{1}, "slow.example.", 443});
        std::vector<Io::Resolved> first;
        while (first.empty() && io->now() < begin + 400ms) {
            io->wait(io->now() + 2ms);
            server.serve();
            io->receive();
            first = io->poll_resolved();
        }
        REQUIRE(first.size() == 1);
        CHECK_FALSE(first[0].complete);
        CHECK(first[0].addresses.size() == 1);
        // The other one times out, at the lookup's end.
        std::vector<Io::Resolved> second;
        while (second.empty() && io->now() < begin + 2s) {
            io->wait(begin + 2s);
            io->now();
            server.serve();
            io->receive();
            second = io->poll_resolved();
        }
        REQUIRE(second.size() == 1);
        CHECK(second[0].complete);
        CHECK(second[0].error.message().find("Timeout") != std::string::npos);
        CHECK(io->now() - begin < 1500ms);
        CHECK(io->deadline() == never);
    }

    TEST_CASE("NXDOMAIN and SERVFAIL are errors with their cause") {
        for (const int rcode : {NameServer::nxdomain, NameServer::servfail}) {
            NameServer server(always({{a, Reply{rcode, {}}}, {aaaa, Reply{rcode, {}}}}));
            const auto io = asking(server, 2s);
            const auto all = resolve(*io, server, "none.example.");
            REQUIRE(all.size() == 2);
            for (const auto& resolved : all) {
                CHECK(resolved.error == Errc::resolve_failed);
                CHECK(resolved.error.cause);
                CHECK(resolved.addresses.empty());
            }
            CHECK(all[0].error.cause.message().find(
                      rcode == NameServer::nxdomain ? "not found" : "fail") != std::string::npos);
        }
    }

    TEST_CASE("silence ends with the timeout, after several tries") {
        NameServer server(always({}));
        const auto io = asking(server, 350ms);
        const Instant begin = io->now();
        const auto all = resolve(*io, server, "silent.example.");
        REQUIRE(all.size() == 2);
        CHECK(all[1].error == Errc::resolve_failed);
        CHECK(io->now() - begin < 1s);
        CHECK(server.asked().size() >= 4);
    }

    TEST_CASE("addresses that nobody can have are dropped, and no more than 16 are kept") {
        Reply many;
        many.addresses = {"0.0.0.0", "224.0.0.1", "239.1.2.3", "255.255.255.255", "0.1.2.3"};
        for (int i = 1; i <= 30; ++i) many.addresses.push_back("192.0.2." + std::to_string(i));
        NameServer server(always({{a, many}, {aaaa, Reply{0, {"::", "ff02::1"}}}}));
        const auto io = asking(server);
        const auto all = resolve(*io, server, "many.example.");
        REQUIRE(all.size() == 2);
        const auto& good = all[0].error ? all[1] : all[0];
        const auto& bad = all[0].error ? all[0] : all[1];
        CHECK(good.addresses.size() == 16);
        for (const Address& address : good.addresses)
            CHECK(address.ip_string().find("192.0.2.") == 0);
        CHECK(bad.error.detail.view().find("no address that can be used") !=
              std::string_view::npos);
    }

    TEST_CASE("a cancelled lookup says nothing more and leaves nothing behind") {
        NameServer server(
            always({{a, Reply{0, {"192.0.2.1"}}}, {aaaa, Reply{0, {"2001:db8::1"}}}}));
        const auto io = asking(server);
        const int before = open_descriptors();
        io->lookup({LookupId{7}, "gone.example.", 443});
        io->lookup({LookupId{8}, "kept.example.", 443});
        CHECK(open_descriptors() > before);
        io->cancel(LookupId{7});
        io->cancel(LookupId{99});
        std::vector<Io::Resolved> all;
        for (int i = 0; i < 50; ++i) {
            io->wait(io->now() + 2ms);
            server.serve();
            io->now();
            io->receive();
            for (auto& resolved : io->poll_resolved()) all.push_back(std::move(resolved));
        }
        CHECK(all.size() == 2);
        for (const auto& resolved : all) CHECK(resolved.id == LookupId{8});
        CHECK(open_descriptors() == before);
        CHECK(io->deadline() == never);

        // An answer that stands in the queue is cancelled, too.
        io->lookup({LookupId{9}, "127.0.0.1", 1});
        io->cancel(LookupId{9});
        CHECK(io->poll_resolved().empty());
        // Nor does an Io that goes with lookups under way.
        io->lookup({LookupId{10}, "late.example.", 443});
    }

    TEST_CASE("lookups ask from different ports") {
        NameServer server(always({{a, Reply{0, {"192.0.2.1"}}}, {aaaa, Reply{}}}));
        const auto io = asking(server);
        for (std::uint64_t i = 0; i < 8; ++i)
            resolve(*io, server, "n" + std::to_string(i) + ".example.", LookupId{i});
        CHECK(server.ports() > 8);
    }

    TEST_CASE("localhost and addresses need no name server") {
        NameServer server(always({}));
        const auto io = asking(server);
        const auto local = resolve(*io, server, "localhost");
        const auto texts = addresses(local);
        CHECK(std::find(texts.begin(), texts.end(), "127.0.0.1:443") != texts.end());
        for (const char* literal : {"192.0.2.9", "2001:db8::9"}) {
            const auto all = resolve(*io, server, literal);
            REQUIRE(all.size() == 1);
            CHECK(all[0].complete);
            CHECK(all[0].addresses.at(0) == *Address::parse(literal, 443));
        }
        CHECK(server.asked().empty());
    }

    TEST_CASE("what is no name is an error at once") {
        NameServer server(always({}));
        const auto io = asking(server);
        const std::string label(49, 'x');
        const std::string longest = label + "." + label + "." + label + "." + label + "." + label;
        for (const std::string& host :
             {std::string(), std::string("."), std::string("a\0b", 3), longest + ".12345"}) {
            const auto all = resolve(*io, server, host);
            REQUIRE(all.size() == 1);
            CHECK(all[0].complete);
            CHECK(all[0].error == Errc::resolve_failed);
            CHECK(all[0].error.stage == Stage::resolve);
        }
        CHECK(server.asked().empty());
        CHECK_THROWS_AS(make_epoll_io({.name_servers = {"not an address"}}), Failure);
    }

    TEST_CASE("lookups have a limit that is an error") {
        NameServer server(always({}));
        const auto io = asking(server);
        for (std::uint64_t i = 0; i < 257; ++i) io->lookup({LookupId{i}, "limit.example.", 443});
        const auto all = io->poll_resolved();
        REQUIRE(all.size() == 1);
        CHECK(all[0].id == LookupId{256});
        CHECK(all[0].error == Errc::too_many);
        CHECK(all[0].complete);
    }
}
