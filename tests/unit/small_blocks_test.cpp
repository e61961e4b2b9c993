// SmallBlocks: copies that share blocks, and blocks that are written again once nobody holds them.
#include "lib/association/small_blocks.hpp"

#include <deque>
#include <ostream>
#include <random>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/seed.hpp"

using post::Bytes;
using post::core::SmallBlocks;

namespace {

Bytes keep(SmallBlocks& blocks, const std::string& text) {
    return blocks.keep(std::as_bytes(std::span(text)));
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("neighbours lie in one block, and stay when the blocks are gone") {
        Bytes first;
        Bytes second;
        {
            SmallBlocks blocks;
            first = keep(blocks, "first");
            second = keep(blocks, "second");
            CHECK(keep(blocks, "").empty());
        }
        CHECK(first.continues_in(second));
        CHECK(first == "first");
        CHECK(second == "second");
    }

    TEST_CASE("a stream whose messages are let go uses few blocks") {
        SmallBlocks blocks;
        std::deque<Bytes> held;
        std::set<const std::byte*> pages;
        for (int i = 0; i < 10'000; ++i) {
            held.push_back(keep(blocks, std::string(1000, 'x')));
            pages.insert(held.back().data());
            if (held.size() > 20) held.pop_front();
        }
        CHECK(pages.size() <= 4 * 8);  // four places a block
    }

    TEST_CASE("no block is written again while a slice of it is held") {
        std::mt19937_64 random(post::test::seed());
        SmallBlocks blocks;
        std::deque<std::pair<Bytes, std::string>> held;
        for (int i = 0; i < 20'000; ++i) {
            std::string text(1 + random() % (SmallBlocks::largest - 1),
                             static_cast<char>('a' + random() % 26));
            Bytes bytes = keep(blocks, text);
            held.emplace_back(std::move(bytes), std::move(text));
            while (held.size() > 1 + random() % 100) {
                const std::size_t at = random() % 4 == 0 ? random() % held.size() : 0;
                REQUIRE(held[at].first == held[at].second);
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
            }
            if (random() % 50 == 0) blocks.rest();
        }
    }

    TEST_CASE("one who holds on to a message does not keep the others' blocks from use for ever") {
        SmallBlocks blocks;
        const Bytes held = keep(blocks, "held");
        std::set<const std::byte*> pages;
        for (int i = 0; i < 200'000; ++i) pages.insert(keep(blocks, std::string(1500, 'x')).data());
        CHECK(pages.size() < 5000);
        CHECK(held == "held");
    }
}
