// Ring: order over many growths and wraps, and that every value is destroyed exactly once.
#include "lib/association/ring.hpp"

#include <deque>
#include <memory>
#include <ostream>
#include <random>

#include <doctest/doctest.h>

#include "tests/seed.hpp"

using post::core::Ring;

TEST_SUITE("unit") {
    TEST_CASE("a ring is a queue") {
        Ring<int> ring;
        CHECK(ring.empty());
        for (int i = 0; i < 5; ++i) CHECK(ring.push(i) == i);
        CHECK(ring.size() == 5);
        CHECK(ring.front() == 0);
        CHECK(ring.back() == 4);
        ring.pop();
        CHECK(ring.front() == 1);
        CHECK(ring[3] == 4);
        ring.clear();
        CHECK(ring.empty());
    }

    TEST_CASE("a ring agrees with a deque whatever is done to it") {
        std::mt19937_64 random(post::test::seed());
        Ring<std::unique_ptr<std::uint64_t>> ring;
        std::deque<std::uint64_t> model;
        for (int step = 0; step < 20'000; ++step) {
            const bool grows = (step / 1000) % 2 == 0;
            if (random() % 5 < (grows ? 3u : 2u)) {
                const std::uint64_t value = random();
                ring.push(std::make_unique<std::uint64_t>(value));
                model.push_back(value);
            } else if (!model.empty()) {
                ring.pop();
                model.pop_front();
            }
            REQUIRE(ring.size() == model.size());
            if (model.empty()) continue;
            REQUIRE(*ring.front() == model.front());
            REQUIRE(*ring.back() == model.back());
            const std::size_t at = random() % model.size();
            REQUIRE(*ring[at] == model[at]);
        }
    }

    TEST_CASE("values leave a ring exactly once, by pop, clear, move or the ring's end") {
        auto counted = std::make_shared<int>(0);
        {
            Ring<std::shared_ptr<int>> ring;
            for (int i = 0; i < 9; ++i) ring.push(counted);
            CHECK(counted.use_count() == 10);
            ring.pop();
            CHECK(counted.use_count() == 9);
            Ring<std::shared_ptr<int>> moved(std::move(ring));
            CHECK(counted.use_count() == 9);
            Ring<std::shared_ptr<int>> other;
            other.push(counted);
            other = std::move(moved);
            CHECK(other.size() == 8);
            other.push(other.front());  // its own element, while it may grow
            CHECK(*other.back() == 0);
        }
        CHECK(counted.use_count() == 1);
    }
}
