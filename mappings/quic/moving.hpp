// Moving: what a Connection keeps of the paths that it goes over (RFC 9000, 9): where it shall go,
// which of its own addresses it has been at, and what the numbers of its path began with.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include <post/address.hpp>
#include <post/time.hpp>

#include "mappings/moves.hpp"

namespace post::quic {

// The rate at which the peer acknowledges, as the best of the last round trips: while the
// application has little to say it is what was said, not what would get through. A round trip of
// less than 10 ms is taken for 10 ms.
class DeliveryRate {
public:
    void restart(Instant now, std::uint64_t delivered) {
        *this = {};
        began_ = now;
        first_ = delivered;
    }
    // `delivered`: all bytes that were acknowledged so far.
    void note(Instant now, Duration round_trip, std::uint64_t delivered) {
        const Duration passed = now - began_;
        if (passed < std::max<Duration>(round_trip, std::chrono::milliseconds(10))) return;
        const double seconds = std::chrono::duration<double>(passed).count();
        const std::uint64_t bytes = delivered > first_ ? delivered - first_ : 0;
        rates_[next_++ % rates_.size()] = static_cast<std::uint64_t>(static_cast<double>(bytes) /
                                                                     seconds);
        began_ = now;
        first_ = delivered;
    }
    // Bytes a second; 0: nothing was measured.
    std::uint64_t best() const { return *std::max_element(rates_.begin(), rates_.end()); }

private:
    std::array<std::uint64_t, 8> rates_{};
    std::size_t next_ = 0;
    Instant began_{};
    std::uint64_t first_ = 0;
};

// To a path that is not validated a server sends no more than three times what came from there
// (RFC 9000, 8.1). ngtcp2 keeps to that, but once it has used that up it stops its loss timer and
// starts it no more; with a full window, which keeps its PATH_CHALLENGE back, nothing is sent ever
// again. It is not asked to write when there is nothing left, and so keeps its timer.
//
// A question that was no full packet, since no more was allowed, is asked once more when its answer
// has come, to learn whether full packets arrive (8.2.1). Whose address it is has been shown then.
class Unvalidated {
public:
    void begin(const Address& remote) {
        if (remote == validated_) return;
        if (remote == remote_) return settle(remote, true);
        remote_ = remote;
        left_ = 0;
    }
    void received(const Address& remote, std::size_t bytes) {
        if (remote == remote_) left_ += 3 * static_cast<std::uint64_t>(bytes);
    }
    void sent(std::size_t bytes) { left_ -= std::min<std::uint64_t>(left_, bytes); }
    void settle(const Address& remote, bool validated) {
        if (validated) validated_ = remote;
        if (remote == remote_) remote_ = {};
    }
    // What may be sent to the path in use.
    std::uint64_t left(const Address& remote) const {
        if (remote_.family == Address::Family::none || remote != remote_)
            return std::numeric_limits<std::uint64_t>::max();
        return left_;
    }
    bool none() const { return remote_.family == Address::Family::none; }

private:
    Address remote_;  // family none: the path in use is validated
    Address validated_;
    std::uint64_t left_ = 0;
};

struct Moving {
    static constexpr std::size_t most_locals = 8;
    // How long a Move may wait for what it needs, and for its end at most.
    static constexpr Duration patience = std::chrono::seconds(3);
    static constexpr Duration longest_ack_delay = std::chrono::milliseconds(25);  // RFC 9000, 18.2
    static constexpr Duration longest = std::chrono::seconds(60);

    std::optional<Move> wanted;   // it cannot begin yet
    std::optional<Move> probing;  // the peer has not answered yet
    Instant until = never;        // and then it has failed
    std::vector<Address> locals;  // that we moved to, the latest last
    bool validating = false;      // ngtcp2 has begun to ask the peer
    Unvalidated unvalidated;      // a server's
    // The path in use, as it was told last.
    Address local;
    Address remote;
    bool told = false;
    // Of all that was counted, what belongs to earlier paths.
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_lost = 0;
    DeliveryRate delivery;
    // Of the path in use, when it is not the first: ngtcp2's takes in what acknowledges packets
    // that went the old way.
    Duration minimum = Duration::max();
    Instant measured_from{};
    Duration stale{};  // the sample that was the last before

    // The latest sample of the round trip.
    void note(Instant now, Duration sample) {
        if (now < measured_from) stale = sample;
        if (measured_from == Instant{} || now < measured_from || sample == stale) return;
        if (sample > Duration::zero()) minimum = std::min(minimum, sample);
    }
};

}  // namespace post::quic
