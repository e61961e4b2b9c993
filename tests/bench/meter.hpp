// Meter: wall-clock and CPU time of both ends since it was made.
#pragma once

#include <algorithm>
#include <chrono>

#include "row.hpp"

namespace post::bench {

class Meter {
public:
    explicit Meter(const ClientEnd& end)
        : server_(end.server),
          server_before_(server_.cpu_seconds()),
          client_before_(Process::self().cpu_seconds()),
          start_(std::chrono::steady_clock::now()) {}

    struct Used {
        double wall = 0;  // all in seconds
        double client = 0;
        double server = 0;
    };
    Used used() const {
        const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start_;
        return {wall.count(), Process::self().cpu_seconds() - client_before_,
                server_.cpu_seconds() - server_before_};
    }

private:
    Process server_;
    double server_before_;
    double client_before_;
    std::chrono::steady_clock::time_point start_;
};

// What every row that moves bytes reports. The second rate is that of the busier end in its own CPU
// time: what the first would be if nobody else had the cores.
inline void report_bulk(const ClientEnd& end, double bytes, const Meter::Used& used) {
    constexpr double gib = 1024.0 * 1024.0 * 1024.0;
    end.report("rate", bytes * 8 / used.wall / 1e9, "Gbit/s");
    end.report("rate of CPU time", bytes * 8 / std::max(used.client, used.server) / 1e9, "Gbit/s");
    end.report("sender", used.server / bytes * gib, "CPU s/GiB");
    end.report("receiver", used.client / bytes * gib, "CPU s/GiB");
}

}  // namespace post::bench
