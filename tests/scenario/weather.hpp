// Weather: what a network does in the course of one story. Dice decide which faults there are, how
// strong each is, in which direction, and from when to when; after clears() none is left. Each kind
// of fault comes once in each direction, so that the end of one never ends another.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <post/policy.hpp>

#include "tests/sim/random.hpp"
#include "tests/sim/world.hpp"

namespace post::test {

class Weather {
public:
    // Without what the stack is not made for: SCTP has one address of each end, and DTLS 1.2 a
    // handshake in the clear, which a wrong bit ends.
    Weather(sim::Random dice, Stack stack);

    // What each direction is like when nothing is wrong with it.
    const sim::LinkOptions& there() const { return sides_[0].calm; }
    const sim::LinkOptions& back() const { return sides_[1].calm; }
    // Plans all of it. `client`, at the link's near end, has a NAT, which forgets in mid-flow: not
    // before `confirmed`, since QUIC moves no unfinished handshake (RFC 9000, 9). Nor does what is
    // not for handshakes begin before.
    void begin(sim::World& world, sim::Link& link, sim::Host& client,
               std::function<bool()> confirmed) const;
    // When the last fault is over, from the start of the World.
    Duration clears() const { return clears_; }
    // One line, for whoever looks at a failed seed.
    std::string describe() const;

private:
    using Change = std::function<void(sim::LinkOptions&)>;
    struct Fault {
        std::string name;
        Duration from{};
        Duration to{};
        Change begin;
        Change end;
        bool spares_handshakes = false;
    };
    struct Side {
        sim::LinkOptions calm;
        std::vector<Fault> faults;
    };
    struct Rebinding {
        Duration at{};
        bool new_address = false;
    };

    bool chance(double probability) { return dice_.unit() < probability; }
    double between(double least, double most) { return least + dice_.unit() * (most - least); }
    Duration milliseconds(std::uint64_t least, std::uint64_t most);

    bool has(std::string_view name) const;
    void draw_faults(Side& side);
    void add(Side& side, std::string name, Change begin, Change end);
    static void plan(sim::World& world, const Fault& fault, sim::LinkOptions& options,
                     const std::function<bool()>& confirmed);

    sim::Random dice_;
    Side sides_[2];
    std::vector<Rebinding> rebindings_;
    Duration clears_{};
};

}  // namespace post::test
