// What the system measures of a TCP connection: TCP_INFO of tcp(7), as linux/tcp.h has it, which
// does not go together with netinet/tcp.h.
#include "lib/io/tcp_measure.hpp"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace post::io {

namespace {

Duration microseconds(std::uint64_t count) {
    return std::chrono::microseconds(static_cast<std::int64_t>(count));
}

}  // namespace

// An older kernel fills less of it; what it leaves out stays as it was.
void measure_tcp(int fd, Path& path) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
    const auto has = [&](std::size_t end) { return size >= end; };
    if (info.tcpi_rtt != 0) {
        path.smoothed_rtt = microseconds(info.tcpi_rtt);
        path.rtt_variance = microseconds(info.tcpi_rttvar);
    }
    if (info.tcpi_snd_mss != 0) path.mtu = info.tcpi_snd_mss;
    path.in_flight = std::uint64_t{info.tcpi_unacked} * info.tcpi_snd_mss;
    path.packets_lost = info.tcpi_total_retrans;
    if (has(offsetof(tcp_info, tcpi_min_rtt) + sizeof(info.tcpi_min_rtt))) {
        // 2^32 - 1: nothing was measured.
        if (info.tcpi_min_rtt != 0 && info.tcpi_min_rtt != ~std::uint32_t{0})
            path.minimum_rtt = microseconds(info.tcpi_min_rtt);
        path.packets_sent = info.tcpi_segs_out;
    }
    if (has(offsetof(tcp_info, tcpi_delivery_rate) + sizeof(info.tcpi_delivery_rate)))
        path.delivery_rate = info.tcpi_delivery_rate;
    if (path.packets_sent > 0)
        path.loss = std::min(
            1.0, static_cast<double>(path.packets_lost) / static_cast<double>(path.packets_sent));
    path.one_way = path.minimum_rtt / 2;
}

}  // namespace post::io
