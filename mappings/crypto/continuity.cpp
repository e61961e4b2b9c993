// HMAC-SHA-256 over the new connection's secret, the role and the epoch.
#include "mappings/crypto/continuity.hpp"

#include <algorithm>
#include <array>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

namespace post::crypto {

namespace {

constexpr std::size_t secret_size = 32;

// FORMAT.md, 7.2.
enum class Speaker : std::uint8_t { client = 0, server = 1, early_client = 2 };

std::optional<ContinuityProof> proof_of(const ContinuityKey& key, std::span<const std::byte> secret,
                                        Speaker speaker, std::uint64_t epoch) {
    if (secret.size() != secret_size) return std::nullopt;
    std::array<std::uint8_t, secret_size + 1 + 8> text;
    std::transform(secret.begin(), secret.end(), text.begin(),
                   [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
    text[secret_size] = static_cast<std::uint8_t>(speaker);
    for (std::size_t i = 0; i < 8; ++i)
        text[secret_size + 1 + i] = static_cast<std::uint8_t>(epoch >> (56 - 8 * i));
    ContinuityProof proof;
    const int code = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.data(), key.size(), text.data(),
                                      text.size(), proof.data());
    if (code != GNUTLS_E_SUCCESS) return std::nullopt;
    return proof;
}

}  // namespace

// RFC 8446, 7.5: no context is the same as an empty one.
std::vector<std::byte> continuity_secret(gnutls_session_int* session,
                                         const AssociationName* association) {
    std::vector<std::byte> secret(secret_size);
    const char* context = association ? reinterpret_cast<const char*>(association->data()) : "";
    const int code = gnutls_prf_rfc5705(session, continuity_label.size(), continuity_label.data(),
                                        association ? association->size() : 0, context,
                                        secret.size(), reinterpret_cast<char*>(secret.data()));
    if (code != GNUTLS_E_SUCCESS) secret.clear();
    return secret;
}

std::optional<ContinuityKey> continuity_key(std::span<const std::byte> secret) {
    if (secret.size() != secret_size) return std::nullopt;
    ContinuityKey key;
    std::transform(secret.begin(), secret.end(), key.begin(),
                   [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
    return key;
}

std::vector<std::byte> early_continuity_secret(gnutls_session_int* session) {
    std::vector<std::byte> secret(secret_size);
    const int code = gnutls_prf_early(session, continuity_label.size(), continuity_label.data(), 0,
                                      "", secret.size(), reinterpret_cast<char*>(secret.data()));
    if (code != GNUTLS_E_SUCCESS) secret.clear();
    return secret;
}

std::optional<ContinuityProof> continuity_proof(const ContinuityKey& key,
                                                std::span<const std::byte> secret, Role role,
                                                std::uint64_t epoch) {
    return proof_of(key, secret, role == Role::client ? Speaker::client : Speaker::server, epoch);
}

std::optional<ContinuityProof> early_continuity_proof(const ContinuityKey& key,
                                                      std::span<const std::byte> secret,
                                                      std::uint64_t epoch) {
    return proof_of(key, secret, Speaker::early_client, epoch);
}

}  // namespace post::crypto
