// Frames of QMux: the bytes of each, there and back, every cut of every frame, and those that are
// prohibited.
#include <doctest/doctest.h>

#include <functional>

#include "tests/unit/qmux_support.hpp"

using namespace post;
using namespace post::test;
using tls::Frame;
namespace qmux = post::tls::frame;

namespace {

// All frames of a record; "cut" for what is no frame.
std::vector<std::string> frames_of(std::span<const std::byte> bytes) {
    std::vector<std::string> all;
    for (wire::Reader reader(bytes); !reader.empty();) {
        const auto frame = tls::next_frame(reader);
        all.push_back(frame ? describe(*frame) : "cut");
        if (!frame) break;
    }
    return all;
}
std::string frame_of(std::string_view text) {
    const auto all = frames_of(hex(text));
    return all.size() == 1 ? all[0] : "not one frame";
}

constexpr const char* parameters = "ff 51 53 30 0d 0a 0d 0a";
const std::string ping = "f4 8c 67 52 9e f8 c7 bd ";
const std::string pong = "f4 8c 67 52 9e f8 c7 be ";

struct Row {
    std::string bytes;
    std::string frame;
    std::function<void(wire::Writer&)> write;  // none: we do not send it so
};

template <class Kind> std::function<void(wire::Writer&)> writer(Kind frame) {
    return [frame](wire::Writer& out) { tls::write(out, frame); };
}

const std::vector<Row>& rows() {
    static const auto reason = hex("6e 6f");
    static const std::vector<Row> all{
        {"04 04 41 00 80 01 00 00", "reset 4 256 65536", writer(qmux::ResetStream{4, 256, 65536})},
        {"05 3f 05", "stop 63 5", writer(qmux::StopSending{63, 5})},
        {"10 bf ff ff ff", "max data 1073741823", writer(qmux::MaxData{1073741823})},
        {"11 08 40 40", "max stream data 8 64", writer(qmux::MaxStreamData{8, 64})},
        {"12 d0 00 00 00 00 00 00 00", "max streams 0 1152921504606846976",
         writer(qmux::MaxStreams{false, std::uint64_t{1} << 60})},
        {"13 07", "max streams 1 7", writer(qmux::MaxStreams{true, 7})},
        {"14 09", "blocked 9", writer(qmux::DataBlocked{9})},
        {"15 02 09", "stream blocked 2 9", writer(qmux::StreamDataBlocked{2, 9})},
        {"16 01", "streams blocked 0 1", writer(qmux::StreamsBlocked{false, 1})},
        {"17 02", "streams blocked 1 2", writer(qmux::StreamsBlocked{true, 2})},
        {"1c 0a 08 02 6e 6f", "close 0 10 8 [6e 6f]",
         writer(qmux::ConnectionClose{false, 10, 8, reason})},
        {"1d 41 01 00", "close 1 257 0 []", writer(qmux::ConnectionClose{true, 257, 0, {}})},
        {std::string(parameters) + " 02 6e 6f", "parameters [6e 6f]",
         writer(qmux::TransportParameters{reason})},
        {ping + "07", "ping 0 7", writer(qmux::Ping{false, 7})},
        {pong + "40 80", "ping 1 128", writer(qmux::Ping{true, 128})},
        {"0a 04 02 61 62", "stream 4 0 [61 62]", {}},
        {"0b 04 00", "stream 4 0 [] fin", {}},
        {"0e 04 43 e8 01 61", "stream 4 1000 [61]", {}},
        {"0f 04 01 01 61", "stream 4 1 [61] fin", {}},
        {"31 02 61 62", "datagram [61 62]", {}},
    };
    return all;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("qmux_frames: each frame both ways") {
        for (const Row& row : rows()) {
            CAPTURE(row.frame);
            CHECK(frame_of(row.bytes) == row.frame);
            if (!row.write) continue;
            std::array<std::byte, 64> space;
            wire::Writer out(space);
            row.write(out);
            REQUIRE(out.ok());
            CHECK(hex_of(out.written()) == hex_of(hex(row.bytes)));
            // Without room for all of it the writer says so.
            for (std::size_t size = 0; size < out.size(); ++size) {
                wire::Writer small{std::span(space).first(size)};
                row.write(small);
                CHECK_FALSE(small.ok());
            }
        }
    }

    TEST_CASE("qmux_frames: STREAM headers say what they must and no more") {
        const auto header = [](std::uint64_t offset, bool finish, std::size_t size) {
            std::array<std::byte, tls::largest_stream_header> space;
            wire::Writer out(space);
            tls::write_stream_header(out, {4, offset, {}, finish}, size);
            REQUIRE(out.ok());
            return hex_of(out.written());
        };
        CHECK(header(0, false, 2) == "0a 04 02");
        CHECK(header(0, true, 0) == "0b 04 00");
        CHECK(header(1000, false, 1) == "0e 04 43 e8 01");
        CHECK(header(1, true, 1) == "0f 04 01 01");
        // The largest there is.
        std::array<std::byte, tls::largest_stream_header> space;
        wire::Writer out(space);
        tls::write_stream_header(out, {wire::varint_max, wire::varint_max, {}, true}, 16382);
        CHECK(out.ok());
    }

    TEST_CASE("qmux_frames: without a length STREAM and DATAGRAM reach to the end of the record") {
        CHECK(frame_of("08 04") == "stream 4 0 []");
        CHECK(frame_of("08 04 61 00 62") == "stream 4 0 [61 00 62]");
        CHECK(frame_of("09 04") == "stream 4 0 [] fin");
        CHECK(frame_of("0c 04 05 61") == "stream 4 5 [61]");
        CHECK(frame_of("0d 04 05 61") == "stream 4 5 [61] fin");
        CHECK(frame_of("30") == "datagram []");
        CHECK(frame_of("30 61 62") == "datagram [61 62]");
    }

    TEST_CASE("qmux_frames: every cut of every frame") {
        for (const Row& row : rows()) {
            const auto bytes = hex(row.bytes);
            for (std::size_t size = 1; size < bytes.size(); ++size) {
                CAPTURE(row.frame);
                CAPTURE(size);
                const auto cut = bytes_of(std::span(bytes).first(size));
                CHECK(frames_of(cut.span()) == std::vector<std::string>{"cut"});
            }
        }
    }

    TEST_CASE("qmux_frames: a record of all of them, and padding between") {
        std::string record;
        std::vector<std::string> expected;
        for (const Row& row : rows()) {
            record += row.bytes + " 00 00 00 ";
            expected.push_back(row.frame);
            expected.push_back("padding");
        }
        CHECK(frames_of(hex(record)) == expected);
        CHECK(frames_of(std::vector<std::byte>(16382)) == std::vector<std::string>{"padding"});
        CHECK(frames_of({}).empty());
    }

    TEST_CASE("qmux_frames: prohibited and unknown frames are none") {
        // PING, ACK, CRYPTO, NEW_TOKEN, NEW_CONNECTION_ID, RETIRE_CONNECTION_ID, PATH_CHALLENGE,
        // PATH_RESPONSE, HANDSHAKE_DONE: each as it would stand in QUIC.
        for (const char* text :
             {"01", "02 00 00 00 00", "03 00 00 00 00 00 00 00", "06 00 01 61", "07 01 61",
              "18 01 00 01 61 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "19 00",
              "1a 00 00 00 00 00 00 00 00", "1b 00 00 00 00 00 00 00 00", "1e"})
            CHECK(frame_of(text) == "cut");
        // RESET_STREAM_AT, which nobody negotiated, and others that are not known.
        for (const char* text :
             {"24 04 00 00 00", "1f", "20", "2f", "32", "40 40", "af", "c0 00 00 00 00 00 00 01",
              "f4 8c 67 52 9e f8 c7 bf 00", "ff 51 53 30 0d 0a 0d 0b 00"})
            CHECK(frame_of(text) == "cut");
        // A type that takes more bytes than it must is the same type.
        CHECK(frame_of("40 01") == "cut");
        CHECK(frame_of("40 10 05") == "max data 5");
    }

    TEST_CASE("qmux_frames: numbers beyond what streams may have") {
        // RFC 9000, 19.8: offset and length together.
        CHECK(frame_of("0e 04 ff ff ff ff ff ff ff ff 00") == "stream 4 4611686018427387903 []");
        CHECK(frame_of("0e 04 ff ff ff ff ff ff ff ff 01 61") == "cut");
        CHECK(frame_of("0c 04 ff ff ff ff ff ff ff ff 61") == "cut");
        // RFC 9000, 19.11 and 19.14: more streams than ids.
        for (const char* type : {"12", "13", "16", "17"}) {
            CHECK(frame_of(std::string(type) + " d0 00 00 00 00 00 00 00") != "cut");
            CHECK(frame_of(std::string(type) + " d0 00 00 00 00 00 00 01") == "cut");
        }
        // A length beyond the record, and the largest.
        CHECK(frame_of("0a 04 03 61 62") == "cut");
        CHECK(frame_of("0a 04 ff ff ff ff ff ff ff ff 61") == "cut");
        CHECK(frame_of("31 05 61") == "cut");
    }
}
