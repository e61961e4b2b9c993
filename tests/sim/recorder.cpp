// Packets as text: a comment with what became of the packet, the time, and the bytes in hex behind
// an IP and a UDP or TCP header (RFC 791, RFC 8200, RFC 768, RFC 9293).
#include "tests/sim/recorder.hpp"

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "tests/sim/timeline.hpp"

namespace post::sim {

namespace {

std::atomic<bool> failed = false;

using Octets = std::vector<std::uint8_t>;

void put16(Octets& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
    out.push_back(static_cast<std::uint8_t>(value & 0xff));
}

// RFC 1071, over the bytes from `begin` on and a start value.
std::uint16_t checksum(const Octets& bytes, std::size_t begin, std::uint32_t sum = 0) {
    for (std::size_t i = begin; i < bytes.size(); ++i)
        sum += static_cast<std::uint32_t>((i - begin) % 2 == 0 ? bytes[i] << 8 : bytes[i]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum & 0xffff);
}

void set16(Octets& bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value & 0xff);
}

void put32(Octets& out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}

void put_udp(Octets& out, const Packet& packet) {
    put16(out, packet.from.port);
    put16(out, packet.to.port);
    put16(out, 8 + packet.bytes.size());
    put16(out, 0);
}

// RFC 9293, 3.1 and 3.2; RFC 7323, 2.2; RFC 2018, 2 and 3; RFC 7413, 4.1.1.
void put_tcp(Octets& out, const Packet& packet) {
    constexpr unsigned scale = 10;
    const Segment& segment = packet.segment;
    put16(out, packet.from.port);
    put16(out, packet.to.port);
    put32(out, segment.seq);
    put32(out, segment.acks ? segment.ack : 0);
    const auto offset = static_cast<unsigned>(segment.size() / 4 << 4);
    const bool push = !packet.bytes.empty();
    const unsigned flags = segment.acks * 16u + push * 8u + segment.rst * 4u + segment.syn * 2u +
                           segment.fin * 1u;
    put16(out, offset << 8 | flags);
    // The window of a SYN is not scaled.
    const std::uint32_t window = segment.syn ? segment.window : segment.window >> scale;
    put16(out, std::min<std::uint32_t>(window, 65535));
    put32(out, 0);  // checksum, urgent pointer
    if (segment.syn) {
        out.insert(out.end(), {2, 4});
        put16(out, segment.mss);
        out.insert(out.end(), {4, 2, 1, 1, 3, 3, scale, 1});
    }
    if (!segment.blocks.empty()) {
        out.insert(out.end(), {1, 1, 5, static_cast<std::uint8_t>(2 + 8 * segment.blocks.size())});
        for (const auto& block : segment.blocks) put32(out, block.begin), put32(out, block.end);
    }
    if (segment.cookie != 0) {
        out.insert(out.end(), {34, 10});
        put32(out, static_cast<std::uint32_t>(segment.cookie >> 32));
        put32(out, static_cast<std::uint32_t>(segment.cookie));
        out.insert(out.end(), {1, 1});
    } else if (segment.asks_cookie) {
        out.insert(out.end(), {34, 2, 1, 1});
    }
}

Octets frame(const Packet& packet) {
    const bool v6 = packet.to.family == Address::Family::v6;
    const bool is_tcp = tcp(packet);
    const std::size_t address_size = v6 ? 16 : 4;
    const std::size_t size = (is_tcp ? packet.segment.size() : 8) + packet.bytes.size();
    const std::uint8_t protocol = is_tcp ? 6 : 17;
    Octets out;
    const auto put_addresses = [&] {
        out.insert(out.end(), packet.from.ip.begin(), packet.from.ip.begin() + address_size);
        out.insert(out.end(), packet.to.ip.begin(), packet.to.ip.begin() + address_size);
    };
    const auto ecn = static_cast<std::uint8_t>(packet.ecn);
    if (v6) {
        // version 6, traffic class with ECN in its last two bits, no flow label; hop limit 64
        out = {0x60, static_cast<std::uint8_t>(ecn << 4), 0, 0};
        put16(out, size);
        out.insert(out.end(), {protocol, 64});
        put_addresses();
    } else {
        out = {0x45, ecn};
        put16(out, 20 + size);
        out.insert(out.end(), {0, 0, 0x40, 0, 64, protocol, 0, 0});  // DF, TTL 64
        put_addresses();
        set16(out, 10, checksum(out, 0));
    }
    const std::size_t begin = out.size();
    if (is_tcp)
        put_tcp(out, packet);
    else
        put_udp(out, packet);
    for (auto byte : packet.bytes) out.push_back(static_cast<std::uint8_t>(byte));
    // The pseudo header: addresses, protocol and length.
    std::uint32_t sum = protocol + static_cast<std::uint32_t>(size);
    for (std::size_t i = begin - 2 * address_size; i < begin; ++i)
        sum += static_cast<std::uint32_t>((i - begin) % 2 == 0 ? out[i] << 8 : out[i]);
    const std::uint16_t check = checksum(out, begin, sum);
    // Zero would say that a datagram has none.
    set16(out, begin + (is_tcp ? 16 : 6), check == 0 && !is_tcp ? 0xffff : check);
    if (packet.corrupted) out[begin + 16] ^= 1;
    return out;
}

const char* describe(Verdict verdict) {
    switch (verdict) {
        case Verdict::passed: return "passed";
        case Verdict::lost: return "lost";
        case Verdict::queue_full: return "dropped by the queue";
        case Verdict::too_big: return "too big";
        case Verdict::filtered: return "filtered";
        case Verdict::blackholed: return "blackholed";
        case Verdict::unreachable: return "unreachable";
    }
    return "";
}

void print(std::FILE* file, const Packet& packet, Verdict verdict) {
    std::fprintf(file, "\n# %s -> %s %s", packet.from.string().c_str(), packet.to.string().c_str(),
                 describe(verdict));
    if (packet.protocol == Protocol::icmp) {
        std::fprintf(file, ", ICMP error as errno %d\n", packet.trouble);
        return;
    }
    std::fputc('\n', file);
    const auto nanoseconds = (packet.sent - Timeline::start).count();
    const auto seconds = nanoseconds / 1'000'000'000;
    std::fprintf(file, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%09" PRId64, seconds / 3600 % 24,
                 seconds / 60 % 60, seconds % 60, nanoseconds % 1'000'000'000);
    const Octets bytes = frame(packet);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i % 16 == 0) std::fprintf(file, "%s%06zx", i == 0 ? " " : "\n", i);
        std::fprintf(file, " %02x", bytes[i]);
    }
    std::fputc('\n', file);
}

}  // namespace

bool test_failed() { return failed.load(); }
void set_test_failed(bool value) { failed.store(value); }

void Recorder::add(const Packet& packet, Verdict verdict) {
    lines_.push_back({packet, verdict});
    bytes_ += packet.bytes.size();
    while (bytes_ > bytes_kept) {
        bytes_ -= lines_.front().packet.bytes.size();
        lines_.pop_front();
    }
}

void Recorder::write(std::uint64_t seed) const {
    const std::string path = name_ + ".pcap.txt";
    struct Closer {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "w"));
    if (!file) {
        std::perror(path.c_str());
        return;
    }
    std::fprintf(file.get(),
                 "# text2pcap -l 101 -t '%%H:%%M:%%S.%%f' %s %s.pcap\n# seed %" PRIu64
                 ", %zu packets\n",
                 path.c_str(), name_.c_str(), seed, lines_.size());
    for (const Line& line : lines_) print(file.get(), line.packet, line.verdict);
    std::fprintf(stderr, "the packets are in %s (seed %" PRIu64 ")\n", path.c_str(), seed);
}

}  // namespace post::sim
