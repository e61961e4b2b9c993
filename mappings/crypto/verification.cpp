// Who is believed, and texts that say why not.
#include "mappings/crypto/verification.hpp"

#include <gnutls/gnutls.h>

#include <post/address.hpp>

#include "mappings/crypto/dane.hpp"
#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

// A name in SNI never ends in a dot (RFC 6066, 3).
std::string without_dot(std::string name) {
    if (name.size() > 1 && name.back() == '.') name.pop_back();
    return name;
}

int message_hook(gnutls_session_t session, unsigned type, unsigned after, unsigned incoming,
                 const gnutls_datum_t* body) {
    auto* verification = static_cast<Verification*>(gnutls_db_get_ptr(session));
    return verification->tickets().on_message(type, after, incoming != 0, bytes_of(*body));
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

}  // namespace

Verification::Verification(CredentialStore& store, const ClientSecurity& security)
    : credentials_(store.lend(security.identity, security.trust)),
      name_(without_dot(security.server_name)),
      tlsa_(security.tlsa),
      tlsa_host_(without_dot(security.tlsa_host)),
      session_(security.session) {}

Verification::Verification(CredentialStore& store, const ServerSecurity& security)
    : credentials_(
          store.lend(security.identity, security.client_certificate == ClientCertificate::none
                                            ? Trust::danger_anyone()
                                            : security.client_trust)),
      server_tickets_(security.tickets),
      client_certificate_(security.client_certificate),
      server_(true) {}

void Verification::equip(gnutls_session_t native, const std::vector<std::string>& alpn,
                         TlsProtocol protocol) {
    native_ = native;
    must(gnutls_credentials_set(native_, GNUTLS_CRD_CERTIFICATE, credentials_->native()),
         "credentials");
    // RFC 6066, 3: literal addresses are not permitted in SNI.
    if (!name_.empty() && !Address::parse(name_))
        must(gnutls_server_name_set(native_, GNUTLS_NAME_DNS, name_.data(), name_.size()), "SNI");
    if (client_certificate_ != ClientCertificate::none)
        gnutls_certificate_server_set_request(
            native_, client_certificate_ == ClientCertificate::required ? GNUTLS_CERT_REQUIRE
                                                                        : GNUTLS_CERT_REQUEST);
    // We do not tell strangers whom we trust, and a client shows what it has.
    if (server_) gnutls_certificate_send_x509_rdn_sequence(native_, 1);

    offered_ = alpn;
    without_alpn_ = std::erase(offered_, std::string()) > 0;
    std::vector<gnutls_datum_t> protocols;
    for (const auto& name : offered_) protocols.push_back(datum(name));
    const unsigned flags = server_ ? GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE
                                   : GNUTLS_ALPN_MANDATORY;
    if (!protocols.empty())
        must(gnutls_alpn_set_protocols(native_, protocols.data(),
                                       static_cast<unsigned>(protocols.size()), flags),
             "ALPN");

    // The session's own pointer belongs to its owner; the one for a resumption database, which
    // nothing of ours uses, finds this object for the verification.
    gnutls_db_set_ptr(native_, this);
    gnutls_session_set_verify_function(native_, hook);
    gnutls_handshake_set_hook_function(native_, static_cast<unsigned>(GNUTLS_HANDSHAKE_ANY),
                                       GNUTLS_HOOK_BOTH, message_hook);
    if (server_)
        tickets_.begin_server(native_, server_tickets_, protocol == TlsProtocol::dtls_1_2);
    else
        tickets_.begin_client(native_, std::exchange(session_, {}));
}

std::string Verification::alpn() const {
    gnutls_datum_t selected{};
    if (gnutls_alpn_get_selected_protocol(native_, &selected) < 0) return {};
    return {reinterpret_cast<const char*>(selected.data), selected.size};
}

Bytes Verification::peer_certificate() const {
    unsigned count = 0;
    const auto* chain = gnutls_certificate_get_peers(native_, &count);
    if (chain == nullptr || count == 0) return {};
    return Bytes(bytes_of(chain[0]));
}

