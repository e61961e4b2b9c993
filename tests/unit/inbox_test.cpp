// Inbox: messages put together from pieces, what is copied, what is charged, and what is reported.
#include "lib/association/inbox.hpp"

#include <array>
#include <ostream>
#include <random>
#include <span>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/inbox_support.hpp"

using namespace std::chrono_literals;
using post::Abandon;
using post::Bytes;
using post::CarrierId;
using post::Delivered;
using post::Errc;
using post::Error;
using post::NicenessClass;
using post::Sequence;
using post::Skip;
using post::core::Inbox;
using post::core::InLane;
using post::test::InRig;

namespace {

std::string text(std::size_t size) {
    std::string made(size, ' ');
    for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<char>('a' + i % 23);
    return made;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("messages are taken in the order in which they became whole") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "one"));
        CHECK(rig.arrive(lane, 1, "two"));
        CHECK(rig.inbox.charged() == 6);
        CHECK(rig.charge.charged == 6);
        CHECK(rig.take(lane) == "one");
        CHECK(rig.take(lane) == "two");
        CHECK(rig.take(lane) == "(nothing)");
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.charged == 0);
    }

    TEST_CASE("a run of short messages is taken in together, where nothing is special") {
        InRig rig;
        InLane& lane = rig.lane(0);
        const Bytes text("onetwo");
        const std::array<std::span<const std::byte>, 3> contents{
            text.span().first(3), text.span().subspan(3), text.span().first(0)};
        post::event::ArrivedRun run{lane.carrier, Sequence{0}, contents, 6, true};
        CHECK(rig.inbox.handle_run(rig.now, lane, run));
        CHECK(bool{lane.ask});
        CHECK(rig.inbox.charged() == 6);
        CHECK(lane.work->receipts.front().watermark() == 3);
        run.first = Sequence{4};
        CHECK(!rig.inbox.handle_run(rig.now, lane, run));  // one is missing
        CHECK(rig.arrive(lane, 3, "big", 0, 6));
        CHECK(!rig.inbox.handle_run(rig.now, lane, run));  // one is unfinished
        CHECK(rig.arrive(lane, 3, "ger", 3, 6));
        CHECK(rig.inbox.handle_run(rig.now, lane, run));
        rig.inbox.set_limit(lane, 100);
        run.first = Sequence{7};
        CHECK(!rig.inbox.handle_run(rig.now, lane, run));  // perhaps one is too long
        for (const char* one : {"one", "two", "", "bigger", "one", "two", ""})
            CHECK(rig.take(lane) == one);
        CHECK(rig.take(lane) == "(nothing)");
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.charge.overhead == 0);
    }

    TEST_CASE("an empty message is a message") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, ""));
        CHECK(lane.work->whole.size() == 1);
        CHECK(rig.take(lane).empty());
    }

    TEST_CASE("messages of different classes interleave and come out whole") {
        InRig rig;
        InLane& lane = rig.lane(0);
        const std::string bulk = text(50'000);
        for (std::size_t at = 0; at < bulk.size(); at += 5000) {
            CHECK(rig.arrive(lane, 0, Bytes(bulk.substr(at, 5000)), at, bulk.size(), 1));
            CHECK(rig.arrive(lane, at / 5000, "!"));
        }
        for (int i = 0; i < 9; ++i) CHECK(rig.take(lane) == "!");
        auto whole = rig.inbox.take(lane);
        REQUIRE(whole);
        CHECK(whole->niceness() == 1);
        CHECK(whole->view() == bulk);
        CHECK(rig.take(lane) == "!");
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("small content is copied and large content is not") {
        InRig rig;
        InLane& lane = rig.lane(0);
        std::uint64_t sequence = 0;
        for (const std::size_t size : std::initializer_list<std::size_t>{
                 1, 2047, 2048, 16 * 1024 - 1, 16 * 1024, 100 * 1024}) {
            CAPTURE(size);
            const Bytes received = Bytes(text(size));
            CHECK(rig.arrive(lane, sequence++, received));
            auto message = rig.inbox.take(lane);
            REQUIRE(message);
            CHECK(message->content() == received);
            CHECK((message->content().data() == received.data()) == (size >= 16 * 1024));
        }
    }

    TEST_CASE("small messages share blocks, and a kept one does not hold the wire's buffer") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "first"));
        CHECK(rig.arrive(lane, 1, "second"));
        auto first = rig.inbox.take(lane);
        auto second = rig.inbox.take(lane);
        CHECK(first->content().continues_in(second->content()));
    }

    TEST_CASE("a message in pieces is one run of memory when the pieces are small") {
        InRig rig;
        InLane& lane = rig.lane(0);
        rig.arrive_cut(lane, 0, 4000, 4000);
        auto message = rig.inbox.take(lane);
        REQUIRE(message);
        std::size_t segments = 0;
        message->segments([&](const Bytes&) { ++segments; });
        CHECK(segments == 1);
        CHECK(message->size() == 4000);
    }

    TEST_CASE("nothing is allocated by what is only announced") {
        InRig rig(64 << 20);
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "x", 0, 16 * 1024 * 1024));
        REQUIRE(lane.work->unfinished.size() == 1);
        CHECK(lane.work->unfinished[0].tail.capacity() <= 4096);
        rig.arrive_cut(lane, 0, 16 << 20, 300'000, 0, 1);
        CHECK(lane.work->unfinished[0].tail.capacity() <= 64 * 1024);
    }

    TEST_CASE("a message above the limit is refused at its first piece") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.take(lane) == "(nothing)");  // whole messages are wanted
        const auto refused = rig.arrive(lane, 0, "x", 0, 16 * 1024 * 1024 + 1);
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == Errc::message_too_large);
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.arrive(lane, 0, "x", 0, 16 * 1024 * 1024));
    }

    TEST_CASE("a message that comes twice is shown once") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "once"));
        CHECK(rig.arrive(lane, 0, "once"));
        CHECK(rig.take(lane) == "once");
        CHECK(rig.take(lane) == "(nothing)");
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("a peer that mixes up the chunks of a message breaks a rule") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "abc", 0, 10));
        SUBCASE("with another length") {
            CHECK(rig.arrive(lane, 0, "def", 3, 11).error() == Errc::protocol_violation);
        }
        SUBCASE("with a gap") {
            CHECK(rig.arrive(lane, 0, "def", 4, 10).error() == Errc::protocol_violation);
        }
        SUBCASE("whole under the number of a begun one") {
            CHECK(rig.arrive(lane, 0, "whole").error() == Errc::protocol_violation);
        }
        SUBCASE("without a beginning") {
            CHECK(rig.arrive(lane, 1, "def", 3, 10).error() == Errc::protocol_violation);
        }
        rig.inbox.discard(rig.now, lane);
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("what an earlier connection brought is dropped when it comes again") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "abcde", 0, 10));
        CHECK(rig.arrive(lane, 0, "abc", 0, 10));
        CHECK(rig.arrive(lane, 0, "defghij", 3, 10));
        CHECK(rig.take(lane) == "abcdefghij");
        CHECK(rig.arrive(lane, 0, "abcdef", 0, 10));
        CHECK(rig.arrive(lane, 0, "ghij", 6, 10));
        CHECK(rig.take(lane) == "(nothing)");
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("an abandoned message is gone without a trace but its receipt") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "abc", 0, 10));
        rig.inbox.handle_abandon(rig.now, lane, Abandon{lane.carrier, {}, Sequence{0}});
        CHECK(rig.inbox.charged() == 0);
        CHECK(lane.held() == 0);
        CHECK(rig.take(lane) == "(nothing)");
        const auto reports = rig.reports(true);
        REQUIRE(reports.size() == 1);
        CHECK(reports[0].watermark == Sequence{1});
    }

    TEST_CASE("the end drops what is unfinished and keeps what is whole") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "whole"));
        CHECK(rig.arrive(lane, 1, "part", 0, 10));
        rig.inbox.end(rig.now, lane, Error(Errc::carrier_reset));
        CHECK(rig.inbox.charged() == 5);
        CHECK(rig.arrive(lane, 1, "late", 4, 10));  // of no consequence
        CHECK(rig.inbox.charged() == 5);
        CHECK(rig.take(lane) == "whole");
        CHECK(lane.ended() == Errc::carrier_reset);
        rig.inbox.end(rig.now, lane, Error(Errc::cancelled));  // the first reason stays
        CHECK(lane.ended() == Errc::carrier_reset);
    }

    TEST_CASE("readable is said once until take finds nothing") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "a"));
        CHECK(rig.arrive(lane, 1, "b"));
        CHECK(rig.inbox.events().size() == 1);
        rig.take(lane);
        CHECK(rig.arrive(lane, 2, "c"));
        CHECK(rig.inbox.events().size() == 1);
        while (rig.take(lane) != "(nothing)") {}
        CHECK(rig.arrive(lane, 3, "d"));
        CHECK(rig.inbox.events().size() == 2);
        rig.inbox.end(rig.now, lane,
                      Error(Errc::carrier_closed));  // the end is worth a look as well
        CHECK(rig.inbox.events().size() == 3);
    }

    TEST_CASE("what a discarding lane gets is counted and thrown away") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "abc"));
        CHECK(rig.arrive(lane, 1, "abc", 0, 10));
        rig.inbox.discard(rig.now, lane);
        CHECK(rig.inbox.charged() == 0);
        CHECK(rig.arrive(lane, 1, "defghij", 3, 10));
        CHECK(rig.arrive(lane, 2, "more"));
        CHECK(rig.inbox.charged() == 0);
        rig.flush();
        CHECK(rig.mapping.budget == 17);
    }

    // DELIVERED.

    TEST_CASE("a receipt waits 25 ms for company") {
        InRig rig;
        CHECK(rig.arrive(rig.lane(0), 0, "a"));
        CHECK(rig.inbox.deadline() == rig.now + 25ms);
        CHECK(rig.reports().empty());
        CHECK(rig.reports(true).size() == 1);  // with traffic it goes at once
        CHECK(rig.inbox.deadline() == post::never);
        CHECK(rig.arrive(rig.lane(0), 1, "b"));
        CHECK(rig.arrive(rig.lane(2), 0, "c"));
        rig.now += 25ms;
        rig.inbox.handle_timeout(rig.now);
        CHECK(rig.inbox.deadline() == post::never);  // congestion control says when it goes
        CHECK(rig.reports().size() == 2);
        CHECK(rig.reports().empty());
    }

    TEST_CASE("64 messages, or one that asks, are reported at once") {
        InRig rig;
        InLane& lane = rig.lane(0);
        for (std::uint64_t i = 0; i < 63; ++i) CHECK(rig.arrive(lane, i, "x"));
        CHECK(rig.reports().empty());
        CHECK(rig.arrive(lane, 63, "x"));
        auto reports = rig.reports();
        REQUIRE(reports.size() == 1);
        CHECK(reports[0].watermark == Sequence{64});
        auto asking = InRig::piece(lane, 64, "?");
        asking.marks.ask = true;
        CHECK(rig.inbox.handle_piece(rig.now, lane, std::move(asking)));
        reports = rig.reports();
        REQUIRE(reports.size() == 1);
        CHECK(reports[0].watermark == Sequence{65});
        CHECK(rig.arrive(lane, 65, "x"));
        CHECK(rig.reports().empty());
    }

    TEST_CASE("the progress of a long message is reported every 256 KiB") {
        InRig rig(64 << 20);
        InLane& lane = rig.lane(0);
        rig.arrive_cut(lane, 0, 1 << 20, (256 << 10) - 1);
        CHECK(rig.reports(true).empty());
        rig.arrive_cut(lane, 0, 1 << 20, 256 << 10, 0, (256 << 10) - 1);
        const auto reports = rig.reports();
        REQUIRE(reports.size() == 1);
        CHECK(reports[0].partial == Sequence{0});
        CHECK(reports[0].progress == 256 << 10);
        CHECK(reports[0].watermark == Sequence{0});
    }

    TEST_CASE("a Carrier that goes leaves its last words behind") {
        InRig rig;
        InLane& lane = rig.lane(4);
        CHECK(rig.arrive(lane, 0, "a"));
        CHECK(rig.arrive(lane, 0, "b", 0, 0, 3));
        rig.inbox.remove(lane);
        rig.lanes.clear();
        const auto reports = rig.reports();
        REQUIRE(reports.size() == 2);
        CHECK(reports[0].carrier == CarrierId{4});
        CHECK(reports[1].niceness == NicenessClass{3});
        rig.now += 25ms;
        rig.inbox.handle_timeout(rig.now);
        CHECK(rig.reports().empty());
    }

    TEST_CASE("a plain peer gets no reports, and its pieces need no numbers") {
        InRig rig;
        rig.inbox.set_plain(true);
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "a"));
        CHECK(rig.arrive(lane, 0, "b"));
        CHECK(rig.reports(true).empty());
        CHECK(rig.inbox.deadline() == post::never);
        CHECK(rig.take(lane) == "a");
        CHECK(rig.take(lane) == "b");
    }

    TEST_CASE("messages without content, and with properties, fill the budget too") {
        for (const bool properties : {false, true}) {
            CAPTURE(properties);
            InRig rig(1 << 20);
            InLane& lane = rig.lane(0);
            std::uint64_t sequence = 0;
            while (!rig.inbox.fullest() && sequence < 100'000) {
                post::Piece piece = InRig::piece(lane, sequence++, {});
                if (properties)
                    piece.extras = post::Extras{.properties = {{"name", "value"}, {"a", "b"}}};
                REQUIRE(rig.inbox.handle_piece(rig.now, lane, std::move(piece)));
            }
            CHECK(rig.inbox.fullest() == &lane);
            CHECK(sequence < (properties ? 8'000 : 20'000));
            for (std::uint64_t taken = 0; taken < sequence; ++taken) CHECK(rig.inbox.take(lane));
            CHECK(rig.inbox.fullest() == nullptr);
            CHECK(lane.weight() == 0);
            CHECK(rig.charge.overhead == 0);
        }
    }
}
