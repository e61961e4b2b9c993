// Early data of TLS 1.3 over a byte stream, between two of ours and with GnuTLS's own records at
// the other end: taken, rejected, and played again.
#include <set>

#include "mappings/crypto/continuity.hpp"
#include "tests/unit/tls_support.hpp"

using namespace post;
using namespace post::test;

namespace {

// A server's keys and memory.
struct Keeper {
    crypto::TicketKeys keys;
    EarlyGuard guard;

    explicit Keeper(std::byte secret = std::byte{7})
        : keys([secret](
                   std::span<std::byte> bytes) { std::fill(bytes.begin(), bytes.end(), secret); },
               nullptr) {
        keys.refresh(Instant{} + std::chrono::seconds(1));
        guard.refresh(Instant{} + std::chrono::seconds(1));
    }
    TlsEndOptions options(bool early = true) {
        TlsEndOptions options;
        options.tickets = {&keys, "test", 1, early ? &guard : nullptr};
        return options;
    }
};

// What a client of ours keeps of a session.
TlsEndOptions resuming(TlsEnd& client, TlsEndOptions options) {
    const auto tickets = client.stream->take_tickets();
    REQUIRE_FALSE(tickets.empty());
    options.session = tickets.back().session;
    options.early_data = tickets.back().early_data;
    return options;
}

TlsEndOptions first_session(Keeper& keeper, bool early = true) {
    TlsTalk talk(keeper.options(early));
    REQUIRE(talk.complete());
    talk.client.feed(talk.server.take());
    return resuming(talk.client, keeper.options(early));
}

void finish(TlsEnd& client, TlsEnd& server) {
    for (int turn = 0; turn < 8; ++turn) {
        client.feed(server.take());
        server.feed(client.take());
    }
}

struct Database {
    std::set<std::string> names;
    static int add(void* pointer, time_t, const gnutls_datum_t* key, const gnutls_datum_t*) {
        const std::string name(reinterpret_cast<const char*>(key->data), key->size);
        return static_cast<Database*>(pointer)->names.insert(name).second
                   ? 0
                   : GNUTLS_E_DB_ENTRY_EXISTS;
    }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("tls_stream: both ends have a secret of early data, of one connection and one kind") {
        const auto copy = [](std::span<const std::byte> bytes) {
            return std::vector<std::byte>(bytes.begin(), bytes.end());
        };
        Keeper keeper;
        TlsEndOptions options = first_session(keeper);
        std::set<std::vector<std::byte>> secrets;
        for (int i = 0; i < 2; ++i) {
            TlsEnd client(Role::client, options);
            TlsEnd server(Role::server, options);
            REQUIRE(client.stream->can_seal_early());
            const auto secret = copy(client.stream->early_secret());
            CHECK(secret.size() == 32);
            CHECK(secrets.insert(secret).second);
            CHECK(server.stream->early_secret().empty());
            server.feed(client.say_early("early"));
            CHECK(copy(server.stream->early_secret()) == secret);
            finish(client, server);
            REQUIRE((client.complete() && server.complete()));
            CHECK(copy(server.stream->early_secret()) == secret);
            const auto later = crypto::continuity_secret(client.stream->native(), nullptr);
            CHECK(later == crypto::continuity_secret(server.stream->native(), nullptr));
            CHECK(secrets.insert(later).second);
            // And be it the same secret, a proof of one kind is none of the other.
            const ContinuityKey key{1, 2, 3};
            const auto early = crypto::early_continuity_proof(key, secret, 1);
            REQUIRE(early);
            CHECK(early != crypto::continuity_proof(key, secret, Role::client, 1));
            CHECK(early != crypto::continuity_proof(key, secret, Role::server, 1));
            CHECK(early != crypto::early_continuity_proof(key, secret, 2));
            client.feed(server.take());
            options = resuming(client, keeper.options());
        }
        TlsTalk fresh(keeper.options());
        REQUIRE(fresh.complete());
        CHECK(fresh.client.stream->early_secret().empty());
        CHECK_FALSE(crypto::early_continuity_proof({}, {}, 1));
    }

    TEST_CASE("tls_stream: early data comes with the first flight, however it is cut") {
        for (const std::size_t part : {std::size_t{1}, std::size_t{100}, ~std::size_t{0}}) {
            CAPTURE(part);
            Keeper keeper;
            const TlsEndOptions options = first_session(keeper);
            CHECK(options.early_data == crypto::largest_early_data);
            TlsEnd client(Role::client, options);
            TlsEnd server(Role::server, options);
            REQUIRE(client.stream->can_seal_early());
            server.feed(client.say_early("early"), part);
            CHECK(server.arrived == "early");
            CHECK(server.stream->reads_early());
            CHECK_FALSE(server.complete());
            finish(client, server);
            REQUIRE((client.complete() && server.complete()));
            CHECK(client.stream->early_accepted());
            CHECK_FALSE(client.stream->can_seal_early());
            CHECK_FALSE(server.stream->reads_early());
            CHECK(server.stream->resumed());
            server.feed(client.say("late"));
            CHECK(server.arrived == "earlylate");
        }
    }

