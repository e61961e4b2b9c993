// DTLS 1.2 records (RFC 6347, 4.1): taking datagrams apart, and protecting records under the keys
// of a handshake that is complete. Everything before that is GnuTLS's; what follows it is only
// records, and those are here, because they are sealed and opened for every packet.
//
//    record { type (8), version (16) = 0xfefd, epoch (16), sequence (48), length (16), fragment }
//
//    fragment with AES-GCM (RFC 5288, 3):          { explicit nonce (64), sealed, tag (128) }
//    fragment with ChaCha20-Poly1305 (RFC 7905):   { sealed, tag (128) }
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "mappings/crypto/packet_protection.hpp"

struct gnutls_session_int;

namespace post::crypto {

inline constexpr std::size_t dtls_header_size = 13;
// RFC 5246, 6.2.1.
inline constexpr std::size_t largest_dtls_fragment = 16384;

enum class DtlsType : std::uint8_t {
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
};

struct DtlsRecord {
    DtlsType type{};
    std::uint16_t epoch = 0;
    std::uint64_t sequence = 0;           // 48 bits
    std::span<const std::byte> whole;     // with its header
    std::span<const std::byte> fragment;  // without
};

// Takes the next record off `rest`; nothing, and `rest` empty, when what is left is none.
std::optional<DtlsRecord> next_record(std::span<const std::byte>& rest);
// Writes a header; `space` has room for it.
void put_header(std::span<std::byte> space, const DtlsRecord& record, std::size_t fragment_size);

// Which of the newest records were seen (RFC 6347, 4.1.2.6).
class ReplayWindow {
public:
    // Batches of a fast sender overtake each other by more than RFC's 64.
    static constexpr std::uint64_t width = 256;

    bool seen(std::uint64_t sequence) const;  // or too old to tell
    void note(std::uint64_t sequence);

private:
    std::array<std::uint64_t, width / 64> bits_{};
    std::uint64_t next_ = 0;  // one after the newest
};

// Both directions of a complete handshake. DTLS 1.2 changes keys by renegotiation only, which we do
// not do: there is one epoch.
class DtlsKeys {
public:
    // Takes the keys from a native session whose handshake is complete. `next`: the sequence of our
    // next record. Throws Failure when the machine cannot.
    DtlsKeys(gnutls_session_int* native, const PacketProtection& protection, std::uint64_t next);
    ~DtlsKeys();

    static constexpr std::uint16_t epoch = 1;

    // What a record is longer than its content: before it, and all in all.
    std::size_t prefix() const { return dtls_header_size + explicit_nonce_; }
    std::size_t overhead() const { return prefix() + tag_size; }

    // Writes a record to `out`; its size, or 0 when there is no room for it or no sequence left.
    // `plain` may stand where its ciphertext will, prefix() bytes into `out`.
    std::size_t seal(DtlsType type, std::span<const std::byte> plain, std::span<std::byte> out);
    // Writes the content of a record to `out` and returns it; nothing for a record that is not
    // genuine, not new, or for which there is no room.
    std::optional<std::span<std::byte>> open(const DtlsRecord& record, std::span<std::byte> out);

private:
    using Salt = std::array<std::byte, nonce_size>;  // AES-GCM uses the first four bytes

    Salt nonce(const Salt& salt, std::uint64_t explicit_part) const;

    std::unique_ptr<PacketKey> ours_;
    std::unique_ptr<PacketKey> theirs_;
    Salt our_salt_{};
    Salt their_salt_{};
    ReplayWindow window_;
    std::uint64_t next_;
    std::size_t explicit_nonce_ = 0;  // bytes of it that travel
};

}  // namespace post::crypto
