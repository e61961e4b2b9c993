// DtlsExporter: keying material for others from a complete handshake of DTLS 1.2 (RFC 5705), kept
// in 112 bytes, so that GnuTLS's session need not stay for it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "mappings/crypto/key_schedule.hpp"

namespace post::crypto {

class DtlsExporter {
public:
    // Throws Failure when the session has no secret to take.
    explicit DtlsExporter(gnutls_session_int* native);

    // RFC 5705, 4: no context is another thing than an empty one.
    std::vector<std::byte> derive(std::string_view label,
                                  std::optional<std::span<const std::byte>> context,
                                  std::size_t size) const;

private:
    Secret master_{48};
    std::array<std::byte, 64> randoms_{};  // the client's and the server's
    Hash hash_;
};

}  // namespace post::crypto
