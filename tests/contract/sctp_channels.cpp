// Carriers of SCTP as data channels: what they are called and opened with, strings, long messages,
// and how messages travel to a plain peer.
#include <algorithm>

#include "mappings/sctp/packet.hpp"
#include "tests/contract/support.hpp"

namespace post::test {

namespace {

PairOptions plain() {
    auto options = seeded();
    options.raw = true;
    return options;
}

CarrierId open_channel(End& end, ChannelInfo info) {
    const auto carrier = end.open();
    // What open() has queued, as the last of all, is said with the channel.
    for (bool found = false; !found;) {
        Outgoing one = *end.supply.next();
        Open* const open = std::get_if<Open>(&one);
        found = open && open->carrier == carrier;
        if (found) open->channel = info;
        end.supply.push(std::move(one));
    }
    return carrier;
}

struct Terms {
    bool ordered = true;
    bool reliable = true;
    bool text = false;
    std::optional<Duration> lifetime{};
};

void send_with(End& end, CarrierId carrier, std::uint64_t sequence, Bytes content, Terms terms) {
    Piece piece;
    piece.carrier = carrier;
    piece.sequence = Sequence{sequence};
    piece.total = content.size();
    piece.bytes = std::move(content);
    piece.marks.ordered = terms.ordered;
    piece.marks.reliable = terms.reliable;
    piece.marks.text = terms.text;
    if (terms.lifetime) piece.extras = Extras{.lifetime = terms.lifetime};
    end.supply.push(std::move(piece));
}

// The peer's ends of what `end` opened, in the order in which they came.
std::vector<Open> opened(const End& end) {
    std::vector<Open> all;
    for (const auto& one : end.all<event::Opened>()) all.push_back(one.open);
    return all;
}

// A channel of the client's to a plain peer which has taken it; the server's end of it.
struct Taken {
    CarrierId client;
    CarrierId server;
};
template <class PairType> Taken taken_channel(PairType& pair, const ChannelInfo& info = {}) {
    REQUIRE(pair.connect());
    Taken taken;
    taken.client = open_channel(pair.client, info);
    pair.client.send(taken.client, "first");
    pair.run(1s);
    REQUIRE(opened(pair.server).size() == 1);
    taken.server = opened(pair.server)[0].carrier;
    return taken;
}

// Nothing arrives at the server while it lives.
struct Deaf {
    explicit Deaf(Pair& of) : pair(of) {
        pair.on_launch = [](bool to_server, Instant&) { return !to_server; };
    }
    ~Deaf() { pair.on_launch = nullptr; }
    Pair& pair;
};

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("sctp: what a channel is called and opened with reaches a plain peer, both ways") {
        SctpPair pair(plain());
        REQUIRE(pair.connect());
        const ChannelInfo all[] = {
            {"chat", "irc", {}},
            {std::string("\0\xff", 2), std::string(200, 'p'), {.ordered = false}},
            {"", "", {.ordered = false, .retransmissions = 3}},
            {"", "", {.lifetime = 250ms, .priority = 1024}},
        };
        for (End* end : {&pair.client, &pair.server})
            for (const ChannelInfo& info : all) open_channel(*end, info);
        pair.run(1s);
        for (const End* end : {&pair.client, &pair.server}) {
            const auto heard = opened(*end);
            REQUIRE(heard.size() == std::size(all));
            for (std::size_t i = 0; i < heard.size(); ++i) {
                REQUIRE(heard[i].channel);
                CHECK(*heard[i].channel == all[i]);
            }
        }
    }

    TEST_CASE("sctp: and a Post peer, whose OPEN says the rest") {
        SctpPair pair(seeded());
        REQUIRE(pair.connect());
        const ChannelInfo info{"label", "protocol", {.ordered = false, .lifetime = 9ms}};
        const auto parent = open_channel(pair.client, info);
        const auto fork = pair.client.open(CarrierKind::one_way, parent);
        pair.client.send(fork, "x");
        pair.run(1s);
        const auto heard = opened(pair.server);
        REQUIRE(heard.size() == 2);
        CHECK(heard[0].carrier == parent);
        REQUIRE(heard[0].channel);
        CHECK(*heard[0].channel == info);
        CHECK(heard[1].kind == CarrierKind::one_way);
        CHECK(heard[1].parent == parent);
        CHECK_FALSE(heard[1].channel);
    }

