// Outbox: what becomes of messages. Fates, deadlines, the peer's word, budgets, and the cost of
// many.
#include "lib/association/outbox.hpp"

#include <map>
#include <ostream>
#include <random>
#include <set>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/outbox_support.hpp"

using namespace std::chrono_literals;
using post::Bytes;
using post::CarrierId;
using post::Delivered;
using post::Errc;
using post::Error;
using post::Instant;
using post::NicenessClass;
using post::Sequence;
using post::core::Outbox;
using post::core::OutLane;
using post::test::Rig;
using post::test::Words;

TEST_SUITE("unit") {
    TEST_CASE("a message is sent when its last piece is packed and acked when the peer says so") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abc");
        CHECK(rig.outstanding == 1);
        CHECK(lane.queued() == 3);
        rig.pull(2);
        CHECK(lane.queued() == 1);
        CHECK(rig.outbox.unsettled_bytes() == 2);
        rig.outbox.packed(lane, 1);
        CHECK(rig.fates().empty());
        rig.pull(2);
        CHECK(rig.outbox.packed_messages() == 0);
        rig.outbox.packed(lane, 1);
        CHECK(rig.fates() == Words{"sent 0/0#0"});
        CHECK(rig.outbox.packed_messages() == 1);
        CHECK(rig.delivered(lane, 1));
        CHECK(rig.fates() == Words{"acked 0/0#0"});
        CHECK(rig.outbox.packed_messages() == 0);
        CHECK(rig.outbox.unsettled_bytes() == 0);
        CHECK(rig.outstanding == 0);
        CHECK(rig.delivered(lane, 1));  // again says nothing new
        CHECK(rig.fates().empty());
    }

    TEST_CASE("ranges above the watermark ack too, and each message once") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        for (int i = 0; i < 6; ++i) rig.send(lane, "x");
        rig.pull_all();
        rig.outbox.packed(lane, 6);
        rig.fates();
        CHECK(rig.delivered(lane, 1, {{Sequence{2}, 1}, {Sequence{4}, 2}}));
        CHECK(rig.fates() == Words{"acked 0/0#0", "acked 0/0#2", "acked 0/0#4", "acked 0/0#5"});
        CHECK(rig.delivered(lane, 0, {{Sequence{2}, 3}}));  // older, but says 3 as well
        CHECK(rig.fates() == Words{"acked 0/0#3"});
        CHECK(rig.delivered(lane, 6));
        CHECK(rig.fates() == Words{"acked 0/0#1"});
        CHECK(rig.outbox.unsettled_messages() == 0);
    }

    TEST_CASE("the progress of a long message frees what it tells of") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, Bytes(std::string(1000, 'x')));
        for (int i = 0; i < 5; ++i) rig.pull(100);
        CHECK(rig.outbox.unsettled_bytes() == 500);
        Delivered said;
        said.partial = Sequence{0};
        said.progress = 300;
        CHECK(rig.outbox.handle_delivered(lane, said));
        CHECK(rig.outbox.unsettled_bytes() == 200);
        said.progress = 200;  // older
        CHECK(rig.outbox.handle_delivered(lane, said));
        CHECK(rig.outbox.unsettled_bytes() == 200);
        rig.pull_all(100);
        CHECK(rig.delivered(lane, 1));
        CHECK(rig.outbox.unsettled_bytes() == 0);
        said.progress = 900;  // of what is settled and gone
        CHECK(rig.outbox.handle_delivered(lane, said));
    }

    TEST_CASE("a peer that claims what it was never sent is caught") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abc");
        rig.send(lane, "def");
        rig.pull();
        CHECK(rig.delivered(lane, 1));
        CHECK_FALSE(rig.delivered(lane, 2));
        CHECK_FALSE(rig.delivered(lane, ~std::uint64_t{0}));
        CHECK_FALSE(rig.delivered(lane, 1, {{Sequence{1}, 1}}));
        CHECK_FALSE(rig.delivered(lane, 1, {{Sequence{0}, ~std::uint64_t{0}}}));
        CHECK_FALSE(rig.delivered(lane, 1, {{Sequence{~std::uint64_t{0}}, 2}}));
        CHECK_FALSE(rig.delivered(lane, 0, {}, 5));  // a class without messages
        rig.pull(1);
        Delivered said;
        said.watermark = Sequence{1};
        said.partial = Sequence{1};
        said.progress = 2;  // one byte was pulled
        CHECK_FALSE(rig.outbox.handle_delivered(lane, said));
        said.partial = Sequence{2};
        CHECK_FALSE(rig.outbox.handle_delivered(lane, said));
        said.partial = Sequence{1};
        said.progress = 1;
        CHECK(rig.outbox.handle_delivered(lane, said));
    }

    TEST_CASE("expired messages are skipped, in one word when they follow each other") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        const Instant soon{1s};
        rig.send(lane, "a", {}, soon);
        rig.send(lane, "b", {}, soon);
        rig.send(lane, "c");
        rig.send(lane, "d", {}, soon);
        CHECK(rig.outbox.deadline() == soon);
        rig.outbox.handle_timeout(soon - 1ns);
        CHECK(rig.fates().empty());
        rig.outbox.handle_timeout(soon);
        CHECK(rig.fates() == Words{"expired 0/0#0", "expired 0/0#1", "expired 0/0#3"});
        CHECK(rig.outbox.deadline() == post::never);
        CHECK(rig.outstanding == 1);
        CHECK(lane.queued() == 1);
        CHECK(rig.pull_all() == Words{"skip 0/0#0x2", "0/0#2 c", "skip 0/0#3x1"});
        rig.outbox.packed(lane, 1);
        CHECK(rig.delivered(lane, 4));
        CHECK(rig.fates() == Words{"sent 0/0#2", "acked 0/0#2"});
    }

    TEST_CASE("a begun message that expires is abandoned in place of its next chunk") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abcdef", {}, Instant{1s});
        rig.send(lane, "next");
        CHECK(rig.pull(2) == "0/0#0+0 ab");
        rig.outbox.handle_timeout(Instant{1s});
        CHECK(rig.fates() == Words{"expired 0/0#0"});
        CHECK(rig.outbox.unsettled_bytes() == 0);
        CHECK(rig.pull_all(2) == Words{"abandon 0/0#0", "0/0#1+0 ne", "0/0#1+2 xt"});
        CHECK(rig.delivered(lane, 2));
    }

    TEST_CASE("what is wholly pulled does not expire any more") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "ab", {}, Instant{1s});
        rig.pull();
        rig.outbox.handle_timeout(Instant{2s});
        CHECK(rig.fates().empty());
        CHECK(rig.outbox.deadline() == post::never);
        rig.outbox.packed(lane, 1);
        CHECK(rig.delivered(lane, 1));
        CHECK(rig.fates() == Words{"sent 0/0#0", "acked 0/0#0"});
    }

    TEST_CASE("with a plain peer the transport's word counts, and what has begun is finished") {
        Rig rig;
        rig.outbox.know_peer({.plain = true});
        OutLane& lane = rig.lane(0);
        rig.send(lane, "abcd", {}, Instant{1s});
        rig.send(lane, "e", {}, Instant{1s});
        CHECK(rig.pull(2) == "0/0#0+0 ab");
        rig.outbox.handle_timeout(Instant{1s});
        CHECK(rig.fates() == Words{"expired 0/0#1"});
        CHECK(rig.pull(2) == "0/0#0+2 cd");
        rig.outbox.packed(lane, 2);
        CHECK(rig.fates() == Words{"sent 0/0#0"});
        rig.outbox.handle_acked(lane, 1);
        CHECK(rig.outbox.unsettled_bytes() == 2);
        CHECK(rig.fates().empty());
        rig.outbox.handle_acked(lane, 1);
        CHECK(rig.fates() == Words{"acked 0/0#0"});
        CHECK(rig.outbox.unsettled_bytes() == 0);
        rig.outbox.handle_acked(lane, 5);  // of nothing
        CHECK(rig.outstanding == 0);
    }

    TEST_CASE("failing a lane gives every message its one fate") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        OutLane& other = rig.lane(2);
        for (int i = 0; i < 4; ++i) rig.send(lane, "ab", {}, Instant{1s});
        rig.send(lane, "c", {.niceness = 3});
        rig.send(other, "d");
        rig.pull();
        rig.pull();
        rig.pull(1);  // the third one is begun
        rig.outbox.packed(lane, 1);
        CHECK(rig.delivered(lane, 1));
        rig.fates();
        rig.outbox.fail(lane, Error(Errc::cancelled));
        CHECK(rig.fates() ==
              Words{"failed? 0/0#1", "failed 0/0#2", "failed 0/0#3", "failed 0/3#0"});
        CHECK(lane.unsettled() == 0);
        CHECK(lane.queued() == 0);
        CHECK(rig.outbox.unsettled_bytes() == 0);
        CHECK(rig.outbox.packed_messages() == 0);
        CHECK(rig.outbox.deadline() == post::never);
        CHECK(rig.pull_all() == Words{"2/0#0 d"});
        rig.outbox.fail(lane, Error(Errc::cancelled));
        rig.outbox.packed(lane, 3);  // what the mapping still says is of no consequence
        CHECK(rig.fates().empty());
        rig.outbox.remove(lane);
        CHECK(rig.outstanding == 1);
    }

    TEST_CASE("beyond the unsettled bound nothing more is pulled until the peer acknowledges") {
        Rig rig({1 << 20, 1 << 20, 1000});
        OutLane& lane = rig.lane(0);
        for (int i = 0; i < 20; ++i) rig.send(lane, Bytes(std::string(100, 'x')));
        CHECK(rig.pull_all().size() == 10);
        CHECK(rig.delivered(lane, 3));
        CHECK(rig.pull_all().size() == 3);
        CHECK(rig.delivered(lane, 13));
        CHECK(rig.pull_all().size() == 7);
    }

    TEST_CASE("whatever others have unsettled, a Carrier gets as far as the peer speaks of it") {
        Rig rig({1 << 20, 1 << 24, 1000});
        OutLane& stuck = rig.lane(0);
        rig.send(stuck, Bytes(std::string(100'000, 's')));
        rig.pull(60'000);
        rig.outbox.block(stuck);  // its window is used up, and nobody empties it
        OutLane& small = rig.lane(2);
        for (int i = 0; i < 3; ++i) rig.send(small, "x");
        for (std::uint64_t i = 0; i < 3; ++i) {
            CHECK(rig.pull_all().size() == 1);
            rig.outbox.packed(small, 1);
            CHECK(rig.delivered(small, i + 1));
        }
        // Of a long one the peer speaks every 256 KiB.
        OutLane& large = rig.lane(4);
        rig.send(large, Bytes(std::string(1'000'000, 'l')));
        const std::size_t pieces = rig.pull_all(10'000).size();
        CHECK(pieces * 10'000 >= 256 * 1024);
        CHECK(pieces * 10'000 < 600'000);
        Delivered said;
        said.carrier = large.carrier;
        said.partial = Sequence{0};
        said.progress = 256 * 1024;
        CHECK(rig.outbox.handle_delivered(large, said));
        CHECK(rig.pull_all(10'000).size() > 20);
    }

    TEST_CASE("the send budget is of the Carrier and of the association, and who starved is told") {
        Rig rig({100, 150, 1 << 20});
        OutLane& one = rig.lane(0);
        OutLane& two = rig.lane(2);
        CHECK(rig.outbox.writable(one));
        rig.send(one, Bytes(std::string(100, 'x')));
        CHECK_FALSE(rig.outbox.writable(one));
        CHECK(rig.outbox.writable(two));
        rig.send(two, Bytes(std::string(60, 'x')));
        CHECK_FALSE(rig.outbox.writable(two));  // the association's is used up
        rig.outbox.starve(two);
        rig.outbox.starve(two);
        rig.outbox.wake_starved();
        CHECK(rig.fates().empty());
        rig.pull(50);
        rig.outbox.wake_starved();
        CHECK(rig.fates() == Words{"writable"});  // once
        rig.outbox.wake_starved();
        CHECK(rig.fates().empty());
        rig.outbox.starve(one);
        rig.outbox.fail(one, Error(Errc::cancelled));  // a lane that ends is told too: to give up
        rig.fates();
        rig.outbox.wake_starved();
        CHECK(rig.fates() == Words{"writable"});
    }

    TEST_CASE("messages without a callback of anybody are settled in silence") {
        Rig rig;
        OutLane& lane = rig.lane(0);
        lane.fates = false;
        rig.send(lane, "quiet");
        rig.outbox.push(lane, "heard", {post::SendOptions{}, post::never, 77});
        rig.pull_all();
        rig.outbox.packed(lane, 2);
        REQUIRE(rig.outbox.events().size() == 1);
        const auto& event = std::get<post::core::happened::Progress>(rig.outbox.events()[0]);
        CHECK(event.on_fate == 77);
        CHECK(event.carrier == lane.tag);
    }

    // Would take hours if any step looked at all of them.
    TEST_CASE("a million queued messages cost what they should") {
        constexpr int many = 1'000'000;
        Rig rig({1 << 30, 1 << 30, 1 << 30});
        OutLane& one = rig.lane(0);
        OutLane& two = rig.lane(2);
        one.fates = two.fates = false;
        for (int i = 0; i < many / 2; ++i) {  // all with one deadline, in alternation
            rig.send(one, "x", {.niceness = static_cast<std::uint32_t>(i % 2)}, Instant{1s});
            rig.send(two, "y", {}, Instant{1s});
        }
        int pulled = 0;
        while (rig.outbox.turn()) {
            rig.outbox.next(rig.now, 1000, rig.out);
            const auto& piece = std::get<post::Piece>(rig.out);
            OutLane& lane = piece.carrier == one.carrier ? one : two;
            rig.outbox.packed(lane, 1);
            if (++pulled == many / 2) break;
        }
        rig.outbox.fail(two, Error(Errc::cancelled));
        CHECK(rig.outbox.unsettled_messages() == many / 2);
        rig.outbox.handle_timeout(Instant{1s});
        while (!rig.pull().empty()) {}
        rig.outbox.fail(one, Error(Errc::cancelled));
        CHECK(rig.outstanding == 0);
        CHECK(rig.outbox.unsettled_bytes() == 0);
    }

    TEST_CASE("whatever is done every message gets exactly one end, with sent before it") {
        std::mt19937_64 random(post::test::seed());
        for (int round = 0; round < 200; ++round) {
            Rig rig({4000, 9000, 5000});
            rig.outbox.know_peer({.plain = round % 3 == 0});
            std::set<std::string> open;
            std::set<std::string> sent;
            std::map<std::uint64_t, std::uint64_t> in_hand;   // pieces by Carrier
            std::map<std::uint64_t, std::uint64_t> awaiting;  // packed pieces by Carrier
            std::map<std::pair<std::uint64_t, std::uint8_t>, std::uint64_t> whole;
            Instant now{};
            const auto look = [&] {
                for (const std::string& fate : rig.fates()) {
                    const std::string id = fate.substr(fate.find(' ') + 1);
                    REQUIRE(open.contains(id));
                    if (fate.starts_with("sent")) {
                        REQUIRE(sent.insert(id).second);
                        continue;
                    }
                    REQUIRE(!(fate.starts_with("expired") && sent.contains(id)));
                    open.erase(id);
                }
                REQUIRE(rig.outstanding == open.size());
            };
            for (int step = 0; step < 300; ++step) {
                const std::uint64_t carrier = 2 * (random() % 4);
                OutLane& lane = rig.lane(carrier);
                switch (random() % 8) {
                    case 0:
                    case 1:
                        if (lane.finish_wanted) break;
                        {
                            const auto niceness = static_cast<std::uint32_t>(random() % 3);
                            const auto deadline = random() % 2 ? now + 20ms : post::never;
                            const auto id = rig.send(lane, Bytes(std::string(random() % 900, 'x')),
                                                     {.niceness = niceness}, deadline);
                            open.insert(Rig::name(id.carrier, niceness, id.sequence));
                        }
                        break;
                    case 2:
                    case 3: {
                        if (!rig.outbox.turn()) break;
                        rig.outbox.next(rig.now, 1 + random() % 500, rig.out);
                        const auto* piece = std::get_if<post::Piece>(&rig.out);
                        if (!piece) break;
                        ++in_hand[piece->carrier.value()];
                        if (piece->last())
                            whole[{piece->carrier.value(), piece->niceness.value()}] =
                                piece->sequence.value() + 1;
                        break;
                    }
                    case 4:
                        rig.outbox.packed(lane, in_hand[carrier]);
                        awaiting[carrier] += std::exchange(in_hand[carrier], 0);
                        break;
                    case 5:
                        if (round % 3 == 0)
                            rig.outbox.handle_acked(lane, std::exchange(awaiting[carrier], 0));
                        else if (const auto at = whole.find({carrier, 0}); at != whole.end())
                            REQUIRE(rig.delivered(lane, at->second));
                        break;
                    case 6: rig.outbox.handle_timeout(now += 5ms); break;
                    case 7:
                        if (random() % 8 == 0) rig.outbox.fail(lane, Error(Errc::cancelled));
                        if (random() % 2 == 0)
                            rig.outbox.block(lane);
                        else
                            rig.outbox.unblock(lane);
                        break;
                }
                look();
            }
            for (auto& [carrier, lane] : rig.lanes) rig.outbox.fail(*lane, Error(Errc::cancelled));
            look();
            CHECK(open.empty());
            CHECK(rig.outbox.unsettled_bytes() == 0);
            CHECK(rig.outbox.packed_messages() == 0);
            CHECK(rig.outbox.deadline() == post::never);
        }
    }
}
