// What dishonest peers, and people on the way, say to a TLS session: each ends it with the alert
// that RFC 8446 names, and nothing of it reaches the content.
#include "tests/hostile/table.hpp"
#include "tests/unit/packet_protection_support.hpp"
#include "tests/unit/tls_support.hpp"

using namespace post;
using namespace post::test;
using crypto::TlsType;

namespace {

Octets record(unsigned type, std::span<const std::byte> fragment) {
    Octets bytes(crypto::tls_header_size);
    crypto::put_header(bytes, static_cast<TlsType>(type), fragment.size());
    bytes.insert(bytes.end(), fragment.begin(), fragment.end());
    return bytes;
}
const Octets change_cipher_spec = hex("14 03 03 00 01 01");

// An established session of ours, and a peer that can seal anything.
struct Siege {
    explicit Siege(Role victim)
        : peer(victim == Role::client ? Role::server : Role::client, no_tickets()), end(victim) {
        REQUIRE(peer.shake_hands(end) == 0);
        REQUIRE(end.complete());
    }
    static GnuPeer::Options no_tickets() {
        GnuPeer::Options options;
        options.flags = GNUTLS_NO_AUTO_SEND_TICKET;
        return options;
    }
    void say(TlsType type, std::string_view content) { end.feed(peer.forge(type, hex(content))); }
    // The session failed, and told GnuTLS why.
    void check_alert(int alert, Errc errc = Errc::protocol_violation) {
        CHECK(end.arrived.empty());
        REQUIRE(end.failed());
        CHECK(end.stream->error() == errc);
        CHECK_FALSE(end.stream->can_seal());
        peer.hear(end.take());
        CHECK(peer.alert() == alert);
    }

