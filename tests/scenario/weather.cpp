// Drawing the faults of a story, and giving them to the World's timeline.
#include "tests/scenario/weather.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace post::test {

namespace {

using sim::LinkOptions;

std::string number(double value) {
    std::string text = std::to_string(value);
    return text.substr(0, text.find('.') + 3);
}

std::string span(Duration from, Duration to) {
    const auto ms = [](Duration time) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    return " from " + ms(from) + " to " + ms(to) + " ms";
}

// Asks again every few milliseconds until the handshake is confirmed, or nothing more will come of
// it.
void rebind(sim::World& world, sim::Host& client, const std::string& address, Duration end,
            const std::function<bool()>& confirmed) {
    if (world.elapsed() > end) return;
    if (!confirmed()) {
        world.after(std::chrono::milliseconds(5), [&world, &client, address, end, confirmed] {
            rebind(world, client, address, end, confirmed);
        });
        return;
    }
    if (address.empty())
        world.rebind(client);
    else
        world.rebind(client, address);
}

}  // namespace

Weather::Weather(sim::Random dice, Stack stack) : dice_(dice) {
    LinkOptions calm;
    calm.delay = milliseconds(1, 60);
    if (chance(0.3)) calm.jitter = milliseconds(0, 5);
    if (chance(0.7)) calm.rate = 1'000'000 + dice_.below(49'000'000);
    calm.queue = 10 + dice_.below(100);
    if (chance(0.3)) calm.mtu = 1280 + dice_.below(221);
    for (Side& side : sides_) {
        side.calm = calm;
        draw_faults(side);
    }
    // Not with darkness: a server of ngtcp2 1.24 that could not validate the new path, and has used
    // up what it may send there (RFC 9000, 8.1), stops its loss timer and never starts it again.
    if (chance(0.3) && !has("blackhole"))
        for (std::uint64_t n = 1 + dice_.below(2); n > 0; --n)
            rebindings_.push_back({milliseconds(0, 2500), chance(0.5)});
    if (stack != Stack::quic) rebindings_.clear();
    for (Side& side : sides_)
        for (Fault& fault : side.faults)
            fault.spares_handshakes = stack == Stack::sctp_dtls &&
                                      fault.name.rfind("corruption", 0) == 0;
    for (const Side& side : sides_)
        for (const Fault& fault : side.faults) clears_ = std::max(clears_, fault.to);
    for (const Rebinding& rebinding : rebindings_) clears_ = std::max(clears_, rebinding.at);
}

Duration Weather::milliseconds(std::uint64_t least, std::uint64_t most) {
    return std::chrono::milliseconds(least + dice_.below(most - least + 1));
}

bool Weather::has(std::string_view name) const {
    for (const Side& side : sides_)
        for (const Fault& fault : side.faults)
            if (fault.name == name) return true;
    return false;
}

void Weather::add(Side& side, std::string name, Change begin, Change end) {
    // A third of them are there from the first packet on.
    const Duration from = chance(0.33) ? Duration{} : milliseconds(0, 2000);
    const Duration to = from + milliseconds(100, 3000);
    side.faults.push_back({std::move(name), from, to, std::move(begin), std::move(end)});
}

