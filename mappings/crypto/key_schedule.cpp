// Labels, salts and limits, as the RFCs write them; HKDF is GnuTLS's.
#include "mappings/crypto/key_schedule.hpp"

#include <algorithm>
#include <cassert>

#include <gnutls/crypto.h>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

template <class... Values> constexpr auto bytes(Values... values) {
    return std::array{static_cast<std::byte>(values)...};
}

struct Version {
    std::array<std::byte, 20> initial_salt;
    std::array<std::byte, 16> retry_key;
    std::string_view key;
    std::string_view iv;
    std::string_view header_key;
    std::string_view next;
};

// RFC 9001, 5.2, 5.8, 5.1 and 6.1
constexpr Version version_1 = {bytes(0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                     0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a),
                               bytes(0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76,
                                     0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e),
                               "quic key",
                               "quic iv",
                               "quic hp",
                               "quic ku"};
// RFC 9369, 3.3.1 to 3.3.3
constexpr Version version_2 = {bytes(0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                                     0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9),
                               bytes(0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb,
                                     0xcb, 0xce, 0xad, 0x7c, 0xcc, 0x92),
                               "quicv2 key",
                               "quicv2 iv",
                               "quicv2 hp",
                               "quicv2 ku"};

const Version& of(QuicVersion version) {
    return version == QuicVersion::v2 ? version_2 : version_1;
}

// RFC 9001, 6.6: 2^23 packets of at most 2^11 bytes with one AES-GCM key, and more of ChaCha20 than
// there are packet numbers; 2^52 and 2^36 forgeries.
constexpr std::uint64_t two_to(unsigned power) { return std::uint64_t{1} << power; }
constexpr Suite aes_128 = {Aead::aes_128_gcm, Hash::sha256, two_to(23), two_to(52)};
constexpr Suite aes_256 = {Aead::aes_256_gcm, Hash::sha384, two_to(23), two_to(52)};
constexpr Suite chacha20 = {Aead::chacha20_poly1305, Hash::sha256, two_to(62), two_to(36)};

gnutls_mac_algorithm_t native(Hash hash) {
    return hash == Hash::sha256 ? GNUTLS_MAC_SHA256 : GNUTLS_MAC_SHA384;
}

gnutls_datum_t datum_of(std::span<const std::byte> text) {
    return {reinterpret_cast<unsigned char*>(const_cast<std::byte*>(text.data())),
            static_cast<unsigned>(text.size())};
}

}  // namespace

const Suite& initial_suite() { return aes_128; }

const Suite* suite_of(gnutls_session_int* session, bool early) {
    switch (early ? gnutls_early_cipher_get(session) : gnutls_cipher_get(session)) {
        case GNUTLS_CIPHER_AES_128_GCM: return &aes_128;
        case GNUTLS_CIPHER_AES_256_GCM: return &aes_256;
        case GNUTLS_CIPHER_CHACHA20_POLY1305: return &chacha20;
        default: return nullptr;
    }
}

// struct { uint16 length; opaque label<7..255> = "tls13 " + label; opaque context<0..255> = "" }
void expand_label(std::span<std::byte> out, Hash hash, std::span<const std::byte> secret,
                  std::string_view label) {
    constexpr std::string_view prefix = "tls13 ";
    std::array<std::byte, 32> info{};
    assert(prefix.size() + label.size() + 4 <= info.size());
    info[0] = static_cast<std::byte>(out.size() >> 8);
    info[1] = static_cast<std::byte>(out.size() & 0xff);
    info[2] = static_cast<std::byte>(prefix.size() + label.size());
    auto* end = info.data() + 3;
    for (auto part : {prefix, label})
        end = std::copy_n(reinterpret_cast<const std::byte*>(part.data()), part.size(), end);
    *end++ = std::byte{0};

    auto key = datum_of(secret);
    auto text = datum_of({info.data(), end});
    must(gnutls_hkdf_expand(native(hash), &key, &text, out.data(), out.size()), "HKDF");
}

void derive_initial(InitialSecrets& out, QuicVersion version, std::span<const std::byte> id) {
    Secret initial(32);
    auto input = datum_of(id);
    auto salt = datum_of(of(version).initial_salt);
    must(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &input, &salt, initial.writable().data()), "HKDF");
    expand_label(out.client.writable(), Hash::sha256, initial.bytes(), "client in");
    expand_label(out.server.writable(), Hash::sha256, initial.bytes(), "server in");
}

void derive(PacketSecrets& out, const Suite& suite, QuicVersion version,
            std::span<const std::byte> secret) {
    const auto& labels = of(version);
    expand_label(out.key.writable(), suite.hash, secret, labels.key);
    expand_label(out.iv, suite.hash, secret, labels.iv);
    expand_label(out.header_key.writable(), suite.hash, secret, labels.header_key);
}

void derive_next(std::span<std::byte> next, Hash hash, QuicVersion version,
                 std::span<const std::byte> secret) {
    expand_label(next, hash, secret, of(version).next);
}

std::span<const std::byte, 16> retry_key(QuicVersion version) { return of(version).retry_key; }

}  // namespace post::crypto
