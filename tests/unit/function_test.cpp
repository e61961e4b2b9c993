// Function: callables that are moved, never copied, and destroyed exactly once.
#include <post/function.hpp>

#include <array>
#include <memory>
#include <ostream>
#include <string>

#include <doctest/doctest.h>

using post::Function;

namespace {

// Counts how many of it are alive.
struct Counted {
    int* alive;
    explicit Counted(int& counter) : alive(&counter) { ++*alive; }
    Counted(const Counted& other) : alive(other.alive) { ++*alive; }
    Counted(Counted&& other) noexcept : alive(other.alive) { ++*alive; }
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*alive; }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("an empty function is false") {
        Function<void()> none;
        CHECK_FALSE(none);
        CHECK_FALSE(Function<void()>(nullptr));
        none = [] {};
        CHECK(none);
        none = nullptr;
        CHECK_FALSE(none);
    }

    TEST_CASE("a function passes arguments and results, references and moved ones too") {
        Function<int(int, int)> add = [](int a, int b) { return a + b; };
        CHECK(add(2, 3) == 5);
        Function<void(std::string&)> append = [](std::string& text) { text += "!"; };
        std::string text = "hello";
        append(text);
        CHECK(text == "hello!");
        Function<int(std::unique_ptr<int>)> unwrap = [](std::unique_ptr<int> p) { return *p; };
        CHECK(unwrap(std::make_unique<int>(9)) == 9);
        // A result that nobody asked for is dropped.
        Function<void()> drops = [] { return 5; };
        drops();
    }

    TEST_CASE("small and large callables live once and die once") {
        int alive = 0;
        {
            Function<int()> small = [counted = Counted(alive)] { return *counted.alive; };
            Function<int()> large = [counted = Counted(alive), space = std::array<char, 200>{}] {
                return *counted.alive + space[0];
            };
            CHECK(alive == 2);
            CHECK(small() == 2);
            CHECK(large() == 2);

            Function<int()> moved = std::move(small);
            CHECK_FALSE(small);
            CHECK(moved() == 2);
            moved = std::move(large);
            CHECK(alive == 1);
            CHECK(moved() == 1);
            moved = nullptr;
            CHECK(alive == 0);
        }
        CHECK(alive == 0);
    }

    TEST_CASE("a function keeps its own state from call to call") {
        Function<int()> count = [n = 0]() mutable { return ++n; };
        CHECK(count() == 1);
        Function<int()> moved = std::move(count);
        CHECK(moved() == 2);
    }
}
