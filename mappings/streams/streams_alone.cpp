// What travels alone: messages in DATAGRAM frames (RFC 9221), out and in.

#include <algorithm>
#include <array>

#include "mappings/streams/streams.hpp"

namespace post::streams {

namespace {

// By then a packet is acknowledged or counts as lost, but for a path that is down as long.
constexpr Duration least_patience = std::chrono::seconds(3);

}  // namespace

Alone& Streams::alone() {
    if (!alone_) alone_ = std::make_unique<Alone>();
    return *alone_;
}

// The peer has to know the Carrier: a datagram may overtake its OPEN. With raw framing nothing
// names a Carrier.
bool Streams::goes_alone(const Stream& stream, const Piece& piece, std::size_t packet) const {
    if (!piece.first() || !piece.last() || !stream.opened() || stream.blocked) return false;
    if (post_ && stream.ours && stream.send.acked() < stream.open_size) return false;
    return fits_alone(piece, packet);
}

bool Streams::fits_alone(const Piece& piece, std::size_t packet) const {
    const auto most = transport_->largest_alone(packet);
    if (most == 0) return false;
    std::array<std::byte, framing::largest_frame> header;
    const auto size = (post_ ? framing::write_alone(header, piece) : 0) + piece.bytes.size();
    return size <= most;
}

// The path carries less than it did when the message was pulled.
void Streams::put_on_stream(Supply& supply, std::size_t packet) {
    if (fits_alone(alone_->piece(), packet)) return;
    Piece piece = alone_->take();
    if (apart_) return refuse_alone(piece, supply, packet);
    auto* stream = find(piece.carrier);
    if (stream != nullptr && stream->may_send()) write_piece(*stream, piece);
}

void Streams::refuse_alone(const Piece& piece, Supply& supply, std::size_t packet) const {
    const auto most = transport_->largest_alone(packet);
    const bool large = most > 0 && piece.bytes.size() > most;
    supply.refused(
        piece.carrier, piece.niceness, piece.sequence,
        Error(large ? Errc::message_too_large : Errc::unsupported, {}, Stage::established,
              large ? "it is longer than a datagram can be on this path"
                    : "the peer takes no datagrams, or none now"));
}

void Streams::wrote_alone(Instant now, Supply& supply) {
    const auto message = alone_->fly(now + std::max(transport_->alone_patience(), least_patience));
    supply.packed_alone(message.carrier, message.niceness, message.sequence);
}

// Up to 1.24 ngtcp2 does not say that a DATAGRAM is lost when its packet held other things too, and
// those were sent again as a probe before it counted as lost.
void Streams::give_up_alone(Instant now) {
    if (!alone_) return;
    while (const auto message = alone_->give_up(now)) inbox_.add(*message);
}

void Streams::on_alone_settled(std::uint64_t id, bool lost) {
    if (!alone_) return;
    if (const auto message = alone_->settle(id, lost)) inbox_.add(*message);
}

// What is not what it should be, or of a Carrier that is not open, is dropped (FORMAT.md, 8.1).
void Streams::on_alone(std::span<const std::byte> bytes) {
    if (!post_) return on_alone_raw(bytes);
    auto piece = framing::read_alone(inbox_.keep(bytes));
    if (!piece) return;
    const auto* stream = find(piece->carrier);
    if (stream == nullptr || !stream->may_receive()) return;
    inbox_.add(event::ArrivedAlone{std::move(*piece)});
}

void Streams::on_alone_raw(std::span<const std::byte> bytes) {
    auto& carriers = alone().carriers;
    if (!carriers) {
        carriers.emplace();
        table_.each([&](const Stream& stream) { carriers->insert(stream.carrier()); });
    }
    // Those that ended meanwhile leave here, so that nobody else has to look after them.
    while (!carriers->empty()) {
        auto* stream = find(*carriers->begin());
        if (stream != nullptr && stream->may_receive() && !stream->peer_done) {
            Piece piece;
            piece.carrier = stream->carrier();
            piece.sequence = Sequence{stream->decoder.count()};
            piece.total = bytes.size();
            piece.bytes = inbox_.keep(bytes);
            inbox_.add(event::ArrivedAlone{std::move(piece)});
            return;
        }
        carriers->erase(carriers->begin());
    }
}

}  // namespace post::streams
