// Receipts: the watermark, ranges that join, the bound of 32, and a long random run against a set.
#include "lib/association/receipts.hpp"

#include <ostream>
#include <random>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "tests/seed.hpp"

using post::CarrierId;
using post::Delivered;
using post::NicenessClass;
using post::Sequence;
using post::core::Receipts;

namespace {

void add(Receipts& receipts, std::uint64_t first, std::uint64_t count = 1) {
    receipts.add(Sequence{first}, count);
}

// What a DELIVERED says, as numbers below `end`.
std::set<std::uint64_t> numbers(const Delivered& delivered) {
    std::set<std::uint64_t> all;
    for (std::uint64_t at = 0; at < delivered.watermark.value(); ++at) all.insert(at);
    for (const auto& range : delivered.ranges)
        for (std::uint64_t i = 0; i < range.count; ++i) all.insert(range.first.value() + i);
    return all;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("messages in order only move the watermark") {
        Receipts receipts(NicenessClass{7});
        CHECK_FALSE(receipts.changed());
        for (std::uint64_t at = 0; at < 100; ++at) add(receipts, at);
        CHECK(receipts.changed());
        const Delivered said = receipts.take(CarrierId{4});
        CHECK_FALSE(receipts.changed());
        CHECK(said.carrier == CarrierId{4});
        CHECK(said.niceness == NicenessClass{7});
        CHECK(said.watermark == Sequence{100});
        CHECK(said.ranges.empty());
        CHECK_FALSE(said.partial);
        CHECK(receipts.has(Sequence{99}));
        CHECK_FALSE(receipts.has(Sequence{100}));
    }

    TEST_CASE("ranges that touch become one, and the watermark takes them over") {
        Receipts receipts(NicenessClass{0});
        add(receipts, 4, 2);  // 4 5
        add(receipts, 8, 2);  // 4 5 . . 8 9
        CHECK(receipts.take({}).ranges.size() == 2);
        add(receipts, 6, 2);  // closes the gap
        Delivered said = receipts.take({});
        REQUIRE(said.ranges.size() == 1);
        CHECK(said.ranges[0].first == Sequence{4});
        CHECK(said.ranges[0].count == 6);
        add(receipts, 2);
        CHECK(receipts.take({}).ranges.size() == 2);  // 3 is missing still
        add(receipts, 0, 2);
        said = receipts.take({});
        CHECK(said.watermark == Sequence{3});
        add(receipts, 3);
        said = receipts.take({});
        CHECK(said.watermark == Sequence{10});
        CHECK(said.ranges.empty());
    }

    TEST_CASE("what is known twice changes nothing but that it is said again") {
        Receipts receipts(NicenessClass{0});
        add(receipts, 0, 3);
        add(receipts, 5, 3);
        receipts.take({});
        add(receipts, 1);
        add(receipts, 6);
        add(receipts, 5, 3);
        const Delivered said = receipts.take({});
        CHECK(said.watermark == Sequence{3});
        REQUIRE(said.ranges.size() == 1);
        CHECK(said.ranges[0].count == 3);
    }

    TEST_CASE("the progress of a long message is said until the message is whole") {
        Receipts receipts(NicenessClass{0});
        receipts.progress(Sequence{2}, 300'000);
        Delivered said = receipts.take({});
        CHECK(said.partial == Sequence{2});
        CHECK(said.progress == 300'000);
        receipts.progress(Sequence{2}, 600'000);
        add(receipts, 0);
        said = receipts.take({});
        CHECK(said.progress == 600'000);
        add(receipts, 2);
        CHECK_FALSE(receipts.take({}).partial);
    }

    TEST_CASE("the progress of several long messages is said of each, one a report") {
        Receipts receipts(NicenessClass{0});
        receipts.progress(Sequence{0}, 300'000);
        receipts.progress(Sequence{1}, 262'144);
        receipts.progress(Sequence{2}, 400'000);
        receipts.progress(Sequence{0}, 600'000);
        std::vector<std::pair<Sequence, std::uint64_t>> said;
        while (receipts.changed()) {
            const Delivered report = receipts.take({});
            REQUIRE(report.partial);
            said.emplace_back(*report.partial, report.progress);
        }
        CHECK(said == decltype(said){
                          {Sequence{0}, 600'000}, {Sequence{1}, 262'144}, {Sequence{2}, 400'000}});
        receipts.progress(Sequence{1}, 500'000);
        add(receipts, 2);
        const Delivered report = receipts.take({});
        CHECK(report.partial == Sequence{1});
        CHECK(report.progress == 500'000);
        CHECK_FALSE(receipts.changed());
        add(receipts, 0, 2);
        CHECK_FALSE(receipts.take({}).partial);
        CHECK(receipts.next(Sequence{3}, 1));
    }

    TEST_CASE("at most 32 ranges are said, the oldest, and what is left out is said later") {
        Receipts receipts(NicenessClass{0});
        for (std::uint64_t i = 0; i < 40; ++i) add(receipts, 2 * i + 1);
        Delivered said = receipts.take({});
        REQUIRE(said.ranges.size() == Receipts::most_ranges);
        CHECK(said.ranges.front().first == Sequence{1});
        CHECK(said.ranges.back().first == Sequence{63});
        for (std::uint64_t i = 0; i < 40; ++i) add(receipts, 2 * i);
        said = receipts.take({});
        CHECK(said.watermark == Sequence{80});
        CHECK(said.ranges.empty());
    }

    TEST_CASE("memory stays bounded when a peer leaves out every second number") {
        Receipts receipts(NicenessClass{0});
        for (std::uint64_t i = 0; i < 100'000; ++i) add(receipts, 2 * i + 1);
        CHECK(receipts.take({}).ranges.size() == Receipts::most_ranges);
        CHECK_FALSE(receipts.has(Sequence{199'999}));  // forgotten, rather than kept for ever
    }

    TEST_CASE("what was dropped is settled, and said to be dropped once") {
        Receipts receipts(NicenessClass{0});
        add(receipts, 0);
        CHECK(receipts.drop(Sequence{1}));
        CHECK(receipts.drop(Sequence{3}));
        CHECK(receipts.drop(Sequence{2}));
        CHECK(receipts.has(Sequence{3}));
        Delivered said = receipts.take({});
        CHECK(said.watermark == Sequence{4});
        REQUIRE(said.dropped);
        REQUIRE(said.dropped->size() == 1);
        CHECK(said.dropped->front().first == Sequence{1});
        CHECK(said.dropped->front().count == 3);
        add(receipts, 4);
        CHECK_FALSE(receipts.take({}).dropped);
        // But a report may be lost with its connection: the next one hears it all (7.2).
        CHECK_FALSE(receipts.plain());
        REQUIRE(receipts.summary({}).dropped);
        CHECK(receipts.summary({}).dropped->front().count == 3);
    }

    TEST_CASE("more drops than a report has room for are said before they count as settled") {
        Receipts receipts(NicenessClass{0});
        for (std::uint64_t i = 0; i < 140; ++i) {
            if (i % 2)
                CHECK(receipts.drop(Sequence{i}));
            else
                add(receipts, i);
        }
        std::uint64_t dropped = 0;
        int reports = 0;
        for (; receipts.changed(); ++reports) {
            const Delivered said = receipts.take({});
            CHECK(said.dropped->size() <= Receipts::most_ranges);
            for (const auto& range : *said.dropped) dropped += range.count;
            CHECK((said.watermark == Sequence{140}) == !receipts.changed());
            if (receipts.changed()) CHECK(said.watermark == Sequence{0});
        }
        CHECK(reports == 3);
        CHECK(dropped == 70);
    }

    TEST_CASE("drops that nobody could tell of any more are none") {
        Receipts receipts(NicenessClass{0});
        for (std::uint64_t i = 0; i < Receipts::most_kept; ++i)
            CHECK(receipts.drop(Sequence{2 * i}));
        CHECK_FALSE(receipts.drop(Sequence{2 * Receipts::most_kept}));
        CHECK_FALSE(receipts.has(Sequence{2 * Receipts::most_kept}));
    }

    TEST_CASE("random receipts agree with a set") {
        std::mt19937_64 random(post::test::seed());
        for (int round = 0; round < 200; ++round) {
            Receipts receipts(NicenessClass{0});
            std::set<std::uint64_t> model;
            for (int step = 0; step < 60; ++step) {
                const std::uint64_t first = random() % 64;
                const std::uint64_t count = random() % 3 == 0 ? 1 + random() % 8 : 1;
                add(receipts, first, count);
                for (std::uint64_t i = 0; i < count; ++i) model.insert(first + i);
                const Delivered said = receipts.take({});
                REQUIRE(numbers(said) == model);
                REQUIRE_FALSE(model.contains(said.watermark.value()));
                std::uint64_t last = said.watermark.value();
                for (const auto& range : said.ranges) {  // ascending, and never touching
                    REQUIRE(range.count > 0);
                    REQUIRE(range.first.value() > last);
                    last = range.first.value() + range.count;
                }
                for (std::uint64_t at = 0; at < 72; ++at)
                    REQUIRE(receipts.has(Sequence{at}) == model.contains(at));
            }
        }
    }

    TEST_CASE("what was dropped is settled, and told of as such once") {
        Receipts receipts(NicenessClass{0});
        add(receipts, 0);
        receipts.drop(Sequence{1});
        receipts.drop(Sequence{2});
        receipts.drop(Sequence{5});
        Delivered said = receipts.take({});
        CHECK(said.watermark == Sequence{3});
        REQUIRE(said.dropped);
        REQUIRE(said.dropped->size() == 2);
        CHECK(said.dropped->at(0).first == Sequence{1});
        CHECK(said.dropped->at(0).count == 2);
        CHECK(said.dropped->at(1).first == Sequence{5});
        CHECK_FALSE(receipts.changed());
        add(receipts, 3);
        CHECK_FALSE(receipts.take({}).dropped);
    }

    TEST_CASE(
        "more than 32 dropped runs take several reports, and none is said to have been taken") {
        Receipts receipts(NicenessClass{0});
        std::set<std::uint64_t> dropped;
        for (std::uint64_t at = 0; at < 200; ++at) {
            if (at % 2) {
                add(receipts, at);
            } else {
                receipts.drop(Sequence{at});
                dropped.insert(at);
            }
        }
        std::set<std::uint64_t> told;
        for (int report = 0; receipts.changed(); ++report) {
            REQUIRE(report < 10);
            const Delivered said = receipts.take({});
            if (said.dropped) {
                CHECK(said.dropped->size() <= Receipts::most_ranges);
                for (const auto& range : *said.dropped)
                    for (std::uint64_t i = 0; i < range.count; ++i)
                        told.insert(range.first.value() + i);
            }
            for (const std::uint64_t at : numbers(said))
                if (dropped.contains(at)) CHECK(told.contains(at));
        }
        CHECK(told == dropped);
    }
}
