// Flight: what of a TCP connection was sent and is not acknowledged, and when to ask how much that
// is. The system counts bytes and tells nobody; so it is asked when something came, and by a timer
// that backs off, and a piece is acknowledged when its last byte is.
#pragma once

#include <algorithm>
#include <cstdint>

#include <post/time.hpp>

#include "mappings/wire/ring.hpp"

namespace post::tcp {

class Flight {
public:
    // The next bytes of the stream were handed to the system.
    void sent(Instant now, std::uint64_t bytes) {
        if (bytes == 0) return;
        if (settled()) ask_soon(now);
        sent_ += bytes;
    }
    // A piece ends with the last of them.
    void piece_ends() {
        if (!ends_.empty() && ends_.back().at == sent_)
            ++ends_.back().pieces;
        else
            ends_.push_back({sent_, 1});
    }
    // The answer: how many pieces are acknowledged that were not.
    std::uint64_t handle_unacknowledged(Instant now, std::uint64_t bytes) {
        asked_ = false;
        const std::uint64_t acknowledged = sent_ - std::min(bytes, sent_);
        if (acknowledged > acknowledged_) {
            acknowledged_ = acknowledged;
            pause_ = first_pause;
        } else {
            pause_ = std::min(2 * pause_, longest_pause);
        }
        ask_at_ = settled() ? never : now + pause_;
        return poll_acknowledged();
    }
    // How many pieces have been acknowledged since the last call; those without a byte are as soon
    // as all before them is.
    std::uint64_t poll_acknowledged() {
        std::uint64_t pieces = 0;
        while (!ends_.empty() && ends_.front().at <= acknowledged_) {
            pieces += ends_.front().pieces;
            ends_.pop_front();
        }
        return pieces;
    }
    // True once, when it is time; or now, since something came, and with it perhaps an
    // acknowledgement: then ask.
    bool ask(Instant now) { return ask_at_ <= now && ask_now(); }
    bool ask_now() {
        if (asked_ || settled()) return false;
        ask_at_ = never;
        return asked_ = true;
    }

    bool settled() const { return acknowledged_ == sent_; }
    // Whatever beside pieces there is.
    bool pieces_settled() const { return ends_.empty(); }
    Instant ask_at() const { return asked_ ? never : ask_at_; }

private:
    static constexpr Duration first_pause = std::chrono::milliseconds(1);
    static constexpr Duration longest_pause = std::chrono::milliseconds(200);

    struct End {
        std::uint64_t at = 0;
        std::uint64_t pieces = 0;
    };

    void ask_soon(Instant now) {
        pause_ = first_pause;
        if (!asked_) ask_at_ = now + pause_;
    }

    std::uint64_t sent_ = 0;
    std::uint64_t acknowledged_ = 0;
    wire::Ring<End> ends_;
    Duration pause_ = first_pause;
    Instant ask_at_ = never;
    bool asked_ = false;
};

}  // namespace post::tcp
