// Errors. What the network or the peer does is a value: an Error says what went wrong (a
// std::error_code of ours), in which stage, with which candidate address, and keeps the foreign
// code (errno, ngtcp2, TLS alert, GnuTLS, c-ares) that caused it. What is wrong at a call (a bad
// PEM file, a bad URL) throws post::Failure, a std::system_error; a non-throwing form stands beside
// each such call.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include <post/address.hpp>
#include <post/bytes.hpp>

namespace post {

enum class Errc {
    // At the call.
    context_closed = 1,  // the Context is gone
    carrier_closed,      // the Carrier is closed, finished, or its peer ended it in good order
    invalid_argument,    // a value outside its documented range
    invalid_url,         // not a URL that the library understands
    invalid_pem,         // not a certificate, key or CA in PEM
    key_mismatch,        // the private key does not belong to the certificate
    not_listening,       // the Listener is closed
    would_block,         // no room in the send budget, and nobody waited for it
    message_too_large,   // longer than the limit of the Carrier or its peer
    too_many,            // a stated limit is reached
    unsupported,         // no stack in use can do this; Association::explain has the reason
    no_return_path,      // the Carrier has no direction back
    // While connecting.
    resolve_failed,         // the name has no address, or no server answered
    no_route,               // no local address can reach the candidate
    refused_port,           // nobody listens there (ICMP port unreachable)
    unreachable,            // the network says that it cannot get there
    handshake_timeout,      // the peer did not answer in time
    handshake_failed,       // the peer and we do not agree; the cause says on what
    certificate_untrusted,  // the chain ends in nobody that is trusted
    certificate_expired,    // not valid at this time
    certificate_name,       // made out to another name
    certificate_pin,        // the pinned key is another one
    certificate_required,   // the peer wants a certificate and got none that it takes
    alpn_mismatch,          // the peer speaks none of the offered protocols
    address_in_use,         // the local port is taken
    // While talking.
    connection_lost,     // idle for longer than the timeout
    connection_closed,   // closed by the peer with the code that is the cause
    stateless_reset,     // the peer does not know the connection any more
    protocol_violation,  // the peer broke a rule; the detail says which
    carrier_refused,     // nobody at the peer accepts this fork
    carrier_reset,       // the peer aborted the Carrier; the cause is its code
    expired,             // the lifetime ended first
    too_slow,            // received data were left untaken beyond every promise
    stalled,             // an unfinished message made no progress for too long
    delivered_missing,   // the peer acknowledges packets, but no messages
    excessive_load,      // the peer opens and resets faster than allowed
    cancelled,           // our own side gave up: closed, aborted or stopped
    lost_the_race,       // another candidate was sooner, so this connection was not needed
    never_chosen,        // the client did not say which connection of its race it keeps
    exception,           // an exception left a Task that nobody awaits; the detail has its text
    malformed,           // a received message is nothing that its codec takes; the detail says why
    timed_out,           // a wait was given up after its timeout; what it waited for goes on
    file,                // a file cannot be read or written; the cause is its errno
    certificate_dane,    // not the certificate that the name service names (TLSA)
    replaced,            // a newer connection of the same Association took over
    not_attached,        // the peer does not know the Association that a connection belongs to
    dormant,             // given up in good order while nothing was on its way; it may come again
};

const std::error_category& post_category() noexcept;
// Foreign codes, each in a category of its own; `message()` is the library's own text.
const std::error_category& tls_alert_category() noexcept;    // TLS alert numbers (RFC 8446, 6)
const std::error_category& quic_category() noexcept;         // QUIC transport errors (RFC 9000, 20)
const std::error_category& http3_category() noexcept;        // HTTP/3 and QPACK (RFC 9114, 8.1)
const std::error_category& ngtcp2_category() noexcept;       // ngtcp2's negative return values
const std::error_category& gnutls_category() noexcept;       // GnuTLS's negative return values
const std::error_category& resolver_category() noexcept;     // c-ares's status codes
const std::error_category& application_category() noexcept;  // the peer application's AbortCode

inline std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), post_category()};
}

// Where on the way to a working Carrier something happened.
enum class Stage : std::uint8_t { none, call, resolve, connect, handshake, verify, established };
const char* to_string(Stage stage) noexcept;

struct Error {
    std::error_code code;   // ours: what to react to
    std::error_code cause;  // foreign, kept as it came; may be empty
    Stage stage = Stage::none;
    Address candidate;  // the remote address tried; family none where there is none
    Bytes detail;       // one or more lines for people: what was tried, and what to do

    Error() = default;
    Error(Errc errc) : code(make_error_code(errc)) {}
    Error(std::error_code from) : code(from) {}
    Error(Errc errc, std::error_code why, Stage where = Stage::none, Bytes text = {})
        : code(make_error_code(errc)), cause(why), stage(where), detail(std::move(text)) {}

    explicit operator bool() const { return static_cast<bool>(code); }
    operator std::error_code() const { return code; }
    friend bool operator==(const Error& error, Errc errc) {
        return error.code == make_error_code(errc);
    }
    // One line: "handshake with [::1]:4433: certificate not valid at this time; renew it, or check
    // the clock (tls alert 45: certificate expired)".
    std::string message() const;
};

// What a throwing call throws; `error()` has everything.
class Failure : public std::system_error {
public:
    explicit Failure(Error error) : std::system_error(error.code), error_(std::move(error)) {
        text_ = error_.message();
        if (!error_.detail.empty()) text_ += "\n" + error_.detail.string();
    }
    const Error& error() const { return error_; }
    // The line and below it the detail. (std::system_error's own would say the code twice.)
    const char* what() const noexcept override { return text_.c_str(); }

private:
    Error error_;
    std::string text_;
};

}  // namespace post

template <> struct std::is_error_code_enum<post::Errc> : std::true_type {};
