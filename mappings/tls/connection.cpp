// The life of a connection, and its records.
#include "mappings/tls/connection.hpp"

#include <algorithm>

#include "mappings/crypto/continuity.hpp"
#include "mappings/framing/error_codes.hpp"

namespace post::tls {

namespace {

// While so much is on its way and nothing else asks the peer how far it is, it is asked.
constexpr std::uint64_t asked_every = 256 * 1024;
constexpr Duration answer_patience = std::chrono::seconds(10);

std::uint64_t random_word(Endpoint& endpoint) {
    std::uint64_t word = 0;
    endpoint.random(std::as_writable_bytes(std::span(&word, 1)));
    return word;
}

}  // namespace

Connection::Connection(Endpoint& endpoint, Instant now, Role role,
                       const TransportOptions& transport, const Address& local,
                       const Address& remote)
    : endpoint_(endpoint),
      role_(role),
      transport_(transport),
      streams_(role, transport.limits, random_word(endpoint), endpoint.pools()),
      qmux_(role, transport.limits, streams_),
      local_(local),
      remote_(remote),
      now_(now),
      began_(now),
      active_(now),
      record_size_(transport.segment) {
    streams_.attach(qmux_);
    streams_.establish(true);
    // Those that we make ourselves take nobody's place.
    half_open_ = role == Role::server;
    if (half_open_) endpoint_.opened_half();
}

// QMux: "endpoints MUST use ALPN to agree on an application protocol": without one in common both
// roles end the handshake (crypto::Verification).
Connection::Connection(Endpoint& endpoint, Instant now, const ConnectOptions& options)
    : Connection(endpoint, now, Role::client, options.transport, options.local, options.remote) {
    tls_ = std::make_unique<crypto::TlsStream>(endpoint_.credentials(), options.security,
                                               options.alpn, endpoint_.protection());
    offer_early(options);
    tls_->start();
}

Connection::Connection(Endpoint& endpoint, Instant now, const AcceptOptions& options,
                       const Address& local, const Address& remote)
    : Connection(endpoint, now, Role::server, options.transport, local, remote) {
    tls_ = std::make_unique<crypto::TlsStream>(endpoint_.credentials(), options.security,
                                               options.alpn, endpoint_.protection());
}

Connection::~Connection() {
    if (half_open_) endpoint_.closed_half();
}

// Commands.

void Connection::reset(CarrierId carrier, Error reason) {
    if (alive()) streams_.reset(carrier, reason);
}

void Connection::stop(CarrierId carrier, Error reason) {
    if (alive()) streams_.stop(carrier, reason, now_);
}

void Connection::extend_window(CarrierId carrier, std::uint64_t bytes) {
    if (alive()) streams_.extend_window(carrier, bytes);
}

void Connection::extend_budget(std::uint64_t bytes) {
    if (alive()) streams_.extend_budget(bytes);
}

void Connection::close(Error reason) {
    if (!alive()) return;
    end(std::move(reason));
    mute_ = true;
}

// Input.

// QMux: "endpoints MUST continue reading from the underlying transport even when delivery of STREAM
// data to the application is temporarily blocked", and "MUST NOT couple reads from the underlying
// transport to application reads on any single QUIC stream": all that comes is taken here, whatever
// the Carriers' windows and the application say, and flow control bounds what is held.
void Connection::handle_input(Instant now, const Datagrams& bytes) {
    advance(now);
    if (!alive() || bytes.bytes.empty()) return;
    bytes_received_ += bytes.bytes.size();
    const auto records = qmux_.records_received();
    crypto::TlsStream::Sink sink = [&](std::span<const std::byte> content) {
        note_early();
        return qmux_.handle_input(now_, content);
    };
    const auto progress = tls_->handle_input(bytes.bytes, endpoint_.room(), sink);
    if (qmux_.records_received() != records || state_ == State::handshaking) {
        heard_ = active_ = now_;
        if (qmux_.records_received() != records) {
            asked_ = false;
            unanswered_ = never;
        }
    }
    follow(progress);
}

void Connection::follow(crypto::TlsStream::Progress progress) {
    using Progress = crypto::TlsStream::Progress;
    const bool undecided = state_ == State::handshaking && role_ == Role::server;
    if (undecided && tls_->can_seal() && tls_->alpn() != post_alpn) return hand_over();
    const bool complete = tls_->progress() != Progress::waiting;
    if (state_ == State::handshaking && complete && qmux_.ready()) establish();
    if (state_ == State::established) take_tickets();
    if (progress == Progress::failed) {
        // The alert that says so is in TLS's output.
        lose(tls_->error());
        state_ = State::closing;
    } else if (streams_.violation()) {
        end(streams_.violation());
    } else if (const auto& broken = qmux_.violation()) {
        end(broken->error);
    } else if (const auto& close = qmux_.peer_close()) {
        end_by_peer(*close);
    } else if (progress == Progress::closed) {
        // QMux, Responding to a Connection Close: "observing the peer shut down the peer's sending
        // side". That is also how it says that it was idle for too long.
        const bool early = state_ == State::handshaking;
        lose(Error(early ? left() : Errc::connection_lost, {},
                   early ? Stage::handshake : Stage::established,
                   "the peer closed the connection without a word"));
        tls_->close();
        state_ = State::closing;
    }
}

void Connection::take_tickets() {
    if (role_ == Role::server) return;
    for (auto& ticket : tls_->take_tickets())
        streams_.inbox().add(event::Ticket{std::move(ticket.session),
                                           Bytes(encode(qmux_.theirs().value_or(Parameters{}))),
                                           ticket.lifetime, ticket.early_data});
}

// The client's first message has said what it speaks, which is nothing of ours.
void Connection::hand_over() {
    auto made = endpoint_.foreign(now_, transport_, local_, remote_, std::move(tls_));
    if (made)
        successor_ = std::move(*made);
    else
        lose(Error(made.error()));
    state_ = State::over;
}

void Connection::establish() {
    state_ = State::established;
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
    event::Established established;
    established.alpn = tls_->alpn();
    established.post = true;
    established.peer_identity = tls_->peer_certificate();
    established.resumed = tls_->resumed();
    established.early = outcome_;
    // What came early stands before it.
    if (role_ == Role::server && early_)
        streams_.inbox().add(std::move(established));
    else
        established_ = std::move(established);
    streams_.take_early(false);
    qmux_.ping(now_);  // the first sample of the round trip
}

void Connection::end_by_peer(const Qmux::PeerClose& close) {
    Error error = close.application
                      ? framing::closed_from_wire(close.code)
                      : Error(Errc::connection_closed,
                              std::error_code(
                                  static_cast<int>(std::min<std::uint64_t>(close.code, 0x7fffffff)),
                                  quic_category()));
    error.stage = state_ == State::established ? Stage::established : Stage::handshake;
    framing::add_reason(error, close.reason);
    lose(std::move(error));
    // QMux, Responding to a Connection Close: gracefully, and without any frames.
    tls_->close();
    state_ = State::closing;
}

void Connection::handle_end(Instant now) {
    advance(now);
    if (!alive()) return;
    const bool early = state_ == State::handshaking;
    // RFC 8446, 6.1: without close_notify it may be somebody else who ended it.
    lose(Error(early ? left() : Errc::connection_lost, {},
               early ? Stage::handshake : Stage::established,
               early ? "the peer closed the connection in the handshake"
                     : "the connection was cut: it ended without a word of TLS"));
    state_ = State::over;
}

void Connection::handle_trouble(Instant now, const Address&, std::error_code code) {
    advance(now);
    if (!alive()) return;
    Errc errc = framing::errc_of_trouble(code);
    const bool reached = bytes_received_ > 0;
    if (errc == Errc{} || reached)
        errc = state_ == State::established ? Errc::connection_lost
               : reached                    ? left()
                                            : Errc::unreachable;
    lose(Error(errc, code,
               state_ == State::established ? Stage::established
               : reached                    ? Stage::handshake
                                            : Stage::connect,
               "the TCP connection broke"));
    state_ = State::over;
}

void Connection::handle_timeout(Instant now) {
    advance(now);
    if (!alive() || deadline() > now_) return;
    streams_.handle_timeout(now_);
    if (state_ == State::handshaking) {
        if (now_ < began_ + transport_.limits.handshake_timeout) return;
        lose(Error(Errc::handshake_timeout, {},
                   bytes_sent_ > 0 ? Stage::handshake : Stage::connect));
        state_ = State::over;
        return;
    }
    if (now_ >= idle_at()) {
        lose(Error(Errc::connection_lost, {}, Stage::established));
        // QMux, Initiating a Connection Close: "When the idle timeout expires, an endpoint
        // gracefully shuts down its sending side of the underlying transport. The endpoint does
        // not send any QMux frames".
        tls_->close();
        state_ = State::closing;
        return;
    }
    const auto every = keep_alive_every();
    if (now_ >= ask_at() || (every && now_ >= later(active_, *every))) {
        qmux_.ping(now_);
        active_ = now_;
        asked_ = true;
        bytes_asked_ = bytes_sent_;
        unanswered_ = std::min(unanswered_, now_);  // also while TCP takes nothing
    }
}

// Output.

Datagrams Connection::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    advance(now);
    if (state_ == State::over) return {};
    std::size_t used = tls_->take_output(space);
    // What TLS has to say goes before what is sealed later.
    if (!tls_->has_output()) {
        if (state_ == State::closing) {
            used += write_last(space.subspan(used));
            if (!tls_->has_output()) state_ = State::over;
        } else if (tls_->can_seal()) {
            used += write_records(supply, space.subspan(used));
        } else if (sends_early() && tls_->can_seal_early()) {
            used += write_early(supply, space.subspan(used));
        }
    }
    bytes_sent_ += used;
    Datagrams run;
    run.local = local_;
    run.remote = remote_;
    run.segment = used;
    run.bytes = space.first(used);
    return run;
}

