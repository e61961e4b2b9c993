// Ambient: virtual time and seeded randomness for everything in the test program that asks the
// system itself. ambient.cpp defines clock_gettime, time, gettimeofday, getrandom, getentropy and
// syscall; while a Scope is open they answer from it, else they pass on to the C library. The test
// program must export its symbols (-rdynamic), else shared libraries keep calling the C library.
//
// GnuTLS keeps a random generator of its own in every thread, seeded by getrandom at its first use
// there, and a later seed is only stirred in. So what GnuTLS draws is the same again when it is a
// thread's first use: in apart(), or in a process of its own (tests/sim/child.hpp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

#include <post/time.hpp>

#include "tests/sim/random.hpp"
#include "tests/sim/timeline.hpp"

namespace post::sim::ambient {

// 2030-01-01 00:00:00 UTC: what the wall clock says at the start of a World. Later than any
// certificate in the tree was made, early enough for those that are valid for ten years.
inline constexpr std::int64_t wall_clock_start = 1'893'456'000;

// While it lives, time is the timeline's and random bytes come from the seed, in all threads.
// Scopes nest: the youngest that lives counts.
class Scope {
public:
    Scope(const Timeline& timeline, std::uint64_t seed);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    Instant now() const { return timeline_.now(); }
    void random(std::span<std::byte> bytes) const;
    // The calendar is set forth or back, as people do and network time does; nothing else jumps.
    void set_calendar(std::chrono::seconds by) { calendar_ += by.count(); }
    std::int64_t calendar() const { return calendar_; }

private:
    const Timeline& timeline_;
    mutable std::mutex mutex_;  // libraries may ask from threads of their own
    mutable Random random_;
    std::atomic<std::int64_t> calendar_ = 0;  // seconds
    mutable const Scope* outer_;
};

// Runs `story` in a new thread and waits for it; what it throws is thrown here. A World that is
// made inside has the same randomness in GnuTLS whatever ran before in this process.
void apart(const std::function<void()>& story);

}  // namespace post::sim::ambient
