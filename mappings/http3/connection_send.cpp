// What goes down: messages from above to nghttp3, and what that makes of them to the streams below.

#include <algorithm>
#include <array>
#include <functional>
#include <new>
#include <type_traits>

#include <nghttp3/nghttp3.h>

#include "mappings/http3/callbacks.hpp"
#include "mappings/http3/connection.hpp"
#include "mappings/http3/errors.hpp"
#include "mappings/http3/fields.hpp"
#include "mappings/http3/filling.hpp"

namespace post::http3 {

namespace {

constexpr std::size_t most_vectors = 16;
constexpr std::size_t block_size = 16 * 1024;

Error cannot(Errc errc, Bytes why) { return Error(errc, {}, Stage::established, std::move(why)); }

const Properties& properties_of(const Piece& piece) {
    static const Properties none;
    return piece.extras ? piece.extras->properties : none;
}

}  // namespace

// The supply of the connection below.

Outgoing* Connection::Filling::next() {
    Connection& self = connection_;
    for (;;) {
        if (!self.ready_.empty()) {
            self.out_ = std::move(self.ready_.front());
            self.ready_.pop_front();
            return &self.out_;
        }
        if (self.ended_ || !self.native_) return nullptr;
        if (!self.bound_) {
            if (!self.bind()) return nullptr;
            self.answer_all();
            self.take_all();
            continue;
        }
        if (!self.resumed_.empty()) {
            self.serve_resumed(above_);
            continue;
        }
        Outgoing* outgoing = above_.next();
        if (!outgoing) return nullptr;
        self.begin(*outgoing, above_);
    }
}

void Connection::Filling::packed(CarrierId carrier, std::uint64_t pieces) {
    Request* request = connection_.find(carrier);
    if (!request) return;
    request->packed += pieces;
    connection_.settle_packed(*request, above_);
}

void Connection::Filling::blocked(CarrierId carrier) {
    if (connection_.find(carrier)) above_.blocked(carrier);
}

// How many pieces of ours are in packets with all that became of them, and acknowledged.
void Connection::settle_packed(Request& request, Supply& supply) {
    std::uint64_t count = 0;
    for (;
         request.reported < request.ends.size() && request.ends[request.reported] <= request.packed;
         ++request.reported)
        ++count;
    if (count > 0) supply.packed(request.carrier, count);
}

void Connection::settle_acked(Request& request) {
    std::uint64_t count = 0;
    for (; request.reported > 0 && request.ends.front() <= request.acked; --request.reported) {
        request.ends.pop_front();
        ++count;
    }
    if (count > 0) events_.push_back(event::Acked{request.carrier, count});
}

// From above.

void Connection::begin(Outgoing& outgoing, Supply& supply) {
    std::visit(
        [&](auto& value) {
            using Value = std::remove_reference_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, Open>)
                begin_open(value);
            else if constexpr (std::is_same_v<Value, Piece>)
                begin_piece(value, supply);
            else if constexpr (std::is_same_v<Value, Finish>)
                begin_finish(value.carrier);
            // The others are for Post peers.
        },
        outgoing);
}

// Its stream is opened with its message: a Carrier that asks nothing is nothing on the wire.
void Connection::begin_open(const Open& open) {
    if (role_ == Role::server || open.kind == CarrierKind::one_way) {
        const Error error = cannot(
            Errc::unsupported,
            "on http3 only clients open Carriers, and each of them goes both "
            "ways");
        events_.push_back(event::Reset{open.carrier, error});
        events_.push_back(event::Stopped{open.carrier, error});
        events_.push_back(event::Ended{open.carrier});
        return;
    }
    Request& request = make(open.carrier);
    request.ours = request.opened = true;
    request.target = open.target;
}

