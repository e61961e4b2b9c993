// What an application says of a message beside its bytes: deadlines, order, weight and antecedents,
// and what the outbox makes of it.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/outbox_support.hpp"

using post::Bytes;
using post::CarrierId;
using post::Delivered;
using post::Errc;
using post::Error;
using post::Instant;
using post::MessageId;
using post::NicenessClass;
using post::Piece;
using post::Sequence;
using post::core::OutLane;
using post::test::Rig;
using Words = std::vector<std::string>;

namespace {

Instant at(int seconds) { return Instant{} + std::chrono::seconds(seconds); }

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("among equals the earliest deadline goes first, and those without one last") {
        Rig rig;
        rig.send(rig.lane(0), "none");
        rig.send(rig.lane(2), "late", {}, at(9));
        rig.send(rig.lane(4), "soon", {}, at(1));
        rig.send(rig.lane(6), "nicer", {.niceness = 1}, at(0));
        CHECK(rig.pull_all() == Words{"4/0#0 soon", "2/0#0 late", "0/0#0 none", "6/1#0 nicer"});
    }

    TEST_CASE("the first of an ordered class inherits the earliest deadline behind it") {
        Rig rig;
        rig.send(rig.lane(0), "first");
        rig.send(rig.lane(2), "other", {}, at(5));
        rig.send(rig.lane(0), "behind", {}, at(1));
        rig.send(rig.lane(0), "at ease");
        CHECK(rig.pull_all() ==
              Words{"0/0#0 first", "0/0#1 behind", "2/0#0 other", "0/0#2 at ease"});
    }

