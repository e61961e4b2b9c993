// Identity and Trust: who we are, and whom we believe (draft 2.4 and 2.5: certificates of a Local,
// keys and authorities of a Remote; RFC 9622, 6.3). Both are values; copying one shares the bytes.
#pragma once

#include <string>
#include <string_view>

#include <post/bytes.hpp>
#include <post/result.hpp>

namespace post {

// The SHA-256 of a certificate's public key (SubjectPublicKeyInfo), as text:
// "sha256//" and 44 characters of base64.
using Pin = std::string;

// A certificate chain and its private key.
class Identity {
public:
    Identity() = default;  // nobody

    // From PEM text: the certificates, our own first, and the private key. Throws Failure
    // (invalid_pem, key_mismatch) with what is wrong and where.
    static Identity from_pem(std::string_view certificates, std::string_view key);
    static Result<Identity> try_from_pem(std::string_view certificates, std::string_view key);
    // From PEM files, read now. A missing file is a Failure with errno as its cause.
    static Identity from_files(const std::string& certificates, const std::string& key);
    static Result<Identity> try_from_files(const std::string& certificates, const std::string& key);

    // For development: a fresh ECDSA P-256 key and a certificate for `name`, localhost, 127.0.0.1
    // and ::1, valid for 14 days. Peers believe it by its pin, or by its PEM as an authority (those
    // of other makers may refuse a certificate that is its own authority).
    static Identity self_signed(std::string_view name);

    explicit operator bool() const { return !certificates_.empty(); }
    const Bytes& certificates() const { return certificates_; }  // PEM
    const Bytes& key() const { return key_; }                    // PEM
    const Pin& pin() const { return pin_; }
    // Of our own certificate, as SDP has it (RFC 8122, 5): "sha-256 " and 32 bytes in hexadecimal
    // with colons between; empty for nobody.
    std::string fingerprint() const;

private:
    Bytes certificates_;
    Bytes key_;
    Pin pin_;
};

// Whom a peer's certificate must come from. The default believes the system's authorities and
// always checks the name. There is no "off": danger_anyone says what it is.
class Trust {
public:
    enum class Kind : std::uint8_t { system, authorities, pinned, fingerprint, danger_anyone };

    Trust() = default;  // the system's authorities
    static Trust system() { return {}; }
    // These authorities alone (PEM text, one or more certificates). Throws Failure (invalid_pem).
    static Trust authorities(std::string_view pem);
    static Result<Trust> try_authorities(std::string_view pem);
    // The same from a file, read now.
    static Trust authorities_file(const std::string& path);
    static Result<Trust> try_authorities_file(const std::string& path);
    // Whoever has this key, whatever the name and the dates in its certificate say. Throws Failure
    // (invalid_argument) for what is no pin.
    static Trust pinned(Pin pin);
    // Whoever shows this very certificate and has its key, as SDP names one (RFC 8122, 5):
    // "sha-256 4A:AD:...", or with sha-384 or sha-512; small letters will do. Throws Failure
    // (invalid_argument) for what is no such text.
    static Trust fingerprint(std::string_view text);
    // Anybody at all: encrypted, but a stranger in the middle can read and change everything.
    static Trust danger_anyone();

    Kind kind() const { return kind_; }
    const Bytes& authorities_pem() const { return authorities_; }
    const Pin& pin() const { return pin_; }
    const std::string& fingerprint() const { return fingerprint_; }
    bool operator==(const Trust&) const = default;

private:
    Kind kind_ = Kind::system;
    Bytes authorities_;
    Pin pin_;
    std::string fingerprint_;  // as Identity::fingerprint writes one
};

}  // namespace post
