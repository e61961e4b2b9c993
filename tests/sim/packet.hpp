// Packet: what travels over a link, one UDP datagram, TCP segment or ICMP error, and what became of
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <post/address.hpp>
#include <post/bytes.hpp>
#include <post/time.hpp>

#include "mappings/wire/datagrams.hpp"

namespace post::sim {

enum class Protocol : std::uint8_t { udp, icmp, tcp };

// The header of a TCP segment (RFC 9293, 3.1).
struct Segment {
    std::uint32_t seq = 0;
    std::uint32_t ack = 0;
    std::uint32_t window = 0;  // in bytes, whatever the scale
    bool acks = false;
    bool syn = false;
    bool fin = false;
    bool rst = false;
    std::uint16_t mss = 0;     // of a SYN
    bool asks_cookie = false;  // RFC 7413, of a SYN
    std::uint64_t cookie = 0;  // of a SYN or its answer
    // RFC 2018: what came behind a gap, first and behind last; the newest block first.
    struct Block {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };
    std::vector<Block> blocks{};

    // The options: of a SYN 4 (MSS), 4 (selective acknowledgements, padded), 4 (window scale,
    // padded), and 4 or 12 (Fast Open, padded); of others 4 (padded) and 8 a block.
    std::size_t size() const {
        return 20 + (syn ? 12u : 0u) +
               (cookie != 0   ? 12u
                : asks_cookie ? 4u
                              : 0u) +
               (blocks.empty() ? 0u : 4 + 8 * blocks.size());
    }
};

struct Packet {
    Instant sent{};           // when it was put on the link
    std::uint64_t index = 0;  // its place among all of its direction, from 1
    Address from;
    Address to;
    Ecn ecn = Ecn::not_ect;
    Protocol protocol = Protocol::udp;
    int trouble = 0;  // icmp: the errno; `from` is the destination that was not reached
    Protocol about = Protocol::udp;  // icmp: what did not reach it
    Segment segment{};               // tcp
    bool corrupted = false;          // tcp: a bit was turned, and the checksum tells
    Bytes bytes{};                   // the payload
    DatagramOptions options{};       // udp: what else its header says

    // On the wire: 20 (IPv4) or 40 (IPv6), 8 (UDP, ICMP) or TCP's header, and the payload. An ICMP
    // error quotes at least the headers of what it answers (RFC 792, RFC 4443): 28 or 48.
    std::size_t size() const {
        const std::size_t header = to.family == Address::Family::v6 ? 40 : 20;
        if (protocol == Protocol::tcp) return header + segment.size() + bytes.size();
        return header + 8 + (protocol == Protocol::icmp ? header + 8 : bytes.size());
    }
};

// Filters for LinkOptions::drop.
inline bool udp(const Packet& packet) { return packet.protocol == Protocol::udp; }
inline bool tcp(const Packet& packet) { return packet.protocol == Protocol::tcp; }
inline bool icmp(const Packet& packet) { return packet.protocol == Protocol::icmp; }
inline bool ipv4(const Packet& packet) { return packet.to.family == Address::Family::v4; }
inline bool ipv6(const Packet& packet) { return packet.to.family == Address::Family::v6; }
// The packets first to last of a direction, counted from 1.
inline auto numbered(std::uint64_t first, std::uint64_t last) {
    return [=](const Packet& packet) { return packet.index >= first && packet.index <= last; };
}

// What a link, or the network between the links, did with a packet.
enum class Verdict : std::uint8_t {
    passed,       // it will arrive, perhaps twice
    lost,         // the dice said so
    queue_full,   // tail drop
    too_big,      // longer than the MTU
    filtered,     // LinkOptions::drop
    blackholed,   // the link is down, or inside a blackhole window
    unreachable,  // there is no link, or nobody has that address
};

}  // namespace post::sim