    TEST_CASE("a deadline that is over hurries nobody any more") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "first");
        rig.send(lane, "gone", {}, at(1));
        rig.send(rig.lane(2), "other", {}, at(5));
        rig.outbox.handle_timeout(at(2));
        CHECK(rig.fates() == Words{"expired 0/0#1"});
        CHECK(rig.pull_all() == Words{"2/0#0 other", "0/0#0 first", "skip 0/0#1x1"});
    }

    TEST_CASE("unordered messages overtake by deadline, ordered ones do not") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "a", {.ordered = false}, at(9));
        rig.send(lane, "b", {.ordered = false}, at(3));
        rig.send(lane, "c", {}, at(5));
        rig.send(lane, "d", {}, at(1));
        rig.send(lane, "e", {.ordered = false});
        CHECK(rig.pull() == "0/0#2 c");  // with the deadline of d
        CHECK(std::get<post::Piece>(rig.out).marks.ordered);
        CHECK(rig.pull() == "0/0#3 d");
        CHECK(rig.pull() == "0/0#1 b");
        CHECK_FALSE(std::get<post::Piece>(rig.out).marks.ordered);
        CHECK(rig.pull_all() == Words{"0/0#0 a", "0/0#4 e"});
        rig.outbox.packed(lane, 5);
        CHECK(rig.delivered(lane, 5));
        CHECK(rig.outstanding == 0);
    }

    TEST_CASE("an unordered message that expires is announced, before it began and after") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abcd", {.ordered = false}, at(1));
        CHECK(rig.pull(2) == "0/0#0+0 ab");
        rig.send(lane, "never", {.ordered = false}, at(1));
        rig.send(lane, "x");
        rig.outbox.handle_timeout(at(2));
        CHECK(rig.pull_all() == Words{"abandon 0/0#0", "skip 0/0#1x1", "0/0#2 x"});
        CHECK(rig.fates() == Words{"expired 0/0#0", "expired 0/0#1"});
    }

    TEST_CASE("no more than 64 messages of a Carrier are begun at once") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        // Each is more urgent than all before, and would begin at once.
        for (int i = 0; i < 100; ++i) rig.send(lane, "ab", {.ordered = false}, at(1000 - i));
        std::size_t begun = 0;
        for (int i = 0; i < 100; ++i) {
            REQUIRE(!rig.pull(1).empty());
            const auto& piece = std::get<post::Piece>(rig.out);
            begun += piece.first() ? 1 : 0;
            if (!piece.first()) --begun;
            rig.send(lane, "ab", {.ordered = false}, at(500 - i));
            CHECK(begun <= 64);
        }
        CHECK(rig.pull_all(1).size() == 300);
    }

    TEST_CASE("a message that was offered before the 64th had begun does not begin behind it") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        const auto begin_fed = [&](std::uint32_t niceness) {
            const post::SendOptions options{.niceness = niceness};
            const auto sequence = rig.outbox.push(lane, {}, {.options = options, .fed = 4});
            rig.outbox.feed(lane, NicenessClass{static_cast<std::uint8_t>(niceness)}, sequence,
                            Bytes("x"));
            return sequence;
        };
        // Each has begun and waits for its next bytes.
        for (std::uint32_t niceness = 63; niceness >= 1; --niceness) {
            begin_fed(niceness);
            REQUIRE(rig.pull() == "0/" + std::to_string(niceness) + "#0+0 x");
        }
        const auto last = begin_fed(0);
        rig.send(lane, "ab", {.niceness = 63, .ordered = false});
        CHECK(rig.pull(1) == "0/0#0+0 x");
        CHECK(rig.pull(1).empty());
        rig.outbox.feed(lane, {}, last, Bytes("xyz"));
        CHECK(rig.pull() == "0/0#0+1 xyz");
        CHECK(rig.pull(1) == "0/63#1+0 a");
    }

    TEST_CASE("Carriers share by weight") {
        Rig rig;
        std::vector<std::uint64_t> sent(3);
        for (std::uint64_t i = 0; i < 3; ++i) {
            OutLane& lane = rig.lane(2 * i);
            lane.weight = static_cast<std::uint32_t>(1 << (2 * i));  // 1, 4, 16
            for (int n = 0; n < 2000; ++n) rig.send(lane, Bytes(std::string(100, 'x')));
        }
        for (int n = 0; n < 2100; ++n) {
            REQUIRE(rig.outbox.turn());
            rig.outbox.next(rig.now, 1200, rig.out);
            ++sent[std::get<post::Piece>(rig.out).carrier.value() / 2];
        }
        CHECK(sent[0] == doctest::Approx(100).epsilon(0.1));
        CHECK(sent[1] == doctest::Approx(400).epsilon(0.1));
        CHECK(sent[2] == doctest::Approx(1600).epsilon(0.1));
    }

    TEST_CASE("a Carrier that comes back is not given what it missed") {
        Rig rig;
        for (int n = 0; n < 100; ++n) rig.send(rig.lane(0), Bytes(std::string(100, 'x')));
        CHECK(rig.pull_all().size() == 100);
        for (int n = 0; n < 40; ++n) {
            rig.send(rig.lane(0), Bytes(std::string(100, 'x')));
            rig.send(rig.lane(2), Bytes(std::string(100, 'y')));
        }
        int second = 0;
        for (int n = 0; n < 40; ++n) second += rig.pull().starts_with("2/") ? 1 : 0;
        CHECK(second >= 17);
        CHECK(second <= 23);
    }

    TEST_CASE("a message waits until those that it comes after are acknowledged") {
        Rig rig;
        const MessageId a = rig.send(rig.lane(0), "a");
        const MessageId b = rig.send(rig.lane(2), "b");
        rig.send_after({a, b}, rig.lane(4), "c");
        rig.send(rig.lane(4), "behind c");
        CHECK(rig.pull_all() == Words{"0/0#0 a", "2/0#0 b"});
        rig.outbox.packed(rig.lane(0), 1);
        rig.outbox.packed(rig.lane(2), 1);
        CHECK(rig.delivered(rig.lane(0), 1));
        CHECK(rig.pull().empty());
        CHECK(rig.delivered(rig.lane(2), 1));
        CHECK(rig.pull_all() == Words{"4/0#0 c", "4/0#1 behind c"});
        // Of those that are acknowledged already nothing is waited for.
        rig.send_after({a, b}, rig.lane(4), "d");
        CHECK(rig.pull_all() == Words{"4/0#2 d"});
    }

    TEST_CASE("where the peer's library waits a message leaves behind what it comes after") {
        Rig rig;
        auto& lane = rig.lane(0);
        auto& other = rig.lane(2);
        const MessageId large = rig.send(lane, std::string(2000, 'L'), {.niceness = 9});
        rig.send_after({large}, other, "after", {.properties = {}}, at(5));
        CHECK(rig.pull(1200).substr(0, 8) == "0/9#0+0 ");
        rig.outbox.know_peer({.antecedents = true});
        for (auto& [id, one] : rig.lanes) rig.outbox.reconsider(*one);
        CHECK(rig.pull(1200).substr(0, 11) == "0/9#0+1200 ");
        CHECK(rig.pull() == "");
        rig.outbox.packed(lane, 1);
        CHECK(rig.pull() == "");
        rig.now = at(2);
        rig.outbox.packed(lane, 1);
        CHECK(rig.pull() == "2/0#0 after");
        const Piece& piece = std::get<Piece>(rig.out);
        REQUIRE(piece.extras);
        CHECK(piece.extras->lifetime == std::chrono::seconds(3));
        REQUIRE(piece.extras->antecedents.size() == 1);
        CHECK(piece.extras->antecedents[0].carrier == CarrierId{0});
        CHECK(piece.extras->antecedents[0].niceness == NicenessClass{9});
        rig.outbox.packed(other, 1);
        // Of what is held back over there the peer says nothing.
        CHECK(rig.outbox.packed_messages() == 1);
        SUBCASE("what is acknowledged already is not named any more") {
            CHECK(rig.delivered(lane, 1, {}, 9));
            CHECK(rig.outbox.packed_messages() == 1);
            rig.send_after({large}, other, "late");
            CHECK(rig.pull() == "2/0#1 late");
            CHECK_FALSE(std::get<Piece>(rig.out).extras);
            CHECK(rig.delivered(other, 1));
            CHECK(rig.outbox.packed_messages() == 0);
        }
        SUBCASE("one that is packed is the receiver's to drop when its antecedent fails here") {
            rig.outbox.fail(lane, Error(Errc::cancelled));
            rig.fates();
            CHECK(rig.outbox.packed_messages() == 1);
            Delivered said;
            said.carrier = other.carrier;
            said.watermark = Sequence{1};
            said.dropped = std::vector<Delivered::Range>{{Sequence{0}, 1}};
            CHECK(rig.outbox.handle_delivered(other, said));
            CHECK(rig.fates() == std::vector<std::string>{"expired 2/0#0"});
            CHECK(rig.outbox.packed_messages() == 0);
        }
    }

    TEST_CASE("what is made while it is sent counts against the budget before it is made") {
        Rig rig({1 << 20, 1 << 24, 1 << 24});
        auto& lane = rig.lane(0);
        const auto sequence = rig.outbox.push(lane, {}, {.options = {}, .fed = 5'000'000});
        CHECK_FALSE(rig.outbox.writable(lane));
        CHECK(rig.pull() == "");
        std::uint64_t fed = 0;
        std::uint64_t pulled = 0;
        while (pulled < 5'000'000) {
            const auto events = std::exchange(rig.outbox.events(), {});
            for (const post::core::Happened& event : events) {
                const auto* wanted = std::get_if<post::core::happened::Wanted>(&event);
                if (!wanted) continue;
                CHECK(wanted->offset == fed);
                fed += wanted->most;
                rig.outbox.feed(lane, {}, sequence, Bytes(std::string(wanted->most, 'x')));
            }
            CHECK(fed - pulled <= 1'400'000);
            while (rig.outbox.turn()) {
                rig.outbox.next(rig.now, 60'000, rig.out);
                pulled += std::get<Piece>(rig.out).bytes.size();
                rig.outbox.packed(lane, 1);
            }
        }
        CHECK(rig.outbox.writable(lane));
        CHECK(lane.queued() == 0);
        CHECK(rig.delivered(lane, 1));
        // What is fed behind its end is dropped.
        rig.outbox.feed(lane, {}, sequence, Bytes("more"));
        CHECK(lane.queued() == 0);
        const auto other = rig.outbox.push(lane, {}, {.options = {}, .fed = 5'000'000});
        rig.outbox.feed(lane, {}, other, Bytes(std::string(1000, 'x')));
        CHECK(rig.outbox.give_up(lane, {}, other, Error(Errc::cancelled)));
        CHECK(lane.queued() == 0);
    }

    TEST_CASE(
        "of what is made while it is sent each piece of news comes once, from a plain peer too") {
        Rig rig;
        rig.outbox.know_peer({.plain = true});
        auto& lane = rig.lane(0);
        const auto sequence = rig.outbox.push(lane, {}, {.options = {}, .fed = 3});
        for (const char* part : {"a", "b", "c"}) rig.outbox.feed(lane, {}, sequence, Bytes(part));
        CHECK(rig.pull_all().size() == 3);
        rig.outbox.packed(lane, 3);
        for (int i = 0; i < 3; ++i) rig.outbox.handle_acked(lane, 1);
        std::vector<std::uint64_t> told;
        for (const post::core::Happened& event : rig.outbox.events())
            if (const auto* furthered = std::get_if<post::core::happened::Furthered>(&event))
                told.push_back(furthered->bytes);
        CHECK(told == std::vector<std::uint64_t>{1, 2, 3});
    }

    TEST_CASE("what others wait for is as urgent as they are, and so is what it waits for itself") {
        Rig rig;
        const MessageId a = rig.send(rig.lane(0), "a", {.niceness = 9});
        const MessageId b = rig.send_after({a}, rig.lane(2), "b", {.niceness = 8});
        rig.send(rig.lane(4), "bulk", {.niceness = 5});
        rig.send_after({b}, rig.lane(6), "c", {.niceness = 1}, at(3));
        rig.send(rig.lane(8), "d", {.niceness = 1}, at(4));
        CHECK(rig.pull() == "0/9#0 a");
        rig.outbox.packed(rig.lane(0), 1);
        CHECK(rig.delivered(rig.lane(0), 1, {}, 9));
        CHECK(rig.pull() == "2/8#0 b");
        rig.outbox.packed(rig.lane(2), 1);
        CHECK(rig.delivered(rig.lane(2), 1, {}, 8));
        CHECK(rig.pull_all() == Words{"6/1#0 c", "8/1#0 d", "4/5#0 bulk"});
    }

    TEST_CASE("a successor of a message that expires expires too, and so do its own") {
        Rig rig;
        const MessageId a = rig.send(rig.lane(0), "a", {}, at(1));
        const MessageId b = rig.send_after({a}, rig.lane(2), "b");
        rig.send_after({b}, rig.lane(4), "c", {.ordered = false});
        rig.send(rig.lane(6), "d");
        rig.outbox.handle_timeout(at(1));
        CHECK(rig.fates() == Words{"expired 0/0#0", "expired 2/0#0", "expired 4/0#0"});
        CHECK(rig.pull_all() == Words{"6/0#0 d", "skip 0/0#0x1", "skip 2/0#0x1", "skip 4/0#0x1"});
        // Also one that is sent afterwards.
        rig.send_after({b}, rig.lane(6), "e");
        CHECK(rig.fates() == Words{"expired 6/0#1"});
        CHECK(rig.outstanding == 1);  // d
    }

    TEST_CASE("a successor ends with its own Carrier, and nobody waits for it any more") {
        Rig rig;
        const MessageId a = rig.send(rig.lane(0), "a");
        rig.send_after({a}, rig.lane(2), "b");
        rig.outbox.fail(rig.lane(2), post::Error(post::Errc::cancelled));
        CHECK(rig.fates() == Words{"failed 2/0#0"});
        CHECK(rig.pull_all() == Words{"0/0#0 a"});
        rig.outbox.packed(rig.lane(0), 1);
        CHECK(rig.delivered(rig.lane(0), 1));
        CHECK(rig.fates() == Words{"sent 0/0#0", "acked 0/0#0"});
    }

    TEST_CASE("a Carrier that fails takes along what comes after its messages") {
        Rig rig;
        const MessageId a = rig.send(rig.lane(0), "a");
        rig.send_after({a}, rig.lane(2), "b");
        rig.outbox.fail(rig.lane(0), post::Error(post::Errc::cancelled));
        CHECK(rig.fates() == Words{"failed 0/0#0", "expired 2/0#0"});
        CHECK(rig.pull_all() == Words{"skip 2/0#0x1"});
    }

    // Above 63 one class has many nicenesses, and a queue of its own for none of them.
    TEST_CASE("ordered messages of the last class keep their order when a later one is hurried") {
        Rig rig;
        rig.send(rig.lane(0), "first", {.niceness = 65});
        const MessageId second = rig.send(rig.lane(0), "second", {.niceness = 65});
        rig.send(rig.lane(0), "nicer", {.niceness = 64});
        rig.send_after({second}, rig.lane(2), "urgent");
        CHECK(rig.pull_all() == Words{"0/63#0 first", "0/63#1 second", "0/63#2 nicer"});
    }

    TEST_CASE("ordered messages of the last class keep their order when the first has to wait") {
        Rig rig;
        const MessageId other = rig.send(rig.lane(2), "other");
        rig.send_after({other}, rig.lane(0), "first", {.niceness = 65});
        rig.send(rig.lane(0), "second", {.niceness = 65});
        rig.send(rig.lane(0), "third", {.niceness = 65});
        rig.send(rig.lane(0), "unordered", {.niceness = 65, .ordered = false});
        rig.send(rig.lane(0), "another", {.niceness = 66});
        CHECK(rig.pull_all() == Words{"2/0#0 other", "0/63#3 unordered", "0/63#4 another"});
        rig.outbox.packed(rig.lane(2), 1);
        CHECK(rig.delivered(rig.lane(2), 1));
        CHECK(rig.pull_all() == Words{"0/63#0 first", "0/63#1 second", "0/63#2 third"});
    }

    TEST_CASE("an ordered message of the last class that ends keeps nobody behind it waiting") {
        Rig rig;
        const MessageId other = rig.send(rig.lane(2), "other", {.niceness = 9}, at(5));
        rig.send_after({other}, rig.lane(0), "first", {.niceness = 65});
        rig.send_after({other}, rig.lane(0), "second", {.niceness = 65}, at(1));
        rig.send(rig.lane(0), "third", {.niceness = 65});
        rig.outbox.handle_timeout(at(1));
        CHECK(rig.pull_all() == Words{"2/9#0 other", "skip 0/63#1x1"});
        rig.outbox.fail(rig.lane(2), post::Error(post::Errc::cancelled));
        CHECK(rig.pull_all() == Words{"skip 0/63#0x1", "0/63#2 third"});
        CHECK(rig.outstanding == 1);
    }

    TEST_CASE("DELIVERED can say that a message was dropped") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        for (int i = 0; i < 3; ++i) rig.send(lane, "x");
        CHECK(rig.pull_all().size() == 3);
        rig.outbox.packed(lane, 3);
        rig.fates();
        post::Delivered said;
        said.watermark = post::Sequence{3};
        said.dropped = std::vector<post::Delivered::Range>{{post::Sequence{1}, 1}};
        CHECK(rig.outbox.handle_delivered(lane, said));
        CHECK(rig.fates() == Words{"expired 0/0#1", "acked 0/0#0", "acked 0/0#2"});
    }

    TEST_CASE("a million messages wait, and each is found at once") {
        Rig rig({1 << 30, 1 << 30, 1 << 30});
        for (std::uint64_t n = 0; n < 1'000'000; ++n)
            rig.send(rig.lane(2 * (n % 1000)), "x", {.niceness = static_cast<std::uint32_t>(n % 7)},
                     n % 3 == 0 ? at(static_cast<int>(1'000'000 - n)) : post::never);
        std::size_t pulled = 0;
        std::uint32_t niceness = 0;
        while (rig.outbox.turn()) {
            rig.outbox.next(rig.now, 1200, rig.out);
            const auto& piece = std::get<post::Piece>(rig.out);
            CHECK(piece.niceness.value() >= niceness);
            niceness = piece.niceness.value();
            ++pulled;
        }
        CHECK(pulled == 1'000'000);
    }

    TEST_CASE("a hundred thousand messages that wait for the same one end at once") {
        Rig rig({1 << 30, 1 << 30, 1 << 30});
        const MessageId first = rig.send(rig.lane(0), "first");
        for (int n = 0; n < 100'000; ++n) rig.send_after({first}, rig.lane(2), "x");
        rig.lane(2).fates = false;
        rig.outbox.fail(rig.lane(2), post::Error(post::Errc::cancelled));
        CHECK(rig.outstanding == 1);
    }
}
