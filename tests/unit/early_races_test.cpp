// Whose a race is that began with early data.
#include "lib/association/early_races.hpp"

#include <doctest/doctest.h>

namespace post::test {

using core::EarlyRaces;

TEST_SUITE("unit") {
    TEST_CASE("a race is that of who asked first, for as long as its leaves may come") {
        EarlyRaces races;
        const Instant now{};
        CHECK(races.empty());
        CHECK(races.claim(now, 7, AssociationId{1}) == AssociationId{1});
        CHECK(races.claim(now, 7, AssociationId{2}) == AssociationId{1});
        CHECK(races.claim(now, 8, AssociationId{2}) == AssociationId{2});
        const Instant last = now + EarlyRaces::kept_for - Duration(1);
        CHECK(races.claim(last, 7, AssociationId{3}) == AssociationId{1});
        CHECK(races.claim(last + Duration(1), 7, AssociationId{3}) == AssociationId{3});
    }

    TEST_CASE("of more races than a listener remembers the oldest are forgotten") {
        EarlyRaces races;
        const Instant now{};
        for (std::uint64_t race = 0; race <= EarlyRaces::most; ++race)
            races.claim(now, race, AssociationId{1});
        CHECK(races.claim(now, EarlyRaces::most, AssociationId{2}) == AssociationId{1});
        CHECK(races.claim(now, 0, AssociationId{2}) == AssociationId{2});
    }
}

}  // namespace post::test
