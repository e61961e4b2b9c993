// Framers (RFC 9622, 9.1.2): codecs of Bytes for the streams of plain peers, in the ways that most
// protocols cut theirs. With each of them a TypedCarrier sends and receives Bytes:
//
//   post::TypedCarrier<post::Delimiter> lines(std::move(carrier), post::Delimiter("\r\n"));
//   lines.send("EHLO example.net");
//
//   Raw           what came, as it came
//   Delimiter     up to a mark, such as the end of a line
//   LengthPrefix  behind a length of 8, 16, 32 or 64 bits, or a QUIC varint
//   Netstring     "5:hello,"
//   Framed        values of another codec, each in a frame: JSON in netstrings
//   Layered       a stream of another codec's, carried in frames that it does not see
//
// They are codecs like an application's own (post/codec.hpp), so a peer that sends messages gets
// and sends them with the same framing inside, one value in each.
//
// Received values are views of the receive buffers where they lie within one arrival. They are
// never longer than TypedCarrier::largest_value (or Deframer::largest), which counts a whole frame
// with its header or delimiter: a longer one ends the stream with message_too_large, of a length
// that is said beforehand when it is read, before anything of the content is kept. What is framed
// wrongly ends it with malformed; so does a stream that ends inside a frame, whatever of it there
// is. The error says at which byte, and shows some of them.
//
// What is sent is copied once, behind its header; Raw, and Delimiter::Keep::yes, hand it over
// without a copy. What cannot be said in a framing is an error of send() (each type says which).
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <post/bytes.hpp>
#include <post/codec.hpp>
#include <post/decoded.hpp>
#include <post/deframer.hpp>
#include <post/error.hpp>
#include <post/message.hpp>
#include <post/result.hpp>

namespace post {

// What came, in pieces as it came: where one begins and ends means nothing. Each has at least a
// byte and at most largest_value. No errors: any end of the stream is a good one.
struct Raw {
    using Value = Bytes;

    void encode(Content content, Buffer& buffer) const { buffer.adopt(std::move(content).take()); }
    Decoded<Bytes> decode(const Bytes& bytes, const DecodeHints& hints = {}) const;
};

// Values that end with a mark. Nobody can say them when the mark is in them: sending one is
// invalid_argument, also when the mark would begin in the value and end in its delimiter. Each byte
// of a stream is searched once, however it arrives. A value may be empty (without the mark).
class Delimiter {
public:
    using Value = Bytes;

    static constexpr std::size_t longest = 16;  // bytes

    enum class Keep : bool {
        no,  // values are without the mark, which send adds
        yes  // they end with it, as received and as sent; sending one that does not is
             // invalid_argument
    };

    Delimiter() : Delimiter("\n") {}
    // `mark` has 1 to `longest` bytes of any kind; else it throws Failure (invalid_argument).
    explicit Delimiter(std::string_view mark, Keep keep = Keep::no);

    void encode(Content content, Buffer& buffer) const;
    Decoded<Bytes> decode(const Bytes& bytes, const DecodeHints& hints = {}) const;

    std::string_view mark() const { return {mark_.data(), size_}; }
    Keep keep() const { return keep_; }

private:
    std::array<char, longest> mark_{};
    std::uint8_t size_ = 0;
    Keep keep_ = Keep::no;
};

// Values behind their length:
//
//     Frame { length (8, 16, 32, 64 or varint), content (..) }
//
// Sending what is longer than largest() is message_too_large. A received length that counts itself
// and is less than that is malformed. A value may be empty.
struct LengthPrefix {
    using Value = Bytes;

    enum class Width : std::uint8_t {
        bits8,
        bits16,
        bits32,
        bits64,
        varint  // RFC 9000, 16: 1 to 8 bytes; the shortest form is sent, any is received
    };
    enum class Order : std::uint8_t { big_endian, little_endian };

    Width width = Width::bits32;
    Order order = Order::big_endian;  // the network's; a varint has no other
    bool counts_itself = false;       // true: the length is that of the whole frame

    void encode(Content content, Buffer& buffer) const;
    Decoded<Bytes> decode(const Bytes& bytes, const DecodeHints& hints = {}) const;

    // The longest content that the prefix can say, bytes.
    std::uint64_t largest() const;
};

// Netstrings, to the letter (https://cr.yp.to/proto/netstrings.txt):
//
//     Netstring { length (decimal digits), ":", content (..), "," }
//
// Malformed are a length without digits, with leading zeros or anything else in it, and a content
// that no comma follows. A value may be empty: "0:,".
struct Netstring {
    using Value = Bytes;

