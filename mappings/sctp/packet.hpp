// The bytes of an SCTP packet (RFC 9260, 3): the common header and the walk over its chunks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace post::sctp {

inline constexpr std::size_t common_header = 12;
inline constexpr std::size_t chunk_header = 4;

enum class ChunkType : std::uint8_t {
    data = 0,
    init = 1,
    init_ack = 2,
    sack = 3,
    heartbeat = 4,
    heartbeat_ack = 5,
    abort = 6,
    shutdown = 7,
    shutdown_ack = 8,
    error = 9,
    cookie_echo = 10,
    cookie_ack = 11,
    shutdown_complete = 14,
    i_data = 64,
    re_config = 130,
    pad = 132,
};

struct Chunk {
    ChunkType type;
    std::uint8_t flags = 0;
    std::size_t begin = 0;  // in the packet
    std::size_t size = 0;   // as it says itself, without what pads it to four bytes
};

inline std::uint16_t get16(std::span<const std::byte> bytes, std::size_t at) {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[at]) << 8 |
                                      std::to_integer<unsigned>(bytes[at + 1]));
}
inline std::uint32_t get32(std::span<const std::byte> bytes, std::size_t at) {
    return std::uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}
inline void put16(std::span<std::byte> bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}
inline void put32(std::span<std::byte> bytes, std::size_t at, std::uint32_t value) {
    put16(bytes, at, static_cast<std::uint16_t>(value >> 16));
    put16(bytes, at + 2, static_cast<std::uint16_t>(value & 0xffff));
}

// The chunk that begins there; nothing at the end, or when it is not whole.
inline std::optional<Chunk> chunk_at(std::span<const std::byte> packet, std::size_t at) {
    if (packet.size() < at + chunk_header) return std::nullopt;
    Chunk chunk{static_cast<ChunkType>(packet[at]), std::to_integer<std::uint8_t>(packet[at + 1]),
                at, get16(packet, at + 2)};
    if (chunk.size < chunk_header || packet.size() - at < chunk.size) return std::nullopt;
    return chunk;
}
inline std::size_t after(const Chunk& chunk) {
    return chunk.begin + ((chunk.size + 3) & ~std::size_t{3});
}

// What an INIT or INIT ACK says of streams, outbound and inbound (RFC 9260, 3.3.2), is at most
// `most`: either end keeps state for each of them, whoever the other is.
inline void limit_streams(std::span<std::byte> packet, std::uint16_t most) {
    constexpr std::size_t counts = 12;  // behind the chunk's header, initiate tag and window
    const auto chunk = chunk_at(packet, common_header);
    if (!chunk || (chunk->type != ChunkType::init && chunk->type != ChunkType::init_ack)) return;
    if (chunk->size < counts + 4) return;
    for (const std::size_t at : {chunk->begin + counts, chunk->begin + counts + 2})
        put16(packet, at, std::min(get16(packet, at), most));
}

// False of an INIT or INIT ACK whose parameters do not fit together (RFC 9260, 3.2.1). usrsctp
// walks over those of an INIT that comes to an association that is up, by their lengths, and one of
// 0 makes it stand still for ever; an INIT needs no verification tag.
inline bool parameters_fit(std::span<const std::byte> packet) {
    constexpr std::size_t fixed = 20;  // RFC 9260, 3.3.2: in front of the parameters
    const auto chunk = chunk_at(packet, common_header);
    if (!chunk || (chunk->type != ChunkType::init && chunk->type != ChunkType::init_ack))
        return true;
    if (chunk->size < fixed || after(*chunk) < packet.size()) return false;  // they stand alone
    const std::size_t end = chunk->begin + chunk->size;
    for (std::size_t at = chunk->begin + fixed; at + 4 <= end;) {
        const std::size_t size = get16(packet, at + 2);
        if (size < 4 || end - at < size) return false;
        at += (size + 3) & ~std::size_t{3};
    }
    return true;
}

// The checksum of RFC 9260, 6.8, as it stands in the packet, the field itself counted as zero.
std::uint32_t checksum(std::span<const std::byte> packet);
void write_checksum(std::span<std::byte> packet);
bool checksum_fits(std::span<const std::byte> packet);

}  // namespace post::sctp
