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
// Exceptions of a codec are the application's own. From encode they leave send() before anything
// was sent. From decode they leave what would have given the value: the turn of the Context for
// ready and then, as an exception of any callback; get() or co_await for receive. The message is
// used up and the next one comes as ever.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <post/carrier.hpp>
#include <post/message.hpp>
#include <post/operation.hpp>

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

    void clear() {
        text_.clear();
        adopted_ = {};
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
};

// The bytes are the beginning of a value, as far as they go. Of a message, which is whole, it means
// that it is malformed; on a byte stream, that decode wants to be asked again with more.
struct NeedsMore {
    std::size_t bytes = 1;  // at least so many, as far as the codec can tell
};

// The bytes are not a value, whatever may follow.
struct Malformed {
    Bytes detail;           // for people: what is wrong, and where
    std::error_code cause;  // of the codec's own category, if it has one
};

// What decode answers: a value and how many bytes it took, NeedsMore, or Malformed.
template <class T> class Decoded {
public:
    static constexpr std::size_t all = static_cast<std::size_t>(-1);

    Decoded(T value, std::size_t taken = all)
        : state_(std::in_place_index<0>, std::move(value)), taken_(taken) {}
    Decoded(NeedsMore more) : state_(std::in_place_index<1>, more) {}
    Decoded(Malformed malformed) : state_(std::in_place_index<2>, std::move(malformed)) {}

    explicit operator bool() const noexcept { return state_.index() == 0; }
    T& operator*() & { return std::get<0>(state_); }
    T&& operator*() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &std::get<0>(state_); }
    // Of the bytes that decode was given, from their front; `all` for whatever there was.
    std::size_t taken() const { return taken_; }
    const NeedsMore* needs_more() const { return std::get_if<1>(&state_); }
    const Malformed* malformed() const { return std::get_if<2>(&state_); }

private:
    std::variant<T, NeedsMore, Malformed> state_;
    std::size_t taken_ = 0;
};

// Appends the value to the buffer.
template <class C, class T>
concept Encodes = requires(const C& codec, const T& value, Buffer& buffer) {
    codec.encode(value, buffer);
};

// Decodes the value at the front of the bytes, which it may slice instead of copying them: a Value
// of Bytes is a view that keeps the receive buffer alive for as long as it is held. On a byte
// stream the same call is asked again and again: see NeedsMore and Decoded::taken.
template <class C>
concept DecodesBytes = requires(const C& codec, const Bytes& bytes) {
    { codec.decode(bytes) } -> std::same_as<Decoded<typename C::Value>>;
};

// Decodes a whole message: for a codec that wants its segments as they are (a long message then is
// never copied together), its properties, or the message itself for a view over it.
template <class C>
concept DecodesMessage = requires(const C& codec, InMessage message) {
    { codec.decode(std::move(message)) } -> std::same_as<Decoded<typename C::Value>>;
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

// The value of a whole message, or Errc::malformed with the reason in its detail: also when the
// message ends before the value does, or goes on behind it.
template <MessageCodec C> Result<typename C::Value> decode(const C& codec, InMessage message) {
    const auto wrong = [](Bytes detail, std::error_code cause = {}) {
        return Error(Errc::malformed, cause, Stage::none, std::move(detail));
    };
    const std::size_t size = message.size();
    auto decoded = [&] {
        if constexpr (DecodesMessage<C>)
            return codec.decode(std::move(message));
        else
            return codec.decode(std::move(message).content());
    }();
    if (const auto* malformed = decoded.malformed())
        return wrong(malformed->detail, malformed->cause);
    if (const auto* more = decoded.needs_more())
        return wrong("the message of " + std::to_string(size) + " bytes ends too early: at least " +
                     std::to_string(more->bytes) + " more are needed");
    if (decoded.taken() < size)
        return wrong(std::to_string(size - decoded.taken()) + " of " + std::to_string(size) +
                     " bytes stand behind the value");
    return *std::move(decoded);
}

// The next value of a TypedCarrier: an Operation<InMessage> that decodes when its answer is taken.
template <MessageCodec C> class Receiving {
public:
    using Answer = Result<typename C::Value>;

    Receiving(Operation<InMessage>&& message, const C& codec)
        : message_(std::move(message)), codec_(codec) {}

    bool ready() const { return message_.ready(); }
    Answer get() {
        auto message = message_.get();
        if (!message) return message.error();
        return decode(codec_, *std::move(message));
    }
    void then(Function<void(Answer)> callback) && {
        std::move(message_).then(
            [callback = std::move(callback), codec = codec_](Result<InMessage> message) mutable {
                callback(message ? decode(codec, *std::move(message)) : Answer(message.error()));
            });
    }
    void notify(Function<void()> resume) { message_.notify(std::move(resume)); }
    void quiet() { message_.quiet(); }
    const core::AnchorRef& anchor() const { return message_.anchor(); }

private:
    Operation<InMessage> message_;
    [[no_unique_address]] C codec_;
};

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
        : own_(std::move(other.carrier())), codec_(other.codec_) {}
    TypedCarrier& operator=(TypedCarrier&& other) requires std::is_copy_assignable_v<C> {
        if (this == &other) return *this;
        own_ = std::move(other.carrier());
        lent_ = nullptr;
        codec_ = other.codec_;
        return *this;
    }

    explicit operator bool() const { return static_cast<bool>(lent_ ? *lent_ : own_); }

    // Carrier::send of the encoded value. What encode throws leaves it, and nothing was sent.
    template <class T = Sent>
    requires Encodes<C, T> Sending send(const T& value, SendOptions options, OnFate on_fate = {}) {
        buffer_.clear();
        std::as_const(codec_).encode(value, buffer_);
        return carrier().send(buffer_.content(), std::move(options), std::move(on_fate));
    }
    template <class T = Sent>
    requires Encodes<C, T> Sending send(const T& value) {
        buffer_.clear();
        std::as_const(codec_).encode(value, buffer_);
        return carrier().send(buffer_.content());
    }
    // Carrier::deliver of the encoded value.
    template <class T = Sent>
    requires Encodes<C, T> Operation<Fate> deliver(const T& value, SendOptions options) {
        buffer_.clear();
        std::as_const(codec_).encode(value, buffer_);
        return carrier().deliver(buffer_.content(), std::move(options));
    }
    template <class T = Sent>
    requires Encodes<C, T> Operation<Fate> deliver(const T& value) {
        buffer_.clear();
        std::as_const(codec_).encode(value, buffer_);
        return carrier().deliver(buffer_.content());
    }
    // Carrier::receive; Errc::malformed is the answer for one message, any other error ends them.
    Receiving<C> receive() { return {carrier().receive(), codec_}; }
    // Carrier::ready with values. A malformed message comes as its error; the callback decides
    // whether that is the end.
    void ready(OnValue on_value) {
        if (!on_value) return carrier().ready({});
        carrier().ready([reader = TypedCarrier({}, codec_), on_value = std::move(on_value)](
                            Carrier& lent, InMessage message) mutable {
            reader.lent_ = &lent;
            return on_value(reader, decode(reader.codec_, std::move(message)));
        });
    }
    // The next stream of the same Association, with the same codec.
    TypedCarrier fork(Carrier::ForkOptions options = {}) {
        return TypedCarrier(carrier().fork(options), codec_);
    }

    Carrier& carrier() { return lent_ ? *lent_ : own_; }
    Carrier* operator->() { return &carrier(); }
    const C& codec() const { return codec_; }

private:
    Carrier own_;
    Carrier* lent_ = nullptr;  // during a callback of ready
    [[no_unique_address]] C codec_{};
    Buffer buffer_;
};

}  // namespace post
