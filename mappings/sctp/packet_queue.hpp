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
    void count(std::span<const std::byte> packet);
    std::uint64_t bytes() const { return bytes_; }

private:
    std::uint64_t bytes_ = 0;
    std::uint32_t next_ = 0;  // the lowest TSN that was never sent
    bool begun_ = false;
};

class PacketQueue {
public:
    struct Packet {
        std::size_t begin = 0;
        std::size_t size = 0;
        Ecn ecn = Ecn::not_ect;
    };

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
    }

private:
    std::vector<std::byte> bytes_;
    std::vector<Packet> packets_;
    std::size_t next_ = 0;
};

}  // namespace post::sctp
