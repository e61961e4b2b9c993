// Pacer: a window takes four fifths of a round trip, and nothing makes anybody wait longer.
#include "mappings/quic/pacer.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using post::Instant;
using post::quic::Pacer;

TEST_SUITE("unit") {
    TEST_CASE("a pacer spreads a window over four fifths of the round trip") {
        Pacer pacer;
        Instant now = Instant{} + 1h;
        const Instant began = now;
        for (int i = 0; i < 10; ++i) {
            pacer.sent(now, 10'000, 100'000, 100ms);
            CHECK(pacer.holds(now));
            now = pacer.deadline(now);
        }
        // Lateness of a millisecond is made up for at the beginning.
        CHECK(now - began >= 78ms);
        CHECK(now - began <= 81ms);
    }

    TEST_CASE("acknowledgements that leave meanwhile do not add up") {
        Pacer pacer;
        const Instant now = Instant{} + 1h;
        for (int i = 0; i < 100'000; ++i) pacer.sent(now, 60, 14'000, 50ms);
        CHECK(pacer.deadline(now) <= now + 50ms);
        pacer.sent(now + 50ms, 1'000'000, 2'944, 50ms);
        CHECK(pacer.deadline(now + 50ms) <= now + 100ms);
    }

    TEST_CASE("below a millisecond a pacer holds nothing back") {
        Pacer pacer;
        const Instant now = Instant{} + 1h;
        pacer.sent(now, 14'000, 14'000, 100ms);
        CHECK(pacer.holds(now));
        pacer.sent(now, 14'000, 14'000, 900us);
        CHECK(!pacer.holds(now));
    }
}
