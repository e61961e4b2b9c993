// The tables behind errors.hpp.
#include "mappings/quic/errors.hpp"

#include <algorithm>

#include "mappings/crypto/verification.hpp"
#include "mappings/framing/error_codes.hpp"

namespace post::quic {

namespace {

bool is_crypto_error(std::uint64_t code) {
    return (code & ~std::uint64_t{0xff}) == NGTCP2_CRYPTO_ERROR;
}

Stage stage_of(const Circumstances& circumstances) {
    return circumstances.established ? Stage::established : Stage::handshake;
}

}  // namespace

Error error_of_code(int code, const Circumstances& circumstances) {
    Error error(Errc::protocol_violation, std::error_code(code, ngtcp2_category()),
                stage_of(circumstances));
    error.candidate = circumstances.remote;
    switch (code) {
        case NGTCP2_ERR_IDLE_CLOSE:
            error.code = make_error_code(circumstances.established ? Errc::connection_lost
                                                                   : Errc::handshake_timeout);
            break;
        case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
            error.code = make_error_code(Errc::handshake_timeout);
            break;
        case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE:
            error.code = make_error_code(Errc::handshake_failed);
            error.detail = "the peer speaks no version of QUIC that we speak";
            break;
        case NGTCP2_ERR_AEAD_LIMIT_REACHED:
        case NGTCP2_ERR_PKT_NUM_EXHAUSTED:
            error.code = make_error_code(Errc::connection_lost);
            error.detail = "its keys or packet numbers are used up";
            break;
        case NGTCP2_ERR_NO_VIABLE_PATH:
            error.code = make_error_code(Errc::connection_lost);
            error.detail = "no way to the peer is left";
            break;
        case NGTCP2_ERR_INTERNAL:
            // What ngtcp2 says when a peer has sent too much that leads nowhere.
            error.code = make_error_code(Errc::excessive_load);
            break;
        case NGTCP2_ERR_CRYPTO:
        case NGTCP2_ERR_DROP_CONN:
        case NGTCP2_ERR_RETRY: error.code = make_error_code(Errc::handshake_failed); break;
        default: break;
    }
    return error;
}

Error error_of_close(const ngtcp2_ccerr& close, const Circumstances& circumstances) {
    Error error;
    if (close.type == NGTCP2_CCERR_TYPE_APPLICATION && circumstances.post) {
        error = framing::closed_from_wire(close.error_code);
    } else if (close.type == NGTCP2_CCERR_TYPE_APPLICATION) {
        error = framing::from_foreign(close.error_code);
        error.code = make_error_code(Errc::connection_closed);
    } else if (is_crypto_error(close.error_code)) {
        error = crypto::error_of_alert(static_cast<std::uint8_t>(close.error_code & 0xff),
                                       circumstances.role == Role::server);
    } else {
        // Transport codes are 62 bits long; the registered ones fit.
        auto code = static_cast<int>(std::min<std::uint64_t>(close.error_code, 0x7fffffff));
        // A client that found a better connection says no more than that (RFC 9000, 10.2.3).
        const bool left = circumstances.role == Role::server &&
                          (close.error_code == NGTCP2_NO_ERROR ||
                           close.error_code == NGTCP2_APPLICATION_ERROR);
        auto errc = circumstances.established || left ? Errc::connection_closed
                                                      : Errc::handshake_failed;
        error = Error(errc, std::error_code(code, quic_category()));
    }
    if (error.stage == Stage::none) error.stage = stage_of(circumstances);
    error.candidate = circumstances.remote;
    framing::add_reason(
        error, std::string_view(reinterpret_cast<const char*>(close.reason), close.reasonlen));
    return error;
}

ngtcp2_ccerr close_of(const Error& reason, std::optional<std::uint8_t> alert,
                      const Circumstances& circumstances, std::string& text) {
    text = framing::printable(reason.detail.view());
    ngtcp2_ccerr close;
    ngtcp2_ccerr_default(&close);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    const auto& category = reason.cause.category();
    auto cause = reason.cause.value();
    // What the transport found out is told as the transport's matter. That a client waits no longer
    // is no fault of anybody's.
    if (category == ngtcp2_category() && cause == NGTCP2_ERR_HANDSHAKE_TIMEOUT)
        ngtcp2_ccerr_set_transport_error(&close, NGTCP2_NO_ERROR, bytes, text.size());
    else if (alert)
        ngtcp2_ccerr_set_tls_alert(&close, *alert, bytes, text.size());
    else if (category == ngtcp2_category())
        ngtcp2_ccerr_set_liberr(&close, cause, bytes, text.size());
    else if (category == quic_category() && cause >= 0)
        ngtcp2_ccerr_set_transport_error(&close, static_cast<std::uint64_t>(cause), bytes,
                                         text.size());
    else
        ngtcp2_ccerr_set_application_error(&close,
                                           circumstances.post || !circumstances.established
                                               ? framing::to_wire(reason)
                                               : framing::to_foreign(reason),
                                           bytes, text.size());
    return close;
}

}  // namespace post::quic
