// Association: connecting to one candidate after the other, and what time does to it. Its deadline
// always has a reason: nothing turns in circles.
#include <ostream>

#include <doctest/doctest.h>

#include "tests/unit/association_support.hpp"

using namespace std::chrono_literals;
using namespace post::test;
using post::Address;
using post::CarrierId;
using post::Errc;
using post::Error;
using post::Instant;
using post::RecordKind;
using post::Role;
using post::Stage;
using post::core::Association;
using post::core::QueryId;
using post::core::Resolution;
using State = Association::State;

namespace {

// Answers the lookup of services, and gives that of addresses.
QueryId looks_up(Association& association, const std::string& name) {
    QueryId addresses{};
    while (const auto want = association.poll_want({})) {
        const auto& lookup = std::get<Resolution::Lookup>(*want);
        if (lookup.question == post::Question::addresses) {
            CHECK(lookup.name == name);
            addresses = lookup.id;
            continue;
        }
        post::Answer none{.kind = RecordKind::svcb, .denied = true};
        none.error = Error(Errc::resolve_failed, {}, Stage::resolve);
        association.handle_answer({}, lookup.id, none, true);
    }
    return addresses;
}

post::event::Lost lost(Errc errc, Stage stage) { return {Error(errc, {}, stage)}; }

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("candidates are tried in turn, and the report names each of them") {
        post::core::Shared shared;
        Association association({post::AssociationId{1},
                                 Role::client,
                                 "post://example.net",
                                 {},
                                 {},
                                 {.stacks = {post::Stack::quic}}},
                                shared);
        association.open({.tag = 1});
        association.activate();
        const auto query = looks_up(association, "example.net");
        const auto answer = [&](Instant now, RecordKind kind, std::vector<const char*> addresses) {
            post::Answer found{.kind = kind};
            for (const char* text : addresses)
                found.addresses.push_back(*Address::parse(text, 4433));
            association.handle_answer(now, query, found, kind == RecordKind::a);
        };
        answer({}, RecordKind::aaaa, {"2001:db8::1"});
        Script scripts[3];
        const char* const names[] = {"[2001:db8::1]:4433", "192.0.2.2:4433", "192.0.2.3:4433"};
        Instant now{};
        std::vector<post::core::Happened> events;
        for (int i = 0; i < 3; ++i) {
            now = std::max(now, association.deadline());
            const auto want = association.poll_want(now);
            REQUIRE(want);
            CHECK(std::get<post::core::Connect>(*want).remote.string() == names[i]);
            CHECK_FALSE(association.poll_want(now));
            if (i == 0) answer(now, RecordKind::a, {"192.0.2.2", "192.0.2.3"});
            const auto attempt = std::get<post::core::Connect>(*want).attempt;
            association.attach(attempt, std::make_unique<ScriptedMapping>(scripts[i]));
            scripts[i].over = true;
            scripts[i].events.push_back(i == 1 ? lost(Errc::certificate_name, Stage::verify)
                                               : lost(Errc::handshake_timeout, Stage::handshake));
            association.handle_input(now, attempt, {});
        }
        CHECK_FALSE(association.poll_want(now));
        CHECK(association.state() == State::gone);
        association.poll_events(events);
        const auto& gone = std::get<post::core::happened::Gone>(events.back());
        CHECK(gone.error == Errc::certificate_name);  // what came furthest
        const std::string report = gone.error.detail.string();
        CAPTURE(report);
        for (const char* part : {"example.net", names[0], names[1], names[2]})
            CHECK(report.find(part) != std::string::npos);
    }

    TEST_CASE("a name without an address ends the attempt, and so does a candidate without a way") {
        post::core::Shared shared;
        Association association({post::AssociationId{1},
                                 Role::client,
                                 "post://example.net",
                                 {},
                                 {},
                                 {.stacks = {post::Stack::quic}}},
                                shared);
        const CarrierId carrier = association.open({.tag = 1});
        (void)association.send({}, carrier, "x", {}, 7);
        const auto query = looks_up(association, "example.net");
        post::Answer answer{.kind = RecordKind::a};
        SUBCASE("no address") {
            answer.error = Error(Errc::resolve_failed, {}, Stage::resolve);
            association.handle_answer({}, query, answer, true);
        }
        SUBCASE("no way") {
            answer.addresses = {*Address::parse("192.0.2.1", 1)};
            association.handle_answer({}, query, answer, true);
            CHECK(association.poll_want({}));
            association.handle_failure({}, post::core::AttemptId{0},
                                       Error(Errc::no_route, {}, Stage::connect));
        }
        CHECK(association.state() == State::gone);
        std::vector<post::core::Happened> events;
        association.poll_events(events);
        REQUIRE(events.size() == 4);  // the message's fate, readable, over, gone
        CHECK(shared.outstanding == 0);
    }

    TEST_CASE("an association without Carriers closes after 5 s, a server's never by itself") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.said();
        rig.association.abort(carrier, Error(Errc::cancelled));
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        const auto since = rig.now;
        CHECK(rig.association.deadline() == since + 5s);
        rig.run_until(since + 5s - 1ns);
        CHECK(rig.association.state() == State::established);
        rig.run_until(since + 5s);
        CHECK(rig.association.state() == State::gone);

