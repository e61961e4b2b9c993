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

// The same of a client's early data, whose exporter has a secret of its own (RFC 8446, 7.5), so
// that whoever plays it again proves nothing by it on any other connection.
//
// GnuTLS 3.7.9 keeps that secret where it puts the other one when the server has spoken: it answers
// only from the keys of early data on until then, which at a server is inside of one call. So it is
// asked when those keys come.
std::vector<std::byte> early_continuity_secret(gnutls_session_int* session);
std::optional<ContinuityProof> early_continuity_proof(const ContinuityKey& key,
                                                      std::span<const std::byte> secret,
                                                      std::uint64_t epoch);

}  // namespace post::crypto
