// TLS sessions over a byte stream: handshakes however they are cut, and what else two ends say to
// each other, judged by GnuTLS's own record layer. What dishonest peers say is in
// tls_stream_faults_test.cpp.
#include "tests/hostile/table.hpp"
#include "tests/unit/tls_support.hpp"

using namespace post;
using namespace post::test;
using crypto::TlsType;

namespace {

constexpr std::array ciphers{"AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"};

// One end is ours.
struct Mixed {
    explicit Mixed(Role gnutls, const GnuPeer::Options& options = {},
                   const TlsEndOptions& ours = {})
        : peer(gnutls, options), end(gnutls == Role::client ? Role::server : Role::client, ours) {
        code = peer.shake_hands(end);
    }
    bool complete() const { return code == 0 && end.complete(); }
    bool talks() {
        end.arrived.clear();
        end.feed(peer.say("ping"));
        peer.hear(end.say("pong"));
        return end.arrived == "ping" && peer.read() == "pong";
    }

    GnuPeer peer;
    TlsEnd end;
    int code = 0;
};

constexpr std::array roles{Role::client, Role::server};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("tls_stream: a handshake in parts of any size") {
        for (const std::size_t part : {std::size_t{1}, std::size_t{2}, std::size_t{5},
                                       std::size_t{7}, std::size_t{500}, ~std::size_t{0}}) {
            CAPTURE(part);
            TlsTalk talk({}, part);
            REQUIRE(talk.complete());
            CHECK(talk.client.stream->alpn() == "test/1");
            CHECK(talk.server.stream->alpn() == "test/1");
            CHECK_FALSE(talk.client.stream->peer_certificate().empty());
            CHECK(talk.talks());
        }
    }

    TEST_CASE("tls_stream: certificates of more than a record, in parts of any size") {
        TlsEndOptions options;
        options.pem = &large_tls_pem();
        for (const std::size_t part : {std::size_t{1}, std::size_t{1400}, ~std::size_t{0}}) {
            CAPTURE(part);
            TlsTalk talk(options, part);
            REQUIRE(talk.complete());
            CHECK(talk.client.stream->peer_certificate().size() > crypto::largest_tls_content);
            CHECK(talk.talks());
        }
    }

    TEST_CASE("tls_stream: GnuTLS's records and ours, in both roles, with each cipher") {
        for (const Role role : roles) {
            for (const char* cipher : ciphers) {
                CAPTURE(cipher);
                Mixed mixed(role, {.cipher = cipher});
                REQUIRE(mixed.complete());
                CHECK(mixed.end.stream->alpn() == "test/1");
                REQUIRE(mixed.talks());
                // The largest there are, and empty ones.
                const std::string large(crypto::largest_tls_content, 'x');
                mixed.peer.hear(mixed.end.say(""));
                mixed.peer.hear(mixed.end.say(large));
                mixed.peer.hear(mixed.end.say("y"));
                CHECK(mixed.peer.read() == large + "y");
                mixed.end.arrived.clear();
                mixed.end.feed(mixed.peer.say(large));
                CHECK(mixed.end.arrived == large);
            }
        }
    }

    TEST_CASE("tls_stream: GnuTLS and ours with certificates of more than a record") {
        for (const Role role : roles) {
            TlsEndOptions ours;
            ours.pem = &large_tls_pem();
            Mixed mixed(role, {.pem = &large_tls_pem()}, ours);
            REQUIRE(mixed.complete());
            CHECK(mixed.talks());
        }
    }

    TEST_CASE("tls_stream: a cipher that was asked for is the one that is used") {
        TlsEndOptions ours;
        ours.cipher = Cipher::aes_256_gcm;
        for (const Role role : roles) {
            Mixed mixed(role, {.cipher = "AES-256-GCM"}, ours);
            REQUIRE(mixed.complete());
            CHECK(mixed.talks());
            Mixed other(role, {.cipher = "CHACHA20-POLY1305"}, ours);
            CHECK_FALSE(other.complete());
        }
    }

    TEST_CASE("tls_stream: a record of a byte each, fed byte by byte") {
        TlsTalk talk;
        REQUIRE(talk.complete());
        for (int i = 0; i < 300; ++i) talk.server.feed(talk.client.say("x"), 1);
        CHECK(talk.server.arrived == std::string(300, 'x'));
        CHECK(talk.server.contents == 300);
        CHECK_FALSE(talk.server.stream->inside_record());
    }

