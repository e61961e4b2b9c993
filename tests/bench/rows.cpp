// The table of rows.
#include <cstdio>

#include "datagrams.hpp"
#include "limit_handshake.hpp"
#include "limit_stream.hpp"
#include "limit_udp.hpp"
#include "post_bulk.hpp"
#include "post_ends.hpp"
#include "post_handshake.hpp"
#include "post_http3.hpp"
#include "post_idle.hpp"
#include "post_trip.hpp"
#include "post_urgent.hpp"
#include "row.hpp"

namespace post::bench {

void ServerEnd::announce(std::uint16_t port, std::string_view pin) const {
    std::printf("ready %u %s\n", unsigned{port}, std::string(pin).c_str());
    std::fflush(stdout);
}

void ClientEnd::report(std::string_view name, double value, std::string_view unit) const {
    std::printf("figure\t%s\t%.9g\t%s\n", std::string(name).c_str(), value,
                std::string(unit).c_str());
    std::fflush(stdout);
}

const std::vector<Row>& rows() {
    static const std::vector<Row> table = {
        {"bulk", "messages of 1 MiB on one Carrier", Waiting::sleeping, serve_post, measure_bulk},
        {.name = "bulk-8952",
         .what = "the same in datagrams of up to 8952 bytes, as links with jumbo frames take",
         .serve = serve_post,
         .measure = measure_bulk,
         .payload = 8952},
        {.name = "bulk-gnutls",
         .what = "as bulk, packets protected by GnuTLS even where there is something faster",
         .serve = serve_post,
         .measure = measure_bulk,
         .protection = "gnutls"},
        {"messages-16", "16 B messages on one Carrier, to a callback", Waiting::sleeping,
         serve_post, measure_messages<16>},
        {"messages-64", "64 B messages", Waiting::sleeping, serve_post, measure_messages<64>},
        {"messages-64-coro", "the same, sent and received by coroutines", Waiting::sleeping,
         serve_post, measure_awaited_messages},
        {"messages-1024", "1 KiB messages", Waiting::sleeping, serve_post, measure_messages<1024>},
        {"messages-16384", "16 KiB messages", Waiting::sleeping, serve_post,
         measure_messages<16384>},
        {"datagrams", "1200 B messages on udp, nothing secured; at least 0.9 x limit-mmsg",
         Waiting::sleeping, serve_datagrams, measure_datagrams},
        {"descriptor", "as bulk, through a Stream's file descriptor that another thread reads",
         Waiting::sleeping, serve_stream, measure_descriptor},
        {"urgent", "64 B messages under bulk: from send to callback, with niceness and without",
         Waiting::sleeping, serve_post, measure_urgent},
        {"trip-sleeping", "64 B there and back, one at a time; both sleep between",
         Waiting::sleeping, serve_post, measure_trip},
        {"trip-spinning", "the same, both look for input for 50 us first", Waiting::spinning,
         serve_post, measure_trip},
        {"trip-busy", "the same, neither ever sleeps", Waiting::busy, serve_post, measure_trip},
        {"fork-sleeping", "fork, 64 B request, 64 B reply, both ends; 100 outstanding",
         Waiting::sleeping, serve_post, measure_fork},
        {"fork-spinning", "the same, both look for input for 50 us first", Waiting::spinning,
         serve_post, measure_fork},
        {"fork-busy", "the same, neither ever sleeps", Waiting::busy, serve_post, measure_fork},
        {"h3-bulk", "HTTP/3: one answer without an end, received in parts", Waiting::sleeping,
         serve_http3, measure_http3_download},
        {"h3-requests", "HTTP/3: requests with answers of 64 B; 100 outstanding", Waiting::sleeping,
         serve_http3, measure_http3_requests},
        {"handshake", "full handshakes, 16 outstanding", Waiting::sleeping, serve_post,
         measure_handshake},
        {"resumed", "resumed handshakes with a message there and back, 16 outstanding",
         Waiting::sleeping, serve_post, measure_resumed},
        {.name = "idle",
         .what = "memory and turns with 10 000 idle Associations and 1 000 000 idle Carriers",
         .serve = serve_post,
         .measure = measure_idle,
         .once = true},
        // What limits it.
        {"calibrator", "one core, AES-128-GCM by GnuTLS over 1452-byte records", Waiting::sleeping,
         nullptr, calibrate},
        {"limit-sealed", "UDP with GSO and GRO, packet protection by GnuTLS, no protocol",
         Waiting::sleeping, serve_udp_sealed, measure_udp_sealed},
        {"limit-gso", "UDP with GSO and GRO", Waiting::sleeping, serve_udp_gso, measure_udp_gso},
        {"limit-single", "UDP, a call for each datagram", Waiting::sleeping, serve_udp_single,
         measure_udp_single},
        {"limit-mmsg", "1200 B datagrams by sendmmsg and recvmmsg, 45 a call", Waiting::sleeping,
         serve_udp_batches, measure_udp_batches},
        {"limit-tcp", "TCP, 64 KiB writes", Waiting::sleeping, serve_tcp, measure_tcp},
        {"limit-tls", "TLS 1.3 over TCP, AES-128-GCM by GnuTLS", Waiting::sleeping, serve_tls,
         measure_tls},
        {"limit-handshake", "full TLS 1.3 handshakes by GnuTLS in memory, no QUIC and no socket",
         Waiting::sleeping, nullptr, measure_tls_handshake},
        {"limit-trip-sleeping", "64 B there and back over UDP; both sleep between",
         Waiting::sleeping, serve_udp_echo, measure_udp_trip},
        {"limit-trip-busy", "the same, neither ever sleeps", Waiting::busy, serve_udp_echo,
         measure_udp_trip},
        {"limit-trip-tls-sleeping", "64 B there and back over TLS 1.3; both sleep between",
         Waiting::sleeping, serve_tls_echo, measure_tls_trip},
        {"limit-trip-tls-busy", "the same, neither ever sleeps", Waiting::busy, serve_tls_echo,
         measure_tls_trip},
    };
    return table;
}

}  // namespace post::bench
