// What comes up: events of the connection below to nghttp3, and what that makes of them: fields,
// bodies and ends, which are messages.

#include <algorithm>
#include <new>

#include <nghttp3/nghttp3.h>

#include "mappings/http3/connection.hpp"
#include "mappings/http3/errors.hpp"
#include "mappings/http3/fields.hpp"
#include "mappings/http3/protocols.hpp"

namespace post::http3 {

namespace {

// A section so many times too large is no mistake any more: the connection ends.
constexpr std::uint64_t patience = 4;
// RFC 9218, 4.1: of 0 to 7 what goes without saying.
constexpr std::uint32_t usual_urgency = 3;

bool is_one_way(std::int64_t id) { return (id & 2) != 0; }

}  // namespace

// Of the connection below.

void Connection::handle(event::Established& event) {
    if (event.alpn == alpn) {
        end_early(event.early);
        if (!native_) start();
        event.fields = true;
        event.alone = true;  // as HTTP Datagrams (RFC 9297), or not: begin_datagram
    }
    events_.push_back(std::move(event));
}

void Connection::handle(event::Opened& event) {
    const CarrierId carrier = event.open.carrier;
    const auto id = static_cast<std::int64_t>(carrier.value());  // of the peer's, both are one
    if (is_one_way(id)) return;
    if (role_ == Role::client)
        return end(error_of(Errc::protocol_violation, code::stream_creation_error,
                            "the server opened a request stream"));
    Request& request = make(carrier);
    request.id = id;
    streams_[id] = carrier;
    if (id <= highest_) return;
    highest_ = id;
    nghttp3_conn_set_max_client_streams_bidi(native_.get(),
                                             static_cast<std::uint64_t>(id) / 4 + 1 + most_ahead);
}

void Connection::handle(event::Arrived& event) {
    reading_early_ = event.piece.marks.early;
    read(event.piece.carrier, event.piece.bytes, false);
    reading_early_ = false;
}

void Connection::handle(event::ArrivedRun&) {}

void Connection::handle(event::ArrivedAlone& event) { read_datagram(event.piece); }

void Connection::handle(event::Finished& event) { read(event.carrier, {}, true); }

void Connection::read(CarrierId carrier, const Bytes& bytes, bool finish) {
    const Request* request = find(carrier);
    const auto id = request ? request->id : static_cast<std::int64_t>(carrier.value());
    if (!request && !is_one_way(id)) return;
    if (request && request->refused) return give_back(id, bytes.size());
    if (!request)
        if (const std::uint64_t wrong = control_rules_.read(id, bytes.span()))
            return end(error_of(Errc::protocol_violation, wrong,
                                "a frame of the control stream says what it may not"));
    reading_ = &bytes;
    given_ = 0;
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
#if NGHTTP3_VERSION_NUM >= 0x010c00
    const auto consumed = nghttp3_conn_read_stream2(
        native_.get(), id, data, bytes.size(), finish ? 1 : 0,
        static_cast<nghttp3_tstamp>(now_.time_since_epoch().count()));
#else
    // Older ones do not count what is only annoying.
    const auto consumed = nghttp3_conn_read_stream(native_.get(), id, data, bytes.size(),
                                                   finish ? 1 : 0);
#endif
    reading_ = nullptr;
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    const bool malformed = consumed == NGHTTP3_ERR_MALFORMED_HTTP_HEADER ||
                           consumed == NGHTTP3_ERR_MALFORMED_HTTP_MESSAGING;
    if (malformed && request) {
        // Of the message alone (RFC 9114, 4.1.2), and nghttp3 is not asked about it again.
        give_back(id, bytes.size() - given_);
        on_unwanted(id, code::message_error);
        return on_given_up(id, code::message_error);
    }
    // RFC 9114, 4.1: it ends before it has said anything.
    if (consumed == NGHTTP3_ERR_H3_FRAME_UNEXPECTED && request && finish && bytes.empty()) {
        on_unwanted(id, code::request_incomplete);
        return on_given_up(id, code::request_incomplete);
    }
    if (consumed < 0) return fail(static_cast<int>(consumed));
    give_back(id, static_cast<std::uint64_t>(consumed));
    end_if_retired();
}

// What was framing, or is not wanted, is taken by nobody above.
void Connection::give_back(std::int64_t id, std::uint64_t bytes) {
    if (bytes == 0) return;
    const Request* request = find_stream(id);
    below_->extend_window(request ? request->carrier : CarrierId{static_cast<std::uint64_t>(id)},
                          bytes);
    below_->extend_budget(bytes);
}

// The peer gives up requests that were not answered yet, again and again (ATTACKS A8).
bool Connection::cancelled_too_often(Request& request) {
    if (role_ == Role::client || std::exchange(request.counted, true)) return false;
    return !resets_.take(now_);
}

void Connection::handle(event::Reset& event) {
    Request* request = find(event.carrier);
    if (!request) {
        const auto id = static_cast<std::int64_t>(event.carrier.value());
        const int code = nghttp3_conn_close_stream(native_.get(), id, code::no_error);
        if (code != 0 && code != NGHTTP3_ERR_STREAM_NOT_FOUND) fail(code);
        return;
    }
    const bool unanswered = request->out != Request::Out::ended;
    nghttp3_conn_shutdown_stream_read(native_.get(), request->id);
    request->peer_done = request->refused = true;
    if (unanswered && cancelled_too_often(*request))
        return end(error_of(Errc::excessive_load, code::excessive_load,
                            "the client gives up requests faster than is allowed"));
    if (request->opened)
        events_.push_back(event::Reset{event.carrier, of_stream(std::move(event.error))});
    else
        reset(event.carrier, Error(Errc::cancelled));
}

void Connection::handle(event::Stopped& event) {
    Request* request = find(event.carrier);
    if (!request)
        return end(error_of(Errc::protocol_violation, code::closed_critical_stream,
                            "the peer stopped a stream that the connection needs"));
    if (request->out != Request::Out::ended && cancelled_too_often(*request))
        return end(error_of(Errc::excessive_load, code::excessive_load,
                            "the client gives up requests faster than is allowed"));
    Error error = of_stream(std::move(event.error));
    // RFC 9114, 4.1.1: the server has answered and needs no more of the question.
    if (error.cause == std::error_code(static_cast<int>(code::no_error), http3_category()))
        error = Error(Errc::carrier_closed);
    request->out = Request::Out::ended;
    request->chunk = {};
    nghttp3_conn_shutdown_stream_write(native_.get(), request->id);
    if (request->opened) events_.push_back(event::Stopped{event.carrier, std::move(error)});
}

void Connection::handle(event::Acked& event) {
    Request* request = find(event.carrier);
    if (!request) return;
    request->acked += event.pieces;
    settle_acked(*request);
}

void Connection::handle(event::Unblocked& event) {
    if (event.carrier && find(*event.carrier)) resumed_.push_back(*event.carrier);
    events_.push_back(event);
}

void Connection::handle(event::Ended& event) {
    if (find(event.carrier)) return forget(event.carrier);
    const auto id = static_cast<std::int64_t>(event.carrier.value());
    const int code = nghttp3_conn_close_stream(native_.get(), id, code::no_error);
    if (code != 0 && code != NGHTTP3_ERR_STREAM_NOT_FOUND) fail(code);
}

void Connection::handle(event::Lost& event) {
    lose(early_ ? event.error : of_connection(std::move(event.error)));
}

// Of nghttp3.

void Connection::on_begin(std::int64_t id) {
    Request* request = find_stream(id);
    if (!request) return;
    request->fields = {};
    request->fields_size = 0;
}

bool Connection::on_field(std::int64_t id, std::string_view name, std::string_view value) {
    Request* request = find_stream(id);
    if (!request) return true;
    request->fields_size += name.size() + value.size() + 32;
    if (request->fields_size > patience * largest_section) {
        end_ = error_of(Errc::excessive_load, code::excessive_load,
                        "the fields of a message are far beyond what SETTINGS allows");
        return false;
    }
    if (request->fields_size > largest_section)
        request->fields = {};
    else
        request->fields.add(std::string(name), std::string(value));
    return true;
}

void Connection::on_fields(std::int64_t id) {
    Request* request = find_stream(id);
    if (!request || request->refused) return;
    if (request->fields_size > largest_section) return too_large(*request);
    if (role_ == Role::client)
        begin_response(*request);
    else
        begin_request(*request);
}

void Connection::begin_request(Request& request) {
    const std::string* method = request.fields.find(":method");
    request.head = method && *method == "HEAD";
    const std::string* protocol = request.fields.find(":protocol");
    request.connect = request.flows_in = protocol && takes(options_.connect, *protocol);
    if (method && *method == "CONNECT" && !request.connect) {
        answer(request, "501");
        return refuse(request, code::no_error);
    }
    nghttp3_pri priority;
    if (nghttp3_conn_get_stream_priority(native_.get(), &priority, request.id) == 0 &&
        priority.urgency > usual_urgency)
        request.urgency = static_cast<std::uint8_t>(priority.urgency - usual_urgency);
    request.opened = true;
    Open open;
    open.carrier = request.carrier;
    events_.push_back(event::Opened{std::move(open)});
    if (request.connect) return begin_message(request, 0);
    // RFC 9110, 10.1.1: whoever waits for leave has it.
    const std::string* expect = request.fields.find("expect");
    if (expect && *expect == "100-continue" && !request.peer_done) answer(request, "100");
    const std::string* length = request.fields.find("content-length");
    begin_message(request, length ? number(*length).value_or(unlimited) : unlimited);
}

void Connection::begin_response(Request& request) {
    const int status = status_of(request.fields).value_or(0);
    if (request.waits) go_on(request);
    if (is_interim(status)) return begin_message(request, 0);
    request.flows_in = request.connect && opens_tunnel(status);
    if (request.flows_in) return begin_message(request, 0);
    const std::string* length = request.fields.find("content-length");
    const std::uint64_t said = length ? number(*length).value_or(unlimited) : unlimited;
    begin_message(request, request.head || has_no_content(status) ? 0 : said);
}

// RFC 6585, 5.
void Connection::too_large(Request& request) {
    if (role_ == Role::server) {
        answer(request, "431");
        return refuse(request, code::no_error);
    }
    events_.push_back(event::Reset{request.carrier,
                                   error_of(Errc::message_too_large, code::excessive_load,
                                            "the fields of the response are longer than 16 KiB")});
    refuse(request, code::excessive_load);
}

// Nothing more of it is read.
void Connection::refuse(Request& request, std::uint64_t code) {
    request.refused = true;
    nghttp3_conn_shutdown_stream_read(native_.get(), request.id);
    if (!request.peer_done) below_->stop(request.carrier, http3::below(code));
}

Piece Connection::part(const Request& request, Bytes bytes) const {
    Piece piece;
    piece.carrier = request.carrier;
    piece.niceness = NicenessClass{request.urgency};
    piece.sequence = Sequence{request.arrivals};
    piece.offset = request.received;
    piece.total = request.total;
    piece.bytes = std::move(bytes);
    piece.marks.early = reading_early_;
    return piece;
}

void Connection::begin_message(Request& request, std::uint64_t total) {
    request.total = std::min(total, unlimited);
    request.received = 0;
    Piece piece = part(request, {});
    piece.extras = Extras{.properties = std::move(request.fields)};
    request.fields = {};
    request.arriving = total > 0;
    if (!request.arriving) ++request.arrivals;
    events_.push_back(event::Arrived{std::move(piece)});
}

// Of what came, unless nghttp3 had to keep it.
Bytes Connection::slice(std::span<const std::byte> bytes) const {
    const auto* from = reading_ ? reading_->data() : nullptr;
    const bool inside = from && std::less_equal<>()(from, bytes.data()) &&
                        std::less_equal<>()(bytes.data() + bytes.size(), from + reading_->size());
    return inside ? reading_->slice(static_cast<std::size_t>(bytes.data() - from), bytes.size())
                  : Bytes(bytes);
}

void Connection::on_body(std::int64_t id, std::span<const std::byte> bytes) {
    Request* request = find_stream(id);
    if (request && !request->refused && request->flows_in) return flow(*request, bytes);
    if (!request || request->refused || !request->arriving) return give_back(id, bytes.size());
    Piece piece = part(*request, slice(bytes));
    given_ += bytes.size();
    request->received += bytes.size();
    if (request->received == request->total) {
        request->arriving = false;
        ++request->arrivals;
    }
    events_.push_back(event::Arrived{std::move(piece)});
}

// One whose length nobody said ends here.
void Connection::end_message(Request& request) {
    if (!std::exchange(request.arriving, false)) return;
    request.total = request.received;
    Piece piece = part(request, {});
    ++request.arrivals;
    events_.push_back(event::Arrived{std::move(piece)});
}

void Connection::on_trailers(std::int64_t id) {
    Request* request = find_stream(id);
    if (!request || request->refused) return;
    if (request->fields_size > largest_section) return too_large(*request);
    // RFC 9114, 4.4.
    if (request->flows_in)
        return end(error_of(Errc::protocol_violation, code::frame_unexpected,
                            "a tunnel has no other frames than DATA"));
    end_message(*request);
    begin_message(*request, 0);
}

void Connection::on_end(std::int64_t id) {
    Request* request = find_stream(id);
    if (!request || request->refused) return;
    end_message(*request);
    request->peer_done = true;
    if (request->opened) events_.push_back(event::Finished{request->carrier});
}

// RFC 9114, 5.2: what has not been begun there may be asked again elsewhere.
void Connection::on_retired(std::int64_t id) {
    retired_ = true;
    if (role_ == Role::server) return;
    for (auto& [carrier, request] : requests_) {
        if (request.id < id) continue;
        events_.push_back(event::Reset{
            carrier, error_of(Errc::carrier_refused, code::request_rejected,
                              "the server is going away and has not begun with it (GOAWAY)")});
        request.refused = true;
        below_->reset(carrier, http3::below(code::request_cancelled));
        below_->stop(carrier, http3::below(code::request_cancelled));
    }
}

// nghttp3 found a message malformed, or a stream that nobody wants.
void Connection::on_unwanted(std::int64_t id, std::uint64_t code) {
    Request* request = find_stream(id);
    const CarrierId carrier = request ? request->carrier
                                      : CarrierId{static_cast<std::uint64_t>(id)};
    if (!request || !request->peer_done) below_->stop(carrier, http3::below(code));
    if (!request || std::exchange(request->refused, true)) return;
    nghttp3_conn_shutdown_stream_read(native_.get(), id);
    if (request->opened)
        events_.push_back(event::Reset{carrier, error_of(Errc::protocol_violation, code,
                                                         "what came breaks the rules of HTTP/3")});
}

void Connection::on_given_up(std::int64_t id, std::uint64_t code) {
    Request* request = find_stream(id);
    if (!request) return;
    request->out = Request::Out::ended;
    request->chunk = {};
    nghttp3_conn_shutdown_stream_write(native_.get(), id);
    below_->reset(request->carrier, http3::below(code));
    if (request->opened)
        events_.push_back(event::Stopped{
            request->carrier,
            error_of(Errc::protocol_violation, code, "what came breaks the rules of HTTP/3")});
}

}  // namespace post::http3