    TEST_CASE("tls_stream: a flight that is played again resumes nothing early") {
        Keeper keeper;
        const TlsEndOptions options = first_session(keeper);
        TlsEnd client(Role::client, options);
        const auto flight = client.say_early("early");
        TlsEnd server(Role::server, options);
        server.feed(flight);
        CHECK(server.arrived == "early");
        for (int i = 0; i < 3; ++i) {
            TlsEnd again(Role::server, options);
            again.feed(flight);
            CHECK(again.arrived.empty());
            CHECK_FALSE(again.failed());
        }
    }

    TEST_CASE("tls_stream: early data that is not taken is skipped, up to its limit") {
        Keeper keeper;
        const TlsEndOptions options = first_session(keeper);
        Keeper other(std::byte{9});  // does not know the ticket
        for (const bool knows : {true, false}) {
            CAPTURE(knows);
            TlsEnd client(Role::client, options);
            // One that knows the ticket, and wants nothing early.
            TlsEnd server(Role::server, knows ? keeper.options(false) : other.options());
            server.feed(client.say_early("early"));
            CHECK(server.arrived.empty());
            finish(client, server);
            REQUIRE((client.complete() && server.complete()));
            CHECK_FALSE(client.stream->early_accepted());
            server.feed(client.say("again"));
            CHECK(server.arrived == "again");
        }
        // Who never ends is turned away.
        TlsEnd client(Role::client, options);
        TlsEnd server(Role::server, keeper.options(false));
        for (int i = 0; i < 3; ++i) server.feed(client.say_early(std::string(16000, 'x')));
        CHECK(server.failed());
    }

    TEST_CASE("tls_stream: a server of GnuTLS takes our early data") {
        gnutls_datum_t key{};
        REQUIRE(gnutls_session_ticket_key_generate(&key) == 0);
        Database database;
        gnutls_anti_replay_t replay = nullptr;
        REQUIRE(gnutls_anti_replay_init(&replay) == 0);
        gnutls_anti_replay_set_add_function(replay, Database::add);
        gnutls_anti_replay_set_ptr(replay, &database);
        const auto serve = [&](GnuPeer& peer) {
            gnutls_session_ticket_enable_server(peer.native(), &key);
            gnutls_anti_replay_enable(peer.native(), replay);
        };
        {
            GnuPeer::Options gnu;
            gnu.flags = GNUTLS_ENABLE_EARLY_DATA;
            GnuPeer before(Role::server, gnu);
            serve(before);
            TlsEnd first(Role::client);
            REQUIRE(before.shake_hands(first) == 0);
            before.exchange(first);
            const TlsEndOptions options = resuming(first, {});
            CHECK(options.early_data > 0);
            GnuPeer server(Role::server, gnu);
            serve(server);
            TlsEnd client(Role::client, options);
            server.hear(client.say_early("early"));
            REQUIRE(server.shake_hands(client) == 0);
            CHECK(client.complete());
            CHECK(client.stream->early_accepted());
            std::array<char, 100> space;
            const auto size = gnutls_record_recv_early_data(server.native(), space.data(),
                                                            space.size());
            REQUIRE(size > 0);
            CHECK(std::string(space.data(), static_cast<std::size_t>(size)) == "early");
            server.hear(client.say("late"));
            CHECK(server.read() == "late");
        }
        gnutls_anti_replay_deinit(replay);
        gnutls_free(key.data);
    }

    TEST_CASE("tls_stream: a server of ours takes, or skips, the early data of GnuTLS") {
        for (const bool takes : {true, false}) {
            CAPTURE(takes);
            Keeper keeper;
            GnuPeer::Options gnu;
            gnu.flags = GNUTLS_ENABLE_EARLY_DATA;
            GnuPeer before(Role::client, gnu);
            TlsEnd first(Role::server, keeper.options());
            REQUIRE(before.shake_hands(first) == 0);
            CHECK(before.read().empty());  // but a ticket
            gnutls_datum_t session{};
            REQUIRE(gnutls_session_get_data2(before.native(), &session) == 0);
            GnuPeer client(Role::client, gnu);
            REQUIRE(gnutls_session_set_data(client.native(), session.data, session.size) == 0);
            gnutls_free(session.data);
            REQUIRE(gnutls_record_send_early_data(client.native(), "early", 5) == 0);
            TlsEnd server(Role::server, keeper.options(takes));
            REQUIRE(client.shake_hands(server) == 0);
            CHECK(server.complete());
            CHECK(server.stream->resumed());
            CHECK(server.arrived == (takes ? "early" : ""));
            const bool accepted = (gnutls_session_get_flags(client.native()) &
                                   GNUTLS_SFLAGS_EARLY_DATA) != 0;
            CHECK(accepted == takes);
            server.arrived.clear();
            server.feed(client.say("late"));
            CHECK(server.arrived == "late");
        }
    }
}
