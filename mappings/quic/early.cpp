// Early data (0-RTT packets, RFC 9001, 4.6): a client writes it with its first flight, by what the
// server promised in an earlier connection; a server takes it as it comes.

#include "mappings/quic/connection.hpp"

namespace post::quic {

// A client's, for its first ClientHello: with what is remembered of the server's windows streams
// may be opened at once.
void Connection::offer_early(const ConnectOptions& options) {
    if (early_tried_) {
        // Another version: nothing of the first flight counts.
        early_ = false;
        streams_.begin_again();
        return;
    }
    const Bytes& known = options.parameters;
    if (options.security.early_data == 0 || known.empty() || options.alpn.size() != 1) return;
    early_ = early_tried_ = ngtcp2_conn_decode_and_set_0rtt_transport_params(
                                native_.get(), reinterpret_cast<const std::uint8_t*>(known.data()),
                                known.size()) == 0;
    post_ = options.alpn.front() == post_alpn && !raw_;
    if (early_) streams_.establish(post_);
}

// A server's, when the first of it comes: TLS has agreed to it, and on the protocol.
void Connection::begin_early() {
    if (role_ == Role::client || early_ || state_ != State::handshaking) return;
    early_ = true;
    auto alpn = tls_->alpn();
    post_ = alpn == post_alpn && !raw_;
    streams_.establish(post_);
    streams_.take_early(true);
    streams_.inbox().add(event::Early{std::move(alpn), post_});
}

// The handshake is complete.
event::Established::Early Connection::end_early() {
    using Outcome = event::Established::Early;
    const bool was_early = std::exchange(early_, false);
    streams_.take_early(false);
    if (role_ == Role::server) return was_early ? Outcome::accepted : Outcome::none;
    if (!early_tried_) return Outcome::none;
    if (was_early && tls_->early_accepted()) return Outcome::accepted;
    if (was_early) {
        // RFC 9001, 4.6.2: the streams are gone, and the windows are those of this handshake.
        streams_.begin_again();
        ngtcp2_conn_tls_early_data_rejected(native_.get());
    }
    return Outcome::rejected;
}

}  // namespace post::quic
