// Tunnels: extended CONNECT (RFC 9220), whose streams carry bytes of another protocol, and HTTP
// Datagrams (RFC 9297), which belong to a tunnel and travel beside it.
//
//   HTTP/3 Datagram { quarter stream id (i), payload (..) }      in a DATAGRAM frame of QUIC

#include <algorithm>
#include <array>

#include "mappings/http3/connection.hpp"
#include "mappings/http3/errors.hpp"
#include "mappings/http3/fields.hpp"
#include "mappings/quic/connection.hpp"
#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::http3 {

namespace {

// RFC 9297, 2.1: no stream has an id of which a quarter is larger.
constexpr std::uint64_t largest_quarter = (std::uint64_t{1} << 60) - 1;

const Error& no_connect() {
    static const Error error(Errc::unsupported, {}, Stage::established,
                             "the server takes no extended CONNECT "
                             "(SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 9220)");
    return error;
}

}  // namespace

// What the peer takes. Requests may have waited to hear it (serve_resumed).
bool Connection::on_settings(const Remembered& settings) {
    if (!keep_settings(settings)) return false;
    const bool connect = takes_connect_ = settings.connect;
    takes_datagrams_ = settings.datagrams;
    for (auto& [carrier, request] : requests_) {
        if (!std::exchange(request.unsure, false)) continue;
        if (connect)
            open_stream(request);
        else
            resumed_.push_back(carrier);
        events_.push_back(event::Unblocked{carrier});
    }
    return true;
}

// False: it is refused, or waits for SETTINGS (RFC 9220, 3).
bool Connection::may_ask(Request& request, const Piece& piece, Supply& supply) {
    const bool connect = role_ == Role::client && request.out == Request::Out::nothing &&
                         piece.extras && piece.extras->properties.find(":protocol");
    if (!connect) return true;
    if (settled_ && !takes_connect_) {
        supply.refused(piece.carrier, piece.niceness, piece.sequence, no_connect());
        return false;
    }
    if (settled_) return request.connect = true;
    request.unsure = true;
    request.pulled = piece;
    if (piece.bytes.size() < small_content) request.pulled->bytes = copy(piece.bytes.span());
    supply.blocked(request.carrier);
    return false;
}

// Bytes of the tunnel, as they come.
void Connection::flow(Request& request, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    Piece piece = part(request, slice(bytes));
    piece.offset = 0;
    piece.total = bytes.size();
    piece.marks.stream = true;
    ++request.arrivals;
    given_ += bytes.size();
    events_.push_back(event::Arrived{std::move(piece)});
}

// HTTP Datagrams.

void Connection::begin_datagram(const Request& request, const Piece& piece, Supply& supply) {
    if (!takes_datagrams_ || !offers_datagrams())
        return supply.refused(piece.carrier, piece.niceness, piece.sequence,
                              Error(Errc::unsupported, {}, Stage::established,
                                    settled_ ? "the peer takes no HTTP Datagrams (RFC 9297)"
                                             : "the peer has not said yet whether it takes HTTP "
                                               "Datagrams (RFC 9297)"));
    std::array<std::byte, wire::largest_varint> id;
    wire::Writer writer(id);
    writer.varint(static_cast<std::uint64_t>(request.id) / 4);
    Piece datagram;
    datagram.carrier = piece.carrier;
    datagram.niceness = piece.niceness;
    datagram.sequence = piece.sequence;
    datagram.marks.reliable = false;
    datagram.bytes = copy(writer.written(), piece.bytes.span());
    datagram.total = datagram.bytes.size();
    ready_.push_back(std::move(datagram));
}

// Dropped without a word is what came too late, or before its request or the answer to that: which
// of them come is a matter of luck anyway.
void Connection::read_datagram(const Piece& datagram) {
    if (!offers_datagrams()) return;
    wire::Reader reader(datagram.bytes.span());
    const auto quarter = reader.varint();
    if (!quarter || *quarter > largest_quarter)
        return end(error_of(Errc::protocol_violation, code::datagram_error,
                            "a datagram names no request stream"));
    const auto& below = static_cast<const quic::Connection&>(*below_);
    if (role_ == Role::server && *quarter >= below.allowed_streams())
        return end(error_of(Errc::protocol_violation, code::id_error,
                            "a datagram is of a stream that the client may not open"));
    const auto id = static_cast<std::int64_t>(*quarter * 4);
    Request* request = find_stream(id);
    if (!request || !request->opened || request->refused || request->peer_done) return;
    // RFC 9297, 2: of a request to which datagrams mean nothing.
    if (!request->connect) {
        on_unwanted(id, code::datagram_error);
        return on_given_up(id, code::datagram_error);
    }
    if (!request->flows_in) return;
    Piece piece = part(*request, datagram.bytes.slice(reader.taken()));
    piece.offset = 0;
    piece.total = piece.bytes.size();
    ++request->arrivals;
    events_.push_back(event::ArrivedAlone{std::move(piece), {}});
}

}  // namespace post::http3
