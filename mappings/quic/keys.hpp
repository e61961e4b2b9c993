// Keys of a connection: every secret that TLS finds, and every Initial secret, becomes a pair of
// keys of our packet protection, and ngtcp2 is given those. So one path serves all levels, versions
// and key phases, and ngtcp2 only ever hands our own keys back to us:
//
//   ngtcp2_crypto_aead_ctx::native_handle    a crypto::PacketKey, owned by ngtcp2 until deleted
//   ngtcp2_crypto_cipher_ctx::native_handle  a crypto::HeaderKey, the same
//   ngtcp2_crypto_aead::native_handle        a crypto::Suite, which lives for ever
//
// Tokens and the Retry packets that a server writes are ngtcp2_crypto's own and do not come here;
// the integrity tag of a Retry that a client received does.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "mappings/mapping.hpp"

struct gnutls_session_int;

namespace post::quic {

// Sets the callbacks that concern keys; their cookie is the Connection.
void fill_keys(ngtcp2_callbacks& callbacks, Role role);

// Has TLS tell its secrets to the Connection that is the session's cookie. Comes after
// ngtcp2_crypto_gnutls_configure_*_session, whose own hook for secrets it replaces.
void watch_secrets(gnutls_session_int* session);

}  // namespace post::quic