void Weather::draw_faults(Side& side) {
    const LinkOptions calm = side.calm;
    if (chance(0.6)) {
        const double loss = between(0, 0.3);
        const double sticky = chance(0.7) ? between(0, 0.8) : 0;
        const auto burst = static_cast<unsigned>(1 + dice_.below(8));
        add(
            side,
            "loss " + number(loss) + " sticky " + number(sticky) + " burst " +
                std::to_string(burst),
            [=](LinkOptions& o) { o.loss = loss, o.sticky = sticky, o.burst = burst; },
            [](LinkOptions& o) { o.loss = 0; });
    }
    if (chance(0.4)) {
        const double share = between(0, 0.5);
        const Duration by = milliseconds(1, 50);
        add(
            side, "reordering " + number(share) + " by " + std::to_string(by.count() / 1'000'000),
            [=](LinkOptions& o) { o.reorder = share, o.reorder_by = by; },
            [](LinkOptions& o) { o.reorder = 0; });
    }
    if (chance(0.4)) {
        const double share = chance(0.1) ? 1 : between(0, 0.5);
        add(
            side, "duplication " + number(share), [=](LinkOptions& o) { o.duplicate = share; },
            [](LinkOptions& o) { o.duplicate = 0; });
    }
    if (chance(0.3)) {
        const double share = between(0, 0.05);
        add(
            side, "corruption " + number(share), [=](LinkOptions& o) { o.corrupt = share; },
            [](LinkOptions& o) { o.corrupt = 0; });
    }
    if (chance(0.25) && calm.mtu > 1280) {
        const std::size_t mtu = 1280 + dice_.below(calm.mtu - 1280);
        add(
            side, "MTU " + std::to_string(mtu), [=](LinkOptions& o) { o.mtu = mtu; },
            [=](LinkOptions& o) { o.mtu = calm.mtu; });
    }
    if (chance(0.3)) {
        const std::uint64_t rate = 200'000 + dice_.below(3'000'000);
        const std::size_t queue = 4 + dice_.below(30);
        add(
            side, "rate " + std::to_string(rate) + " queue " + std::to_string(queue),
            [=](LinkOptions& o) { o.rate = rate, o.queue = queue; },
            [=](LinkOptions& o) { o.rate = calm.rate, o.queue = calm.queue; });
    }
    if (chance(0.3)) {
        const Duration delay = milliseconds(1, 200);
        add(
            side, "delay " + std::to_string(delay.count() / 1'000'000),
            [=](LinkOptions& o) { o.delay = delay; },
            [=](LinkOptions& o) { o.delay = calm.delay; });
    }
    if (chance(0.2)) {
        add(
            side, "blackhole", [](LinkOptions& o) { o.down = true; },
            [](LinkOptions& o) { o.down = false; });
        Fault& fault = side.faults.back();
        fault.to = fault.from + (chance(0.5) ? std::chrono::seconds(2) : milliseconds(20, 2000));
    }
}

void Weather::plan(sim::World& world, const Fault& fault, LinkOptions& options,
                   const std::function<bool()>& confirmed) {
    const bool spares = fault.spares_handshakes;
    world.at(fault.from, [&options, change = fault.begin, spares, confirmed] {
        if (!spares || confirmed()) change(options);
    });
    world.at(fault.to, [&options, change = fault.end] { change(options); });
}

void Weather::begin(sim::World& world, sim::Link& link, sim::Host& client,
                    std::function<bool()> confirmed) const {
    for (const Fault& fault : sides_[0].faults) plan(world, fault, link.there.options, confirmed);
    for (const Fault& fault : sides_[1].faults) plan(world, fault, link.back.options, confirmed);
    int address = 100;
    for (const Rebinding& rebinding : rebindings_) {
        std::string ip;
        if (rebinding.new_address) ip = "10.0.0." + std::to_string(address++);
        const Duration end = clears_ + std::chrono::seconds(20);
        world.at(rebinding.at, [&world, &client, ip, end, confirmed] {
            rebind(world, client, ip, end, confirmed);
        });
    }
}

std::string Weather::describe() const {
    const LinkOptions& calm = there();
    std::string text = "delay " + std::to_string(calm.delay.count() / 1'000'000) + " rate " +
                       std::to_string(calm.rate) + " queue " + std::to_string(calm.queue) +
                       " MTU " + std::to_string(calm.mtu);
    for (int i = 0; i < 2; ++i)
        for (const Fault& fault : sides_[i].faults)
            text += (i == 0 ? "; there " : "; back ") + fault.name + span(fault.from, fault.to);
    for (const Rebinding& rebinding : rebindings_)
        text += std::string("; a new ") + (rebinding.new_address ? "address" : "port") + " at " +
                std::to_string(rebinding.at.count() / 1'000'000) + " ms";
    return text;
}

}  // namespace post::test
