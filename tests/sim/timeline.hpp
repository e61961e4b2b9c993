// Timeline: the virtual clock and what will happen when. Events of one instant happen in the order
// in which they were planned, so that a run has one possible course only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <post/function.hpp>
#include <post/time.hpp>

namespace post::sim {

class Timeline {
public:
    // Not zero: nobody's arithmetic shall see the clock's origin by accident.
    static constexpr Instant start{std::chrono::hours(1)};

    Instant now() const { return now_; }
    // An instant that has passed means now.
    void at(Instant when, Function<void()> action) {
        events_.push_back({std::max(when, now_), order_++, std::move(action)});
        std::push_heap(events_.begin(), events_.end(), later);
    }
    // The next event's time; `never` when none is planned.
    Instant next() const { return events_.empty() ? never : events_.front().at; }
    // Moves the clock to `when`, which is not before now nor beyond next(), and lets happen what
    // was planned for it so far. What that plans for the same instant is left for the next call.
    std::uint64_t advance_to(Instant when) {
        now_ = when;
        const std::uint64_t planned = order_;
        std::uint64_t happened = 0;
        while (!events_.empty() && events_.front().at <= now_ && events_.front().order < planned) {
            std::pop_heap(events_.begin(), events_.end(), later);
            auto action = std::move(events_.back().action);
            events_.pop_back();
            ++happened;
            action();
        }
        return happened;
    }
    void clear() { events_.clear(); }

private:
    struct Event {
        Instant at;
        std::uint64_t order;
        Function<void()> action;
    };
    static bool later(const Event& a, const Event& b) {
        return a.at != b.at ? a.at > b.at : a.order > b.order;
    }

    Instant now_ = start;
    std::uint64_t order_ = 0;
    std::vector<Event> events_;  // a heap, the next one in front
};

}  // namespace post::sim
