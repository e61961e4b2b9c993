// Alarm: calls once, from a turn of a Context, when some time has passed; for adapters that give up
// waiting (post/waits.hpp). It belongs to whoever waits and stands in his frame: no allocation.
#pragma once

#include <cstddef>

#include <post/function.hpp>
#include <post/operation.hpp>
#include <post/time.hpp>

namespace post::core {

class Alarm {
public:
    Alarm() = default;
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;
    ~Alarm() { cancel(); }

    // Rings `after` from the turn that is under way, or else from the next one; never in the same
    // turn. When the Context goes first it does not ring. Stays where it is until then.
    void set(const AnchorRef& anchor, Duration after, Function<void()> ring);
    void cancel();

private:
    friend class Alarms;
    static constexpr std::size_t unset = static_cast<std::size_t>(-1);

    AnchorRef anchor_;
    Duration after_{};
    Instant due_{};
    std::size_t place_ = unset;  // in the heap of the Context's
    Function<void()> ring_;
};

}  // namespace post::core
