// HMAC of GnuTLS, whose state stands at its beginning again after each output.
#include "mappings/crypto/keyed_hash.hpp"

#include <gnutls/crypto.h>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

KeyedHash::KeyedHash(std::span<const std::byte> key) {
    gnutls_hmac_hd_t state = nullptr;
    must(gnutls_hmac_init(&state, GNUTLS_MAC_SHA256, key.data(), key.size()), "HMAC-SHA256");
    state_.reset(state);
}

KeyedHash::Digest KeyedHash::operator()(std::span<const std::byte> text) const {
    auto* const state = static_cast<gnutls_hmac_hd_t>(state_.get());
    must(gnutls_hmac(state, text.data(), text.size()), "HMAC-SHA256");
    Digest digest;
    gnutls_hmac_output(state, digest.data());
    return digest;
}

void KeyedHash::Free::operator()(void* state) const noexcept {
    gnutls_hmac_deinit(static_cast<gnutls_hmac_hd_t>(state), nullptr);
}

}  // namespace post::crypto
