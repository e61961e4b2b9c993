// The table of rows.
#include <cstdio>

#include "post_bulk.hpp"
#include "post_ends.hpp"
#include "post_handshake.hpp"
#include "post_trip.hpp"
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
        {"messages-16", "16 B messages on one Carrier, to a callback", Waiting::sleeping,
         serve_post, measure_messages<16>},
        {"messages-64", "64 B messages", Waiting::sleeping, serve_post, measure_messages<64>},
        {"messages-1024", "1 KiB messages", Waiting::sleeping, serve_post, measure_messages<1024>},
        {"messages-16384", "16 KiB messages", Waiting::sleeping, serve_post,
         measure_messages<16384>},
        {"trip-sleeping", "64 B there and back, one at a time; both sleep between",
         Waiting::sleeping, serve_post, measure_trip},
        {"trip-busy", "the same, neither ever sleeps", Waiting::busy, serve_post, measure_trip},
        {"fork-sleeping", "fork, 64 B request, 64 B reply, both ends; 100 outstanding",
         Waiting::sleeping, serve_post, measure_fork},
        {"fork-busy", "the same, neither ever sleeps", Waiting::busy, serve_post, measure_fork},
        {"handshake", "full handshakes, 16 outstanding", Waiting::sleeping, serve_post,
         measure_handshake},
        {.name = "resumed",
         .what = "resumed handshakes",
         .unsupported = "the library does not resume sessions yet"},
    };
    return table;
}

}  // namespace post::bench
