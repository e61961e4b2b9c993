// What both kinds of datagram rows have in common: sizes, numbers and figures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "meter.hpp"
#include "row.hpp"

namespace post::bench {

inline constexpr std::size_t datagram_size = 1200;
inline constexpr std::size_t datagram_batch = 45;
// Of 1 MiB, which is far below what a receive buffer has been given.
inline constexpr std::uint64_t datagram_window = (1 << 20) / datagram_size;

inline std::uint64_t number_of(std::string_view bytes) {
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), std::min(bytes.size(), sizeof number));
    return number;
}

inline std::string number(std::uint64_t value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

inline void report_datagrams(const ClientEnd& end, double messages, const Meter::Used& used) {
    end.report("rate", messages / used.wall / 1e6, "M/s");
    end.report("sender", used.server / messages * 1e9, "CPU ns");
    end.report("receiver", used.client / messages * 1e9, "CPU ns");
}

}  // namespace post::bench
