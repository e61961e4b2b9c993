// Which connection is put under an association that lives, and which is not (FORMAT.md, 7.2).
#include <doctest/doctest.h>

#include "tests/unit/association_support.hpp"

namespace post::test {

namespace {

constexpr AssociationName name = {1, 2, 3};
constexpr std::uint64_t race = 77;

Settings settings_of(std::optional<std::uint64_t> of_race = {}) {
    Settings settings;
    settings.association = name;
    settings.largest_message = 1 << 24;
    settings.features = feature::attach;
    settings.race = of_race;
    return settings;
}

// A server's association; its handshake had this secret.
struct Server : AssociationRig {
    explicit Server(std::uint8_t secret, std::optional<std::uint64_t> of_race = {})
        : AssociationRig(Role::server, {.continuity = std::chrono::seconds(30)}) {
        script.secret = secret;
        establish(true, false);
        tell(settings_of(of_race));
        turn();
    }
};

// As ScriptedMapping makes it.
Attach attach_of(std::uint8_t first, std::uint8_t fresh, std::uint64_t epoch,
                 Role role = Role::client) {
    Attach attach{name, epoch, {first, name[0], fresh}};
    attach.proof[3] = static_cast<std::uint8_t>(role);
    attach.proof[4] = static_cast<std::uint8_t>(epoch);
    return attach;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("continuity: a connection is believed by the proof for it, and by nothing else") {
        Server living(5);
        CHECK(living.association.poll_name() == name);
        CHECK_FALSE(living.association.poll_name());
        Server fresh(9, race);
        const auto believed = [&](const Attach& attach) {
            return core::Association::proves(&living.association, fresh.association, attach);
        };
        CHECK(believed(attach_of(5, 9, 1)));
        CHECK_FALSE(believed(attach_of(6, 9, 1)));  // the key of another handshake
        CHECK_FALSE(believed(attach_of(5, 8, 1)));  // replayed from another connection
        CHECK_FALSE(believed(attach_of(5, 9, 1, Role::server)));  // our own word, sent back
        CHECK_FALSE(believed(attach_of(5, 9, 0)));                // not a higher epoch
        Attach other = attach_of(5, 9, 1);
        other.epoch = 2;
        CHECK_FALSE(believed(other));  // of another epoch than it proves
        other = attach_of(5, 9, 1);
        other.proof[31] = 1;
        CHECK_FALSE(believed(other));
        // Nobody has the name, and the key of nobody is no key.
        CHECK_FALSE(core::Association::proves(nullptr, fresh.association, attach_of(0, 9, 1)));
        Server insecure(0, race);
        CHECK_FALSE(core::Association::proves(&living.association, insecure.association,
                                              attach_of(5, 0, 1)));
    }

    TEST_CASE("continuity: nothing on the connection is anybody's before it is known whose") {
        Server living(5);
        living.peer_opens(0);
        living.peer_sends(0, 0, "one");
        living.turn();
        living.association.adopt(CarrierId{0}, 1);
        living.happened();
        CHECK(living.association.take(CarrierId{0})->content().string() == "one");

        Server fresh(9, race);
        fresh.happened();
        const Attach attach = attach_of(5, 9, 1);
        fresh.tell(attach);
        fresh.peer_opens(0);
        fresh.peer_sends(0, 0, "one");  // a copy
        fresh.peer_sends(0, 1, "two");
        fresh.tell(Chosen{race});
        fresh.turn();
        CHECK(fresh.happened().empty());
        CHECK(fresh.association.carriers() == 0);
        REQUIRE(fresh.association.poll_attach());
        auto husk = fresh.association.give_up_connection();
        REQUIRE(husk);
        husk->attach = attach;
        CHECK(fresh.association.state() == core::Association::State::gone);

        const auto attempt = living.association.free_attempt();
        living.association.attach(living.now, attempt, *std::move(husk));
        CHECK(living.association.has(attempt));
        auto two = living.association.take(CarrierId{0});
        REQUIRE(two);
        CHECK(std::move(*two).content().string() == "two");
        CHECK_FALSE(living.association.take(CarrierId{0}));
        // The same once more is not a higher epoch.
        Server late(9, race);
        CHECK_FALSE(core::Association::proves(&living.association, late.association, attach));
        CHECK(core::Association::proves(&living.association, late.association, attach_of(5, 9, 2)));
    }

    TEST_CASE("continuity: a connection that goes before its client said who it is, is no loss") {
        // The loser of a race, of whose last words one was lost, or both.
        for (const Error& end : {Error(Errc::connection_closed,
                                       make_error_code(Errc::lost_the_race), Stage::established),
                                 Error(Errc::connection_closed, {}, Stage::established),
                                 Error(Errc::connection_lost, {}, Stage::established)}) {
            CAPTURE(end.message());
            AssociationRig server(Role::server, {});
            server.script.secret = 5;
            server.establish(true, false);
            server.tell(event::Lost{end});
            server.turn();
            CHECK(server.happened() == Words{"gone"});
            CHECK(server.errors.back() == Errc::carrier_closed);
        }
        AssociationRig server(Role::server, {});
        server.establish(true, false);
        server.tell(
            event::Lost{Error(Errc::connection_closed, make_error_code(Errc::protocol_violation),
                              Stage::established)});
        server.turn();
        CHECK(server.happened() == Words{"gone"});
        CHECK(server.errors.back() == Errc::connection_closed);
    }

    TEST_CASE("continuity: ATTACH out of place closes the connection") {
        AssociationRig client;
        client.script.secret = 5;
        client.establish();
        client.tell(attach_of(5, 5, 1, Role::server));
        client.turn();
        CHECK(client.commands().size() == 1);

        Server chosen(5);  // is the only leaf, and chosen with SETTINGS
        chosen.tell(attach_of(5, 5, 1));
        chosen.turn();
        CHECK(chosen.commands().size() == 1);
    }
}

}  // namespace post::test
