// Packet protection, packet by packet.
#include "seal.hpp"

#include <cstring>
#include <stdexcept>

namespace post::bench {

namespace {

void check_gnutls(int code, const char* what) {
    if (code < 0) throw std::runtime_error(std::string(what) + ": " + gnutls_strerror(code));
}

}  // namespace

Seal::Seal() {
    std::array<std::uint8_t, 16> key{7};
    const gnutls_datum_t datum{key.data(), key.size()};
    check_gnutls(gnutls_aead_cipher_init(&aead_, GNUTLS_CIPHER_AES_128_GCM, &datum), "AES-GCM");
    std::array<std::uint8_t, 16> zero{};
    const gnutls_datum_t iv{zero.data(), zero.size()};
    // One block of AES-CBC behind zeros is AES-ECB, which GnuTLS does not have.
    check_gnutls(gnutls_cipher_init(&mask_, GNUTLS_CIPHER_AES_128_CBC, &datum, &iv), "AES");
}

Seal::~Seal() {
    gnutls_aead_cipher_deinit(aead_);
    gnutls_cipher_deinit(mask_);
}

void Seal::mask_header(std::span<std::uint8_t> datagram) {
    std::array<std::uint8_t, 16> iv{};
    std::array<std::uint8_t, 16> mask;
    gnutls_cipher_set_iv(mask_, iv.data(), iv.size());
    // RFC 9001, 5.4.2: the sample begins 4 bytes behind the beginning of the packet number.
    gnutls_cipher_encrypt2(mask_, datagram.data() + header_size - 2 + 4, mask.size(), mask.data(),
                           mask.size());
    datagram[0] = static_cast<std::uint8_t>(datagram[0] ^ (mask[0] & 0x1f));
    datagram[header_size - 2] ^= mask[1];
    datagram[header_size - 1] ^= mask[2];
}

void Seal::protect(std::span<std::uint8_t> datagram, const std::uint8_t* plain) {
    std::memset(datagram.data(), 0x41, header_size);
    std::size_t size = datagram.size() - header_size;
    check_gnutls(gnutls_aead_cipher_encrypt(aead_, nonce_.data(), nonce_.size(), datagram.data(),
                                            header_size, tag_size, plain, size - tag_size,
                                            datagram.data() + header_size, &size),
                 "sealing");
    mask_header(datagram);
}

void Seal::unprotect(std::span<std::uint8_t> datagram, std::uint8_t* plain) {
    mask_header(datagram);
    std::size_t size = datagram.size() - overhead;
    check_gnutls(gnutls_aead_cipher_decrypt(aead_, nonce_.data(), nonce_.size(), datagram.data(),
                                            header_size, tag_size, datagram.data() + header_size,
                                            datagram.size() - header_size, plain, &size),
                 "opening");
}

}  // namespace post::bench