    TEST_CASE("tls_stream: a sink that wants no more ends the call") {
        TlsTalk talk;
        REQUIRE(talk.complete());
        auto bytes = talk.client.say("one");
        const auto more = talk.client.say("two");
        bytes.insert(bytes.end(), more.begin(), more.end());
        Octets room(crypto::largest_tls_fragment);
        int calls = 0;
        crypto::TlsStream::Sink sink = [&](std::span<const std::byte>) { return ++calls > 1; };
        talk.server.stream->handle_input(bytes, room, sink);
        CHECK(calls == 1);
    }

    TEST_CASE("tls_stream: a server has keys for content before the client has proved itself") {
        TlsEnd client(Role::client);
        TlsEnd server(Role::server);
        CHECK_FALSE(client.stream->can_seal());
        CHECK_FALSE(server.stream->can_seal());
        server.feed(client.take());
        CHECK(server.progress() == TlsEnd::Progress::waiting);
        REQUIRE(server.stream->can_seal());
        const auto flight = server.say("early");
        client.feed(flight);
        CHECK(client.complete());
        CHECK(client.arrived == "early");
    }

    TEST_CASE("tls_stream: each direction changes its keys when it likes") {
        TlsTalk talk;
        REQUIRE(talk.complete());
        TlsEnd* ends[] = {&talk.client, &talk.server};
        for (TlsEnd* end : ends) {
            end->stream->update_keys(false);
            CHECK(talk.talks());
            // The other end was not asked to.
            CHECK_FALSE(talk.client.stream->has_output());
            CHECK_FALSE(talk.server.stream->has_output());
            end->stream->update_keys(true);
            CHECK(talk.talks());
        }
        // Both at once: each answers the other.
        talk.client.stream->update_keys(true);
        talk.server.stream->update_keys(true);
        const auto to_server = talk.client.say("a");
        talk.client.feed(talk.server.say("b"));
        talk.server.feed(to_server);
        CHECK(talk.talks());
        CHECK(talk.talks());
    }

    TEST_CASE("tls_stream: GnuTLS's changes of keys, and ours") {
        for (const Role role : roles) {
            for (const char* cipher : ciphers) {
                Mixed mixed(role, {.cipher = cipher});
                REQUIRE(mixed.complete());
                // GnuTLS takes eight in a second.
                for (int round = 0; round < 2; ++round) {
                    REQUIRE(gnutls_session_key_update(mixed.peer.native(), 0) == 0);
                    CHECK(mixed.talks());
                    REQUIRE(gnutls_session_key_update(mixed.peer.native(), GNUTLS_KU_PEER) == 0);
                    CHECK(mixed.talks());
                    mixed.end.stream->update_keys(false);
                    CHECK(mixed.talks());
                    mixed.end.stream->update_keys(true);
                    CHECK(mixed.talks());
                    CHECK(mixed.talks());
                }
            }
        }
    }

    TEST_CASE("tls_stream: a KeyUpdate is answered although something else waits to be sent") {
        // The client's Finished has not left yet.
        TlsEnd client(Role::client);
        TlsEnd server(Role::server);
        server.feed(client.take());
        client.feed(server.take());
        REQUIRE(client.complete());
        REQUIRE(client.stream->has_output());
        server.stream->update_keys(true);
        client.feed(server.take());
        const auto out = client.say("new keys");
        // Finished, the answer, and the content under the next keys.
        std::span<const std::byte> rest = out;
        crypto::TlsRecord record;
        std::size_t records = 0;
        while (crypto::next_record(rest, record) == crypto::TlsFront::record) ++records;
        CHECK(records == 3);
        server.feed(out);
        REQUIRE(server.complete());
        CHECK(server.arrived == "new keys");
        CHECK_FALSE(server.stream->has_output());
    }

    TEST_CASE("tls_stream: tickets of GnuTLS are taken, however many") {
        Mixed mixed(Role::server);
        REQUIRE(mixed.complete());
        std::size_t before = 0;
        for (int i = 0; i < 200; ++i) {
            REQUIRE(gnutls_session_ticket_send(mixed.peer.native(), 1, 0) == 0);
            mixed.end.feed(std::exchange(mixed.peer.sent, {}));
            REQUIRE(mixed.end.complete());
            if (i == 20) before = heap();
        }
        CHECK(grown(before) <= 8 * 1024);
        CHECK(mixed.talks());
    }

