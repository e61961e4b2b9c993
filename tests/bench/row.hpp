// Row: one thing that is measured. It has two ends, each a process of its own: `serve` announces
// where it is and serves until it is ended; `measure` is the client, and does all the measuring,
// also of the server's CPU time and memory, which it asks the kernel for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "process.hpp"
#include "settings.hpp"

namespace post::bench {

// One measured value; a row gives one or more.
struct Figure {
    std::string row;
    std::string name;
    double value = 0;
    std::string unit;
    unsigned round = 0;
};

// The server's end.
struct ServerEnd {
    const Settings& settings;
    Waiting waiting;
    std::size_t payload;          // of a datagram at most
    std::string_view protection;  // as in the settings

    // Tells the conductor where the client finds this server.
    void announce(std::uint16_t port, std::string_view pin = "-") const;
};

// The client's end.
struct ClientEnd {
    const Settings& settings;
    Waiting waiting;
    std::size_t payload;
    std::string_view protection;
    Process server;

    // Hands a figure to the conductor.
    void report(std::string_view name, double value, std::string_view unit) const;
};

struct Row {
    std::string_view name;
    std::string_view what;
    Waiting waiting = Waiting::sleeping;
    void (*serve)(const ServerEnd&) = nullptr;  // nullptr: it needs no server
    void (*measure)(const ClientEnd&) = nullptr;
    std::size_t payload = 0;           // 0: as the settings say
    std::string_view protection = {};  // empty: as the settings say
    bool once = false;  // takes long and counts more than it times: the first round only
    std::string_view unsupported = {};  // why it cannot be measured; then it has no ends
};

const std::vector<Row>& rows();

}  // namespace post::bench
