// The key schedule of QUIC: how packet protection's keys come from TLS's secrets (RFC 9001, 5.1,
// 5.2 and 6.1), with the labels and the salt of version 1 or of version 2 (RFC 9369, 3.3).
//
//   client's first connection id --salt--> initial secret --"client in"--> secret of a direction
//                                                         --"server in"--> secret of the other
//   secret of a direction --"quic key"--> key    --"quic iv"--> iv    --"quic hp"--> header key
//                         --"quic ku"---> the secret of the next phase
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mappings/crypto/packet_protection.hpp"

struct gnutls_session_int;

namespace post::crypto {

enum class Hash : std::uint8_t { sha256, sha384 };

// A cipher suite of TLS 1.3, and how long one of its keys may be used (RFC 9001, 6.6).
struct Suite {
    Aead cipher;
    Hash hash;
    std::uint64_t most_sealed;  // packets with one key
    std::uint64_t most_forged;  // packets of a connection that were not genuine
};

// Initial packets: AES-128-GCM and SHA-256 in both versions.
const Suite& initial_suite();
// What the handshake chose; null before it has. `early`: for 0-RTT.
const Suite* suite_of(gnutls_session_int* session, bool early);

enum class QuicVersion : std::uint32_t { v1 = 0x00000001, v2 = 0x6b3343cf };

// At most as long as a SHA-384, and wiped at the end.
class Secret {
public:
    explicit Secret(std::size_t size) : size_(size) {}
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { wipe(bytes_); }

    std::span<std::byte> writable() { return std::span(bytes_).first(size_); }
    std::span<const std::byte> bytes() const { return std::span(bytes_).first(size_); }

private:
    std::array<std::byte, 48> bytes_{};
    std::size_t size_;
};

struct InitialSecrets {
    Secret client{32};
    Secret server{32};
};
// `id`: what the client chose as its first destination, or what a Retry gave it.
void derive_initial(InitialSecrets& out, QuicVersion version, std::span<const std::byte> id);

struct PacketSecrets {
    explicit PacketSecrets(Aead cipher) : key(key_size(cipher)), header_key(key_size(cipher)) {}

    Secret key;
    Secret header_key;
    std::array<std::byte, nonce_size> iv{};
};
void derive(PacketSecrets& out, const Suite& suite, QuicVersion version,
            std::span<const std::byte> secret);

// RFC 9001, 6.1: `next` is as long as `secret`. The header key stays.
void derive_next(std::span<std::byte> next, Hash hash, QuicVersion version,
                 std::span<const std::byte> secret);

// RFC 8446, 7.1: HKDF-Expand-Label with an empty context; as many bytes as `out` has.
void expand_label(std::span<std::byte> out, Hash hash, std::span<const std::byte> secret,
                  std::string_view label);

// RFC 9001, 5.8 and RFC 9369, 3.3.3: the AES-128-GCM key of Retry packets' integrity tags.
std::span<const std::byte, 16> retry_key(QuicVersion version);

}  // namespace post::crypto
