// What travels alone, outside of its Carrier's stream: Outbox and Inbox, the frame, and how an
// Association brings them together.
#include <ostream>

#include <doctest/doctest.h>

#include "mappings/framing/post_framing.hpp"
#include "tests/unit/association_support.hpp"
#include "tests/unit/framing_support.hpp"
#include "tests/unit/inbox_support.hpp"
#include "tests/unit/outbox_support.hpp"

using namespace std::chrono_literals;
using post::Bytes;
using post::CarrierId;
using post::Delivered;
using post::Errc;
using post::Fate;
using post::Instant;
using post::NicenessClass;
using post::Piece;
using post::SendOptions;
using post::Sequence;
using post::Skip;
using post::core::InLane;
using post::core::OutLane;
using post::test::InRig;
using post::test::Rig;
using post::test::Words;

namespace {

const SendOptions loose{.ordered = false, .reliable = false};
constexpr Instant later{1000s};

struct AloneRig : Rig {
    explicit AloneRig(bool plain = false) {
        outbox.know_peer({.plain = plain, .properties = true, .alone = true});
    }
    // Pulls one, which has to be free to travel alone, and packs it.
    void pack_alone(OutLane& lane) {
        REQUIRE_FALSE(pull().empty());
        const Piece& piece = std::get<Piece>(out);
        REQUIRE_FALSE(piece.marks.reliable);
        outbox.packed_alone(lane, piece.niceness, piece.sequence);
    }
    void settled(OutLane& lane, std::uint64_t sequence, bool lost) {
        outbox.settled_alone(lane, {lane.carrier, NicenessClass{}, Sequence{sequence}, lost},
                             later);
    }
    Words gaps() {
        Words words;
        for (const Skip& gap : outbox.gaps())
            words.push_back(name(gap.carrier, gap.niceness.value(), gap.first) + "x" +
                            std::to_string(gap.count));
        outbox.gaps().clear();
        return words;
    }
};

struct AloneInRig : InRig {
    using InRig::InRig;
    void alone(InLane& lane, std::uint64_t sequence, const Bytes& bytes) {
        Piece made = piece(lane, sequence, bytes);
        made.marks.reliable = made.marks.ordered = false;
        post::core::Inbox::After after;
        inbox.handle_alone(now, lane, std::move(made), after);
    }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("alone: who is free to travel alone") {
        struct Row {
            const char* what;
            SendOptions options;
            bool free;
        };
        const Row rows[] = {
            {"unordered", loose, true},
            {"ordered", {.reliable = false}, false},
            {"reliable", {.ordered = false}, false},
            {"the last", {.ordered = false, .reliable = false, .final = true}, false},
        };
        for (const Row& row : rows) {
            CAPTURE(row.what);
            AloneRig rig;
            rig.send(rig.lane(0), "x", row.options);
            rig.pull();
            CHECK(std::get<Piece>(rig.out).marks.reliable == !row.free);
        }
        Rig rig;  // of whose peer nothing is known
        rig.send(rig.lane(0), "x", loose);
        rig.pull();
        CHECK(std::get<Piece>(rig.out).marks.reliable);
        AloneRig cut;
        cut.send(cut.lane(0), "abc", loose);
        cut.pull(2);
        CHECK(std::get<Piece>(cut.out).marks.reliable);
    }

