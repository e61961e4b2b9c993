// Peers that break the rules of QMux: every MUST of the draft that a peer can break, and the code
// with which the connection ends. Floods and time are in qmux_floods_test.cpp.
#include <doctest/doctest.h>

#include "mappings/quic/options.hpp"
#include "tests/hostile/qmux_siege.hpp"
#include "tests/unit/words.hpp"

namespace post::test {

namespace {

using tls::TransportError;

using frame::open;

// A message of 3 bytes (FORMAT.md, 3.1).
const std::string message("\x03xyz", 4);

// What breaks a rule is said to a server and to a client; both end the connection with the code.
void check_refused(std::string_view frames, TransportError code, std::string_view first = {}) {
    for (const Role victim : {Role::server, Role::client}) {
        CAPTURE(std::string(frames));
        QmuxSiege siege({.victim = victim});
        REQUIRE_FALSE(siege.lost());
        if (!first.empty()) REQUIRE(siege.say(first));
        CHECK_FALSE(siege.say(frames));
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::protocol_violation);
        REQUIRE(siege.close_code());
        CHECK(*siege.close_code() == static_cast<std::uint64_t>(code));
        CHECK(siege.lost()->cause.value() == static_cast<int>(code));
        // Nothing follows but the end of TLS.
        CHECK(siege.victim().over());
        CHECK(siege.attacker().progress() == TlsEnd::Progress::closed);
        CHECK(siege.count<event::Lost>() == 1);
    }
}
void check_taken(std::string_view frames) {
    for (const Role victim : {Role::server, Role::client}) {
        CAPTURE(std::string(frames));
        QmuxSiege siege({.victim = victim});
        CHECK(siege.say(frames));
        CHECK_FALSE(siege.lost());
    }
}

// The first thing that a peer says, whole, in one record or in several.
struct First {
    explicit First(std::string_view bytes, Role victim = Role::server)
        : siege({.victim = victim, .declares = false}) {
        siege.write(bytes);
    }
    void check_refused(TransportError code) {
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::protocol_violation);
        REQUIRE(siege.close_code());
        CHECK(*siege.close_code() == static_cast<std::uint64_t>(code));
        CHECK(siege.count<event::Established>() == 0);
    }
    QmuxSiege siege;
};

