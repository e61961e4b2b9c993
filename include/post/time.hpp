// Time as the library counts it: nanoseconds of a clock that never goes back. The clock has no
// now() on purpose: only the edge reads one, once a turn, and everything else is told the time, so
// that whole programs run unchanged in virtual time.
#pragma once

#include <chrono>

namespace post {

struct Clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<Clock>;
    static constexpr bool is_steady = true;
};

using Instant = Clock::time_point;
using Duration = Clock::duration;

// Later than anything that will happen: the deadline of what has none.
inline constexpr Instant never = Instant::max();

}  // namespace post
