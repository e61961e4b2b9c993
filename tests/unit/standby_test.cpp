// A listener's side of hot standby: what a connection may be before it is attached, and how long
// (FORMAT.md, 7.3).
#include <doctest/doctest.h>

#include "lib/association/standbys.hpp"
#include "tests/unit/association_support.hpp"

namespace post::test {

namespace {

constexpr AssociationName known_name = {1, 2, 3};
constexpr std::uint64_t race = 77;
constexpr AssociationId owner{7};

// A fresh client's connection, that says of which race it is.
struct Fresh : AssociationRig {
    explicit Fresh(bool says = true)
        : AssociationRig(Role::server, {.continuity = std::chrono::seconds(30)}) {
        script.secret = 9;
        establish(true, false);
        Settings settings;
        settings.association = known_name;
        settings.features = feature::attach;
        settings.race = race;
        tell(settings);
        if (says) say(true);
        turn();
        happened();
    }
    void say(bool standby) {
        Attach attach{known_name, 1, {}};
        attach.standby = standby;
        tell(attach);
    }
    bool closed() { return !commands().empty(); }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("standby: of each association there is one, the last that was believed") {
        core::Standbys standbys;
        standbys.take(owner, AssociationId{1});
        CHECK(standbys.stands(owner, AssociationId{1}));
        standbys.take(owner, AssociationId{2});
        CHECK_FALSE(standbys.stands(owner, AssociationId{1}));
        standbys.forget(owner, AssociationId{1});  // it ends, and is none any more
        CHECK(standbys.stands(owner, AssociationId{2}));
        standbys.forget(owner);
        CHECK_FALSE(standbys.stands(owner, AssociationId{2}));
    }

    TEST_CASE("standby: it says whose it is, and waits until it is attached") {
        Fresh fresh;
        const auto wish = fresh.association.poll_attach();
        REQUIRE(wish);
        CHECK(wish->standby);
        fresh.association.stand_by(owner);
        fresh.run_until(fresh.now + std::chrono::minutes(5));
        CHECK_FALSE(fresh.closed());
        CHECK(fresh.happened().empty());
        fresh.say(false);
        fresh.tell(Chosen{race});
        fresh.turn();
        const auto second = fresh.association.poll_attach();
        REQUIRE(second);
        CHECK_FALSE(second->standby);
        const auto husk = fresh.association.give_up_connection();
        REQUIRE(husk);
        REQUIRE(husk->events.size() == 1);
        CHECK(std::holds_alternative<Chosen>(husk->events.front()));
        CHECK_FALSE(fresh.shared.standbys.stands(owner, fresh.association.id()));
    }

    TEST_CASE("standby: one that is not believed, or not wanted any more, does not stand") {
        Fresh stranger;
        stranger.run_until(stranger.now + std::chrono::seconds(10));
        CHECK(stranger.closed());
        Fresh late;
        late.association.stand_by(owner);
        late.run_until(late.now + std::chrono::seconds(25));
        CHECK_FALSE(late.closed());
        late.shared.standbys.take(owner, AssociationId{99});
        late.run_until(late.now + std::chrono::seconds(10));
        CHECK(late.closed());
        CHECK(late.shared.standbys.stands(owner, AssociationId{99}));
    }

    TEST_CASE("standby: what is out of place closes the connection") {
        Fresh twice;
        twice.say(true);
        twice.turn();
        CHECK(twice.closed());
        Fresh chosen;
        chosen.tell(Chosen{race});
        chosen.turn();
        CHECK(chosen.closed());
        Fresh speaks;
        speaks.tell(Refuse{CarrierId{0}, Errc::carrier_refused});
        speaks.turn();
        CHECK(speaks.closed());
        Fresh ends;
        ends.peer_opens(0);
        ends.tell(event::Finished{CarrierId{0}});
        ends.turn();
        CHECK(ends.closed());
    }

    TEST_CASE("standby: copies are the owner's, and their Carriers open when it is attached") {
        Fresh fresh;
        fresh.association.stand_by(owner);
        fresh.peer_opens(0);
        fresh.peer_sends(0, 4, "now");
        fresh.peer_opens(2);
        fresh.tell(event::Reset{CarrierId{2}, Error(Errc::carrier_closed)});
        fresh.tell(event::Ended{CarrierId{2}});
        fresh.turn();
        CHECK(fresh.happened().empty());
        CHECK(fresh.association.carriers() == 0);
        std::vector<Piece> copies;
        CHECK(fresh.association.poll_copies(copies) == owner);
        REQUIRE(copies.size() == 1);
        CHECK(copies.front().sequence == Sequence{4});
        CHECK_FALSE(fresh.association.poll_copies(copies));
        const auto husk = fresh.association.give_up_connection();
        REQUIRE(husk);
        REQUIRE(husk->events.size() == 1);
        const auto* opened = std::get_if<event::Opened>(&husk->events.front());
        REQUIRE(opened);
        CHECK(opened->open.carrier == CarrierId{0});
    }

    TEST_CASE("standby: a copy is taken once, in its order, and with the message it is none") {
        AssociationRig living(Role::server, {.continuity = std::chrono::seconds(30)});
        living.script.secret = 5;
        living.establish(true, false);
        Settings settings;
        settings.association = known_name;
        settings.features = feature::attach;
        living.tell(settings);
        living.peer_opens(0);
        living.peer_sends(0, 0, "one");
        living.turn();
        living.association.adopt(CarrierId{0}, 1);
        const auto copy = [&](std::uint64_t carrier, std::uint64_t sequence, const char* text) {
            Piece piece{.carrier = CarrierId{carrier}, .sequence = Sequence{sequence}};
            piece.bytes = Bytes(text);
            piece.total = piece.bytes.size();
            std::vector<Piece> copies;
            copies.push_back(std::move(piece));
            return living.association.take_copies(living.now, std::move(copies));
        };
        const auto next = [&] {
            auto message = living.association.take(CarrierId{0});
            return message ? std::move(*message).content().string() : "nothing";
        };
        CHECK(next() == "one");
        // The one before it is on its way.
        auto known = copy(0, 2, "three");
        REQUIRE(known.size() == 1);
        CHECK(known.front().watermark == Sequence{1});
        CHECK(next() == "nothing");
        known = copy(0, 1, "two");
        REQUIRE(known.size() == 1);
        CHECK(known.front().watermark == Sequence{2});
        CHECK(next() == "two");
        copy(0, 1, "two");
        living.peer_sends(0, 1, "two");
        living.peer_sends(0, 2, "three");
        living.turn();
        CHECK(next() == "three");
        CHECK(next() == "nothing");
        copy(0, 2, "three");
        CHECK(next() == "nothing");
        CHECK(copy(4, 0, "of a Carrier that is not here").empty());
        CHECK(living.commands().empty());
    }
}

}  // namespace post::test
