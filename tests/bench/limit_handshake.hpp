// Limit row: what TLS alone costs of a full handshake.
#pragma once

#include "row.hpp"

namespace post::bench {

// Full TLS 1.3 handshakes by GnuTLS, both ends in this process, one after the other: no QUIC, no
// socket, and with the library's own choices (self-signed P-256, X25519, AES-128-GCM).
void measure_tls_handshake(const ClientEnd& end);

}  // namespace post::bench
