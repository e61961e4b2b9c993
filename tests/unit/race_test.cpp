// Race: what is looked up, what is tried and when, and what is said of it in the end.
#include "lib/association/race.hpp"

#include "tests/unit/race_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using Way = RaceWorld::Way;

const Remote named("post://a.example");
const std::vector<Stack> three = {Stack::quic, Stack::sctp_dtls, Stack::tls};
const std::vector<Stack> two = {Stack::quic, Stack::tls};

std::vector<Endpoint> endpoints(std::initializer_list<Address> addresses, const char* from) {
    std::vector<Endpoint> all;
    for (const Address& address : addresses) all.push_back({.address = address, .from = from});
    return all;
}

RaceWorld silent() {
    RaceWorld world;
    world.way = [](Stack, const Address&) { return Way::silent; };
    return world;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("an address is tried at once, and nothing is looked up") {
        RaceWorld world;
        world.begin(Remote(v6(1)), {.stacks = two});
        world.run();
        CHECK(world.order() == "quic6");
        CHECK(world.of(0) == 0ms);
        CHECK(world.took() == world.rtt);
        CHECK(world.race.deadline() == never);
        CHECK_FALSE(world.race.exhausted());
        const auto* winner = world.race.establishment().winner();
        REQUIRE(winner);
        CHECK(winner->stage == Stage::established);
    }

    TEST_CASE("AAAA and A together: IPv6 begins, and a stack over TCP on IPv4 is the second") {
        RaceWorld world = silent();
        world.begin(named, {.stacks = three});
        world.answer(30ms, endpoints({v6(1), v6(2)}, "AAAA"), Answered::aaaa, false);
        world.answer(32ms, endpoints({v4(1), v4(2)}, "A"), Answered::a, true);
        world.run();
        CHECK(world.order() ==
              "quic6 tls4 sctp-dtls6 quic4 tls6 sctp-dtls4 "
              "quic6 tls4 sctp-dtls6 quic4 tls6 sctp-dtls4");
        for (std::size_t i = 0; i < world.tries.size(); ++i)
            CHECK(world.of(i) == 30ms + 250ms * static_cast<int>(i));
    }

    TEST_CASE("one address: the policy's order, with TCP second") {
        RaceWorld world = silent();
        world.begin(Remote(v4(1)), {.stacks = three});
        world.run();
        CHECK(world.order() == "quic4 tls4 sctp-dtls4");
    }

    TEST_CASE("addresses without AAAA wait 50 ms, and not longer") {
        RaceWorld world = silent();
        SUBCASE("it comes in time") {
            world.answer(40ms, endpoints({v6(1)}, "AAAA"), Answered::aaaa, true);
        }
        SUBCASE("it says that there is none") { world.answer(40ms, {}, Answered::aaaa, true); }
        SUBCASE("it comes late, and goes on where it would have stood") {
            world.answer(180ms, endpoints({v6(1)}, "AAAA"), Answered::aaaa, true);
        }
        world.answer(30ms, endpoints({v4(1)}, "A"), Answered::a, false);
        world.begin(named, {.stacks = two});
        world.run();
        const auto& answers = world.race.establishment().answers;
        REQUIRE(answers.size() == 2);
        if (answers[1].at - world.began == 180ms) {
            CHECK(world.of(0) == 80ms);
            CHECK(world.order() == "quic4 tls6 quic6 tls4");
        } else {
            CHECK(world.of(0) == 40ms);
            CHECK(world.order() == (answers[1].endpoints ? "quic6 tls4 quic4 tls6" : "quic4 tls4"));
        }
    }

    TEST_CASE("SVCB is waited for as long, when it was asked, and its hints are answers") {
        RaceWorld world = silent();
        world.begin(named, {.stacks = two, .svcb = true});
        Duration first{};
        SUBCASE("slightly late") {
            world.answer(30ms, endpoints({v6(1)}, "AAAA"), Answered::aaaa, false);
            world.answer(40ms, {}, Answered::svcb, true);
            first = 40ms;
        }
        SUBCASE("never") {
            world.answer(30ms, endpoints({v6(1)}, "AAAA"), Answered::aaaa, false);
            first = 80ms;
        }
        SUBCASE("hints alone") {
            world.answer(30ms, endpoints({v6(1), v4(1)}, "ipv6hint"), Answered::svcb, false);
            first = 30ms;
        }
        world.run();
        CHECK(world.of(0) == first);
    }

    TEST_CASE("what the record offers decides the stacks, and its priority the order") {
        RaceWorld world = silent();
        world.begin(named, {.stacks = three, .svcb = true});
        std::vector<Endpoint> found = {
            {.address = v6(1), .priority = 2, .alpn = {{"post-quic/1"}}, .from = "svc2"},
            {.address = v6(2), .priority = 1, .alpn = {{"post-qmux/1", "h3"}}, .from = "svc1"},
            {.address = v6(3), .priority = 3, .alpn = {{"h3"}}, .from = "svc3"}};
        world.answer(10ms, found, Answered::svcb, true);
        world.run();
        REQUIRE(world.order() == "tls6 quic6");
        CHECK(world.tries[0].remote == v6(2));
        const auto& refused = world.race.establishment().refused;
        CHECK(refused.size() == 7);
        CHECK(world.race.establishment().string().find("other protocols") != std::string::npos);
    }

    TEST_CASE("the application's own protocol is offered on every stack") {
        RaceWorld world = silent();
        world.begin(named, {.stacks = two, .alpn = "echo"});
        world.answer(10ms, {{.address = v6(1), .alpn = {{"echo"}}}}, Answered::svcb, true);
        world.run();
        CHECK(world.order() == "quic6 tls6");
    }

    TEST_CASE("records that offer nothing of ours are an error that says so") {
        RaceWorld world;
        world.begin(named, {.stacks = two});
        world.answer(10ms, {{.address = v6(1), .alpn = {{"h3"}}}}, Answered::svcb, true);
        world.run();
        CHECK(world.race.exhausted());
        CHECK(world.race.report() == Errc::alpn_mismatch);
        CHECK(world.race.report().detail.string().find("offers other protocols") !=
              std::string::npos);
    }

    TEST_CASE("a failure begins the next at once, but never within 10 ms") {
        RaceWorld world;
        world.rtt = 3ms;
        world.way = [](Stack, const Address&) { return Way::refused; };
        world.begin(named, {.stacks = two});
        world.answer(5ms, endpoints({v6(1), v4(1)}, "both"), Answered::aaaa, true);
        world.run();
        CHECK(world.order() == "quic6 tls4 quic4 tls6");
        for (std::size_t i = 0; i < 4; ++i) CHECK(world.of(i) == 5ms + 10ms * static_cast<int>(i));
        CHECK(world.race.exhausted());
        const Error report = world.race.report();
        CHECK(report == Errc::refused_port);
        for (const char* part : {"a.example", "quic: connect to [2001:db8::1]:4433: nobody listens",
                                 "tls: connect to 192.0.2.1:4433"})
            CHECK_MESSAGE(report.detail.string().find(part) != std::string::npos, part,
                          report.detail.string());
    }

    TEST_CASE("when TCP is up and TLS is not the next attempt waits for it") {
        RaceWorld world;
        world.rtt = 200ms;
        world.begin(Remote(v6(1)), {.stacks = {Stack::tls, Stack::quic}});
        SUBCASE("and is not needed") {
            world.run();
            CHECK(world.order() == "tls6");
            CHECK(world.took() == 400ms);
        }
        SUBCASE("and comes after another two round trips") {
            world.way = [](Stack stack, const Address&) {
                return stack == Stack::tls ? Way::half : Way::good;
            };
            world.run();
            CHECK(world.order() == "tls6 quic6");
            CHECK(world.of(1) == 600ms);
        }
    }

    TEST_CASE("the delay comes of the round trip that is known, within its bounds") {
        for (const auto& [rtt, delay] : {std::pair<Duration, Duration>{20ms, 100ms},
                                         {100ms, 300ms},
                                         {1s, 2s},
                                         {Duration::max(), 2s}}) {
            RaceWorld world = silent();
            world.begin(Remote(v6(1)), {.stacks = two, .history_rtt = rtt});
            world.run();
            CHECK(world.of(1) == delay);
        }
        CHECK(core::attempt_delay({.attempt_delay = 1ms}) == 100ms);
        CHECK(core::attempt_delay({.attempt_delay = 1h}) == 2s);
    }

    TEST_CASE("what is not secure begins only when every secure one has failed") {
        RaceWorld world;
        const Race::Options options{.stacks = two, .insecure = {Stack::sctp_udp}};
        SUBCASE("refused") {
            world.way = [](Stack stack, const Address&) {
                return stack == Stack::sctp_udp ? Way::good : Way::refused;
            };
            world.begin(Remote(v6(1)), options);
            world.run();
            CHECK(world.order() == "quic6 tls6 sctp-udp6");
            CHECK(world.winner->stack == Stack::sctp_udp);
        }
        SUBCASE("one is still silent") {
            world.way = [](Stack stack, const Address&) {
                return stack == Stack::tls ? Way::refused : Way::silent;
            };
            world.begin(Remote(v6(1)), options);
            world.run();
            CHECK(world.order() == "quic6 tls6");
            CHECK(world.race.deadline() == never);
            CHECK_FALSE(world.race.exhausted());
        }
        SUBCASE("more addresses may come") {
            world.way = [](Stack, const Address&) { return Way::refused; };
            world.begin(named, options);
            world.answer(0ms, endpoints({v6(1)}, "AAAA"), Answered::aaaa, false);
            world.answer(1s, endpoints({v4(1)}, "A"), Answered::a, true);
            world.run();
            CHECK(world.order() == "quic6 tls6 tls4 quic4 sctp-udp6 sctp-udp4");
            CHECK(world.race.exhausted());
        }
        SUBCASE("listed among the secure ones it is refused") {
            world.begin(Remote(v6(1)), {.stacks = {Stack::sctp_udp}});
            world.run();
            CHECK(world.tries.empty());
            CHECK(world.race.exhausted());
            CHECK(world.race.report().detail.string().find("not secure") != std::string::npos);
        }
        SUBCASE("alone it need not wait") {
            world.begin(Remote(v6(1)), {.insecure = {Stack::sctp_udp}});
            world.run();
            CHECK(world.order() == "sctp-udp6");
        }
    }

    TEST_CASE("4 000 addresses make 16 attempts, shared by stacks and families") {
        RaceWorld world = silent();
        world.begin(named, {.stacks = two});
        std::vector<Endpoint> many;
        for (int i = 0; i < 3990; ++i)
            many.push_back({.address = v6(1 + i % 9000), .from = "AAAA"});
        for (int i = 0; i < 10; ++i) many.push_back({.address = v4(1 + i), .from = "A"});
        world.answer(1ms, many, Answered::aaaa, true);
        world.run();
        CHECK(world.tries.size() == 16);
        int sixes = 0;
        for (const auto& each : world.tries) sixes += each.remote.family == Address::Family::v6;
        CHECK(sixes == 8);
        CHECK(world.race.establishment().refused.size() <= Race::most_recorded);
    }

    TEST_CASE("addresses that no host has are never tried") {
        for (const char* text :
             {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.2.3", "255.255.255.255", "::", "ff02::1"}) {
            RaceWorld world;
            world.begin(named, {.stacks = two});
            world.answer(1ms, {{.address = *Address::parse(text, 1)}}, Answered::a, true);
            world.run();
            CHECK_MESSAGE(world.tries.empty(), text);
            CHECK(world.race.exhausted());
            CHECK(world.race.report().stage == Stage::resolve);
        }
    }

    TEST_CASE("a name without addresses ends with what the name servers said") {
        RaceWorld world;
        world.begin(named, {.stacks = two});
        world.answer(7ms, {}, Answered::aaaa, false,
                     Error(Errc::resolve_failed, {}, Stage::resolve));
        world.answer(9ms, {}, Answered::a, true, Error(Errc::resolve_failed, {}, Stage::resolve));
        world.run();
        CHECK(world.race.exhausted());
        CHECK(world.race.report() == Errc::resolve_failed);
        CHECK(world.race.establishment().ended - world.began == 9ms);
    }

    TEST_CASE("what won the last time begins, and what failed then comes last") {
        RaceWorld world = silent();
        Race::Options options{.stacks = two};
        options.winner = {Stack::tls, v4(1)};
        options.failed_on = {{Stack::quic, v6(1)}};
        world.begin(named, options);
        world.answer(0ms, endpoints({v6(1), v4(1)}, "both"), Answered::aaaa, true);
        world.run();
        CHECK(world.order() == "tls4 quic4 tls6 quic6");
    }

    TEST_CASE("news of attempts that are over, or never were, change nothing") {
        RaceWorld world = silent();
        world.begin(Remote(v6(1)), {.stacks = two});
        world.run();
        const Error error(Errc::unreachable, {}, Stage::connect);
        world.race.handle_failure(world.now, AttemptId{7}, error);
        world.race.handle_progress(world.now, AttemptId{255});
        world.race.handle_won(world.now, AttemptId{2});
        CHECK_FALSE(world.race.establishment().winner());
        world.race.handle_won(world.now, AttemptId{0});
        world.race.handle_failure(world.now, AttemptId{0}, error);
        world.race.handle_resolved(world.now, endpoints({v6(9)}, "late"), {}, RecordKind::a,
                                   {true, true, true}, true);
        REQUIRE(world.race.establishment().winner());
        CHECK(world.race.establishment().attempts[1].result == Establishment::Result::lost);
        CHECK_FALSE(world.race.next(world.now + 1h));
        CHECK_FALSE(world.race.exhausted());
    }

    TEST_CASE("the establishment says all of it in lines") {
        RaceWorld world;
        world.way = [](Stack stack, const Address&) {
            return stack == Stack::quic ? Way::silent : Way::good;
        };
        world.begin(named, {.stacks = two});
        world.answer(12ms, endpoints({v6(1)}, "AAAA"), Answered::aaaa, true);
        world.run();
        const std::string text = world.race.establishment().string();
        for (const char* part :
             {"post://a.example:4433: connected after 342.0 ms\n", "12.0 ms  AAAA: 1 address\n",
              "12.0 ms  quic to [2001:db8::1]:4433: lost after 330.0 ms, heard nothing",
              "262.0 ms  tls to [2001:db8::1]:4433: won after 80.0 ms, first heard after 40.0 ms"})
            CHECK_MESSAGE(text.find(part) != std::string::npos, part, "\n", text);
    }
}

}  // namespace post::test
