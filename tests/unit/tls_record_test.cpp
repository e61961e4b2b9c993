// TLS 1.3 records: known answers (RFC 8448, 3), what no record can be, padding, forgeries, and keys
// that follow each other.
#include <doctest/doctest.h>

#include "mappings/crypto/tls_record.hpp"
#include "tests/unit/packet_protection_support.hpp"

using namespace post;
using namespace post::test;
using crypto::Aead;
using crypto::TlsFront;
using crypto::TlsKeys;
using crypto::TlsRecord;
using crypto::TlsType;

namespace {

using Octets = std::vector<std::byte>;

// RFC 8448, 3: {client} and {server} derive secrets "c ap traffic" and "s ap traffic".
const Octets client_secret = hex(
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
const Octets server_secret = hex(
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");

// {client} send application_data record, {client} send alert record
constexpr const char* client_content =
    "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab"
    "3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d"
    "ea e6 3a ee bb 21 69 49 15 e4";
constexpr const char* client_alert =
    "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3";

// {server} send handshake record (a NewSessionTicket), application_data record, alert record
constexpr const char* server_ticket =
    "17 03 03 00 de 3a 6b 8f 90 41 4a 97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95"
    "d4 1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7 58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88"
    "91 a3 8e fb cf 57 53 ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0 d4 a3 d0"
    "3f 75 e0 9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 91 d5"
    "e4 c5 b4 06 f1 6e 3f c1 81 a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f"
    "69 23 2c 86 51 9d 86 cb ee ac 87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49"
    "fe 51 37 12 1c 74 bc 26 97 68 7e 24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b"
    "6c 67 79 b3 7b f1 59 85 68 4f";
constexpr const char* server_content =
    "17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b"
    "36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3"
    "32 54 0d d0 32 e1 67 c2 95 5d";
constexpr const char* server_alert =
    "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9";

// The same content as the client's first record behind a KeyUpdate, as another implementation of
// HKDF and of AES-GCM has it.
constexpr const char* client_content_updated =
    "17 03 03 00 43 08 da b3 85 c7 81 c2 50 90 65 98 35 dd 8d 7c 1d 00 3c 6e c2 e6 a0 58 ca f9 03"
    "c1 65 80 77 6a 1b 2a b6 3e 00 cd ed f2 c5 14 50 2b 8a 36 18 81 66 3b 19 7b 25 77 d5 0a 57 07"
    "08 1e 22 1d eb 8e d2 17 c6 24";

// 00 01 02 ... 31
Octets content() {
    Octets bytes(50);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    return bytes;
}

const crypto::Suite& aes_128() { return crypto::initial_suite(); }

Octets sealed(TlsKeys& keys, TlsType type, std::span<const std::byte> plain) {
    Octets space(plain.size() + crypto::tls_overhead);
    std::copy(plain.begin(), plain.end(), space.begin() + crypto::tls_header_size);
    REQUIRE(keys.seal(type, space, plain.size()) == space.size());
    return space;
}

struct Seen {
    TlsType type{};
    Octets content;
};
std::optional<Seen> opened(TlsKeys& keys, std::span<const std::byte> bytes) {
    TlsRecord record;
    REQUIRE(crypto::next_record(bytes, record) == TlsFront::record);
    CHECK(bytes.empty());
    Octets room(record.fragment.size());
    const auto found = keys.open(record, room);
    if (!found) return std::nullopt;
    return Seen{found->type, {found->content.begin(), found->content.end()}};
}

void check_opens(TlsKeys& keys, std::span<const std::byte> bytes, TlsType type,
                 std::span<const std::byte> plain) {
    const auto seen = opened(keys, bytes);
    REQUIRE(seen);
    CHECK(seen->type == type);
    CHECK(hex_of(seen->content) == hex_of(plain));
}

// A record whose inner plaintext is as given: the type and padding by hand.
Octets sealed_as(Aead cipher, std::span<const std::byte> secret, std::span<const std::byte> inner) {
    const auto& hash = suite(cipher).hash;
    crypto::Secret key(crypto::key_size(cipher));
    crypto::expand_label(key.writable(), hash, secret, "key");
    std::array<std::byte, crypto::nonce_size> iv{};
    crypto::expand_label(iv, hash, secret, "iv");
    Octets record(crypto::tls_header_size + inner.size() + crypto::tag_size);
    crypto::put_header(record, TlsType::application_data, inner.size() + crypto::tag_size);
    const auto packet_key = crypto::gnutls_protection().packet_key(cipher, key.bytes());
    REQUIRE(packet_key->seal(record.data() + crypto::tls_header_size, inner, iv,
                             std::span(record).first(crypto::tls_header_size)));
    return record;
}

TlsFront front_of(std::string_view text) {
    const auto bytes = hex(text);
    std::span<const std::byte> rest = bytes;
    TlsRecord record;
    const auto front = crypto::next_record(rest, record);
    CHECK((front == TlsFront::record || rest.size() == bytes.size()));
    return front;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("tls_record: RFC 8448, 3: keys and ivs of both directions") {
        struct Row {
            const Octets& secret;
            const char* key;
            const char* iv;
        };
        for (const Row& row : {Row{client_secret, "17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51",
                                   "5b 78 92 3d ee 08 57 90 33 e5 23 d9"},
                               Row{server_secret, "9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56",
                                   "cf 78 2b 88 dd 83 54 9a ad f1 e9 84"}}) {
            Octets key(16), iv(12);
            crypto::expand_label(key, crypto::Hash::sha256, row.secret, "key");
            crypto::expand_label(iv, crypto::Hash::sha256, row.secret, "iv");
            CHECK(hex_of(key) == row.key);
            CHECK(hex_of(iv) == row.iv);
        }
    }

    TEST_CASE("tls_record: RFC 8448, 3: the records of both directions, sealed and opened") {
        for (const auto* protection : protections()) {
            TlsKeys client(*protection, aes_128(), client_secret);
            CHECK(hex_of(sealed(client, TlsType::application_data, content())) ==
                  hex_of(hex(client_content)));
            CHECK(hex_of(sealed(client, TlsType::alert, hex("01 00"))) ==
                  hex_of(hex(client_alert)));

            TlsKeys at_server(*protection, aes_128(), client_secret);
            check_opens(at_server, hex(client_content), TlsType::application_data, content());
            check_opens(at_server, hex(client_alert), TlsType::alert, hex("01 00"));

            TlsKeys at_client(*protection, aes_128(), server_secret);
            const auto ticket = opened(at_client, hex(server_ticket));
            REQUIRE(ticket);
            CHECK(ticket->type == TlsType::handshake);
            REQUIRE(ticket->content.size() == 205);
            CHECK(ticket->content[0] == std::byte{4});  // NewSessionTicket
            check_opens(at_client, hex(server_content), TlsType::application_data, content());
            check_opens(at_client, hex(server_alert), TlsType::alert, hex("01 00"));

            TlsKeys server(*protection, aes_128(), server_secret);
            CHECK(hex_of(sealed(server, TlsType::handshake, ticket->content)) ==
                  hex_of(hex(server_ticket)));
            CHECK(hex_of(sealed(server, TlsType::application_data, content())) ==
                  hex_of(hex(server_content)));
        }
    }

    TEST_CASE("tls_record: RFC 8446, 7.2: the next generation of a secret counts from 0 again") {
        for (const auto* protection : protections()) {
            TlsKeys sender(*protection, aes_128(), client_secret);
            TlsKeys receiver(*protection, aes_128(), client_secret);
            check_opens(receiver, sealed(sender, TlsType::application_data, content()),
                        TlsType::application_data, content());
            sender.update();
            receiver.update();
            const auto record = sealed(sender, TlsType::application_data, content());
            CHECK(hex_of(record) == hex_of(hex(client_content_updated)));
            check_opens(receiver, record, TlsType::application_data, content());
            // Once more, and one that stayed behind.
            sender.update();
            CHECK_FALSE(opened(receiver, sealed(sender, TlsType::application_data, content())));
        }
    }

    TEST_CASE("tls_record: every cipher seals what it opens, of every size, on every backend") {
        for (const auto cipher : {Aead::aes_128_gcm, Aead::aes_256_gcm, Aead::chacha20_poly1305}) {
            for (const auto* protection : protections()) {
                const Octets secret(48, std::byte{7});
                TlsKeys sender(*protection, suite(cipher), secret);
                TlsKeys receiver(crypto::gnutls_protection(), suite(cipher), secret);
                for (std::size_t size :
                     {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16},
                      std::size_t{1400}, crypto::largest_tls_content}) {
                    const Octets plain(size, std::byte{0x5a});
                    const auto record = sealed(sender, TlsType::application_data, plain);
                    CHECK(record.size() == size + crypto::tls_overhead);
                    check_opens(receiver, record, TlsType::application_data, plain);
                }
            }
        }
    }

    TEST_CASE("tls_record: a record is taken from the stream when it is whole") {
        const auto whole = hex(client_content);
        TlsRecord record;
        for (std::size_t size = 0; size < whole.size(); ++size) {
            std::span<const std::byte> rest = std::span(whole).first(size);
            CHECK(crypto::next_record(rest, record) == TlsFront::incomplete);
            CHECK(rest.size() == size);
        }
        // With the front of the next behind it.
        auto more = whole;
        more.push_back(std::byte{0x17});
        std::span<const std::byte> rest = more;
        REQUIRE(crypto::next_record(rest, record) == TlsFront::record);
        CHECK(record.type == TlsType::application_data);
        CHECK(record.header.size() == crypto::tls_header_size);
        CHECK(record.fragment.size() == 0x43);
        CHECK(rest.size() == 1);
    }

    TEST_CASE("tls_record: what no record begins with is known from the first byte that tells") {
        CHECK(front_of("13") == TlsFront::malformed);
        CHECK(front_of("18") == TlsFront::malformed);  // a heartbeat is not TLS 1.3
        CHECK(front_of("80") == TlsFront::malformed);
        CHECK(front_of("47 45 54 20 2f") == TlsFront::malformed);  // "GET /"
        CHECK(front_of("16 02 00") == TlsFront::malformed);
        CHECK(front_of("16 04 00") == TlsFront::malformed);
        CHECK(front_of("16 fe fd") == TlsFront::malformed);  // DTLS
        CHECK(front_of("16 03") == TlsFront::incomplete);
        // RFC 8446, 5.1: 0x0301 in a first ClientHello; the rest of the number means nothing.
        CHECK(front_of("16 03 01 00 00") == TlsFront::record);
        CHECK(front_of("16 03 ff 00 00") == TlsFront::record);
        CHECK(front_of("17 03 03 41 00") == TlsFront::incomplete);  // 16384 + 256
        CHECK(front_of("17 03 03 41 01") == TlsFront::too_long);
        CHECK(front_of("17 03 03 ff ff") == TlsFront::too_long);
    }

    TEST_CASE("tls_record: padding is cut off, and one that is nothing else has no type") {
        const Octets secret(32, std::byte{9});
        const auto open_one = [&](const Octets& inner) {
            TlsKeys keys(crypto::gnutls_protection(), aes_128(), secret);
            return opened(keys, sealed_as(Aead::aes_128_gcm, secret, inner));
        };
        auto seen = open_one(hex("61 62 00 17 00 00 00"));
        REQUIRE(seen);
        CHECK(seen->type == TlsType::application_data);
        CHECK(hex_of(seen->content) == "61 62 00");
        seen = open_one(hex("17"));  // empty content
        REQUIRE(seen);
        CHECK(seen->type == TlsType::application_data);
        CHECK(seen->content.empty());
        seen = open_one(Octets(crypto::largest_tls_content, std::byte{0}));
        REQUIRE(seen);
        CHECK(seen->type == TlsType{});
        CHECK(seen->content.empty());
        seen = open_one(hex("61 99"));
        REQUIRE(seen);
        CHECK(seen->type == static_cast<TlsType>(0x99));
    }

    TEST_CASE("tls_record: what is not genuine is not opened") {
        const auto genuine = hex(client_content);
        for (const auto* protection : protections()) {
            // Each byte of the header, of the content and of the tag counts.
            for (std::size_t i = 0; i < genuine.size(); ++i) {
                auto forged = genuine;
                forged[i] ^= std::byte{0x04};
                TlsKeys keys(*protection, aes_128(), client_secret);
                std::span<const std::byte> rest = forged;
                TlsRecord record;
                if (crypto::next_record(rest, record) != TlsFront::record) continue;
                Octets room(record.fragment.size());
                CAPTURE(i);
                CHECK_FALSE(keys.open(record, room));
            }
            // Too short for a tag and a type; and a place that is too small.
            for (std::size_t size = 0; size < crypto::tls_trailer_size; ++size) {
                TlsKeys keys(*protection, aes_128(), client_secret);
                Octets record(crypto::tls_header_size + size);
                crypto::put_header(record, TlsType::application_data, size);
                CHECK_FALSE(opened(keys, record));
            }
            TlsKeys keys(*protection, aes_128(), client_secret);
            std::span<const std::byte> rest = genuine;
            TlsRecord record;
            REQUIRE(crypto::next_record(rest, record) == TlsFront::record);
            Octets small(record.fragment.size() - 1);
            CHECK_FALSE(keys.open(record, small));
        }
    }

    TEST_CASE("tls_record: a record has its place: none twice, none left out, none exchanged") {
        const Octets secret(32, std::byte{3});
        TlsKeys sender(crypto::gnutls_protection(), aes_128(), secret);
        const auto first = sealed(sender, TlsType::application_data, hex("61"));
        const auto second = sealed(sender, TlsType::application_data, hex("62"));
        const auto fresh = [&] {
            return std::make_unique<TlsKeys>(crypto::gnutls_protection(), aes_128(), secret);
        };
        auto keys = fresh();
        CHECK(opened(*keys, first));
        CHECK_FALSE(opened(*keys, first));
        keys = fresh();
        CHECK_FALSE(opened(*keys, second));
        keys = fresh();
        CHECK(opened(*keys, first));
        CHECK(opened(*keys, second));
    }

    TEST_CASE("tls_record: the nonce counts through all of its eight bytes, and keys wear out") {
        const Octets secret(32, std::byte{3});
        crypto::Suite suite = aes_128();
        suite.most_sealed = 300;
        TlsKeys sender(crypto::gnutls_protection(), suite, secret);
        TlsKeys receiver(crypto::gnutls_protection(), suite, secret);
        for (int i = 0; i < 300; ++i) {
            CHECK_FALSE(sender.worn());
            REQUIRE(opened(receiver, sealed(sender, TlsType::application_data, hex("61"))));
        }
        CHECK(sender.worn());
        sender.update();
        CHECK_FALSE(sender.worn());
    }
}
