// Early data of TLS 1.3 (RFC 8446, 2.3; QMux, Using 0-RTT): QMux records right behind the
// ClientHello, by the parameters that the server had the last time.

#include <algorithm>

#include "mappings/tls/connection.hpp"

namespace post::tls {

void Connection::offer_early(const ConnectOptions& options) {
    Parameters known;
    std::string why;
    const bool ours = options.alpn.size() == 1 && options.alpn.front() == post_alpn;
    if (!ours || options.security.early_data == 0 || options.parameters.empty() ||
        !decode(options.parameters.span(), known, why))
        return;
    qmux_.remember(known);
    early_ = true;
    early_left_ = options.security.early_data;
}

// Content has come: that of a client may be early, and that of a server says that ours was taken,
// or not.
void Connection::note_early() {
    if (role_ == Role::server) {
        const bool early = tls_->reads_early();
        if (early && !std::exchange(early_, true)) {
            outcome_ = event::Established::Early::accepted;
            streams_.inbox().add(event::Early{tls_->alpn(), true});
        }
        return streams_.take_early(early);
    }
    if (!early_ || outcome_ != event::Established::Early::none) return;
    outcome_ = tls_->early_accepted() ? event::Established::Early::accepted
                                      : event::Established::Early::rejected;
    if (outcome_ == event::Established::Early::accepted) return;
    streams_.begin_again();
    qmux_.begin_again();
}

std::size_t Connection::write_early(Supply& supply, std::span<std::byte> space) {
    constexpr std::size_t least_space = 256 + crypto::tls_overhead;
    std::size_t used = 0;
    while (space.size() - used >= least_space && early_left_ >= least_space) {
        const auto rest = space.subspan(used);
        const auto limit = std::min<std::uint64_t>(
            {rest.size() - crypto::tls_overhead, record_size_.limit(now_), early_left_});
        const std::size_t content = qmux_.fill(
            now_, supply, rest.subspan(crypto::tls_header_size, static_cast<std::size_t>(limit)));
        if (content == 0) break;
        used += tls_->seal_early(rest, content);
        early_left_ -= content;
        active_ = now_;
    }
    return used;
}

}  // namespace post::tls
