// What crosses the line between the edge and the mappings: a run of datagrams of one size, as UDP
// GSO sends and GRO receives them, with the addresses and the ECN mark that they share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <post/address.hpp>
#include <post/ids.hpp>
#include <post/udp.hpp>

namespace post {

// One of the byte streams that a mapping runs on (mappings/links.hpp). Never on the wire.
using LinkId = Strong<struct LinkTag, std::uint32_t>;

struct Datagrams {
    Address local;   // where they came to, or leave from; family none: let the system choose
    Address remote;  // where they came from, or go to
    Ecn ecn = Ecn::not_ect;
    std::size_t segment = 0;  // size of every datagram but the last, which may be shorter
    // One datagram after the other; never above 65507 bytes, but for one datagram alone over IPv6.
    std::span<const std::byte> bytes;
    // Of applications' datagrams: what else their headers say. The mark is in `ecn`.
    DatagramOptions options{};
    bool blank = false;  // it is one datagram without a byte
    // Byte streams: which one they belong to, where there are several; and whether nothing follows
    // on it, so that our direction ends behind them. There may be no bytes then.
    LinkId link{};
    bool end = false;

    bool empty() const { return bytes.empty() && !blank; }
    std::size_t count() const {
        return segment ? (bytes.size() + segment - 1) / segment : std::size_t{blank};
    }
    std::span<const std::byte> front() const {
        return bytes.first(segment < bytes.size() ? segment : bytes.size());
    }
    // The first n datagrams, and all but the first n.
    Datagrams first(std::size_t n) const {
        Datagrams part(*this);
        part.bytes = bytes.first(n * segment < bytes.size() ? n * segment : bytes.size());
        part.blank = blank && n > 0;
        return part;
    }
    Datagrams after(std::size_t n) const {
        Datagrams part(*this);
        part.bytes = bytes.subspan(n * segment < bytes.size() ? n * segment : bytes.size());
        part.blank = blank && n == 0;
        return part;
    }
};

// 65535 - 20 (IPv4) - 8 (UDP): the largest run that one send takes, and datagram over IPv4. Over
// IPv6 the length does not count the IP header.
inline constexpr std::size_t largest_run = 65507;
inline constexpr std::size_t largest_datagram_v6 = 65527;

}  // namespace post
