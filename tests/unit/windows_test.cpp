// Inbox, the promises: windows, grants, the budget, and a random run in which every sum is kept.
#include <algorithm>
#include <numeric>
#include <ostream>
#include <random>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/inbox_support.hpp"

using namespace std::chrono_literals;
using post::Abandon;
using post::Bytes;
using post::Errc;
using post::Error;
using post::core::Inbox;
using post::core::InLane;
using post::test::InRig;

TEST_SUITE("unit") {
    TEST_CASE("what is taken is promised again, in steps of a quarter of the window") {
        InRig rig;
        InLane& lane = rig.lane(0);
        for (std::uint64_t i = 0; i < 8; ++i) CHECK(rig.arrive(lane, i, std::string(1024, 'x')));
        rig.flush();
        CHECK(rig.promised(lane) == 0);  // nothing was taken
        for (int i = 0; i < 7; ++i) rig.take(lane);
        rig.flush();
        CHECK(rig.promised(lane) == 0);
        CHECK(rig.mapping.budget == 7 * 1024);  // the budget comes back at once
        rig.take(lane);
        rig.flush();
        CHECK(rig.promised(lane) == 8 * 1024);
    }

    TEST_CASE("a window that is used up within two round trips doubles, up to 8 MiB") {
        InRig rig(64 << 20);
        rig.mapping.now.smoothed_rtt = 10ms;
        InLane& lane = rig.lane(0);
        std::uint64_t sequence = 0;
        for (int round = 0; round < 20; ++round) {
            const std::uint64_t before = lane.window;
            for (std::uint64_t got = 0; got < before; got += 16 * 1024) {
                CHECK(rig.arrive(lane, sequence++, std::string(16 * 1024, 'x')));
                rig.take(lane);
            }
            rig.now += 19ms;
            rig.flush();
            CHECK(lane.window == std::min(before * 2, Inbox::largest_window));
        }
        CHECK(lane.promised == lane.window);
    }

    TEST_CASE("a slow reader's window stays as it is") {
        InRig rig(64 << 20);
        rig.mapping.now.smoothed_rtt = 10ms;
        InLane& lane = rig.lane(0);
        std::uint64_t sequence = 0;
        for (int round = 0; round < 10; ++round) {
            for (int i = 0; i < 2; ++i) {
                CHECK(rig.arrive(lane, sequence++, std::string(16 * 1024, 'x')));
                rig.take(lane);
            }
            rig.now += 21ms;
            rig.flush();
        }
        CHECK(lane.window == InRig::window);
    }

    TEST_CASE("windows do not grow when half of the budget is held") {
        InRig rig(256 * 1024);
        rig.mapping.now.smoothed_rtt = 10ms;
        for (std::uint64_t i = 0; i < 4; ++i)
            CHECK(rig.arrive(rig.lane(2 + 2 * i), 0, std::string(32 * 1024, 'x')));
        InLane& lane = rig.lane(0);
        for (std::uint64_t i = 0; i < 2; ++i) {
            CHECK(rig.arrive(lane, i, std::string(16 * 1024, 'x')));
            rig.take(lane);
        }
        rig.flush();
        CHECK(lane.window == InRig::window);
    }

    TEST_CASE("the rest of a long message is granted when its header is here") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "x", 0, 100'000));
        rig.flush();
        CHECK(lane.granted() >= 100'000 - InRig::window);
        CHECK(rig.promised(lane) == lane.granted());
        CHECK(lane.promised >= 99'999);
        const auto once = rig.promised(lane);
        rig.flush();
        CHECK(rig.promised(lane) == once);
        rig.arrive_cut(lane, 0, 100'000, 100'000, 0, 1);
        CHECK(rig.take(lane).size() == 100'000);
        rig.flush();
        CHECK(lane.granted() == 0);  // it has done its work
        CHECK(lane.promised == lane.window);
    }

    TEST_CASE("a message that leaves half of the window free needs no grant") {
        InRig rig;
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "x", 0, InRig::window / 2));
        rig.flush();
        CHECK(lane.granted() == 0);
        CHECK(rig.promised(lane) == 0);
        CHECK(rig.arrive(lane, 0, "y", 1, InRig::window / 2));
        CHECK(rig.arrive(lane, 1, "x", 0, InRig::window / 2 + 2));
        rig.flush();
        CHECK(lane.granted() > 0);
    }

    TEST_CASE("grants never exceed half of the budget, and who waits is served when one is done") {
        InRig rig(1 << 20);
        InLane& first = rig.lane(0);
        InLane& second = rig.lane(2);
        CHECK(rig.arrive(first, 0, "x", 0, 400'000));
        CHECK(rig.arrive(second, 0, "x", 0, 400'000));
        rig.flush();
        CHECK(first.granted() > 0);
        CHECK(second.granted() == 0);
        CHECK(bool{second.waiting});
        rig.arrive_cut(first, 0, 400'000, 399'999, 0, 1);
        rig.flush();
        CHECK(second.granted() == 0);
        CHECK(rig.arrive(first, 0, "x", 399'999, 400'000));
        rig.flush();
        CHECK(first.granted() == 0);
        CHECK(second.granted() > 0);  // whether or not the first is taken
        CHECK_FALSE(bool{second.waiting});
    }

    TEST_CASE("a long message that nobody takes keeps no other from its grant") {
        InRig rig(2 << 20);
        InLane& unread = rig.lane(0);
        CHECK(rig.arrive(unread, 0, "x", 0, 900'000));
        rig.flush();
        rig.arrive_cut(unread, 0, 900'000, 900'000, 0, 1);
        rig.flush();
        InLane& other = rig.lane(2);
        CHECK(rig.arrive(other, 0, "x", 0, 900'000));
        rig.flush();
        CHECK(other.granted() > 0);
        // Nor does it get another one, or keep anything for it.
        rig.inbox.remove(other);
        rig.arrive_cut(unread, 1, 900'000, InRig::window / 2);
        rig.flush();
        CHECK(bool{unread.waiting});
        CHECK(unread.granted() == 0);
        InLane& largest = rig.lane(4);
        CHECK(rig.arrive(largest, 0, "x", 0, 1'000'000));
        rig.flush();
        CHECK(largest.granted() > 0);
    }

    TEST_CASE("what was granted for a message that is given up keeps no other from its grant") {
        InRig rig;
        InLane& quiet = rig.lane(0);
        CHECK(rig.arrive(quiet, 0, "x", 0, 300'000));
        rig.flush();
        CHECK(quiet.granted() > 0);
        InLane& other = rig.lane(2);
        CHECK(rig.arrive(other, 0, "x", 0, 300'000));
        rig.flush();
        CHECK(other.granted() == 0);
        rig.inbox.handle_abandon(rig.now, quiet, {quiet.carrier, {}, post::Sequence{0}});
        rig.flush();
        CHECK(quiet.granted() == 0);
        CHECK(other.granted() > 0);
        // The next one of its Carrier needs no more than was promised.
        const auto promised = rig.promised(quiet);
        CHECK(rig.arrive(quiet, 1, "x", 0, 290'000));
        rig.flush();
        CHECK_FALSE(bool{quiet.waiting});
        CHECK(rig.promised(quiet) == promised);
    }

    TEST_CASE("what is granted can finish when another message has used a part of it") {
        InRig rig(2 << 20);
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, "x", 0, 1'000'000));
        rig.flush();
        const auto granted = rig.promised(lane);
        rig.arrive_cut(lane, 0, 1'000'000, 900'000, 0, 1);
        rig.arrive_cut(lane, 0, 900'000, InRig::window + granted - 900'000, 5);
        rig.flush();
        CHECK(rig.promised(lane) >= granted + 900'000);
    }

    TEST_CASE("a large budget is spent when all is that a transport lets the peer know of") {
        InRig rig(4 << 20);
        CHECK(rig.arrive(rig.lane(0), 0, std::string(3'000'000, 'x')));
        CHECK(rig.inbox.fullest() == nullptr);
        CHECK(rig.arrive(rig.lane(2), 0, std::string(1'000'000, 'x')));
        CHECK(rig.inbox.fullest() == &rig.lane(0));
    }

    TEST_CASE("the fullest Carrier is one that takes nothing, and not one that is granted more") {
        InRig rig(1 << 20);
        InLane& granted = rig.lane(0);
        CHECK(rig.arrive(granted, 0, "x", 0, 500'000));
        rig.flush();
        REQUIRE(granted.granted() > 0);
        rig.arrive_cut(granted, 0, 500'000, 499'999, 0, 1);
        for (std::uint64_t i = 0; i < 17; ++i)
            CHECK(rig.arrive(rig.lane(100 + i), 0, std::string(32'000, 'x')));
        REQUIRE(rig.inbox.fullest());
        CHECK(rig.inbox.fullest()->untaken() == 32'000);
    }

    TEST_CASE("the most urgent message is granted first") {
        InRig rig(1 << 20);
        InLane& holder = rig.lane(0);
        CHECK(rig.arrive(holder, 0, "x", 0, 450'000));
        rig.flush();
        InLane& bulk = rig.lane(2);
        InLane& urgent = rig.lane(4);
        CHECK(rig.arrive(bulk, 0, "x", 0, 300'000, 5));
        CHECK(rig.arrive(urgent, 0, "x", 0, 300'000, 1));
        rig.flush();
        CHECK(bool{bulk.waiting});
        CHECK(bool{urgent.waiting});
        rig.inbox.remove(holder);
        rig.flush();
        CHECK(urgent.granted() > 0);
        CHECK(bulk.granted() == 0);
    }

    TEST_CASE("a Carrier with a full account is granted nothing until something is taken") {
        InRig rig(1 << 20);
        InLane& lane = rig.lane(0);
        CHECK(rig.arrive(lane, 0, std::string(InRig::window - 1, 'x')));
        CHECK(rig.arrive(lane, 1, "y"));
        CHECK(rig.arrive(lane, 2, "", 0, 100'000));
        rig.flush();
        CHECK(lane.granted() == 0);
        rig.take(lane);
        rig.flush();
        CHECK(lane.granted() > 0);
    }

    TEST_CASE("when finished messages crowd the budget only empty accounts are granted") {
        InRig rig(1 << 20);
        for (std::uint64_t i = 0; i < 17; ++i)
            CHECK(rig.arrive(rig.lane(100 + i), 0, std::string(InRig::window, 'x')));
        InLane& some = rig.lane(0);
        InLane& none = rig.lane(2);
        CHECK(rig.arrive(some, 0, "untaken"));
        CHECK(rig.arrive(some, 1, "", 0, 40'000));
        CHECK(rig.arrive(none, 0, "", 0, 40'000));
        rig.flush();
        CHECK(some.granted() == 0);
        CHECK(none.granted() > 0);
    }

    TEST_CASE("grants end with the direction that they were for") {
        InRig rig(1 << 20);
        InLane& ended = rig.lane(0);
        rig.arrive_cut(ended, 0, 450'000, 1200);
        rig.flush();
        rig.arrive_cut(ended, 0, 450'000, 450'000, 0, 1200);
        rig.inbox.end(rig.now, ended, Error(Errc::carrier_closed));
        rig.take(ended);  // the Carrier lives on: our own direction is still open
        InLane& other = rig.lane(2);
        CHECK(rig.arrive(other, 0, "x", 0, 450'000));
        rig.flush();
        CHECK(ended.granted() == 0);
        CHECK(other.granted() > 0);
    }

    TEST_CASE("grants end when what comes is discarded") {
        InRig rig(1 << 20);
        InLane& closed = rig.lane(0);
        rig.arrive_cut(closed, 0, 450'000, 1200);
        rig.flush();
        rig.inbox.discard(rig.now, closed);
        InLane& other = rig.lane(2);
        CHECK(rig.arrive(other, 0, "x", 0, 450'000));
        rig.flush();
        CHECK(other.granted() > 0);
    }

    TEST_CASE("the Context's budget holds for all associations together") {
        InRig rig(64 << 20);
        rig.charge.limit = 1000;
        CHECK(rig.arrive(rig.lane(0), 0, std::string(900, 'x')));
        InLane& lane = rig.lane(2);
        CHECK(rig.arrive(lane, 0, "x", 0, 40'000));
        rig.flush();
        CHECK(lane.granted() == 0);
        CHECK(rig.inbox.fullest() == nullptr);
        CHECK(rig.arrive(lane, 1, std::string(99, 'x')));
        CHECK(rig.inbox.fullest() == &rig.lane(0));
    }

    TEST_CASE("when the budget is spent the fullest Carrier is named") {
        InRig rig(256 * 1024);
        CHECK(rig.inbox.fullest() == nullptr);
        for (std::uint64_t i = 0; i < 7; ++i)
            CHECK(rig.arrive(rig.lane(2 * i), 0, std::string(i == 4 ? 40'000 : 32'000, 'x')));
        CHECK(rig.inbox.fullest() == nullptr);
        CHECK(rig.arrive(rig.lane(20), 0, std::string(32'000, 'x')));
        REQUIRE(rig.inbox.fullest() == &rig.lane(8));
        rig.inbox.remove(rig.lane(8));
        CHECK(rig.inbox.fullest() == nullptr);
    }

    TEST_CASE("a small budget is not spent before it is used") {
        InRig rig(32 * 1024);
        CHECK(rig.arrive(rig.lane(0), 0, std::string(20'000, 'x')));
        CHECK(rig.inbox.fullest() == nullptr);
        CHECK(rig.arrive(rig.lane(0), 1, std::string(12'000, 'x')));
        CHECK(rig.inbox.fullest() == &rig.lane(0));
    }

    TEST_CASE("an unfinished message without progress stalls, one that waits for us does not") {
        InRig rig(1 << 20);
        InLane& lane = rig.lane(0);
        InLane& waits = rig.lane(2);
        CHECK(rig.arrive(lane, 0, "x", 0, 400'000));
        CHECK(rig.arrive(waits, 0, "x", 0, 400'000));
        rig.flush();
        REQUIRE(bool{waits.waiting});
        rig.now += 59s;
        CHECK(rig.inbox.stalled(rig.now).empty());
        CHECK(rig.arrive(lane, 0, "y", 1, 400'000));
        rig.now += 59s;
        CHECK(rig.inbox.stalled(rig.now).empty());
        rig.now += 1s;
        CHECK(rig.inbox.stalled(rig.now) == std::vector<InLane*>{&lane});
        rig.inbox.remove(lane);
        rig.flush();
        CHECK_FALSE(bool{waits.waiting});
        CHECK(rig.inbox.stalled(rig.now).empty());  // its time begins with the grant
        rig.now += 60s;
        CHECK(rig.inbox.stalled(rig.now) == std::vector<InLane*>{&waits});
    }

    TEST_CASE("the sum of the charges is what is held, and promises are never taken back") {
        std::mt19937_64 random(post::test::seed());
        for (int round = 0; round < 60; ++round) {
            InRig rig(512 * 1024);
            rig.mapping.now.smoothed_rtt = 30ms;
            struct Sender {
                std::uint64_t sequence = 0;
                std::uint64_t offset = 0;
                std::uint64_t total = 0;
                std::uint64_t room = InRig::window;  // what the lane's promises still allow
                std::uint64_t seen = 0;
            };
            std::map<std::uint64_t, Sender> senders;
            std::uint64_t taken = 0;
            std::uint64_t received = 0;
            for (int step = 0; step < 500; ++step) {
                const std::uint64_t carrier = 2 * (random() % 12);
                InLane& lane = rig.lane(carrier);
                Sender& sender = senders[carrier];
                sender.room += rig.promised(lane) - sender.seen;
                sender.seen = rig.promised(lane);
                switch (random() % 10) {
                    default: {
                        if (sender.offset == sender.total) {
                            sender.offset = 0;
                            sender.total = random() % 3 ? 1 + random() % 3000 : random() % 100'000;
                            ++sender.sequence;
                        }
                        const std::uint64_t size = std::min(
                            {sender.total - sender.offset, sender.room, 1 + random() % 30'000});
                        if (size == 0 && sender.total > 0) break;
                        const auto arrived = rig.arrive(lane, sender.sequence - 1,
                                                        Bytes(std::string(size, 'x')),
                                                        sender.offset, sender.total);
                        REQUIRE(arrived);
                        sender.offset += size;
                        sender.room -= size;
                        received += size;
                        break;
                    }
                    case 6:
                    case 7: rig.inbox.take(lane); break;
                    case 8:
                        rig.now += 10ms;
                        rig.flush();
                        break;
                    case 9:
                        if (random() % 6 > 0) break;
                        if (random() % 2 == 0 && sender.offset < sender.total) {
                            rig.inbox.handle_abandon(
                                rig.now, lane,
                                Abandon{lane.carrier, {}, post::Sequence{sender.sequence - 1}});
                            sender.offset = sender.total;
                            break;
                        }
                        rig.inbox.remove(lane);
                        rig.lanes.erase(carrier);
                        rig.mapping.windows.erase(carrier);
                        senders.erase(carrier);
                        break;
                }
                std::uint64_t held = 0;
                std::uint64_t granted = 0;
                for (const auto& [id, one] : rig.lanes) {
                    held += one->held();
                    granted += one->granted();
                    REQUIRE(one->promised >= 0);
                }
                REQUIRE(rig.inbox.charged() == held);
                REQUIRE(rig.charge.charged == held);
                REQUIRE(granted <= 512 * 1024);
                rig.flush();
                taken = received - held;
                REQUIRE(rig.mapping.budget == taken);
            }
        }
    }
}
