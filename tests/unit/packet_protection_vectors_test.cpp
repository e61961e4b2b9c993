// Packet protection against the examples of RFC 9001, appendix A (version 1) and RFC 9369, appendix
// A (version 2), on each backend that this machine has.
#include <doctest/doctest.h>

#include "tests/unit/packet_protection_support.hpp"

using namespace post;
using namespace post::test;
using crypto::Aead;
using crypto::Hash;
using crypto::QuicVersion;

namespace {

// What the examples call the client's Destination Connection ID.
const std::vector<std::byte> client_choice = hex("8394c8f03e515708");

// A.5: one secret for both versions.
constexpr const char* chacha_secret =
    "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";

// A.2: the CRYPTO frame with the ClientHello, then PADDING.
std::vector<std::byte> client_payload() {
    auto payload = hex(
        "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
        "04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
        "616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
        "04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
        "baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
        "0d0010000e0403050306030203080408050806002d00020101001c0002400100"
        "3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
        "75300901100f088394c8f03e51570806048000ffff");
    payload.resize(1162);
    return payload;
}

// A.3: an ACK, and a CRYPTO frame with the ServerHello.
std::vector<std::byte> server_payload() {
    return hex(
        "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739"
        "88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94"
        "0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00"
        "020304");
}

struct Keys {
    const char* secret;
    const char* key;
    const char* iv;
    const char* header_key;
};

void check_keys(const Keys& expected, Aead cipher, QuicVersion version,
                std::span<const std::byte> secret) {
    CHECK(hex_of(secret) == hex_of(hex(expected.secret)));
    crypto::PacketSecrets secrets(cipher);
    derive(secrets, suite(cipher), version, secret);
    CHECK(hex_of(secrets.key.bytes()) == hex_of(hex(expected.key)));
    CHECK(hex_of(secrets.iv) == hex_of(hex(expected.iv)));
    CHECK(hex_of(secrets.header_key.bytes()) == hex_of(hex(expected.header_key)));
}

Direction initial_direction(const crypto::PacketProtection& protection, QuicVersion version,
                            bool client) {
    crypto::InitialSecrets initial;
    derive_initial(initial, version, client_choice);
    crypto::PacketSecrets secrets(Aead::aes_128_gcm);
    derive(secrets, crypto::initial_suite(), version,
           (client ? initial.client : initial.server).bytes());
    return Direction(protection, secrets, Aead::aes_128_gcm);
}

std::span<const std::byte> front(const std::vector<std::byte>& packet, std::size_t size) {
    return std::span(packet).first(size);
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("Initial keys are those of RFC 9001 and RFC 9369, A.1") {
        struct Row {
            QuicVersion version;
            Keys client;
            Keys server;
        };
        const Row rows[] = {
            {QuicVersion::v1,
             {"c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
              "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c",
              "9f50449e04a0e810283a1e9933adedd2"},
             {"3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
              "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e",
              "c206b8d9b9f0f37644430b490eeaa314"}},
            {QuicVersion::v2,
             {"14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b",
              "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f",
              "45b95e15235d6f45a6b19cbcb0294ba9"},
             {"0263db1782731bf4588e7e4d93b7463907cb8cd8200b5da55a8bd488eafc37c1",
              "82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652",
              "edf6d05c83121201b436e16877593c3a"}},
        };
        for (const Row& row : rows) {
            CAPTURE(static_cast<unsigned>(row.version));
            crypto::InitialSecrets secrets;
            derive_initial(secrets, row.version, client_choice);
            check_keys(row.client, Aead::aes_128_gcm, row.version, secrets.client.bytes());
            check_keys(row.server, Aead::aes_128_gcm, row.version, secrets.server.bytes());
        }
    }

    TEST_CASE("ChaCha20 keys and the next phase are those of RFC 9001 and RFC 9369, A.5") {
        struct Row {
            QuicVersion version;
            Keys keys;
            const char* next;
        };
        const Row rows[] = {
            {QuicVersion::v1,
             {chacha_secret, "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8",
              "e0459b3474bdd0e44a41c144",
              "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"},
             "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"},
            {QuicVersion::v2,
             {chacha_secret, "3bfcddd72bcf02541d7fa0dd1f5f9eeea817e09a6963a0e6c7df0f9a1bab90f2",
              "a6b5bc6ab7dafce30ffff5dd",
              "d659760d2ba434a226fd37b35c69e2da8211d10c4f12538787d65645d5d1b8e2"},
             "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88"},
        };
        for (const Row& row : rows) {
            CAPTURE(static_cast<unsigned>(row.version));
            const auto secret = hex(chacha_secret);
            check_keys(row.keys, Aead::chacha20_poly1305, row.version, secret);
            crypto::Secret next(32);
            derive_next(next.writable(), Hash::sha256, row.version, secret);
            CHECK(hex_of(next.bytes()) == hex_of(hex(row.next)));
        }
    }

    TEST_CASE("a client's Initial packet is that of RFC 9001 and RFC 9369, A.2") {
        struct Row {
            QuicVersion version;
            const char* header;
            const char* hidden;  // the header protected, and the sample
        };
        const Row rows[] = {
            {QuicVersion::v1, "c300000001088394c8f03e5157080000449e00000002",
             "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b"},
            {QuicVersion::v2, "d36b3343cf088394c8f03e5157080000449e00000002",
             "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071"},
        };
        for (const auto* protection : protections()) {
            CAPTURE(protection->name());
            for (const Row& row : rows) {
                const auto direction = initial_direction(*protection, row.version, true);
                auto packet = direction.protect(hex(row.header), 2, client_payload());
                REQUIRE(packet.size() == 1200);
                const auto hidden = hex(row.hidden);
                CHECK(hex_of(front(packet, hidden.size())) == hex_of(hidden));
                // The tag covers every byte before it.
                if (row.version == QuicVersion::v1)
                    CHECK(hex_of(std::span(packet).last(16)) ==
                          hex_of(hex("e221af44860018ab0856972e194cd934")));
                CHECK(direction.unprotect(packet, 18, 2) == client_payload());
                CHECK(hex_of(front(packet, 22)) == hex_of(hex(row.header)));
            }
        }
    }

    TEST_CASE("a server's Initial packet is that of RFC 9001 and RFC 9369, A.3") {
        struct Row {
            QuicVersion version;
            const char* header;
            const char* packet;
        };
        const Row rows[] = {
            {QuicVersion::v1, "c1000000010008f067a5502a4262b50040750001",
             "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a"
             "5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3"
             "dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
             "022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4"
             "2158407dd074ee"},
            {QuicVersion::v2, "d16b3343cf0008f067a5502a4262b50040750001",
             "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698"
             "baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17"
             "f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2"
             "c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8"
             "4bed8521e2e140"},
        };
        for (const auto* protection : protections()) {
            CAPTURE(protection->name());
            for (const Row& row : rows) {
                const auto direction = initial_direction(*protection, row.version, false);
                auto packet = direction.protect(hex(row.header), 1, server_payload());
                CHECK(hex_of(packet) == hex_of(hex(row.packet)));
                CHECK(direction.unprotect(packet, 18, 1) == server_payload());
            }
        }
    }

    TEST_CASE("a Retry packet's integrity tag is that of RFC 9001 and RFC 9369, A.4") {
        struct Row {
            QuicVersion version;
            const char* nonce;
            const char* packet;
        };
        const Row rows[] = {
            {QuicVersion::v1, "461599d35d632bf2239825bb",
             "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba"},
            {QuicVersion::v2, "d86969bc2d7c6d9990efb04a",
             "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6"},
        };
        for (const auto* protection : protections()) {
            CAPTURE(protection->name());
            for (const Row& row : rows) {
                const auto packet = hex(row.packet);
                const auto nonce = hex(row.nonce);
                // The pseudo-packet: the original id with its length, then the packet to its tag.
                auto pseudo = hex("08");
                pseudo.insert(pseudo.end(), client_choice.begin(), client_choice.end());
                pseudo.insert(pseudo.end(), packet.begin(), packet.end() - 16);
                for (const bool dormant : {false, true}) {
                    const auto bytes = crypto::retry_key(row.version);
                    const auto key = dormant ? crypto::dormant_packet_key(*protection,
                                                                          Aead::aes_128_gcm, bytes)
                                             : protection->packet_key(Aead::aes_128_gcm, bytes);
                    std::vector<std::byte> tag(16);
                    CHECK(key->seal(tag.data(), {}, crypto::Nonce(nonce), pseudo));
                    CHECK(hex_of(tag) == hex_of(std::span(packet).last(16)));
                    CHECK(key->open(tag.data(), tag, crypto::Nonce(nonce), pseudo));
                }
            }
        }
    }

    TEST_CASE("a short packet with ChaCha20-Poly1305 is that of RFC 9001 and RFC 9369, A.5") {
        struct Row {
            QuicVersion version;
            const char* packet;
        };
        const Row rows[] = {
            {QuicVersion::v1, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"},
            {QuicVersion::v2, "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba"},
        };
        for (const auto* protection : protections()) {
            CAPTURE(protection->name());
            for (const Row& row : rows) {
                crypto::PacketSecrets secrets(Aead::chacha20_poly1305);
                derive(secrets, suite(Aead::chacha20_poly1305), row.version, hex(chacha_secret));
                const Direction direction(*protection, secrets, Aead::chacha20_poly1305);
                const auto payload = hex("01");
                auto packet = direction.protect(hex("4200bff4"), 654360564, payload);
                CHECK(hex_of(packet) == hex_of(hex(row.packet)));
                CHECK(direction.unprotect(packet, 1, 654360564) == payload);
            }
        }
    }
}
