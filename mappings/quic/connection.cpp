// The life of a Connection: made, fed, asked, lost. Its packets are filled in transmit.cpp; what it
// does for itself stands in upkeep.cpp.
#include "mappings/quic/connection.hpp"

#include <algorithm>

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "mappings/framing/error_codes.hpp"
#include "mappings/quic/keys.hpp"
#include "mappings/quic/settings.hpp"

namespace post::quic {

namespace {

// What packets in flight weigh, and ngtcp2's pools keep; with small packets in a large window.
constexpr std::uint64_t memory_to_send = 32 * 1024 * 1024;

std::uint64_t random_word(Endpoint& endpoint) {
    std::uint64_t word = 0;
    endpoint.random(std::as_writable_bytes(std::span(&word, 1)));
    return word;
}

Address or_any(const Address& local, const Address& remote) {
    if (local.family != Address::Family::none) return local;
    return remote.family == Address::Family::v4 ? Address::any_v4() : Address::any_v6();
}

Error cannot_start(int code) {
    return Error(Errc::invalid_argument, std::error_code(code, ngtcp2_category()), Stage::connect,
                 "a QUIC connection cannot be made");
}

}  // namespace

Connection::Connection(Endpoint& endpoint, TransientId transient, Role role,
                       const TransportOptions& options, Instant now)
    : endpoint_(endpoint),
      transient_(transient),
      role_(role),
      pacing_(options.pacing && options.congestion != Congestion::bbr),
      bbr_(options.pacing && options.congestion == Congestion::bbr),
      raw_(options.raw),
      run_limit_(std::max<std::size_t>(1, options.run_limit)),
      budget_(std::min(options.limits.budget, std::uint64_t{1} << 60)),
      most_memory_(2 * budget_ + memory_to_send),
      now_(now),
      key_update_after_(options.key_update_after),
      take_preferred_(options.take_preferred),
      keep_alive_every_(options.limits.keep_alive),
      streams_(role, options.limits, random_word(endpoint), endpoint.pools()) {
    streams_.attach(native_streams_);
    endpoint_.opened_half();
    reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
        return static_cast<Connection*>(reference->user_data)->native_.get();
    };
    reference_.user_data = this;
}

Connection::~Connection() {
    left_handshake();
    for (const auto& id : ids_) endpoint_.remove_route(id);
    for (const auto& token : reset_tokens_) endpoint_.remove_reset_token(token);
}

Result<void> Connection::connect(const ConnectOptions& options) {
    remote_ = options.remote;
    local_ = or_any(options.local, options.remote);
    connect_ = std::make_unique<ConnectOptions>(options);
    const auto& versions = options.transport.versions;
    auto first = versions.empty() ? QuicVersion::v1 : versions.front();
    first_version_ = static_cast<std::uint32_t>(first);
    return begin(first_version_);
}

// A client's first packet in this version; once more in another one when the server asks for it.
Result<void> Connection::begin(std::uint32_t version) {
    const auto& options = *connect_;
    const Preferences preferences(options.transport);
    ngtcp2_callbacks callbacks{};
    ngtcp2_settings settings;
    ngtcp2_transport_params parameters;
    fill(callbacks, role_);
    fill(settings, options.transport, preferences, now_, endpoint_);
    fill(parameters, options.transport);
    settings.original_version = first_version_;
    const Bytes& token = options.token;
    settings.token = token.empty() ? nullptr : reinterpret_cast<const std::uint8_t*>(token.data());
    settings.tokenlen = token.size();
    settings.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;

    // RFC 9000, 7.2: unpredictable, at least 8 bytes; the server replaces it.
    std::array<std::byte, 18> noise;
    endpoint_.random(noise);
    ConnectionId chosen(noise.data(), noise.size());
    start_log(settings, chosen);
    auto destination = to_native(chosen);
    auto source = to_native(issue_id());
    PathStorage path(local_, remote_);
    ngtcp2_conn* native = nullptr;
    int code = ngtcp2_conn_client_new(&native, &destination, &source, path.path(), version,
                                      &callbacks, &settings, &parameters, memory_.native(), this);
    if (code != 0) return cannot_start(code);
    native_.reset(native);
    native_streams_.attach(native);
    start_tls(std::make_unique<crypto::TlsSession>(endpoint_.credentials(), options.security,
                                                   options.alpn));
    offer_early(options);
    return {};
}

