// SHA-256 for the examples, by the library that the TLS comes from anyway.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include <gnutls/crypto.h>

namespace example {

class Sha256 {
public:
    Sha256() {
        if (gnutls_hash_init(&hash_, GNUTLS_DIG_SHA256) != 0)
            throw std::runtime_error("no SHA-256 on this machine");
    }
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    ~Sha256() { gnutls_hash_deinit(hash_, nullptr); }

    void add(std::span<const std::byte> bytes) { gnutls_hash(hash_, bytes.data(), bytes.size()); }
    // The digest in hexadecimal; begins anew.
    std::string finish() {
        std::array<unsigned char, 32> digest{};
        gnutls_hash_output(hash_, digest.data());
        std::string text;
        for (unsigned char byte : digest) {
            text += "0123456789abcdef"[byte >> 4];
            text += "0123456789abcdef"[byte & 15];
        }
        return text;
    }

private:
    gnutls_hash_hd_t hash_ = nullptr;
};

}  // namespace example
