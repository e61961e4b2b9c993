// Verification: who a peer must be, and why it is not believed; the same for TLS 1.3 and DTLS 1.2.
// It runs inside the handshake, before anything of ours is told to the peer, so a handshake that
// completes always means "and it is who it must be".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <post/identity.hpp>
#include <post/records.hpp>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/session_tickets.hpp"

struct gnutls_session_int;

namespace post::crypto {

// A certificate message of 8 certificates of 4 KiB; also what bounds the memory of a handshake.
inline constexpr std::size_t largest_handshake_message = 32 * 1024;

struct ClientSecurity {
    Identity identity;        // shown when the server asks for one
    Trust trust;              // whom the server's certificate must come from
    std::string server_name;  // what it must be made out to: a DNS name or an IP address
    Cipher cipher = Cipher::automatic;
    // What the name service says of the server's certificate, authentic (RFC 6698); none: nothing.
    // It counts beside Trust::system() alone, and beside chosen authorities as far as it asks for
    // more: who knows the peer's key needs no name service.
    std::vector<Tlsa> tlsa{};
    // The host that these are of, where it is not server_name: what an authority of theirs
    // (usage 2) vouches for may be made out to it as well (RFC 7671, 7; RFC 7673, 4.2).
    std::string tlsa_host{};
    // To be resumed (SessionTicket::session), of a session with the same server and the same Trust;
    // empty: none.
    Bytes session{};
    // How many bytes of early data its ticket allows, and are wanted; 0: none is.
    std::uint32_t early_data = 0;
};

enum class ClientCertificate : std::uint8_t { none, optional, required };

struct ServerSecurity {
    Identity identity;
    ClientCertificate client_certificate = ClientCertificate::none;
    Trust client_trust;  // whom the client's certificate must come from; names are not checked
    Cipher cipher = Cipher::automatic;
    ServerTickets tickets{};
};

// What one handshake knows of its two ends. It stays where it is while the session lives.
class Verification {
public:
    Verification(CredentialStore& store, const ClientSecurity& security);
    Verification(CredentialStore& store, const ServerSecurity& security);
    Verification(const Verification&) = delete;
    Verification& operator=(const Verification&) = delete;

    // Gives the native session what it shows, what it asks for, and the protocols that it offers or
    // accepts, best first; an empty text among them: it may be none. Throws Failure when the
    // machine cannot.
    void equip(gnutls_session_int* native, const std::vector<std::string>& alpn,
               TlsProtocol protocol);

    // GnuTLS catches two lists with nothing in common, but not a peer without ALPN.
    void check_alpn();
    // Why the handshake ended with GnuTLS's `code`, unless there is a better reason already.
    void explain(int code);
    // Ends it for a reason of ours; only the first counts.
    void refuse(Errc errc, std::uint8_t alert, int code, std::string detail);

    const Error& error() const { return error_; }
    std::uint8_t alert() const { return alert_; }  // to tell the peer
    bool failed() const { return static_cast<bool>(error_); }
    bool server() const { return server_; }
    bool shows_identity() const { return credentials_->has_identity(); }

    // Whether a session of DTLS may have tickets at all. Of a client with a profile of SRTP it may
    // not, and then resumes none.
    bool resumes(bool srtp) {
        if (!server_ && srtp) session_ = {};
        return server_ ? server_tickets_.keys != nullptr : !srtp;
    }
    SessionTickets& tickets() { return tickets_; }
    const SessionTickets& tickets() const { return tickets_; }

    // Once the handshake is complete.
    std::string alpn() const;
    Bytes peer_certificate() const;  // DER; empty where the peer showed none

private:
    static int hook(gnutls_session_int* session);
    bool verify();
    bool verify_pin();
    bool verify_fingerprint();
    bool verify_chain();
    bool verify_dane(const std::vector<Tlsa>& records);
    bool path_has(const Tlsa& record) const;

    CredentialStore::Loan credentials_;
    gnutls_session_int* native_ = nullptr;
    std::string name_;  // whom we connect to; empty for a server
    std::vector<std::string> offered_;
    std::vector<Tlsa> tlsa_;
    std::string tlsa_host_;  // empty: none but name_
    Bytes session_;          // that a client would resume
    ServerTickets server_tickets_;
    SessionTickets tickets_;
    Error error_;
    ClientCertificate client_certificate_ = ClientCertificate::none;
    std::uint8_t alert_ = 0;
    bool without_alpn_ = false;
    bool server_ = false;
};

// What an alert of the peer means for us; `server`: we are the server.
Error error_of_alert(std::uint8_t alert, bool server);

}  // namespace post::crypto
