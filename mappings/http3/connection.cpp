// The life of a Connection: made, begun when the handshake has chosen HTTP/3, fed, asked, lost.
#include "mappings/http3/connection.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>

#include <nghttp3/nghttp3.h>

#include "mappings/http3/callbacks.hpp"
#include "mappings/http3/errors.hpp"
#include "mappings/http3/filling.hpp"
#include "mappings/quic/connection.hpp"

namespace post::http3 {

namespace {

// Far beyond all that Carriers count up to; even, so that a client's and a server's stay apart.
constexpr std::uint64_t first_own = std::uint64_t{1} << 60;

}  // namespace

void Connection::Deleter::operator()(nghttp3_conn* native) const noexcept {
    nghttp3_conn_del(native);
}

Connection::Connection(std::unique_ptr<Mapping> below, Role role, Options options)
    : below_(std::move(below)), role_(role), options_(std::move(options)) {
    begin_early();
}

Connection::~Connection() = default;

CarrierId Connection::own(Own which) const {
    return CarrierId{first_own + 2 * static_cast<std::uint64_t>(which) +
                     (role_ == Role::client ? 0 : 1)};
}

// The handshake has chosen HTTP/3: the connection's own streams are opened with the next packet.
void Connection::start() {
    nghttp3_callbacks callbacks{};
    fill(callbacks);
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = largest_section;
    settings.qpack_max_dtable_capacity = dynamic_table;
    settings.qpack_encoder_max_dtable_capacity = dynamic_table;
    settings.qpack_blocked_streams = blocked_streams;
    settings.enable_connect_protocol = role_ == Role::server && !options_.connect.empty() ? 1 : 0;
    settings.h3_datagram = offers_datagrams() ? 1 : 0;
    nghttp3_conn* native = nullptr;
    const auto* memory = nghttp3_mem_default();
    const int code = role_ == Role::client
                         ? nghttp3_conn_client_new(&native, &callbacks, &settings, memory, this)
                         : nghttp3_conn_server_new(&native, &callbacks, &settings, memory, this);
    if (code != 0) throw std::bad_alloc();
    native_.reset(native);
    static_cast<quic::Connection&>(*below_).keep_datagrams_apart();
    // A PRIORITY_UPDATE may overtake the first request.
    if (role_ == Role::server) nghttp3_conn_set_max_client_streams_bidi(native, most_ahead);
    for (const Own which : {Own::control, Own::encoder, Own::decoder})
        ready_.push_back(Open{own(which), std::nullopt, CarrierKind::one_way});
}

// False: the peer allows no streams for it yet.
bool Connection::bind() {
    if (bound_) return true;
    std::array<std::int64_t, own_streams> ids;
    for (const Own which : {Own::control, Own::encoder, Own::decoder}) {
        const auto id = stream_id(own(which));
        if (id < 0) return false;
        ids[static_cast<std::size_t>(which)] = id;
        streams_[id] = own(which);
    }
    bound_ = true;
    if (nghttp3_conn_bind_control_stream(native_.get(), ids[0]) != 0 ||
        nghttp3_conn_bind_qpack_streams(native_.get(), ids[1], ids[2]) != 0)
        throw std::bad_alloc();
    if (retiring_) nghttp3_conn_shutdown(native_.get());
    return true;
}

// What is below is what quic::Endpoint made.
std::int64_t Connection::stream_id(CarrierId carrier) const {
    return static_cast<const quic::Connection&>(*below_).stream_id(carrier);
}

// Requests.

Request* Connection::find(CarrierId carrier) {
    const auto at = requests_.find(carrier);
    return at == requests_.end() ? nullptr : &at->second;
}

Request* Connection::find_stream(std::int64_t id) {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : find(at->second);
}

Request& Connection::make(CarrierId carrier) {
    return requests_.try_emplace(carrier, carrier).first->second;
}

void Connection::forget(CarrierId carrier) {
    const Request* request = find(carrier);
    if (!request) return;
    if (request->id >= 0) {
        // What it still holds for a decoder, and its place in the order, are given up with it.
        nghttp3_conn_close_stream(native_.get(), request->id, code::no_error);
        streams_.erase(request->id);
    }
    if (request->waits) --waiting_for_leave_;
    const bool told = request->opened;
    requests_.erase(carrier);
    if (told) events_.push_back(event::Ended{carrier});
    end_if_retired();
}

// What the server still answers is over, and it takes nothing more.
void Connection::end_if_retired() {
    if (!retired_ || role_ == Role::server) return;
    for (const auto& [carrier, request] : requests_)
        if (request.id >= 0) return;
    end(error_of(Errc::connection_closed, code::no_error,
                 "the server takes no further requests on this connection (GOAWAY)"));
}

// Commands.

void Connection::reset(CarrierId carrier, Error reason) {
    if (!native_) return below_->reset(carrier, std::move(reason));
    Request* request = find(carrier);
    if (!request) return;
    if (std::exchange(request->waits, false)) --waiting_for_leave_;
    request->out = Request::Out::ended;
    request->pulled.reset();
    request->chunk = {};
    if (request->id >= 0) nghttp3_conn_shutdown_stream_write(native_.get(), request->id);
    if (!request->opening && request->id < 0) return forget(carrier);
    const Error why = http3::below(to_wire(reason));
    below_->reset(carrier, why);
}

void Connection::stop(CarrierId carrier, Error reason) {
    if (!native_) return below_->stop(carrier, std::move(reason));
    Request* request = find(carrier);
    if (!request || request->peer_done) return;
    request->refused = true;
    if (request->id >= 0) nghttp3_conn_shutdown_stream_read(native_.get(), request->id);
    // Who asks and does not want the answer any more cancels; a server that has answered needs the
    // rest of the question no more (RFC 9114, 4.1.1).
    std::uint64_t number = to_wire(reason);
    if (role_ == Role::client && number == code::no_error) number = code::request_cancelled;
    below_->stop(carrier, http3::below(number));
}

void Connection::extend_window(CarrierId carrier, std::uint64_t bytes) {
    below_->extend_window(carrier, bytes);
}

void Connection::retire() {
    if (std::exchange(retiring_, true) || !bound_) return;
    nghttp3_conn_shutdown(native_.get());
}

void Connection::close(Error reason) {
    ended_ = true;
    if (!native_ || early_) return below_->close(std::move(reason));
    below_->close(http3::below(to_wire(reason), reason.detail));
}

// Input.

void Connection::handle_input(Instant now, const Datagrams& datagrams) {
    now_ = std::max(now_, now);
    below_->handle_input(now, datagrams);
}

void Connection::handle_timeout(Instant now) {
    now_ = std::max(now_, now);
    if (below_->deadline() <= now) below_->handle_timeout(now);
    for (auto& [carrier, request] : requests_)
        if (request.waits && request.waits_until <= now) go_on(request);
}

void Connection::handle_trouble(Instant now, const Address& remote, std::error_code code) {
    below_->handle_trouble(now, remote, code);
}

Instant Connection::deadline() const {
    Instant first = below_->deadline();
    if (waiting_for_leave_ > 0)
        for (const auto& [carrier, request] : requests_)
            if (request.waits) first = std::min(first, request.waits_until);
    return first;
}

std::uint64_t Connection::send_window(CarrierId carrier) const {
    return below_->send_window(carrier);
}

// Output.

Datagrams Connection::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    now_ = std::max(now_, now);
    if (!native_) return below_->poll_transmit(now, supply, space);
    Filling filling(*this, supply);
    if (bound_) take_all();
    return below_->poll_transmit(now, filling, space);
}

