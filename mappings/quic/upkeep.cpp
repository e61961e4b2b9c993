// What a Connection does for itself, beside carrying data: it stays alive, changes keys, watches
// what its path bears, hands out and keeps address tokens, and writes its log.

#include <algorithm>
#include <array>

#include "mappings/crypto/continuity.hpp"
#include "mappings/quic/connection.hpp"

namespace post::quic {

namespace {

std::string hex(const ConnectionId& id) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < id.size; ++i) {
        auto byte = std::to_integer<unsigned>(id.bytes[i]);
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

}  // namespace

// Keep-alive.

void Connection::keep_alive(bool wanted) {
    if (keep_alive_ == wanted) return;
    keep_alive_ = wanted;
    set_keep_alive();
}

void Connection::set_keep_alive() {
    if (!established_ || !alive()) return;
    // RFC 9000, 10.1: the lesser of what the two ends said, where zero says nothing.
    auto idle = ngtcp2_conn_get_local_transport_params(native_.get())->max_idle_timeout;
    const auto* theirs = ngtcp2_conn_get_remote_transport_params(native_.get());
    if (theirs && theirs->max_idle_timeout != 0) idle = std::min(idle, theirs->max_idle_timeout);
    auto every = keep_alive_every_ ? static_cast<ngtcp2_duration>(keep_alive_every_->count())
                                   : idle / 3;
    ngtcp2_conn_set_keep_alive_timeout(
        native_.get(), keep_alive_ && every != 0 ? every : ngtcp2_duration{UINT64_MAX});
}

// Continuity.

std::optional<ContinuityKey> Connection::continuity_key(const AssociationName& association) const {
    if (!established_) return std::nullopt;
    return crypto::continuity_key(crypto::continuity_secret(tls_->native(), &association));
}

std::optional<ContinuityProof> Connection::prove(const ContinuityKey& key, Role role,
                                                 std::uint64_t epoch) const {
    if (!established_) return std::nullopt;
    return crypto::continuity_proof(key, crypto::continuity_secret(tls_->native(), nullptr), role,
                                    epoch);
}

std::optional<ContinuityProof> Connection::prove_early(const ContinuityKey& key,
                                                       std::uint64_t epoch) const {
    if (!tls_) return std::nullopt;
    return crypto::early_continuity_proof(key, tls_->early_secret(), epoch);
}

// What is on its way has to bring something back. ngtcp2 keeps its count of probes to itself, so
// that time is what is counted: one probe timeout, and twice as much for the next.
void Connection::watch_silence(bool heard) {
    if (!established_) return;
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(native_.get(), &info);
    if (info.bytes_in_flight == 0)
        awaited_ = never;
    else if (heard || awaited_ == never)
        awaited_ = now_;
}

Instant Connection::doubt() const {
    if (state_ != State::established || awaited_ == never) return never;
    return later(awaited_,
                 3 * Duration(static_cast<Duration::rep>(ngtcp2_conn_get_pto(native_.get()))));
}

// Keys.

bool Connection::update_keys() {
    if (state_ != State::established) return false;
    return ngtcp2_conn_initiate_key_update(native_.get(), to_timestamp(now_)) == 0;
}

void Connection::count_sent(const Datagrams& run) {
    if (run.empty()) return;
    // Who had nothing on the way when the peer was heard last has now, perhaps.
    if (awaited_ == never) watch_silence(false);
    bytes_sent_ += run.bytes.size();
    under_key_ += run.count();
    marked_ = run.ecn == Ecn::ect0;
    if (marked_) marks_ += run.count();
    if (under_key_ >= key_update_after_ && update_keys()) under_key_ = 0;
}

// The path.

// Time in which nothing is out says nothing about the path. What waits for the peer's window is not
// out: a reader that pauses swallows nothing.
void Connection::note_quiet() {
    bool quiet = streams_.bytes_settled();
    if (!quiet) {
        ngtcp2_conn_info info;
        ngtcp2_conn_get_conn_info(native_.get(), &info);
        quiet = info.bytes_in_flight == 0;
    }
    if (quiet) mtu_.on_progress(now_);
}

void Connection::check_mtu() {
    if (state_ != State::established) return;
    note_quiet();
    auto* native = native_.get();
    mtu_.on_timeout(now_, Duration(static_cast<Duration::rep>(ngtcp2_conn_get_pto(native))),
                    ngtcp2_conn_get_path_max_tx_udp_payload_size(native));
}

// Tokens.

void Connection::give_token() {
    auto token = endpoint_.address_token(now_, remote_);
    if (token.size == 0) return;
    if (ngtcp2_conn_submit_new_token(native_.get(), token.bytes.data(), token.size) != 0)
        throw std::bad_alloc();
}

void Connection::keep_token(std::span<const std::uint8_t> token) {
    // Servers decide how many come (ATTACKS A17).
    constexpr std::size_t most_tokens = 8;
    if (token.empty() || tokens_++ >= most_tokens) return;
    streams_.inbox().add(event::Token{Bytes(std::as_bytes(token))});
}

// Each with what the server promises of its windows, by which early data will go.
void Connection::take_tickets() {
    if (!established_ || role_ == Role::server) return;
    for (auto& ticket : tls_->take_tickets()) {
        std::array<std::uint8_t, 256> space;
        const auto size = ngtcp2_conn_encode_0rtt_transport_params(native_.get(), space.data(),
                                                                   space.size());
        Bytes parameters;
        if (size > 0)
            parameters = Bytes(
                std::as_bytes(std::span(space).first(static_cast<std::size_t>(size))));
        streams_.inbox().add(event::Ticket{std::move(ticket.session), std::move(parameters),
                                           ticket.lifetime, ticket.early_data});
    }
}

// Logs.

void Connection::start_log(ngtcp2_settings& settings, const ConnectionId& original) {
    if (!endpoint_.logs()) return;
    log_ = hex(original) + (role_ == Role::client ? "_client" : "_server") + ".sqlog";
    settings.qlog_write = [](void* user_data, std::uint32_t, const void* data, std::size_t size) {
        auto& self = *static_cast<Connection*>(user_data);
        // A log is not worth a connection: without memory it has a hole.
        try {
            self.endpoint_.log(self.log_, {static_cast<const std::byte*>(data), size});
        } catch (...) {}
    };
}

}  // namespace post::quic
