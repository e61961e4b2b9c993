// What crosses the line between the edge and the mappings: a run of datagrams of one size, as UDP
// GSO sends and GRO receives them, with the addresses and the ECN mark that they share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <post/address.hpp>

namespace post {

// RFC 3168, 5: the two bits of the IP header.
enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

struct Datagrams {
    Address local;   // where they came to, or leave from; family none: let the system choose
    Address remote;  // where they came from, or go to
    Ecn ecn = Ecn::not_ect;
    std::size_t segment = 0;           // size of every datagram but the last, which may be shorter
    std::span<const std::byte> bytes;  // one datagram after the other; never above 65507 bytes

    bool empty() const { return bytes.empty(); }
    std::size_t count() const { return segment ? (bytes.size() + segment - 1) / segment : 0; }
    std::span<const std::byte> front() const {
        return bytes.first(segment < bytes.size() ? segment : bytes.size());
    }
    // The first n datagrams, and all but the first n.
    Datagrams first(std::size_t n) const {
        Datagrams part(*this);
        part.bytes = bytes.first(n * segment < bytes.size() ? n * segment : bytes.size());
        return part;
    }
    Datagrams after(std::size_t n) const {
        Datagrams part(*this);
        part.bytes = bytes.subspan(n * segment < bytes.size() ? n * segment : bytes.size());
        return part;
    }
};

// 65535 - 20 (IPv4) - 8 (UDP): the largest run that one send takes.
inline constexpr std::size_t largest_run = 65507;

}  // namespace post
