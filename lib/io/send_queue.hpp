// SendQueue: copies of the runs that a socket had no room for, in order, in one piece of memory
// that is allocated at the first use and then kept. Full means full: a run more is a lost packet to
// the protocols above, which is what they are made for.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "mappings/wire/datagrams.hpp"

namespace post::io {

class SendQueue {
public:
    static constexpr std::size_t limit = 1024 * 1024;  // bytes, about 15 of the largest runs
    static constexpr std::size_t most_runs = 1024;     // so that tiny runs have a bound, too

    bool empty() const { return head_ == runs_.size(); }

    // Copies the run to the end. False when it does not fit.
    bool push(const Datagrams& run) {
        const std::size_t waiting = bytes_.size() - begin_;
        if (waiting + run.bytes.size() > limit || runs_.size() - head_ == most_runs) return false;
        // What has left is reclaimed when that is at least as much as must be moved for it: the
        // memory stays below twice the limit, and no byte is moved more than once on average.
        if (begin_ > 0 && (begin_ >= waiting || head_ >= most_runs)) compact();
        runs_.push_back({run, run.bytes.size()});
        runs_.back().datagrams.bytes = {};
        bytes_.insert(bytes_.end(), run.bytes.begin(), run.bytes.end());
        return true;
    }

    // The oldest run; valid until the next call. Only when there is one.
    Datagrams front() const {
        Datagrams run = runs_[head_].datagrams;
        run.bytes = std::span(bytes_).subspan(begin_, runs_[head_].size);
        return run;
    }

    // The first `count` datagrams of the oldest run have left, or were given up.
    void pop(std::size_t count) {
        if (count == 0) return;
        Run& run = runs_[head_];
        const std::size_t gone = front().first(count).bytes.size();
        begin_ += gone;
        run.size -= gone;
        if (run.size > 0) return;
        if (++head_ == runs_.size()) clear();
    }

    void clear() {
        bytes_.clear();
        runs_.clear();
        begin_ = head_ = 0;
    }

private:
    struct Run {
        Datagrams datagrams;  // without its bytes
        std::size_t size = 0;
    };

    void compact() {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
        runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(head_));
        begin_ = head_ = 0;
    }

    std::vector<std::byte> bytes_;
    std::vector<Run> runs_;
    std::size_t begin_ = 0;  // where the oldest run's bytes begin
    std::size_t head_ = 0;   // the oldest run
};

}  // namespace post::io