std::size_t Connection::write_records(Supply& supply, std::span<std::byte> space) {
    streams_.apply_credit();
    if (tls_->keys_worn()) {
        tls_->update_keys(false);
        return tls_->take_output(space);
    }
    std::size_t used = 0;
    bool full = false;
    // A record in pieces would be late by a segment: what does not fit has the next call.
    constexpr std::size_t least_space = 256 + crypto::tls_overhead;
    while (space.size() - used >= least_space) {
        const auto rest = space.subspan(used);
        const std::size_t limit = std::min(rest.size() - crypto::tls_overhead,
                                           record_size_.limit(now_));
        const std::size_t content = qmux_.fill(now_, supply,
                                               rest.subspan(crypto::tls_header_size, limit));
        if (content == 0) break;
        used += tls_->seal(rest, content);
        record_size_.sent(now_, content);
        active_ = now_;
        // Answers to answers would go on for ever.
        if (qmux_.carried()) unanswered_ = std::min(unanswered_, now_);
        full = space.size() - used < least_space;
    }
    rate_.sent(now_, used, full, qmux_.smoothed_rtt());
    return used;
}

// What is sealed of our last words: CONNECTION_CLOSE, and that nothing follows.
std::size_t Connection::write_last(std::span<std::byte> space) {
    std::size_t used = 0;
    if (close_ && tls_->can_seal() && space.size() > crypto::tls_overhead) {
        close_->reason = std::as_bytes(std::span(close_reason_));
        const auto content = qmux_.write_close(
            *close_,
            space.subspan(crypto::tls_header_size)
                .first(std::min(space.size() - crypto::tls_overhead, crypto::largest_tls_content)));
        if (content > 0) used = tls_->seal(space, content);
        tls_->close();
    }
    close_.reset();
    return used + tls_->take_output(space.subspan(used));
}

