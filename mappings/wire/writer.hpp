// Writer: puts numbers in network order, varints and runs of bytes to the front of a span that it
// does not own. What does not fit is not written at all, nor is anything after it, and ok() says
// so: one check at the end is enough.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mappings/wire/varint.hpp"

namespace post::wire {

class Writer {
public:
    constexpr explicit Writer(std::span<std::byte> space) : space_(space) {}

    constexpr Writer& u8(std::uint8_t value) { return number(value, 1); }
    constexpr Writer& u16(std::uint16_t value) { return number(value, 2); }
    constexpr Writer& u32(std::uint32_t value) { return number(value, 4); }
    constexpr Writer& u64(std::uint64_t value) { return number(value, 8); }

    // A value above varint_max has no form, and fails as if there were no room.
    constexpr Writer& varint(std::uint64_t value) {
        if (value > varint_max) ok_ = false;
        if (fits(ok_ ? varint_size(value) : 0)) {
            const std::byte* end = put_varint(space_.data() + used_, value);
            used_ = static_cast<std::size_t>(end - space_.data());
        }
        return *this;
    }

    constexpr Writer& bytes(std::span<const std::byte> bytes) {
        if (fits(bytes.size())) {
            std::copy(bytes.begin(), bytes.end(), space_.data() + used_);
            used_ += bytes.size();
        }
        return *this;
    }

    constexpr bool ok() const { return ok_; }
    constexpr std::size_t size() const { return used_; }
    constexpr std::size_t room() const { return space_.size() - used_; }
    constexpr std::span<const std::byte> written() const { return space_.first(used_); }

private:
    constexpr bool fits(std::size_t size) { return ok_ = ok_ && size <= room(); }

    constexpr Writer& number(std::uint64_t value, std::size_t size) {
        if (fits(size)) {
            for (std::size_t i = size; i-- > 0;)
                space_[used_++] = static_cast<std::byte>(value >> (8 * i) & 0xff);
        }
        return *this;
    }

    std::span<std::byte> space_;
    std::size_t used_ = 0;
    bool ok_ = true;
};

}  // namespace post::wire