int Verification::hook(gnutls_session_t session) {
    auto* self = static_cast<Verification*>(gnutls_db_get_ptr(session));
    return self->verify() ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

bool Verification::verify() {
    unsigned count = 0;
    bool shown = gnutls_certificate_get_peers(native_, &count) != nullptr && count > 0;
    if (!shown) {
        if (server_ && client_certificate_ != ClientCertificate::required) return true;
        refuse(Errc::certificate_required, GNUTLS_A_CERTIFICATE_REQUIRED,
               GNUTLS_E_NO_CERTIFICATE_FOUND, "the peer showed no certificate");
        return false;
    }
    const auto records = usable_records(tlsa_, credentials_->trust().kind());
    if (!records.empty()) return verify_dane(records);
    switch (credentials_->trust().kind()) {
        case Trust::Kind::danger_anyone: return true;
        case Trust::Kind::pinned: return verify_pin();
        case Trust::Kind::fingerprint: return verify_fingerprint();
        case Trust::Kind::system:
        case Trust::Kind::authorities: return verify_chain();
    }
    return false;
}

bool Verification::verify_pin() {
    // The handshake's signature proves that the peer has the key; which key is all that counts.
    auto certificate = peer_certificate();
    auto found = pin_of(certificate.span());
    if (!found.empty() && found == credentials_->trust().pin()) return true;
    refuse(Errc::certificate_pin, GNUTLS_A_BAD_CERTIFICATE, GNUTLS_E_CERTIFICATE_KEY_MISMATCH,
           "pinned is " + credentials_->trust().pin() + ", the peer has " +
               (found.empty() ? "no readable key" : found) +
               "; if its key was changed on purpose, pin the new one");
    return false;
}

bool Verification::verify_fingerprint() {
    const auto& expected = credentials_->trust().fingerprint();
    const auto found = fingerprint_of(peer_certificate().span(), expected);
    if (found == expected) return true;
    refuse(Errc::certificate_pin, GNUTLS_A_BAD_CERTIFICATE, GNUTLS_E_CERTIFICATE_KEY_MISMATCH,
           "expected is the certificate " + expected + ", the peer's is " + found);
    return false;
}

bool Verification::verify_chain() {
    unsigned status = 0;
    gnutls_typed_vdata_st data[2]{};
    unsigned count = 0;
    const char* purpose = server_ ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
    data[count].type = GNUTLS_DT_KEY_PURPOSE_OID;
    data[count++].data = reinterpret_cast<unsigned char*>(const_cast<char*>(purpose));
    if (!server_) {
        data[count].type = GNUTLS_DT_DNS_HOSTNAME;  // an IP address is matched with IP SANs
        data[count].data = reinterpret_cast<unsigned char*>(name_.data());
        data[count++].size = static_cast<unsigned>(name_.size());
    }
    int code = gnutls_certificate_verify_peers(native_, data, count, &status);
    if (code < 0) {
        refuse(Errc::certificate_untrusted, GNUTLS_A_BAD_CERTIFICATE, code,
               std::string("the certificate cannot be verified: ") + gnutls_strerror(code));
        return false;
    }
    if (status == 0) return true;

    Datum text;
    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    std::string detail = text.data ? text.string() : "not trusted";
    while (!detail.empty() && (detail.back() == ' ' || detail.back() == '.')) detail.pop_back();

    // The most telling fault first: a certificate from nobody is not made better by a right date.
    if (status & GNUTLS_CERT_REVOKED) {
        refuse(Errc::certificate_untrusted, GNUTLS_A_CERTIFICATE_REVOKED,
               GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, detail);
    } else if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA |
                         GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE |
                         GNUTLS_CERT_INSECURE_ALGORITHM | GNUTLS_CERT_PURPOSE_MISMATCH)) {
        bool none = credentials_->authorities() == 0;
        detail += none ? "; no authorities were found on this system: install ca-certificates"
                       : "; give its authority with Trust::authorities, or its key with "
                         "Trust::pinned";
        refuse(Errc::certificate_untrusted, GNUTLS_A_UNKNOWN_CA,
               GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, detail);
    } else if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) {
        refuse(Errc::certificate_expired, GNUTLS_A_CERTIFICATE_EXPIRED,
               GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR,
               detail + "; renew it, or set the clock of this machine");
    } else if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
        refuse(Errc::certificate_name, GNUTLS_A_BAD_CERTIFICATE,
               GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR,
               detail + "; it is not made out to \"" + name_ + "\"");
    } else {
        refuse(Errc::certificate_untrusted, GNUTLS_A_BAD_CERTIFICATE,
               GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, detail);
    }
    return false;
}