// Why a message cannot be sent, of which nothing was.
Error Connection::wrong(const Request& request, const Piece& piece) const {
    using Out = Request::Out;
    if (request.out == Out::ended)
        return cannot(Errc::carrier_closed,
                      "on http3 a Carrier has one message each way; fork it for the next request");
    if ((request.out == Out::body && !request.flows_out) || request.within || request.pulled)
        return cannot(Errc::unsupported, "the message before it is not at its end");
    if (request.flows_out && !properties_of(piece).empty())
        return cannot(Errc::unsupported, "what flows in a tunnel has no fields");
    if (request.flows_out) return {};
    if (retired_ && role_ == Role::client)
        return error_of(Errc::connection_closed, code::no_error,
                        "the server takes no further requests on this connection (GOAWAY)");
    const bool trailers = request.out == Out::trailers;
    if (trailers && piece.total > 0) return cannot(Errc::unsupported, "trailers have no content");
    const Section section = trailers                ? Section::trailers
                            : role_ == Role::client ? Section::request
                                                    : Section::response;
    const Fields fields(properties_of(piece), section,
                        {.authority = options_.authority,
                         .target = "/",
                         .length = piece.total,
                         .connect = request.connect});
    if (!fields.wrong().empty()) return cannot(Errc::invalid_argument, Bytes(fields.wrong()));
    if (is_interim(fields.status()) && section == Section::response && piece.total > 0)
        return cannot(Errc::unsupported, "an interim response has no content");
    return {};
}

void Connection::begin_piece(Piece& piece, Supply& supply) {
    Request* request = find(piece.carrier);
    if (!request) return;
    if (!piece.marks.reliable && request->flows_out && request->out == Request::Out::body)
        return begin_datagram(*request, piece, supply);
    if (hold_early(*request, piece)) return;
    if (piece.first()) {
        if (Error error = wrong(*request, piece))
            return supply.refused(piece.carrier, piece.niceness, piece.sequence, error);
        request->niceness = piece.niceness;
        request->sequence = piece.sequence;
        if (!may_ask(*request, piece, supply)) return;
    } else if (request->out == Request::Out::ended && !request->no_body) {
        return;  // it was given up half way
    }
    if (request->id >= 0 && !request->waits) return write(*request, piece, supply);
    // What the supply lent is lent until its next call.
    request->pulled = piece;
    if (piece.bytes.size() < small_content) request->pulled->bytes = copy(piece.bytes.span());
    if (!request->waits && !request->opening) open_stream(*request);
}

void Connection::open_stream(Request& request) {
    request.opening = true;
    Open open;
    open.carrier = request.carrier;
    ready_.push_back(std::move(open));
    resumed_.push_back(request.carrier);
}

void Connection::begin_finish(CarrierId carrier) {
    Request* request = find(carrier);
    if (!request) return;
    using Out = Request::Out;
    if (request->pulled) {
        request->finish_pulled = true;
        return;
    }
    switch (request->out) {
        case Out::ended: return;
        case Out::body:
            if (!request->flows_out) return;
            request->last = true;
            request->out = Out::ended;
            nghttp3_conn_resume_stream(native_.get(), request->id);
            take_all();
            return;
        case Out::nothing:
            // Nothing was asked, or nothing answered.
            reset(carrier, Error(Errc::cancelled));
            return;
        case Out::trailers:
            request->out = Out::ended;
            nghttp3_conn_submit_trailers(native_.get(), request->id, nullptr, 0);
            take_all();
            return;
    }
}

// Those whose stream is open now, and those who have leave to go on.
void Connection::serve_resumed(Supply& supply) {
    for (const CarrierId carrier : std::exchange(resumed_, {})) {
        Request* request = find(carrier);
        if (!request || !request->pulled || request->waits || (request->held && early_)) continue;
        if (request->id < 0 && request->opening) {
            request->id = stream_id(carrier);
            if (request->id < 0) continue;  // event::Unblocked will say when
            streams_[request->id] = carrier;
        }
        Piece piece = *std::exchange(request->pulled, std::nullopt);
        if (std::exchange(request->held, false)) {
            begin_piece(piece, supply);
            continue;
        }
        if (request->out != Request::Out::nothing || may_ask(*request, piece, supply))
            write(*request, piece, supply);
        if (request->finish_pulled && !request->pulled) begin_finish(carrier);
    }
}

