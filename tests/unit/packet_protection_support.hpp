// What the tests of packet protection share: the backends of this machine, and whole packets
// protected and unprotected as RFC 9001, 5.3 and 5.4 say.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <ostream>
#include <vector>

#include "mappings/crypto/key_schedule.hpp"
#include "mappings/crypto/packet_protection.hpp"
#include "tests/unit/framing_support.hpp"

namespace post::test {

// GnuTLS, and libipsec-mb where it is.
inline std::vector<const crypto::PacketProtection*> protections() {
    std::vector<const crypto::PacketProtection*> all = {&crypto::gnutls_protection()};
    const auto ipsec_mb = crypto::ipsec_mb_protection();
    if (ipsec_mb.protection != nullptr)
        all.push_back(ipsec_mb.protection);
    else
        MESSAGE("libipsec-mb is not tested: ", std::string(ipsec_mb.why_not));
    return all;
}

inline crypto::Suite suite(crypto::Aead cipher) {
    return {cipher,
            cipher == crypto::Aead::aes_256_gcm ? crypto::Hash::sha384 : crypto::Hash::sha256, 0,
            0};
}

// One direction of a connection: seals and opens whole packets.
class Direction {
public:
    Direction(const crypto::PacketProtection& protection, const crypto::PacketSecrets& secrets,
              crypto::Aead cipher)
        : packet_(protection.packet_key(cipher, secrets.key.bytes())),
          header_(protection.header_key(cipher, secrets.header_key.bytes())),
          iv_(secrets.iv) {}

    // `header` ends in the packet number, whose length is in its first byte.
    std::vector<std::byte> protect(std::vector<std::byte> header, std::uint64_t number,
                                   std::span<const std::byte> payload) const {
        const auto nonce = nonce_of(number);
        const std::size_t place = header.size() - number_size(header[0]);
        std::vector<std::byte> packet = header;
        packet.resize(header.size() + payload.size() + crypto::tag_size);
        REQUIRE(packet_->seal(packet.data() + header.size(), payload, nonce, header));
        hide(packet, place, number_size(header[0]));
        return packet;
    }

    // `place`: where the packet number is. The header comes out in `packet`.
    std::optional<std::vector<std::byte>> unprotect(std::vector<std::byte>& packet,
                                                    std::size_t place, std::uint64_t number) const {
        const auto mask = header_->mask(sample(packet, place));
        packet[0] ^= mask[0] & first_bits(packet[0]);
        const std::size_t size = number_size(packet[0]);
        for (std::size_t i = 0; i < size; ++i) packet[place + i] ^= mask[1 + i];
        const std::span<const std::byte> whole = packet;
        const auto sealed = whole.subspan(place + size);
        std::vector<std::byte> payload(sealed.size() - crypto::tag_size);
        if (!packet_->open(payload.data(), sealed, nonce_of(number), whole.first(place + size)))
            return std::nullopt;
        return payload;
    }

private:
    static std::size_t number_size(std::byte first) {
        return std::to_integer<std::size_t>(first & std::byte{3}) + 1;
    }
    static std::byte first_bits(std::byte first) {
        return (first & std::byte{0x80}) != std::byte{0} ? std::byte{0x0f} : std::byte{0x1f};
    }
    static crypto::Sample sample(std::span<const std::byte> packet, std::size_t place) {
        return crypto::Sample(packet.subspan(place + 4, crypto::sample_size));
    }
    std::array<std::byte, crypto::nonce_size> nonce_of(std::uint64_t number) const {
        auto nonce = iv_;
        for (std::size_t i = 0; i < 8; ++i)
            nonce[nonce.size() - 1 - i] ^= static_cast<std::byte>(number >> (8 * i) & 0xff);
        return nonce;
    }
    void hide(std::vector<std::byte>& packet, std::size_t place, std::size_t size) const {
        const auto mask = header_->mask(sample(packet, place));
        packet[0] ^= mask[0] & first_bits(packet[0]);
        for (std::size_t i = 0; i < size; ++i) packet[place + i] ^= mask[1 + i];
    }

    std::unique_ptr<crypto::PacketKey> packet_;
    std::unique_ptr<crypto::HeaderKey> header_;
    std::array<std::byte, crypto::nonce_size> iv_;
};

}  // namespace post::test
