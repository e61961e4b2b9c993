// CRC32c: by the processor's instruction where it has one, else by a table.
#include <cstring>

#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

constexpr std::size_t checksum_at = 8;

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::uint32_t crc,
                                                               std::span<const std::byte> bytes) {
    std::uint64_t wide = crc;
    while (bytes.size() >= 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data(), 8);
        wide = __builtin_ia32_crc32di(wide, word);
        bytes = bytes.subspan(8);
    }
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