void Connection::poll_events(std::vector<Event>& events) {
    if (mute_) return;
    // A client's first streams may have come with its parameters.
    if (established_) events.push_back(*std::exchange(established_, std::nullopt));
    streams_.inbox().drain(events);
}

// Time.

std::optional<Duration> Connection::keep_alive_every() const {
    const auto every = transport_.limits.keep_alive.value_or(qmux_.idle_timeout() / 3);
    if (!keep_alive_ || every == Duration{}) return std::nullopt;
    return every;
}

// As RFC 9002, 6.2.1, with what a peer's library may wait with DELIVERED for its acknowledgements.
Duration Connection::probe_timeout(Duration least_variance) const {
    constexpr Duration first = std::chrono::milliseconds(333);  // RFC 9002, 6.2.2
    constexpr Duration patience = std::chrono::milliseconds(25);
    if (qmux_.smoothed_rtt() == Duration{}) return 3 * first;
    return qmux_.smoothed_rtt() + std::max(4 * qmux_.rtt_variance(), least_variance) + patience;
}

// TCP repairs a loss within one retransmission timeout, of 200 ms at least on today's systems, and
// has the peer wait meanwhile. What lies in its buffers takes its time as well.
Instant Connection::doubt() const {
    if (state_ != State::established || unanswered_ == never) return never;
    constexpr Duration least = std::chrono::milliseconds(200);
    Duration wait = 3 * probe_timeout(least);
    if (rate_.rate() > 0)
        wait += std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
            static_cast<double>(bytes_sent_ - bytes_asked_) / static_cast<double>(rate_.rate())));
    return later(unanswered_, wait);
}