// What the server offers, in our order; the one that it did not take is no choice.
void Connection::choose_version(std::span<const std::uint32_t> offered) {
    for (auto version : connect_->transport.versions) {
        auto number = static_cast<std::uint32_t>(version);
        if (number == first_version_) continue;
        if (std::find(offered.begin(), offered.end(), number) == offered.end()) continue;
        next_version_ = number;
        return;
    }
}

Result<void> Connection::accept(const AcceptOptions& options, const Datagrams& first,
                                const AddressProof& proof) {
    remote_ = first.remote;
    local_ = or_any(first.local, first.remote);
    ngtcp2_pkt_hd header;
    auto front = first.front();
    if (front.empty() || ngtcp2_accept(&header, reinterpret_cast<const std::uint8_t*>(front.data()),
                                       front.size()) != 0)
        return Error(Errc::invalid_argument, {}, Stage::connect, "not a client's first packet");

    const Preferences preferences(options.transport);
    ngtcp2_callbacks callbacks{};
    ngtcp2_settings settings;
    ngtcp2_transport_params parameters;
    fill(callbacks, role_);
    fill(settings, options.transport, preferences, now_, endpoint_);
    fill(parameters, options.transport);
    bool retried = proof.kind == AddressProof::Kind::retry;
    parameters.original_dcid = retried ? to_native(proof.original) : header.dcid;
    parameters.original_dcid_present = 1;
    parameters.retry_scid = header.dcid;
    parameters.retry_scid_present = retried ? 1 : 0;
    // With a proof there is no limit of three times what the client sent (RFC 9000, 8.1).
    if (retried || proof.kind == AddressProof::Kind::token) {
        settings.token = header.token;
        settings.tokenlen = header.tokenlen;
        settings.token_type = retried ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
    }
    start_log(settings, to_id(parameters.original_dcid));
    auto id = issue_id();
    endpoint_.reset_token(id, parameters.stateless_reset_token);
    parameters.stateless_reset_token_present = 1;
    offer_preferred(parameters, options);
    // The client goes on using its own choice until it has seen ours.
    auto chosen = to_id(header.dcid);
    if (!endpoint_.add_route(chosen, transient_)) return Errc::too_many;
    ids_.push_back(chosen);

    auto source = to_native(id);
    PathStorage path(local_, remote_);
    ngtcp2_conn* native = nullptr;
    int code = ngtcp2_conn_server_new(&native, &header.scid, &source, path.path(), header.version,
                                      &callbacks, &settings, &parameters, memory_.native(), this);
    if (code != 0) return cannot_start(code);
    native_.reset(native);
    native_streams_.attach(native);
    start_tls(std::make_unique<crypto::TlsSession>(endpoint_.credentials(), options.security,
                                                   options.alpn));
    return {};
}

void Connection::start_tls(std::unique_ptr<crypto::TlsSession> tls) {
    tls_ = std::move(tls);
    auto* session = tls_->native();
    int code = role_ == Role::client ? ngtcp2_crypto_gnutls_configure_client_session(session)
                                     : ngtcp2_crypto_gnutls_configure_server_session(session);
    if (code != 0) throw std::bad_alloc();
    watch_secrets(session);
    tls_->cookie(&reference_);
    ngtcp2_conn_set_tls_native_handle(native_.get(), session);
}

ConnectionId Connection::issue_id() {
    auto id = endpoint_.issue_id(transient_);
    ids_.push_back(id);
    return id;
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
    close_reason_ = std::move(reason);
    state_ = State::closing;
    mute_ = true;
    left_handshake();
}

// Input.

void Connection::handle_input(Instant now, const Datagrams& datagrams) {
    advance(now);
    if (!alive() || datagrams.empty()) return;
    // ngtcp2 follows a client that moves, and lets nobody move a client.
    if (role_ == Role::server && !follows(datagrams.remote)) return;
    if (datagrams.local.family != Address::Family::none) seen_local_ = datagrams.local;
    PathStorage path(near_end(datagrams), datagrams.remote);
    ngtcp2_pkt_info info{};
    info.ecn = static_cast<std::uint8_t>(datagrams.ecn);
    bytes_received_ += datagrams.bytes.size();
    for (auto rest = datagrams; !rest.empty() && alive(); rest = rest.after(1))
        if (!read(path.path(), info, rest.front())) break;
    note_heard();
    if (alive() && memory_.used() > most_memory_)
        end({Errc::excessive_load,
             {},
             Stage::established,
             "the peer leaves holes in its streams, and what lies behind them fills the memory"});
    if (alive()) streams_.apply_credit();
    if (alive()) note_path();
    rethrow();
}

