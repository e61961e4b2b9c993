// The few statistics that a table of rounds needs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace post::bench {

// The value below which `share` of the values lie (0.5: the median, between the two in the middle
// where their number is even). `values` must not be empty.
inline double quantile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    const double at = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (values[above] - values[below]) * (at - static_cast<double>(below));
}

inline double median(const std::vector<double>& values) { return quantile(values, 0.5); }

}  // namespace post::bench
