// A listener's side of early data of an association that there is already (FORMAT.md, 7.4): what is
// believed of it, what becomes of it, and what is out of place.
#include <doctest/doctest.h>

#include <algorithm>

#include "lib/association/early_attach.hpp"
#include "tests/unit/association_support.hpp"
#include "tests/unit/framing_support.hpp"

namespace post::test {

namespace {

constexpr AssociationName known_name = {1, 2, 3};
constexpr AssociationName other_name = {7};
constexpr std::uint64_t race = 77;
constexpr AssociationId owner{7};

Settings settings_of(std::optional<std::uint64_t> of_race = {}) {
    Settings settings;
    settings.association = known_name;
    settings.largest_message = 1 << 24;
    settings.features = feature::attach;
    settings.race = of_race;
    return settings;
}

// As ScriptedMapping makes it, of a connection with the secret 9 for an association of 5.
Attach attach_of(bool early, std::uint64_t epoch = 1) {
    Attach attach{known_name, epoch, {5, known_name[0], 9, 0, static_cast<std::uint8_t>(epoch)}};
    attach.early = early;
    if (early) attach.proof[5] = 1;
    return attach;
}

Piece piece_of(std::uint64_t sequence, std::string_view text) {
    Piece piece;
    piece.sequence = Sequence{sequence};
    piece.bytes = Bytes(text);
    piece.total = piece.bytes.size();
    piece.marks.idempotent = piece.marks.early = true;
    return piece;
}

// An association that lives, with a Carrier on which one message came.
struct Living : AssociationRig {
    Living() : AssociationRig(Role::server, {.continuity = std::chrono::seconds(30)}) {
        script.secret = 5;
        establish(true, false);
        tell(settings_of());
        peer_opens(0);
        peer_sends(0, 0, "one");
        turn();
        association.adopt(CarrierId{0}, 1);
        happened();
        CHECK(take() == "one");
    }
    std::string take() {
        auto message = association.take(CarrierId{0});
        if (!message) return "nothing";
        return (message->early() ? "early " : "") + message->content().string();
    }
};

// A connection whose handshake is not complete.
struct Fresh : AssociationRig {
    explicit Fresh(bool says = true)
        : AssociationRig(Role::server, {.continuity = std::chrono::seconds(30)}) {
        script.secret = 9;
        script.early = true;
        association.attach(std::make_unique<ScriptedMapping>(script));
        tell(event::Early{"post", true});
        tell(settings_of(race));
        if (says) tell(attach_of(true));
        turn();
        happened();
    }
    void opens(const AssociationName& of = known_name) {
        peer_opens(0);
        tell(EarlyKey{.carrier = CarrierId{0}, .association = of});
    }
    void sends(std::uint64_t sequence, std::string_view text) {
        Piece piece = piece_of(sequence, text);
        piece.marks.early = early;
        tell(event::Arrived{std::move(piece)});
        turn();
    }
    std::vector<std::string> copies(bool believed = true) {
        if (believed) association.stand_by(owner);
        std::vector<Piece> pieces;
        const auto whose = association.poll_copies(pieces);
        CHECK((whose == owner || pieces.empty()));
        std::vector<std::string> texts;
        for (const Piece& piece : pieces) texts.push_back(piece.bytes.string());
        return texts;
    }
    void complete() {
        tell(event::Established{.alpn = "post", .post = true, .resumed = true});
        early = false;
    }
    bool early = true;
    bool closed() { return !commands().empty(); }
};

// A client with a Carrier that its peer knows; its connection broke.
struct Client : AssociationRig {
    using Early = event::Established::Early;
    Client() : AssociationRig(Role::client, {.continuity = std::chrono::seconds(30)}) {
        script.secret = 5;
        establish(true, false);
        tell(settings_of());
        carrier = open();
        send(carrier, "known");
        turn();
        peer_has(carrier, 1);
        turn();
        tell(event::Lost{Error(Errc::connection_lost, {}, Stage::established)});
        turn();
        script.said.clear();
        script.secret = 9;
        script.early = true;
        happened();
    }
    void connect() {
        std::optional<core::Connect> begun;
        while (const auto want = association.poll_want(now))
            if (const auto* connect = std::get_if<core::Connect>(&*want)) begun = *connect;
        REQUIRE(begun);
        attempt = begun->attempt;
        association.attach(attempt, std::make_unique<ScriptedMapping>(script));
    }
    Words flight() {
        std::byte space[1];
        (void)association.poll_transmit(now, attempt, space);
        return std::exchange(script.said, {});
    }
    void established(Early early) {
        event::Established event{.alpn = "post", .post = true};
        event.early = early;
        tell(event);
        association.handle_input(now, attempt, {});
    }
    CarrierId carrier;
    core::AttemptId attempt{};
};

const SendOptions twice{.idempotent = true};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("from capture: EARLY of an association") {
        Open open{CarrierId{4}};
        open.association = AssociationName{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const std::string capture =
            "35 04 00"                                                // OPEN
            "36 01 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f";  // EARLY
        CHECK(say({open}) == hex(capture));
        framing::Decoder decoder;
        CHECK(hear(decoder, hex(capture + "01 78")).frames ==
              std::vector<std::string>{"open 4 kind 0", "early 4 of the association 15",
                                       "message 4:0/0 +0/1: x"});
        framing::Decoder above;
        CHECK(hear(above, hex("35 04 00 36 02")).error);
    }

    TEST_CASE("from capture: ATTACH as early data") {
        Attach attach{.association = {1}, .epoch = 2, .early = true};
        const std::string capture =
            "3d 01"                                            // ATTACH, early
            "01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"  // association
            "02"                                               // epoch
            "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"  // proof
            "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00";
        CHECK(say({attach}) == hex(capture));
        framing::Decoder decoder;
        const auto heard = hear(decoder, say({Settings{}, attach}));
        REQUIRE(heard.frames.size() == 2);
        CHECK(heard.frames[1].find("epoch 2 early proof") != std::string::npos);
    }

    TEST_CASE("early attach: a client says whose it is, and what may go, and says it no more") {
        Client client;
        CHECK_FALSE(client.association.has_early(true));  // nothing waits
        client.send(client.carrier, "a", twice);
        client.send(client.carrier, "b");
        client.send(client.carrier, "c", twice);
        client.send(client.open(), "of a Carrier that nobody knows", twice);
        CHECK(client.association.has_early(true));
        client.connect();
        const Words flight = client.flight();
        REQUIRE(flight.size() == 4);
        CHECK(flight[0] == "settings");
        CHECK(flight[1] == "attach early 1");
        CHECK(flight[2] == "open 0");
        CHECK(client.flight().empty());
        client.established(Client::Early::accepted);
        const Words said = client.flight();
        REQUIRE(said.size() > 2);
        CHECK(said[0] == "attach 1");
        CHECK(said[1] == "chosen");
        CHECK(std::find(said.begin(), said.end(), "settings") == said.end());
        CHECK(std::find(said.begin(), said.end(), "open 0") == said.end());
        CHECK(std::find(said.begin(), said.end(), flight[3]) == said.end());
        CHECK(client.association.establishment()->early == 1);
    }

    TEST_CASE("early attach: what is rejected is said behind the handshake, from its beginning") {
        Client client;
        client.send(client.carrier, "a", twice);
        client.connect();
        const Words flight = client.flight();
        client.established(Client::Early::rejected);
        const Words said = client.flight();
        REQUIRE(said.size() > 3);
        CHECK(said[0] == "settings");
        CHECK(said[1] == "attach 1");
        CHECK(said[2] == "chosen");
        CHECK(std::find(said.begin(), said.end(), "open 0") != said.end());
        CHECK(std::find(said.begin(), said.end(), flight.back()) != said.end());
        CHECK(client.association.establishment()->early_rejected);
    }

    TEST_CASE("early attach: without a proof, or a ticket, nothing goes early") {
        Client client;
        client.send(client.carrier, "a", twice);
        client.connect();
        client.script.secret = 0;
        CHECK(client.flight().empty());
        client.script.secret = 9;
        client.script.early = false;
        CHECK(client.flight().empty());
    }

    TEST_CASE("early attach: a race that found nobody gives back what went, for the next one") {
        Client client;
        client.send(client.carrier, "a",
                    {.lifetime = std::chrono::milliseconds(100), .idempotent = true});
        client.connect();
        const Words flight = client.flight();
        REQUIRE(flight.size() == 4);
        client.tell(event::Lost{Error(Errc::handshake_timeout, {}, Stage::handshake)});
        client.association.handle_input(client.now, client.attempt, {});
        client.turn();
        client.now += std::chrono::seconds(1);
        client.turn();
        // It may have arrived: it did not expire, and goes again.
        CHECK(client.happened() == Words{});
        client.connect();
        CHECK(client.flight() == flight);
        client.established(Client::Early::accepted);
        client.peer_has(client.carrier, 2);
        client.association.handle_input(client.now, client.attempt, {});
        client.turn();
        const Words words = client.happened();
        CHECK(std::count(words.begin(), words.end(), "acked 1#1") == 1);
    }

    TEST_CASE("early attach: it is believed by a proof of its own kind, and by nothing else") {
        Living living;
        Fresh fresh;
        const auto believed = [&](const Attach& attach) {
            return core::Association::proves(&living.association, fresh.association, attach);
        };
        CHECK(believed(attach_of(true)));
        CHECK_FALSE(believed(attach_of(true, 0)));  // not a higher epoch
        // Neither proves what the other one does.
        Attach swapped = attach_of(true);
        swapped.early = false;
        CHECK_FALSE(believed(swapped));
        swapped = attach_of(false);
        swapped.early = true;
        CHECK_FALSE(believed(swapped));
        Attach wrong = attach_of(true);
        wrong.proof[0] = 6;  // the key of another handshake
        CHECK_FALSE(believed(wrong));
        CHECK_FALSE(core::Association::proves(nullptr, fresh.association, attach_of(true)));
        // A connection without early data has no such proof.
        fresh.script.early = false;
        CHECK_FALSE(believed(attach_of(true)));
    }

    TEST_CASE(
        "early attach: copies are the association's at once, and the rest when it is attached") {
        Living living;
        Fresh fresh;
        const auto wish = fresh.association.poll_attach();
        REQUIRE(wish);
        CHECK(wish->early);
        fresh.opens();
        fresh.sends(0, "one");  // a copy
        fresh.sends(1, "two");
        CHECK(fresh.happened().empty());
        CHECK(fresh.association.carriers() == 0);
        fresh.association.stand_by(owner);
        std::vector<Piece> copies;
        REQUIRE(fresh.association.poll_copies(copies) == owner);
        CHECK(copies.size() == 2);
        const auto known = living.association.take_copies(living.now, std::move(copies));
        REQUIRE(known.size() == 1);
        CHECK(known.front().watermark == Sequence{2});
        CHECK(living.take() == "early two");
        CHECK(living.take() == "nothing");
        fresh.association.answer_copies(std::vector<Delivered>(known));
        CHECK(fresh.said().back().find("delivered") != std::string::npos);
        // The same flight once more, on whatever connection.
        Fresh again;
        again.opens();
        again.sends(1, "two");
        again.association.stand_by(owner);
        copies.clear();
        REQUIRE(again.association.poll_copies(copies));
        living.association.take_copies(living.now, std::move(copies));
        CHECK(living.take() == "nothing");

        fresh.complete();
        fresh.tell(attach_of(false));
        fresh.sends(2, "three");
        fresh.tell(Chosen{race});
        fresh.turn();
        const auto second = fresh.association.poll_attach();
        REQUIRE(second);
        CHECK_FALSE(second->early);
        auto husk = fresh.association.give_up_connection();
        REQUIRE(husk);
        husk->attach = *second;
        living.association.attach(living.now, living.association.free_attempt(), *std::move(husk));
        CHECK(living.take() == "three");
        CHECK(living.take() == "nothing");
        // From now on the flight's epoch is too low.
        CHECK_FALSE(
            core::Association::proves(&living.association, again.association, attach_of(true)));
    }

    TEST_CASE("early attach: who is not believed brings nothing") {
        Fresh fresh;
        fresh.opens();
        fresh.sends(1, "two");
        CHECK(fresh.copies(false).empty());
        CHECK_FALSE(fresh.closed());
        CHECK(fresh.association.carriers() == 0);
        // Nobody hears of it; and when the handshake is complete, as of any that was not chosen.
        fresh.run_until(fresh.now + std::chrono::seconds(20));
        CHECK_FALSE(fresh.closed());
        fresh.complete();
        fresh.run_until(fresh.now + std::chrono::seconds(10));
        CHECK(fresh.closed());
        Fresh replayed;
        replayed.opens();
        replayed.sends(1, "two");
        replayed.tell(event::Lost{Error(Errc::handshake_timeout, {}, Stage::handshake)});
        replayed.turn();
        CHECK(replayed.happened() == Words{"gone"});
        CHECK(replayed.errors.back() == Errc::carrier_closed);
    }

    TEST_CASE("early attach: it may come behind what it is for") {
        Fresh fresh(false);
        fresh.opens();
        fresh.sends(1, "two");
        fresh.tell(attach_of(true));
        fresh.turn();
        CHECK(fresh.association.poll_attach());
        CHECK(fresh.copies() == std::vector<std::string>{"two"});
        CHECK(fresh.copies().empty());
        CHECK_FALSE(fresh.closed());
    }

    TEST_CASE("early attach: what was lost, and comes when the handshake is complete, is no wish") {
        Fresh fresh(false);
        fresh.complete();
        fresh.tell(attach_of(true));
        fresh.turn();
        CHECK_FALSE(fresh.association.poll_attach());
        fresh.tell(attach_of(false));
        fresh.turn();
        CHECK(fresh.association.poll_attach());
        CHECK_FALSE(fresh.closed());
    }

    TEST_CASE("early attach: what is out of place closes the connection") {
        const auto closes = [](auto&& tell) {
            Fresh fresh;
            tell(fresh);
            fresh.turn();
            return fresh.closed();
        };
        CHECK(closes([](Fresh& fresh) { fresh.tell(attach_of(true)); }));
        CHECK(closes([](Fresh& fresh) { fresh.opens(other_name); }));
        CHECK(closes([](Fresh& fresh) {
            fresh.opens();
            fresh.tell(EarlyKey{CarrierId{0}, race});
        }));
        CHECK(closes([](Fresh& fresh) {
            fresh.complete();
            fresh.tell(Chosen{race});
            fresh.tell(attach_of(true));
        }));
        CHECK(closes([](Fresh& fresh) {
            fresh.opens();
            for (std::uint64_t i = 0; i <= EarlyGuard::most_messages; ++i) fresh.sends(i, "x");
        }));
        Fresh standby(false);
        Attach both = attach_of(true);
        both.standby = true;
        standby.tell(both);
        standby.turn();
        CHECK(standby.closed());
        Fresh race_first(false);
        race_first.peer_opens(0);
        race_first.tell(EarlyKey{CarrierId{0}, race});
        race_first.peer_opens(2);
        race_first.tell(EarlyKey{.carrier = CarrierId{2}, .association = known_name});
        race_first.turn();
        CHECK(race_first.closed());
    }

    TEST_CASE("early attach: parts become a message, and no more is copied than goes early") {
        core::EarlyAttach brought;
        brought.believe(owner);
        std::vector<Piece> copies;
        Piece first = piece_of(0, "abc");
        first.total = 6;
        Piece second = piece_of(0, "def");
        second.total = 6;
        second.offset = 3;
        CHECK(brought.take(first));
        CHECK_FALSE(brought.poll(copies));
        CHECK(brought.take(piece_of(1, "between")));
        CHECK(brought.take(second));
        CHECK(brought.poll(copies) == owner);
        REQUIRE(copies.size() == 2);
        CHECK(copies[0].bytes.string() == "between");
        CHECK(copies[1].bytes.string() == "abcdef");
        CHECK(copies[1].first());
        CHECK(copies[1].last());
        // Its front is missing, or came twice.
        CHECK(brought.take(second));
        CHECK(brought.take(first));
        CHECK(brought.take(first));
        CHECK(brought.take(second));
        CHECK_FALSE(brought.poll(copies));
        // It comes, and is none of the copies.
        CHECK(brought.take(piece_of(2, std::string(13 * 1024, 'x'))));
        CHECK_FALSE(brought.poll(copies));
    }
}

}  // namespace post::test
