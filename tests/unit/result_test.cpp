// Result: a value or an Error.
#include <post/result.hpp>

#include <memory>
#include <ostream>
#include <string>

#include <doctest/doctest.h>

using post::Errc;
using post::Error;
using post::Result;

TEST_SUITE("unit") {
    TEST_CASE("a result holds a value and no error") {
        Result<std::string> result(std::string("hello"));
        CHECK(result);
        CHECK(result.has_value());
        CHECK(*result == "hello");
        CHECK(result->size() == 5);
        CHECK_FALSE(result.error());
        CHECK(std::move(result).value() == "hello");
    }

    TEST_CASE("a result holds an error, which value() throws") {
        Result<int> result(Error(Errc::too_many, {}, post::Stage::call, "more than 3"));
        CHECK_FALSE(result);
        CHECK(result.error() == Errc::too_many);
        CHECK(result.error().detail == "more than 3");
        CHECK_THROWS_AS(std::move(result).value(), post::Failure);
        CHECK(Result<int>(Errc::expired).error() == Errc::expired);
    }

    TEST_CASE("a result moves what cannot be copied") {
        Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
        const std::unique_ptr<int> taken = *std::move(result);
        CHECK(*taken == 7);
    }

    TEST_CASE("a result of nothing is good, or an error") {
        CHECK(Result<void>());
        CHECK_NOTHROW(Result<void>().value());
        const Result<void> bad(Errc::cancelled);
        CHECK_FALSE(bad);
        CHECK(bad.error() == Errc::cancelled);
        CHECK_THROWS_AS(bad.value(), post::Failure);
    }
}
