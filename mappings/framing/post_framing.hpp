// Post frames on a stream (FORMAT.md): how what an association says becomes bytes, and back. Used
// by every mapping that has streams. The Encoder writes headers only: the content of a Piece
// follows its header on the stream and is never copied here. The Decoder gives content back as
// slices of what it was fed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "mappings/values.hpp"

namespace post::framing {

// The most bytes that one call of the Encoder writes.
inline constexpr std::size_t largest_frame = 1024;

// One sending direction of one stream. It knows which sequence number of a class is implicit and
// which messages are begun; pieces must come in the order in which they are sent.
class Encoder {
public:
    // Each writes one frame (for a Piece: its header, to be followed by exactly its bytes) to the
    // front of `out`, at least largest_frame bytes long, and returns how many bytes it wrote.
    std::size_t write(std::span<std::byte> out, const Piece& piece);
    std::size_t write(std::span<std::byte> out, const Open& open);
    std::size_t write(std::span<std::byte> out, const Finish& finish);
    std::size_t write(std::span<std::byte> out, const Skip& skip);
    std::size_t write(std::span<std::byte> out, const Abandon& abandon);
    std::size_t write(std::span<std::byte> out, const Settings& settings);
    std::size_t write(std::span<std::byte> out, const Refuse& refuse);
    std::size_t write(std::span<std::byte> out, const Delivered& delivered);
    std::size_t write(std::span<std::byte> out, const Outgoing& outgoing);

private:
    struct State;  // made on use: an idle stream costs a pointer
    struct Free {
        void operator()(State*) const noexcept;
    };
    State& state();
    std::uint64_t next_ = 0;  // the next implicit sequence number of class 0, the common case
    std::unique_ptr<State, Free> state_;
};

using Frame =
    std::variant<Piece, Open, Finish, Skip, Abandon, Settings, Refuse, Delivered>;

// One receiving direction of one stream.
class Decoder {
public:
    // `carrier`: whose stream it is when we opened it; none for a stream of the peer's, which must
    // begin with OPEN (then it is that Carrier's) or SETTINGS (then it is the association's).
    explicit Decoder(std::optional<CarrierId> carrier = std::nullopt) : carrier_(carrier) {}

    // Takes the next bytes of the stream. Content comes back as slices of it. Call next() until it
    // has nothing before the next feed.
    void feed(Bytes input);
    // The next frame, nothing when more bytes are needed, or protocol_violation with a detail.
    // A Piece is given out as far as its bytes have come (at least one byte, unless it is empty).
    Result<std::optional<Frame>> next();

    std::optional<CarrierId> carrier() const { return carrier_; }
    bool association() const { return association_; }
    // True between frames: the stream may end here only after a Finish.
    bool between_frames() const;
    bool finished() const { return finished_; }
    // Stream bytes that were framing and not content, since the last call: a mapping gives them
    // back to the peer's window by itself.
    std::uint64_t take_overhead();

private:
    struct State;
    struct Free {
        void operator()(State*) const noexcept;
    };
    std::optional<CarrierId> carrier_;
    bool association_ = false;
    bool finished_ = false;
    Bytes input_;
    std::unique_ptr<State, Free> state_;
};

}  // namespace post::framing
