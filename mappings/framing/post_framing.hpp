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

#include <post/result.hpp>

#include "mappings/values.hpp"

namespace post::framing {

// What mappings say to each other where the transport has no word of its own for it.
// Content may be sent up to byte `limit`: of one Carrier, of each that has no limit of its own yet,
// of all together.
struct Credit {
    enum class Of : std::uint8_t { carrier, fresh, all };
    Of of = Of::carrier;
    CarrierId carrier{};
    std::uint64_t limit = 0;
};
// The sender's direction of the Carrier is given up, with a code of FORMAT.md, 9.
struct GivenUp {
    CarrierId carrier;
    std::uint64_t code = 0;
};
// The sender wants nothing more of what the receiver sends on this Carrier.
struct Unwanted {
    CarrierId carrier;
    std::uint64_t code = 0;
};

// The most bytes that one call of the Encoder writes.
inline constexpr std::size_t largest_frame = 1024;

// A message that travels alone, in a datagram (FORMAT.md, 8.1): what stands before its content,
// written to the front of `out`, at least largest_frame bytes long.
std::size_t write_alone(std::span<std::byte> out, const Piece& piece);
// The message that makes up such a datagram, its content a slice of it; nothing when it is anything
// else.
std::optional<Piece> read_alone(const Bytes& datagram);

// One sending direction of one stream. It knows which sequence number of a class is implicit and
// which messages are begun; pieces must come in the order in which they are sent.
class Encoder {
public:
    // Each writes one frame (for a Piece: its header, to be followed by exactly its bytes) to the
    // front of `out`, at least largest_frame bytes long, and returns how many bytes it wrote.
    // A first piece without bytes, of a message that is not empty, announces its length. One that
    // is not the first of its message goes on with what an earlier connection began. At most
    // 64 messages may be begun and unfinished. An Abandon of what is not begun is a Skip.
    std::size_t write(std::span<std::byte> out, const Piece& piece);
    std::size_t write(std::span<std::byte> out, const Open& open);
    std::size_t write(std::span<std::byte> out, const Finish& finish);
    std::size_t write(std::span<std::byte> out, const Skip& skip);
    std::size_t write(std::span<std::byte> out, const Abandon& abandon);
    std::size_t write(std::span<std::byte> out, const Settings& settings);
    std::size_t write(std::span<std::byte> out, const Chosen& chosen);
    std::size_t write(std::span<std::byte> out, const Refuse& refuse);
    std::size_t write(std::span<std::byte> out, const Delivered& delivered);
    std::size_t write(std::span<std::byte> out, const Attach& attach);
    std::size_t write(std::span<std::byte> out, const Credit& credit);
    std::size_t write(std::span<std::byte> out, const GivenUp& given_up);
    std::size_t write(std::span<std::byte> out, const Unwanted& unwanted);
    std::size_t write(std::span<std::byte> out, const Outgoing& outgoing);

    // Messages that are begun and neither finished nor abandoned.
    std::size_t unfinished() const;

private:
    struct State;  // made on use: an idle stream costs a pointer
    struct Free {
        void operator()(State*) const noexcept;
    };
    State& state();
    std::size_t write_message(std::span<std::byte> out, const Piece& piece);
    bool implicit(NicenessClass niceness, Sequence sequence) const;
    void name(NicenessClass niceness, std::uint64_t end);
    std::uint64_t next_ = 0;  // the next implicit sequence number of class 0, the common case
    std::unique_ptr<State, Free> state_;
};

struct MessageHeader;
enum class Type : std::uint8_t;
struct Violation;

using Frame = std::variant<Piece, Open, Finish, Skip, Abandon, Settings, Chosen, Refuse, Delivered,
                           Attach, Credit, GivenUp, Unwanted, EarlyKey>;

// One receiving direction of one stream.
class Decoder {
public:
    // `carrier`: whose stream it is when we opened it; none for a stream of the peer's, which must
    // begin with OPEN (then it is that Carrier's) or SETTINGS (then it is the association's).
    explicit Decoder(std::optional<CarrierId> carrier = std::nullopt)
        : carrier_(carrier ? carrier->value() : nobody),
          mode_(carrier ? Mode::frames : Mode::begin) {}