void Connection::poll_events(std::vector<Event>& events) {
    below_->poll_events(heard_events_);
    for (Event& event : heard_events_) {
        if (ended_) break;
        const bool begins = std::holds_alternative<event::Established>(event) ||
                            std::holds_alternative<event::Early>(event);
        if (native_ || begins)
            std::visit([this](auto& happened) { handle(happened); }, event);
        else
            events_.push_back(std::move(event));
    }
    heard_events_.clear();
    events.insert(events.end(), std::move_iterator(events_.begin()),
                  std::move_iterator(events_.end()));
    events_.clear();
}

// Endings.

// nghttp3 found that the peer broke a rule, or one of its callbacks wants an end.
void Connection::fail(int native_code) {
    if (native_code == NGHTTP3_ERR_NOMEM) throw std::bad_alloc();
    if (native_code == NGHTTP3_ERR_CALLBACK_FAILURE && end_) return end(std::exchange(end_, {}));
    const std::uint64_t number = nghttp3_err_infer_quic_app_error_code(native_code);
    const bool load = number == code::excessive_load;
    end(error_of(load ? Errc::excessive_load : Errc::protocol_violation, number,
                 Bytes(std::string("HTTP/3: ") + nghttp3_strerror(native_code))));
}

// The peer is told.
void Connection::end(Error error) {
    if (ended_) return;
    below_->close(http3::below(to_wire(error), error.detail));
    lose(error);
}

void Connection::lose(const Error& error) {
    ended_ = true;
    events_.push_back(event::Lost{error});
}

}  // namespace post::http3
