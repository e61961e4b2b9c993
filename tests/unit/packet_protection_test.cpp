// Packet protection: every backend opens what every other one sealed, byte by byte the same, and
// opens nothing else.
#include "mappings/crypto/packet_protection.hpp"

#include <doctest/doctest.h>

#include <random>

#include <post/error.hpp>

#include "tests/seed.hpp"
#include "tests/unit/packet_protection_support.hpp"

using namespace post;
using namespace post::test;
using crypto::Aead;

namespace {

constexpr Aead ciphers[] = {Aead::aes_128_gcm, Aead::aes_256_gcm, Aead::chacha20_poly1305};

class Noise {
public:
    std::vector<std::byte> bytes(std::size_t size) {
        std::vector<std::byte> some(size);
        for (auto& byte : some) byte = static_cast<std::byte>(random_() & 0xff);
        return some;
    }
    std::size_t below(std::size_t limit) { return random_() % limit; }

private:
    std::mt19937_64 random_{seed()};
};

std::vector<std::byte> sealed(const crypto::PacketKey& key, std::span<const std::byte> plain,
                              crypto::Nonce nonce, std::span<const std::byte> header) {
    std::vector<std::byte> out(plain.size() + crypto::tag_size);
    REQUIRE(key.seal(out.data(), plain, nonce, header));
    return out;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("what one backend seals the other seals alike, and opens") {
        Noise noise;
        for (const Aead cipher : ciphers) {
            CAPTURE(static_cast<int>(cipher));
            for (std::size_t round = 0; round < 400; ++round) {
                const auto key = noise.bytes(crypto::key_size(cipher));
                const auto nonce = noise.bytes(crypto::nonce_size);
                const auto header = noise.bytes(1 + noise.below(40));
                // Every size around the blocks, then any that a packet can have.
                const auto plain = noise.bytes(round < 200 ? round : noise.below(1501));
                const auto expected = sealed(*crypto::gnutls_protection().packet_key(cipher, key),
                                             plain, crypto::Nonce(nonce), header);
                for (const auto* protection : protections()) {
                    const auto mine = protection->packet_key(cipher, key);
                    CHECK(sealed(*mine, plain, crypto::Nonce(nonce), header) == expected);
                    std::vector<std::byte> out(plain.size());
                    CHECK(mine->open(out.data(), expected, crypto::Nonce(nonce), header));
                    CHECK(out == plain);
                }
            }
        }
    }

    TEST_CASE("a packet is sealed and opened where it lies") {
        Noise noise;
        for (const auto* protection : protections()) {
            for (const Aead cipher : ciphers) {
                const auto key = protection->packet_key(cipher,
                                                        noise.bytes(crypto::key_size(cipher)));
                const auto nonce = noise.bytes(crypto::nonce_size);
                const auto header = noise.bytes(20);
                const auto plain = noise.bytes(1420);
                auto packet = plain;
                packet.resize(plain.size() + crypto::tag_size);
                const auto body = std::span(packet).first(plain.size());
                REQUIRE(key->seal(packet.data(), body, crypto::Nonce(nonce), header));
                CHECK(packet == sealed(*key, plain, crypto::Nonce(nonce), header));
                REQUIRE(key->open(packet.data(), packet, crypto::Nonce(nonce), header));
                CHECK(std::equal(plain.begin(), plain.end(), packet.begin()));
            }
        }
    }

    TEST_CASE("one flipped bit anywhere, and a packet is not opened, nor shown") {
        Noise noise;
        for (const auto* protection : protections()) {
            CAPTURE(protection->name());
            for (const Aead cipher : ciphers) {
                CAPTURE(static_cast<int>(cipher));
                const auto key = protection->packet_key(cipher,
                                                        noise.bytes(crypto::key_size(cipher)));
                const auto nonce = noise.bytes(crypto::nonce_size);
                const auto header = noise.bytes(24);
                const auto plain = noise.bytes(100);
                const auto packet = sealed(*key, plain, crypto::Nonce(nonce), header);
                const std::vector<std::byte> nothing(plain.size());

                const auto refused = [&](const auto& body, const auto& number, const auto& front) {
                    std::vector<std::byte> out(plain.size(), std::byte{0x55});
                    const bool open = key->open(out.data(), body, crypto::Nonce(number), front);
                    return !open && out == nothing;
                };
                const auto every_bit = [&](std::vector<std::byte> bytes, const auto& check) {
                    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
                        bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
                        CHECK(check(bytes));
                        bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
                    }
                };
                every_bit(packet, [&](const auto& it) { return refused(it, nonce, header); });
                every_bit(nonce, [&](const auto& it) { return refused(packet, it, header); });
                every_bit(header, [&](const auto& it) { return refused(packet, nonce, it); });
                const std::vector<std::byte> shorter(header.begin(), header.end() - 1);
                CHECK(refused(packet, nonce, shorter));
            }
        }
    }