    TEST_CASE_TEMPLATE("sctp: right over UDP nothing is called anything", PairType, SctpUdpPair) {
        for (const bool raw : {false, true}) {
            auto options = seeded();
            options.raw = raw;
            PairType pair(options);
            const auto taken = taken_channel(pair, {"label", "protocol", {}});
            CHECK_FALSE(opened(pair.server)[0].channel);
            CHECK(pair.server.messages(taken.server).size() == 1);
        }
    }

    TEST_CASE("sctp: strings and bytes are told apart, empty ones too, both ways") {
        for (const bool raw : {false, true}) {
            auto options = seeded();
            options.raw = raw;
            SctpPair pair(options);
            const auto taken = taken_channel(pair);
            std::uint64_t at = 1;
            for (const char* content : {"content", ""})
                for (const bool text : {true, false})
                    send_with(pair.client, taken.client, at++, content, {.text = text});
            for (const char* content : {"", "content"})
                send_with(pair.server, taken.server, at++, content, {.text = true});
            pair.run(1s);
            const auto there = pair.server.template all<event::Arrived>();
            REQUIRE(there.size() == 5);
            const bool texts[] = {false, true, false, true, false};
            for (std::size_t i = 0; i < there.size(); ++i) {
                CHECK(there[i].piece.marks.text == texts[i]);
                CHECK(there[i].piece.bytes.empty() == (i > 2));
            }
            const auto back = pair.client.template all<event::Arrived>();
            REQUIRE(back.size() == 2);
            CHECK(back[0].piece.bytes.empty());
            CHECK(back[1].piece.bytes == "content");
            for (const auto& one : back) CHECK(one.piece.marks.text);
        }
    }

    TEST_CASE_TEMPLATE("sctp: a plain peer gets long messages whole, whatever their length",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        const std::size_t sizes[] = {1, 1172, 16 * 1024, 256 * 1024, 1024 * 1024, 3'000'000, 2};
        for (const std::size_t size : sizes) pair.client.send(taken.client, Bytes(pattern(size)));
        const auto other = pair.client.open();
        pair.client.send(other, "other");
        CHECK(pair.run_until([&] {
            return pair.server.template all<event::Arrived>().size() == std::size(sizes) + 2;
        }));
        const auto there = pair.server.messages(taken.server);
        REQUIRE(there.size() == std::size(sizes) + 1);
        for (std::size_t i = 0; i < std::size(sizes); ++i) {
            CHECK(there[i + 1].size() == sizes[i]);
            CHECK(there[i + 1] == pattern(sizes[i]));
        }
        pair.run(1s);
        CHECK(pair.client.acked(taken.client) == std::size(sizes) + 1);
        CHECK(pair.client.mapping->quiet());
    }