void Connection::write(Request& request, const Piece& piece, Supply& supply) {
    const bool begins = piece.first() && request.out != Request::Out::body;
    if (begins)
        if (Error error = submit(request, piece)) {
            events_.push_back(event::Stopped{request.carrier, error});
            return reset(request.carrier, error);
        }
    if (request.waits) return wait_for_leave(request, piece, supply);
    if (request.out == Request::Out::body) feed(request, piece);
    take_all();
    request.feeding = {};
    request.ends.push_back(request.given);
    settle_packed(request, supply);
    settle_acked(request);
}

// The fields of a message; its body is to be fed.
Error Connection::submit(Request& request, const Piece& piece) {
    using Out = Request::Out;
    const bool trailers = request.out == Out::trailers;
    const Section section = trailers                ? Section::trailers
                            : role_ == Role::client ? Section::request
                                                    : Section::response;
    const std::string_view target = request.target ? std::string_view(*request.target) : "/";
    const Fields fields(properties_of(piece), section,
                        {.authority = options_.authority,
                         .target = target,
                         .length = piece.total,
                         .niceness = piece.niceness,
                         .connect = request.connect});
    const auto& native = fields.native();
    const nghttp3_data_reader reader{read_body};
    const bool interim = section == Section::response && is_interim(fields.status());
    request.no_body = section == Section::response &&
                      (request.head || has_no_content(fields.status())) && !interim;
    request.flows_out = fields.is_tunnel();
    const bool body = !request.no_body && !interim && !trailers &&
                      (piece.total > 0 || fields.announces_trailers() || request.flows_out);
    int code = 0;
    if (trailers) {
        code = nghttp3_conn_submit_trailers(native_.get(), request.id, native.data(),
                                            native.size());
    } else if (section == Section::request) {
        request.head = fields.is_head();
        code = nghttp3_conn_submit_request(native_.get(), request.id, native.data(), native.size(),
                                           body ? &reader : nullptr, nullptr);
    } else if (interim) {
        code = nghttp3_conn_submit_info(native_.get(), request.id, native.data(), native.size());
    } else {
        code = nghttp3_conn_submit_response(native_.get(), request.id, native.data(), native.size(),
                                            body ? &reader : nullptr);
    }
    if (code == NGHTTP3_ERR_NOMEM) throw std::bad_alloc();
    if (code != 0)
        return cannot(Errc::unsupported, Bytes(std::string("HTTP/3: ") + nghttp3_strerror(code)));
    request.trailers = body && fields.announces_trailers();
    request.last = false;
    if (!interim) request.out = body ? Out::body : Out::ended;
    if (fields.asks_for_leave() && body && piece.total > 0) {
        request.waits = true;
        request.waits_until = now_ + leave_patience;
        ++waiting_for_leave_;
    }
    return {};
}

void Connection::feed(Request& request, const Piece& piece) {
    request.chunk = piece.bytes.size() < small_content ? copy(piece.bytes.span()) : piece.bytes;
    request.within = request.flows_out && !piece.last();
    request.last = piece.last() && !request.flows_out;
    if (request.last) request.out = request.trailers ? Request::Out::trailers : Request::Out::ended;
    nghttp3_conn_resume_stream(native_.get(), request.id);
}

// The fields are on their way, the body is kept.
void Connection::wait_for_leave(Request& request, const Piece& piece, Supply& supply) {
    take_all();
    request.pulled = piece;
    if (piece.bytes.size() < small_content) request.pulled->bytes = copy(piece.bytes.span());
    supply.blocked(request.carrier);
}

