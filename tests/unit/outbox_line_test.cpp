// Outbox: runs of plain messages, which leave and are settled together.
#include <initializer_list>
#include <ostream>

#include <doctest/doctest.h>

#include "tests/unit/outbox_support.hpp"

using post::Bytes;
using post::Sequence;
using post::core::OutLane;
using post::test::Rig;
using post::test::Words;

namespace {

Words more(Rig& rig, std::uint64_t room = 1000, std::uint64_t largest = 2000) {
    Words words;
    for (const auto content : rig.outbox.more(room, largest))
        words.emplace_back(reinterpret_cast<const char*>(content.data()), content.size());
    return words;
}

void send_all(Rig& rig, OutLane& lane, std::initializer_list<const char*> contents) {
    for (const char* content : contents) rig.send(lane, content);
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("what follows a plain message comes in one go, but for the last one") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        send_all(rig, lane, {"a", "b", "", "d", "e"});
        CHECK(more(rig).empty());
        CHECK(rig.pull() == "0/0#0 a");
        CHECK(more(rig) == Words{"b", "", "d"});
        CHECK(more(rig).empty());
        CHECK(lane.queued() == 1);
        CHECK(rig.outbox.unsettled_bytes() == 3);
        CHECK(rig.pull() == "0/0#4 e");
        CHECK(std::get<post::Piece>(rig.out).marks.ask);
        CHECK(rig.pull().empty());
        rig.outbox.packed(lane, 2);
        CHECK(rig.fates() == Words{"sent 0/0#0", "sent 0/0#1"});
        rig.outbox.packed(lane, 3);
        CHECK(rig.fates() == Words{"sent 0/0#2", "sent 0/0#3", "sent 0/0#4"});
        CHECK(rig.outbox.packed_messages() == 5);
        CHECK(rig.delivered(lane, 2, {{Sequence{3}, 1}}));
        CHECK(rig.fates() == Words{"acked 0/0#0", "acked 0/0#1", "acked 0/0#3"});
        CHECK(rig.delivered(lane, 5));
        CHECK(rig.fates() == Words{"acked 0/0#2", "acked 0/0#4"});
        CHECK(rig.outstanding == 0);
        CHECK(rig.outbox.unsettled_bytes() == 0);
        CHECK(rig.outbox.packed_messages() == 0);
    }

    TEST_CASE("a run ends where there is no room, and goes on from there") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        send_all(rig, lane, {"a", "bb", "cc", "dd", "eeeee", "f"});
        CHECK(rig.pull() == "0/0#0 a");
        CHECK(more(rig, 4) == Words{"bb", "cc"});
        CHECK(more(rig, 100, 4) == Words{"dd"});
        CHECK(more(rig, 100, 4).empty());
        CHECK(rig.pull_all() == Words{"0/0#4 eeeee", "0/0#5 f"});
    }

    TEST_CASE("a run ends before a message that is not plain") {
        struct Row {
            const char* name;
            post::SendOptions options;
            post::Instant deadline = post::never;
        };
        const std::initializer_list<Row> rows = {
            {.name = "unordered", .options = {.ordered = false}},
            {.name = "marked", .options = {.idempotent = true}},
            {.name = "nicer", .options = {.niceness = 1}},
            {.name = "urgent", .options = {}, .deadline = post::Instant{} + post::Duration(5)},
        };
        for (const Row& row : rows) {
            CAPTURE(row.name);
            Rig rig;
            OutLane& lane = rig.lane(0);
            send_all(rig, lane, {"a", "b"});
            rig.send(lane, "odd", row.options, row.deadline);
            send_all(rig, lane, {"c", "d"});
            Words pulled;
            for (std::string one = rig.pull(); !one.empty(); one = rig.pull()) {
                pulled.push_back(one.substr(one.find(' ') + 1));
                for (const std::string& text : more(rig)) {
                    CHECK(text != "odd");
                    pulled.push_back(text);
                }
            }
            CHECK(pulled.size() == 5);
            rig.outbox.packed(lane, 5);
            CHECK(rig.outbox.packed_messages() == 5);
            CHECK(rig.outbox.unsettled_messages() == 5);
        }
    }

    TEST_CASE("nothing is run past an equal Carrier, nor past the limit of what is unsettled") {
        Rig rig({1 << 20, 1 << 24, 4});
        OutLane& one = rig.lane(0);
        OutLane& other = rig.lane(2);
        send_all(rig, one, {"aa", "bb", "cc", "dd"});
        SUBCASE("an equal") {
            rig.send(other, "x");
            CHECK(rig.pull() == "0/0#0 aa");
            CHECK(more(rig).empty());
        }
        SUBCASE("the limit") {
            CHECK(rig.pull() == "0/0#0 aa");
            CHECK(more(rig) == Words{"bb"});
            CHECK(rig.pull().empty());
        }
    }

    TEST_CASE("what a plain peer acknowledges of a run is acked piece by piece") {
        Rig rig;
        rig.outbox.know_peer({.plain = true});
        OutLane& lane = rig.lane(0);
        send_all(rig, lane, {"a", "b", "c", "d"});
        CHECK(rig.pull_all().size() == 4);
        rig.outbox.packed(lane, 4);
        rig.fates();
        rig.outbox.handle_acked(lane, 1);
        CHECK(rig.fates() == Words{"acked 0/0#0"});
        rig.outbox.handle_acked(lane, 3);
        CHECK(rig.fates() == Words{"acked 0/0#1", "acked 0/0#2", "acked 0/0#3"});
        CHECK(rig.outbox.unsettled_bytes() == 0);
    }
}
