// What has come and has to come after others: held back, given out in order, dropped; and parts of
// messages that are not whole yet.
#include "lib/association/successors.hpp"

#include <doctest/doctest.h>

#include "tests/unit/inbox_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using core::Antecedent;
using core::InLane;

struct Line : InRig {
    using InRig::InRig;
    static Antecedent name(const InLane& lane, std::uint64_t sequence, std::uint8_t niceness = 0) {
        return {lane.carrier, NicenessClass{niceness}, Sequence{sequence}};
    }
    Result<void> arrive_after(InLane& lane, std::uint64_t sequence, const Bytes& bytes,
                              std::vector<Antecedent> missing, Instant deadline = never,
                              bool ordered = true, std::uint64_t total = 0) {
        Piece made = piece(lane, sequence, bytes, 0, total);
        made.marks.ordered = ordered;
        core::Inbox::After after{.missing = std::move(missing), .deadline = deadline};
        return inbox.handle_piece(now, lane, std::move(made), &after);
    }
    // What reports say was dropped.
    std::vector<std::uint64_t> dropped() {
        std::vector<std::uint64_t> all;
        for (const Delivered& report : reports(true))
            if (report.dropped)
                for (const auto& range : *report.dropped)
                    for (std::uint64_t i = 0; i < range.count; ++i)
                        all.push_back(range.first.value() + i);
        return all;
    }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a successor is held until its antecedent stands in its queue, taken or not") {
        Line rig;
        InLane& first = rig.lane(0);
        InLane& second = rig.lane(2);
        CHECK(rig.arrive_after(second, 0, "after", {rig.name(first, 0)}));
        CHECK(rig.take(second) == "(nothing)");
        CHECK(rig.inbox.charged() == 5);
        CHECK(rig.reports(true).empty());
        CHECK(rig.arrive(first, 0, "first"));
        CHECK(rig.take(second) == "after");
        CHECK(rig.take(first) == "first");
        CHECK(rig.reports(true).size() == 2);
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("ordered messages wait behind a held one of their class, others do not") {
        Line rig;
        InLane& first = rig.lane(0);
        InLane& second = rig.lane(2);
        CHECK(rig.arrive_after(second, 0, "after", {rig.name(first, 0)}));
        CHECK(rig.arrive(second, 1, "behind"));
        CHECK(rig.arrive(second, 0, "other class", 0, 0, 3));
        CHECK(rig.arrive_after(second, 2, "unordered", {}, never, false));
        CHECK(rig.take(second) == "other class");
        CHECK(rig.take(second) == "unordered");
        CHECK(rig.take(second) == "(nothing)");
        CHECK(rig.arrive(first, 0, "first"));
        CHECK(rig.take(second) == "after");
        CHECK(rig.take(second) == "behind");
    }

    TEST_CASE("a chain of successors over Carriers comes in its order") {
        Line rig;
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        InLane& c = rig.lane(4);
        CHECK(rig.arrive_after(c, 0, "third", {rig.name(b, 0), rig.name(a, 0)}));
        CHECK(rig.arrive_after(b, 0, "second", {rig.name(a, 0)}));
        CHECK(rig.take(c) == "(nothing)");
        CHECK(rig.arrive(a, 0, "first"));
        CHECK(rig.take(b) == "second");
        CHECK(rig.take(c) == "third");
    }