        AssociationRig server(Role::server);
        server.establish();
        CHECK(server.run_until(server.now + 1h) == 0);
        CHECK(server.association.state() == State::established);
    }

    TEST_CASE("a Carrier that comes in time keeps the association") {
        AssociationRig rig;
        rig.establish();
        rig.run_until(rig.now + 4s);
        const CarrierId carrier = rig.open();
        rig.run_until(rig.now + 1h);
        CHECK(rig.association.state() == State::established);
        rig.association.close(rig.now, carrier);
        rig.run_until(rig.now + 5s);
        CHECK(rig.association.state() == State::gone);
    }

    TEST_CASE("a peer that acknowledges packets and no messages is closed after 30 s") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.run_until(rig.now + 100s);  // silence before does not count
        rig.send(carrier, "x");
        rig.turn();
        const auto sent = rig.now;
        rig.run_until(sent + 30s - 1ns);
        CHECK(rig.association.state() == State::established);
        rig.script.quiet = false;  // some packet is not acknowledged: its time begins again
        rig.run_until(sent + 30s);
        CHECK(rig.association.state() == State::established);
        rig.script.quiet = true;
        CHECK(rig.run_until(sent + 60s) < 5);
        CHECK(rig.association.state() == State::gone);
        rig.happened();
        CHECK(rig.errors.back() == Errc::delivered_missing);
    }

    // It closed, and aborted before it had said DELIVERED: of the abort nothing is seen.
    TEST_CASE("what is not delivered 30 s after its stream was over fails by itself") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        const CarrierId other = rig.open();
        rig.send(carrier, "x");
        rig.association.finish(carrier);
        rig.turn();
        rig.tell(post::event::Reset{carrier, Error(Errc::carrier_closed)});
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        rig.happened();
        const auto ended = rig.now;
        rig.run_until(ended + 20s);
        rig.send(other, "y");
        rig.turn();
        rig.peer_has(other, 1);  // the peer is there, and talks
        rig.turn();
        CHECK(rig.happened() == Words{"sent 2#0", "acked 2#0"});
        rig.run_until(ended + 30s - 1ns);
        CHECK(rig.happened() == Words{});
        rig.run_until(ended + 30s);
        CHECK(rig.happened() == Words{"failed 1#0", "over 1"});
        rig.run_until(ended + 100s);
        CHECK(rig.association.state() == State::established);
    }

    TEST_CASE("a peer whose application does not read is not at fault") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.turn();
        rig.peer_has(carrier, 1);
        rig.turn();
        rig.script.pulls = false;  // no window: the next message waits
        rig.send(carrier, "y");
        CHECK(rig.run_until(rig.now + 1h) < 5);
        CHECK(rig.association.state() == State::established);
        rig.script.pulls = true;
        rig.run_until(rig.now + 29s);
        CHECK(rig.association.state() == State::established);
        rig.run_until(rig.now + 1s);
        CHECK(rig.association.state() == State::gone);  // now it has it, and does not say so
    }

    TEST_CASE("a message expires at its time, also while nothing is connected") {
        AssociationRig rig;
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x", {.lifetime = 250ms});
        CHECK(rig.association.deadline() == rig.now + 250ms);
        rig.run_until(rig.now + 250ms);
        CHECK(rig.happened() == Words{"expired 1#0"});
        CHECK(rig.association.deadline() > rig.now);
    }

    TEST_CASE("a report that cannot go out does not turn in circles") {
        AssociationRig rig;
        rig.establish();
        rig.peer_opens(1);
        rig.turn();
        rig.association.adopt(CarrierId{1}, 50);
        rig.script.pulls = false;  // congestion control lets nothing out
        rig.peer_sends(1, 0, "x");
        rig.turn();
        CHECK(rig.association.deadline() == rig.now + 25ms);
        CHECK(rig.run_until(rig.now + 10s) < 5);
        rig.script.pulls = true;
        CHECK(rig.said() == Words{"delivered 1 below 1"});
    }

    TEST_CASE("a message that is begun and not finished stalls its Carrier") {
        AssociationRig rig(Role::client, {.stalled_after = 8s});
        rig.establish();
        rig.peer_opens(1);
        post::Piece piece;
        piece.carrier = CarrierId{1};
        piece.bytes = post::Bytes("part");
        piece.total = 100;
        rig.tell(post::event::Arrived{piece});
        rig.turn();
        rig.association.adopt(CarrierId{1}, 50);
        const auto begun = rig.now;
        CHECK(rig.run_until(begun + 8s - 1ns) < 10);
        CHECK(rig.commands().empty());
        CHECK(rig.run_until(begun + 10s) < 10);  // looked at every quarter of the time
        CHECK(rig.commands() == Words{"reset 1", "stop 1"});
        CHECK(rig.association.state() == State::established);
    }

    TEST_CASE("shutting an idle association needs no time, one with Carriers is left alone") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.association.shut_if_idle();
        CHECK(rig.association.state() == State::established);
        rig.association.close(rig.now, carrier);
        rig.association.shut_if_idle();
        CHECK(rig.association.state() == State::closing);
        rig.turn();
        CHECK(rig.association.state() == State::gone);
    }
}