void Connection::go_on(Request& request) {
    if (!std::exchange(request.waits, false)) return;
    --waiting_for_leave_;
    resumed_.push_back(request.carrier);
    events_.push_back(event::Unblocked{request.carrier});
}

// An answer of our own, without content.
void Connection::answer(Request& request, std::string_view status) {
    if (!bound_) {
        request.answer = status;
        return;
    }
    Properties properties{{":status", std::string(status)}};
    const Fields fields(properties, Section::response, {});
    const auto& native = fields.native();
    if (is_interim(fields.status())) {
        nghttp3_conn_submit_info(native_.get(), request.id, native.data(), native.size());
        return;
    }
    request.out = Request::Out::ended;
    nghttp3_conn_submit_response(native_.get(), request.id, native.data(), native.size(), nullptr);
}

// Those of requests that came before there was anything to answer with.
void Connection::answer_all() {
    for (auto& [carrier, request] : requests_)
        if (!request.answer.empty()) answer(request, std::exchange(request.answer, {}));
}

// To below.

Bytes Connection::copy(std::span<const std::byte> bytes, std::span<const std::byte> behind) {
    const std::size_t size = bytes.size() + behind.size();
    if (size == 0) return {};
    if (block_.room() < size) {
        if (block_.sole() && block_.capacity() >= size)
            block_.rewind();
        else
            block_ = Block(std::max(block_size, size));
    }
    Bytes copied = block_.append(bytes);
    if (!behind.empty()) copied.extend(block_.append(behind).size());
    return copied;
}

// All that nghttp3 has to send; below it waits until it is acknowledged, so that nghttp3 need not
// keep it.
void Connection::take_all() {
    for (;;) {
        std::array<nghttp3_vec, most_vectors> vectors;
        std::array<std::span<const std::byte>, most_vectors> parts;
        std::int64_t id = -1;
        int finish = 0;
        const auto count = nghttp3_conn_writev_stream(native_.get(), &id, &finish, vectors.data(),
                                                      vectors.size());
        if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
        if (count < 0) return fail(static_cast<int>(count));
        if (id < 0) return;
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
            parts[i] = std::as_bytes(std::span(vectors[i].base, vectors[i].len));
            bytes += vectors[i].len;
        }
        const auto at = streams_.find(id);
        if (at != streams_.end())
            take(at->second, std::span(parts).first(static_cast<std::size_t>(count)));
        nghttp3_conn_add_write_offset(native_.get(), id, bytes);
        nghttp3_conn_add_ack_offset(native_.get(), id, bytes);
        if (finish != 0 && at != streams_.end()) ready_.push_back(Finish{at->second});
    }
}

void Connection::take(CarrierId carrier, std::span<const std::span<const std::byte>> parts) {
    Request* request = find(carrier);
    const auto add = [&](Bytes bytes) {
        Piece piece;
        piece.carrier = carrier;
        piece.total = bytes.size();
        piece.bytes = std::move(bytes);
        ready_.push_back(std::move(piece));
        if (request) ++request->given;
    };
    // Framing and short bodies in one, one behind the other; long ones by reference.
    std::array<std::byte, small_content> together;
    std::size_t size = 0;
    const auto flush = [&] {
        if (size > 0) add(copy(std::span(together).first(size)));
        size = 0;
    };
    for (const auto part : parts) {
        if (part.size() < small_content) {
            if (size + part.size() > together.size()) flush();
            std::copy(part.begin(), part.end(), together.begin() + static_cast<long>(size));
            size += part.size();
            continue;
        }
        flush();
        const Bytes* body = request && !request->feeding.empty() ? &request->feeding : nullptr;
        const bool ours = body && std::less_equal<>()(body->data(), part.data()) &&
                          std::less_equal<>()(part.data() + part.size(),
                                              body->data() + body->size());
        add(ours ? body->slice(static_cast<std::size_t>(part.data() - body->data()), part.size())
                 : Bytes(part));
    }
    flush();
}

}  // namespace post::http3