    void encode(Content content, Buffer& buffer) const;
    Decoded<Bytes> decode(const Bytes& bytes, const DecodeHints& hints = {}) const;
};

namespace core {
template <class C> inline constexpr bool is_layered = false;
template <class C>
concept SeesFrames = !is_layered<C>;
}  // namespace core

// What others can be put into: any codec of Bytes for streams but Layered, an application's too.
template <class F>
concept Framer = StreamCodec<F> && std::same_as<typename F::Value, Bytes> && Encodes<F, Bytes> &&
    core::SeesFrames<F>;

// The values of a codec, each in a frame of its own:
//
//   post::TypedCarrier<post::Framed<post::Netstring, Json>> carrier;
//
// The inner codec sees whole frames, so it may be one of whole messages (DecodesMessage), or a
// framer or a Framed again. A frame that it does not take as one value is malformed.
template <Framer Outer, MessageCodec Inner> struct Framed {
    using Value = typename Inner::Value;
    using Sent = typename core::SentBy<Inner>::type;

    Framed(Outer outer_codec = Outer{}, Inner inner_codec = Inner{})
        : outer(std::move(outer_codec)), inner(std::move(inner_codec)) {}

    [[no_unique_address]] Outer outer;
    [[no_unique_address]] Inner inner;

    template <class T>
    requires Encodes<Inner, T>
    void encode(const T& value, Buffer& buffer) const {
        Buffer content;
        inner.encode(value, content);
        if (content.failed()) return buffer.fail(content.error());
        if constexpr (Encodes<Outer, Content>)
            outer.encode(content.content(), buffer);
        else
            outer.encode(content.content().take(), buffer);
    }
    Decoded<Value> decode(const Bytes& bytes, const DecodeHints& hints = {}) const {
        Decoded<Bytes> frame = core::ask(outer, bytes, hints);
        if (const auto* more = frame.needs_more()) return *more;
        if (const auto* malformed = frame.malformed()) return *malformed;
        const std::size_t at = core::place_of(*frame, bytes);
        auto value = post::decode(inner, InMessage(*std::move(frame), 0, Sequence{0}));
        if (value) return {*std::move(value), frame.taken()};
        return Malformed{value.error().detail, value.error().cause, at};
    }
};

// A stream in frames: what they contain, one behind the other, is a stream that the inner codec
// cuts, wherever the frames end. Each value is sent in a frame of its own. The stream may end
// between two values and not inside one, nor inside a frame. largest_value bounds both a frame and
// a value. (Of a peer that sends messages each is one frame with one value, as Framed has it.)
//
//   post::TypedCarrier<post::Layered<post::LengthPrefix, post::Delimiter>> carrier;
template <Framer Outer, StreamCodec Inner> struct Layered : Framed<Outer, Inner> {
    using Framed<Outer, Inner>::Framed;
};
template <class Outer, class Inner> Layered(Outer, Inner) -> Layered<Outer, Inner>;

namespace core {
template <class Outer, class Inner> inline constexpr bool is_layered<Layered<Outer, Inner>> = true;
}  // namespace core

// A Deframer for the frames, and one for what is in them.
template <class Outer, class Inner>
requires DecodesBytes<Layered<Outer, Inner>>
class Deframer<Layered<Outer, Inner>> {
public:
    using Value = typename Inner::Value;

    static constexpr std::size_t default_largest = Deframer<Outer>::default_largest;

    explicit Deframer(const Layered<Outer, Inner>& codec = {},
                      std::size_t largest = default_largest)
        : frames_(codec.outer, largest), values_(codec.inner, largest) {}

    void largest(std::size_t bytes) {
        frames_.largest(bytes);
        values_.largest(bytes);
    }
    void feed(Bytes arrival) { frames_.feed(std::move(arrival)); }
    void finish() {
        finished_ = true;
        frames_.finish();
    }

    std::optional<Result<Value>> next() {
        while (true) {
            if (auto value = values_.next())
                return *value ? std::move(value) : wrong(value->error());
            auto frame = frames_.next();
            if (frame && !*frame) return Result<Value>(frame->error());
            if (frame) {
                values_.feed(**std::move(frame));
                continue;
            }
            if (!finished_) return std::nullopt;
            values_.finish();
            auto end = values_.next();
            return end ? wrong(end->error()) : std::nullopt;
        }
    }

    // Bytes that were fed and are not decoded, without the headers of frames that were.
    std::size_t left() const { return frames_.left() + values_.left(); }
    // Where in the stream the next frame begins.
    std::uint64_t offset() const { return frames_.offset(); }

private:
    // The inner one counts what is in the frames.
    std::optional<Result<Value>> wrong(Error error) const {
        error.detail = "in the frames before byte " + std::to_string(offset()) +
                       ", whose content is a stream again: " + error.detail.string();
        return Result<Value>(std::move(error));
    }

    Deframer<Outer> frames_;
    Deframer<Inner> values_;
    bool finished_ = false;
};

}  // namespace post
