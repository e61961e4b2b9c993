// RateMeter: how many bytes a second a byte stream takes. While there is more to send than the
// system takes, what it takes is the rate.
#pragma once

#include <algorithm>
#include <cstdint>

#include <post/time.hpp>

namespace post::wire {

class RateMeter {
public:
    // So much was sent; `full`: there was more than that. A sample takes `least` at least.
    void sent(Instant now, std::size_t bytes, bool full, Duration least) {
        if (from_ != never) {
            measured_ += bytes;
            if (now - from_ >= std::max(shortest, least)) {
                const auto seconds = std::chrono::duration<double>(now - from_).count();
                const auto sample = static_cast<std::uint64_t>(static_cast<double>(measured_) /
                                                               seconds);
                rate_ = rate_ ? (rate_ * 3 + sample) / 4 : sample;
                from_ = never;
            }
        }
        if (!full) {
            from_ = never;
        } else if (from_ == never) {
            from_ = now;
            measured_ = 0;
        }
    }
    // Bytes a second; 0: nothing is known.
    std::uint64_t rate() const { return rate_; }

private:
    static constexpr Duration shortest = std::chrono::milliseconds(10);

    Instant from_ = never;
    std::uint64_t measured_ = 0;
    std::uint64_t rate_ = 0;
};

}  // namespace post::wire