// False: it moves too often, and what comes from there is dropped. Only a packet that was genuine
// makes ngtcp2 follow, so nobody else uses up the limit.
bool Connection::follows(const Address& remote) {
    const Address current = to_address(ngtcp2_conn_get_path(native_.get())->remote);
    if (current != followed_) {
        if (followed_.family != Address::Family::none) moves_.take(now_);
        followed_ = current;
    }
    return remote == current || moves_.has(now_);
}

bool Connection::read(ngtcp2_path* path, const ngtcp2_pkt_info& info,
                      std::span<const std::byte> datagram) {
    if (datagram.empty()) return true;
    read_ = true;
    int code = ngtcp2_conn_read_pkt(native_.get(), path, &info,
                                    reinterpret_cast<const std::uint8_t*>(datagram.data()),
                                    datagram.size(), to_timestamp(now_));
    if (code == 0) {
        if (!moving_.unvalidated.none())
            moving_.unvalidated.received(to_address(path->remote), datagram.size());
        return true;
    }
    // The server speaks no version of the first flight, but another one of ours (RFC 9368, 2.1).
    if (code == NGTCP2_ERR_RECV_VERSION_NEGOTIATION && next_version_ != 0)
        if (begin(std::exchange(next_version_, 0))) return false;
    fail(code);
    return false;
}

void Connection::handle_timeout(Instant now) {
    advance(now);
    if (!alive() || deadline() > now_) return;
    int code = ngtcp2_conn_handle_expiry(native_.get(), to_timestamp(now_));
    if (code != 0) fail(code);
    streams_.handle_timeout(now_);
    check_mtu();
    check_moves();
    rethrow();
}

void Connection::handle_trouble(Instant now, const Address& remote, std::error_code code) {
    advance(now);
    // Anybody can forge an ICMP message: it only counts while the peer has not spoken.
    if (state_ != State::handshaking || authentic_ || remote != remote_) return;
    const Errc errc = framing::errc_of_trouble(code);
    if (errc == Errc{}) return;
    lose(Error(errc, code, Stage::connect));
    state_ = State::over;
}

// ngtcp2 counts what it could open.
void Connection::note_heard() {
#if NGTCP2_VERSION_NUM >= 0x011000
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(native_.get(), &info);
    if (std::exchange(packets_received_, info.pkt_recv) == info.pkt_recv) return;
    moving_.note(now_, Duration(static_cast<Duration::rep>(info.latest_rtt)));
    moving_.delivery.note(now_, Duration(static_cast<Duration::rep>(info.smoothed_rtt)),
                          delivered(info));
#else
    packets_received_ = 1;
#endif
    heard_ = now_;
    watch_silence(true);
}

bool Connection::heard_peer() const { return authentic_ || packets_received_ > 0; }

// Output.

void Connection::poll_events(std::vector<Event>& events) {
    if (!mute_) streams_.inbox().drain(events);
}

Instant Connection::deadline() const {
    if (!alive()) return never;
    return std::min({to_instant(ngtcp2_conn_get_expiry(native_.get())), mtu_.deadline(),
                     streams_.deadline(), moving_.until, pacer_.deadline(now_)});
}

std::uint64_t Connection::send_window(CarrierId carrier) const {
    return state_ == State::established ? streams_.send_window(carrier) : 0;
}

bool Connection::quiet() const {
    if (!alive()) return true;
    if (streams_.settled()) return true;
    // An end that travelled alone can be acknowledged without our being told: then nothing flies.
    if (!streams_.bytes_settled()) return false;
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(native_.get(), &info);
    return !streams_.something_ready() && info.bytes_in_flight == 0;
}

// Endings.