constexpr std::uint64_t max_record_size = 0x0571c59429cd0845;

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("qmux: a frame before QX_TRANSPORT_PARAMETERS is PROTOCOL_VIOLATION") {
        for (const Role victim : {Role::server, Role::client}) {
            for (const auto& text :
                 {frame::padding(1), frame::qx_ping(1), frame::max_data(5),
                  frame::stream(0, 0, "a"), frame::padding(1) + frame::qx_parameters(""),
                  std::string("\x1c\x00\x00\x00", 4)}) {
                First first(frame::record(text), victim);
                first.check_refused(TransportError::protocol_violation);
            }
        }
    }

    TEST_CASE("qmux: QX_TRANSPORT_PARAMETERS other than as the first frame") {
        check_refused(frame::qx_parameters(""), TransportError::protocol_violation);
        check_refused(frame::qx_parameters(frame::generous()), TransportError::protocol_violation);
        // In the same record.
        First first(frame::record(frame::qx_parameters("") + frame::qx_parameters("")));
        REQUIRE(first.siege.lost());
        CHECK(first.siege.close_code() ==
              static_cast<std::uint64_t>(TransportError::protocol_violation));
    }

    TEST_CASE("qmux: prohibited and broken transport parameters") {
        for (const Role victim : {Role::server, Role::client}) {
            for (const std::uint64_t id :
                 {0x00u, 0x02u, 0x03u, 0x0au, 0x0bu, 0x0cu, 0x0du, 0x0eu, 0x0fu, 0x10u}) {
                CAPTURE(id);
                First first(frame::record(frame::qx_parameters(frame::parameter(id, 3))), victim);
                first.check_refused(TransportError::transport_parameter_error);
            }
            for (const auto& content :
                 {frame::parameter(max_record_size, 16381), frame::parameter(8, (1ull << 60) + 1),
                  frame::parameter(4, 5) + frame::parameter(4, 5), std::string("\x04\x02\x05"),
                  std::string("\x04\x02\x05\x05")}) {
                First first(frame::record(frame::qx_parameters(content)), victim);
                first.check_refused(TransportError::transport_parameter_error);
            }
        }
    }

    TEST_CASE("qmux: unknown transport parameters are ignored") {
        First first(frame::record(
            frame::qx_parameters(frame::parameter(27, 1) + frame::parameter(0x2ab2, 7) +
                                 frame::parameter(max_record_size, 1 << 30))));
        CHECK_FALSE(first.siege.lost());
        CHECK(first.siege.count<event::Established>() == 1);
    }

    TEST_CASE("qmux: Established comes before what came in the same bytes") {
        for (const bool same_record : {true, false}) {
            const auto parameters = frame::qx_parameters(frame::generous());
            const auto stream = frame::stream(0, 0, open(0) + message);
            First first(same_record ? frame::record(parameters + stream)
                                    : frame::record(parameters) + frame::record(stream));
            const auto& events = first.siege.events();
            REQUIRE(events.size() >= 3);
            CHECK(std::holds_alternative<event::Established>(events[0]));
            CHECK(std::holds_alternative<event::Opened>(events[1]));
            CHECK(first.siege.arrived() == 3);
        }
    }

    TEST_CASE("qmux: records that are too large or empty are FRAME_ENCODING_ERROR") {
        for (const Role victim : {Role::server, Role::client}) {
            for (const auto& bytes : {frame::number(16383), frame::number(wire::varint_max),
                                      std::string(1, '\0'), std::string("\x40\x00", 2)}) {
                QmuxSiege siege({.victim = victim});
                // Known before the rest of the record is there.
                CHECK_FALSE(siege.write(bytes));
                CHECK(siege.close_code() ==
                      static_cast<std::uint64_t>(TransportError::frame_encoding_error));
            }
            QmuxSiege siege({.victim = victim});
            CHECK(siege.say(frame::padding(16382)));
            // The largest, byte by byte, each in a record of TLS; sizes in every form.
            CHECK(siege.write(frame::record(frame::padding(16382)), 1));
            CHECK(siege.write(std::string("\xc0\0\0\0\0\0\0\x01\0", 9), 1));
        }
    }

    TEST_CASE("qmux: a frame that the end of its record cuts is FRAME_ENCODING_ERROR") {
        for (const auto& whole :
             {frame::qx_ping(1), frame::max_data(1 << 20), frame::stream(0, 0, open(0)),
              frame::reset_stream(0, 5, 100), frame::stop_sending(0, 70), frame::datagram("ab"),
              frame::max_stream_data(0, 300), std::string("\x1c\x0a\x00\x02no", 6)}) {
            for (std::size_t size = 1; size < whole.size(); ++size)
                check_refused(frame::padding(1) + whole.substr(0, size),
                              TransportError::frame_encoding_error);
        }
        // It does not go on in the next record.
        QmuxSiege siege;
        CHECK_FALSE(siege.write(frame::record("\x10") + frame::record("\x05")));
    }

    TEST_CASE("qmux: prohibited and unknown frames are FRAME_ENCODING_ERROR") {
        using namespace std::string_literals;
        for (const auto& text :
             {frame::ping(), frame::ack(0, 0), "\x03\0\0\0\0\0\0\0"s, frame::crypto(0, "x"),
              frame::new_token("t"), frame::new_connection_id(1, 0), frame::retire_connection_id(0),
              frame::path_challenge(1), "\x1b"s + std::string(8, 'r'), frame::handshake_done(),
              "\x24\0\0\0\0"s, "\x1f"s, frame::number(0x3f5153300d0a0d0b),
              frame::number(0xaf) + "ab",
              // More streams than there are ids, and a stream longer than a number.
              "\x12"s + frame::number((1ull << 60) + 1), "\x17"s + frame::number((1ull << 60) + 1),
              frame::stream(0, wire::varint_max, "x")})
            check_refused(text, TransportError::frame_encoding_error);
    }

    TEST_CASE("qmux: an empty DATAGRAM before anything else was received") {
        check_taken(frame::datagram(""));
        check_taken("\x30");
    }

    TEST_CASE("qmux: STREAM that does not follow the one before is PROTOCOL_VIOLATION") {
        for (const auto& first : {std::string(), std::string("ab")}) {
            for (const std::uint64_t offset : {0u, 1u, 3u, 100u}) {
                if (offset == first.size()) continue;
                QmuxSiege siege;
                const auto begin = open(0) + first;
                REQUIRE(siege.say(frame::stream(0, 0, begin)));
                CHECK_FALSE(siege.say(frame::stream(0, open(0).size() + offset, "x")));
                CHECK(siege.close_code() ==
                      static_cast<std::uint64_t>(TransportError::protocol_violation));
            }
        }
        // The first of a stream, and an empty one.
        QmuxSiege siege;
        CHECK_FALSE(siege.say(frame::stream(0, 1, "")));
        CHECK(siege.close_code() == static_cast<std::uint64_t>(TransportError::protocol_violation));
    }

    TEST_CASE("qmux: STREAM behind the end of its stream is FINAL_SIZE_ERROR") {
        const auto size = open(0).size();
        for (const auto& end :
             {frame::stream(0, size, "", true), frame::reset_stream(0, 0, size)}) {
            for (const auto& more :
                 {frame::stream(0, size, "x"), frame::stream(0, size, ""),
                  frame::stream(0, 0, open(0)), frame::stream(0, size, "", true)}) {
                QmuxSiege siege;
                REQUIRE(siege.say(frame::stream(0, 0, open(0)) + end));
                CHECK_FALSE(siege.say(more));
                CHECK(siege.close_code() ==
                      static_cast<std::uint64_t>(TransportError::final_size_error));
            }
        }
        // Even after the stream is closed in both directions.
        QmuxSiege siege;
        REQUIRE(siege.say(frame::stream(0, 0, open(0)) + frame::stop_sending(0, 0) +
                          frame::reset_stream(0, 0, size)));
        CHECK(siege.count<event::Ended>() == 1);
        CHECK_FALSE(siege.say(frame::stream(0, size, "x")));
        CHECK(siege.close_code() == static_cast<std::uint64_t>(TransportError::final_size_error));
    }

    TEST_CASE("qmux: RESET_STREAM with another final size is FINAL_SIZE_ERROR") {
        const auto begin = frame::stream(0, 0, open(0) + message);
        const auto size = open(0).size() + message.size();
        const auto check = [&](const std::string& first, std::uint64_t final_size, bool good) {
            QmuxSiege siege;
            REQUIRE(siege.say(first));
            CHECK(siege.say(frame::reset_stream(0, 7, final_size)) == good);
            if (!good)
                CHECK(siege.close_code() ==
                      static_cast<std::uint64_t>(TransportError::final_size_error));
        };
        check(begin, size - 1, false);
        check(begin, 0, false);
        check(begin, size, true);
        check(begin, size + 100, true);  // given up before all of it was sent
        // The end is known.
        const auto ended = begin + frame::stream(0, size, "", true);
        check(ended, size, true);
        check(ended, size + 1, false);
        check(begin + frame::reset_stream(0, 7, size), size + 1, false);
        check(begin + frame::reset_stream(0, 7, size), size, true);
    }

    TEST_CASE("qmux: more than was granted is FLOW_CONTROL_ERROR") {
        Limits limits;
        limits.carrier_window = 1000;
        limits.budget = 1500;
        const auto check = [&](const std::string& frames, bool good) {
            CAPTURE(frames.size());
            QmuxSiege siege({.limits = limits});
            CHECK(siege.say(frames) == good);
            if (!good)
                CHECK(siege.close_code() ==
                      static_cast<std::uint64_t>(TransportError::flow_control_error));
        };
        // A long message that is not whole (FORMAT.md, 3.1).
        const auto fill = [&](std::uint64_t stream, std::size_t size) {
            std::string text = open(stream / 2) + "\x2f\xff";
            text.resize(size, 'x');
            return frame::stream(stream, 0, text);
        };
        check(fill(0, 1000), true);
        check(fill(0, 1001), false);
        check(fill(0, 800) + fill(4, 700), true);
        check(fill(0, 800) + fill(4, 701), false);
        // What RESET_STREAM says was sent counts as well.
        check(fill(0, 500) + frame::reset_stream(0, 0, 1000), true);
        check(fill(0, 500) + frame::reset_stream(0, 0, 1001), false);
        check(fill(0, 800) + fill(4, 500) + frame::reset_stream(4, 0, 701), false);
        check(fill(0, 500) + frame::reset_stream(0, 0, wire::varint_max), false);
    }

    TEST_CASE("qmux: streams beyond the limit are STREAM_LIMIT_ERROR") {
        Limits limits;
        limits.carriers = 3;
        limits.most_carriers = 3;
        for (const bool one_way : {false, true}) {
            const std::uint64_t kind = one_way ? 2 : 0;
            // One more of these, for what concerns the association.
            const std::uint64_t last = 4 * (one_way ? 3u : 2u) + kind;
            for (const auto& frames :
                 {frame::stream(last + 4, 0, "x"), frame::reset_stream(last + 4, 0, 0),
                  std::string("\x15") + frame::number(last + 4) + "\x05"}) {
                QmuxSiege siege({.limits = limits});
                CHECK_FALSE(siege.say(frames));
                CHECK(siege.close_code() ==
                      static_cast<std::uint64_t>(TransportError::stream_limit_error));
            }
            QmuxSiege siege({.limits = limits});
            CHECK(siege.say(frame::stream(last, 0, "")));
        }
        QmuxSiege siege;
        CHECK_FALSE(siege.say(frame::stream(wire::varint_max - 3, 0, "")));
        CHECK(siege.close_code() == static_cast<std::uint64_t>(TransportError::stream_limit_error));
    }

    TEST_CASE("qmux: frames of the wrong direction, or for streams of ours that do not exist") {
        // To a server: 1 and 3 are its own, 2 is the client's one-way stream.
        const auto refused = [](const std::string& text, TransportError code) {
            CAPTURE(text);
            QmuxSiege siege;
            CHECK_FALSE(siege.say(text));
            CHECK(siege.close_code() == static_cast<std::uint64_t>(code));
        };
        const auto state = TransportError::stream_state_error;
        refused(frame::stream(1, 0, "x"), state);
        refused(frame::stream(3, 0, "x"), state);
        refused(frame::reset_stream(1, 0, 0), state);
        refused(frame::reset_stream(3, 0, 0), state);
        refused(frame::stop_sending(1, 0), state);
        refused(frame::stop_sending(3, 0), state);
        refused(frame::stop_sending(2, 0), state);
        refused(frame::max_stream_data(1, 5), state);
        refused(frame::max_stream_data(3, 5), state);
        refused(frame::max_stream_data(2, 5), state);
        refused(std::string("\x15\x01\x05"), state);
        refused(std::string("\x15\x03\x05"), state);
        check_taken(std::string("\x14\x05\x16\x05\x17\x05", 6));  // *_BLOCKED say nothing to us
    }

    TEST_CASE("qmux: QX_PING with an old number is PROTOCOL_VIOLATION") {
        const auto code = TransportError::protocol_violation;
        check_refused(frame::qx_ping(5), code, frame::qx_ping(5));
        check_refused(frame::qx_ping(4), code, frame::qx_ping(5));
        check_refused(frame::qx_ping(0), code, frame::qx_ping(0));
        check_refused(frame::qx_ping(7) + frame::qx_ping(7), code);
        check_taken(frame::qx_ping(0) + frame::qx_ping(1) + frame::qx_ping(wire::varint_max));
    }

    TEST_CASE("qmux: the answer to a QX_PING never sent is PROTOCOL_VIOLATION") {
        const auto code = TransportError::protocol_violation;
        // One is sent when the connection is established.
        check_refused(frame::qx_answer(2), code);
        check_refused(frame::qx_answer(wire::varint_max), code);
        check_refused(frame::qx_answer(0), code);
        check_taken(frame::qx_answer(1));
        check_taken(frame::qx_answer(1) + frame::qx_answer(1));
    }

    TEST_CASE("qmux: a QX_PING is answered with its number, several with the largest") {
        QmuxSiege siege;
        siege.heard();
        siege.say(frame::qx_ping(77));
        CHECK(siege.heard() == Words{"ping 1 77"});
        siege.write(frame::record(frame::qx_ping(80)) + frame::record(frame::qx_ping(90)) +
                    frame::record(frame::qx_ping(91) + frame::qx_ping(92)));
        CHECK(siege.heard() == Words{"ping 1 92"});
    }

    TEST_CASE("qmux: nothing but our parameters is said before the peer's have come") {
        for (const Role victim : {Role::server, Role::client}) {
            QmuxSiege siege({.victim = victim, .declares = false});
            siege.supply().push(Open{CarrierId{victim == Role::client ? 0u : 1u}, {}, {}});
            siege.flush();
            siege.pass(std::chrono::seconds(5));
            auto heard = siege.heard();
            REQUIRE(heard.size() == 1);
            CHECK(heard[0].starts_with("parameters "));
            siege.say(frame::qx_parameters(frame::generous()));
            CHECK(siege.heard().size() >= 2);  // OPEN and a ping
        }
        // A server says them with its first flight, before the client has proved itself.
        TlsEnd client(Role::client, {.alpn = {std::string(tls::post_alpn)}});
        QmuxSiege siege({.declares = false});
        siege.deliver(client.take());
        CHECK(siege.heard().size() == 1);
    }

    TEST_CASE("qmux: CONNECTION_CLOSE ends the connection, and is answered by the end of TLS") {
        for (const Role victim : {Role::server, Role::client}) {
            QmuxSiege siege({.victim = victim});
            siege.heard();
            siege.say(std::string("\x1c\x0a\x00\x02no", 6) + frame::stream(0, 0, open(0)));
            REQUIRE(siege.lost());
            CHECK(*siege.lost() == Errc::connection_closed);
            CHECK(siege.lost()->cause.value() == 0x0a);
            CHECK(siege.opened() == 0);  // nothing behind it is read
            CHECK(siege.heard().empty());
            CHECK(siege.attacker().progress() == TlsEnd::Progress::closed);
            CHECK(siege.victim().over());
        }
    }

    TEST_CASE("qmux: the peer's close_notify is the end, and is answered") {
        QmuxSiege siege;
        siege.heard();
        siege.attacker().stream->close();
        siege.deliver(siege.attacker().take());
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::connection_lost);
        CHECK(siege.heard().empty());
        CHECK(siege.attacker().progress() == TlsEnd::Progress::closed);
    }

    TEST_CASE("qmux: a peer with another ALPN, or another protocol altogether") {
        for (const Role victim : {Role::server, Role::client}) {
            QmuxSiege siege({.victim = victim, .declares = false, .alpn = "other/1"});
            REQUIRE(siege.lost());
            CHECK(*siege.lost() == Errc::alpn_mismatch);
            CHECK(siege.attacker().failed());
            CHECK(siege.attacker().stream->error() == Errc::alpn_mismatch);
            CHECK(siege.victim().over());
        }
        // QMux: "The identifier for a mapping to QMux MUST be different from the mapping of the
        // same protocol to QUIC".
        CHECK(tls::post_alpn != quic::post_alpn);
        // Garbage instead of QMux, under true keys.
        std::string request = "GET / HTTP/1.1\r\nHost: server.example\r\nUser-Agent: ";
        request.resize(4000, 'x');
        First first(request);
        REQUIRE(first.siege.lost());
        CHECK(*first.siege.lost() == Errc::protocol_violation);
        CHECK(first.siege.close_code());
    }

    TEST_CASE("A33: the end of a stream inside a message gives no short message") {
        // A part of a message; a message, and the end of the stream without FIN of the Carrier; the
        // front of a frame's header.
        for (const auto& text :
             {std::string("\x04"
                          "ab"),
              message, message + "\x20", std::string("\x2f\xff") + std::string(100, 'x')}) {
            for (const bool finish_alone : {false, true}) {
                QmuxSiege siege;
                const auto bytes = open(0) + text;
                if (finish_alone)
                    siege.say(frame::stream(0, 0, bytes) +
                              frame::stream(0, bytes.size(), "", true));
                else
                    siege.say(frame::stream(0, 0, bytes, true));
                CHECK_FALSE(siege.lost());
                CHECK(siege.count<event::Finished>() == 0);
                REQUIRE(siege.count<event::Reset>() == 1);
                std::size_t whole = 0;
                for (const auto& event : siege.events())
                    if (auto* one = std::get_if<event::Arrived>(&event)) whole += one->piece.last();
                CHECK(whole == (text.starts_with(message) ? 1 : 0));
            }
        }
    }

    TEST_CASE("A33: a connection that is cut inside a message delivers no part of it") {
        QmuxSiege siege;
        const auto record = frame::record(frame::stream(0, 0,
                                                        open(0) + message +
                                                            "\x04"
                                                            "ab"));
        siege.write(record.substr(0, record.size() - 1));
        CHECK(siege.opened() == 0);
        siege.victim().handle_end(siege.now());
        siege.flush();
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::connection_lost);
        CHECK(siege.arrived() == 0);
    }
}

}  // namespace post::test
