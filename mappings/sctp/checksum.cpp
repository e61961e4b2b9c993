// CRC32c: by the processor's instruction where it has one, else by a table.
#include <array>
#include <cstring>

#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

constexpr std::size_t checksum_at = 8;

#if defined(__x86_64__)
constexpr std::uint32_t polynomial = 0x82f63b78;  // Castagnoli's, reflected

// What so many bytes of zero behind it make of a checksum: linear in its bits.
class Shift {
public:
    constexpr explicit Shift(std::size_t bytes) {
        Matrix all = identity();
        Matrix power = one_byte();
        for (; bytes > 0; bytes /= 2) {
            if (bytes % 2 != 0) all = product(power, all);
            power = product(power, power);
        }
        for (std::size_t place = 0; place < 4; ++place)
            for (std::uint32_t value = 0; value < 256; ++value)
                table_[place][value] = apply(all, value << (8 * place));
    }
    std::uint32_t operator()(std::uint32_t crc) const {
        return table_[0][crc & 0xff] ^ table_[1][crc >> 8 & 0xff] ^ table_[2][crc >> 16 & 0xff] ^
               table_[3][crc >> 24];
    }

private:
    using Matrix = std::array<std::uint32_t, 32>;  // what becomes of each bit

    static constexpr std::uint32_t apply(const Matrix& matrix, std::uint32_t value) {
        std::uint32_t made = 0;
        for (std::size_t bit = 0; bit < 32; ++bit)
            if ((value >> bit & 1) != 0) made ^= matrix[bit];
        return made;
    }
    static constexpr Matrix product(const Matrix& second, const Matrix& first) {
        Matrix made{};
        for (std::size_t bit = 0; bit < 32; ++bit) made[bit] = apply(second, first[bit]);
        return made;
    }
    static constexpr Matrix identity() {
        Matrix made{};
        for (std::size_t bit = 0; bit < 32; ++bit) made[bit] = std::uint32_t{1} << bit;
        return made;
    }
    static constexpr Matrix one_byte() {
        Matrix made = identity();
        for (auto& value : made)
            for (int step = 0; step < 8; ++step)
                value = value >> 1 ^ ((value & 1) != 0 ? polynomial : 0);
        return made;
    }

    std::uint32_t table_[4][256]{};
};

__attribute__((target("sse4.2"))) inline std::uint64_t next_word(std::uint64_t crc,
                                                                 const std::byte* at) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    return __builtin_ia32_crc32di(crc, word);
}

// The instruction takes three cycles, and one can begin in each: three lanes at once.
template <std::size_t Lane>
__attribute__((target("sse4.2"))) std::uint64_t by_lanes(std::uint64_t crc,
                                                         std::span<const std::byte>& bytes) {
    static constexpr Shift shift(Lane);
    while (bytes.size() >= 3 * Lane) {
        std::uint64_t second = 0, third = 0;
        const std::byte* at = bytes.data();
        for (std::size_t i = 0; i < Lane; i += 8, at += 8) {
            crc = next_word(crc, at);
            second = next_word(second, at + Lane);
            third = next_word(third, at + 2 * Lane);
        }
        crc = shift(static_cast<std::uint32_t>(crc)) ^ second;
        crc = shift(static_cast<std::uint32_t>(crc)) ^ third;
        bytes = bytes.subspan(3 * Lane);
    }
    return crc;
}

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::uint32_t crc,
                                                               std::span<const std::byte> bytes) {
    std::uint64_t wide = by_lanes<64>(by_lanes<384>(crc, bytes), bytes);
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) wide = next_word(wide, bytes.data());
    auto narrow = static_cast<std::uint32_t>(wide);
    for (std::byte byte : bytes)
        narrow = __builtin_ia32_crc32qi(narrow, std::to_integer<unsigned char>(byte));
    return narrow;
}
bool has_instruction() {
    static const bool has = __builtin_cpu_supports("sse4.2");
    return has;
}
#else
std::uint32_t by_instruction(std::uint32_t crc, std::span<const std::byte>) { return crc; }
bool has_instruction() { return false; }
#endif

// For processors without.
std::uint32_t by_table(std::uint32_t crc, std::span<const std::byte> bytes) {
    static constexpr auto table = [] {
        struct {
            std::uint32_t of[256];
        } made{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) ? 0x82f63b78u : 0);
            made.of[i] = value;
        }
        return made;
    }();
    for (std::byte byte : bytes)
        crc = crc >> 8 ^ table.of[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
    return crc;
}

std::uint32_t add(std::uint32_t crc, std::span<const std::byte> bytes) {
    return has_instruction() ? by_instruction(crc, bytes) : by_table(crc, bytes);
}

}  // namespace

std::uint32_t checksum(std::span<const std::byte> packet) {
    constexpr std::byte zero[4]{};
    std::uint32_t crc = add(~std::uint32_t{0}, packet.first(checksum_at));
    crc = ~add(add(crc, zero), packet.subspan(checksum_at + 4));
    // It stands there the least significant byte first.
    return __builtin_bswap32(crc);
}

void write_checksum(std::span<std::byte> packet) { put32(packet, checksum_at, checksum(packet)); }

bool checksum_fits(std::span<const std::byte> packet) {
    return packet.size() >= common_header && get32(packet, checksum_at) == checksum(packet);
}

}  // namespace post::sctp
