// Slots: keys of what is gone find nothing, and rows keep their place.
#include "lib/carrier/slots.hpp"

#include <map>
#include <memory>
#include <ostream>
#include <random>

#include <doctest/doctest.h>

#include "tests/seed.hpp"

namespace {

struct Key {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    auto operator<=>(const Key&) const = default;
};
using Slots = post::core::Slots<Key, std::shared_ptr<int>>;

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a key finds its row until that is removed, and never another one") {
        Slots slots;
        CHECK(slots.find(Key{}) == nullptr);
        const Key first = slots.add();
        CHECK(first.generation != 0);  // 0 is the key of nobody
        *slots.find(first) = std::make_shared<int>(1);
        slots.remove(first);
        CHECK(slots.find(first) == nullptr);
        slots.remove(first);  // does nothing, and gives the slot away once only
        const Key second = slots.add();
        const Key third = slots.add();
        CHECK(second.slot == first.slot);
        CHECK(third.slot != second.slot);
        CHECK(slots.find(first) == nullptr);
        CHECK(*slots.find(second) == nullptr);  // a fresh row
    }

    TEST_CASE("removing a row lets go of what it held") {
        Slots slots;
        auto held = std::make_shared<int>(1);
        const Key key = slots.add();
        *slots.find(key) = held;
        slots.remove(key);
        CHECK(held.use_count() == 1);
    }

    TEST_CASE("rows stay where they are while others come") {
        Slots slots;
        const Key key = slots.add();
        const auto* row = slots.find(key);
        for (int i = 0; i < 10'000; ++i) slots.add();
        CHECK(slots.find(key) == row);
    }

    TEST_CASE("random rows agree with a map") {
        std::mt19937_64 random(post::test::seed());
        Slots slots;
        std::map<Key, int> model;
        std::vector<Key> gone;
        for (int step = 0; step < 5000; ++step) {
            if (random() % 2 == 0 || model.empty()) {
                const Key key = slots.add();
                REQUIRE_FALSE(model.contains(key));
                *slots.find(key) = std::make_shared<int>(step);
                model[key] = step;
            } else {
                auto at = std::next(model.begin(), static_cast<long>(random() % model.size()));
                slots.remove(at->first);
                gone.push_back(at->first);
                model.erase(at);
            }
        }
        for (const Key key : gone) REQUIRE(slots.find(key) == nullptr);
        std::size_t seen = 0;
        slots.each([&](Key key, const std::shared_ptr<int>& row) {
            ++seen;
            REQUIRE(*row == model.at(key));
        });
        CHECK(seen == model.size());
    }
}
