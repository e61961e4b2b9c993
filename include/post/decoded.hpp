// What a codec answers when it is asked for a value (post/codec.hpp has the whole of it), and what
// that means for a message, which has a beginning and an end.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <post/bytes.hpp>
#include <post/message.hpp>
#include <post/result.hpp>

namespace post {

// The bytes are the beginning of a value, as far as they go. Of a message, which is whole, it means
// that it is malformed; on a byte stream, that decode wants to be asked again with more.
struct NeedsMore {
    std::size_t bytes = 1;  // at least so many, as far as the codec can tell
};

// The bytes are not a value, whatever may follow.
struct Malformed {
    Bytes detail;           // for people: what is wrong, and where
    std::error_code cause;  // of the codec's own category, if it has one
    std::size_t at = 0;     // which of the bytes it is that cannot be, from their front
};

// What decode is told of a byte stream besides the bytes, when it takes a second argument.
struct DecodeHints {
    // So many bytes from the front it has answered NeedsMore to before, so that who searches for an
    // end need not search them again.
    std::size_t seen = 0;
    // The longest value, bytes: Deframer::largest.
    std::size_t largest = std::numeric_limits<std::size_t>::max();
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

// Decodes the value at the front of the bytes, which it may slice instead of copying them: a Value
// of Bytes is a view that keeps the receive buffer alive for as long as it is held. On a byte
// stream the same call is asked again and again: see NeedsMore and Decoded::taken, and DecodeHints
// for what it may take as a second argument.
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
// Asks decode for the value at the front of the bytes, in the form that the codec has.
template <DecodesBytes C>
Decoded<typename C::Value> ask(const C& codec, const Bytes& bytes, const DecodeHints& hints) {
    if constexpr (requires { codec.decode(bytes, hints); })
        return codec.decode(bytes, hints);
    else
        return codec.decode(bytes);
}
// Where in `whole` the part begins that was sliced from it; 0 when it lies elsewhere.
inline std::size_t place_of(const Bytes& part, const Bytes& whole) {
    const std::less_equal<> before;
    const bool within = before(whole.begin(), part.begin()) && before(part.end(), whole.end());
    return within ? static_cast<std::size_t>(part.begin() - whole.begin()) : 0;
}
}  // namespace core

// The value of a whole message, or Errc::malformed with the reason in its detail: also when the
// message ends before the value does, or goes on behind it.
template <class C>
requires(DecodesBytes<C> || DecodesMessage<C>) Result<typename C::Value> decode(const C& codec,
                                                                                InMessage message) {
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
    if (const auto* malformed = decoded.malformed()) {
        if (malformed->at == 0) return wrong(malformed->detail, malformed->cause);
        return wrong("at byte " + std::to_string(malformed->at) +
                         " of the message: " + malformed->detail.string(),
                     malformed->cause);
    }
    if (const auto* more = decoded.needs_more())
        return wrong("the message of " + std::to_string(size) + " bytes ends too early: at least " +
                     std::to_string(more->bytes) + " more are needed");
    if (decoded.taken() < size)
        return wrong(std::to_string(size - decoded.taken()) + " of " + std::to_string(size) +
                     " bytes stand behind the value");
    return *std::move(decoded);
}

}  // namespace post
