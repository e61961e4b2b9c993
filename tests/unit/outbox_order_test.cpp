// Outbox: what goes next. Priority, niceness, turns among equals, chunks, ends and blocked lanes.
#include <algorithm>
#include <map>
#include <ostream>
#include <random>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/outbox_support.hpp"

using post::Bytes;
using post::Instant;
using post::Priority;
using post::core::OutLane;
using post::test::Rig;
using post::test::Words;

TEST_SUITE("unit") {
    TEST_CASE("within a Carrier and class the first sent is the first to go") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        for (const char* text : {"a", "b", "c"}) rig.send(lane, text);
        CHECK(rig.pull_all() == Words{"0/0#0 a", "0/0#1 b", "0/0#2 c"});
        CHECK(rig.pull().empty());
    }

    TEST_CASE("a smaller niceness goes first, also when it was sent last") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "bulk", {.niceness = 2});
        rig.send(lane, "less", {.niceness = 1});
        rig.send(lane, "now");
        rig.send(lane, "last", {.niceness = 1000});  // shares class 63, but not its turn
        rig.send(lane, "nicer", {.niceness = 63});
        CHECK(rig.pull_all() ==
              Words{"0/0#0 now", "0/1#0 less", "0/2#0 bulk", "0/63#1 nicer", "0/63#0 last"});
    }

    TEST_CASE("Carrier priority is stricter than niceness") {
        Rig rig;
        OutLane& first = rig.lane(0, Priority{0});
        OutLane& second = rig.lane(2, Priority{1});
        rig.send(second, "urgent, of a patient Carrier");
        rig.send(first, "bulk", {.niceness = 9});
        CHECK(rig.pull_all() == Words{"0/9#0 bulk", "2/0#0 urgent, of a patient Carrier"});
    }

    TEST_CASE("an urgent message overtakes the chunks of a long one") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abcdef", {.niceness = 1});
        CHECK(rig.pull(2) == "0/1#0+0 ab");
        rig.send(lane, "!");
        CHECK(rig.pull(2) == "0/0#0 !");
        CHECK(rig.pull(2) == "0/1#0+2 cd");
        CHECK(rig.pull(2) == "0/1#0+4 ef");
        CHECK(rig.pull(2).empty());
    }

    TEST_CASE("an empty message is a message") {
        Rig rig;
        rig.send(rig.lane(0), "");
        CHECK(rig.pull() == "0/0#0 ");
        CHECK(rig.pull().empty());
    }

    TEST_CASE("equal Carriers share by turns, whatever the size of their messages") {
        Rig rig;
        std::map<std::uint64_t, std::uint64_t> sent;
        const std::size_t sizes[] = {10, 600, 5000};
        for (std::uint64_t i = 0; i < 3; ++i)
            for (std::size_t left = 300'000; left >= sizes[i]; left -= sizes[i])
                rig.send(rig.lane(2 * i), Bytes(std::string(sizes[i], 'x')));
        std::uint64_t all = 0;
        while (all < 300'000 && rig.outbox.turn()) {
            rig.outbox.next(rig.now, 1200, rig.out);
            const auto& piece = std::get<post::Piece>(rig.out);
            sent[piece.carrier.value()] += piece.bytes.size();
            all += piece.bytes.size();
        }
        for (const auto& row : sent) {
            CAPTURE(row.first);
            CHECK(row.second > 80'000);
            CHECK(row.second < 120'000);
        }
    }

    TEST_CASE("a blocked Carrier lets the others go on and comes back when it is unblocked") {
        Rig rig;
        OutLane& one = rig.lane(0);
        OutLane& two = rig.lane(2);
        rig.send(one, "a");
        rig.send(two, "b");
        rig.outbox.block(one);
        CHECK(rig.pull_all() == Words{"2/0#0 b"});
        rig.send(one, "c");  // does not put it back
        CHECK(rig.pull().empty());
        rig.outbox.unblock(one);
        CHECK(rig.pull_all() == Words{"0/0#0 a", "0/0#1 c"});
        rig.outbox.unblock(one);  // with nothing to send
        CHECK(rig.pull().empty());
    }

    TEST_CASE("the end of a direction goes behind all that was sent, of every class") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "a", {.niceness = 40});
        rig.send(lane, "b");
        rig.outbox.finish(lane);
        CHECK_FALSE(rig.outbox.writable(lane));
        CHECK(rig.pull_all() == Words{"0/0#0 b", "0/40#0 a", "finish 0"});
        rig.outbox.finish(lane);
        CHECK(rig.pull().empty());  // once
    }

    TEST_CASE("a Carrier that sent nothing can end, and a final message ends it") {
        Rig rig;
        rig.outbox.finish(rig.lane(0));
        CHECK(rig.pull() == "finish 0");
        rig.send(rig.lane(2), "bye", {.final = true});
        CHECK(rig.pull() == "2/0#0 bye");
        CHECK(std::get<post::Piece>(rig.out).marks.final);
        CHECK(rig.pull() == "finish 2");
    }

    TEST_CASE("a Carrier that ends while it is blocked ends when it is unblocked") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.outbox.block(lane);
        rig.outbox.finish(lane);
        CHECK(rig.pull().empty());
        rig.outbox.unblock(lane);
        CHECK(rig.pull() == "finish 0");
    }

    TEST_CASE("the last message of an empty outbox asks for an answer") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abcd");
        rig.send(lane, "e");
        CHECK(rig.pull(2) == "0/0#0+0 ab");
        CHECK_FALSE(std::get<post::Piece>(rig.out).marks.ask);
        CHECK(rig.pull(2) == "0/0#0+2 cd");
        CHECK_FALSE(std::get<post::Piece>(rig.out).marks.ask);
        CHECK(rig.pull(2) == "0/0#1 e");
        CHECK(std::get<post::Piece>(rig.out).marks.ask);
    }

    TEST_CASE("many priorities leave nothing behind") {
        Rig rig;
        for (std::uint32_t i = 0; i < 500; ++i) rig.send(rig.lane(2 * i, Priority{499 - i}), "x");
        const Words words = rig.pull_all();
        REQUIRE(words.size() == 500);
        CHECK(words.front() == "998/0#0 x");
        CHECK(words.back() == "0/0#0 x");
        for (std::uint32_t i = 0; i < 500; ++i) rig.send(rig.lane(2 * i), "y");
        CHECK(rig.pull_all().size() == 500);
    }

    TEST_CASE("a random schedule never lets the less urgent go first") {
        std::mt19937_64 random(post::test::seed());
        for (int round = 0; round < 50; ++round) {
            Rig rig;
            using Key = std::tuple<std::uint32_t, std::uint32_t>;  // priority, class
            std::map<Key, std::uint64_t> queued;                   // bytes + messages
            std::map<std::uint64_t, std::uint32_t> priorities;
            for (int step = 0; step < 400; ++step) {
                if (random() % 2 == 0) {
                    const std::uint64_t carrier = 2 * (random() % 8);
                    const std::uint32_t priority = static_cast<std::uint32_t>(carrier) / 6;
                    const std::uint32_t niceness = static_cast<std::uint32_t>(random() % 4);
                    const std::size_t size = random() % 3000;
                    rig.send(rig.lane(carrier, Priority{priority}), Bytes(std::string(size, 'r')),
                             {.niceness = niceness});
                    queued[{priority, niceness}] += size;
                    queued[{priority, niceness}] += 1;
                    continue;
                }
                if (!rig.outbox.turn()) {
                    REQUIRE(queued.empty());
                    continue;
                }
                rig.outbox.next(rig.now, 1000, rig.out);
                const auto& piece = std::get<post::Piece>(rig.out);
                const Key key{static_cast<std::uint32_t>(piece.carrier.value()) / 6,
                              piece.niceness.value()};
                REQUIRE(queued.begin()->first == key);
                queued[key] -= piece.bytes.size() + (piece.last() ? 1 : 0);
                if (queued[key] == 0) queued.erase(key);
            }
        }
    }
}
