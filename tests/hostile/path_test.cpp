// A peer that speaks from many addresses: each is believed only when it has answered, costs no more
// than three times what came from it, and the connection moves a few times and then once a second.
// ATTACKS A7.
#include <doctest/doctest.h>

#include <map>

#include "tests/hostile/frames.hpp"
#include "tests/hostile/siege.hpp"
#include "tests/hostile/table.hpp"
#include "tests/seed.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

Address elsewhere(std::uint64_t number) {
    Address address = *Address::parse("10.1.0.0", 5000);
    address.ip[2] = static_cast<std::uint8_t>(number >> 8 & 0xff);
    address.ip[3] = static_cast<std::uint8_t>(number & 0xff);
    return address;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A7: a peer that moves with every packet is followed once a second") {
        for (bool probes : {false, true}) {
            CAPTURE(probes);
            SiegeOptions options;
            options.seed = seed();
            Siege siege(options);
            siege.say(frame::ping());
            const auto before = heap();
            std::uint64_t in = 0, moves = 0;
            const auto began = siege.bytes();
            Address last = siege.victim().path().remote;
            constexpr int seconds = 20;
            for (std::uint64_t i = 0; i < seconds * 100 && !siege.lost(); ++i) {
                const auto word = probes ? frame::path_challenge(i) : frame::ping();
                const auto datagram = siege.forge().seal(Level::one_rtt, word + frame::padding(40));
                in += datagram.size();
                siege.deliver(datagram, elsewhere(i));
                moves += siege.victim().path().remote != last;
                last = siege.victim().path().remote;
                siege.pass(10ms);
            }
            const double factor = static_cast<double>(siege.bytes() - began) /
                                  static_cast<double>(in);
            CHECK_FALSE(siege.lost());
            CHECK(moves <= seconds + 4);
            if (probes) CHECK(moves == 0);
            CHECK(factor <= 3.0);
            CHECK(grown(before) <= 64 * 1024);
            measured("A7", probes ? "PATH_CHALLENGE from 2 000 addresses" : "2 000 addresses",
                     std::to_string(moves) + " moves in 20 s (<= 24), out/in " + decimal(factor) +
                         " (<= 3), " + heap_figure(grown(before), 64 * 1024));
        }
    }

    TEST_CASE("A7: who cannot seal packets moves nobody, and does not use up the moves") {
        Siege siege;
        siege.say(frame::ping());
        const Address home = siege.victim().path().remote;
        for (std::uint64_t i = 0; i < 1000; ++i) {
            auto datagram = siege.forge().seal(Level::one_rtt, frame::ping() + frame::padding(40));
            datagram.back() ^= std::byte{1};
            siege.deliver(datagram, elsewhere(i));
        }
        CHECK(siege.victim().path().remote == home);
        siege.deliver(siege.forge().seal(Level::one_rtt, frame::ping()), elsewhere(7));
        CHECK(siege.victim().path().remote == elsewhere(7));
    }
}

}  // namespace post::test
