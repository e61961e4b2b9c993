// Associations: who shares one, who has a place in this turn, and when the next timer is due.
#include "lib/association/associations.hpp"

#include <ostream>

#include <doctest/doctest.h>

#include "tests/unit/association_support.hpp"

using namespace std::chrono_literals;
using post::AssociationId;
using post::CarrierId;
using post::Errc;
using post::Error;
using post::Instant;
using post::Role;
using post::core::Association;
using post::core::Associations;
using post::test::Script;
using post::test::ScriptedMapping;

namespace {

Association& make(Associations& all, const char* key, Associations::Origin origin = 0) {
    return all.create(
        {{}, Role::client, "post://192.0.2.1:4433", {}, {}, {.stacks = {post::Stack::quic}}}, key,
        origin);
}

std::vector<AssociationId> turn(Associations& all) {
    std::vector<AssociationId> active;
    all.take_active(active);
    return active;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("Carriers with the same key share an association while it lives") {
        Associations all;
        CHECK(all.share("a") == nullptr);
        Association& one = make(all, "a", 7);
        const AssociationId id = one.id();
        CHECK(all.share("a") == &one);
        CHECK(all.share("b") == nullptr);
        CHECK(all.origin(id) == 7);
        one.shut(Error(Errc::cancelled));
        CHECK(all.share("a") == nullptr);  // it is ending: a new Carrier gets a new one
        Association& two = make(all, "a");
        CHECK(all.share("a") == &two);
        CHECK(all.put_back(id));
        CHECK(all.find(id) == nullptr);
        CHECK(all.share("a") == &two);  // the end of the older one takes nothing from it
        CHECK(all.size() == 1);
        CHECK(all.origin(id) == 0);
    }

    TEST_CASE("an id of what is gone finds nothing, though its place is taken again") {
        Associations all;
        const AssociationId first = make(all, "").id();
        all.peek(first)->shut(Error(Errc::cancelled));
        CHECK(all.put_back(first));
        const AssociationId second = make(all, "").id();
        CHECK(second != first);
        CHECK(all.use(first) == nullptr);
        CHECK(all.peek(first) == nullptr);
        CHECK(all.find(second) != nullptr);
        CHECK(all.find(AssociationId{999}) == nullptr);
        CHECK(all.put_back(first));
        CHECK(all.all() == std::vector<AssociationId>{second});
    }

    TEST_CASE("only what is used has a place in the turn, and once") {
        Associations all;
        std::vector<AssociationId> made;
        for (int i = 0; i < 1000; ++i) made.push_back(make(all, "").id());
        CHECK(turn(all) == made);  // each is fresh
        for (const AssociationId id : made) CHECK_FALSE(all.put_back(id));
        CHECK_FALSE(all.any_active());
        all.use(made[5]);
        all.use(made[3]);
        all.use(made[5]);
        all.peek(made[9]);
        all.find(made[10]);
        CHECK(turn(all) == std::vector<AssociationId>{made[5], made[3]});
        CHECK(turn(all).empty());
        CHECK(all.deadline() == post::never);  // idle ones have no timers
    }

    TEST_CASE("the earliest deadline wakes its association and no other") {
        Associations all;
        std::vector<AssociationId> made;
        const Instant start{1s};
        for (int i = 0; i < 3; ++i) {
            Association& one = make(all, "");
            made.push_back(one.id());
            const CarrierId carrier = one.open({.tag = 1});
            (void)one.send(start, carrier, "x", {.lifetime = (3 - i) * 1s}, 0);
        }
        for (const AssociationId id : turn(all)) all.put_back(id);
        CHECK(all.deadline() == start + 1s);
        all.wake(start + 1s - 1ns);
        CHECK_FALSE(all.any_active());
        all.wake(start + 1s);
        CHECK(turn(all) == std::vector<AssociationId>{made[2]});
        all.put_back(made[2]);
        CHECK(all.deadline() == start + 2s);
        all.wake(start + 10s);
        CHECK(turn(all) == std::vector<AssociationId>{made[1], made[0]});
        for (const AssociationId id : made) all.put_back(id);
        CHECK(all.deadline() == post::never);
    }

    TEST_CASE("a timer that moves is found again, and goes with its association") {
        Associations all;
        Association& one = make(all, "");
        const AssociationId id = one.id();
        Script script;
        one.attach(std::make_unique<ScriptedMapping>(script));
        for (int i = 10; i > 0; --i) {
            script.deadline = Instant(i * 1s);
            all.put_back(id);
            CHECK(all.deadline() == Instant(i * 1s));
        }
        script.deadline = post::never;
        all.put_back(id);
        CHECK(all.deadline() == post::never);
        script.deadline = Instant(5s);
        all.put_back(id);
        script.over = true;
        one.shut(Error(Errc::cancelled));
        turn(all);
        CHECK(all.put_back(id));
        CHECK(all.deadline() == post::never);
        all.wake(Instant(10s));
        CHECK_FALSE(all.any_active());
    }

    TEST_CASE("an association that is gone stays until its Carriers are") {
        Associations all;
        Association& one = make(all, "a");
        const AssociationId id = one.id();
        Script script;
        one.attach(std::make_unique<ScriptedMapping>(script));
        script.events.emplace_back(post::event::Established{"raw", false, {}});
        script.events.emplace_back(post::event::Opened{{CarrierId{1}, {}, {}}});
        post::Piece piece;
        piece.carrier = CarrierId{1};
        piece.bytes = post::Bytes("untaken");
        piece.total = 7;
        script.events.emplace_back(post::event::Arrived{piece});
        one.handle_input({}, {}, {});
        one.adopt(CarrierId{1}, 5);
        script.over = true;
        script.events.emplace_back(post::event::Lost{Error(Errc::connection_lost)});
        one.handle_input({}, {}, {});
        CHECK(one.state() == Association::State::gone);
        CHECK_FALSE(all.put_back(id));
        CHECK(all.shared().charge.charged == 7);
        CHECK(all.peek(id)->take(CarrierId{1})->content() == "untaken");
        CHECK(all.put_back(id));
        CHECK(all.shared().charge.charged == 0);
        CHECK(all.size() == 0);
    }
}