    TEST_CASE("alone: packed out of line with the stream's pieces, and acked by the peer's word") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "a");
        rig.send(lane, "b", loose);
        rig.send(lane, "c");
        rig.pull();
        rig.pack_alone(lane);
        CHECK(rig.fates() == Words{"sent 0/0#1"});
        rig.pull();
        rig.outbox.packed(lane, 2);
        CHECK(rig.fates() == Words{"sent 0/0#0", "sent 0/0#2"});
        CHECK(rig.outbox.packed_messages() == 2);  // whose word is missed
        rig.settled(lane, 1, false);
        CHECK(rig.fates().empty());
        CHECK(rig.delivered(lane, 3));
        CHECK(rig.fates() == Words{"acked 0/0#0", "acked 0/0#1", "acked 0/0#2"});
        CHECK(rig.outbox.deadline() == post::never);
        CHECK(rig.outbox.packed_messages() == 0);
        CHECK(rig.outbox.unsettled_bytes() == 0);
        CHECK_FALSE(lane.work);
    }

    TEST_CASE("alone: a lost one expires, may have been delivered, and leaves no gap") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        for (int i = 0; i < 5; ++i) {
            rig.send(lane, "x", loose);
            rig.pack_alone(lane);
        }
        rig.fates();
        rig.settled(lane, 1, true);
        rig.settled(lane, 2, true);
        rig.settled(lane, 4, true);
        CHECK(rig.fates() == Words{"expired? 0/0#1", "expired? 0/0#2", "expired? 0/0#4"});
        CHECK(rig.gaps() == Words{"0/0#1x2", "0/0#4x1"});
        // It was late and not lost, and the peer says so; what is said twice is said once.
        CHECK(rig.delivered(lane, 5));
        rig.settled(lane, 0, false);
        rig.settled(lane, 3, true);
        CHECK(rig.fates() == Words{"acked 0/0#0", "acked 0/0#3"});
        CHECK(rig.gaps().empty());
        CHECK(rig.outstanding == 0);
        CHECK_FALSE(lane.work);
    }

    TEST_CASE("alone: one that the receiver dropped expires, and was not delivered") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "x", loose);
        rig.pack_alone(lane);
        rig.fates();
        Delivered said;
        said.watermark = Sequence{1};
        said.dropped = std::vector<Delivered::Range>{{Sequence{0}, 1}};
        CHECK(rig.outbox.handle_delivered(lane, said));
        CHECK(rig.fates() == Words{"expired 0/0#0"});
        CHECK(rig.gaps().empty());
        rig.settled(lane, 0, false);
        CHECK_FALSE(lane.work);
    }

    TEST_CASE("alone: one that arrived, and of which the peer never speaks, expires by itself") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "x", loose, Instant{900s});
        rig.pack_alone(lane);
        rig.settled(lane, 0, false);
        CHECK(rig.outbox.deadline() == later);  // its lifetime counted until it was packed
        rig.fates();
        rig.outbox.handle_timeout(later - 1ns);
        CHECK(rig.fates().empty());
        rig.outbox.handle_timeout(later);
        CHECK(rig.fates() == Words{"expired? 0/0#0"});
        CHECK(rig.gaps() == Words{"0/0#0x1"});
        CHECK_FALSE(lane.work);
    }

    TEST_CASE("alone: with a plain peer the transport's word counts, and nobody closes gaps") {
        AloneRig rig(true);
        OutLane& lane = rig.lane(0);
        rig.send(lane, "a", loose);
        rig.send(lane, "b", loose);
        rig.pack_alone(lane);
        rig.pack_alone(lane);
        rig.fates();
        rig.settled(lane, 1, true);
        rig.settled(lane, 0, false);
        CHECK(rig.fates() == Words{"expired? 0/0#1", "acked 0/0#0"});
        CHECK(rig.gaps().empty());
        CHECK_FALSE(lane.work);
    }

    TEST_CASE("alone: the end of the direction waits for what is in flight beside the stream") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "x", loose);
        rig.outbox.finish(lane);
        rig.pack_alone(lane);
        CHECK(rig.pull().empty());
        rig.settled(lane, 0, false);
        CHECK(rig.pull() == "finish 0");
        CHECK(rig.delivered(lane, 1));
        CHECK_FALSE(lane.work);
    }

    TEST_CASE("alone: a lane that fails in between owes nothing") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        rig.send(lane, "a", loose);
        rig.send(lane, "b", loose);
        rig.pack_alone(lane);
        rig.pull();
        rig.fates();
        rig.outbox.fail(lane, Errc::cancelled);
        CHECK(rig.fates() == Words{"failed? 0/0#0", "failed? 0/0#1"});
        rig.outbox.packed_alone(lane, NicenessClass{}, Sequence{1});
        rig.settled(lane, 0, true);
        rig.settled(lane, 1, true);
        CHECK(rig.fates().empty());
        CHECK(rig.gaps().empty());
        CHECK(rig.outstanding == 0);
    }

    TEST_CASE("alone: who waits for a lost one expires with it") {
        AloneRig rig;
        OutLane& lane = rig.lane(0);
        const auto first = rig.send(lane, "a", loose);
        rig.send_after({first}, rig.lane(2), "b");
        rig.pack_alone(lane);
        rig.fates();
        rig.settled(lane, 0, true);
        CHECK(rig.fates() == Words{"expired? 0/0#0", "expired 2/0#0"});
    }

    TEST_CASE("alone: what arrives is given out and reported, and what comes twice is not") {
        AloneInRig rig;
        InLane& lane = rig.lane(0);
        rig.alone(lane, 1, "b");
        rig.alone(lane, 1, "b");
        CHECK(rig.arrive(lane, 0, "a"));
        rig.alone(lane, 0, "a");
        CHECK(rig.take(lane) == "b");
        CHECK(rig.take(lane) == "a");
        CHECK(rig.take(lane) == "(nothing)");
        const auto said = rig.reports(true);
        REQUIRE(said.size() == 1);
        CHECK(said[0].watermark == Sequence{2});
        CHECK_FALSE(said[0].dropped);
        rig.inbox.handle_skip(rig.now, lane, {lane.carrier, {}, Sequence{2}, 1});
        rig.alone(lane, 2, "late");
        CHECK(rig.take(lane) == "(nothing)");
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("alone: nothing is promised again for what nobody was promised") {
        AloneInRig rig;
        InLane& lane = rig.lane(0);
        for (std::uint64_t i = 0; i < 16; ++i) rig.alone(lane, i, std::string(1024, 'x'));
        CHECK(rig.inbox.charged() == 16 * 1024);
        for (int i = 0; i < 16; ++i) rig.take(lane);
        rig.flush();
        CHECK(rig.promised(lane) == 0);
        CHECK(rig.mapping.budget == 0);
        for (std::uint64_t i = 16; i < 32; ++i) CHECK(rig.arrive(lane, i, std::string(1024, 'x')));
        for (int i = 0; i < 16; ++i) rig.take(lane);
        rig.flush();
        CHECK(rig.promised(lane) == 16 * 1024);
        CHECK(rig.mapping.budget == 16 * 1024);
        // While they lie untaken they take room from those of the stream.
        for (std::uint64_t i = 32; i < 48; ++i) rig.alone(lane, i, std::string(1024, 'x'));
        for (std::uint64_t i = 48; i < 64; ++i) CHECK(rig.arrive(lane, i, std::string(1024, 'x')));
        for (int i = 0; i < 16; ++i) rig.take(lane);
        rig.flush();
        for (int i = 0; i < 16; ++i) rig.take(lane);
        rig.flush();
        CHECK(rig.promised(lane) == 32 * 1024);
        CHECK(rig.mapping.budget == 32 * 1024);
        CHECK(rig.inbox.charged() == 0);
    }

    TEST_CASE("alone: what finds no room is dropped, and said to be") {
        AloneInRig rig;
        InLane& lane = rig.lane(0);
        for (std::uint64_t i = 0; i < 40; ++i) rig.alone(lane, i, std::string(1024, 'x'));
        CHECK(rig.inbox.charged() == InRig::window);
        const auto said = rig.reports(true);
        REQUIRE(said.size() == 1);
        CHECK(said[0].watermark == Sequence{40});
        REQUIRE(said[0].dropped);
        REQUIRE(said[0].dropped->size() == 1);
        CHECK(said[0].dropped->front().first == Sequence{32});
        CHECK(said[0].dropped->front().count == 8);
        // Others have room still, but all together an eighth of the budget.
        for (std::uint64_t carrier = 2; carrier < 100; carrier += 2)
            for (std::uint64_t i = 0; i < 40; ++i)
                rig.alone(rig.lane(carrier), i, std::string(1024, 'x'));
        CHECK(rig.inbox.charged() == (1 << 20) / 8);
        CHECK(rig.inbox.fullest() == nullptr);
        // Empty ones weigh too.
        for (std::uint64_t i = 40; i < 100'000; ++i) rig.alone(rig.lane(200), i, "");
        CHECK(rig.inbox.fullest() == nullptr);
        lane.discarding = true;
        rig.alone(lane, 40, "x");
        CHECK(rig.reports(true).back().dropped);
    }

    TEST_CASE("alone: the frame, and what is none") {
        Piece piece;
        piece.carrier = CarrierId{4};
        piece.niceness = NicenessClass{1};
        piece.sequence = Sequence{7};
        piece.bytes = Bytes("hi");
        piece.total = 2;
        piece.marks.ordered = piece.marks.reliable = false;
        std::array<std::byte, post::framing::largest_frame> out;
        const auto size = post::framing::write_alone(out, piece);
        std::string text(reinterpret_cast<const char*>(out.data()), size);
        CHECK(text == std::string("\x04\x30\x0f\x01\x07\x02", 6));
        text += "hi";
        const auto read = post::framing::read_alone(Bytes(text));
        REQUIRE(read);
        CHECK(read->carrier == piece.carrier);
        CHECK(read->niceness == piece.niceness);
        CHECK(read->sequence == piece.sequence);
        CHECK(read->marks == piece.marks);
        CHECK(read->bytes == "hi");
        CHECK(read->last());
        const std::string wrong[] = {
            "",
            "\x04",
            std::string("\x04\x30\x0f\x01\x07", 5),
            text + "x",                                    // more than its content
            text.substr(0, text.size() - 1),               // less
            std::string("\x04\x30\x0d\x01\x02hi", 7),      // no sequence number
            std::string("\x04\x30\x07\x01\x07\x02hi", 8),  // not unreliable
            std::string("\x04\x02hi", 4),                  // a short message
            std::string("\x04\x33\x00\x05\x02", 5),        // SKIP
            std::string("\x04\x30\x4b\xff\x01\x07\x02hi", 9),
            std::string("\x04\x30\x0f\x40\x41\x07\x02hi", 9),  // class 65
        };
        for (const auto& one : wrong) CHECK_FALSE(post::framing::read_alone(Bytes(one)));
    }

    TEST_CASE("alone: a Post peer has to announce datagrams, a plain one only its transport") {
        for (const bool post : {true, false})
            for (const bool transport : {true, false})
                for (const bool feature : {true, false}) {
                    CAPTURE(post);
                    CAPTURE(transport);
                    CAPTURE(feature);
                    post::test::AssociationRig rig;
                    rig.association.activate();
                    while (rig.association.poll_want({})) {}
                    rig.association.attach(
                        std::make_unique<post::test::ScriptedMapping>(rig.script));
                    rig.tell(post::event::Established{"x", post, {}, transport});
                    post::Settings settings;
                    settings.largest_message = 1 << 20;
                    settings.features = feature ? post::feature::datagrams : 0;
                    if (post) rig.tell(settings);
                    rig.turn();
                    const auto support = rig.association.explain(post::Feature::unreliable);
                    CHECK((support.level == post::Support::Level::native) ==
                          (transport && (feature || !post)));
                }
    }

    TEST_CASE("alone: a lost number is skipped, and its Carrier's end comes behind") {
        post::test::AssociationRig rig;
        rig.association.activate();
        while (rig.association.poll_want({})) {}
        rig.association.attach(std::make_unique<post::test::ScriptedMapping>(rig.script));
        rig.tell(post::event::Established{"post", true, {}, true});
        post::Settings settings;
        settings.largest_message = 1 << 20;
        settings.features = post::feature::datagrams;
        rig.tell(settings);
        const CarrierId carrier = rig.open();
        rig.send(carrier, "a", loose);
        rig.script.alone = true;
        rig.association.finish(carrier);
        rig.said();
        CHECK(rig.said() == Words{});
        rig.tell(post::event::SettledAlone{carrier, {}, Sequence{0}, true});
        rig.turn();
        CHECK(rig.script.said == Words{"skip 0", "finish 0"});
        CHECK(rig.happened() == Words{"active", "sent 1#0", "expired 1#0"});
    }

    TEST_CASE("alone: an association lives on when a peer never speaks of what came alone") {
        post::test::AssociationRig rig;
        rig.association.activate();
        while (rig.association.poll_want({})) {}
        rig.association.attach(std::make_unique<post::test::ScriptedMapping>(rig.script));
        rig.tell(post::event::Established{"post", true, {}, true});
        post::Settings settings;
        settings.largest_message = 1 << 20;
        settings.features = post::feature::datagrams;
        rig.tell(settings);
        const CarrierId carrier = rig.open();
        rig.script.alone = true;
        rig.send(carrier, "a", loose);
        rig.turn();
        rig.tell(post::event::SettledAlone{carrier, {}, Sequence{0}, false});
        rig.turn();
        rig.happened();
        const auto acked = rig.now;
        rig.run_until(acked + 30s - 1ns);
        CHECK(rig.happened() == Words{});
        rig.run_until(acked + 200s);
        CHECK(rig.happened() == Words{"expired 1#0"});
        CHECK(rig.association.state() == post::core::Association::State::established);
        CHECK(rig.commands() == Words{});
    }
}
