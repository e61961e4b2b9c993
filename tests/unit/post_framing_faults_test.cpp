// Post frames from peers that are wrong or unlucky: every violation of mappings/FORMAT.md, every
// place where a stream can be cut, ends in the middle, and random streams that must come back.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "mappings/framing/frames.hpp"
#include "mappings/framing/post_framing.hpp"
#include "tests/seed.hpp"
#include "tests/unit/framing_support.hpp"

using namespace post;
using framing::Decoder;
using framing::Encoder;
using test::hear;
using test::Heard;
using test::hex;
using test::say;

namespace {

constexpr CarrierId carrier{4};
constexpr std::string_view largest = "ff ff ff ff ff ff ff ff ";  // 2^62 - 1
constexpr std::string_view settings =
    "38 12 00 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ";

// `ours`: a stream that we opened, for Carrier 4.
enum class Side { ours, peers };

struct Fault {
    const char* name;
    Side side;
    std::string bytes;
    const char* detail;
};

std::string repeat(std::size_t times, std::string_view text) {
    std::string all;
    for (std::size_t i = 0; i < times; ++i) all += text;
    return all;
}

std::vector<Fault> faults() {
    const std::string wide(settings);
    const std::string slot = "31 40 00 0a 04 61 62 63 64 ";  // 4 of 10 bytes in slot 0
    std::string all_slots;
    for (unsigned i = 0; i < 64; ++i) {
        const std::byte octet{static_cast<std::uint8_t>(0x40 | i)};
        all_slots += "31 " + test::hex_of({&octet, 1}) + " 00 02 01 61 ";
    }
    const std::string first_parameter = "00 10 " + repeat(16, "00 ");
    return {
        // Where frames stand.
        {"a stream that begins with a message", Side::peers, "05",
         "stream: first byte 5 is neither"},
        {"a stream that begins with FIN", Side::peers, "34", "stream: first byte 52 is neither"},
        {"a stream that begins with an ignorable", Side::peers, "7f", "stream: first byte 127"},
        {"OPEN on our own stream", Side::ours, "35", "OPEN: type 53 is not the first frame"},
        {"OPEN twice", Side::peers, "35 04 00 35", "OPEN: type 53 is not the first frame"},
        {"SETTINGS on a Carrier", Side::ours, "38", "SETTINGS: type 56 is on a Carrier's stream"},
        {"DELIVERED on a Carrier", Side::ours, "3a", "DELIVERED: type 58 is on a Carrier's stream"},
        {"CREDIT on a Carrier", Side::ours, "3b", "CREDIT: type 59"},
        {"CHOSEN on a Carrier", Side::ours, "3c", "CHOSEN: type 60"},
        {"ATTACH on a Carrier", Side::ours, "3d", "ATTACH: type 61"},
        {"REFUSE on a Carrier", Side::ours, "39", "REFUSE: type 57"},
        {"SETTINGS twice", Side::peers, wide + "38", "SETTINGS: type 56 is not the first frame"},
        {"a short message on the association's", Side::peers, wide + "05", "MESSAGE: first byte 5"},
        {"MESSAGE on the association's", Side::peers, wide + "30",
         "MESSAGE: type 48 is on the asso"},
        {"FIN on the association's", Side::peers, wide + "34",
         "FIN: type 52 is on the association"},
        {"OPEN on the association's", Side::peers, wide + "35",
         "OPEN: type 53 is on the association"},
        {"EARLY on our own stream", Side::ours, "36", "EARLY: type 54 does not follow OPEN"},
        {"EARLY behind a message", Side::peers, "35 04 00 00 36", "EARLY: type 54 does not follow"},
        {"EARLY twice", Side::peers, "35 04 00 36 00 00 00 00 00 00 00 00 00 36", "EARLY: type 54"},
        {"unknown type 0x37", Side::ours, "37", "frame: type 55 is unknown"},
        {"unknown type 0x80", Side::ours, "80", "frame: type 128 is unknown"},
        {"unknown type 0xff", Side::ours, "ff", "frame: type 255 is unknown"},
        {"bytes behind FIN", Side::ours, "34 00", "FIN: byte 0 follows it"},
        {"FIN with an unfinished message", Side::ours, slot + "34",
         "FIN: unfinished messages 1 are"},
        {"an ignorable frame of 65537", Side::ours, "70 80 01 00 01",
         "length 65537 is above 65536"},
        // MESSAGE.
        {"class 64", Side::ours, "30 01 40 40", "MESSAGE: class 64 is above 63"},
        {"unknown length", Side::ours, "30 44 00", "MESSAGE: flags 1024 have unknown bits"},
        {"an unknown flag", Side::ours, "30 80 00 20 00", "MESSAGE: flags 8192 have unknown bits"},
        {"an offset of what is whole", Side::ours, "30 50 00 01 01 61", "MESSAGE: offset 1 is for"},
        {"an offset beyond the end", Side::ours, "31 40 50 00 02 02 01 61",
         "CHUNK: offset 2 is not below"},
        {"more than is left behind the offset", Side::ours, "31 40 50 00 01 02 02 61 61",
         "CHUNK: length 2 is 0, or more"},
        {"flag bit 30", Side::ours, "30 c0 00 00 00 40 00 00 00", "flags 1073741824 have unknown"},
        {"no antecedent", Side::ours, "30 41 00 00", "antecedent count 0 is not 1 to 16"},
        {"17 antecedents", Side::ours, "30 41 00 11", "antecedent count 17 is not 1 to 16"},
        {"an antecedent of class 64", Side::ours, "30 41 00 01 00 40 40", "class 64 is above 63"},
        {"513 bytes of properties", Side::ours, "30 42 00 42 01", "properties' size 513 is above"},
        {"a property without a name", Side::ours, "30 42 00 02 00 00", "key size 0 names nothing"},
        {"a key across the end", Side::ours, "30 42 00 02 02 61", "size 2 ends inside a property"},
        {"no value", Side::ours, "30 42 00 02 01 61", "size 2 ends inside a property"},
        {"a value across the end", Side::ours, "30 42 00 03 01 61 01", "size 3 ends inside"},
        {"a sequence behind the last", Side::ours, "30 02 " + std::string(largest) + "00 00",
         "MESSAGE: sequence 4611686018427387904"},
        {"the same in a MESSAGE", Side::ours, "30 02 " + std::string(largest) + "00 30 00 00",
         "MESSAGE: sequence 4611686018427387904"},
        {"the same in a CHUNK", Side::ours, "30 02 " + std::string(largest) + "00 31 40 00 02 01",
         "CHUNK: sequence 4611686018427387904"},
        // CHUNK and ABANDON.
        {"the slot byte's bit 7", Side::ours, "31 80", "CHUNK: slot byte 128 is reserved"},
        {"a slot that is not the lowest", Side::ours, "31 41 00 02 01",
         "CHUNK: slot 1 is not the low"},
        {"a slot that is taken", Side::ours, slot + "31 40 00 02 01",
         "CHUNK: slot 0 is not the low"},
        {"a 65th message", Side::ours, all_slots + "31 40 00 02 01",
         "CHUNK: slot 0 is not the low"},
        {"a slot without a message", Side::ours, "31 00 01 61", "CHUNK: slot 0 holds no message"},
        {"a slot above one", Side::ours, slot + "31 3f 01 61", "CHUNK: slot 63 holds no message"},
        {"a finished slot", Side::ours, slot + "31 00 06 61 61 61 61 61 61 31 00 01",
         "slot 0 holds no"},
        {"a chunk of nothing", Side::ours, slot + "31 00 00", "CHUNK: length 0 continues nothing"},
        {"a chunk beyond the total", Side::ours, slot + "31 00 07", "CHUNK: length 7 is more than"},
        {"a first chunk with it all", Side::ours, "31 40 00 04 04", "CHUNK: length 4 is not below"},
        {"a first chunk beyond", Side::ours, "31 40 00 04 05", "CHUNK: length 5 is not below"},
        {"an empty message in a chunk", Side::ours, "31 40 00 00 00",
         "CHUNK: length 0 is not below"},
        {"a chunk of class 64", Side::ours, "31 40 01 40 40", "CHUNK: class 64 is above 63"},
        {"ABANDON of slot 64", Side::ours, "32 40", "ABANDON: slot 64 is above 63"},
        {"ABANDON of a free slot", Side::ours, "32 00", "ABANDON: slot 0 holds no message"},
        {"ABANDON twice", Side::ours, slot + "32 00 32 00", "ABANDON: slot 0 holds no message"},
        // SKIP and OPEN.
        {"SKIP of class 64", Side::ours, "33 40 40", "SKIP: class 64 is above 63"},
        {"SKIP of nothing", Side::ours, "33 00 00 00", "SKIP: count 0 skips nothing"},
        {"SKIP beyond the last", Side::ours, "33 00 " + std::string(largest) + "02",
         "SKIP: count 2 goes beyond 2^62 - 1"},
        {"OPEN of kind 3", Side::peers, "35 04 03", "OPEN: kind 3 is reserved"},
        {"OPEN with an unknown flag", Side::peers, "35 04 10", "OPEN: flags 16 have unknown bits"},
        {"OPEN of one's own child", Side::peers, "35 04 04 04", "OPEN: parent 4 is the Carrier"},
        {"EARLY of scope 2", Side::peers, "35 04 00 36 02", "EARLY: scope 2 is above 1"},
        // SETTINGS.
        {"513 bytes of SETTINGS", Side::peers, "38 42 01", "SETTINGS: length 513 is above 512"},
        {"no association id", Side::peers, "38 00",
         "SETTINGS: parameter 0 (association) is missing"},
        {"a short association id", Side::peers, "38 03 00 01 00", "association id 1 is not 16"},
        {"a short race id", Side::peers, "38 03 01 01 00",
         "SETTINGS: size of the race id 1 is not 8"},
        {"a parameter that is no varint", Side::peers, "38 03 02 01 40",
         "size of parameter 2 is not"},
        {"a varint and more", Side::peers, "38 04 03 02 00 00", "size of parameter 3 is not that"},
        {"an empty parameter", Side::peers, "38 02 04 00", "size of parameter 4 is not that"},
        {"a parameter twice", Side::peers, "38 24 " + first_parameter + first_parameter,
         "SETTINGS: parameter 0 comes twice"},
        {"a parameter across the end", Side::peers, "38 03 09 02 00", "length 3 ends inside"},
        {"half an id", Side::peers, "38 01 40", "SETTINGS: length 1 ends inside a parameter"},
        // DELIVERED and ATTACH.
        {"DELIVERED of class 64", Side::peers, wide + "3a 01 04 40 40", "DELIVERED: class 64 is"},
        {"DELIVERED, unknown flag", Side::peers, wide + "3a 10",
         "DELIVERED: flags 16 have unknown"},
        {"DELIVERED with no range", Side::peers, wide + "3a 02 04 00 00", "range count 0 is not"},
        {"33 ranges", Side::peers, wide + "3a 02 04 00 21", "DELIVERED: range count 33 is not"},
        {"a gap too far", Side::peers, wide + "3a 02 04 00 01 " + std::string(largest),
         "DELIVERED: gap 4611686018427387903 goes beyond"},
        {"a range too long", Side::peers, wide + "3a 02 04 00 01 00 " + std::string(largest),
         "DELIVERED: range length 4611686018427387903 goes beyond"},
        {"a range behind the last", Side::peers,
         wide + "3a 02 04 " + std::string(largest) + "01 00", "DELIVERED: gap 0 goes beyond"},
        {"a partial too far", Side::peers, wide + "3a 04 04 01 " + std::string(largest),
         "DELIVERED: partial 4611686018427387903 goes beyond"},
        {"33 dropped ranges", Side::peers, wide + "3a 08 04 00 21",
         "range count 33 is not 1 to 32"},
        {"ATTACH with an unknown flag", Side::peers, wide + "3d 04",
         "ATTACH: flags 4 have unknown"},
    };
}

Decoder decoder_of(Side side) { return side == Side::ours ? Decoder(carrier) : Decoder(); }

// One of everything that a Carrier's stream can have, twice around.
std::vector<std::byte> rich_stream() {
    Encoder encoder;
    std::vector<std::byte> stream;
    const auto append = [&](std::string_view text) {
        const auto bytes = hex(text);
        stream.insert(stream.end(), bytes.begin(), bytes.end());
    };
    const auto piece = [&](unsigned niceness, unsigned sequence, unsigned offset, unsigned size,
                           unsigned total, Marks marks = {}) {
        say(encoder, stream,
            Piece{carrier, NicenessClass{static_cast<std::uint8_t>(niceness)}, Sequence{sequence},
                  offset, total, Bytes(std::string(size, static_cast<char>('a' + sequence))),
                  marks});
    };
    say(encoder, stream, Open{carrier, CarrierId{300}, CarrierKind::messages});
    append("36 00 01 02 03 04 05 06 07 08");
    piece(0, 0, 0, 5, 5);
    piece(0, 1, 0, 0, 0, {.ask = true});
    piece(0, 2, 0, 40, 40);
    piece(1, 0, 0, 10, 30);
    piece(0, 3, 0, 0, 20, {.reliable = false});
    piece(1, 1, 0, 3, 9, {.ordered = false, .idempotent = true});
    append("70 03 01 02 03 7f 00");
    piece(1, 0, 10, 15, 30);
    piece(0, 3, 0, 7, 20);
    say(encoder, stream, Abandon{carrier, NicenessClass{1}, Sequence{1}});
    piece(63, 5000, 0, 6, 6, {.final = true, .ask = true});
    piece(1, 0, 25, 5, 30);
    say(encoder, stream, Skip{carrier, NicenessClass{0}, Sequence{9}, 3});
    piece(0, 3, 7, 13, 20);
    piece(0, 12, 0, 2, 2);
    append("30 43 80 40 fa 01 00 00 03 04 01 6b 01 76 02 68 69");
    say(encoder, stream, Finish{carrier});
    return stream;
}

std::vector<std::byte> association_stream() {
    Settings ours;
    ours.race = 0xfedcba9876543210;
    Delivered delivered{carrier, NicenessClass{7}, Sequence{100}, {}, Sequence{20'000}, 1 << 20};
    for (std::uint64_t i = 0; i < 32; ++i)
        delivered.ranges.push_back({Sequence{200 + i * 1000}, 1 + i * 30});
    auto stream = say(
        {ours, Chosen{*ours.race}, delivered, Refuse{CarrierId{1000}, Errc::too_many}, delivered});
    const auto more = hex("3b 04 80 01 00 00 7f 01 00");
    stream.insert(stream.end(), more.begin(), more.end());
    return stream;
}

// A random stream of whole and begun messages, and what of each was said.
struct RandomTalk {
    explicit RandomTalk(std::mt19937_64& source) : random(source) {
        for (std::uint64_t i = up_to(40); i > 0; --i) {
            if (!begun.empty() && up_to(2) == 0)
                go_on(up_to(begun.size() - 1));
            else
                begin();
        }
    }

    // Everything that the receiver is told of a message, but where a piece is in it.
    static std::string name(Piece piece) {
        piece.bytes = {};
        piece.offset = 0;
        return test::describe(piece);
    }

    std::vector<std::byte> stream;
    std::map<std::string, std::string> said;

private:
    struct Begun {
        Piece piece;
        std::string content;
    };

    std::uint64_t up_to(std::uint64_t most) { return random() % (most + 1); }

    void put(Begun& message, std::size_t size) {
        message.piece.bytes = Bytes(message.content.substr(message.piece.offset, size));
        said[name(message.piece)] += message.piece.bytes.view();
        say(encoder, stream, message.piece);
        message.piece.offset += size;
    }

    void go_on(std::size_t which) {
        Begun& message = begun[which];
        const bool abandons = up_to(5) == 0;
        if (abandons)
            say(encoder, stream, Abandon{carrier, message.piece.niceness, message.piece.sequence});
        else
            put(message, 1 + up_to(message.content.size() - message.piece.offset - 1));
        if (abandons || message.piece.offset == message.piece.total)
            begun.erase(begun.begin() + static_cast<std::ptrdiff_t>(which));
    }

    void begin() {
        const NicenessClass niceness{static_cast<std::uint8_t>(up_to(1) ? 0 : up_to(63))};
        std::uint64_t& sequence = next[niceness.value()];
        sequence += up_to(9) == 0 ? up_to(1000) : 0;
        if (up_to(9) == 0) {
            say(encoder, stream, Skip{carrier, niceness, Sequence{sequence}, 2});
            sequence += 2;
            return;
        }
        Begun message;
        message.content.assign(up_to(3) ? up_to(40) : up_to(6000),
                               static_cast<char>('a' + up_to(25)));
        message.piece = {carrier, niceness, Sequence{sequence++}, 0, message.content.size(),
                         {},      {}};
        message.piece.marks = {up_to(4) != 0, up_to(4) != 0, up_to(4) == 0, up_to(9) == 0,
                               up_to(4) == 0};
        const bool whole = message.content.empty() || up_to(3) != 0;
        put(message, whole ? message.content.size() : up_to(message.content.size() - 1));
        if (!whole) begun.push_back(message);
    }

    std::mt19937_64& random;
    Encoder encoder;
    std::vector<Begun> begun;
    std::array<std::uint64_t, 64> next{};
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("each violation is found, named, and stays") {
        for (const Fault& fault : faults()) {
            CAPTURE(fault.name);
            const auto bytes = hex(fault.bytes);
            std::vector<std::size_t> every_byte;
            for (std::size_t i = 1; i < bytes.size(); ++i) every_byte.push_back(i);
            for (const auto& cuts : {std::vector<std::size_t>{}, every_byte}) {
                Decoder decoder = decoder_of(fault.side);
                const Heard heard = hear(decoder, bytes, cuts);
                CHECK(heard.error == Errc::protocol_violation);
                CAPTURE(heard.error.detail.string());
                CHECK(heard.error.detail.view().find(fault.detail) != std::string_view::npos);
                CHECK(!decoder.between_frames());
                CHECK(!decoder.finished());
                // Nothing helps any more.
                Bytes input = Bytes("\x01x\x01x");
                Piece piece;
                CHECK(!decoder.next_short(input, piece));
                CHECK(decoder.next(input).error() == Errc::protocol_violation);
                CHECK(decoder.next(input).error().detail == heard.error.detail);
            }
        }
    }

    TEST_CASE("a stream that is cut anywhere gives the same frames") {
        for (const auto& stream : {rich_stream(), association_stream()}) {
            Decoder whole;
            const Heard expected = hear(whole, stream);
            REQUIRE(!expected.error);
            CHECK(expected.between);
            std::vector<std::size_t> every_byte;
            for (std::size_t cut = 1; cut < stream.size(); ++cut) {
                CAPTURE(cut);
                every_byte.push_back(cut);
                Decoder decoder;
                const Heard heard = hear(decoder, stream, {cut});
                CHECK(heard.frames == expected.frames);
                CHECK(heard.overhead == expected.overhead);
                CHECK(!heard.error);
            }
            Decoder decoder;
            const Heard heard = hear(decoder, stream, every_byte);
            CHECK(heard.frames == expected.frames);
            CHECK(heard.overhead == expected.overhead);
        }
    }

    TEST_CASE("an end inside a frame is never between frames") {
        const auto stream = rich_stream();
        // Where frames end, found by a Decoder that gets one byte at a time.
        std::size_t ends = 0;
        Decoder decoder;
        for (std::size_t i = 0; i < stream.size(); ++i) {
            Bytes input = test::bytes_of(std::span(stream).subspan(i, 1));
            while (decoder.next(input).value()) {}
            ends += decoder.between_frames();
            CHECK(decoder.finished() == (i + 1 == stream.size()));
        }
        CHECK(ends ==
              20);  // 18 things said, of which two frames were ignorable, and MESSAGE in hex
        Decoder cut(carrier);
        hear(cut, hex("05 68 65"));
        CHECK(!cut.between_frames());
        CHECK(!cut.finished());
    }

    TEST_CASE("overhead is all that is no content, and is told once") {
        Decoder decoder(carrier);
        const Heard heard = hear(decoder, hex("05 68 65 6c 6c 6f 32"));
        CHECK(heard.overhead == 2);
        CHECK(decoder.take_overhead() == 0);
    }

    TEST_CASE("64 messages can be unfinished at once, in any order") {
        Encoder encoder;
        std::vector<std::byte> stream;
        std::vector<unsigned> order(64);
        for (unsigned i = 0; i < 64; ++i) order[i] = i;
        const auto piece = [&](unsigned i, unsigned offset) {
            say(encoder, stream,
                Piece{carrier,
                      NicenessClass{static_cast<std::uint8_t>(i % 64)},
                      Sequence{i},
                      offset,
                      2,
                      Bytes("x"),
                      {.ordered = false}});
        };
        std::mt19937_64 random(test::seed());
        std::shuffle(order.begin(), order.end(), random);
        for (const unsigned i : order) piece(i, 0);
        CHECK(encoder.unfinished() == 64);
        std::shuffle(order.begin(), order.end(), random);
        for (const unsigned i : order) piece(i, 1);
        CHECK(encoder.unfinished() == 0);
        piece(64, 0);
        piece(64, 1);
        say(encoder, stream, Finish{carrier});
        Decoder decoder(carrier);
        const Heard heard = hear(decoder, stream);
        CHECK(!heard.error);
        CHECK(heard.frames.size() == 64 + 64 + 1 + 1);
        CHECK(decoder.finished());
    }

    TEST_CASE("the largest headers there are fit, however they come") {
        // Every number in eight bytes; 16 antecedents and 512 bytes of properties (169 with a key
        // of one byte and no value, and one of 5 bytes); 32 ranges and 32 dropped ones.
        const std::string eight = "c0 00 00 00 00 00 00 01 ";
        const std::string chunk = "31 40 c0 00 00 00 00 00 03 ff " + repeat(3, eight) +
                                  "c0 00 00 00 00 00 00 10 " + repeat(48, eight) +
                                  "c0 00 00 00 00 00 02 00 " + repeat(169, "01 6b 00 ") +
                                  "02 6b 6b 01 76 c0 00 00 00 00 00 00 02 " + eight;
        const std::string ranges = "c0 00 00 00 00 00 00 20 " + repeat(64, eight);
        const std::string delivered = "3a c0 00 00 00 00 00 00 0f " + repeat(3, eight) + ranges +
                                      repeat(2, eight) + ranges;
        CHECK(hex(chunk).size() == 962);
        CHECK(hex(delivered).size() == framing::largest_header);
        const std::string wide(settings);
        for (const auto& [start, rest] :
             {std::pair(std::string("35 04 00 "), chunk + "61"), {wide, delivered + "7f 00"}}) {
            const auto stream = hex(start + rest);
            for (std::size_t cut = 1; cut < stream.size(); ++cut) {
                Decoder decoder;
                const Heard heard = hear(decoder, stream, {cut});
                CAPTURE(heard.error.detail.string());
                REQUIRE(heard.frames.size() == 2);
                REQUIRE(heard.overhead == stream.size() - (start == wide ? 0 : 1));
            }
        }
    }

    TEST_CASE("marks that nobody knows are ignored where the format says so") {
        Decoder decoder(carrier);
        const Heard heard = hear(decoder, hex("30 a0 00 00 00 01 61 30 81 00 00 20 01 62"));
        CHECK(heard.frames ==
              std::vector<std::string>{"message 4:0/0 +0/1: a", "message 4:0/1 +0/1 ask: b"});
    }

    TEST_CASE("random streams come back as they were said, however they are cut") {
        std::mt19937_64 random(test::seed());
        for (int round = 0; round < 300; ++round) {
            CAPTURE(round);
            const RandomTalk talk(random);
            std::vector<std::size_t> cuts = {talk.stream.size()};
            for (std::uint64_t i = random() % 30; i > 0; --i)
                cuts.push_back(random() % (talk.stream.size() + 1));
            std::sort(cuts.begin(), cuts.end());
            Decoder decoder(carrier);
            std::map<std::string, std::string> heard;
            std::size_t from = 0;
            for (const std::size_t cut : cuts) {
                Bytes input = test::bytes_of(std::span(talk.stream).subspan(from, cut - from));
                from = cut;
                for (;;) {
                    auto frame = decoder.next(input);
                    REQUIRE(frame.error().detail.string() == "");
                    if (!*frame) break;
                    const auto* piece = std::get_if<Piece>(&**frame);
                    if (!piece) continue;
                    std::string& content = heard[RandomTalk::name(*piece)];
                    REQUIRE(content.size() == piece->offset);
                    content += piece->bytes.view();
                }
            }
            CHECK(decoder.between_frames());
            CHECK(heard == talk.said);
        }
    }
}
