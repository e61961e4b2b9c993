// What tests of waits and coroutines stand on: operations without a Context, whose answers come by
// hand, and the dispatcher that calls who listens.
#pragma once

#include <post/coro.hpp>

#include <cstddef>
#include <utility>
#include <vector>

#include "lib/association/associations.hpp"
#include "lib/carrier/carriers.hpp"

namespace post::test {

// A Context's dispatcher, and operations that a test answers.
class Bench {
public:
    Bench() : anchor_(new core::Anchor), carriers_(*anchor_.get(), associations_) {
        anchor_->carriers = &carriers_;
        carriers_.on_unhandled([this](const Error& error) { unhandled.push_back(error); });
    }
    ~Bench() { anchor_->carriers = nullptr; }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    Operation<int> operation() {
        core::WaitingRef<core::Waiting<int>> waiting(new (*anchor_.get()) core::Waiting<int>);
        waits_.push_back(waiting);
        return {waiting, anchor_};
    }
    Operation<int> known(int value) { return {Result<int>(value), anchor_}; }
    // Answers the oldest operation, or the one `behind` it; the listener is called by turn().
    void answer(Result<int> result, std::size_t behind = 0) {
        const auto waiting = waits_[behind];
        waits_.erase(waits_.begin() + static_cast<std::ptrdiff_t>(behind));
        waiting->answer.emplace(std::move(result));
        if (waiting->wanted && waiting->notify) carriers_.listened(waiting);
    }
    bool wanted(std::size_t behind = 0) const { return waits_[behind]->wanted; }
    void turn() { carriers_.dispatch(); }
    void turn_at(Duration since_start) {
        carriers_.set_now(Instant{} + since_start);
        turn();
    }
    Duration deadline() const {
        return carriers_.deadline() == never ? Duration::max() : carriers_.deadline() - Instant{};
    }
    void answer_and_turn(Result<int> result) {
        answer(std::move(result));
        turn();
    }

    std::vector<Error> unhandled;

private:
    core::Associations associations_;
    core::AnchorRef anchor_;
    core::Carriers carriers_;
    std::vector<core::WaitingRef<core::Waiting<int>>> waits_;
};

// Tells when it is destroyed.
struct Guard {
    explicit Guard(int& counter) : count(counter) {}
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { ++count; }
    int& count;
};

}  // namespace post::test
