// QUIC's variable-length integers (RFC 9000, 16): the two highest bits of the first byte say how
// many bytes follow (0, 1, 3 or 7), the rest is the value in network order; 0 to 2^62 - 1. The
// shortest form is written; any form is understood, as QUIC does.
#pragma once

#include <cstddef>
#include <cstdint>

namespace post::wire {

inline constexpr std::uint64_t varint_max = (std::uint64_t{1} << 62) - 1;
inline constexpr std::size_t largest_varint = 8;

// How many bytes the shortest form of `value` has. The value must not exceed varint_max.
constexpr std::size_t varint_size(std::uint64_t value) {
    return value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x4000'0000 ? 4 : 8;
}

// How many bytes the number that begins with `first` has.
constexpr std::size_t varint_size_at(std::byte first) {
    return std::size_t{1} << (std::to_integer<unsigned>(first) >> 6);
}

// Writes the shortest form of `value` to `out`, which has room for it, and returns its end.
constexpr std::byte* put_varint(std::byte* out, std::uint64_t value) {
    if (value < 0x40) {
        *out = static_cast<std::byte>(value);
        return out + 1;
    }
    const std::size_t size = varint_size(value);
    const std::uint64_t prefix = size == 2 ? 1 : size == 4 ? 2 : 3;
    value |= prefix << (8 * size - 2);
    for (std::size_t i = size; i-- > 0; value >>= 8) out[i] = static_cast<std::byte>(value & 0xff);
    return out + size;
}

// Reads the number that begins at `in`, all of whose varint_size_at(*in) bytes are there.
constexpr std::uint64_t take_varint(const std::byte* in) {
    const std::size_t size = varint_size_at(*in);
    std::uint64_t value = std::to_integer<std::uint64_t>(*in) & 0x3f;
    for (std::size_t i = 1; i < size; ++i)
        value = value << 8 | std::to_integer<std::uint64_t>(in[i]);
    return value;
}

}  // namespace post::wire
