// The table of rows.
#include <cstdio>

#include "post_bulk.hpp"
#include "post_ends.hpp"
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
    };
    return table;
}

}  // namespace post::bench
