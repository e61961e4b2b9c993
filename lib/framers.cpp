// The framers of post/framers.hpp: what each writes around a content, and how it finds it again.
#include <post/framers.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

#include "mappings/wire/varint.hpp"

namespace post {

namespace {

std::span<const std::byte> span_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// The content behind a header of `head` bytes, with `tail` bytes behind it that the frame ends
// with, or how much of them is missing.
struct Frame {
    std::size_t head = 0;
    std::uint64_t content = 0;
    std::size_t tail = 0;
};
std::optional<NeedsMore> missing(const Bytes& bytes, const Frame& frame) {
    const std::size_t have = bytes.size() - frame.head;
    if (frame.content <= have && have - frame.content >= frame.tail) return std::nullopt;
    const std::uint64_t least = frame.content - std::min<std::uint64_t>(frame.content, have);
    const std::uint64_t most = std::numeric_limits<std::size_t>::max() - frame.tail;
    if (least > 0) return NeedsMore{static_cast<std::size_t>(std::min(least, most)) + frame.tail};
    return NeedsMore{frame.tail - static_cast<std::size_t>(have - frame.content)};
}

Error unsayable(Errc errc, std::string why) {
    return Error(errc, {}, Stage::call, Bytes(std::move(why)));
}

}  // namespace

Decoded<Bytes> Raw::decode(const Bytes& bytes, const DecodeHints& hints) const {
    const std::size_t size = std::min(bytes.size(), hints.largest);
    return {bytes.slice(0, size), size};
}

// Delimiter.

Delimiter::Delimiter(std::string_view mark, Keep keep) : keep_(keep) {
    if (mark.empty() || mark.size() > longest)
        throw Failure(unsayable(Errc::invalid_argument,
                                "a delimiter has 1 to " + std::to_string(longest) +
                                    " bytes, and not " + std::to_string(mark.size())));
    std::copy(mark.begin(), mark.end(), mark_.begin());
    size_ = static_cast<std::uint8_t>(mark.size());
}

void Delimiter::encode(Content content, Buffer& buffer) const {
    const auto ends_at_its_end = [&](std::string_view frame) {
        const std::size_t at = frame.find(mark());
        return at != std::string_view::npos && at + size_ == frame.size();
    };
    const auto shown = [&] { return core::beginning(span_of(mark())); };
    if (keep_ == Keep::yes) {
        if (!ends_at_its_end(content.view()))
            return buffer.fail(unsayable(Errc::invalid_argument,
                                         "a value ends with its delimiter, " + shown() +
                                             ", and has it nowhere else (Delimiter::Keep::yes)"));
        return buffer.adopt(std::move(content).take());
    }
    const std::size_t begin = buffer.size();
    buffer.reserve(content.size() + size_);
    buffer.append(content.view());
    buffer.append(mark());
    if (!ends_at_its_end(buffer.view().substr(begin)))
        buffer.fail(
            unsayable(Errc::invalid_argument, "the value has its delimiter, " + shown() +
                                                  ", in it: the receiver would end it there"));
}

Decoded<Bytes> Delimiter::decode(const Bytes& bytes, const DecodeHints& hints) const {
    // A mark that ends in what is new may begin in what was seen.
    const std::size_t from = hints.seen - std::min<std::size_t>(hints.seen, size_ - 1u);
    const std::size_t at = bytes.view().find(mark(), from);
    if (at == std::string_view::npos) return NeedsMore{};
    const std::size_t end = at + size_;
    return {bytes.slice(0, keep_ == Keep::yes ? end : at), end};
}

// LengthPrefix.

namespace {

constexpr std::size_t bytes_of(LengthPrefix::Width width) {
    return std::size_t{1} << static_cast<unsigned>(width);
}
// The largest number that a prefix of so many bytes can be.
constexpr std::uint64_t largest_of(LengthPrefix::Width width) {
    if (width == LengthPrefix::Width::varint) return wire::varint_max;
    return std::numeric_limits<std::uint64_t>::max() >> (64 - 8 * bytes_of(width));
}

}  // namespace

std::uint64_t LengthPrefix::largest() const {
    const std::size_t own = width == Width::varint ? wire::largest_varint : bytes_of(width);
    return largest_of(width) - (counts_itself ? own : 0);
}

void LengthPrefix::encode(Content content, Buffer& buffer) const {
    const std::uint64_t size = content.size();
    if (size > largest())
        return buffer.fail(
            unsayable(Errc::message_too_large, "a value of " + std::to_string(size) +
                                                   " bytes, and its length prefix says at most " +
                                                   std::to_string(largest())));
    std::array<std::byte, wire::largest_varint> head;
    std::size_t used = width == Width::varint ? wire::varint_size(size) : bytes_of(width);
    if (width == Width::varint) {
        // To count itself may make it longer, and that does not make it longer again.
        if (counts_itself) used = wire::varint_size(size + used);
        wire::put_varint(head.data(), size + (counts_itself ? used : 0));
    } else {
        const std::uint64_t length = size + (counts_itself ? used : 0);
        for (std::size_t i = 0; i < used; ++i) {
            const std::size_t place = order == Order::big_endian ? used - 1 - i : i;
            head[i] = static_cast<std::byte>(length >> (8 * place) & 0xff);
        }
    }
    buffer.reserve(used + content.size());
    buffer.append(std::span(head).first(used));
    buffer.append(content.view());
}

Decoded<Bytes> LengthPrefix::decode(const Bytes& bytes, const DecodeHints&) const {
    if (bytes.empty()) return NeedsMore{width == Width::varint ? 1 : bytes_of(width)};
    const std::size_t head = width == Width::varint ? wire::varint_size_at(bytes[0])
                                                    : bytes_of(width);
    if (bytes.size() < head) return NeedsMore{head - bytes.size()};
    std::uint64_t length = 0;
    if (width == Width::varint) {
        length = wire::take_varint(bytes.data());
    } else {
        for (std::size_t i = 0; i < head; ++i) {
            const std::size_t next = order == Order::big_endian ? i : head - 1 - i;
            length = length << 8 | std::to_integer<std::uint64_t>(bytes[next]);
        }
    }
    if (counts_itself && length < head)
        return Malformed{"a length of " + std::to_string(length) + ", which counts its own " +
                             std::to_string(head) + " bytes too",
                         {}};
    if (counts_itself) length -= head;
    if (const auto more = missing(bytes, {.head = head, .content = length})) return *more;
    const auto content = static_cast<std::size_t>(length);
    return {bytes.slice(head, content), head + content};
}

// Netstring.

void Netstring::encode(Content content, Buffer& buffer) const {
    std::array<char, std::numeric_limits<std::size_t>::digits10 + 1> digits;
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(),
                                       content.size());
    const std::string_view length(digits.data(),
                                  static_cast<std::size_t>(written.ptr - digits.data()));
    buffer.reserve(length.size() + 1 + content.size() + 1);
    buffer.append(length);
    buffer.append(":");
    buffer.append(content.view());
    buffer.append(",");
}

Decoded<Bytes> Netstring::decode(const Bytes& bytes, const DecodeHints&) const {
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    std::size_t length = 0;
    std::size_t at = 0;
    for (; at < bytes.size() && (at == 0 || bytes[at] != std::byte{':'}); ++at) {
        const auto code = std::to_integer<unsigned>(bytes[at]);
        if (code < '0' || code > '9')
            return Malformed{at == 0 ? "a netstring begins with its length in decimal digits"
                                     : "the length of a netstring ends with a colon",
                             {},
                             at};
        if (at == 1 && bytes[0] == std::byte{'0'})
            return Malformed{"the length of a netstring has no leading zeros", {}, at};
        if (length > (most - 9) / 10) return NeedsMore{most};  // longer than memory
        length = 10 * length + (code - '0');
    }
    if (at == bytes.size()) return NeedsMore{};
    const std::size_t head = at + 1;
    if (const auto more = missing(bytes, {.head = head, .content = length, .tail = 1}))
        return *more;
    if (bytes[head + length] != std::byte{','})
        return Malformed{"a comma follows the " + std::to_string(length) + " bytes of a netstring",
                         {},
                         head + length};
    return {bytes.slice(head, length), head + length + 1};
}

}  // namespace post