    TEST_CASE("what is shorter than a tag is never a packet") {
        Noise noise;
        for (const auto* protection : protections()) {
            for (const Aead cipher : ciphers) {
                const auto key = protection->packet_key(cipher,
                                                        noise.bytes(crypto::key_size(cipher)));
                const auto nonce = noise.bytes(crypto::nonce_size);
                std::byte untouched{0x55};
                for (std::size_t size = 0; size < crypto::tag_size; ++size)
                    CHECK_FALSE(key->open(&untouched, noise.bytes(size), crypto::Nonce(nonce), {}));
                CHECK(untouched == std::byte{0x55});
            }
        }
    }

    TEST_CASE("all backends hide a header with the same mask") {
        Noise noise;
        for (const Aead cipher : ciphers) {
            CAPTURE(static_cast<int>(cipher));
            for (int round = 0; round < 200; ++round) {
                const auto key = noise.bytes(crypto::key_size(cipher));
                const auto sample = noise.bytes(crypto::sample_size);
                const auto expected = crypto::gnutls_protection()
                                          .header_key(cipher, key)
                                          ->mask(crypto::Sample(sample));
                for (const auto* protection : protections())
                    CHECK(protection->header_key(cipher, key)->mask(crypto::Sample(sample)) ==
                          expected);
            }
        }
    }

    TEST_CASE("through a chain of key updates every backend opens the others' packets") {
        Noise noise;
        for (const auto version : {crypto::QuicVersion::v1, crypto::QuicVersion::v2}) {
            for (const Aead cipher : ciphers) {
                auto secret = noise.bytes(cipher == Aead::aes_256_gcm ? 48 : 32);
                for (int phase = 0; phase < 20; ++phase) {
                    crypto::PacketSecrets secrets(cipher);
                    derive(secrets, suite(cipher), version, secret);
                    const auto plain = noise.bytes(300);
                    for (const auto* from : protections()) {
                        auto packet =
                            Direction(*from, secrets, cipher).protect(hex("41 00 07"), 7, plain);
                        for (const auto* to : protections()) {
                            auto copy = packet;
                            CHECK(Direction(*to, secrets, cipher).unprotect(copy, 1, 7) == plain);
                        }
                    }
                    std::vector<std::byte> next(secret.size());
                    derive_next(next, suite(cipher).hash, version, secret);
                    CHECK(next != secret);
                    secret = next;
                }
            }
        }
    }

    TEST_CASE("the backend asked for is the one given, or it is said why not") {
        using Backend = crypto::PacketProtectionBackend;
        const auto ipsec_mb = crypto::ipsec_mb_protection();
        CHECK(&crypto::packet_protection(Backend::gnutls) == &crypto::gnutls_protection());
        if (ipsec_mb.protection != nullptr) {
            CHECK(&crypto::packet_protection(Backend::ipsec_mb) == ipsec_mb.protection);
            CHECK(&crypto::packet_protection(Backend::automatic) == ipsec_mb.protection);
            return;
        }
        CHECK(&crypto::packet_protection(Backend::automatic) == &crypto::gnutls_protection());
        CHECK(!ipsec_mb.why_not.empty());
        CHECK_THROWS_AS(crypto::packet_protection(Backend::ipsec_mb), Failure);
    }
}
