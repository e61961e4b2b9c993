// PathSearch: how large the datagrams may be that a path carries, found out by probes (RFC 8899). A
// probe carries nothing that anybody waits for, so it may be lost; what was lost once is sent again
// in datagrams of the size that is sure, so no path swallows anything for ever.
#pragma once

#include <cstddef>

#include "mappings/values.hpp"

namespace post::sctp {

class PathSearch {
public:
    // Every path carries `sure` bytes of UDP payload; no more than `limit` are ever tried.
    PathSearch(std::size_t sure, std::size_t limit) : sure_(sure), limit_(limit), size_(sure) {}

    void start(Instant now);
    // What passes.
    std::size_t size() const { return size_; }
    // The size of the probe that is to leave now; 0: none.
    std::size_t poll(Instant now);
    // These two: whether size() changed.
    bool on_answer(Instant now, std::size_t size);
    bool on_timeout(Instant now);
    // Something was lost: perhaps the path is another one now, and carries less.
    void on_loss(Instant now);
    Instant deadline() const { return due_ ? never : at_; }

    static constexpr Duration answer_time = std::chrono::seconds(1);
    static constexpr int most_tries = 3;                         // MAX_PROBES
    static constexpr Duration pause = std::chrono::minutes(10);  // PMTU_RAISE_TIMER
    static constexpr Duration between_doubts = std::chrono::seconds(1);

private:
    void go_on(Instant now);
    std::size_t next() const;

    const std::size_t sure_;
    const std::size_t limit_;
    std::size_t size_;
    std::size_t failed_ = SIZE_MAX;  // the least that did not pass
    std::size_t tried_ = 0;          // what is being tried; 0: nothing
    int tries_ = 0;
    bool due_ = false;  // its next probe has not left yet
    Instant at_ = never;
    Instant doubted_ = Instant::min();
};

}  // namespace post::sctp