    GnuPeer peer;
    TlsEnd end;
};

constexpr std::array roles{Role::client, Role::server};

// A handshake message of `type` with `size` bytes.
Octets message(unsigned type, std::size_t size) {
    Octets bytes(4 + size);
    bytes[0] = static_cast<std::byte>(type);
    for (std::size_t i = 0; i < 3; ++i) bytes[3 - i] = static_cast<std::byte>(size >> 8 * i & 0xff);
    return bytes;
}

std::uint8_t plain_alert(const Octets& out) {
    REQUIRE(out.size() == 7);
    CHECK(out[0] == std::byte{21});
    CHECK(out[5] == std::byte{2});
    return std::to_integer<std::uint8_t>(out[6]);
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("tls_stream: what is not TLS is refused from its first byte") {
        for (const char* text : {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "\x80\x2e\x01\x03"}) {
            TlsEnd server(Role::server);
            server.feed(std::as_bytes(std::span(text, 1)));
            REQUIRE(server.failed());
            CHECK(server.stream->error() == Errc::protocol_violation);
            CHECK(plain_alert(server.take()) == GNUTLS_A_UNEXPECTED_MESSAGE);
        }
    }

    TEST_CASE("tls_stream: content or an alert before the handshake") {
        TlsEnd server(Role::server);
        server.feed(record(23, octets("content")));
        REQUIRE(server.failed());
        CHECK(server.arrived.empty());
        CHECK(plain_alert(server.take()) == GNUTLS_A_UNEXPECTED_MESSAGE);

        TlsEnd client(Role::client);
        client.take();
        client.feed(record(23, octets("content")));
        REQUIRE(client.failed());
        CHECK(client.arrived.empty());

        TlsEnd told(Role::client);
        told.take();
        told.feed(record(21, hex("02 28")));
        REQUIRE(told.failed());
        CHECK(told.stream->error() == Errc::handshake_failed);
        CHECK(told.stream->error().cause.value() == GNUTLS_A_HANDSHAKE_FAILURE);
        CHECK_FALSE(told.stream->has_output());  // RFC 8446, 6.2: no answer to a fatal alert
    }

    TEST_CASE("tls_stream: content inside the handshake, under the keys of the handshake or none") {
        TlsEnd client(Role::client);
        TlsEnd server(Role::server);
        server.feed(client.take());
        server.take();
        server.feed(record(23, octets(std::string(40, 'x'))));
        REQUIRE(server.failed());
        CHECK(server.arrived.empty());
    }

    TEST_CASE("tls_stream: ChangeCipherSpec is dropped in the handshake, and nowhere else") {
        // From the server, between its messages and before them.
        TlsEnd client(Role::client);
        TlsEnd server(Role::server);
        server.feed(client.take());
        const auto flight = server.take();
        client.feed(change_cipher_spec, 1);
        std::span<const std::byte> rest = flight;
        crypto::TlsRecord one;
        while (!client.complete()) {
            const auto* begin = rest.data();
            REQUIRE(crypto::next_record(rest, one) == crypto::TlsFront::record);
            client.feed({begin, rest.data()});
            if (!client.complete()) client.feed(change_cipher_spec);
        }
        // From the client, in front of its Finished.
        server.feed(change_cipher_spec);
        server.feed(client.take());
        CHECK(server.complete());
        // Behind it.
        server.feed(change_cipher_spec);
        CHECK(server.failed());
        client.feed(change_cipher_spec);
        CHECK(client.failed());
        // As the very first.
        TlsEnd fresh(Role::server);
        fresh.feed(change_cipher_spec);
        CHECK(fresh.failed());
        // Of another content.
        for (const char* text : {"14 03 03 00 01 02", "14 03 03 00 00", "14 03 03 00 02 01 01"}) {
            TlsEnd other(Role::client);
            other.feed(hex(text));
            CHECK(other.failed());
            CHECK(other.stream->error() == Errc::protocol_violation);
        }
        // Under protection.
        Siege siege(Role::server);
        siege.say(TlsType::change_cipher_spec, "01");
        siege.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
    }

    TEST_CASE("tls_stream: records that were forged, doubled, exchanged or left out") {
        for (const Role role : roles) {
            const auto spoil = [&](auto change) {
                Siege siege(role);
                auto one = siege.peer.forge(TlsType::application_data, octets("one"));
                auto two = siege.peer.forge(TlsType::application_data, octets("two"));
                change(siege, one, two);
                REQUIRE(siege.end.failed());
                CHECK(siege.end.stream->error() == Errc::protocol_violation);
                CHECK(siege.end.arrived.find("two") == std::string::npos);
                siege.peer.hear(siege.end.take());
                CHECK(siege.peer.alert() == GNUTLS_A_BAD_RECORD_MAC);
            };
            for (std::size_t at = crypto::tls_header_size; at < 25; ++at) {
                spoil([&](Siege& siege, Octets& one, Octets&) {
                    one[at] ^= std::byte{1};
                    siege.end.feed(one);
                });
            }
            spoil([](Siege& siege, Octets& one, Octets&) {
                siege.end.feed(one);
                siege.end.feed(one);
            });
            spoil([](Siege& siege, Octets&, Octets& two) { siege.end.feed(two); });
            // A tag alone.
            spoil([](Siege& siege, Octets&, Octets&) { siege.end.feed(record(23, Octets(16))); });
            spoil([](Siege& siege, Octets&, Octets&) { siege.end.feed(record(23, {})); });
        }
    }

    TEST_CASE("tls_stream: records that are too long are record_overflow") {
        for (const Role role : roles) {
            Siege siege(role);
            siege.end.feed(hex("17 03 03 41 01"));  // known before the rest is there
            siege.check_alert(GNUTLS_A_RECORD_OVERFLOW);
            // Genuine, and a byte more than there may be.
            Siege genuine(role);
            genuine.end.feed(genuine.peer.forge(TlsType::application_data,
                                                Octets(crypto::largest_tls_content + 1)));
            genuine.check_alert(GNUTLS_A_RECORD_OVERFLOW);
        }
        // Without protection a record is shorter.
        TlsEnd server(Role::server);
        server.feed(record(22, Octets(crypto::largest_tls_content + 1, std::byte{1})));
        REQUIRE(server.failed());
        CHECK(plain_alert(server.take()) == GNUTLS_A_RECORD_OVERFLOW);
    }

    TEST_CASE("tls_stream: records without protection, or of no type, behind the handshake") {
        for (const Role role : roles) {
            for (const char* text : {"16 03 03 00 05 18 00 00 01 00", "15 03 03 00 02 02 28",
                                     "15 03 03 00 02 01 00"}) {
                Siege siege(role);
                siege.end.feed(hex(text));
                siege.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
            }
            Siege padding(role);
            padding.say(TlsType{}, "00 00 00");
            padding.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
            Siege unknown(role);
            unknown.say(static_cast<TlsType>(24), "01");
            unknown.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
        }
    }

    TEST_CASE("tls_stream: alerts") {
        for (const Role role : roles) {
            {
                Siege siege(role);  // fatal
                siege.say(TlsType::alert, "02 50");
                REQUIRE(siege.end.failed());
                CHECK(siege.end.stream->error() == Errc::connection_closed);
                CHECK(siege.end.stream->error().cause.value() == GNUTLS_A_INTERNAL_ERROR);
                CHECK_FALSE(siege.end.stream->has_output());
            }
            {
                // RFC 8446, 6: the level says nothing any more.
                Siege siege(role);
                siege.say(TlsType::alert, "01 0a");
                CHECK(siege.end.failed());
            }
            {
                Siege siege(role);  // user_canceled; close_notify follows
                siege.say(TlsType::alert, "01 5a");
                CHECK(siege.end.complete());
                siege.say(TlsType::alert, "01 00");
                CHECK(siege.end.progress() == TlsEnd::Progress::closed);
            }
            for (const char* cut : {"", "02", "02 50 00", "01 00 01 00"}) {
                Siege siege(role);
                siege.say(TlsType::alert, cut);
                siege.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
            }
        }
    }

    TEST_CASE("tls_stream: a stream that is cut is no end of a session") {
        TlsTalk talk;
        REQUIRE(talk.complete());
        const auto bytes = talk.client.say("never all of it");
        for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
            talk.server.feed(std::span(bytes).subspan(i, 1));
            CHECK(talk.server.complete());
            CHECK(talk.server.stream->inside_record());
        }
        CHECK(talk.server.arrived.empty());
    }

