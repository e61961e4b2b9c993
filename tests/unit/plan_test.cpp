// Plan: what is printed is what is done, and every refusal has a reason.
#include "lib/association/plan.hpp"

#include "tests/seed.hpp"
#include "tests/sim/random.hpp"
#include "tests/unit/race_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

const Remote named("post://a.example");

Plan planned(const Policy& policy, const std::vector<Endpoint>& endpoints,
             const Error& resolved = {}) {
    const auto selection = core::select(policy);
    return core::plan(named, selection, endpoints, core::race_options(selection), resolved);
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("plan and race cannot differ: 1 000 seeds") {
        for (std::uint64_t seed = test::seed() * 1000; seed < test::seed() * 1000 + 1000; ++seed) {
            CAPTURE(seed);
            sim::Random random(seed);
            std::vector<Stack> stacks = {Stack::quic, Stack::sctp_dtls, Stack::tls,
                                         Stack::sctp_udp};
            for (std::size_t i = stacks.size(); i > 1; --i)
                std::swap(stacks[i - 1], stacks[random.next() % i]);
            stacks.resize(1 + random.next() % stacks.size());
            const Policy policy{.security = random.next() % 2 ? Security::none : Security::required,
                                .stacks = stacks};
            std::vector<Endpoint> endpoints;
            for (std::uint64_t i = random.next() % 12; i > 0; --i) {
                const int host = static_cast<int>(random.next() % 20);
                Endpoint made{.address = random.next() % 2 ? v6(host + 1) : v4(host)};
                made.priority = static_cast<std::uint32_t>(random.next() % 3);
                if (random.next() % 4 == 0) made.alpn = {{"post-quic/1", "post-qmux/1"}};
                made.from = std::to_string(i);
                endpoints.push_back(made);
            }
            const auto selection = core::select(policy);
            auto options = core::race_options(selection);
            if (random.next() % 2)
                options.history_rtt = Duration(
                    static_cast<Duration::rep>(random.next() % 1000000000));
            if (random.next() % 3 == 0) options.winner = {stacks[0], v4(3)};
            if (random.next() % 3 == 0) options.failed_on = {{stacks[0], v6(1)}};
            const Plan plan = core::plan(named, selection, endpoints, options);

            RaceWorld world;
            world.way = [](Stack, const Address&) { return RaceWorld::Way::silent; };
            world.begin(named, options);
            world.answer(0ms, endpoints, Answered::aaaa, true);
            world.run();
            // Insecure ones begin when the others have failed, and here all are silent.
            std::vector<Plan::Candidate> due;
            for (const auto& each : plan.candidates)
                if (each.delay) due.push_back(each);
            REQUIRE(world.tries.size() == due.size());
            for (std::size_t i = 0; i < due.size(); ++i) {
                REQUIRE(world.tries[i].stack == due[i].stack);
                REQUIRE(world.tries[i].remote == due[i].remote);
                REQUIRE(world.of(i) == *due[i].delay);
                REQUIRE(world.race.establishment().attempts[i].reason == due[i].reason);
            }
            // Told of their failures, it goes on with the rest of the plan.
            for (std::size_t i = 0; i < plan.candidates.size(); ++i) {
                if (i >= world.tries.size()) world.run();
                REQUIRE(world.tries.at(i).stack == plan.candidates[i].stack);
                REQUIRE(world.tries.at(i).remote == plan.candidates[i].remote);
                if (i + 1 < due.size()) continue;
                for (std::size_t k = 0; k <= i; ++k)
                    world.race.handle_failure(world.now, world.tries[k].id,
                                              Error(Errc::unreachable, {}, Stage::connect));
            }
            for (const auto& each : plan.candidates)
                REQUIRE((each.secure || policy.security == Security::none));
        }
    }

    TEST_CASE("it reads as what will happen, with each reason") {
        Policy policy;
        policy.preferences.stacks = {{Stack::sctp_dtls, Preference::prohibit}};
        const std::string text = planned(policy, {{.address = v6(1), .from = "AAAA"},
                                                  {.address = v4(1), .from = "A"},
                                                  {.address = *Address::parse("224.0.0.1", 1)}})
                                     .string();
        for (const char* part :
             {"post://a.example:4433\n",
              "\n        0 ms  quic to [2001:db8::1]:4433 (AAAA): quic is number 1",
              "\n      250 ms  tls to 192.0.2.1:4433 (A): TCP gets through where",
              "\n      750 ms  tls to [2001:db8::1]:4433",
              "\n         not  224.0.0.1:1: a multicast address",
              "\n         not  sctp-dtls: the stack is prohibited"})
            CHECK_MESSAGE(contains(text, part), part, "\n", text);
    }

    TEST_CASE("what cannot be met leaves no candidate, and the error says what it is") {
        Policy policy;
        policy.preferences.features = {{Feature::datagram_options, Preference::require}};
        const Plan plan = planned(policy, {{.address = v6(1)}});
        CHECK(plan.candidates.empty());
        CHECK(plan.error == Errc::unsupported);
        CHECK(contains(plan.string(), "'datagramOptions' is required"));
    }

    TEST_CASE("without addresses it says what resolution said") {
        const Plan plan = planned({}, {}, Error(Errc::resolve_failed, {}, Stage::resolve));
        CHECK(plan.error == Errc::resolve_failed);
        CHECK(planned({}, {}).error == Errc::no_route);
    }

    TEST_CASE("what is not secure stands at the end, and has no time of its own") {
        const Plan plan = planned(
            {.security = Security::none, .stacks = {Stack::sctp_udp, Stack::quic}},
            {{.address = v6(1)}});
        REQUIRE(plan.candidates.size() == 2);
        CHECK(plan.candidates[1].stack == Stack::sctp_udp);
        CHECK_FALSE(plan.candidates[1].delay);
        CHECK(contains(plan.string(), "at last  sctp-udp"));
    }
}

}  // namespace post::test
