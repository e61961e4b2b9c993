// Errors as text: the categories of error.hpp that need no other library. The messages of our own
// codes are for the person who runs the program: what happened, and what to do about it. (The
// categories of ngtcp2, GnuTLS and c-ares stand beside the code that uses those libraries.)
#include <post/error.hpp>

namespace post {
namespace {

const char* text_of(Errc code) noexcept {
    switch (code) {
        case Errc::context_closed: return "the Context is gone; keep it alive longer than this";
        case Errc::carrier_closed: return "the Carrier is closed; fork or initiate another one";
        case Errc::invalid_argument: return "a value is outside its documented range";
        case Errc::invalid_url: return "not a URL of the form post://host:port or quic://host:port";
        case Errc::invalid_pem: return "not a certificate, key or authority in PEM";
        case Errc::key_mismatch: return "the private key does not belong to the certificate";
        case Errc::not_listening: return "the Listener is closed; listen again";
        case Errc::would_block:
            return "no room in the send budget; wait for the send, or for writable";
        case Errc::message_too_large:
            return "longer than the Carrier or its peer takes; split it, or raise largest_message";
        case Errc::too_many: return "a limit is reached; the detail says which one to raise";
        case Errc::unsupported: return "no stack in use can do this; explain() has the reason";
        case Errc::no_return_path: return "the Carrier is one-way and has no direction back";
        case Errc::resolve_failed:
            return "the name has no address, or no name server answered; is it spelt right?";
        case Errc::no_route: return "no local address can reach it; is the network up?";
        case Errc::refused_port: return "nobody listens there; is the server running on this port?";
        case Errc::unreachable: return "the network cannot get there";
        case Errc::handshake_timeout:
            return "the peer did not answer in time; a firewall may drop the packets";
        case Errc::handshake_failed: return "the peer and we do not agree on how to talk";
        case Errc::certificate_untrusted:
            return "certificate of nobody that is trusted; trust its authority or pin its key";
        case Errc::certificate_expired:
            return "certificate not valid at this time; renew it, or check the clock";
        case Errc::certificate_name:
            return "certificate made out to another name; connect by a name that stands in it";
        case Errc::certificate_pin: return "certificate has another key than the one pinned";
        case Errc::certificate_dane: return "certificate is not the one that DNS names (TLSA)";
        case Errc::certificate_required:
            return "the peer wants a certificate and took none; set an Identity that it trusts";
        case Errc::alpn_mismatch: return "the peer speaks none of the offered protocols (ALPN)";
        case Errc::address_in_use: return "the local port is taken; choose another, or port 0";
        case Errc::connection_lost: return "connection lost: nothing came for the idle timeout";
        case Errc::connection_closed: return "closed by the peer";
        case Errc::stateless_reset:
            return "the peer does not know the connection any more; it may have restarted";
        case Errc::protocol_violation: return "the peer broke a rule of the protocol";
        case Errc::carrier_refused: return "nobody at the peer accepts this Carrier";
        case Errc::carrier_reset: return "the peer aborted the Carrier";
        case Errc::expired: return "the message's lifetime ended first";
        case Errc::too_slow: return "received messages were left untaken beyond the budget";
        case Errc::stalled: return "an unfinished message made no progress for too long";
        case Errc::delivered_missing: return "the peer acknowledges packets, but no messages";
        case Errc::excessive_load: return "the peer opens and resets faster than is allowed";
        case Errc::cancelled: return "given up by our own side";
        case Errc::lost_the_race: return "another connection was sooner";
        case Errc::never_chosen: return "the client never said that it keeps this connection";
        case Errc::exception: return "an exception left a Task that nobody awaits";
        case Errc::malformed: return "a received message is nothing that its codec takes";
        case Errc::timed_out: return "not there within the timeout; it was not waited for longer";
        case Errc::file: return "a file cannot be read or written";
        case Errc::replaced: return "a newer connection of the Association took over";
        case Errc::not_attached: return "the peer does not know the Association any more";
        case Errc::dormant: return "the Association is dormant, and has no connection";
    }
    return nullptr;
}

class PostCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "post"; }
    std::string message(int code) const override {
        if (code == 0) return "no error";
        if (const char* text = text_of(static_cast<Errc>(code))) return text;
        return "unknown code " + std::to_string(code);
    }
    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<Errc>(code)) {
            case Errc::invalid_argument:
            case Errc::invalid_url:
            case Errc::invalid_pem:
            case Errc::key_mismatch: return std::errc::invalid_argument;
            case Errc::would_block: return std::errc::operation_would_block;
            case Errc::message_too_large: return std::errc::message_size;
            case Errc::unsupported: return std::errc::operation_not_supported;
            case Errc::no_route: return std::errc::network_unreachable;
            case Errc::refused_port: return std::errc::connection_refused;
            case Errc::unreachable: return std::errc::host_unreachable;
            case Errc::handshake_timeout:
            case Errc::connection_lost:
            case Errc::timed_out:
            case Errc::expired: return std::errc::timed_out;
            case Errc::malformed: return std::errc::bad_message;
            case Errc::address_in_use: return std::errc::address_in_use;
            case Errc::connection_closed: return std::errc::connection_aborted;
            case Errc::stateless_reset:
            case Errc::carrier_reset: return std::errc::connection_reset;
            case Errc::protocol_violation: return std::errc::protocol_error;
            case Errc::context_closed:
            case Errc::cancelled: return std::errc::operation_canceled;
            default: return {code, *this};
        }
    }
};

