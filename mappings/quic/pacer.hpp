// When the next packets may go, so that a window does not leave as one burst (RFC 9002, 7.7).
//
// It holds back what the scheduler chooses, not acknowledgements, repairs and probes. ngtcp2 has a
// pacer of its own, which counts all bytes since it was asked last: a connection that asks only on
// paths where pacing makes sense would pay for everything before at once, and stand still.
#pragma once

#include <algorithm>
#include <cstdint>

#include "post/time.hpp"

namespace post::quic {

class Pacer {
public:
    // Below this round trip timers are too coarse to spread packets over it.
    static constexpr Duration least_trip = std::chrono::milliseconds(1);
    // Timers fire late: this much of it is made up for.
    static constexpr Duration most_late = std::chrono::milliseconds(1);

    // A window of so many bytes goes out in 4/5 of a round trip (RFC 9002, 7.7: N = 1.25).
    void sent(Instant now, std::size_t bytes, std::uint64_t window, Duration trip) {
        if (trip < least_trip) {
            until_ = {};
            return;
        }
        // What leaves meanwhile is not ours to time, and does not make the rest wait longer: a
        // receiver says thousands of acknowledgements a second from a small window.
        if (holds(now)) return;
        const auto share = std::min(
            1.0,
            static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(window, 1)));
        const auto pause = static_cast<Duration::rep>(static_cast<double>(trip.count()) * share /
                                                      1.25);
        until_ = std::max(until_, now - most_late) + Duration(pause);
    }

    bool holds(Instant now) const { return now < until_; }
    // Never, when it holds nothing back at `now`.
    Instant deadline(Instant now) const { return holds(now) ? until_ : never; }

private:
    Instant until_{};
};

}  // namespace post::quic
