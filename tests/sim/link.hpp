// Link: the way between two hosts, each direction with delay, rate, queue, losses and other evils
// of its own. A Direction decides what becomes of one packet and when it arrives; it knows no
// clock, no hosts and no sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include <post/time.hpp>

#include "tests/sim/packet.hpp"
#include "tests/sim/random.hpp"

namespace post::sim {

// Probabilities are 0 to 1, for each packet on its own.
struct LinkOptions {
    // From `from` on and before `to`, counted from the start of the World.
    struct Window {
        Duration from{};
        Duration to{};
    };

    Duration delay{};        // one way
    Duration jitter{};       // up to this much more; the order is kept
    std::uint64_t rate = 0;  // bits a second, headers from IP upwards included; 0: unlimited
    std::size_t queue = 25;  // packets that wait for the rate, beside the one that is being sent
    double loss = 0;
    unsigned burst = 0;  // never more losses in a row than this; 0: no bound
    double sticky = 0;   // how likely a loss follows a loss; 0: the losses are independent.
                         // `loss` stays the share of all packets (Gilbert's model)
    double reorder = 0;  // held back by reorder_by, and overtaken by what follows
    Duration reorder_by = std::chrono::milliseconds(10);
    double duplicate = 0;
    double corrupt = 0;      // one bit of the payload is turned; the UDP checksum does not notice,
                             // TCP's does
    std::size_t mtu = 1500;  // with the IP header; what is longer vanishes: nobody fragments
    bool tell_mtu = false;   // and the sender hears of it (EMSGSIZE)
    double ecn_mark = 0;     // ECT becomes CE
    std::size_t ecn_queue = 0;  // CE also when that many packets wait; 0: never
    bool ecn_bleach = false;    // ECT and CE become Not-ECT
    bool down = false;
    std::vector<Window> blackhole{};
    std::function<bool(const Packet&)> drop{};  // true: this one vanishes
};

struct Counters {
    std::uint64_t sent = 0;  // packets offered; the sum of all Verdicts
    std::uint64_t sent_bytes = 0;
    std::uint64_t passed = 0;
    std::uint64_t passed_bytes = 0;  // copies not counted
    std::uint64_t lost = 0;
    std::uint64_t queue_full = 0;
    std::uint64_t too_big = 0;
    std::uint64_t filtered = 0;
    std::uint64_t blackholed = 0;
    // Of those that passed:
    std::uint64_t reordered = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t corrupted = 0;
    std::uint64_t marked = 0;
};

class Direction {
public:
    struct Arrival {
        Instant at;
        Packet packet;
    };

    Direction(Instant start, Random random) : start_(start), random_(random) {}

    LinkOptions options;  // may be changed at any time; what is on its way already stays so

    // Takes a packet whose `sent` is now, numbers it, and appends when and as what it arrives.
    Verdict offer(Packet& packet, std::vector<Arrival>& arrivals);

    const Counters& counters() const { return counters_; }

private:
    // One throw each, whatever the options say: so a changed option does not shift the other dice.
    struct Throws {
        double loss, duplicate, corrupt, reorder, mark, jitter;
        std::uint64_t bit;
    };
    Throws throw_dice();
    bool blackholed(Instant now) const;
    bool loses(double dice);
    void mark(Packet& packet, double dice);
    void corrupt(Packet& packet, std::uint64_t bit);

    Instant start_;
    Random random_;
    std::deque<Instant> departures_;  // when those in the queue will have been sent, the first now
    Instant last_arrival_{};
    unsigned losses_in_a_row_ = 0;
    Counters counters_;
};

struct Link {
    Direction there;
    Direction back;

    // Both directions at once.
    void set(const LinkOptions& options) { there.options = back.options = options; }
    template <class Change> void change(Change change) {
        change(there.options);
        change(back.options);
    }
};

}  // namespace post::sim
