// Control data of datagrams: what Linux tells of a packet beside its bytes, and what it is told.
// ip(7), ipv6(7), udp(7), cmsg(3).
#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "lib/io/sockaddr.hpp"
#include "mappings/wire/datagrams.hpp"

namespace post::io {

template <class T> T control_value(const cmsghdr& header) {
    T value{};
    std::memcpy(&value, CMSG_DATA(&header), sizeof(value));
    return value;
}

// RFC 8200, 4.2: in front of a header's options stand two bytes, which the system fills but for the
// length; and they have so much padding that the whole is a multiple of 8 bytes.
inline std::vector<char> options_header(const Bytes& options) {
    const std::size_t used = 2 + options.size();
    std::vector<char> header((used + 7) / 8 * 8);
    if (!options.empty()) std::memcpy(&header[2], options.data(), options.size());
    // Pad1 is a zero, PadN says how many zeros follow.
    if (const std::size_t missing = header.size() - used; missing > 1) {
        header[used] = 1;
        header[used + 1] = static_cast<char>(missing - 2);
    }
    header[1] = static_cast<char>(header.size() / 8 - 1);
    return header;
}

// Builds the control data of one send. Room for a source address, a traffic class, a hop limit and
// a segment size; and elsewhere, for the few that have any, for IP options.
class SendControl {
public:
    // `run.local` is used where it can be a source: not any, not multicast; nor of a socket that
    // has its own, because it is bound to one address, or connected. Nor is a mark said (DSCP and
    // ECN) that the socket has by itself.
    SendControl(const Datagrams& run, bool v6, bool ecn, bool has_source, int own_mark) {
        if (!has_source && v6 && run.local.family == Address::Family::v6 && !run.local.is_any() &&
            run.local.ip[0] != 0xff) {
            in6_pktinfo info{};
            info.ipi6_addr = v6_of(run.local);
            info.ipi6_ifindex = run.local.scope;
            append(IPPROTO_IPV6, IPV6_PKTINFO, info);
        }
        if (!has_source && !v6 && run.local.family == Address::Family::v4 && !run.local.is_any() &&
            run.local.ip[0] < 224) {
            in_pktinfo info{};
            info.ipi_spec_dst = v4_of(run.local);
            append(IPPROTO_IP, IP_PKTINFO, info);
        }
        const DatagramOptions& header = run.options;
        if (!header.ip_options.empty() || !header.hop_options.empty()) append_options(header, v6);
        const Ecn seen = ecn || header.ecn ? run.ecn : Ecn::not_ect;
        const int mark = header.dscp.value_or(0) << 2 | static_cast<int>(seen);
        if (mark != own_mark && v6) append(IPPROTO_IPV6, IPV6_TCLASS, mark);
        if (mark != own_mark && !v6) append(IPPROTO_IP, IP_TOS, mark);
        if (header.hop_limit) {
            const int hops = *header.hop_limit;
            if (v6)
                append(IPPROTO_IPV6, IPV6_HOPLIMIT, hops);
            else
                append(IPPROTO_IP, IP_TTL, hops);
        }
    }

    void append_segment(std::size_t segment) {
        append(IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(segment));
    }

    void attach(msghdr& message) {
        message.msg_control = size_ > 0 ? place() : nullptr;
        message.msg_controllen = size_;
    }

private:
    template <class T> void append(int level, int type, const T& value) {
        append(level, type, &value, sizeof(value));
    }
    void append(int level, int type, const void* value, std::size_t size) {
        cmsghdr header{};
        header.cmsg_level = level;
        header.cmsg_type = type;
        header.cmsg_len = CMSG_LEN(size);
        std::memcpy(place() + size_, &header, sizeof(header));
        std::memcpy(place() + size_ + CMSG_LEN(0), value, size);
        size_ += CMSG_SPACE(size);
    }
    void append_options(const DatagramOptions& options, bool v6) {
        large_.resize(capacity + CMSG_SPACE(largest_options) * 2);
        std::copy_n(space_, size_, large_.begin());
        if (!v6)
            return append(IPPROTO_IP, IP_RETOPTS, options.ip_options.data(),
                          options.ip_options.size());
        const auto add = [&](int type, const Bytes& content) {
            if (content.empty()) return;
            const auto header = options_header(content);
            append(IPPROTO_IPV6, type, header.data(), header.size());
        };
        add(IPV6_HOPOPTS, options.hop_options);
        add(IPV6_DSTOPTS, options.ip_options);
    }
    char* place() { return large_.empty() ? space_ : large_.data(); }

    static constexpr std::size_t largest_options = 248;

    static constexpr std::size_t capacity = CMSG_SPACE(sizeof(in6_pktinfo)) +
                                            2 * CMSG_SPACE(sizeof(int)) +
                                            CMSG_SPACE(sizeof(std::uint16_t));
    alignas(cmsghdr) char space_[capacity] = {};
    std::vector<char> large_;  // in its place
    std::size_t size_ = 0;
};

// Where a received packet came to, its mark, and the size in which GRO joined it.
struct ReceivedControl {
    Address local;  // family none when the system did not say
    Ecn ecn = Ecn::not_ect;
    std::size_t segment = 0;
    DatagramOptions header{};

    ReceivedControl(msghdr& message, std::uint16_t port) {
        for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
                local = address_of(control_value<in_pktinfo>(*c).ipi_addr, port);
            } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
                const auto info = control_value<in6_pktinfo>(*c);
                local = address_of(info.ipi6_addr, port, info.ipi6_ifindex);
            } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
                // One byte, against int for IPv6 and for what is sent.
                mark(control_value<std::uint8_t>(*c));
            } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
                mark(control_value<int>(*c));
            } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                       (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
                header.hop_limit = static_cast<std::uint8_t>(control_value<int>(*c));
            } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVOPTS) {
                header.ip_options = Bytes(content(*c));
            } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPOPTS) {
                header.hop_options = options_in(content(*c));
            } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_DSTOPTS) {
                header.ip_options = options_in(content(*c));
            } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
                segment = static_cast<std::size_t>(control_value<int>(*c));
            }
        }
    }

private:
    static std::span<const std::byte> content(const cmsghdr& header) {
        return {reinterpret_cast<const std::byte*>(CMSG_DATA(&header)),
                header.cmsg_len - CMSG_LEN(0)};
    }
    // Of a header that is here as a whole.
    static Bytes options_in(std::span<const std::byte> header) {
        const bool whole = header.size() >= 8 &&
                           header.size() == (std::to_integer<std::size_t>(header[1]) + 1) * 8;
        return whole ? Bytes(header.subspan(2)) : Bytes();
    }
    void mark(int traffic_class) {
        ecn = static_cast<Ecn>(traffic_class & 3);
        header.ecn = ecn;
        header.dscp = static_cast<std::uint8_t>(traffic_class >> 2 & 63);
    }
};

}  // namespace post::io
