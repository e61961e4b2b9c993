// Two associations play with each other at random; AssociationPlay keeps the books.
#include <ostream>
#include <random>

#include <doctest/doctest.h>

#include "tests/fake/association_play.hpp"
#include "tests/seed.hpp"

TEST_SUITE("unit") {
    TEST_CASE(
        "whatever two applications do, every message has one fate and every Carrier one end") {
        std::mt19937_64 random(post::test::seed());
        std::uint64_t messages = 0;
        std::uint64_t delivered = 0;
        for (int round = 0; round < 300; ++round) {
            CAPTURE(round);
            std::vector<std::byte> choices(600);
            for (std::byte& choice : choices) choice = static_cast<std::byte>(random() & 0xff);
            post::test::AssociationPlay play(choices);
            REQUIRE_NOTHROW(play.run());
            messages += play.messages();
            delivered += play.delivered();
        }
        CHECK(messages > 10'000);
        CHECK(delivered > 1'000);
    }
}