void Connection::fail(int code) {
    if (!alive()) return;
    // The client may have it complete, and be cut off: a word about it would end what goes on when
    // it comes back.
    if (code == NGTCP2_ERR_HANDSHAKE_TIMEOUT && role_ == Role::server) code = NGTCP2_ERR_IDLE_CLOSE;
    switch (code) {
        case NGTCP2_ERR_DRAINING: peer_closed(); return;
        case NGTCP2_ERR_RETRY:
        case NGTCP2_ERR_DROP_CONN:  // nothing of it came
            begun_amid_ = true;
            [[fallthrough]];
        case NGTCP2_ERR_IDLE_CLOSE:
        case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
            lose(error_of_code(code, circumstances()));
            state_ = State::over;
            return;
        case NGTCP2_ERR_NOMEM: thrown_ = std::make_exception_ptr(std::bad_alloc()); break;
        default: break;
    }
    Error error = error_of_code(code, circumstances());
    if (code == NGTCP2_ERR_CRYPTO && tls_->failed()) {
        error = tls_->error();
        close_alert_ = tls_->alert();
    }
    if (streams_.violation()) error = streams_.violation();
    end(std::move(error));
}

// The peer will be told.
void Connection::end(Error error) {
    error.candidate = remote_;
    close_reason_ = error;
    lose(std::move(error));
    state_ = State::closing;
}

void Connection::peer_closed() {
    Error error;
    if (reset_by_peer_) {
        error = Error(Errc::stateless_reset, {}, Stage::established);
        error.candidate = remote_;
    } else {
        error = error_of_close(*ngtcp2_conn_get_ccerr(native_.get()), circumstances());
    }
    lose(std::move(error));
    state_ = State::over;
}

void Connection::lose(Error error) {
    if (error.candidate.family == Address::Family::none) error.candidate = remote_;
    for (auto* move : {&moving_.wanted, &moving_.probing})
        if (established_) settle_move(*move, error);
    streams_.inbox().add(event::Lost{std::move(error)});
    left_handshake();
}

void Connection::left_handshake() {
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
}

void Connection::rethrow() {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

Instant Connection::advance(Instant now) {
    now_ = std::max(now_, now);
    return now_;
}

Circumstances Connection::circumstances() const { return {role_, established_, post_, remote_}; }

// For the callbacks.

int Connection::advance_tls(ngtcp2_encryption_level level, std::span<const std::byte> bytes) {
    // Whatever is in a CRYPTO frame was protected with keys that only the peer has seen, or, for
    // Initial packets, came from somebody on the path.
    authentic_ = true;
    auto native_level = ngtcp2_crypto_gnutls_from_ngtcp2_encryption_level(level);
    const auto progress = tls_->advance(static_cast<int>(native_level), bytes);
    take_tickets();
    switch (progress) {
        case crypto::TlsSession::Progress::waiting: return 0;
        case crypto::TlsSession::Progress::complete:
            if (ngtcp2_conn_get_handshake_completed(native_.get()) == 0)
                ngtcp2_conn_tls_handshake_completed(native_.get());
            return 0;
        case crypto::TlsSession::Progress::failed: break;
    }
    // Errors of the transport parameters are found inside TLS, but are QUIC's.
    if (int code = ngtcp2_conn_get_tls_error(native_.get()); code != 0) return code;
    ngtcp2_conn_set_tls_alert(native_.get(), tls_->alert());
    return NGTCP2_ERR_CRYPTO;
}

void Connection::on_handshake_completed() {
    auto alpn = tls_->alpn();
    post_ = alpn == post_alpn && !raw_;
    const auto early = end_early();
    state_ = State::established;
    established_ = true;
    left_handshake();
    connect_.reset();
    set_keep_alive();
    if (role_ == Role::server) give_token();
    streams_.establish(post_);
    streams_.extend_budget(budget_ - first_budget(budget_));
    const auto* theirs = ngtcp2_conn_get_remote_transport_params(native_.get());
    const bool alone = theirs && theirs->max_datagram_frame_size > 0;
    event::Established established;
    established.alpn = std::move(alpn);
    established.post = post_;
    established.peer_identity = tls_->peer_certificate();
    established.alone = alone;
    established.resumed = tls_->resumed();
    established.early = early;
    streams_.inbox().add(std::move(established));
}

}  // namespace post::quic
