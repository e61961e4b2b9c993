// The race inside an association: which leaf becomes its connection, what becomes of the others,
// and what a listener's side holds back until it is chosen.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/association_support.hpp"

using namespace std::chrono_literals;
using post::Address;
using post::CarrierId;
using post::Errc;
using post::Error;
using post::Instant;
using post::Role;
using post::Stack;
using post::Stage;
using post::core::AttemptId;
using post::test::AssociationRig;
using State = post::core::Association::State;

namespace {

// A client with two leaves under way.
struct Racers {
    post::core::Shared shared;
    post::test::Script scripts[2];
    post::core::Association association{{post::AssociationId{1},
                                         Role::client,
                                         "post://192.0.2.1:4433",
                                         {},
                                         {},
                                         {.stacks = {Stack::quic, Stack::tls}},
                                         77},
                                        shared};
    CarrierId carrier = association.open({.tag = 1});
    Instant now{};

    Racers() {
        (void)association.send(now, carrier, "hello", {}, post::core::no_fate);
        for (post::test::Script& script : scripts) {
            if (association.establishment()) now = association.deadline();
            const auto want = association.poll_want(now);
            const auto attempt = std::get<post::core::Connect>(want.value()).attempt;
            association.attach(attempt, std::make_unique<post::test::ScriptedMapping>(script));
        }
    }
    void tell(std::size_t attempt, post::Event event) {
        scripts[attempt].events.push_back(std::move(event));
        association.handle_input(now, AttemptId{static_cast<std::uint8_t>(attempt)}, {});
    }
    void transmit() {
        std::byte space[1];
        for (const std::uint8_t attempt : {std::uint8_t{0}, std::uint8_t{1}})
            (void)association.poll_transmit(now, AttemptId{attempt}, space);
    }
    std::vector<post::core::Happened> happened() {
        std::vector<post::core::Happened> events;
        association.poll_events(events);
        return events;
    }
};

post::Settings of_race(std::uint64_t race) {
    post::Settings settings;
    settings.race = race;
    settings.largest_message = 1 << 20;
    return settings;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("bug: an alias that led on was reported as A, and SRV and TLSA as SVCB") {
        using post::Answer;
        using post::Question;
        using post::RecordKind;
        const auto answer_to = [](const post::core::Resolution::Lookup& lookup) {
            Answer answer{.name = lookup.name};
            switch (lookup.question) {
                case Question::addresses: answer.kind = RecordKind::aaaa; break;
                case Question::srv: answer.kind = RecordKind::srv; break;
                case Question::tlsa: answer.kind = RecordKind::tlsa; break;
                default: answer.kind = RecordKind::svcb;
            }
            if (lookup.name == "_4433._post.a.example")
                answer.services = {{.priority = 0, .target = "b.example"}};
            else
                answer.denied = true, answer.error = Error(Errc::resolve_failed);
            return answer;
        };
        const auto questions = [&](const post::Remote& remote, bool dane) {
            post::core::Shared shared;
            post::core::Association association{{.id = post::AssociationId{1},
                                                 .remote = remote,
                                                 .race = {.stacks = {Stack::quic}},
                                                 .dane = dane},
                                                shared};
            association.activate();
            std::vector<std::string> asked;
            for (int round = 0; round < 10; ++round) {
                const auto want = association.poll_want({});
                if (!want) break;
                const auto& lookup = std::get<post::core::Resolution::Lookup>(*want);
                association.handle_answer({}, lookup.id, answer_to(lookup), true);
            }
            for (const auto& answer : association.establishment()->answers)
                asked.push_back(answer.question);
            return asked;
        };
        CHECK(questions("post://a.example:4433", false) ==
              std::vector<std::string>{"SVCB", "AAAA", "SVCB", "AAAA"});
        CHECK(questions(post::Remote::service("a.example", "echo"), false) ==
              std::vector<std::string>{"SRV", "AAAA"});
        CHECK(questions("quic://a.example:4433", true) ==
              std::vector<std::string>{"AAAA", "TLSA", "TLSA"});
    }

    TEST_CASE("an association that is not traced has nothing to say, and one that is has all") {
        AssociationRig quiet;
        quiet.establish();
        quiet.send(quiet.open(), "hello");
        quiet.turn();
        CHECK(quiet.shared.trace.empty());
        post::core::TraceLog log;
        for (std::size_t i = 0; i < post::core::TraceLog::most + 5; ++i)
            log.add({}, post::core::traced::RaceBegan{});
        const auto [events, left_out] = log.poll();
        CHECK(events.size() == post::core::TraceLog::most);
        CHECK(left_out == 5);
        CHECK(log.empty());
    }

    TEST_CASE("race: the second attempt begins 250 ms after the first") {
        Racers racers;
        CHECK(racers.now == Instant(250ms));
    }

    TEST_CASE("race: the first leaf that is established has the messages, the other is told") {
        for (const std::size_t winner : {0u, 1u}) {
            CAPTURE(winner);
            Racers racers;
            racers.transmit();
            CHECK(racers.scripts[0].said.empty());
            CHECK(racers.scripts[1].said.empty());
            racers.tell(winner, post::event::Established{"post", true, {}});
            CHECK(racers.association.state() == State::established);
            post::test::Script& loser = racers.scripts[1 - winner];
            CHECK(loser.commands ==
                  std::vector<std::string>{"close " + Error(Errc::lost_the_race).code.message()});
            racers.transmit();
            CHECK(racers.scripts[winner].said ==
                  std::vector<std::string>{"settings", "chosen", "open 0", "0 hello"});
            CHECK(loser.said.empty());
            CHECK_FALSE(racers.association.has(AttemptId{static_cast<std::uint8_t>(1 - winner)}));
            CHECK(racers.association.has(AttemptId{static_cast<std::uint8_t>(winner)}));
            const auto* report = racers.association.establishment();
            REQUIRE(report);
            REQUIRE(report->winner());
            CHECK(report->winner() == &report->attempts[winner]);
        }
    }

    TEST_CASE("race: what the loser still says is heard by nobody") {
        Racers racers;
        racers.tell(1, post::event::Established{"post", true, {}});
        racers.tell(0, post::event::Established{"post", true, {}});
        racers.tell(0, post::event::Lost{Error(Errc::connection_lost)});
        CHECK(racers.association.state() == State::established);
    }

    TEST_CASE("race: a leaf that fails leaves the other one in it; the last one ends it") {
        Racers racers;
        racers.tell(0, post::event::Lost{Error(Errc::refused_port, {}, Stage::connect)});
        CHECK(racers.association.state() == State::connecting);
        racers.tell(1, post::event::Lost{Error(Errc::certificate_name, {}, Stage::verify)});
        CHECK(racers.association.state() == State::gone);
        const auto events = racers.happened();
        const auto& gone = std::get<post::core::happened::Gone>(events.back());
        CHECK(gone.error == Errc::certificate_name);
        const std::string report = gone.error.detail.string();
        CAPTURE(report);
        CHECK(report.find("quic") != std::string::npos);
        CHECK(report.find("tls") != std::string::npos);
    }

    TEST_CASE("race: an association that is closed meanwhile closes all of its leaves") {
        Racers racers;
        racers.association.shut(Error(Errc::context_closed));
        for (const auto& script : racers.scripts) CHECK(script.commands.size() == 1);
        racers.transmit();
        CHECK(racers.association.state() == State::gone);
        CHECK(racers.shared.outstanding == 0);
    }

    TEST_CASE("race: a single leaf needs no word of choice") {
        AssociationRig rig;
        const CarrierId carrier = rig.open();
        rig.send(carrier, "hello");
        while (rig.association.poll_want(rig.now)) {}
        rig.association.attach(AttemptId{0},
                               std::make_unique<post::test::ScriptedMapping>(rig.script));
        rig.tell(post::event::Established{"post", true, {}});
        CHECK(rig.said() == std::vector<std::string>{"settings", "open 0", "0 hello"});
    }

    TEST_CASE("race: a listener offers the Carriers of a leaf when it is chosen, and not before") {
        AssociationRig rig(Role::server);
        rig.establish(true, false);
        rig.tell(of_race(77));
        rig.peer_opens(0);
        rig.peer_sends(0, 0, "hello");
        rig.turn();
        CHECK(rig.happened().empty());
        rig.tell(post::Chosen{77});
        rig.turn();
        CHECK(rig.happened() == std::vector<std::string>{"opened 0 of 0"});
        SUBCASE("a second time is a violation") { rig.tell(post::Chosen{77}); }
        SUBCASE("and so is another race") { rig.tell(post::Chosen{78}); }
        rig.turn();
        CHECK(rig.association.state() != State::established);
    }

    TEST_CASE("race: a leaf that nobody chooses is closed after 10 s") {
        AssociationRig rig(Role::server);
        rig.establish(true, false);
        rig.tell(of_race(77));
        rig.turn();
        const Instant since = rig.now;
        CHECK(rig.association.deadline() == since + 10s);
        rig.now = since + 10s;
        rig.turn();
        CHECK(rig.association.state() != State::established);
        CHECK(rig.script.commands.back() == "close " + Error(Errc::never_chosen).code.message());
    }

    TEST_CASE("race: a client that says nothing at all is closed after 30 s") {
        AssociationRig rig(Role::server);
        const Instant since = rig.now;
        rig.establish(true, false);
        rig.turn();
        CHECK(rig.association.deadline() == since + 30s);
        rig.now = since + 30s;
        rig.turn();
        CHECK(rig.association.state() != State::established);
        CHECK(rig.script.commands.back() == "close " + Error(Errc::never_chosen).code.message());
    }

    TEST_CASE("race: what is held until a leaf is chosen has a limit, also when it is empty") {
        AssociationRig rig(Role::server);
        rig.establish(true, false);
        rig.tell(of_race(77));
        rig.peer_opens(0);
        for (std::uint64_t i = 0; i < 65530; ++i) rig.peer_sends(0, i, "");
        rig.turn();
        CHECK(rig.association.state() == State::established);
        for (std::uint64_t i = 65530; i < 65540; ++i) rig.peer_sends(0, i, "");
        rig.turn();
        CHECK(rig.association.state() != State::established);
        CHECK(rig.script.commands.back() == "close " + Error(Errc::excessive_load).code.message());
    }

    TEST_CASE("race: CHOSEN from a server is a violation") {
        AssociationRig rig;
        rig.establish();
        rig.tell(post::Chosen{1});
        rig.turn();
        CHECK(rig.association.state() != State::established);
    }
}
