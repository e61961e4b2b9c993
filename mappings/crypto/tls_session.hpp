// TlsSession: one TLS 1.3 handshake without records, as QUIC wants it (RFC 9001): handshake
// messages go in by encryption level; what goes out leaves through the hooks that the QUIC library
// sets on the native session.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mappings/crypto/verification.hpp"

struct gnutls_session_int;

namespace post::crypto {

class TlsSession {
public:
    // QUIC does without the message that ends early data (RFC 9001, 8.3).
    enum class For : std::uint8_t { quic, records };
    // `alpn`: what we offer or accept, best first; an empty text among them: it may be none. Throws
    // Failure when the machine cannot.
    TlsSession(CredentialStore& store, const ClientSecurity& security,
               const std::vector<std::string>& alpn, For use = For::quic);
    TlsSession(CredentialStore& store, const ServerSecurity& security,
               const std::vector<std::string>& alpn, For use = For::quic);
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;
    ~TlsSession();

    enum class Progress : std::uint8_t { waiting, complete, failed };

    // Takes handshake bytes of one encryption level (GnuTLS's number) and goes as far as it can.
    Progress advance(int level, std::span<const std::byte> bytes);
    // Why it failed, and the alert to tell the peer.
    const Error& error() const { return verification_.error(); }
    std::uint8_t alert() const { return verification_.alert(); }
    bool failed() const { return verification_.failed(); }

    // Once complete.
    std::string alpn() const { return verification_.alpn(); }
    // DER; empty where the peer showed none.
    Bytes peer_certificate() const { return verification_.peer_certificate(); }

    // Once the server has answered, for a client; once the client has spoken, for a server.
    bool early_accepted() const;
    // A server's: the client has sent some, whatever becomes of it.
    bool early_announced() const { return verification_.tickets().early_announced(); }
    // For continuity's proof in early data (continuity.hpp): to be called where the keys of early
    // data come, and what there is then; empty: nothing.
    void keep_early_secret();
    std::span<const std::byte> early_secret() const { return early_secret_; }
    // Without certificates: it goes on where an earlier one was (ClientSecurity::session).
    bool resumed() const { return verification_.tickets().resumed(); }
    // A client's: what the server gave since the last call.
    std::vector<SessionTicket> take_tickets() { return verification_.tickets().take(); }

    bool shows_identity() const { return verification_.shows_identity(); }
    gnutls_session_int* native() const { return native_; }
    // What the QUIC library's hooks find on the native session.
    void cookie(void* reference);

private:
    void start(CredentialStore& store, unsigned flags, Cipher cipher,
               const std::vector<std::string>& alpn);

    Verification verification_;
    gnutls_session_int* native_ = nullptr;
    std::vector<std::byte> early_secret_;
    bool complete_ = false;
};

}  // namespace post::crypto
