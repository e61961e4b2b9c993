// HMAC-SHA256 under a key that stays.
#include <algorithm>
#include <string_view>

#include <doctest/doctest.h>

#include "mappings/crypto/keyed_hash.hpp"
#include "tests/unit/framing_support.hpp"

using namespace post;

TEST_SUITE("unit") {
    TEST_CASE("a keyed hash is HMAC-SHA256, as often as it is asked (RFC 4231, 4.3)") {
        const crypto::KeyedHash hash(std::as_bytes(std::span(std::string_view("Jefe"))));
        const auto text = std::as_bytes(
            std::span(std::string_view("what do ya want for nothing?")));
        const auto expected = test::hex(
            "5b dc c1 46 bf 60 75 4e 6a 04 24 26 08 95 75 c7 "
            "5a 00 3f 08 9d 27 39 83 9d ec 58 b9 64 ec 38 43");
        for (int i = 0; i < 3; ++i) {
            const auto digest = hash(text);
            CHECK(std::equal(digest.begin(), digest.end(), expected.begin(), expected.end()));
            CHECK(hash({}) != digest);
        }
    }
}
