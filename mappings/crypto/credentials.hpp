// Credentials: what a TLS handshake needs of an Identity and a Trust, in GnuTLS's form. Parsing PEM
// and loading the system's authorities costs milliseconds, so a CredentialStore (one an endpoint)
// keeps the result and lends it to the sessions; what nobody uses is dropped when room is needed.
//
// Also here: checking PEM at the call (Identity and Trust are built on it), and making the small
// certificates that development and tests live on.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/identity.hpp>
#include <post/quic.hpp>
#include <post/result.hpp>

#include "mappings/crypto/packet_protection.hpp"

struct gnutls_certificate_credentials_st;
struct gnutls_priority_st;

namespace post::crypto {

// Reads a certificate chain and a key, and says whether they belong together. The result is the
// pin of the first certificate.
Result<Pin> check_identity(std::string_view certificates, std::string_view key);
// Reads one or more authorities.
Result<void> check_authorities(std::string_view pem);
// The pin of a certificate in DER; empty when it is none.
Pin pin_of(std::span<const std::byte> certificate);
// True for the text of a pin: "sha256//" and 44 characters of base64.
bool is_pin(std::string_view text);

// Fingerprints of certificates (RFC 8122, 5), in one form: "sha-256 4A:AD:...". `like`: a
// fingerprint that has the hash to use. Empty for what is none.
std::string normal_fingerprint(std::string_view text);
std::string fingerprint_of(std::span<const std::byte> certificate, std::string_view like);
// Of the first certificate of a chain in PEM, by SHA-256.
std::string fingerprint_of_pem(std::string_view certificates);

// A certificate to be made, with a fresh ECDSA P-256 key.
struct CertificateRequest {
    std::vector<std::string> names;  // DNS names and IP addresses; the first is the subject too
    std::chrono::seconds valid_from{-3600};          // against the clock of the system
    std::chrono::seconds valid_for{14 * 24 * 3600};  // counted from now
    bool authority = false;                          // may sign others
    const Identity* issuer = nullptr;                // none: it signs itself
};
struct PemPair {
    std::string certificates;  // the issuer's chain follows the certificate, if there is one
    std::string key;
};
// Throws Failure when the machine cannot (out of memory, no randomness).
PemPair make_certificate(const CertificateRequest& request);

// One Identity and one Trust, ready for sessions.
class Credentials {
public:
    Credentials(const Identity& identity, const Trust& trust);
    Credentials(const Credentials&) = delete;
    Credentials& operator=(const Credentials&) = delete;
    ~Credentials();

    gnutls_certificate_credentials_st* native() const { return native_; }
    const Trust& trust() const { return trust_; }
    bool has_identity() const { return has_identity_; }
    // How many of the system's authorities were found; 0 explains an "untrusted".
    int authorities() const { return authorities_; }
    bool fits(const Identity& identity, const Trust& trust) const;

private:
    gnutls_certificate_credentials_st* native_ = nullptr;
    Bytes certificates_;
    Bytes key_;
    Trust trust_;
    int authorities_ = 0;
    bool has_identity_ = false;
};

enum class TlsProtocol : std::uint8_t { tls_1_3, dtls_1_2 };

class CredentialStore {
public:
    CredentialStore();
    CredentialStore(const CredentialStore&) = delete;
    CredentialStore& operator=(const CredentialStore&) = delete;
    ~CredentialStore();

    struct Entry;
    // Credentials on loan; the store outlives it.
    class Loan {
    public:
        explicit Loan(Entry& entry);
        Loan(Loan&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
        Loan& operator=(Loan&&) = delete;
        ~Loan();
        const Credentials& operator*() const;
        const Credentials* operator->() const { return &**this; }

    private:
        Entry* entry_;
    };

    // Throws Failure when the machine cannot.
    Loan lend(const Identity& identity, const Trust& trust);
    // Which ciphers and groups are offered, and in which order. Throws Failure when the machine
    // cannot.
    gnutls_priority_st* priority(Cipher cipher, TlsProtocol protocol = TlsProtocol::tls_1_3);

private:
    static constexpr std::size_t most_unused = 16;

    std::vector<std::unique_ptr<Entry>> entries_;
    // By TlsProtocol and Cipher, made when asked for.
    std::array<std::array<gnutls_priority_st*, 4>, 2> priorities_{};
};

}  // namespace post::crypto
