// Renewing the two secrets.
#include "mappings/crypto/rotating_secret.hpp"

#include <cstring>

#include <gnutls/crypto.h>

namespace post::crypto {

void RotatingSecret::rotate(Instant now, Random& random) {
    const bool fresh = since_ == never || now - since_ >= 2 * period_;
    if (!fresh && now - since_ < period_) return;
    // After a long silence what was current is as old as a previous one may be at most.
    if (fresh)
        random(std::as_writable_bytes(std::span(secrets_[1])));
    else
        secrets_[1] = secrets_[0];
    random(std::as_writable_bytes(std::span(secrets_[0])));
    since_ = now;
}

std::uint64_t keyed_hash(const RotatingSecret::Secret& secret, std::string_view text) {
    std::array<std::uint8_t, 32> digest;
    gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret.data(), secret.size(), text.data(), text.size(),
                     digest.data());
    std::uint64_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
}

}  // namespace post::crypto
