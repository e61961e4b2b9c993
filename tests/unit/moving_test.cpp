// What a server keeps of the paths that its client moves over.
#include <doctest/doctest.h>

#include <limits>

#include "mappings/quic/moving.hpp"

namespace post::test {

namespace {

constexpr auto all = std::numeric_limits<std::uint64_t>::max();

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("to an address that has shown nothing goes three times what came from there") {
        const Address first = *Address::parse("192.0.2.1", 1000);
        const Address second = *Address::parse("192.0.2.1", 2000);
        quic::Unvalidated unvalidated;
        CHECK(unvalidated.none());
        unvalidated.begin(second);
        CHECK(unvalidated.left(second) == 0);
        CHECK(unvalidated.left(first) == all);
        unvalidated.received(first, 1000);
        unvalidated.received(second, 44);
        CHECK(unvalidated.left(second) == 132);
        unvalidated.sent(100);
        CHECK(unvalidated.left(second) == 32);
        unvalidated.sent(100);
        CHECK(unvalidated.left(second) == 0);
        unvalidated.settle(second, true);
        CHECK(unvalidated.none());
        // It has been there.
        unvalidated.begin(second);
        CHECK(unvalidated.none());
    }

    TEST_CASE("an address that has answered a short question is asked again without a limit") {
        const Address here = *Address::parse("192.0.2.1", 1000);
        const Address there = *Address::parse("192.0.2.1", 2000);
        quic::Unvalidated unvalidated;
        unvalidated.begin(here);
        unvalidated.received(here, 44);
        CHECK(unvalidated.left(here) == 132);
        unvalidated.begin(here);
        CHECK(unvalidated.left(here) == all);
        // Another one has answered nothing, and neither has one that was given up.
        unvalidated.begin(there);
        CHECK(unvalidated.left(there) == 0);
        unvalidated.settle(there, false);
        unvalidated.begin(there);
        CHECK(unvalidated.left(there) == 0);
    }
}

}  // namespace post::test
