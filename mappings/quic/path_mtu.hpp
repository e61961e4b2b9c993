// PathMtu: which sizes of datagrams are tried on a path, and what happens when a size that did pass
// does not any more (RFC 8899; RFC 9000, 14.3). ngtcp2 sends the probes and remembers the largest
// that arrived, but has no way back: a route that changes to a smaller MTU would swallow every full
// packet for ever. So when nothing is acknowledged for three PTO although data is out, packets go
// back to 1200 bytes; the old size is tried again after 10 s, then at longer and longer intervals.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <post/time.hpp>

namespace post::quic {

// RFC 9000, 14: what every path must carry.
inline constexpr std::size_t least_payload = 1200;

// What PMTUD tries, in this order: what the interface allows, which is the answer on most paths;
// then Ethernet behind an interface of larger frames and what such a network may have inside; then
// PPPoE and tunnels on Ethernet; last an IPv6 path of the least MTU. A size that failed excludes
// the larger ones, one that passed the smaller ones.
class Probes {
public:
    explicit Probes(std::size_t largest) {
        constexpr std::array<std::uint16_t, 9> usual = {1452,  4096, 8952, 16384, 32768,
                                                        65507, 1406, 1342, 1232};
        if (largest <= least_payload) return;
        sizes_[count_++] = static_cast<std::uint16_t>(std::min<std::size_t>(largest, 65507));
        for (auto size : usual)
            if (size < largest) sizes_[count_++] = size;
    }
    std::span<const std::uint16_t> sizes() const { return std::span(sizes_).first(count_); }

private:
    std::array<std::uint16_t, 10> sizes_{};
    std::size_t count_ = 0;
};

class PathMtu {
public:
    // What was found may be used, up to this.
    std::size_t most() const { return held_back_ ? least_payload : SIZE_MAX; }

    // Data was acknowledged, or none is out.
    void on_progress(Instant now) { progress_ = now; }

    // At a timeout of the connection: true when the sizes changed.
    bool on_timeout(Instant now, Duration pto, std::size_t found) {
        if (held_back_) {
            if (now < again_) return false;
            held_back_ = false;
            progress_ = now;
            return true;
        }
        if (found <= least_payload || now - progress_ < 3 * pto) return false;
        // Quiet for longer than a trial takes: this is another black hole, not the same one.
        if (now - again_ > pause_) pause_ = first_pause;
        held_back_ = true;
        again_ = now + pause_;
        pause_ = std::min<Duration>(2 * pause_, longest_pause);
        return true;
    }
    // When the old size is to be tried again.
    Instant deadline() const { return held_back_ ? again_ : never; }

private:
    static constexpr Duration first_pause = std::chrono::seconds(10);
    static constexpr Duration longest_pause = std::chrono::minutes(10);  // PMTU_RAISE_TIMER

    Instant progress_{};
    Instant again_{};
    Duration pause_ = first_pause;
    bool held_back_ = false;
};

}  // namespace post::quic
