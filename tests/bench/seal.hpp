// Seal: QUIC's packet protection by GnuTLS (RFC 9001, 5.3 and 5.4): AES-128-GCM, and the mask over
// the header. Both ends have the same fixed key: it protects nothing, it costs the same.
#pragma once

#include <gnutls/crypto.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace post::bench {

class Seal {
public:
    static constexpr std::size_t tag_size = 16;
    // RFC 9000, 17.3.1: flags (1), connection id (8 here), packet number (2 here).
    static constexpr std::size_t header_size = 11;
    static constexpr std::size_t overhead = header_size + tag_size;

    Seal();
    Seal(const Seal&) = delete;
    Seal& operator=(const Seal&) = delete;
    ~Seal();

    // Fills `datagram` with a header, as much of `plain` as fits, sealed, and the tag.
    void protect(std::span<std::uint8_t> datagram, const std::uint8_t* plain);
    // The way back. Throws std::runtime_error where the tag does not fit.
    void unprotect(std::span<std::uint8_t> datagram, std::uint8_t* plain);

private:
    void mask_header(std::span<std::uint8_t> datagram);

    gnutls_aead_cipher_hd_t aead_ = nullptr;
    gnutls_cipher_hd_t mask_ = nullptr;
    std::array<std::uint8_t, 12> nonce_{};
};

}  // namespace post::bench