// RFC 8446, 6 and the IANA registry "TLS Alerts"; those of DTLS 1.2 and of extensions included.
const char* alert_text(int alert) noexcept {
    switch (alert) {
        case 0: return "close notify";
        case 10: return "unexpected message";
        case 20: return "bad record MAC";
        case 21: return "decryption failed";
        case 22: return "record overflow";
        case 30: return "decompression failure";
        case 40: return "handshake failure";
        case 41: return "no certificate";
        case 42: return "bad certificate";
        case 43: return "unsupported certificate";
        case 44: return "certificate revoked";
        case 45: return "certificate expired";
        case 46: return "certificate unknown";
        case 47: return "illegal parameter";
        case 48: return "unknown CA";
        case 49: return "access denied";
        case 50: return "decode error";
        case 51: return "decrypt error";
        case 52: return "too many CIDs requested";
        case 60: return "export restriction";
        case 70: return "protocol version";
        case 71: return "insufficient security";
        case 80: return "internal error";
        case 86: return "inappropriate fallback";
        case 90: return "user canceled";
        case 100: return "no renegotiation";
        case 109: return "missing extension";
        case 110: return "unsupported extension";
        case 111: return "certificate unobtainable";
        case 112: return "unrecognized name";
        case 113: return "bad certificate status response";
        case 114: return "bad certificate hash value";
        case 115: return "unknown PSK identity";
        case 116: return "certificate required";
        case 120: return "no application protocol";
        case 121: return "ECH required";
        default: return nullptr;
    }
}

class TlsAlertCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "tls alert"; }
    std::string message(int alert) const override {
        if (const char* text = alert_text(alert)) return text;
        return "unknown alert";
    }
};

// RFC 9000, 20.1 and the IANA registry "QUIC Transport Error Codes".
const char* quic_text(int code) noexcept {
    switch (code) {
        case 0x00: return "NO_ERROR";
        case 0x01: return "INTERNAL_ERROR";
        case 0x02: return "CONNECTION_REFUSED";
        case 0x03: return "FLOW_CONTROL_ERROR";
        case 0x04: return "STREAM_LIMIT_ERROR";
        case 0x05: return "STREAM_STATE_ERROR";
        case 0x06: return "FINAL_SIZE_ERROR";
        case 0x07: return "FRAME_ENCODING_ERROR";
        case 0x08: return "TRANSPORT_PARAMETER_ERROR";
        case 0x09: return "CONNECTION_ID_LIMIT_ERROR";
        case 0x0a: return "PROTOCOL_VIOLATION";
        case 0x0b: return "INVALID_TOKEN";
        case 0x0c: return "APPLICATION_ERROR";
        case 0x0d: return "CRYPTO_BUFFER_EXCEEDED";
        case 0x0e: return "KEY_UPDATE_ERROR";
        case 0x0f: return "AEAD_LIMIT_REACHED";
        case 0x10: return "NO_VIABLE_PATH";
        case 0x11: return "VERSION_NEGOTIATION_ERROR";
        default: return nullptr;
    }
}

class QuicCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "quic"; }
    std::string message(int code) const override {
        if (const char* text = quic_text(code)) return text;
        // RFC 9001, 4.8: a TLS alert, added to 0x0100.
        if (code >= 0x100 && code <= 0x1ff)
            return "CRYPTO_ERROR, tls alert " + std::to_string(code - 0x100) + ": " +
                   tls_alert_category().message(code - 0x100);
        return "unknown transport error";
    }
};

class ApplicationCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "application"; }
    // AbortCodes reach to 2^32 - 1 and come back through an int.
    std::string message(int code) const override {
        return "the peer application's code " + std::to_string(static_cast<std::uint32_t>(code));
    }
};

void append_cause(std::string& line, std::error_code cause) {
    line += " (";
    if (cause.category() == application_category()) {
        line += cause.message();
    } else {
        const bool of_system = cause.category() == std::system_category() ||
                               cause.category() == std::generic_category();
        line += of_system ? "errno" : cause.category().name();
        line += ' ';
        line += std::to_string(cause.value());
        line += ": ";
        line += cause.message();
    }
    line += ')';
}

}  // namespace

const std::error_category& post_category() noexcept {
    static const PostCategory category;
    return category;
}

const std::error_category& tls_alert_category() noexcept {
    static const TlsAlertCategory category;
    return category;
}

const std::error_category& quic_category() noexcept {
    static const QuicCategory category;
    return category;
}

const std::error_category& application_category() noexcept {
    static const ApplicationCategory category;
    return category;
}

const char* to_string(Stage stage) noexcept {
    switch (stage) {
        case Stage::none: return "none";
        case Stage::call: return "call";
        case Stage::resolve: return "resolve";
        case Stage::connect: return "connect";
        case Stage::handshake: return "handshake";
        case Stage::verify: return "verify";
        case Stage::established: return "established";
    }
    return "unknown";
}

std::string Error::message() const {
    std::string line;
    if (stage != Stage::none) line += to_string(stage);
    if (candidate.family != Address::Family::none) {
        if (stage != Stage::none) line += stage == Stage::connect ? " to " : " with ";
        line += candidate.string();
    }
    if (!line.empty()) line += ": ";
    line += code ? code.message() : "no error";
    if (cause) append_cause(line, cause);
    return line;
}

}  // namespace post
