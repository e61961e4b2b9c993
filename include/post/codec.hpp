// Codecs (paper II.B, draft 2.2: a Message is an application's datum, not a run of bytes): values
// go into send and come out of receive, and a MessageCodec of the application's says how they look
// in between. A framer of RFC 9622, 9.1.2 does the same on byte streams, so one codec serves both.
//
//   struct Celsius {  // the smallest codec: a type and two functions
//       using Value = double;
//       void encode(double value, post::Buffer& buffer) const;
//       post::Decoded<double> decode(const post::Bytes& bytes) const;
//   };
//   post::TypedCarrier<Celsius> readings(context.initiate("post://example.net"));
//   readings.send(21.5);
//
// What a peer sent is a value, also when it is nonsense: a message that the codec does not take
// becomes Errc::malformed for whoever receives, in its place in the order, and the Carrier lives
// on.
//
// A plain peer (an ALPN of its own) sends a stream of bytes and no messages. A StreamCodec cuts it
// into values (post/deframer.hpp), whatever the arrivals; what is malformed there is the end of
// receiving, because nobody knows where the next value begins. From other codecs it is unsupported.
//
// What cannot be sent is an error that encode puts into the Buffer (Buffer::fail): send() answers
// with it and deliver() with a failed fate, and nothing was sent.
//
// Exceptions of a codec are the application's own. From encode they leave send() before anything
// was sent. From decode they leave what would have given the value: the turn of the Context for
// ready and then, as an exception of any callback; get() or co_await for receive. The message is
// used up and the next one comes as ever; a stream of bytes is malformed from there on.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <post/association.hpp>
#include <post/boxed.hpp>
#include <post/carrier.hpp>
#include <post/decoded.hpp>
#include <post/message.hpp>
#include <post/operation.hpp>
#include <post/receiving.hpp>

