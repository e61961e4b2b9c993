// Deframer: cuts values out of a byte stream, wherever the network broke it (a framer of RFC 9622,
// 9.1.2, receiving). Bytes go in as they arrive, values come out:
//
//   post::Deframer<Lines> deframer;
//   deframer.feed(arrived);
//   while (auto line = deframer.next()) {
//       if (!*line) return line->error();  // and nothing follows any more
//       use(**line);
//   }
//
// A value that lies within one arrival is decoded where it lies; the others are put together in a
// buffer of the Deframer's. Decode is not asked again before there are as many bytes as it said
// it needs, so what a long value costs follows its length and not the number of its pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <post/bytes.hpp>
#include <post/decoded.hpp>
#include <post/error.hpp>
#include <post/result.hpp>

namespace post {

namespace core {
// How a stream goes on, for people: at most 16 bytes, what is not plain text as \x0a.
inline std::string beginning(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    constexpr std::size_t most = 16;
    std::string text = "\"";
    for (const std::byte one : bytes.first(std::min(bytes.size(), most))) {
        const auto code = std::to_integer<unsigned>(one);
        const bool plain = code >= ' ' && code <= '~' && code != '"' && code != '\\';
        if (plain)
            text += static_cast<char>(code);
        else
            text.append("\\x").append(1, digits[code >> 4]).append(1, digits[code & 15]);
    }
    return text += bytes.size() > most ? "\"..." : "\"";
}
}  // namespace core

template <DecodesBytes C> class Deframer {
public:
    using Value = typename C::Value;

    static constexpr std::size_t default_largest = 16 * 1024 * 1024;

    explicit Deframer(C codec = C{}, std::size_t largest = default_largest)
        : codec_(std::move(codec)), largest_(largest) {}

    // The longest value, bytes: a longer one ends the stream with message_too_large, as soon as
    // decode says that it needs more.
    void largest(std::size_t bytes) { largest_ = bytes; }
    // The next bytes of the stream; they are held until they are decoded.
    void feed(Bytes arrival) {
        if (arrival.empty() || error_) return;
        left_ += arrival.size();
        arrivals_.push_back(std::move(arrival));
    }
    // No bytes follow; in the middle of a value that is Errc::malformed.
    void finish() { finished_ = true; }

    // The next value, or nothing until there are more bytes. An error ends the stream for good, and
    // is the answer from then on: malformed or message_too_large. So does an exception of decode,
    // which leaves this call: nobody knows where the next value begins.
    std::optional<Result<Value>> next() {
        while (!error_ && gather()) {
            Decoded<Value> decoded = ask();
            if (const Malformed* malformed = decoded.malformed()) {
                end(Errc::malformed, malformed->detail.string(), malformed->cause, malformed->at);
            } else if (const NeedsMore* more = decoded.needs_more()) {
                need(more->bytes);
            } else if (const auto taken = std::min(decoded.taken(), window_.size()); taken == 0) {
                end(Errc::malformed, "decode gave a value of no bytes at all");
            } else if (taken > largest_) {
                end_too_large(taken);
            } else {
                take(taken);
                return Result<Value>(*std::move(decoded));
            }
        }
        if (!error_ && finished_ && left_ > 0)
            end(Errc::malformed, "the stream ends inside a value, of which there are " +
                                     std::to_string(left_) + " bytes and at least " +
                                     std::to_string(needed_ - left_) + " missing");
        if (error_) return Result<Value>(*error_);
        return std::nullopt;
    }

    // Bytes that were fed and are not decoded.
    std::size_t left() const { return left_; }
    // Where in the stream the next value begins.
    std::uint64_t offset() const { return offset_; }

private:
    // Emptied members are assigned `Bytes()` here and not `{}`: within a template clang 14 does not
    // destroy an argument that is taken by value and written so, and what it held is never freed.

    // Memory of more than this is not kept for the next value.
    static constexpr std::size_t most_kept = 64 * 1024;

    Decoded<Value> ask() {
        try {
            return core::ask(codec_, window_, {.seen = seen_, .largest = largest_});
        } catch (...) {
            end(Errc::malformed, "decode threw an exception");
            throw;
        }
    }

    void need(std::size_t more) {
        const std::size_t room = std::numeric_limits<std::size_t>::max() - window_.size();
        seen_ = window_.size();
        needed_ = window_.size() + std::clamp<std::size_t>(more, 1, room);
        if (needed_ > largest_) end_too_large(needed_);
    }

    void take(std::size_t taken) {
        offset_ += taken;
        left_ -= taken;
        needed_ = 1;
        seen_ = 0;
        window_.remove_prefix(taken);
        if (window_.size() > copied_) return;
        // What is left lies in an arrival too: the values there are decoded where they lie.
        if (copied_ > 0) {
            window_ = arrivals_[first_].slice(copied_ - window_.size());
            pop();
        } else {
            window_ = Bytes();
        }
        if (block_.capacity() > most_kept) block_ = Block();
    }

    // True when the window has as many bytes as decode needs. If there are not so many they are
    // kept in memory of ours: a few bytes shall not pin the buffer that they came in.
    bool gather() {
        if (window_.empty() && first_ < arrivals_.size()) {
            window_ = arrivals_[first_];
            pop();
        }
        while (first_ < arrivals_.size() && window_.size() < needed_) {
            const Bytes& arrival = arrivals_[first_];
            // Where decode can tell no more than "one", twice as much as it has seen.
            const std::size_t wish = std::max(needed_ - window_.size(), window_.size());
            const std::size_t size = std::min(arrival.size() - copied_, wish);
            append(arrival.span().subspan(copied_, size));
            copied_ += size;
            // It stays until then, for the values behind this one.
            if (copied_ == arrival.size() && window_.size() < needed_) pop();
        }
        if (window_.size() >= needed_) return true;
        append({});
        return false;
    }

    // Makes the window, with more bytes behind it, one piece in the block.
    void append(std::span<const std::byte> more) {
        const bool ours = !window_.empty() && block_.capacity() > 0 &&
                          window_.data() + window_.size() == block_.writable();
        if (ours && more.size() <= block_.room()) {
            block_.append(more);
            return window_.extend(more.size());
        }
        const std::size_t whole = window_.size() + more.size();
        if (whole == 0 || (ours && more.empty())) return;
        if (block_.sole()) block_.rewind();
        if (block_.room() < whole || block_.room() < std::min(needed_, 2 * whole))
            block_ = Block(capacity_for(whole));
        Bytes joined = block_.append(window_.span());
        block_.append(more);
        joined.extend(more.size());
        window_ = std::move(joined);
    }

    // It grows by doubling, and by more where decode knows how long the value is: what a peer only
    // says of itself takes no memory beyond eight times what it sent.
    std::size_t capacity_for(std::size_t whole) const {
        const std::size_t twice = std::max<std::size_t>(2 * whole, 256);
        return std::max(whole, std::min(largest_, std::max(twice, std::min(needed_, 8 * whole))));
    }

    void pop() {
        copied_ = 0;
        arrivals_[first_++] = Bytes();
        if (first_ < arrivals_.size()) return;
        arrivals_.clear();
        first_ = 0;
    }

    void end_too_large(std::size_t size) {
        end(Errc::message_too_large, "a value of at least " + std::to_string(size) +
                                         " bytes, and Deframer::largest is " +
                                         std::to_string(largest_));
    }
    // `at` is where in the window it went wrong.
    void end(Errc errc, const std::string& why, std::error_code cause = {}, std::size_t at = 0) {
        at = std::min(at, window_.size());
        std::string text = "at byte " + std::to_string(offset_ + at) + " of the stream: " + why;
        if (at > 0)
            text += "; there stands " + core::beginning(window_.span().subspan(at)) +
                    ", in a value that begins at byte " + std::to_string(offset_) + " with ";
        else
            text += "; it begins with ";
        text += core::beginning(window_.span());
        error_ = Error(errc, cause, Stage::established, std::move(text));
        window_ = Bytes();
        arrivals_.clear();
        block_ = Block();
        first_ = copied_ = 0;
    }

    [[no_unique_address]] C codec_;
    std::size_t largest_;
    Bytes window_;                 // what decode sees: the end of an arrival, or a piece of block_
    std::vector<Bytes> arrivals_;  // behind the window, from first_ on
    std::size_t first_ = 0;
    std::size_t copied_ = 0;  // bytes of arrivals_[first_] that stand at the end of the window too
    Block block_;
    std::size_t needed_ = 1;  // bytes in the window, before decode is asked again
    std::size_t seen_ = 0;    // bytes of the window that decode was shown
    std::size_t left_ = 0;
    std::uint64_t offset_ = 0;
    bool finished_ = false;
    std::optional<Error> error_;
};

}  // namespace post
