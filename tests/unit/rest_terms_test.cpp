// What those who rest were made with: kept once for all that are alike, and only as long.
#include "lib/association/rest_terms.hpp"

#include <doctest/doctest.h>

namespace post::test {

TEST_SUITE("unit") {
    TEST_CASE("terms are kept once for all that are alike, until the last of them is gone") {
        core::RestTerms terms;
        InitiateOptions patient;
        patient.bounds.idle_timeout = std::chrono::minutes(5);
        const auto one = terms.keep(InitiateOptions{});
        const auto same = terms.keep(InitiateOptions{});
        const auto other = terms.keep(patient);
        CHECK(one == same);
        CHECK(one != other);
        CHECK(terms.size() == 2);
        CHECK(terms.bounds(other).idle_timeout == std::chrono::minutes(5));
        terms.drop(one);
        CHECK(terms.size() == 2);
        terms.drop(same);
        CHECK(terms.size() == 1);
        // A number is never given again.
        CHECK(terms.keep(InitiateOptions{}) != one);
    }

    TEST_CASE("of a listener's associations only the bounds are kept") {
        core::RestTerms terms;
        Bounds brief;
        brief.dormant_for = std::chrono::minutes(1);
        const auto one = terms.keep(Bounds{});
        const auto other = terms.keep(brief);
        CHECK(terms.keep(brief) == other);
        CHECK(one != other);
        CHECK(terms.bounds(other) == brief);
        for (const auto id : {one, other, other}) terms.drop(id);
        CHECK(terms.size() == 0);
        terms.drop(one);  // of nothing
    }
}

}  // namespace post::test
