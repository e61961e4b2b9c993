// TLS 1.3 records (RFC 8446, 5): taking a byte stream apart, and protecting records under the
// secret of one direction. The handshake is GnuTLS's (TlsSession); records are here, because they
// are sealed and opened for every 16 KiB of application data, where they stand.
//
//    record { type (8), version (16) = 0x0303, length (16), fragment }
//
//    fragment, protected: AEAD of { content, type (8), padding }, and the tag (128)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "mappings/crypto/key_schedule.hpp"
#include "mappings/crypto/packet_protection.hpp"

namespace post::crypto {

inline constexpr std::size_t tls_header_size = 5;
// RFC 8446, 5.1 and 5.2: of the content, and of what stands behind a header.
inline constexpr std::size_t largest_tls_content = 16384;
inline constexpr std::size_t largest_tls_fragment = largest_tls_content + 256;
// What a protected record is longer than its content: the header before it; its type and the tag
// behind it.
inline constexpr std::size_t tls_trailer_size = 1 + tag_size;
inline constexpr std::size_t tls_overhead = tls_header_size + tls_trailer_size;

enum class TlsType : std::uint8_t {
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
};

struct TlsRecord {
    TlsType type{};
    std::span<const std::byte> header;
    std::span<const std::byte> fragment;
};

// What stands at the front of the stream: a whole record, taken off `rest`; nothing yet; or what no
// TLS 1.3 stream can have: another thing than a record, or one longer than largest_tls_fragment.
enum class TlsFront : std::uint8_t { record, incomplete, malformed, too_long };
TlsFront next_record(std::span<const std::byte>& rest, TlsRecord& record);

// Writes the header of a record that is not protected; `space` has room for it.
void put_header(std::span<std::byte> space, TlsType type, std::size_t fragment_size);

// One direction.
class TlsKeys {
public:
    // Throws Failure when the machine cannot.
    TlsKeys(const PacketProtection& protection, const Suite& suite,
            std::span<const std::byte> secret);
    TlsKeys(const TlsKeys&) = delete;
    TlsKeys& operator=(const TlsKeys&) = delete;
    ~TlsKeys() { wipe(iv_); }

    // The content, of `size` bytes and at most largest_tls_content, stands tls_header_size bytes
    // into `space`, which has tls_overhead more than that. Makes a record of it; how long it is.
    std::size_t seal(TlsType type, std::span<std::byte> space, std::size_t size);
    // Writes what was sealed to `out`, which has room for the fragment, and gives the content and
    // its type, which is 0 where padding was all there is; nothing for a record that is not
    // genuine.
    struct Opened {
        TlsType type{};
        std::span<std::byte> content;
    };
    std::optional<Opened> open(const TlsRecord& record, std::span<std::byte> out);

    // RFC 8446, 7.2: the next generation of the secret.
    void update();
    // RFC 8446, 5.5: so many records that it is time for that.
    bool worn() const { return sequence_ >= suite_.most_sealed; }

private:
    using Iv = std::array<std::byte, nonce_size>;

    void derive_keys();
    Iv next_nonce();

    const PacketProtection& protection_;
    const Suite& suite_;
    Secret secret_;
    std::unique_ptr<PacketKey> key_;
    Iv iv_{};
    std::uint64_t sequence_ = 0;
};

}  // namespace post::crypto
