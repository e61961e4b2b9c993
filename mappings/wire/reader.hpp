// Reader: takes numbers in network order, varints and runs of bytes from the front of a span that
// it does not own. Every read is checked against the end: one that does not fit gives nothing and
// takes nothing, so that the caller may wait for more bytes and try again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "mappings/wire/varint.hpp"

namespace post::wire {

class Reader {
    // First, because clang 14 evaluates only what is defined above its use.
    template <class Number> constexpr std::optional<Number> number() {
        if (left() < sizeof(Number)) return std::nullopt;
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(Number); ++i)
            value = value << 8 | std::to_integer<std::uint64_t>(at_[i]);
        at_ += sizeof(Number);
        return static_cast<Number>(value);
    }

public:
    constexpr explicit Reader(std::span<const std::byte> bytes)
        : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    constexpr std::optional<std::uint8_t> u8() { return number<std::uint8_t>(); }
    constexpr std::optional<std::uint16_t> u16() { return number<std::uint16_t>(); }
    constexpr std::optional<std::uint32_t> u32() { return number<std::uint32_t>(); }
    constexpr std::optional<std::uint64_t> u64() { return number<std::uint64_t>(); }

    constexpr std::optional<std::uint64_t> varint() {
        if (at_ == end_ || varint_size_at(*at_) > left()) return std::nullopt;
        const std::uint64_t value = take_varint(at_);
        at_ += varint_size_at(*at_);
        return value;
    }

    // The next `size` bytes, as a view into what the Reader was made from.
    constexpr std::optional<std::span<const std::byte>> bytes(std::uint64_t size) {
        if (size > left()) return std::nullopt;
        const std::span<const std::byte> taken(at_, static_cast<std::size_t>(size));
        at_ += taken.size();
        return taken;
    }

    // The next byte, which stays.
    constexpr std::optional<std::uint8_t> peek() const {
        if (at_ == end_) return std::nullopt;
        return std::to_integer<std::uint8_t>(*at_);
    }

    constexpr bool empty() const { return at_ == end_; }
    constexpr std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    constexpr std::size_t taken() const { return static_cast<std::size_t>(at_ - begin_); }
    constexpr std::span<const std::byte> rest() const { return {at_, left()}; }

private:
    const std::byte* begin_;
    const std::byte* at_;
    const std::byte* end_;
};

}  // namespace post::wire