    // The next frame of what has come next on the stream, which it takes from `input`, content as a
    // slice of it; nothing when more bytes are needed, and `input` is empty then; or
    // protocol_violation with a detail, which then stays. A Piece is given out as far as its bytes
    // have come: at least one byte, unless the message is empty or its first chunk only announces
    // it.
    Result<std::optional<Frame>> next(Bytes& input);
    // The same for the most common frame, without the wrapping: a short message of class 0 that has
    // come whole is put into `piece`, with bytes that are those of `input`. False means
    // nothing but that next() has to be asked.
    bool next_short(Bytes& input, Piece& piece);
    // The same for as many of them as `list` has places for, each of less than small_content bytes,
    // up to the first with the mark `ask`. Without contents there was none.
    event::ArrivedRun next_run(Bytes& input, std::span<std::span<const std::byte>> list);

    std::optional<CarrierId> carrier() const {
        return carrier_ == nobody ? std::nullopt : std::optional(CarrierId{carrier_});
    }
    // It is this Carrier's, on a stream that has no frames to say so.
    void name(CarrierId carrier) { carrier_ = carrier.value(); }
    bool association() const { return association_; }
    // The number of the next message of a stream that has no frames: they count as class 0 does.
    std::uint64_t count() { return next_++; }
    // True between frames, as far as next() was asked: the stream may end here only after a Finish.
    bool between_frames() const;
    bool finished() const { return mode_ == Mode::finished; }
    // A frame has begun of which nothing was given out yet, or will be.
    bool begun() const;
    // Stream bytes that were framing and not content, since the last call: a mapping gives them
    // back to the peer's window by itself.
    std::uint64_t take_overhead();

private:
    // Where in the stream we are. The first six stand between frames.
    enum class Mode : std::uint8_t {
        begin,      // the first frame of a stream of the peer's is due
        unsettled,  // the association's stream before SETTINGS, where CREDIT may stand
        opened,     // right behind OPEN, where EARLY may stand
        frames,     // any frame of a Carrier may begin
        wide,       // any frame of the association's stream may begin
        finished,   // after FIN: nothing may follow
        half,       // the first of the two bytes of a short header is in half_
        brief,      // content of a short message is due: left_ of total_ bytes
        header,     // a longer header is incomplete, in the State
        content,    // content of a MESSAGE or CHUNK is due, see the State
        skipping,   // the body of an ignorable frame is due, see the State
        failed,     // the State has the error
    };
    struct State;
    struct Free {
        void operator()(State*) const noexcept;
    };
    State& state();
    void settle();
    Mode base() const {
        return !association_ ? Mode::frames : settled_ ? Mode::wide : Mode::unsettled;
    }
    std::uint64_t& next_of(NicenessClass niceness);
    std::optional<Sequence> place(NicenessClass niceness, std::optional<Sequence> given);
    void consume(Bytes& input, std::size_t framing);
    bool take_short(Bytes& input, Piece& piece, bool lend);
    bool begin_brief(Bytes& input);
    Piece take_brief(Bytes& input);
    Piece take_content(Bytes& input);
    std::optional<Violation> misplaced(std::uint8_t first) const;
    // These put what the caller shall get into `frame`, or leave it empty when there is nothing
    // for him or not yet; mode `failed` says that the peer broke a rule.
    void take_frame(Bytes& input, std::optional<Frame>& frame);
    // Behind a frame's type come `bytes`. Returns how long its header is, the type included, and 0
    // when it is not whole.
    std::size_t dispatch(Type type, std::span<const std::byte> bytes, std::optional<Frame>& frame);
    void begin_skipping(std::uint64_t size);
    void begin_message(const MessageHeader& header, std::optional<Frame>& frame);
    void begin_chunk(const MessageHeader& header, std::optional<Frame>& frame);
    void abandon(std::uint8_t slot, std::optional<Frame>& frame);
    void finish(std::optional<Frame>& frame);
    void fail(const Violation& violation);

    // Carrier ids are below 2^62. The members are few because there is a Decoder for each stream:
    // what a stream of short messages needs is here, the rest is in the State.
    static constexpr std::uint64_t nobody = ~std::uint64_t{0};
    std::uint64_t carrier_;
    std::uint64_t next_ = 0;  // the next implicit sequence number of class 0
    std::unique_ptr<State, Free> state_;
    std::uint32_t overhead_ = 0;
    std::uint16_t total_ = 0;
    std::uint16_t left_ = 0;
    Mode mode_;
    std::uint8_t half_ = 0;
    bool ask_ = false;
    bool association_ = false;
    bool settled_ = false;  // SETTINGS has come
};

}  // namespace post::framing
