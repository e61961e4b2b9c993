// RateLimit: a token bucket. Starts full, holds `burst`, gains `per_second`.
#pragma once

#include <algorithm>
#include <cstdint>

#include <post/time.hpp>

namespace post::wire {

class RateLimit {
public:
    RateLimit(std::uint32_t burst, std::uint32_t per_second)
        : tokens_(burst), burst_(burst), per_second_(per_second) {}

    // Whether there is one.
    bool has(Instant now) {
        if (last_ == Instant::min()) last_ = now;
        auto passed = std::chrono::duration<double>(now - last_).count();
        tokens_ = std::min<double>(burst_, tokens_ + std::max(0.0, passed) * per_second_);
        last_ = std::max(last_, now);
        return tokens_ >= 1;
    }
    // Takes one; false when there is none.
    bool take(Instant now) {
        if (!has(now)) return false;
        tokens_ -= 1;
        return true;
    }

private:
    double tokens_;
    std::uint32_t burst_;
    std::uint32_t per_second_;
    Instant last_ = Instant::min();
};

}  // namespace post::wire