// RFC 9001, 8.1, and QMux, Protocol Negotiation: "endpoints MUST abort the TLS handshake with a
// no_application_protocol TLS alert if an application protocol is not negotiated"; "QMux clients
// MUST also abort the handshake when ALPN negotiation fails". Foreign protocols over TCP may be
// older than ALPN.
void Verification::check_alpn() {
    if (without_alpn_ || !alpn().empty()) return;
    refuse(Errc::alpn_mismatch, GNUTLS_A_NO_APPLICATION_PROTOCOL, GNUTLS_E_NO_APPLICATION_PROTOCOL,
           "the peer negotiates no protocol; ours: " + joined(offered_));
}

void Verification::refuse(Errc errc, std::uint8_t alert, int code, std::string detail) {
    if (error_) return;
    bool about_certificate = errc != Errc::alpn_mismatch;
    alert_ = alert;
    error_ = Error(errc, std::error_code(alert, tls_alert_category()),
                   about_certificate ? Stage::verify : Stage::handshake,
                   detail + " (" + gnutls_strerror_name(code) + ")");
}

void Verification::explain(int code) {
    if (error_) return;  // the verification said it better
    if (code == GNUTLS_E_NO_APPLICATION_PROTOCOL) {
        refuse(Errc::alpn_mismatch, GNUTLS_A_NO_APPLICATION_PROTOCOL, code,
               "no protocol in common; ours: " + joined(offered_));
        return;
    }
    if (code == GNUTLS_E_NO_CERTIFICATE_FOUND || code == GNUTLS_E_CERTIFICATE_REQUIRED) {
        refuse(Errc::certificate_required, GNUTLS_A_CERTIFICATE_REQUIRED, code,
               "the peer showed no certificate");
        return;
    }
    int level = 0;
    int alert = gnutls_error_to_alert(code, &level);
    alert_ = static_cast<std::uint8_t>(alert > 0 ? alert : GNUTLS_A_HANDSHAKE_FAILURE);
    error_ = gnutls_failure(Errc::handshake_failed, code, Stage::handshake, gnutls_strerror(code));
}

Error error_of_alert(std::uint8_t alert, bool server) {
    std::error_code cause(alert, tls_alert_category());
    switch (alert) {
        case GNUTLS_A_NO_APPLICATION_PROTOCOL:
            return Error(Errc::alpn_mismatch, cause, Stage::handshake,
                         "the peer speaks none of the protocols that we offered");
        case GNUTLS_A_CERTIFICATE_REQUIRED:
            return Error(Errc::certificate_required, cause, Stage::verify,
                         "the peer wants a certificate: give an Identity");
        case GNUTLS_A_BAD_CERTIFICATE:
        case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
        case GNUTLS_A_CERTIFICATE_REVOKED:
        case GNUTLS_A_CERTIFICATE_EXPIRED:
        case GNUTLS_A_CERTIFICATE_UNKNOWN:
        case GNUTLS_A_UNKNOWN_CA:
            // A client that does not believe a server says so with the same alerts, but there it is
            // the server's own matter.
            return Error(server ? Errc::handshake_failed : Errc::certificate_required, cause,
                         Stage::verify, "the peer does not take our certificate");
        default:
            return Error(Errc::handshake_failed, cause, Stage::handshake,
                         "the peer gave up the handshake");
    }
}

}  // namespace post::crypto
