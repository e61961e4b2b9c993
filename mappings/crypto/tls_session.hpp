// TlsSession: one TLS 1.3 handshake without records, as QUIC wants it (RFC 9001): handshake
// messages go in by encryption level; what goes out leaves through the hooks that the QUIC library
// sets on the native session. The peer is verified inside the handshake, before anything of ours
// is told to it, so "complete" always means "and it is who it must be".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <post/identity.hpp>

#include "mappings/crypto/credentials.hpp"

struct gnutls_session_int;

namespace post::crypto {

struct ClientSecurity {
    Identity identity;        // shown when the server asks for one
    Trust trust;              // whom the server's certificate must come from
    std::string server_name;  // what it must be made out to: a DNS name or an IP address
    Cipher cipher = Cipher::automatic;
};

enum class ClientCertificate : std::uint8_t { none, optional, required };

struct ServerSecurity {
    Identity identity;
    ClientCertificate client_certificate = ClientCertificate::none;
    Trust client_trust;  // whom the client's certificate must come from; names are not checked
    Cipher cipher = Cipher::automatic;
};

class TlsSession {
public:
    // `alpn`: what we offer or accept, best first; never empty. Throws Failure when the machine
    // cannot.
    TlsSession(CredentialStore& store, const ClientSecurity& security,
               const std::vector<std::string>& alpn);
    TlsSession(CredentialStore& store, const ServerSecurity& security,
               const std::vector<std::string>& alpn);
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;
    ~TlsSession();

    enum class Progress : std::uint8_t { waiting, complete, failed };

    // Takes handshake bytes of one encryption level (GnuTLS's number) and goes as far as it can.
    Progress advance(int level, std::span<const std::byte> bytes);
    // Why it failed, and the alert to tell the peer.
    const Error& error() const { return error_; }
    std::uint8_t alert() const { return alert_; }
    bool failed() const { return static_cast<bool>(error_); }

    // Once complete.
    std::string alpn() const;
    Bytes peer_certificate() const;  // DER; empty where the peer showed none

    bool shows_identity() const { return credentials_->has_identity(); }
    gnutls_session_int* native() const { return native_; }
    // What the QUIC library's hooks find on the native session.
    void cookie(void* reference);

private:
    void start(CredentialStore& store, unsigned flags, Cipher cipher,
               const std::vector<std::string>& alpn);
    static int verify_hook(gnutls_session_int* session);
    bool verify();
    bool verify_pin();
    bool verify_chain();
    void check_alpn();
    void refuse(Errc errc, std::uint8_t alert, int code, std::string detail);
    void explain(int code);

    CredentialStore::Loan credentials_;
    gnutls_session_int* native_ = nullptr;
    std::string name_;  // whom we connect to; empty for a server
    std::vector<std::string> offered_;
    Error error_;
    ClientCertificate client_certificate_ = ClientCertificate::none;
    bool complete_ = false;
    std::uint8_t alert_ = 0;
    bool server_ = false;
};

// What an alert of the peer means for us. `shown`: we showed, or could have shown, an identity.
Error error_of_alert(std::uint8_t alert, bool server);

}  // namespace post::crypto
