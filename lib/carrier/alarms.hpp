// Alarms: those that are set, as a heap in the order of their times. Each knows its place in it, so
// that it is found when it is cancelled. One a wait with a timeout: bounded by what the application
// waits for.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <post/alarm.hpp>

namespace post::core {

class Alarms {
public:
    // Without `now` its time begins with the next poll.
    void add(Alarm& alarm, std::optional<Instant> now) {
        alarm.due_ = now ? due(alarm, *now) : uncounted;
        heap_.push_back(&alarm);
        rise(heap_.size() - 1);
    }
    void remove(Alarm& alarm) {
        const std::size_t place = alarm.place_;
        put(place, heap_.back());
        heap_.pop_back();
        alarm.place_ = Alarm::unset;
        if (place == heap_.size()) return;
        rise(place);
        sink(place);
    }
    // What the next one that is due rings; empty when there is none.
    Function<void()> poll(Instant now) {
        while (!heap_.empty() && heap_.front()->due_ == uncounted) {
            heap_.front()->due_ = due(*heap_.front(), now);
            sink(0);
        }
        if (heap_.empty() || heap_.front()->due_ > now) return {};
        Alarm& alarm = *heap_.front();
        remove(alarm);
        return std::move(alarm.ring_);
    }
    // Instant::min() for one whose time has not begun.
    Instant deadline() const { return heap_.empty() ? never : heap_.front()->due_; }

private:
    static constexpr Instant uncounted = Instant::min();

    // At least a tick later, so that a turn ends.
    static Instant due(const Alarm& alarm, Instant now) {
        const Duration after = std::max(alarm.after_, Duration(1));
        return after > never - now ? never : now + after;
    }
    void put(std::size_t place, Alarm* alarm) {
        heap_[place] = alarm;
        alarm->place_ = place;
    }
    void rise(std::size_t place) {
        Alarm* alarm = heap_[place];
        for (; place > 0 && alarm->due_ < heap_[(place - 1) / 2]->due_; place = (place - 1) / 2)
            put(place, heap_[(place - 1) / 2]);
        put(place, alarm);
    }
    void sink(std::size_t place) {
        Alarm* alarm = heap_[place];
        for (std::size_t child; (child = 2 * place + 1) < heap_.size(); place = child) {
            if (child + 1 < heap_.size() && heap_[child + 1]->due_ < heap_[child]->due_) ++child;
            if (heap_[child]->due_ >= alarm->due_) break;
            put(place, heap_[child]);
        }
        put(place, alarm);
    }

    std::vector<Alarm*> heap_;
};

}  // namespace post::core
