// Post frames as mappings/FORMAT.md shows them: each example of that page, written by the Encoder
// and read by the Decoder, and what framing costs.
#include "mappings/framing/post_framing.hpp"

#include <doctest/doctest.h>

#include "mappings/framing/frames.hpp"
#include "mappings/framing/raw_framing.hpp"
#include "tests/unit/framing_support.hpp"

using namespace post;
using framing::Decoder;
using framing::Encoder;
using test::hear;
using test::hex;
using test::hex_of;
using test::say;

namespace {

constexpr CarrierId carrier{4};

Piece message(std::uint64_t sequence, Bytes content, Marks marks = {}, std::uint8_t niceness = 0) {
    const std::uint64_t total = content.size();
    return {carrier, NicenessClass{niceness}, Sequence{sequence}, 0, total, std::move(content),
            marks};
}

Piece part(std::uint64_t sequence, std::string_view whole, std::size_t offset, std::size_t size,
           std::uint8_t niceness = 0) {
    return {carrier,
            NicenessClass{niceness},
            Sequence{sequence},
            offset,
            whole.size(),
            Bytes(whole.substr(offset, size)),
            {}};
}

// The bytes are what is written for `outgoing`, and are read as `frames` on Carrier 4.
void check_capture(const std::vector<Outgoing>& outgoing, std::string_view capture,
                   const std::vector<std::string>& frames) {
    CHECK(hex_of(say(outgoing)) == hex_of(hex(capture)));
    Decoder decoder(carrier);
    const auto heard = hear(decoder, hex(capture));
    CHECK(heard.frames == frames);
    CHECK(!heard.error);
    CHECK(heard.between);
}

// The same on the association's stream, behind SETTINGS.
void check_wide(const Outgoing& outgoing, std::string_view capture, const std::string& frame) {
    CHECK(hex_of(say({outgoing})) == hex_of(hex(capture)));
    Decoder decoder;
    auto stream = say({Settings{}});
    const auto bytes = hex(capture);
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    const auto heard = hear(decoder, stream);
    REQUIRE(heard.frames.size() == 2);
    CHECK(heard.frames[1] == frame);
    CHECK(!heard.error);
    CHECK(decoder.association());
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("from capture: a short message") {
        check_capture({message(0, "hello")},
                      "05"               // short message of 5 bytes
                      "68 65 6c 6c 6f",  // hello
                      {"message 4:0/0 +0/5: hello"});
        check_capture({message(0, "hello", {.ask = true})},
                      "45"               // the same with the mark ask
                      "68 65 6c 6c 6f",  // hello
                      {"message 4:0/0 +0/5 ask: hello"});
    }

    TEST_CASE("from capture: a short message of 300 bytes") {
        const std::string content(300, 'x');
        check_capture({message(0, content)},
                      "21 2c"  // 0x20, and 0x12c in twelve bits
                          + hex_of(std::as_bytes(std::span(content))),
                      {"message 4:0/0 +0/300: " + content});
    }

    TEST_CASE("from capture: an ignorable frame") {
        Decoder decoder(carrier);
        const auto heard = hear(decoder, hex("7f"           // the type that will never be assigned
                                             "03 aa bb cc"  // 3 bytes
                                             "01 78"        // a short message: x
                                             "70 00"));     // an empty one
        CHECK(heard.frames == std::vector<std::string>{"message 4:0/0 +0/1: x"});
        CHECK(heard.between);
        CHECK(heard.overhead == 8);
    }

    TEST_CASE("from capture: MESSAGE with class, sequence and a mark") {
        check_capture({message(7, "hi", {.idempotent = true}, 1)},
                      "30"      // MESSAGE
                      "40 43"   // flags: class, sequence, idempotent
                      "01"      // class 1
                      "07"      // sequence 7
                      "02"      // 2 bytes
                      "68 69",  // hi
                      {"message 4:1/7 +0/2 idempotent: hi"});
    }

    TEST_CASE("from capture: a string") {
        check_capture({message(0, "hi", {.text = true})},
                      "30 48 00"  // MESSAGE, flags: text
                      "02 68 69",
                      {"message 4:0/0 +0/2 text: hi"});
        const auto first = part(0, "abc", 0, 1);
        auto text = first;
        text.marks.text = true;
        check_capture({text, part(0, "abc", 1, 2)},
                      "31 40 48 00 03 01 61"  // CHUNK that begins one of three bytes
                      "31 00 02 62 63",
                      {"message 4:0/0 +0/3 text: abc"});
    }

    TEST_CASE("from capture: MESSAGE with lifetime, antecedents and properties") {
        Decoder decoder(carrier);
        const auto heard = hear(decoder, hex("30"           // MESSAGE
                                             "43 80"        // flags 0x380
                                             "40 fa"        // lifetime 250 ms
                                             "01 00 00 03"  // one antecedent: Carrier 0, class 0, 3
                                             "04"           // 4 bytes of properties
                                             "01 6b 01 76"  // k is v
                                             "02 68 69"));  // hi
        CHECK(heard.frames == std::vector<std::string>{"message 4:0/0 +0/2: hi"});
        CHECK(!heard.error);
    }

    TEST_CASE("from capture: CHUNK") {
        check_capture({part(0, "abcdefghij", 0, 4, 1), part(0, "abcdefghij", 4, 6, 1)},
                      "31 40"                  // CHUNK that begins a message in slot 0
                      "01 01"                  // flags: class; class 1
                      "0a"                     // 10 bytes in total
                      "04 61 62 63 64"         // abcd
                      "31 00"                  // CHUNK of the message in slot 0
                      "06 65 66 67 68 69 6a",  // efghij
                      {"message 4:1/0 +0/10: abcdefghij"});
    }

    TEST_CASE("from capture: ABANDON") {
        check_capture({part(0, "abc", 0, 1), Abandon{carrier, NicenessClass{0}, Sequence{0}}},
                      "31 40 00 03 01 61"  // the first of 3 bytes in slot 0
                      "32"                 // ABANDON
                      "00",                // slot 0
                      {"message 4:0/0 +0/3: a", "abandon 4:0/0"});
    }

    TEST_CASE("from capture: SKIP") {
        check_capture({Skip{carrier, NicenessClass{0}, Sequence{5}, 2}},
                      "33"   // SKIP
                      "00"   // class 0
                      "05"   // from sequence 5
                      "02",  // two of them
                      {"skip 4:0/5 x2"});
    }

    TEST_CASE("from capture: FIN") {
        check_capture({Finish{carrier}}, "34", {"finish 4"});
        Decoder decoder(carrier);
        hear(decoder, hex("34"));
        CHECK(decoder.finished());
    }

    TEST_CASE("from capture: OPEN") {
        const Open open{carrier, CarrierId{0}, CarrierKind::messages};
        CHECK(hex_of(say({open})) ==
              "35 04 "  // OPEN of Carrier 4
              "04 "     // flags: kind messages, has a parent
              "00");    // forked from Carrier 0
        Decoder decoder;
        CHECK(!decoder.carrier());
        CHECK(hear(decoder, hex("35 04 04 00")).frames ==
              std::vector<std::string>{"open 4 kind 0 parent 0"});
        CHECK(decoder.carrier() == carrier);
        CHECK(!decoder.association());
        // Resumed, one-way, nobody's fork.
        Decoder other;
        CHECK(hear(other, hex("35 40 43 0a")).frames == std::vector<std::string>{"open 67 kind 2"});
    }

    TEST_CASE("from capture: EARLY") {
        Open open{carrier, std::nullopt, CarrierKind::messages};
        open.race = 0x0102030405060708;
        const std::string capture =
            "35 04 00"                        // OPEN
            "36 00 01 02 03 04 05 06 07 08";  // EARLY, a race's key
        Encoder encoder;
        std::vector<std::byte> stream;
        say(encoder, stream, open);
        CHECK(stream == hex(capture));
        Decoder decoder;
        CHECK(hear(decoder, hex(capture + "01 78")).frames ==
              std::vector<std::string>{"open 4 kind 0", "early 4 of 72623859790382856",
                                       "message 4:0/0 +0/1: x"});
        // That of an association: early_attach_test.cpp.
    }

    TEST_CASE("from capture: SETTINGS") {
        Settings settings;
        for (std::uint8_t i = 0; i < 16; ++i) settings.association[i] = i;
        settings.race = 0x0102030405060708;
        settings.largest_message = 16 * 1024 * 1024;
        settings.carriers = 100;
        const std::string_view capture =
            "38 29 "                                                  // SETTINGS, 41 bytes
            "00 10 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f "  // association id
            "01 08 01 02 03 04 05 06 07 08 "                          // race id
            "02 04 81 00 00 00 "                                      // largest message: 16 MiB
            "03 02 40 64 "                                            // 100 Carriers
            "04 01 00";                                               // no features
        CHECK(hex_of(say({settings})) == capture);
        Decoder decoder;
        CHECK(hear(decoder, hex(capture)).frames ==
              std::vector<std::string>{"settings 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f "
                                       "race 72623859790382856 largest 16777216 carriers 100 "
                                       "features 0"});
        CHECK(decoder.association());
        CHECK(!decoder.carrier());
        // What is not said has its default, and what is not known is passed over.
        Decoder other;
        CHECK(hear(other, hex("38 16 00 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
                              "3f 02 aa bb"))
                  .frames ==
              std::vector<std::string>{"settings 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
                                       "largest 4611686018427387903 carriers 100 features 0"});
    }

    TEST_CASE("from capture: REFUSE") {
        check_wide(Refuse{carrier, Errc::carrier_refused},
                   "39"      // REFUSE
                   "04"      // Carrier 4
                   "41 04",  // 0x104
                   "refuse 4: " + make_error_code(Errc::carrier_refused).message());
    }

    TEST_CASE("from capture: DELIVERED") {
        Delivered delivered;
        delivered.carrier = carrier;
        delivered.watermark = Sequence{10};
        delivered.ranges = {{Sequence{12}, 2}, {Sequence{20}, 1}};
        delivered.partial = Sequence{11};
        delivered.progress = 262'144;
        check_wide(delivered,
                   "3a"               // DELIVERED
                   "06"               // flags: ranges, progress
                   "04 0a"            // Carrier 4, all below 10
                   "02"               // two ranges
                   "01 01"            // 11 + 1 = 12, two numbers
                   "05 00"            // 15 + 5 = 20, one number
                   "01 80 04 00 00",  // of 10 + 1 = 11 the first 262144 bytes
                   "delivered 4:0 below 10 12x2 20x1 of 11 262144");
        check_wide(Delivered{carrier, NicenessClass{63}, Sequence{1}, {}, {}, 0}, "3a 01 04 3f 01",
                   "delivered 4:63 below 1");
    }

    TEST_CASE("from capture: CREDIT, RESET and STOP") {
        const auto check = [](const auto& value, const std::string& capture,
                              const std::string& meaning) {
            std::array<std::byte, framing::largest_frame> space;
            framing::Encoder encoder;
            CHECK(hex_of(std::span(space).first(encoder.write(space, value))) == capture);
            Decoder decoder;
            auto stream = say({Settings{}});
            const auto more = hex(capture);
            stream.insert(stream.end(), more.begin(), more.end());
            const auto heard = hear(decoder, stream);
            REQUIRE(heard.frames.size() == 2);
            CHECK(heard.frames[1] == meaning);
        };
        using framing::Credit;
        check(Credit{Credit::Of::carrier, carrier, 65536}, "3b 04 80 01 00 00",
              "credit 4 to 65536");
        check(Credit{Credit::Of::all, {}, 1}, "3b ff ff ff ff ff ff ff ff 01", "credit all to 1");
        check(Credit{Credit::Of::fresh, {}, 1}, "3b ff ff ff ff ff ff ff fe 01",
              "credit fresh to 1");
        check(framing::GivenUp{carrier, 0x102}, "3e 04 41 02", "reset 4: 258");
        check(framing::Unwanted{carrier, 0x106}, "3f 04 41 06", "stop 4: 262");
    }

    TEST_CASE("CREDIT may come before SETTINGS, which comes once all the same") {
        Decoder decoder;
        auto stream = hex("3b ff ff ff ff ff ff ff ff 01 3b 04 02");
        const auto settings = say({Settings{}});
        stream.insert(stream.end(), settings.begin(), settings.end());
        CHECK(hear(decoder, stream).frames.size() == 3);
        CHECK(decoder.association());
        CHECK(hear(decoder, settings).error == Errc::protocol_violation);
        Decoder other;
        CHECK(hear(other, hex("3b 04 02 39 04 41 04")).error == Errc::protocol_violation);
    }

    TEST_CASE("from capture: CHOSEN") {
        check_wide(Chosen{0x0102030405060708},
                   "3c"                        // CHOSEN
                   "01 02 03 04 05 06 07 08",  // race
                   "chosen 72623859790382856");
    }

    TEST_CASE("from capture: ATTACH") {
        Attach attach;
        for (std::uint8_t i = 0; i < 16; ++i) attach.association[i] = i;
        for (std::uint8_t i = 0; i < 32; ++i) attach.proof[i] = i;
        attach.epoch = 1;
        check_wide(attach,
                   "3d 00"                                            // ATTACH, no flag
                   "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"  // association
                   "01"                                               // epoch
                   "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"  // proof
                   "10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f",
                   "attach 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f epoch 1 proof "
                   "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 "
                   "19 1a 1b 1c 1d 1e 1f");
    }

    TEST_CASE("from capture: ATTACH of a standby") {
        Attach attach;
        for (std::uint8_t i = 0; i < 16; ++i) attach.association[i] = i;
        attach.epoch = 1;
        attach.standby = true;
        check_wide(attach,
                   "3d 02"                                            // ATTACH, standby
                   "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"  // association
                   "01"                                               // epoch
                   "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"  // proof
                   "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
                   "attach 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f epoch 1 standby proof "
                   "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
                   "00 00 00 00 00 00 00");
    }

    TEST_CASE("from capture: DELIVERED that names a message as dropped") {
        Decoder decoder;
        auto stream = say({Settings{}});
        const auto more = hex("3a 08 04 02 01 01 00");
        stream.insert(stream.end(), more.begin(), more.end());
        const auto heard = hear(decoder, stream);
        REQUIRE(heard.frames.size() == 2);
        CHECK(heard.frames[1] == "delivered 4:0 below 2");
        CHECK(!heard.error);
    }

    TEST_CASE("from capture: a message goes on where an earlier connection left it") {
        Piece piece = message(7, "ghij");
        piece.offset = 6;
        piece.total = 10;
        const auto stream = say({piece});
        CHECK(hex_of(stream) ==
              "31 40 "  // CHUNK that begins in slot 0
              "50 02 "  // flags 0x1002: sequence, offset
              "07 06 "  // sequence 7; the receiver has 6 bytes
              "0a 04 "  // of 10; 4 bytes follow
              "67 68 69 6a");
        Decoder decoder(carrier);
        const auto heard = hear(decoder, stream);
        REQUIRE(heard.frames.size() == 1);
        CHECK(heard.frames[0].find("/7 +6/10: ghij") != std::string::npos);
        CHECK(!heard.error);
    }

    TEST_CASE("framing costs 1 byte below 32 bytes, 2 below 4 KiB and 4 below 16 KiB") {
        struct Row {
            std::size_t size;
            std::size_t cost;
        };
        for (const Row row :
             {Row{0, 1}, {1, 1}, {31, 1}, {32, 2}, {4095, 2}, {4096, 4}, {16383, 4}, {16384, 6}}) {
            CAPTURE(row.size);
            const std::string content(row.size, 'x');
            const auto stream = say({message(0, content)});
            CHECK(stream.size() - content.size() == row.cost);
            Decoder decoder(carrier);
            const auto heard = hear(decoder, stream);
            CHECK(heard.frames == std::vector{test::describe(message(0, content))});
            CHECK(heard.overhead == stream.size() - content.size());
        }
    }

    TEST_CASE("a sequence number is written only when it is not the next of its class") {
        const auto cost = [](Encoder& encoder, const Piece& piece) {
            std::vector<std::byte> stream;
            say(encoder, stream, piece);
            return stream.size();
        };
        Encoder encoder;
        CHECK(cost(encoder, message(0, "")) == 1);
        CHECK(cost(encoder, message(2, "")) == 4);                      // 1 is left out
        CHECK(cost(encoder, message(3, "")) == 1);                      // the next again
        CHECK(cost(encoder, message(1, "", {.ordered = false})) == 4);  // late
        CHECK(cost(encoder, message(4, "", {.ordered = false})) == 3);  // unordered, but the next
        CHECK(cost(encoder, message(5, "")) == 1);
        CHECK(cost(encoder, message(0, "", {}, 9)) == 4);  // another class counts for itself
        CHECK(cost(encoder, message(1, "", {}, 9)) == 4);
        CHECK(cost(encoder, message(3, "", {}, 9)) == 5);
        std::vector<std::byte> stream;
        say(encoder, stream, Skip{carrier, NicenessClass{0}, Sequence{6}, 4});
        CHECK(cost(encoder, message(10, "")) == 1);  // SKIP moves the next number too
    }

    TEST_CASE("a message can be announced before its first byte") {
        const auto stream = say({part(0, "abc", 0, 0), part(0, "abc", 0, 3)});
        CHECK(hex_of(stream) == "31 40 00 03 00 31 00 03 61 62 63");
        Decoder decoder(carrier);
        Bytes input = test::bytes_of(stream);
        const auto announced = std::get<Piece>(*decoder.next(input).value());
        CHECK(announced.bytes.empty());
        CHECK(announced.total == 3);
        CHECK(announced.first());
        CHECK(!announced.last());
        CHECK(std::get<Piece>(*decoder.next(input).value()).last());
        CHECK(!decoder.next(input).value());
    }

    TEST_CASE("an announced length is only a number") {
        Decoder decoder(carrier);
        Bytes input = test::bytes_of(
            hex("31 40 00 ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff fe 61"));
        const auto piece = std::get<Piece>(*decoder.next(input).value());
        CHECK(piece.total == wire::varint_max);
        CHECK(piece.bytes == "a");
        CHECK(!decoder.next(input).value());
    }

    TEST_CASE("an Abandon of what is not begun is a SKIP") {
        check_capture({Abandon{carrier, NicenessClass{2}, Sequence{3}}}, "33 02 03 01",
                      {"skip 4:2/3 x1"});
    }

    TEST_CASE("content is a slice of what was fed, and nothing holds on to it") {
        const Bytes stream = test::bytes_of(say({message(0, "hello"), message(1, "")}));
        Decoder decoder(carrier);
        Bytes input = stream;
        const auto piece = std::get<Piece>(*decoder.next(input).value());
        CHECK(piece.bytes.data() == stream.data() + 1);
        CHECK(std::get<Piece>(*decoder.next(input).value()).bytes.data() == nullptr);
    }

    TEST_CASE("next_short gives short messages alone, and only whole ones") {
        auto stream = say({message(0, "a"), message(1, "b", {.final = true}), message(2, "c"),
                           message(3, std::string(40, 'd'))});
        stream.pop_back();
        Decoder decoder(carrier);
        Bytes input = test::bytes_of(stream);
        Piece piece;
        CHECK(decoder.next_short(input, piece));
        CHECK(test::describe(piece) == "message 4:0/0 +0/1: a");
        CHECK(!decoder.next_short(input, piece));
        CHECK(std::get<Piece>(*decoder.next(input).value()).marks.final);
        CHECK(decoder.next_short(input, piece));
        CHECK(test::describe(piece) == "message 4:0/2 +0/1: c");
        CHECK(!decoder.next_short(input, piece));
        CHECK(std::get<Piece>(*decoder.next(input).value()).bytes.size() == 39);
        CHECK(!decoder.between_frames());
    }

    TEST_CASE("next_run gives short messages together, up to one that asks, and only whole ones") {
        auto stream = say({message(0, "a"), message(1, std::string(40, 'b')),
                           message(2, "", {.ask = true}), message(3, "d"), message(4, "e"),
                           message(5, std::string(small_content, 'f')), message(6, "gg")});
        stream.pop_back();
        Decoder decoder(carrier);
        Bytes input = test::bytes_of(stream);
        std::array<std::span<const std::byte>, 3> list;
        auto run = decoder.next_run(input, list);
        CHECK(run.first == Sequence{0});
        CHECK(run.bytes == 41);
        CHECK(run.ask);
        REQUIRE(run.contents.size() == 3);
        CHECK(test::describe(run.piece(1)) == "message 4:0/1 +0/40: " + std::string(40, 'b'));
        CHECK(run.piece(2).marks.ask);
        CHECK(!run.piece(1).marks.ask);
        CHECK(decoder.next_run(input, std::span(list).first(1)).contents.size() == 1);
        run = decoder.next_run(input, list);
        CHECK(run.first == Sequence{4});
        CHECK(run.contents.size() == 1);
        CHECK(!run.ask);
        CHECK(decoder.next_run(input, list).contents.empty());
        CHECK(std::get<Piece>(*decoder.next(input).value()).total == small_content);
        CHECK(decoder.next_run(input, list).contents.empty());
        CHECK(std::get<Piece>(*decoder.next(input).value()).bytes.view() == "g");
        CHECK(decoder.take_overhead() == 1 + 2 + 1 + 1 + 1 + 2 + 1);
    }

    TEST_CASE("raw framing makes each arrival a message") {
        framing::RawDecoder decoder(carrier);
        CHECK(test::describe(decoder.take("ab")) == "message 4:0/0 +0/2: ab");
        CHECK(test::describe(decoder.take("c")) == "message 4:0/1 +0/1: c");
    }
}
