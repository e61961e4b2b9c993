// Early data as an association sees it: copies go on a leaf, and count when the peer has taken
// them; a listener takes each message of a race once.
#include <doctest/doctest.h>

#include "tests/unit/association_support.hpp"

namespace post::test {

namespace {

using Early = event::Established::Early;

const SendOptions twice{.idempotent = true};

// A client whose leaf pulls before it is established.
struct Client : AssociationRig {
    Client() {
        script.early = true;
        carrier = open();
    }
    void connect() {
        association.activate();
        while (const auto want = association.poll_want(now))
            if (std::holds_alternative<core::Connect>(*want)) begun = true;
        REQUIRE(begun);
        association.attach(core::AttemptId{0}, std::make_unique<ScriptedMapping>(script));
    }
    void established(Early early) {
        event::Established event{.alpn = "post", .post = true};
        event.early = early;
        tell(event);
        peer_settings();
        turn();
    }
    CarrierId carrier;
    bool begun = false;
};

// A listener's, of one connection of a race.
struct Server : AssociationRig {
    explicit Server(EarlyGuard& guard) : AssociationRig(Role::server, {}, &guard) {
        association.attach(std::make_unique<ScriptedMapping>(script));
        tell(event::Early{"post", true});
    }
    void opens(std::uint64_t carrier, std::uint64_t race) {
        peer_opens(carrier);
        tell(EarlyKey{CarrierId{carrier}, race});
    }
    void sends(std::uint64_t carrier, std::uint64_t sequence, const char* text) {
        Piece piece;
        piece.carrier = CarrierId{carrier};
        piece.sequence = Sequence{sequence};
        piece.bytes = Bytes(text);
        piece.total = piece.bytes.size();
        piece.marks.idempotent = piece.marks.early = true;
        tell(event::Arrived{piece});
    }
    std::string taken(std::uint64_t carrier) {
        std::string all;
        while (auto message = association.take(CarrierId{carrier})) {
            CHECK(message->early());
            all += message->content().string() + ' ';
        }
        return all;
    }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("what went early and was taken is not sent again") {
        Client client;
        client.send(client.carrier, "a", twice);
        client.send(client.carrier, "b", twice);
        client.connect();
        CHECK(client.said() == Words{"open 0", "0 a", "0 b"});
        CHECK(client.said().empty());  // once
        client.happened();
        client.established(Early::accepted);
        CHECK(client.happened() == Words{"sent 1#0", "sent 1#1", "active"});
        CHECK(client.said() == Words{"settings"});
        CHECK(client.association.establishment()->early == 2);
        client.peer_has(client.carrier, 2);
        client.turn();
        CHECK(client.happened() == Words{"acked 1#0", "acked 1#1"});
    }

    TEST_CASE("what went early and was rejected is sent as if nothing had been") {
        for (const Early outcome : {Early::rejected, Early::none}) {
            Client client;
            client.send(client.carrier, "a", twice);
            client.send(client.carrier, "b", twice);
            client.send(client.carrier, "c");
            client.connect();
            CHECK(client.said() == Words{"open 0", "0 a", "0 b"});
            client.established(outcome);
            CHECK(client.association.establishment()->early_rejected);
            const Words expected{"settings", "open 0", "0 a", "0 b", "0 c"};
            Words said = client.said();
            CHECK(said == expected);
        }
    }

    TEST_CASE("a race that is lost fails what went early, and says that it may have arrived") {
        Client client;
        client.send(client.carrier, "a", twice);
        client.connect();
        client.said();
        client.happened();
        client.association.shut(Error(Errc::cancelled));
        client.turn();
        const Words words = client.happened();
        CHECK(std::count(words.begin(), words.end(), "failed 1#0") == 1);
    }

    TEST_CASE("a Carrier that is gone by the time is reset") {
        Client client;
        client.send(client.carrier, "a", twice);
        client.connect();
        client.said();
        client.association.abort(client.carrier, Error(Errc::cancelled));
        client.established(Early::accepted);
        CHECK(client.commands() == Words{"reset 0", "stop 0"});
    }

    TEST_CASE("a listener's early Carrier is offered before the handshake is complete") {
        EarlyGuard guard;
        Server server(guard);
        server.opens(0, 7);
        server.sends(0, 0, "a");
        server.peer_opens(2);  // without a key: it waits
        server.turn();
        CHECK(server.happened() == Words{"opened 0 of 0"});
        CHECK(server.taken(0) == "a ");
        server.tell(event::Established{.alpn = "post", .post = true, .resumed = true});
        server.turn();
        CHECK(server.happened() == Words{"active"});
        CHECK(server.association.resumed());
        server.peer_settings();
        server.turn();
        CHECK(server.happened() == Words{"opened 2 of 0"});
    }

    TEST_CASE("each message of a race is taken once, whichever connection brings it") {
        EarlyGuard guard;
        Server first(guard);
        first.opens(0, 7);
        first.sends(0, 0, "a");
        first.sends(0, 1, "b");
        first.turn();
        CHECK(first.taken(0) == "a b ");
        Server second(guard);
        second.opens(0, 7);
        second.sends(0, 0, "a");
        second.sends(0, 1, "b");
        second.sends(0, 2, "c");
        second.turn();
        CHECK(second.taken(0) == "c ");
        // Of another race everything is new.
        Server third(guard);
        third.opens(0, 8);
        third.sends(0, 0, "a");
        third.turn();
        CHECK(third.taken(0) == "a ");
    }

    TEST_CASE("more early messages than there may be are a violation") {
        EarlyGuard guard;
        Server server(guard);
        server.opens(0, 7);
        for (std::uint64_t i = 0; i < EarlyGuard::most_messages; ++i) server.sends(0, i, "x");
        server.turn();
        CHECK(server.commands().empty());
        server.sends(0, EarlyGuard::most_messages, "x");
        server.turn();
        CHECK(server.commands().size() == 1);
    }
}

}  // namespace post::test
