// Packet protection by GnuTLS: on every machine, with AES instructions where there are some.
#include <cassert>

#include <gnutls/crypto.h>

#include "mappings/crypto/handles.hpp"
#include "mappings/crypto/packet_protection.hpp"

namespace post::crypto {

namespace {

gnutls_datum_t datum_of(std::span<const std::byte> key) {
    return {reinterpret_cast<unsigned char*>(const_cast<std::byte*>(key.data())),
            static_cast<unsigned>(key.size())};
}

gnutls_cipher_algorithm_t aead_of(Aead cipher) {
    switch (cipher) {
        case Aead::aes_128_gcm: return GNUTLS_CIPHER_AES_128_GCM;
        case Aead::aes_256_gcm: return GNUTLS_CIPHER_AES_256_GCM;
        case Aead::chacha20_poly1305: break;
    }
    return GNUTLS_CIPHER_CHACHA20_POLY1305;
}

class GnutlsPacketKey final : public PacketKey {
public:
    GnutlsPacketKey(Aead cipher, std::span<const std::byte> key) {
        auto raw = datum_of(key);
        gnutls_aead_cipher_hd_t native = nullptr;
        must(gnutls_aead_cipher_init(&native, aead_of(cipher), &raw), "packet key");
        native_.reset(native);
    }

    bool seal(std::byte* out, std::span<const std::byte> plain, Nonce nonce,
              std::span<const std::byte> header) const override {
        std::size_t size = plain.size() + tag_size;
        return gnutls_aead_cipher_encrypt(native_.get(), nonce.data(), nonce.size(), header.data(),
                                          header.size(), tag_size, plain.data(), plain.size(), out,
                                          &size) == 0;
    }
    bool open(std::byte* out, std::span<const std::byte> sealed, Nonce nonce,
              std::span<const std::byte> header) const override {
        if (sealed.size() < tag_size) return false;
        std::size_t size = sealed.size() - tag_size;
        bool genuine = gnutls_aead_cipher_decrypt(native_.get(), nonce.data(), nonce.size(),
                                                  header.data(), header.size(), tag_size,
                                                  sealed.data(), sealed.size(), out, &size) == 0;
        if (!genuine) wipe({out, sealed.size() - tag_size});
        return genuine;
    }

private:
    Owned<gnutls_aead_cipher_hd_t, gnutls_aead_cipher_deinit> native_;
};

// RFC 9001, 5.4.3   mask = AES-ECB(key, sample)[0..4], here as one block of CBC with no vector
// RFC 9001, 5.4.4   mask = ChaCha20(key, counter and nonce = sample, five zeros)
class GnutlsHeaderKey final : public HeaderKey {
public:
    GnutlsHeaderKey(Aead cipher, std::span<const std::byte> key)
        : chacha_(cipher == Aead::chacha20_poly1305) {
        auto algorithm = chacha_                       ? GNUTLS_CIPHER_CHACHA20_32
                         : cipher == Aead::aes_128_gcm ? GNUTLS_CIPHER_AES_128_CBC
                                                       : GNUTLS_CIPHER_AES_256_CBC;
        auto raw = datum_of(key);
        gnutls_cipher_hd_t native = nullptr;
        must(gnutls_cipher_init(&native, algorithm, &raw, nullptr), "header key");
        native_.reset(native);
    }

    Mask mask(Sample sample) const override {
        std::array<std::byte, sample_size> zeros{};
        std::array<std::byte, sample_size> block{};
        const auto* vector = chacha_ ? sample.data() : zeros.data();
        const auto* input = chacha_ ? zeros.data() : sample.data();
        gnutls_cipher_set_iv(native_.get(), const_cast<std::byte*>(vector), sample_size);
        [[maybe_unused]] int code = gnutls_cipher_encrypt2(native_.get(), input, sample_size,
                                                           block.data(), block.size());
        assert(code == 0);  // it is a whole block
        Mask mask;
        std::copy_n(block.begin(), mask.size(), mask.begin());
        return mask;
    }

private:
    bool chacha_;
    Owned<gnutls_cipher_hd_t, gnutls_cipher_deinit> native_;
};

class GnutlsProtection final : public PacketProtection {
public:
    std::string_view name() const override { return "gnutls"; }
    std::unique_ptr<PacketKey> packet_key(Aead cipher,
                                          std::span<const std::byte> key) const override {
        return std::make_unique<GnutlsPacketKey>(cipher, key);
    }
    std::unique_ptr<HeaderKey> header_key(Aead cipher,
                                          std::span<const std::byte> key) const override {
        return std::make_unique<GnutlsHeaderKey>(cipher, key);
    }
};

}  // namespace

const PacketProtection& gnutls_protection() {
    static const GnutlsProtection protection;
    return protection;
}

}  // namespace post::crypto
