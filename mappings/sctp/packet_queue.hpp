// NewData: how much user data has left in packets, each byte counted when it leaves first. usrsctp
// does not tell how much of what it was given still waits.
//
// PacketQueue: SCTP packets that wait to leave, in one run of memory. Small packets of one
// association join: usrsctp makes one for each small message, where the path could carry many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mappings/wire/datagrams.hpp"

namespace post::sctp {

class NewData {
public:
    // Whether some of its data left before.
    bool count(std::span<const std::byte> packet);
    std::uint64_t bytes() const { return bytes_; }

private:
    // TSNs [first, end): packets that another thread's timers caused come behind younger ones.
    struct Gap {
        std::uint32_t first;
        std::uint32_t end;
    };
    bool first_time(std::uint32_t tsn);

    std::uint64_t bytes_ = 0;
    std::uint32_t next_ = 0;  // above all that were sent
    std::vector<Gap> gaps_;   // below it, and not sent
    bool begun_ = false;
};

class PacketQueue {
public:
    struct Packet {
        std::size_t begin = 0;
        std::size_t size = 0;
        std::size_t most = 0;  // how large it may become by joining
        Ecn ecn = Ecn::not_ect;
    };

    // Of memory, beyond a burst.
    static constexpr std::size_t most_kept = 256 * 1024;
    std::size_t kept() const { return bytes_.capacity(); }

    // Copies. `joined`: how large a packet may become by joining.
    void push(std::span<const std::byte> packet, Ecn ecn, std::size_t joined);

    bool empty() const { return next_ == packets_.size(); }
    std::size_t size() const { return packets_.size() - next_; }
    std::size_t bytes() const { return bytes_.size(); }
    // The packet that leaves next, its checksum not yet filled in.
    std::span<std::byte> front() {
        const Packet& packet = packets_[next_];
        return std::span(bytes_).subspan(packet.begin, packet.size);
    }
    Ecn ecn() const { return packets_[next_].ecn; }
    // An INIT that waits alone grows to `size` by a parameter that nobody reads (RFC 4820, 4.2).
    void pad_init(std::size_t size);
    void pop() {
        if (++next_ < packets_.size()) return;
        packets_.clear();
        bytes_.clear();
        next_ = 0;
        if (bytes_.capacity() > most_kept) bytes_ = {}, packets_ = {};
    }

private:
    std::vector<std::byte> bytes_;
    std::vector<Packet> packets_;
    std::size_t next_ = 0;
};

}  // namespace post::sctp
