// Packet protection (RFC 9001, 5.3 and 5.4): a PacketKey seals and opens packets, a HeaderKey makes
// the masks that hide packet numbers. Who computes it is a PacketProtection, chosen at run time:
// GnuTLS everywhere, libipsec-mb where the build and the processor have what it takes.
//
// A PacketProtection may serve several threads, a key serves one at a time. Only making a key
// allocates; a key wipes itself when it goes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace post::crypto {

enum class Aead : std::uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };

constexpr std::size_t key_size(Aead cipher) { return cipher == Aead::aes_128_gcm ? 16 : 32; }

// The same for all three ciphers (RFC 5116, 5.1; RFC 8439, 2.8; RFC 9001, 5.4.1 and 5.4.2).
inline constexpr std::size_t nonce_size = 12;
inline constexpr std::size_t tag_size = 16;
inline constexpr std::size_t sample_size = 16;
inline constexpr std::size_t mask_size = 5;

using Nonce = std::span<const std::byte, nonce_size>;
using Sample = std::span<const std::byte, sample_size>;
using Mask = std::array<std::byte, mask_size>;

class PacketKey {
public:
    virtual ~PacketKey() = default;

    // Writes the ciphertext and the tag, plain.size() + tag_size bytes, to `out`, which may be
    // where `plain` is. False when the library refuses, which no input makes it do.
    virtual bool seal(std::byte* out, std::span<const std::byte> plain, Nonce nonce,
                      std::span<const std::byte> header) const = 0;
    // Writes the plaintext, sealed.size() - tag_size bytes, to `out`, which may be where `sealed`
    // is. False when it was not sealed with this key, nonce and header; what is in `out` is then
    // not the plaintext.
    virtual bool open(std::byte* out, std::span<const std::byte> sealed, Nonce nonce,
                      std::span<const std::byte> header) const = 0;
};

class HeaderKey {
public:
    virtual ~HeaderKey() = default;

    virtual Mask mask(Sample sample) const = 0;
};

class PacketProtection {
public:
    virtual ~PacketProtection() = default;

    virtual std::string_view name() const = 0;
    // `key` has key_size(cipher) bytes. Both throw Failure when the machine cannot.
    virtual std::unique_ptr<PacketKey> packet_key(Aead cipher,
                                                  std::span<const std::byte> key) const = 0;
    virtual std::unique_ptr<HeaderKey> header_key(Aead cipher,
                                                  std::span<const std::byte> key) const = 0;
};

enum class PacketProtectionBackend : std::uint8_t { automatic, gnutls, ipsec_mb };

// They live as long as the process. automatic: the fastest there is. Throws Failure, with the
// reason, when the one asked for cannot be had.
const PacketProtection& packet_protection(PacketProtectionBackend backend);

const PacketProtection& gnutls_protection();

// libipsec-mb, or why it cannot be had.
struct IpsecMb {
    const PacketProtection* protection = nullptr;
    std::string_view why_not;
};
IpsecMb ipsec_mb_protection();

// A key that costs its bytes only until it is used: the keys of the next phase (RFC 9001, 6.3) and
// of Retry stand ready for as long as a connection lasts, and mostly for nothing.
std::unique_ptr<PacketKey> dormant_packet_key(const PacketProtection& protection, Aead cipher,
                                              std::span<const std::byte> key);

// Overwrites what was secret, whatever the optimiser thinks of it.
void wipe(std::span<std::byte> secret);

}  // namespace post::crypto
