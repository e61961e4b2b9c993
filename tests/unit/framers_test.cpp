// Framers: what each writes, that it comes back wherever the stream is broken, what is too long,
// what is malformed and where, and what cannot be said.
#include <post/framers.hpp>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/codec_support.hpp"
#include "tests/unit/framers_support.hpp"

namespace post::test {

namespace {

using namespace std::string_literals;
using Width = LengthPrefix::Width;
using Order = LengthPrefix::Order;
using Keep = Delimiter::Keep;

bool says(const Error& error, std::string_view text) {
    return error.detail.view().find(text) != std::string_view::npos;
}

// Contents on both sides of each border of a length, as far as the framer can say them.
template <class C> std::vector<std::string> contents_for(const C& codec) {
    std::vector<std::string> contents;
    for (const std::size_t size :
         {0u,   1u,   2u,   9u,   10u,  61u,     62u,     63u,     64u,     99u,
          100u, 253u, 254u, 255u, 256u, 16'381u, 16'382u, 16'384u, 65'535u, 65'536u}) {
        std::string value = as_value(codec, std::string(size, static_cast<char>('c' + size % 20)));
        if (!write(codec, value).error) contents.push_back(std::move(value));
    }
    return contents;
}

// Counts what a delimiter's search has to look at.
struct Watched {
    using Value = Bytes;
    Delimiter inner;
    std::shared_ptr<std::size_t> searched = std::make_shared<std::size_t>();
    void encode(Content content, Buffer& buffer) const { inner.encode(std::move(content), buffer); }
    Decoded<Bytes> decode(const Bytes& bytes, const DecodeHints& hints = {}) const {
        auto decoded = inner.decode(bytes, hints);
        *searched += (decoded ? decoded.taken() : bytes.size()) - hints.seen;
        return decoded;
    }
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("each framer writes what its format says") {
        const auto prefix = [](Width width, Order order = Order::big_endian, bool counts = false) {
            return write(LengthPrefix{width, order, counts}, "abc").bytes;
        };
        const auto little = Order::little_endian;
        CHECK(prefix(Width::bits8) == "\x03"s + "abc");
        CHECK(prefix(Width::bits16) == "\0\x03"s + "abc");
        CHECK(prefix(Width::bits16, little) == "\x03\0"s + "abc");
        CHECK(prefix(Width::bits32) == "\0\0\0\x03"s + "abc");
        CHECK(prefix(Width::bits32, little, true) == "\x07\0\0\0"s + "abc");
        CHECK(prefix(Width::bits64) == "\0\0\0\0\0\0\0\x03"s + "abc");
        CHECK(prefix(Width::bits64, little, true) == "\x0b\0\0\0\0\0\0\0"s + "abc");
        CHECK(prefix(Width::varint) == "\x03"s + "abc");
        CHECK(prefix(Width::varint, little, true) == "\x04"s + "abc");
        CHECK(write(Netstring{}, "hello world!").bytes == "12:hello world!,");
        CHECK(write(Netstring{}, "").bytes == "0:,");
        CHECK(write(Delimiter("\r\n"), "abc").bytes == "abc\r\n");
        CHECK(write(Delimiter("\r\n", Keep::yes), "abc\r\n").bytes == "abc\r\n");
        CHECK(write(Raw{}, "abc").bytes == "abc");
    }

    TEST_CASE("a varint that counts itself grows where that makes it longer, and no further") {
        struct Row {
            std::size_t size;
            std::size_t head;
        };
        for (const Row& row : {Row{62, 1}, Row{63, 2}, Row{16'381, 2}, Row{16'382, 4}}) {
            CAPTURE(row.size);
            const LengthPrefix codec{.width = Width::varint, .counts_itself = true};
            const auto written = write(codec, std::string(row.size, 'x'));
            CHECK(written.bytes.size() == row.size + row.head);
            CHECK(cut(codec, written.bytes).values.size() == 1);
        }
        // Longer forms than need be are taken, as QUIC does.
        CHECK(cut(LengthPrefix{.width = Width::varint}, "\x40\x03"s + "abc").values ==
              std::vector{"abc"s});
    }

    TEST_CASE("values of any length come back, at once and byte by byte") {
        each_framer([](const auto& codec) {
            for (const std::size_t step : {1u, 1200u, 1'000'000u}) {
                CAPTURE(step);
                std::vector<std::string> contents = contents_for(codec);
                if (step == 1)  // the long ones add nothing but time
                    std::erase_if(contents, [](const auto& one) { return one.size() > 300; });
                REQUIRE(contents.size() > 10);
                std::string stream;
                for (const std::string& content : contents) stream += write(codec, content).bytes;
                const Cut got = cut(codec, stream, every(step, stream.size()));
                CHECK(got.values == contents);
                CHECK_FALSE(got.error);
            }
        });
    }

    TEST_CASE("the same values come out of a stream that is broken at any two places") {
        each_framer([](const auto& codec) {
            std::vector<std::string> contents;
            std::string stream;
            for (const char* content : {"hello", "", "a", "world, 5:x\r\n", "aa"}) {
                std::string value = as_value(codec, content);
                const auto written = write(codec, value);
                if (written.error) continue;  // the mark is in it
                contents.push_back(std::move(value));
                stream += written.bytes;
            }
            REQUIRE(contents.size() >= 3);
            bool same = true;
            for (std::size_t one = 0; one <= stream.size(); ++one)
                for (std::size_t other = one; other <= stream.size(); ++other) {
                    const Cut got = cut(codec, stream, {one, other});
                    same &= got.values == contents && !got.error;
                }
            CHECK(same);
        });
    }

    TEST_CASE("random values come back through any framer, however the stream is broken") {
        std::mt19937 random(static_cast<std::mt19937::result_type>(seed()));
        const auto below = [&](std::size_t end) { return random() % end; };
        each_framer([&](const auto& codec) {
            for (int round = 0; round < 20; ++round) {
                std::vector<std::string> contents;
                std::string stream;
                for (int i = 0; i < 20; ++i) {
                    std::string content(below(10) == 0 ? below(5000) : below(70), '\0');
                    // Many parts of marks, and any byte else.
                    const std::string_view parts = below(2) == 0 ? "\r\n" : "ab";
                    for (char& one : content)
                        one = below(2) == 0 ? parts[below(2)] : static_cast<char>(below(256));
                    content = as_value(codec, std::move(content));
                    const auto written = write(codec, content);
                    if (written.error) continue;
                    contents.push_back(std::move(content));
                    stream += written.bytes;
                }
                std::vector<std::size_t> ends;
                const std::size_t longest = round % 2 == 0 ? 40 : 4000;
                for (std::size_t end = below(longest); end < stream.size();
                     end += 1 + below(longest))
                    ends.push_back(end);
                const Cut got = cut(codec, stream, ends);
                REQUIRE(got.values == contents);
                REQUIRE_FALSE(got.error);
            }
        });
    }

    TEST_CASE("a frame may be as long as the bound and no longer, however it comes") {
        each_framer([](const auto& codec) {
            const std::string frame = write(codec, as_value(codec, std::string(100, 'x'))).bytes;
            for (const std::size_t step : {std::size_t{1}, std::size_t{7}, frame.size()}) {
                const auto ends = every(step, frame.size());
                CHECK(cut(codec, frame, ends, frame.size()).values.size() == 1);
                const Cut over = cut(codec, frame, ends, frame.size() - 1);
                CHECK(over.values.empty());
                REQUIRE(over.error);
                CHECK(*over.error == Errc::message_too_large);
            }
        });
    }

    TEST_CASE("a length that is too long ends the stream when it is read, and nothing is kept") {
        const auto ends = [](const auto& codec, const std::string& head) {
            CAPTURE(head);
            Deframer<std::decay_t<decltype(codec)>> deframer(codec, 1000);
            deframer.feed(head.substr(0, head.size() - 1));
            CHECK_FALSE(deframer.next());
            deframer.feed(head.substr(head.size() - 1));
            const auto error = deframer.next();
            REQUIRE(error);
            CHECK(error->error() == Errc::message_too_large);
            CHECK(says(error->error(), "at byte 0 of the stream"));
        };
        ends(LengthPrefix{.width = Width::bits16}, "\x03\xff"s);
        ends(LengthPrefix{.width = Width::bits32}, "\xff\xff\xff\xff"s);
        for (const bool counts : {false, true})
            ends(LengthPrefix{.width = Width::bits64, .counts_itself = counts},
                 "\xff\xff\xff\xff\xff\xff\xff\xff"s);
        ends(LengthPrefix{.width = Width::varint}, "\xff\xff\xff\xff\xff\xff\xff\xff"s);
        ends(Netstring{}, "1000:");
        ends(Netstring{}, "9999999999999999999:");
        ends(Netstring{},
             "18446744073709551616");  // longer than any length: no colon is waited for
    }

    TEST_CASE("what is framed wrongly ends the stream, and the error says where and what") {
        struct Row {
            const char* bytes;
            const char* detail;
        };
        const std::array netstrings = {
            Row{"5:hello,x1:",
                "at byte 8 of the stream: a netstring begins with its length in "
                "decimal digits; it begins with \"x1:\""},
            Row{":,", "at byte 0 of the stream: a netstring begins with its length"},
            Row{"5:hello,05:hello,",
                "at byte 9 of the stream: the length of a netstring has no "
                "leading zeros; there stands \"5:hello,\", in a value that "
                "begins at byte 8 with \"05:hello,\""},
            Row{"00:,", "at byte 1 of the stream: the length of a netstring has no leading zeros"},
            Row{"5 :hello,",
                "at byte 1 of the stream: the length of a netstring ends with a "
                "colon; there stands \" :hello,\""},
            Row{"-1:,", "at byte 0 of the stream"},
            Row{"5:hello\n",
                "at byte 7 of the stream: a comma follows the 5 bytes of a netstring; "
                "there stands \"\\x0a\", in a value that begins at byte 0 with "
                "\"5:hello\\x0a\""},
            Row{"4:hello,", "at byte 6 of the stream: a comma follows"},
            Row{"0:x", "at byte 2 of the stream: a comma follows the 0 bytes"},
        };
        for (const Row& row : netstrings) {
            CAPTURE(row.bytes);
            const std::string stream = row.bytes;
            for (const std::size_t step : {std::size_t{1}, stream.size()}) {
                const Cut got = cut(Netstring{}, stream, every(step, stream.size()));
                REQUIRE(got.error);
                CHECK(*got.error == Errc::malformed);
                if (step > 1) CHECK_MESSAGE(says(*got.error, row.detail), got.error->detail.view());
            }
        }
        each_prefix([](const LengthPrefix& codec) {
            if (!codec.counts_itself) return;
            const std::string empty = write(codec, "").bytes;
            const Cut got = cut(codec, empty + std::string(8, '\0'));
            CHECK(got.values == std::vector{""s});
            REQUIRE(got.error);
            CHECK(*got.error == Errc::malformed);
            CHECK(says(*got.error, "at byte " + std::to_string(empty.size()) +
                                       " of the stream: a length of 0, which counts its own"));
        });
    }

    TEST_CASE("a stream that ends inside a frame is malformed, wherever it ends") {
        each_framer([](const auto& codec) {
            const std::string one = write(codec, as_value(codec, "hello")).bytes;
            for (std::size_t size = 1; size < one.size(); ++size)
                for (const std::size_t step : {1u, 100u}) {
                    const std::string stream = one + one.substr(0, size);
                    const Cut got = cut(codec, stream, every(step, stream.size()));
                    CHECK(got.values == std::vector{as_value(codec, "hello")});
                    REQUIRE(got.error);
                    CHECK(*got.error == Errc::malformed);
                    CHECK(says(*got.error, "the stream ends inside a value"));
                    CHECK(got.left == size);
                }
        });
    }

    TEST_CASE("what a framing cannot say is an error of the sender's") {
        const auto error_of = [](const auto& codec, std::string_view content) {
            return write(codec, content).error;
        };
        const LengthPrefix byte{.width = Width::bits8};
        CHECK_FALSE(error_of(byte, std::string(255, 'x')));
        CHECK(error_of(byte, std::string(256, 'x')) == Errc::message_too_large);
        CHECK(says(error_of(byte, std::string(256, 'x')), "at most 255"));
        const LengthPrefix whole{.width = Width::bits16, .counts_itself = true};
        CHECK_FALSE(error_of(whole, std::string(65'533, 'x')));
        CHECK(error_of(whole, std::string(65'534, 'x')) == Errc::message_too_large);
        CHECK(LengthPrefix{}.largest() == 0xffff'ffff);
        CHECK(LengthPrefix{.width = Width::bits64}.largest() == 0xffff'ffff'ffff'ffff);
        CHECK(LengthPrefix{.width = Width::varint}.largest() == (std::uint64_t{1} << 62) - 1);

        const Delimiter blank("\r\n\r\n");
        for (const char* content : {"a\r\n\r\nb", "\r\n\r\n", "a\r\n"}) {
            CAPTURE(content);
            CHECK(error_of(blank, content) == Errc::invalid_argument);
        }
        for (const char* content : {"a\r", "a\n", "a\r\n\r", "\r\na", "\n\r\na"}) {
            CAPTURE(content);
            CHECK(cut(blank, write(blank, content).bytes).values == std::vector{""s + content});
        }
        const Delimiter kept("\r\n", Keep::yes);
        CHECK_FALSE(error_of(kept, "a\r\n"));
        for (const char* content : {"", "a", "a\r", "a\r\nb", "a\r\nb\r\n"}) {
            CAPTURE(content);
            CHECK(error_of(kept, content) == Errc::invalid_argument);
        }
        CHECK(says(error_of(kept, ""), "\"\\x0d\\x0a\""));
    }

    TEST_CASE("a delimiter has 1 to 16 bytes") {
        CHECK_THROWS_AS(Delimiter(""), Failure);
        CHECK_THROWS_AS(Delimiter(std::string(17, 'x')), Failure);
        const Delimiter longest(std::string(16, 'x'));
        CHECK(cut(longest, "ab" + std::string(16, 'x')).values == std::vector{"ab"s});
        const Delimiter zeros(std::string_view("\0\0", 2));
        CHECK(cut(zeros, "a\0b\0\0"s).values == std::vector{"a\0b"s});
    }

    TEST_CASE("each byte is searched for a delimiter once, also when it comes byte by byte") {
        const std::string value(30'000, 'x');
        for (const std::size_t step : {1u, 1000u, 2'000'000u}) {
            CAPTURE(step);
            Watched codec{Delimiter("\r\n\r\n"), {}};
            codec.searched = std::make_shared<std::size_t>();
            const std::string stream = value + "\r\n\r\n" + value + "\r\n\r\n";
            const Cut got = cut(codec, stream, every(step, stream.size()));
            CHECK(got.values == std::vector{value, value});
            CHECK(*codec.searched == stream.size());
        }
    }

    TEST_CASE("raw is what came, and any end of it is a good one") {
        const Cut got = cut(Raw{}, "hello world", {2, 7});
        CHECK(got.values == std::vector{"he"s, "llo w"s, "orld"s});
        CHECK_FALSE(got.error);
        CHECK(cut(Raw{}, "hello", {}, 2).values == std::vector{"he"s, "ll"s, "o"s});
    }

    TEST_CASE("values within an arrival are views of it, and what is adopted is not copied") {
        const Bytes arrival(write(Netstring{}, std::string(3000, 'x')).bytes);
        Deframer<Netstring> deframer;
        deframer.feed(arrival);
        const auto value = deframer.next();
        REQUIRE(value);
        CHECK((*value)->begin() == arrival.begin() + 5);

        const Bytes large(std::string(5000, 'x') + "\n");
        for (const bool raw : {true, false}) {
            Buffer buffer;
            if (raw)
                Raw{}.encode(large, buffer);
            else
                Delimiter("\n", Keep::yes).encode(large, buffer);
            CHECK(buffer.content().take().begin() == large.begin());
        }
    }

    TEST_CASE("a whole message is one frame, no less and no more") {
        const auto of = [](std::string_view text) {
            return decode(Netstring{}, InMessage(Bytes(text), 0, Sequence{0}));
        };
        CHECK(*of("5:hello,") == "hello");
        for (const char* text : {"", "5", "5:hell", "5:hello,1:x,", "5:hello;"}) {
            CAPTURE(text);
            CHECK(of(text).error() == Errc::malformed);
        }
        CHECK(says(of("5:hello;").error(), "at byte 7 of the message: a comma follows"));
    }
}

}  // namespace post::test