    TEST_CASE_TEMPLATE("sctp: a message that comes in pieces leaves for a plain peer as one",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        pair.client.send_cut(taken.client, Bytes(pattern(100'000)), 999);
        pair.client.send(taken.client, "behind");
        pair.run(2s);
        CHECK(pair.server.messages(taken.server) ==
              std::vector<std::string>{"first", pattern(100'000), "behind"});
        CHECK(pair.client.supply.packed_of(taken.client) == 1 + 101 + 1);
        CHECK(pair.client.acked(taken.client) == 1 + 101 + 1);
    }

    TEST_CASE_TEMPLATE("sctp: the bytes of a Stream leave for a plain peer as they are cut",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        Piece piece;
        piece.carrier = taken.client;
        piece.sequence = Sequence{1};
        piece.marks.stream = true;
        piece.total = 40'000;
        const Bytes content(pattern(piece.total));
        for (; piece.offset < piece.total; piece.offset += 16'384) {
            piece.bytes = content.slice(piece.offset, 16'384);
            pair.client.supply.push(piece);
        }
        pair.run(2s);
        const auto there = pair.server.messages(taken.server);
        REQUIRE(there.size() == 4);
        CHECK(there[1] + there[2] + there[3] == pattern(40'000));
        CHECK(there[1].size() == 16'384);
        CHECK(pair.client.acked(taken.client) == 1 + 3);
        CHECK(pair.client.mapping->quiet());
    }

    TEST_CASE_TEMPLATE("sctp: a message given up half way is whole, and then its stream ends",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        const auto other = pair.client.open();
        pair.client.send(taken.client, Bytes(pattern(3'000'000)));
        pair.transmit_now();
        pair.client.mapping->reset(taken.client, abort_error(1));
        pair.client.send(other, "other");
        pair.run(10s);
        const auto there = pair.server.messages(taken.server);
        REQUIRE(there.size() == 2);
        CHECK(there[1] == pattern(3'000'000));
        CHECK(pair.server.template all<event::Finished>(taken.server).size() == 1);
        CHECK(pair.server.template all<event::Arrived>().back().piece.bytes == "other");
    }

    TEST_CASE_TEMPLATE("sctp: to a plain peer what is lost is sent again, unless it need not be",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        {
            const Deaf deaf(pair);
            send_with(pair.client, taken.client, 1, "lost", {.reliable = false});
            send_with(pair.client, taken.client, 2, "ordered", {});
            pair.transmit_now();
        }
        pair.run(10s);
        CHECK(pair.server.messages(taken.server) == std::vector<std::string>{"first", "ordered"});
        const auto settled = pair.client.template all<event::SettledAlone>(taken.client);
        REQUIRE(settled.size() == 1);
        CHECK(settled[0].lost);
        CHECK(settled[0].sequence == Sequence{1});
        CHECK(pair.client.acked(taken.client) == 2);
        send_with(pair.client, taken.client, 3, Bytes(pattern(50'000)), {.reliable = false});
        pair.run(1s);
        CHECK(pair.server.messages(taken.server).back() == pattern(50'000));
        CHECK_FALSE(pair.client.template all<event::SettledAlone>(taken.client).back().lost);
        CHECK(pair.client.supply.alone_of(taken.client) == std::vector{Sequence{1}, Sequence{3}});
    }

    TEST_CASE_TEMPLATE("sctp: a plain peer's message is given up when its lifetime is over",
                       PairType, SctpPair, SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        {
            const Deaf deaf(pair);
            send_with(pair.client, taken.client, 1, "short", {.lifetime = 100ms});
            send_with(pair.client, taken.client, 2, "long", {.lifetime = 60s});
            pair.run(3s);
        }
        pair.run(20s);
        CHECK(pair.server.messages(taken.server) == std::vector<std::string>{"first", "long"});
        const auto settled = pair.client.template all<event::SettledAlone>(taken.client);
        REQUIRE(settled.size() == 2);
        CHECK(settled[0].lost);
        CHECK_FALSE(settled[1].lost);
    }

    TEST_CASE_TEMPLATE("sctp: a plain peer's unordered message overtakes", PairType, SctpPair,
                       SctpUdpPair) {
        PairType pair(plain());
        const auto taken = taken_channel(pair);
        {
            const Deaf deaf(pair);
            send_with(pair.client, taken.client, 1, "late", {});
            pair.transmit_now();
        }
        send_with(pair.client, taken.client, 2, "unordered", {.ordered = false});
        send_with(pair.client, taken.client, 3, "ordered", {});
        pair.run(10s);
        CHECK(pair.server.messages(taken.server) ==
              std::vector<std::string>{"first", "unordered", "late", "ordered"});
    }

    TEST_CASE("sctp: what a channel is opened with holds for its messages, both ways") {
        const ChannelInfo unreliable{"", "", {.ordered = false, .retransmissions = 0}};
        const ChannelInfo hasty{"", "", {.lifetime = 100ms}};
        for (const auto& info : {unreliable, hasty}) {
            SctpPair pair(plain());
            const auto taken = taken_channel(pair, info);
            pair.on_launch = [](bool, Instant&) { return false; };
            send_with(pair.client, taken.client, 1, "lost", {});
            send_with(pair.server, taken.server, 0, "lost", {});
            pair.run(2s);
            pair.on_launch = nullptr;
            send_with(pair.client, taken.client, 2, "second", {});
            send_with(pair.server, taken.server, 1, "second", {});
            pair.run(20s);
            CHECK(pair.server.messages(taken.server) ==
                  std::vector<std::string>{"first", "second"});
            CHECK(pair.client.messages(taken.client) == std::vector<std::string>{"second"});
            for (const End* end : {&pair.client, &pair.server}) {
                const auto settled = end->all<event::SettledAlone>();
                REQUIRE(settled.size() == 2);
                CHECK(settled[0].lost);
                CHECK_FALSE(settled[1].lost);
            }
        }
    }

    TEST_CASE("sctp: until the peer has taken the channel all is ordered and reliable") {
        SctpPair pair(plain());
        REQUIRE(pair.connect());
        const auto carrier = open_channel(pair.client, {"", "", {.ordered = false}});
        {
            const Deaf deaf(pair);
            send_with(pair.client, carrier, 0, "a", {});
            pair.transmit_now();
        }
        send_with(pair.client, carrier, 1, "b", {.ordered = false, .reliable = false});
        pair.run(10s);
        const auto there = opened(pair.server);
        REQUIRE(there.size() == 1);
        CHECK(pair.server.messages(there[0].carrier) == std::vector<std::string>{"a", "b"});
        CHECK(pair.client.supply.alone_of(carrier).empty());
        CHECK(pair.client.acked(carrier) == 2);
    }

    // Nothing leaves for it, and so nothing is acknowledged.
    TEST_CASE("sctp: an empty message to a plain peer right over UDP is over at once") {
        SctpUdpPair pair(plain());
        REQUIRE(pair.connect());
        const auto carrier = pair.client.open();
        pair.client.send(carrier, "");
        pair.run(1s);
        CHECK(pair.client.acked(carrier) == 1);
        CHECK(pair.client.supply.packed_of(carrier) == 1);
    }

    // usrsctp walked over the parameter for ever.
    TEST_CASE("sctp: an INIT with a parameter of no length is dropped, before and in the midst") {
        for (const bool up : {false, true}) {
            CAPTURE(up);
            SctpUdpPair pair(seeded());
            std::vector<std::byte> init;  // the client's own
            pair.on_sent = [&](bool to_server, std::span<const std::byte> bytes) {
                if (to_server && init.empty()) init.assign(bytes.begin(), bytes.end());
            };
            if (up)
                REQUIRE(pair.connect());
            else
                pair.transmit_now();
            REQUIRE(init.size() > sctp::common_header + 24);
            for (const unsigned length : {0u, 3u, 0xffffu}) {
                auto bad = init;
                sctp::put16(bad, sctp::common_header + 22, static_cast<std::uint16_t>(length));
                sctp::write_checksum(bad);
                pair.inject(true, bad);
            }
            // And what says nothing of its own length.
            init.resize(sctp::common_header + 12);
            sctp::write_checksum(init);
            pair.inject(true, init);
            REQUIRE(pair.connect());
            auto carrier = pair.client.open();
            pair.client.send(carrier, "still here");
            pair.run(1s);
            CHECK(pair.server.messages(carrier) == std::vector<std::string>{"still here"});
            CHECK_FALSE(pair.server.lost());
        }
    }

    TEST_CASE("sctp: labels without end are refused") {
        for (const bool raw : {true, false}) {
            auto options = seeded();
            options.raw = raw;
            SctpPair pair(options);
            REQUIRE(pair.connect());
            for (int i = 0; i < 40; ++i)
                open_channel(pair.client, {std::string(65535, 'l'), std::string(65535, 'p'), {}});
            pair.run(10s);
            // 4 MiB of 128 KiB each.
            if (raw) {
                CHECK(opened(pair.server).size() == 32);
                CHECK(pair.client.template all<event::Ended>().size() == 8);
            } else {
                REQUIRE(pair.server.lost());
                CHECK(*pair.server.lost() == Errc::excessive_load);
            }
        }
    }
}

}  // namespace post::test