namespace post {

// What encode writes to. Its memory serves the next small value again; a large content is handed
// over whole, and held uncopied until it is settled.
class Buffer {
public:
    void append(std::string_view text) { writable().append(text); }
    void append(std::span<const std::byte> bytes) {
        writable().append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    void append(std::byte one) { writable().push_back(static_cast<char>(one)); }
    // So many bytes are going to be appended: memory for them is taken once.
    void reserve(std::size_t more) { writable().reserve(size() + more); }
    // For bytes that exist already: when nothing else is in the buffer they go out as they are,
    // without a copy.
    void adopt(Bytes bytes) {
        if (size() == 0)
            adopted_ = std::move(bytes);
        else
            append(bytes.view());
    }

    std::size_t size() const { return adopted_.empty() ? text_.size() : adopted_.size(); }
    std::string_view view() const {
        return adopted_.empty() ? std::string_view(text_) : adopted_.view();
    }

    // The value cannot be encoded, and why; what was written is not sent.
    void fail(Error error) { error_ = std::move(error); }
    bool failed() const { return static_cast<bool>(error_); }
    Error error() const { return error_ ? *error_ : Error{}; }

    void clear() {
        text_.clear();
        adopted_ = {};
        error_ = {};
    }
    // What was written; the buffer is to be cleared next, and not to be changed before it is sent.
    Content content() {
        if (!adopted_.empty()) return Content(std::move(adopted_));
        if (text_.size() < kept) return Content(std::string_view(text_));
        return Content(std::exchange(text_, {}));
    }

private:
    // Below 2 KiB send copies in any case (see Content), so the memory can stay here.
    static constexpr std::size_t kept = 2048;

    std::string& writable() {
        if (!adopted_.empty()) {
            text_.assign(adopted_.view());
            adopted_ = {};
        }
        return text_;
    }

    std::string text_;
    Bytes adopted_;
    core::Boxed<Error> error_;
};

// Appends the value to the buffer.
template <class C, class T>
concept Encodes = requires(const C& codec, const T& value, Buffer& buffer) {
    codec.encode(value, buffer);
};

namespace core {
template <class C> struct SentBy { using type = typename C::Value; };
template <class C>
requires requires { typename C::Sent; }
struct SentBy<C> {
    using type = typename C::Sent;
};
}  // namespace core

// What stands between values and bytes. `Value` is what it decodes; `Sent`, where there is one,
// what it encodes, when that is another type: requests one way and replies the other, or values
// that are received as views. It may encode more types than that, as overloads.
//
// A codec is a value: it is copied to whatever decodes later, and called const. Messages of
// different niceness come in no order, so none may depend on another; what copies have to share (an
// arena, a dictionary) a codec holds by pointer.
template <class C>
concept MessageCodec = std::copy_constructible<C> && requires {
    typename C::Value;
} && Encodes<C, typename core::SentBy<C>::type> &&(DecodesBytes<C> || DecodesMessage<C>);

// A codec that can cut values out of a byte stream too.
template <class C>
concept StreamCodec = MessageCodec<C> && DecodesBytes<C>;

// A Carrier of values: a handle as Carrier is, and owned in the same ways. What is not here is the
// Carrier's own: typed->close().
template <MessageCodec C> class TypedCarrier {
public:
    using Value = typename C::Value;
    using Sent = typename core::SentBy<C>::type;
    using OnValue = Function<bool(TypedCarrier&, Result<Value>)>;

    TypedCarrier() = default;
    explicit TypedCarrier(Carrier carrier, C codec = C{})
        : own_(std::move(carrier)), codec_(std::move(codec)) {}
    // From the TypedCarrier& of a callback it takes the lent Carrier over.
    TypedCarrier(TypedCarrier&& other) noexcept(std::is_nothrow_copy_constructible_v<C>)
        : own_(std::move(other.carrier())),
          codec_(other.codec_),
          reading_(std::move(other.reading_)),
          largest_(other.largest_),
          messages_(other.messages_) {}
    TypedCarrier& operator=(TypedCarrier&& other) requires std::is_copy_assignable_v<C> {
        if (this == &other) return *this;
        own_ = std::move(other.carrier());
        lent_ = nullptr;
        codec_ = other.codec_;
        reading_ = std::move(other.reading_);
        largest_ = other.largest_;
        messages_ = other.messages_;
        return *this;
    }

    explicit operator bool() const { return static_cast<bool>(lent_ ? *lent_ : own_); }

    // Carrier::send of the encoded value. What encode throws leaves it, and nothing was sent. Nor
    // was when encode fails: that is the answer, and the fate for `on_fate` (from a turn of the
    // Context; the Carrier's own on_fate does not hear of what never was a message).
    template <class T = Sent>
    requires Encodes<C, T> Sending send(const T& value, SendOptions options, OnFate on_fate = {}) {
        if (!encode(value)) return refused(options.niceness, std::move(on_fate));
        return carrier().send(buffer_.content(), std::move(options), std::move(on_fate));
    }
    template <class T = Sent>
    requires Encodes<C, T> Sending send(const T& value) {
        if (!encode(value)) return refused();
        return carrier().send(buffer_.content());
    }
    // Carrier::deliver of the encoded value.
    template <class T = Sent>
    requires Encodes<C, T> Operation<Fate> deliver(const T& value, SendOptions options) {
        if (!encode(value)) return {failed(options.niceness), carrier().anchor()};
        return carrier().deliver(buffer_.content(), std::move(options));
    }
    template <class T = Sent>
    requires Encodes<C, T> Operation<Fate> deliver(const T& value) {
        if (!encode(value)) return {failed(0), carrier().anchor()};
        return carrier().deliver(buffer_.content());
    }
    // Carrier::receive; Errc::malformed is the answer for one message, any other error ends them.
    // Of a plain peer's stream malformed is the end too, also when it ends inside a value.
    Receiving<C> receive() {
        if (past_reading()) return {carrier().receive(), codec_};
        return {reading(), codec_};
    }
    // Carrier::ready with values. A malformed message comes as its error; the callback decides
    // whether that is the end. So does, as the last, what ends a plain peer's stream in bad order.
    void ready(OnValue on_value) {
        const bool past = past_reading();
        if (!on_value) {
            if (reading_) reading_->end_ready();
            return carrier().ready({});
        }
        if (!past && !reading()->idle()) {
            read(reading(), codec_, largest_, std::move(on_value));
            return carrier().ready({});  // what it replaces, if that is a Carrier's still
        }
        TypedCarrier reader({}, codec_);
        reader.reading_ = reading_;
        reader.largest_ = largest_;
        reader.messages_ = messages_;
        carrier().ready([reader = std::move(reader), on_value = std::move(on_value)](
                            Carrier& lent, InMessage message) mutable {
            reader.lent_ = &lent;
            if (!message.raw()) return on_value(reader, decode(reader.codec_, std::move(message)));
            reader.reading()->add(std::move(message));
            read(reader.reading(), reader.codec_, reader.largest_, std::move(on_value));
            return false;  // the reading has a handle of its own now
        });
    }
    // The longest value that is cut out of a plain peer's stream, bytes: a longer one ends it with
    // message_too_large. Default: Deframer::default_largest, 16 MiB. (Of messages it is
    // Carrier::largest_message.) Later forks have it too.
    void largest_value(std::size_t bytes) requires StreamCodec<C> {
        largest_ = bytes;
        if (reading_) reading_->largest(bytes);
    }
    // The next stream of the same Association, with the same codec.
    TypedCarrier fork(Carrier::ForkOptions options = {}) {
        TypedCarrier next(carrier().fork(options), codec_);
        next.largest_ = largest_;
        return next;
    }

    Carrier& carrier() { return lent_ ? *lent_ : own_; }
    Carrier* operator->() { return &carrier(); }
    const C& codec() const { return codec_; }

private:
    using Reading = core::Reading<C>;

    // Into the buffer; false when it cannot be.
    template <class T> bool encode(const T& value) {
        buffer_.clear();
        std::as_const(codec_).encode(value, buffer_);
        return !buffer_.failed();
    }
    Fate failed(Niceness niceness) {
        return {Fate::Kind::failed, {carrier().id(), niceness, {}}, buffer_.error(), false};
    }
    Sending refused(Niceness niceness = 0, OnFate on_fate = {}) {
        const core::AnchorRef& anchor = carrier().anchor();
        if (on_fate)
            Operation<void>(Result<void>(), anchor)
                .then([fate = failed(niceness), on_fate = std::move(on_fate)](
                          const Result<void>&) mutable { on_fate(fate); });
        return Sending(Result<MessageId>(buffer_.error()), anchor);
    }
    // True for messages; before there is a connection the peer may turn out to be a plain one.
    bool past_reading() {
        if (reading_ && !reading_->idle()) return false;
        if (!messages_) {
            const Association under = carrier().association();
            messages_ = under.active() && under.explain(Feature::message_boundaries).level !=
                                              Support::Level::unsupported;
        }
        if (messages_) reading_.reset();
        return messages_;
    }
    const std::shared_ptr<Reading>& reading() {
        if (!reading_) {
            reading_ = std::make_shared<Reading>(carrier(), codec_);
            if (largest_ > 0) reading_->largest(largest_);
        }
        return reading_;
    }
    // Values come from the reading. What the callback moves out of its argument goes on there.
    static void read(const std::shared_ptr<Reading>& reading, const C& codec, std::size_t largest,
                     OnValue on_value) {
        reading->ready(
            [codec, largest, weak = std::weak_ptr(reading), on_value = std::move(on_value)](
                Carrier& lent, Result<Value> value) mutable {
                TypedCarrier reader({}, codec);
                reader.lent_ = &lent;
                reader.largest_ = largest;
                reader.reading_ = weak.lock();
                return on_value(reader, std::move(value));
            });
    }

    Carrier own_;
    Carrier* lent_ = nullptr;  // during a callback of ready
    [[no_unique_address]] C codec_{};
    Buffer buffer_;
    std::shared_ptr<Reading> reading_;  // none where the peer is known to send messages
    std::size_t largest_ = 0;           // value; 0: the Deframer's own
    bool messages_ = false;             // it is known
};

}  // namespace post
