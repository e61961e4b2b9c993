// Continuity's proof (FORMAT.md, 7.2): that the end of one connection is the same as that of an
// earlier one. The secrets are TLS's (RFC 8446, 7.5; RFC 5705), which nobody but the two ends of a
// handshake has.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "mappings/values.hpp"

struct gnutls_session_int;

namespace post::crypto {

inline constexpr std::string_view continuity_label = "EXPORTER-post-continuity";

// TLS 1.3's exporter with that label: the context is the association, or there is none. Nothing
// before the handshake is complete.
std::vector<std::byte> continuity_secret(gnutls_session_int* session,
                                         const AssociationName* association);

// The key and the proof of such secrets; none of a secret that is not 32 bytes long.
std::optional<ContinuityKey> continuity_key(std::span<const std::byte> secret);
std::optional<ContinuityProof> continuity_proof(const ContinuityKey& key,
                                                std::span<const std::byte> secret, Role role,
                                                std::uint64_t epoch);

}  // namespace post::crypto
