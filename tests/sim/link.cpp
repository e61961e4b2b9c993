// What a link does with a packet, in the order in which it would happen to a real one: the filter
// and the cut cable first, then the size, the queue and the rate, and last what the air does.
#include "tests/sim/link.hpp"

#include <algorithm>

namespace post::sim {

namespace {

Duration transmission_time(std::size_t bytes, std::uint64_t rate) {
    return Duration(static_cast<Duration::rep>(bytes * 8 * 1'000'000'000 / rate));
}

}  // namespace

Verdict Direction::offer(Packet& packet, std::vector<Arrival>& arrivals) {
    const Instant now = packet.sent;
    packet.index = ++counters_.sent;
    counters_.sent_bytes += packet.size();
    const Throws dice = throw_dice();

    if (options.drop && options.drop(packet)) return ++counters_.filtered, Verdict::filtered;
    if (blackholed(now)) return ++counters_.blackholed, Verdict::blackholed;
    if (packet.size() > options.mtu) return ++counters_.too_big, Verdict::too_big;

    while (!departures_.empty() && departures_.front() <= now) departures_.pop_front();
    Instant departure = now;
    if (options.rate != 0) {
        if (departures_.size() > options.queue) return ++counters_.queue_full, Verdict::queue_full;
        departure = departures_.empty() ? now : departures_.back();
        departure += transmission_time(packet.size(), options.rate);
        departures_.push_back(departure);
    }

    // A lost packet has used up its share of the rate: it is lost behind the queue.
    if (loses(dice.loss)) return ++counters_.lost, Verdict::lost;
    mark(packet, dice.mark);
    if (dice.corrupt < options.corrupt) corrupt(packet, dice.bit);

    Instant arrival = departure + options.delay;
    arrival += Duration(
        static_cast<Duration::rep>(dice.jitter * static_cast<double>(options.jitter.count())));
    if (dice.reorder < options.reorder) {
        ++counters_.reordered;
        arrival += options.reorder_by;
    } else {
        arrival = last_arrival_ = std::max(arrival, last_arrival_);
    }
    ++counters_.passed;
    counters_.passed_bytes += packet.size();
    arrivals.push_back({arrival, packet});
    if (dice.duplicate < options.duplicate) {
        ++counters_.duplicated;
        arrivals.push_back({arrival, packet});
    }
    return Verdict::passed;
}

Direction::Throws Direction::throw_dice() {
    Throws dice;
    dice.loss = random_.unit();
    dice.duplicate = random_.unit();
    dice.corrupt = random_.unit();
    dice.reorder = random_.unit();
    dice.mark = random_.unit();
    dice.jitter = random_.unit();
    dice.bit = random_.next();
    return dice;
}

bool Direction::blackholed(Instant now) const {
    const Duration since = now - start_;
    return options.down || std::any_of(options.blackhole.begin(), options.blackhole.end(),
                                       [&](const LinkOptions::Window& window) {
                                           return since >= window.from && since < window.to;
                                       });
}

// Gilbert's model: in the bad state every packet is lost. From bad to bad with `sticky`; from good
// to bad with q, such that the share of the bad state, q / (q + 1 - sticky), is `loss`.
bool Direction::loses(double dice) {
    double chance = options.loss;
    if (options.sticky > 0 && options.loss > 0 && options.loss < 1) {
        chance = losses_in_a_row_ > 0 ? options.sticky
                                      : options.loss * (1 - options.sticky) / (1 - options.loss);
    }
    if (options.burst != 0 && losses_in_a_row_ >= options.burst) chance = 0;
    losses_in_a_row_ = dice < chance ? losses_in_a_row_ + 1 : 0;
    return losses_in_a_row_ > 0;
}

void Direction::mark(Packet& packet, double dice) {
    if (options.ecn_bleach) packet.ecn = Ecn::not_ect;
    if (packet.ecn != Ecn::ect0 && packet.ecn != Ecn::ect1) return;
    const bool queued = options.ecn_queue != 0 && departures_.size() > options.ecn_queue;
    if (!queued && dice >= options.ecn_mark) return;
    ++counters_.marked;
    packet.ecn = Ecn::ce;
}

void Direction::corrupt(Packet& packet, std::uint64_t bit) {
    if (packet.protocol == Protocol::tcp) {
        ++counters_.corrupted;
        packet.corrupted = true;
        return;
    }
    if (packet.bytes.empty()) return;
    ++counters_.corrupted;
    std::vector<std::byte> bytes(packet.bytes.begin(), packet.bytes.end());
    bit %= bytes.size() * 8;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    packet.bytes = Bytes(std::move(bytes));
}

}  // namespace post::sim