// QMux, Idle Timeout: since a record was received or sent. That would let who sends into the dark
// go on for as long as TCP does; but a peer that is asked has to answer. It is asked when it was
// silent for a probe timeout, or was told much, and has not confirmed all of it.
Instant Connection::idle_at() const {
    const bool waits = (asked_ || qmux_.asking()) && unanswered_ != never;
    return later(waits ? unanswered_ : active_, qmux_.idle_timeout());
}

Instant Connection::ask_at() const {
    if (state_ != State::established || qmux_.asking() || qmux_.confirmed()) return never;
    if (bytes_sent_ - bytes_asked_ >= asked_every) return now_;
    // Who waits for its client need not hurry when that was heard since.
    constexpr Duration rest = std::chrono::seconds(1);
    const Duration soon = probe_timeout(Duration{});
    if (unanswered_ != never) return later(unanswered_, soon);
    return later(heard_, role_ == Role::server ? std::max(soon, rest) : soon);
}

Instant Connection::deadline() const {
    if (!alive()) return never;
    const Instant streams = streams_.deadline();
    if (state_ == State::handshaking)
        return std::min(streams, later(began_, transport_.limits.handshake_timeout));
    const auto every = keep_alive_every();
    return std::min({streams, idle_at(), ask_at(), every ? later(active_, *every) : never});
}

// Views.

std::uint64_t Connection::send_window(CarrierId carrier) const {
    return state_ == State::established ? streams_.send_window(carrier) : 0;
}

// That TCP has taken it says nothing of the peer. One that has other things to say and does not
// answer is not waited for.
bool Connection::quiet() const {
    if (!alive()) return true;
    const bool asked = qmux_.asked_at() == never || now_ - qmux_.asked_at() < answer_patience;
    return streams_.settled() && !tls_->has_output() && (qmux_.confirmed() || !asked);
}

Path Connection::path() const {
    Path path;
    path.local = local_;
    path.remote = remote_;
    path.mtu = transport_.segment;
    path.smoothed_rtt = qmux_.smoothed_rtt();
    path.minimum_rtt = qmux_.minimum_rtt();
    path.rtt_variance = qmux_.rtt_variance();
    path.rate = rate_.rate();
    path.bytes_sent = bytes_sent_;
    path.bytes_received = bytes_received_;
    return path;
}

std::optional<ContinuityKey> Connection::continuity_key(const AssociationName& association) const {
    if (state_ != State::established) return std::nullopt;
    return crypto::continuity_key(crypto::continuity_secret(tls_->native(), &association));
}

std::optional<ContinuityProof> Connection::prove(const ContinuityKey& key, Role role,
                                                 std::uint64_t epoch) const {
    if (state_ != State::established) return std::nullopt;
    return crypto::continuity_proof(key, crypto::continuity_secret(tls_->native(), nullptr), role,
                                    epoch);
}

std::optional<ContinuityProof> Connection::prove_early(const ContinuityKey& key,
                                                       std::uint64_t epoch) const {
    if (!tls_) return std::nullopt;
    return crypto::early_continuity_proof(key, tls_->early_secret(), epoch);
}

// Endings.

void Connection::end(Error error) {
    const auto& broken = qmux_.violation();
    close_.emplace();
    close_->application = !broken;
    close_->code = broken ? static_cast<std::uint64_t>(broken->code) : framing::to_wire(error);
    close_reason_ = framing::printable(error.detail.view());
    lose(std::move(error));
    state_ = State::closing;
}

void Connection::lose(Error error) {
    if (error.candidate.family == Address::Family::none) error.candidate = remote_;
    streams_.inbox().add(event::Lost{std::move(error)});
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
}

}  // namespace post::tls