    TEST_CASE("tls_stream: thousands of KeyUpdates cost no memory, and one answer a flight") {
        Mixed mixed(Role::client);
        REQUIRE(mixed.complete());
        const Octets please{std::byte{24}, {}, {}, std::byte{1}, std::byte{1}};
        std::size_t before = 0;
        for (int i = 0; i < 2000; ++i) {
            mixed.end.feed(mixed.peer.forge(TlsType::handshake, please));
            mixed.peer.update_forged();
            if (i == 10) before = heap();
        }
        REQUIRE(mixed.end.complete());
        CHECK(grown(before) <= 4 * 1024);
        // RFC 8446, 4.6.3: one answer is enough.
        const auto answer = mixed.end.take();
        CHECK(answer.size() == crypto::tls_overhead + 5);
        // GnuTLS understands it, and what follows it.
        mixed.peer.hear(answer);
        mixed.peer.hear(mixed.end.say("still here"));
        CHECK(mixed.peer.read() == "still here");
    }

    TEST_CASE("tls_stream: close_notify ends a direction") {
        TlsTalk talk;
        REQUIRE(talk.complete());
        const auto last = talk.client.say("last words");
        talk.client.stream->close();
        talk.client.stream->close();
        auto bytes = talk.client.take();
        CHECK(bytes.size() == crypto::tls_overhead + 2);
        talk.server.feed(last);
        CHECK(talk.server.feed(bytes) == TlsEnd::Progress::closed);
        CHECK(talk.server.arrived == "last words");
        CHECK_FALSE(talk.server.stream->error());
        // The other direction goes on.
        talk.client.feed(talk.server.say("and mine"));
        CHECK(talk.client.arrived == "and mine");
        // Behind a close_notify nothing is sent, be it an answer or an alert.
        talk.server.stream->update_keys(true);
        talk.client.feed(talk.server.take());
        CHECK(talk.client.complete());
        talk.client.feed(octets("garbage"));
        CHECK(talk.client.failed());
        CHECK_FALSE(talk.client.stream->has_output());
    }

    TEST_CASE("tls_stream: close_notify of GnuTLS and of ours") {
        for (const Role role : roles) {
            Mixed mixed(role);
            REQUIRE(mixed.complete());
            mixed.end.stream->close();
            mixed.peer.hear(mixed.end.take());
            CHECK(mixed.peer.read().empty());
            CHECK(mixed.peer.last == 0);  // the end of the stream
            REQUIRE(gnutls_bye(mixed.peer.native(), GNUTLS_SHUT_WR) == 0);
            CHECK(mixed.end.feed(std::exchange(mixed.peer.sent, {})) == TlsEnd::Progress::closed);
        }
    }

    TEST_CASE("tls_stream: wrong ALPN, or none, is no_application_protocol in both roles") {
        for (const char* theirs : {"other/1", ""}) {
            CAPTURE(theirs);
            Mixed server(Role::client, {.alpn = theirs});
            CHECK_FALSE(server.end.complete());
            REQUIRE(server.end.failed());
            CHECK(server.end.stream->error() == Errc::alpn_mismatch);
            CHECK(server.peer.alert() == GNUTLS_A_NO_APPLICATION_PROTOCOL);

            // GnuTLS's server does not mind, unless it must.
            Mixed client(Role::server, {.alpn = theirs});
            CHECK_FALSE(client.end.complete());
            REQUIRE(client.end.failed());
            CHECK(client.end.stream->error() == Errc::alpn_mismatch);
            CHECK(client.peer.alert() == GNUTLS_A_NO_APPLICATION_PROTOCOL);
        }
        TlsEnd client(Role::client, {.alpn = {"one"}});
        TlsEnd server(Role::server, {.alpn = {"two"}});
        server.feed(client.take());
        REQUIRE(server.failed());
        CHECK(server.stream->error() == Errc::alpn_mismatch);
        client.feed(server.take());
        REQUIRE(client.failed());
        CHECK(client.stream->error() == Errc::alpn_mismatch);
    }

    TEST_CASE("tls_stream: a session at rest holds no buffers") {
        TlsTalk talk;
        REQUIRE(talk.complete());
        REQUIRE(talk.talks());
        talk.client.arrived.clear();
        const std::string large(16000, 'x');
        // Twice, so that what the test itself keeps is there.
        std::size_t before = 0;
        for (int i = 0; i < 2; ++i) {
            before = heap();
            talk.server.arrived = {};
            talk.server.feed(talk.client.say(large), 1000);
            talk.server.arrived = {};
        }
        CHECK(grown(before) <= 256);
    }
}
