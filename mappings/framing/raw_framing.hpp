// Raw framing: what a plain peer's byte stream carries when no framer cuts it. Sent content goes as
// it is, nothing before it and nothing behind; of what arrives, every arrival is a whole message of
// class 0, counted up. There are no marks, and a stream may end anywhere.
#pragma once

#include <utility>

#include "mappings/values.hpp"

namespace post::framing {

// One receiving direction of one stream.
class RawDecoder {
public:
    explicit RawDecoder(CarrierId carrier) : carrier_(carrier) {}

    // An arrival as a message; it holds `arrived` and nothing more.
    Piece take(Bytes arrived) {
        Piece piece;
        piece.carrier = carrier_;
        piece.sequence = Sequence{next_++};
        piece.total = arrived.size();
        piece.bytes = std::move(arrived);
        return piece;
    }

    CarrierId carrier() const { return carrier_; }

private:
    CarrierId carrier_;
    std::uint64_t next_ = 0;
};

}  // namespace post::framing
