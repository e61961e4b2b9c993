// What may join, and what was sent before.
#include "mappings/sctp/packet_queue.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

bool carries_data(ChunkType type) { return type == ChunkType::data || type == ChunkType::i_data; }

// Nothing but data, and whole: it may stand behind any other chunk that bundles.
bool only_data(std::span<const std::byte> packet) {
    std::size_t at = common_header;
    while (const auto chunk = chunk_at(packet, at)) {
        if (!carries_data(chunk->type)) return false;
        at = after(*chunk);
    }
    return at == packet.size();
}

// RFC 9260, 6.10: INIT, INIT ACK and SHUTDOWN COMPLETE stand alone; nothing follows an ABORT.
bool bundles(std::span<const std::byte> packet) {
    std::size_t at = common_header;
    while (const auto chunk = chunk_at(packet, at)) {
        if (chunk->type == ChunkType::init || chunk->type == ChunkType::init_ack ||
            chunk->type == ChunkType::abort || chunk->type == ChunkType::shutdown_complete ||
            chunk->type == ChunkType::cookie_echo)
            return false;
        at = after(*chunk);
    }
    return true;
}

}  // namespace

bool NewData::count(std::span<const std::byte> packet) {
    bool again = false;
    for (std::size_t at = common_header; at < packet.size();) {
        const auto chunk = chunk_at(packet, at);
        if (!chunk) break;
        at = after(*chunk);
        if (!carries_data(chunk->type)) continue;
        const std::size_t header = chunk->type == ChunkType::data ? 16 : 20;  // RFC 8260, 2.1
        if (chunk->size < header) break;
        if (first_time(get32(packet, chunk->begin + 4)))
            bytes_ += chunk->size - header;
        else
            again = true;
    }
    return again;
}

bool NewData::first_time(std::uint32_t tsn) {
    if (!std::exchange(begun_, true)) next_ = tsn;
    if (static_cast<std::int32_t>(tsn - next_) >= 0) {
        if (tsn != next_) gaps_.push_back({next_, tsn});
        next_ = tsn + 1;
        return true;
    }
    for (std::size_t i = 0; i < gaps_.size(); ++i) {
        const Gap gap = gaps_[i];
        if (tsn - gap.first >= gap.end - gap.first) continue;
        gaps_.erase(gaps_.begin() + static_cast<std::ptrdiff_t>(i));
        if (tsn != gap.first) gaps_.push_back({gap.first, tsn});
        if (tsn + 1 != gap.end) gaps_.push_back({tsn + 1, gap.end});
        return true;
    }
    return false;
}

void PacketQueue::push(std::span<const std::byte> packet, Ecn ecn, std::size_t joined) {
    if (!empty() && packet.size() > common_header) {
        Packet& last = packets_.back();
        const auto before = std::span<const std::byte>(bytes_).subspan(last.begin, last.size);
        // Ports and verification tag: the first eight bytes.
        if (last.size + packet.size() - common_header <= std::min(joined, last.most) &&
            last.ecn == ecn && before.size() % 4 == 0 &&
            std::memcmp(before.data(), packet.data(), 8) == 0 && only_data(packet) &&
            bundles(before)) {
            bytes_.insert(bytes_.end(), packet.begin() + common_header, packet.end());
            last.size += packet.size() - common_header;
            return;
        }
    }
    packets_.push_back({bytes_.size(), packet.size(), joined, ecn});
    bytes_.insert(bytes_.end(), packet.begin(), packet.end());
}

void PacketQueue::pad_init(std::size_t size) {
    constexpr std::size_t header = 4;
    constexpr std::uint16_t padding = 0x8005;
    Packet& packet = packets_.back();
    const auto bytes = std::span(bytes_).subspan(packet.begin, packet.size);
    const auto chunk = chunk_at(bytes, common_header);
    if (!chunk || chunk->type != ChunkType::init || packet.size + header > size) return;
    const std::size_t more = size - packet.size;
    put16(bytes, common_header + 2, static_cast<std::uint16_t>(chunk->size + more));
    bytes_.resize(bytes_.size() + more);
    const auto parameter = std::span(bytes_).last(more);
    put16(parameter, 0, padding);
    put16(parameter, 2, static_cast<std::uint16_t>(more));
    packet.size = size;
}

}  // namespace post::sctp