    TEST_CASE("tls_stream: renegotiation and other messages that nobody expects") {
        struct Row {
            Role victim;
            unsigned type;
        };
        // HelloRequest, ClientHello, CertificateRequest without leave, Finished, end_of_early_data;
        // a ticket from a client.
        for (const Row& row : {Row{Role::client, 0}, Row{Role::server, 1}, Row{Role::client, 1},
                               Row{Role::client, 13}, Row{Role::server, 13}, Row{Role::client, 20},
                               Row{Role::server, 20}, Row{Role::server, 5}, Row{Role::server, 4},
                               Row{Role::client, 11}, Row{Role::client, 254}}) {
            CAPTURE(row.type);
            Siege siege(row.victim);
            siege.end.feed(siege.peer.forge(TlsType::handshake, message(row.type, 40)));
            siege.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE, Errc::handshake_failed);
        }
    }

    TEST_CASE("tls_stream: KeyUpdate as it must not be") {
        struct Row {
            const char* content;
            int alert;
        };
        for (const Role role : roles) {
            for (const Row& row :
                 {Row{"18 00 00 01 02", GNUTLS_A_ILLEGAL_PARAMETER},
                  Row{"18 00 00 00", GNUTLS_A_DECODE_ERROR},
                  Row{"18 00 00 02 00 00", GNUTLS_A_DECODE_ERROR},
                  // RFC 8446, 5.1: nothing follows it in its record
                  Row{"18 00 00 01 00 18 00 00 01 00", GNUTLS_A_UNEXPECTED_MESSAGE},
                  Row{"18 00 00 01 00 18", GNUTLS_A_UNEXPECTED_MESSAGE}, Row{"", 10}}) {
                CAPTURE(row.content);
                Siege siege(role);
                siege.say(TlsType::handshake, row.content);
                siege.check_alert(row.alert);
            }
            // One in pieces is one.
            Siege siege(role);
            for (const char* piece : {"18", "00 00", "01", "00"})
                siege.say(TlsType::handshake, piece);
            CHECK(siege.end.complete());
            siege.peer.update_forged();
            siege.say(TlsType::application_data, "61");
            CHECK(siege.end.arrived == "a");
        }
    }

    TEST_CASE("tls_stream: a record of another type inside a handshake message") {
        for (const Role role : roles) {
            for (const auto type : {TlsType::application_data, TlsType::alert}) {
                Siege siege(role);
                siege.say(TlsType::handshake, "18 00 00");
                siege.say(type, "01 00");
                siege.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
            }
        }
    }

    TEST_CASE("tls_stream: a KeyUpdate inside the handshake") {
        TlsEnd server(Role::server);
        server.feed(record(22, hex("18 00 00 01 00")));
        REQUIRE(server.failed());
        TlsEnd client(Role::client);
        client.feed(record(22, hex("18 00 00 01 00")));
        REQUIRE(client.failed());
    }

    TEST_CASE("tls_stream: no handshake message stands on both sides of a change of keys") {
        // Behind a ClientHello, and behind a ServerHello, in the same record.
        TlsEnd client(Role::client);
        auto hello = client.take();
        const auto longer = [](Octets& bytes, std::string_view more) {
            for (const auto byte : hex(more)) bytes.push_back(byte);
            crypto::put_header(bytes, TlsType::handshake, bytes.size() - crypto::tls_header_size);
        };
        auto spoilt = hello;
        longer(spoilt, "14 00");
        TlsEnd deceived(Role::server);
        deceived.feed(spoilt);
        REQUIRE(deceived.failed());
        CHECK(deceived.stream->error() == Errc::protocol_violation);

        TlsEnd server(Role::server);
        server.feed(hello);
        const auto flight = server.take();
        std::span<const std::byte> rest = flight;
        crypto::TlsRecord first;
        REQUIRE(crypto::next_record(rest, first) == crypto::TlsFront::record);
        Octets answer(flight.begin(), flight.end() - static_cast<std::ptrdiff_t>(rest.size()));
        longer(answer, "08 00 00 02 00 00");  // EncryptedExtensions that are not encrypted
        client.feed(answer);
        REQUIRE(client.failed());
        CHECK(client.stream->error() == Errc::protocol_violation);
    }

    TEST_CASE("tls_stream: handshake messages that are huge, empty or never end") {
        for (const Role role : roles) {
            // Of 16 MiB, as its header says.
            TlsEnd end(role);
            end.take();
            end.feed(record(22, hex(role == Role::server ? "01 ff ff ff" : "02 ff ff ff")));
            REQUIRE(end.failed());
            // One that may be, and comes slowly: held, and no more than that.
            TlsEnd slow(role);
            slow.take();
            auto bytes = message(role == Role::server ? 1 : 2,
                                 crypto::largest_handshake_message - 4);
            bytes.pop_back();
            const auto before = heap();
            for (std::size_t at = 0; at < bytes.size(); at += 100) {
                const auto part = std::span(bytes).subspan(
                    at, std::min<std::size_t>(100, bytes.size() - at));
                slow.feed(record(22, part), 1);
            }
            CHECK_FALSE(slow.failed());
            CHECK(grown(before) <= 2 * crypto::largest_handshake_message);
            // Empty records.
            TlsEnd empty(role);
            empty.take();
            empty.feed(record(22, {}));
            REQUIRE(empty.failed());
            CHECK(plain_alert(empty.take()) == GNUTLS_A_UNEXPECTED_MESSAGE);
            // Behind the handshake.
            Siege siege(role);
            siege.say(TlsType::handshake, "04 00 80 00");
            siege.check_alert(GNUTLS_A_UNEXPECTED_MESSAGE);
        }
    }

    TEST_CASE("tls_stream: every byte of a handshake changed: no crash, and never complete") {
        TlsEnd first(Role::client);
        const auto hello = first.take();
        for (std::size_t at = 0; at < hello.size(); ++at) {
            TlsEnd client(Role::client);
            auto spoilt = client.take();
            spoilt[std::min(at, spoilt.size() - 1)] ^= std::byte{0x10};
            TlsEnd server(Role::server);
            server.feed(spoilt);
            client.feed(server.take());
            server.feed(client.take());
            // The version of the first record means nothing (RFC 8446, 5.1).
            if (at == 2) continue;
            CAPTURE(at);
            CHECK_FALSE(server.complete());
        }
    }
}
