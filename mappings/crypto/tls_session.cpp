// The TLS session: how it is set up, and how far it has come.
#include "mappings/crypto/tls_session.hpp"

#include <gnutls/gnutls.h>

#include "mappings/crypto/continuity.hpp"
#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

unsigned end_of_early(TlsSession::For use) {
    return use == TlsSession::For::quic ? GNUTLS_NO_END_OF_EARLY_DATA : 0;
}

}  // namespace

TlsSession::TlsSession(CredentialStore& store, const ClientSecurity& security,
                       const std::vector<std::string>& alpn, For use)
    : verification_(store, security) {
    const unsigned early = security.early_data > 0 ? GNUTLS_ENABLE_EARLY_DATA : 0;
    start(store, GNUTLS_CLIENT | end_of_early(use) | early, security.cipher, alpn);
}

TlsSession::TlsSession(CredentialStore& store, const ServerSecurity& security,
                       const std::vector<std::string>& alpn, For use)
    : verification_(store, security) {
    const bool early = security.tickets.keys && security.tickets.early;
    start(store,
          GNUTLS_SERVER | end_of_early(use) | GNUTLS_NO_AUTO_SEND_TICKET |
              (early ? GNUTLS_ENABLE_EARLY_DATA : 0),
          security.cipher, alpn);
    // RFC 9001, 4.6.1: in QUIC the transport's windows are the limit.
    if (early)
        gnutls_record_set_max_early_data_size(native_,
                                              use == For::quic ? 0xffffffff : largest_early_data);
}

void TlsSession::start(CredentialStore& store, unsigned flags, Cipher cipher,
                       const std::vector<std::string>& alpn) {
    must(gnutls_init(&native_, flags), "TLS session");
    Owned<gnutls_session_t, gnutls_deinit> guard(native_);
    must(gnutls_priority_set(native_, store.priority(cipher)), "TLS priorities");
    gnutls_handshake_set_max_packet_length(native_, largest_handshake_message);
    // Time is bounded by the connection's handshake timeout, which runs on the library's clock.
    gnutls_handshake_set_timeout(native_, GNUTLS_INDEFINITE_TIMEOUT);
    verification_.equip(native_, alpn, TlsProtocol::tls_1_3);
    (void)guard.release();
}

bool TlsSession::early_accepted() const {
    return (gnutls_session_get_flags(native_) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
}

void TlsSession::keep_early_secret() { early_secret_ = early_continuity_secret(native_); }

TlsSession::~TlsSession() { gnutls_deinit(native_); }

void TlsSession::cookie(void* reference) { gnutls_session_set_ptr(native_, reference); }

TlsSession::Progress TlsSession::advance(int level, std::span<const std::byte> bytes) {
    if (failed()) return Progress::failed;
    int code = 0;
    if (!bytes.empty())
        code = gnutls_handshake_write(native_, static_cast<gnutls_record_encryption_level_t>(level),
                                      bytes.data(), bytes.size());
    // Past the handshake only tickets come, which the write has taken in. Another
    // gnutls_handshake() would derive the keys a second time.
    if (code >= 0 && complete_) return Progress::complete;
    if (code >= 0) code = gnutls_handshake(native_);
    if (code >= 0) {
        verification_.check_alpn();
        complete_ = !failed();
        if (complete_) verification_.tickets().note_resumed();
        if (complete_) verification_.tickets().send();
        return failed() ? Progress::failed : Progress::complete;
    }
    // gnutls_handshake_write answers AGAIN for a message that is not whole yet.
    if (gnutls_error_is_fatal(code) == 0) return Progress::waiting;
    verification_.explain(code);
    return Progress::failed;
}

}  // namespace post::crypto
