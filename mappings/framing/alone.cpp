// A message that makes up a datagram (FORMAT.md, 8.1): the reading side.
#include "mappings/framing/frames.hpp"
#include "mappings/framing/post_framing.hpp"

namespace post::framing {

std::optional<Piece> read_alone(const Bytes& datagram) {
    wire::Reader reader(datagram.span());
    const auto carrier = reader.varint();
    if (!carrier || reader.u8() != static_cast<std::uint8_t>(Type::message)) return std::nullopt;
    Parser parser(Type::message, reader.rest());
    MessageHeader header;
    if (!parser.message(header) || !header.sequence || header.marks.reliable) return std::nullopt;
    if (header.length != reader.left() - parser.taken()) return std::nullopt;
    Piece piece;
    piece.carrier = CarrierId{*carrier};
    piece.niceness = header.niceness;
    piece.sequence = *header.sequence;
    piece.total = header.length;
    piece.bytes = datagram.slice(reader.taken() + parser.taken());
    piece.marks = header.marks;
    piece.extras = std::move(header.extras);
    return piece;
}

}  // namespace post::framing
