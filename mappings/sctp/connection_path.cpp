// The path of a connection: probes of its size (RFC 8899, 6.2: HEARTBEAT and PAD), their answers,
// what else is looked at in packets before usrsctp gets them, and whether anything comes back.
#include <algorithm>
#include <cstring>

#include "mappings/sctp/connection.hpp"
#include "mappings/sctp/endpoint.hpp"
#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

// HEARTBEAT { parameter 1 { "post", the probe's size } }: no answer to usrsctp is as short.
constexpr std::size_t heartbeat_size = 16;
constexpr std::uint16_t heartbeat_info = 1;
constexpr std::uint32_t probe_mark = 0x706f7374;

// RFC 6525, 4.5 and 4.6.
constexpr std::uint16_t add_outgoing = 0x11;
constexpr std::uint16_t add_incoming = 0x12;

void put_chunk(std::span<std::byte> packet, std::size_t at, ChunkType type, std::size_t size) {
    packet[at] = static_cast<std::byte>(type);
    packet[at + 1] = std::byte{0};
    put16(packet, at + 2, static_cast<std::uint16_t>(size));
}

// The answer to which probe it is; 0: to none.
std::size_t answered(std::span<const std::byte> packet, const Chunk& chunk) {
    const std::size_t body = chunk.begin + chunk_header;
    if (chunk.size != heartbeat_size || get16(packet, body) != heartbeat_info) return 0;
    return get32(packet, body + 4) == probe_mark ? get32(packet, body + 8) : 0;
}

}  // namespace

// Requests for more streams than the peer has shown to need are turned into such that nobody can
// grant: either end keeps state for each stream, used or not.
void Connection::limit_added(std::span<std::byte> packet, const Chunk& chunk) {
    const std::size_t end = chunk.begin + chunk.size;
    for (std::size_t at = chunk.begin + chunk_header; at + 4 <= end;) {
        const std::uint16_t type = get16(packet, at);
        const std::size_t size = get16(packet, at + 2);
        if (size < 4 || end - at < size) return;
        const bool adds = type == add_outgoing || type == add_incoming;
        if (adds && size >= 12 && !channels_.may_add(get16(packet, at + 8), type == add_outgoing))
            put16(packet, at + 8, 0xffff);
        at += (size + 3) & ~std::size_t{3};
    }
}

// Control chunks stand in front of data (RFC 9260, 6.10).
void Connection::inspect(std::span<std::byte> packet) {
    auto chunk = chunk_at(packet, common_header);
    for (; chunk; chunk = chunk_at(packet, after(*chunk))) {
        if (chunk->type == ChunkType::data || chunk->type == ChunkType::i_data) return;
        if (chunk->type == ChunkType::re_config) limit_added(packet, *chunk);
        if (chunk->type != ChunkType::heartbeat_ack) continue;
        const std::size_t size = answered(packet, *chunk);
        if (size != 0 && search_.on_answer(now_, size)) search_path();
    }
}

// The size changed.
void Connection::search_path() {
    if (socket_) socket_->join_up_to(packet_of(search_.size()));
}

Datagrams Connection::probe(std::size_t payload, std::span<std::byte> space) {
    const std::size_t size = packet_of(payload);
    const auto packet = endpoint_.room(size).first(size);
    std::fill(packet.begin(), packet.end(), std::byte{0});
    std::copy(header_.begin(), header_.end(), packet.begin());
    put_chunk(packet, common_header, ChunkType::heartbeat, heartbeat_size);
    const std::size_t body = common_header + chunk_header;
    put16(packet, body, heartbeat_info);
    put16(packet, body + 2, heartbeat_size - chunk_header);
    put32(packet, body + 4, probe_mark);
    put32(packet, body + 8, static_cast<std::uint32_t>(payload));
    const std::size_t pad = common_header + heartbeat_size;
    put_chunk(packet, pad, ChunkType::pad, size - pad);
    if (space.size() < payload) return {};
    const std::size_t written = put(packet, space);
    ++packets_sent_;
    return run_of(space.first(written), written, Ecn::not_ect);
}

Path Connection::path() const {
    Path path;
    path.local = options_.local;
    path.remote = options_.remote;
    path.mtu = search_.size();
    path.ecn = marked_;
    path.bytes_sent = bytes_sent_;
    path.bytes_received = bytes_received_;
    path.packets_sent = packets_sent_;
    if (!socket_) return path;
    const auto status = socket_->status();
    path.smoothed_rtt = status.smoothed_rtt;
    const auto rtt = std::max<Duration>(status.smoothed_rtt, std::chrono::milliseconds(1));
    path.rate = static_cast<std::uint64_t>(static_cast<double>(status.congestion_window) /
                                           std::chrono::duration<double>(rtt).count());
    path.in_flight = status.unacked * socket_->packet_size();
    return path;
}

// What is on its way has to bring something back.
void Connection::watch_silence(bool heard) {
    if (state_ != State::established || !post_) return;
    if (channels_.dry() && pinged_ <= heard_) {
        awaited_ = never;
    } else if (heard || awaited_ == never) {
        if (awaited_ == never) rtt_ = socket_->status().smoothed_rtt;
        awaited_ = now_;
    }
}

// usrsctp sends again after 220 ms at the soonest (socket.cpp), and knows no probe.
Instant Connection::doubt() const {
    if (state_ != State::established || awaited_ == never) return never;
    return later(awaited_, 3 * (2 * rtt_ + std::chrono::milliseconds(220)));
}

}  // namespace post::sctp
