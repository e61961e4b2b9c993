// Peers that finished the handshake and then break, or strain, the rules of RFC 9000's frames: what
// they cost is bounded, and it is their own connection that ends. On the mapping alone, in virtual
// time; ATTACKS A4, A5, A6, A12, A13, A32.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/hostile/frames.hpp"
#include "tests/hostile/siege.hpp"
#include "tests/hostile/stopwatch.hpp"
#include "tests/hostile/table.hpp"
#include "tests/seed.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

// RFC 9000, 20.1.
constexpr std::uint64_t frame_encoding_error = 0x07;
constexpr std::uint64_t protocol_violation = 0x0a;
constexpr std::uint64_t crypto_buffer_exceeded = 0x0d;

SiegeOptions seeded(Level begin_at = Level::one_rtt) {
    SiegeOptions options;
    options.seed = seed();
    options.begin_at = begin_at;
    return options;
}

std::size_t count(const std::vector<Forge::Said>& packets, char type, std::size_t size) {
    std::size_t found = 0;
    for (const auto& packet : packets)
        for (std::size_t at = 0; at + size <= packet.frames.size() && packet.frames[at] == type;
             at += size)
            ++found;
    return found;
}

// Every kind of packet that a peer can send, filled so that it is long enough for any level.
std::string filled(const std::string& frames) {
    return frames + frame::padding(1162 - frames.size());
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A4: CRYPTO data with holes, and without end, is held up to 128 KiB a level") {
        constexpr std::size_t bound = 128 * 1024;
        std::size_t most = 0;
        for (Level level : {Level::initial, Level::handshake, Level::one_rtt}) {
            CAPTURE(static_cast<int>(level));
            Siege siege(seeded(level));
            const std::string part(1000, 'x');
            const auto before = heap();
            std::uint64_t offset = 4000;  // behind what TLS waits for
            // Every other thousand bytes: nothing can be handed on.
            while (offset < 400'000 && siege.say(filled(frame::crypto(offset, part)), level))
                offset += 2000;
            most = std::max(most, grown(before));
            // Anybody on the path can forge an Initial packet, so its errors end nothing.
            if (level != Level::initial) {
                CHECK(offset < 200'000);
                CHECK(siege.close_code() == crypto_buffer_exceeded);
            }
            CHECK(grown(before) <= bound);
        }
        measured("A4", "CRYPTO data with holes", heap_figure(most, bound));
    }

    TEST_CASE("A4: CRYPTO data at an offset of 2^61 ends the connection") {
        for (Level level : {Level::handshake, Level::one_rtt}) {
            CAPTURE(static_cast<int>(level));
            Siege siege(seeded(level));
            CHECK_FALSE(siege.say(filled(frame::crypto(std::uint64_t{1} << 61, "x")), level));
            CHECK(siege.close_code() == crypto_buffer_exceeded);
        }
    }

    TEST_CASE("A5: ids that retire others are answered up to a few, and then end the connection") {
        Siege siege(seeded());
        siege.say(frame::ping());
        const auto before = heap();
        siege.hears = true;
        std::uint64_t sequence = 10;  // behind the client's own
        // Nothing that the victim says is ever acknowledged, so its retirements pile up.
        for (; sequence <= 100'000; ++sequence)
            if (siege.pass(1ms); !siege.say(frame::new_connection_id(sequence, sequence))) break;
        std::set<std::string> retired;
        for (const auto& packet : siege.heard())
            for (std::size_t at = 0; at + 1 < packet.frames.size(); ++at)
                if (packet.frames[at] == 0x19) retired.insert(packet.frames.substr(at, 2));
        CHECK(siege.lost());
        CHECK(sequence <= 64);
        CHECK(retired.size() <= 16);
        CHECK(grown(before) <= 16 * 1024);
        measured("A5", "NEW_CONNECTION_ID that retires",
                 "closed after " + std::to_string(sequence - 10) + " ids and " +
                     std::to_string(retired.size()) + " retirements (<= 16), " +
                     heap_figure(grown(before), 16 * 1024));
    }

    TEST_CASE("A5: ids said again and again, and retirements of ours without end, cost no memory") {
        for (bool ours : {false, true}) {
            CAPTURE(ours);
            Siege siege(seeded());
            siege.say(frame::ping());
            siege.say(frame::new_connection_id(4, 1));
            const auto before = heap();
            for (std::uint64_t i = 0; i < 100'000; ++i) {
                if (!siege.say(ours ? frame::retire_connection_id(i + 1)
                                    : frame::new_connection_id(4, 1)))
                    break;
                if (i % 1000 == 0) siege.pass(1ms);
            }
            CHECK(grown(before) <= 16 * 1024);
        }
    }

    TEST_CASE("A6: a hundred thousand PATH_CHALLENGEs draw no more than they bring") {
        Siege siege(seeded());
        siege.hears = true;
        std::uint64_t in = 0, next = 0, answered = 0;
        const auto before_bytes = siege.bytes();
        const auto before = heap();
        std::size_t most = 0;
        for (int i = 0; i < 1000; ++i) {
            // A hundred in a packet.
            std::string frames;
            for (int k = 0; k < 100; ++k) frames += frame::path_challenge(next++);
            const auto datagram = siege.forge().seal(Level::one_rtt, frames);
            in += datagram.size();
            if (!siege.deliver(datagram)) break;
            siege.pass(1ms);
            const auto responses = count(siege.heard(), 0x1b, 9);
            most = std::max(most, responses);
            answered += responses;
        }
        const double factor = static_cast<double>(siege.bytes() - before_bytes) /
                              static_cast<double>(in);
        CHECK(most >= 1);
        CHECK(most <= 4);
        CHECK(answered * 9 <= next * 9);
        CHECK(factor <= 1.0);
        CHECK(grown(before) <= 16 * 1024);
        measured(
            "A6", "PATH_CHALLENGE, 100 000 in 1 000 packets",
            std::to_string(most) + " answers queued (<= 4), out/in " + decimal(factor) + " (<= 1)");
    }

    TEST_CASE("A12: an acknowledgement of what was never sent ends the connection") {
        Siege siege(seeded());
        CHECK_FALSE(siege.say(frame::ack(1'000'000, 0)));
        CHECK(siege.close_code() == protocol_violation);
    }

    TEST_CASE("A12: a peer that acknowledges before it receives is found out") {
        Siege siege(seeded());
        const CarrierId carrier{1};
        siege.supply().push(Open{carrier, {}, CarrierKind::messages});
        siege.supply().push(
            Piece{carrier, {}, {}, 0, 64u << 20, Bytes(std::string(1 << 20, 'x')), {}});
        siege.hears = true;
        siege.flush();
        siege.say(frame::max_data(std::uint64_t{1} << 40) +
                  frame::max_stream_data(1, std::uint64_t{1} << 40));
        std::uint64_t largest = 0, sent = 1;
        const auto began = siege.bytes();
        for (int round = 0; round < 2000 && !siege.lost(); ++round) {
            for (const auto& packet : siege.heard()) largest = std::max(largest, packet.number);
            Piece more{carrier, {}, {}, sent++ << 20, 64u << 20, Bytes(std::string(1 << 20, 'x')),
                       {}};
            if (sent <= 64) siege.supply().push(more);
            siege.pass(1ms);
            // All of them, those that it was not shown included.
            siege.say(frame::ack(largest, largest));
        }
        const auto bytes = siege.bytes() - began;
        CHECK(siege.lost());
        CHECK(bytes <= 16u << 20);
        measured("A12", "acknowledges before it receives",
                 amount(static_cast<double>(bytes)) + " sent until it is found out (<= 16 MiB)");
    }

    TEST_CASE("A13: acknowledgements of a thousand ranges, and frames of a byte, cost no time") {
        Siege siege(seeded());
        siege.say(frame::ping());
        std::string pings;
        for (int i = 0; i < 1400; ++i) pings += frame::ping();
        const Stopwatch watch;
        int packets = 0;
        for (; packets < 1000; ++packets)
            if (!siege.say(pings)) break;
        const auto each = watch.seconds() / packets;
        CHECK(packets == 1000);
        CHECK((sanitized() || each <= 0.001));

        // Ranges that cannot be, since so much was never sent.
        std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges(600, {0, 0});
        CHECK_FALSE(siege.say(frame::ack(1202, 0, ranges)));
        CHECK(siege.close_code() == protocol_violation);
    }

    TEST_CASE("A13: packet numbers with gaps make no more ranges than are remembered") {
        Siege siege(seeded());
        siege.say(frame::ping());
        const auto before = heap();
        std::uint64_t number = 10'000;
        const Stopwatch watch;
        constexpr int packets = 20'000;
        for (int i = 0; i < packets; ++i, number += 2) {
            siege.forge().count_from(Level::one_rtt, number);
            REQUIRE(siege.say(frame::ping()));
        }
        const auto each = watch.seconds() / packets;
        // 64 datagrams are what one turn takes.
        CHECK((sanitized() || 64 * each <= 0.005));
        CHECK(grown(before) <= 256 * 1024);
        measured("A13", "packet numbers with gaps",
                 "64 datagrams in " + time_figure(64 * each, 0.005) + ", " +
                     heap_figure(grown(before), 256 * 1024));
    }

    TEST_CASE("A32: frames at a level or from a side that may not send them end the connection") {
        struct Row {
            const char* what;
            std::string frames;
            Level level;
        };
        const Row rows[] = {
            {"HANDSHAKE_DONE from a client", frame::handshake_done(), Level::one_rtt},
            {"NEW_TOKEN from a client", frame::new_token("token"), Level::one_rtt},
            {"STREAM in Initial", filled(frame::stream(0, 0, "x")), Level::initial},
            {"STREAM in Handshake", filled(frame::stream(0, 0, "x")), Level::handshake},
            {"NEW_CONNECTION_ID in Handshake", filled(frame::new_connection_id(1, 0)),
             Level::handshake},
            {"HANDSHAKE_DONE in Initial", filled(frame::handshake_done()), Level::initial},
            {"PATH_CHALLENGE in Handshake", filled(frame::path_challenge(1)), Level::handshake},
            {"an unknown frame", "\x3f", Level::one_rtt},
            {"a frame cut in its number", "\x10\xc0", Level::one_rtt},
            {"a STREAM longer than its packet", std::string("\x0a\x00\x7f", 3) + "x",
             Level::one_rtt},
            {"a stream that only we may open", frame::stream(1, 0, "x"), Level::one_rtt},
            {"a stream that only we may send on", frame::stream(3, 0, "x"), Level::one_rtt},
            {"a stream above the grant", frame::stream(4'000'000, 0, "x"), Level::one_rtt},
            {"STREAM that ends above 2^62", frame::stream(0, (std::uint64_t{1} << 62) - 1, "xx"),
             Level::one_rtt},
            {"data above the window", frame::stream(0, 1u << 30, "x"), Level::one_rtt},
            {"a final size that shrinks",
             frame::stream(0, 100, "x") + frame::reset_stream(0, 0, 50), Level::one_rtt},
            {"retirement of an id that never was", frame::retire_connection_id(1000),
             Level::one_rtt},
            {"an id that retires later ones", frame::new_connection_id(1, 2), Level::one_rtt},
            {"an empty token", std::string("\x07\x00", 2), Level::one_rtt},
            {"no frame at all", "", Level::one_rtt},
        };
        int ended = 0;
        for (const Row& row : rows) {
            CAPTURE(std::string(row.what));
            Siege siege(seeded(row.level));
            siege.say(row.frames, row.level);
            // Anybody on the path can forge an Initial packet, so its errors end nothing.
            REQUIRE(siege.lost().has_value() == (row.level != Level::initial));
            CHECK(siege.close_code().value_or(0) != (row.level == Level::initial ? 1 : 0));
            // Nothing reached the application.
            CHECK(siege.arrived() == 0);
            ended += siege.lost().has_value();
        }
        measured("A32", "frames that may not be there",
                 std::to_string(ended) + " of " + std::to_string(std::size(rows)) +
                     " end their connection, those in Initial packets are dropped");
    }

    TEST_CASE("A32: a server that says its handshake is done before it is ends the connection") {
        auto options = seeded();
        options.victim = Role::client;
        options.begin_at = Level::handshake;
        Siege siege(options);
        siege.say(filled(frame::handshake_done()), Level::handshake);
        REQUIRE(siege.lost());
        CHECK(siege.close_code() == protocol_violation);
        CHECK(siege.close_code() != frame_encoding_error);
    }

    TEST_CASE("an empty DATAGRAM before anything else was received is no message and no fault") {
        for (const bool raw : {false, true}) {
            auto options = seeded();
            options.raw = raw;
            Siege siege(options);
            CHECK(siege.say(filled(frame::datagram(""))));
            CHECK_FALSE(siege.lost());
        }
    }
}

}  // namespace post::test
