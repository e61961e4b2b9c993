// Trips: the times of round trips that follow each other.
#pragma once

#include <chrono>
#include <stdexcept>
#include <vector>

#include "meter.hpp"
#include "row.hpp"
#include "statistics.hpp"

namespace post::bench {

class Trips {
public:
    void begin() { start_ = std::chrono::steady_clock::now(); }
    void end() {
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
        seconds_.push_back(took.count());
    }
    void clear() { seconds_.clear(); }
    std::size_t count() const { return seconds_.size(); }

    void report(const ClientEnd& end, const Meter::Used& used) const {
        if (seconds_.empty()) throw std::runtime_error("no answer came");
        const auto trips = static_cast<double>(seconds_.size());
        end.report("p50", quantile(seconds_, 0.5) * 1e6, "us");
        end.report("p99", quantile(seconds_, 0.99) * 1e6, "us");
        end.report("server", used.server / trips * 1e6, "CPU us");
        end.report("client", used.client / trips * 1e6, "CPU us");
    }

private:
    std::chrono::steady_clock::time_point start_;
    std::vector<double> seconds_;
};

}  // namespace post::bench