    TEST_CASE("a long successor is assembled while it waits") {
        Line rig;
        InLane& first = rig.lane(0);
        InLane& second = rig.lane(2);
        CHECK(rig.arrive_after(second, 0, "abc", {rig.name(first, 0)}, never, true, 6));
        SUBCASE("it is whole first") {
            CHECK(rig.arrive(second, 0, "def", 3, 6));
            CHECK(rig.take(second) == "(nothing)");
            CHECK(rig.arrive(first, 0, "first"));
            CHECK(rig.take(second) == "abcdef");
        }
        SUBCASE("its antecedent comes first") {
            CHECK(rig.arrive(first, 0, "first"));
            CHECK(rig.take(second) == "(nothing)");
            CHECK(rig.arrive(second, 0, "def", 3, 6));
            CHECK(rig.take(second) == "abcdef");
        }
        SUBCASE("its antecedent fails, and the rest of it is thrown away as it comes") {
            rig.inbox.handle_skip(rig.now, first, {first.carrier, {}, Sequence{0}, 1});
            CHECK(rig.arrive(second, 0, "d", 3, 6));
            CHECK(rig.inbox.charged() == 0);
            CHECK(rig.arrive(second, 0, "ef", 4, 6));
            CHECK(rig.take(second) == "(nothing)");
            CHECK(rig.dropped() == std::vector<std::uint64_t>{0});
        }
        SUBCASE("its sender gives it up") {
            rig.inbox.handle_abandon(rig.now, second, {second.carrier, {}, Sequence{0}});
            CHECK(rig.arrive(first, 0, "first"));
            CHECK(rig.take(second) == "(nothing)");
            CHECK(rig.arrive(second, 1, "next"));
            CHECK(rig.take(second) == "next");
        }
        CHECK(rig.take(first) != "");
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("SKIP and ABANDON fail what comes after, and what comes after that") {
        Line rig;
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        InLane& c = rig.lane(4);
        CHECK(rig.arrive_after(b, 0, "after a", {rig.name(a, 7)}));
        CHECK(rig.arrive(b, 1, "behind"));
        CHECK(rig.arrive_after(c, 0, "after b", {rig.name(b, 0)}));
        rig.inbox.handle_skip(rig.now, a, {a.carrier, {}, Sequence{5}, 4});
        CHECK(rig.take(b) == "behind");
        CHECK(rig.take(c) == "(nothing)");
        CHECK(rig.dropped() == std::vector<std::uint64_t>{0, 0});
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
        // Whoever comes later is told the same.
        CHECK(*rig.inbox.settled(a, rig.name(a, 7)) == false);
        CHECK(*rig.inbox.settled(c, rig.name(c, 0)) == false);
        CHECK(*rig.inbox.settled(b, rig.name(b, 1)) == true);
        CHECK_FALSE(rig.inbox.settled(a, rig.name(a, 9)));
    }

    TEST_CASE(
        "a Carrier that ended in good order satisfies what it never had, but not what it holds") {
        Line rig;
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        InLane& c = rig.lane(4);
        CHECK(rig.arrive_after(a, 0, "held", {rig.name(c, 0)}));
        CHECK(rig.arrive_after(b, 0, "after held", {rig.name(a, 0)}));
        CHECK(rig.arrive_after(b, 1, "after nothing", {rig.name(a, 5)}, never, false));
        rig.inbox.end(rig.now, a, Error(Errc::carrier_closed));
        CHECK(rig.take(b) == "after nothing");
        CHECK(rig.take(b) == "(nothing)");
        CHECK_FALSE(a.done());
        CHECK(rig.arrive(c, 0, "c"));
        CHECK(rig.take(a) == "held");
        CHECK(a.done());
        CHECK(rig.take(b) == "after held");
    }

    TEST_CASE("a Carrier that was reset fails what had not come of it") {
        Line rig;
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        CHECK(rig.arrive(a, 0, "came"));
        CHECK(rig.arrive_after(b, 0, "after the lost one", {rig.name(a, 1)}));
        rig.inbox.end(rig.now, a, Error(Errc::carrier_reset));
        CHECK(rig.dropped() == std::vector<std::uint64_t>{0});
        CHECK(*rig.inbox.settled(a, rig.name(a, 0)) == true);
        CHECK(*rig.inbox.settled(a, rig.name(a, 1)) == false);
        rig.inbox.remove(a);
        CHECK_FALSE(rig.inbox.outcomes().lost(rig.name(a, 0)));
        CHECK(rig.inbox.outcomes().lost(rig.name(a, 1)));
        rig.lanes.erase(0);
    }

    TEST_CASE("what waits longer than its lifetime is dropped, what only waits in line is not") {
        Line rig;
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        CHECK(rig.arrive_after(b, 0, "patient", {rig.name(a, 0)}));
        CHECK(rig.arrive_after(b, 1, "late", {rig.name(a, 1)}, rig.now + 1s, false));
        CHECK(rig.inbox.deadline() == rig.now + 1s);
        rig.now += 1s;
        rig.inbox.handle_timeout(rig.now);
        CHECK(rig.dropped() == std::vector<std::uint64_t>{1});
        CHECK(rig.arrive(a, 0, "a"));
        CHECK(rig.take(b) == "patient");
        CHECK(rig.take(b) == "(nothing)");
    }

    TEST_CASE("antecedents that never come cost what they weigh, and end as stalled") {
        Line rig(1 << 20);
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        for (std::uint64_t i = 0; i < 1000 && !rig.inbox.fullest(); ++i) {
            std::vector<Antecedent> all;
            for (std::uint64_t j = 0; j < 16; ++j) all.push_back(rig.name(a, 16 * i + j));
            CHECK(rig.arrive_after(b, i, "", all, never, false));
        }
        CHECK(rig.inbox.fullest() == &b);
        CHECK(rig.inbox.stalled(rig.now + 59s).empty());
        CHECK(rig.inbox.stalled(rig.now + 60s) == std::vector<InLane*>{&b});
        rig.inbox.end(rig.now, b, Error(Errc::stalled));
        rig.inbox.discard(rig.now, b);
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("a hundred thousand messages behind a held one come out at once") {
        Line rig(1 << 28);
        InLane& a = rig.lane(0);
        InLane& b = rig.lane(2);
        CHECK(rig.arrive_after(b, 0, "0", {rig.name(a, 0)}));
        for (std::uint64_t i = 1; i < 100'000; ++i) REQUIRE(rig.arrive(b, i, std::to_string(i)));
        CHECK(rig.arrive(a, 0, "a"));
        for (std::uint64_t i = 0; i < 100'000; ++i) REQUIRE(rig.take(b) == std::to_string(i));
        CHECK(rig.charge.overhead > 0);  // of "a"
    }

    TEST_CASE("what waits in a Carrier that ended well goes with its connection") {
        Line rig;
        InLane& lost = rig.lane(0);
        InLane& lane = rig.lane(2);
        CHECK(rig.arrive_after(lane, 0, "held", {rig.name(lost, 0)}));
        rig.inbox.end(rig.now, lane, Error(Errc::carrier_closed));
        CHECK_FALSE(lane.done());
        rig.inbox.end(rig.now, lane, Error(Errc::connection_lost));
        CHECK(lane.done());
        CHECK(lane.ended() == Errc::connection_lost);
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("of a successor that fails half way nothing is kept") {
        Line rig;
        InLane& lost = rig.lane(0);
        InLane& lane = rig.lane(2);
        CHECK(rig.arrive_after(lane, 0, Bytes(std::string(1000, 'x')), {rig.name(lost, 0)},
                               rig.now + 1s, true, 5000));
        CHECK(rig.inbox.charged() == 1000);
        rig.now += 1s;
        rig.inbox.handle_timeout(rig.now);
        CHECK(rig.inbox.charged() == 0);
        rig.inbox.handle_abandon(rig.now, lane, {lane.carrier, {}, Sequence{0}});
        CHECK(rig.arrive(lane, 1, "next"));
        CHECK(rig.take(lane) == "next");
    }

    TEST_CASE("a message that came in chunks and alone is one") {
        Line rig;
        InLane& lost = rig.lane(0);
        InLane& lane = rig.lane(2);
        CHECK(rig.arrive_after(lane, 0, "held", {rig.name(lost, 0)}));
        CHECK(rig.arrive(lane, 1, "abc", 0, 6));
        core::Inbox::After after{.missing = {rig.name(lost, 1)}};
        rig.inbox.handle_alone(rig.now, lane, rig.piece(lane, 1, "abcdef"), after);
        CHECK(rig.arrive(lane, 1, "def", 3, 6));
        rig.inbox.end(rig.now, lane, Error(Errc::carrier_reset));
        rig.inbox.discard(rig.now, lane);
        CHECK(lane.done());
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    // Parts.

    TEST_CASE("a message comes in parts of the size that was asked for") {
        Line rig;
        InLane& lane = rig.lane(0);
        CHECK_FALSE(rig.inbox.take_part(lane, 4, 6));
        CHECK(rig.arrive(lane, 0, "abc", 0, 13));
        CHECK_FALSE(rig.inbox.take_part(lane, 4, 6));
        CHECK(rig.arrive(lane, 0, "defghij", 3, 13));
        auto part = rig.inbox.take_part(lane, 4, 6);
        REQUIRE(part);
        CHECK(part->view() == "abcdef");
        CHECK(part->offset() == 0);
        CHECK(part->total() == 13);
        CHECK_FALSE(part->last());
        part = rig.inbox.take_part(lane, 4, 6);
        REQUIRE(part);
        CHECK(part->view() == "ghij");
        CHECK(part->offset() == 6);
        CHECK(rig.arrive(lane, 0, "klm", 10, 13));
        part = rig.inbox.take_part(lane, 4, 6);  // less than the minimum, since it ends
        REQUIRE(part);
        CHECK(part->view() == "klm");
        CHECK(part->offset() == 10);
        CHECK(part->total() == 13);
        CHECK(part->last());
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("a whole message that is longer than a part is cut, a shorter one is not") {
        Line rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "abcdefgh"));
        CHECK(rig.arrive(lane, 1, "xy"));
        CHECK(rig.inbox.take_part(lane, 1, 5)->view() == "abcde");
        auto part = rig.inbox.take_part(lane, 1, 5);
        CHECK(part->view() == "fgh");
        CHECK(part->offset() == 5);
        CHECK(part->last());
        part = rig.inbox.take_part(lane, 1, 5);
        CHECK(part->view() == "xy");
        CHECK(part->offset() == 0);
        CHECK(part->last());
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("receiving in parts needs no window but what was taken, and knows no limit") {
        Line rig;
        InLane& lane = rig.lane(0);
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 1 << 20));
        const std::uint64_t total = std::uint64_t{1} << 40;
        std::uint64_t sent = 0;
        std::uint64_t allowed = rig.window;
        for (int i = 0; i < 100; ++i) {
            const std::uint64_t size = std::min<std::uint64_t>(16 * 1024, allowed - sent);
            REQUIRE(rig.arrive(lane, 0, Bytes(std::string(size, 'x')), sent, total));
            sent += size;
            while (rig.inbox.take_part(lane, 1, 10'000)) {}
            rig.now += 1s;  // no reason for a larger window
            rig.flush();
            allowed = rig.window + rig.promised(lane);
            CHECK(allowed - sent <= rig.window);
        }
        CHECK(sent > 1'000'000);
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("a long message waits for whoever may still ask for parts") {
        Line rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "x", 0, std::uint64_t{1} << 40));
        CHECK_FALSE(rig.inbox.too_large(lane) == std::nullopt);
        rig.flush();
        CHECK(rig.promised(lane) == 0);  // nothing is granted
        SUBCASE("parts are asked for") {
            CHECK(rig.inbox.take_part(lane, 1, 10)->view() == "x");
            CHECK(rig.inbox.too_large(lane) == std::nullopt);
        }
        SUBCASE("whole messages are") {
            CHECK(rig.take(lane) == "(nothing)");
            REQUIRE(rig.inbox.too_large(lane));
            CHECK(rig.inbox.too_large(lane)->code == Errc::message_too_large);
        }
        SUBCASE("or the Carrier has a limit for parts too") {
            lane.set_limit(1 << 30);
            CHECK(rig.inbox.take_part(lane, 1, 10)->view() == "x");
            CHECK(rig.arrive(lane, 1, "y", 0, 1 << 30));
            CHECK(rig.arrive(lane, 2, "z", 0, (1 << 30) + 1).error() == Errc::message_too_large);
        }
    }

    TEST_CASE("of a message that is given up after a part of it was taken the end is shown") {
        Line rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "abc", 0, 100));
        CHECK(rig.inbox.take_part(lane, 1, 2)->view() == "ab");
        rig.inbox.handle_abandon(rig.now, lane, {lane.carrier, {}, Sequence{0}});
        const auto end = rig.inbox.take_part(lane, 1, 2);
        REQUIRE(end);
        CHECK(end->cut());
        CHECK(end->last());
        CHECK(end->size() == 0);
        CHECK(end->offset() == 2);
        CHECK(end->total() == 100);
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 2));
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("whole messages asked for behind parts are granted whole again") {
        Line rig(1 << 22);
        InLane& lane = rig.lane(0);
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 100));
        rig.arrive_cut(lane, 0, 1'000'000, 32'000);
        rig.flush();
        CHECK(rig.promised(lane) < 100'000);
        while (rig.inbox.take_part(lane, 1, 100'000)) {}
        CHECK(rig.take(lane) == "(nothing)");
        rig.flush();
        CHECK(rig.promised(lane) > 900'000);
    }

    TEST_CASE("a limit that is raised lets the message come that was too long") {
        Line rig(1 << 26);
        InLane& lane = rig.lane(0);
        rig.arrive_cut(lane, 0, 20'000'000, 20'000);
        rig.flush();
        CHECK(rig.promised(lane) == 0);
        rig.inbox.set_limit(lane, 30'000'000);
        CHECK(rig.take(lane) == "(nothing)");
        CHECK(rig.inbox.too_large(lane) == std::nullopt);
        rig.flush();
        CHECK(rig.promised(lane) > 19'000'000);
    }

    TEST_CASE("who takes parts is woken when what stood before is dropped") {
        Line rig;
        InLane& lost = rig.lane(0);
        InLane& lane = rig.lane(2);
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 100));
        CHECK(rig.arrive_after(lane, 0, "held", {rig.name(lost, 0)}));
        CHECK(rig.arrive(lane, 1, "abc", 0, 100));
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 100));
        rig.inbox.events().clear();
        rig.inbox.handle_skip(rig.now, lost, {lost.carrier, {}, Sequence{0}, 1});
        CHECK(rig.inbox.events().size() == 1);
        CHECK(rig.inbox.take_part(lane, 1, 100)->view() == "abc");
    }

    TEST_CASE("no part is shown of what has to come after others") {
        Line rig;
        InLane& first = rig.lane(0);
        InLane& lane = rig.lane(2);
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 100));
        CHECK(rig.arrive_after(lane, 0, "abc", {rig.name(first, 0)}, never, true, 100));
        CHECK(rig.arrive(lane, 0, "urgent", 0, 0, 1));
        CHECK(rig.inbox.take_part(lane, 1, 100)->view() == "urgent");
        CHECK_FALSE(rig.inbox.take_part(lane, 1, 100));
        CHECK(rig.arrive(first, 0, "first"));
        CHECK(rig.inbox.take_part(lane, 1, 100)->view() == "abc");
    }
}

}  // namespace post::test
