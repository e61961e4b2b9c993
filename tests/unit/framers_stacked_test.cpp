// Framers upon each other: values of a codec in frames of another, a stream within frames, and
// where the errors of the inner one are said to be.
#include <post/framers.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/codec_support.hpp"
#include "tests/unit/framers_support.hpp"

namespace post::test {

namespace {

using namespace std::string_literals;

// A codec of whole values, as JSON is: it takes all that it gets, in brackets.
struct Bracketed {
    using Value = std::string;
    void encode(const std::string& value, Buffer& buffer) const {
        if (value == "unsayable") return buffer.fail(Error(Errc::invalid_argument));
        buffer.append("[" + value + "]");
    }
    Decoded<std::string> decode(const Bytes& bytes) const {
        const std::string_view text = bytes.view();
        if (!text.starts_with('[') || !text.ends_with(']')) return Malformed{"no brackets", {}};
        return std::string(text.substr(1, text.size() - 2));
    }
};

// A framer of an application's own: a star ends a value. It takes Bytes and no Content.
struct Stars {
    using Value = Bytes;
    void encode(const Bytes& bytes, Buffer& buffer) const {
        buffer.append(bytes.view());
        buffer.append("*");
    }
    Decoded<Bytes> decode(const Bytes& bytes) const {
        const auto end = bytes.view().find('*');
        if (end == std::string_view::npos) return NeedsMore{};
        return {bytes.slice(0, end), end + 1};
    }
};

using InNetstrings = Framed<Netstring, Bracketed>;
using Records = Framed<LengthPrefix, RecordCodec>;
using Wholes = Framed<Netstring, WholeCodec>;
using LinesInFrames = Layered<LengthPrefix, Delimiter>;

static_assert(Framer<Raw> && Framer<Delimiter> && Framer<LengthPrefix> && Framer<Netstring>);
static_assert(Framer<Stars> && Framer<Framed<Netstring, Delimiter>> && !Framer<Bracketed>);
static_assert(StreamCodec<InNetstrings> && StreamCodec<Records> && StreamCodec<Wholes>);
static_assert(StreamCodec<LinesInFrames> && !Framer<LinesInFrames>);

bool says(const std::optional<Error>& error, std::string_view text) {
    return error && error->detail.view().find(text) != std::string_view::npos;
}

// Checks what a stream gives, broken at any one place and byte by byte.
template <class C>
void check_cuts(const C& codec, const std::string& stream, const std::vector<std::string>& wanted) {
    for (std::size_t at = 0; at <= stream.size(); ++at) {
        const Cut got = cut(codec, stream, {at});
        REQUIRE(got.values == wanted);
        REQUIRE_FALSE(got.error);
    }
    CHECK(cut(codec, stream, every(1, stream.size())).values == wanted);
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a codec's values travel in frames, one in each") {
        const InNetstrings codec;
        std::string stream;
        for (const char* value : {"one", "", "three"}) stream += write(codec, value + ""s).bytes;
        CHECK(stream == "5:[one],2:[],7:[three],");
        check_cuts(codec, stream, {"one", "", "three"});
        CHECK(write(codec, "unsayable"s).error == Errc::invalid_argument);

        // A codec of whole messages sees whole frames, and views stay views.
        Deframer<Wholes> wholes;
        wholes.feed("5:hello,");
        auto whole = wholes.next();
        REQUIRE(whole);
        CHECK((*whole)->content() == "hello");
        Buffer buffer;
        const Records records{LengthPrefix{.width = LengthPrefix::Width::varint}};
        records.encode(Record{.key = "k", .body = "body"}, buffer);
        const Bytes arrival = buffer.content().take();
        Deframer<Records> deframer(records);
        deframer.feed(arrival);
        const auto record = deframer.next();
        REQUIRE(record);
        CHECK((*record)->body == "body");
        CHECK((*record)->body.end() == arrival.end());
    }

    TEST_CASE("framers go into framers, an application's too") {
        const Framed codec{Netstring{}, Framed{Stars{}, Delimiter("\n")}};
        const std::string stream = write(codec, "one").bytes + write(codec, "two").bytes;
        CHECK(stream == "5:one\n*,5:two\n*,");
        check_cuts(codec, stream, {"one", "two"});
        const Framed small{LengthPrefix{.width = LengthPrefix::Width::bits8}, Netstring{}};
        CHECK(write(small, std::string(250, 'x')).bytes.size() == 256);
        CHECK(write(small, std::string(251, 'x')).error == Errc::message_too_large);
    }

    TEST_CASE("a frame that the inner codec does not take as one value is malformed") {
        struct Row {
            const char* name;
            const char* stream;
            const char* detail;
        };
        const Framed codec{Netstring{}, Delimiter("\n")};
        for (const Row& row : {
                 Row{"too little", "2:a\n,1:b,",
                     "at byte 7 of the stream: the message of 1 bytes "
                     "ends too early: at least 1 more are needed; there "
                     "stands \"b,\""},
                 Row{"too much", "5:a\nb\nc,",
                     "at byte 2 of the stream: 3 of 5 bytes stand behind"},
                 Row{"none", "0:,", "at byte 2 of the stream: the message of 0 bytes ends"},
                 Row{"the frame itself", "2:a\n;", "at byte 4 of the stream: a comma follows"},
             }) {
            CAPTURE(row.name);
            const Cut got = cut(codec, row.stream);
            REQUIRE(got.error);
            CHECK(*got.error == Errc::malformed);
            CHECK_MESSAGE(says(got.error, row.detail), got.error->detail.view());
        }
        const Cut inner = cut(Framed{Netstring{}, Netstring{}}, "8:5:hello;,");
        CHECK_MESSAGE(
            says(inner.error, "at byte 2 of the stream: at byte 7 of the message: a comma"),
            inner.error->detail.view());
    }

    TEST_CASE("a stream in frames is cut without regard to where they end") {
        const LinesInFrames codec{LengthPrefix{.width = LengthPrefix::Width::bits8},
                                  Delimiter("\r\n")};
        check_cuts(codec, "\x05one\r\n\x00\x04\r\ntw\x01o\x01\r\x07\n3\r\n4\r\n"s,
                   {"one", "", "two", "3", "4"});
        CHECK(write(codec, "one").bytes == "\x05one\r\n");
        const Layered nested{Netstring{}, Layered{Netstring{}, Delimiter("\n")}};
        check_cuts(nested, "6:2:on,1,5::e,5:,8:\ntwo\n,0:,1:,,", {"one", "two"});
    }

    TEST_CASE("a stream in frames ends between two values, and nowhere else") {
        const LinesInFrames codec{LengthPrefix{.width = LengthPrefix::Width::bits8}, {}};
        struct Row {
            const char* name;
            std::string stream;
            const char* detail;
        };
        for (const Row& row : {
                 Row{"in a value", "\x03one"s,
                     "in the frames before byte 4, whose content is a "
                     "stream again: at byte 0 of the stream: the stream "
                     "ends inside a value"},
                 Row{"in a frame", "\x04one\n\x02x"s,
                     "at byte 5 of the stream: the stream ends "
                     "inside a value, of which there are 2 bytes"},
             }) {
            CAPTURE(row.name);
            for (const std::size_t step : {1u, 100u}) {
                const Cut got = cut(codec, row.stream, every(step, row.stream.size()));
                REQUIRE(got.error);
                CHECK(*got.error == Errc::malformed);
                CHECK_MESSAGE(says(got.error, row.detail), got.error->detail.view());
            }
        }
    }

    TEST_CASE("both frames and values in them are bounded") {
        const Layered codec{LengthPrefix{.width = LengthPrefix::Width::bits8}, Delimiter()};
        const Cut frame = cut(codec, "\xff"s, {}, 100);
        CHECK(frame.error == Errc::message_too_large);
        std::string stream;
        for (int i = 0; i < 11; ++i) stream += "\x0a" + std::string(10, 'x');
        const Cut value = cut(codec, stream, {}, 100);
        CHECK(value.error == Errc::message_too_large);
        Deframer<std::decay_t<decltype(codec)>> deframer(codec);
        deframer.largest(100);
        deframer.feed(stream);
        CHECK(deframer.next()->error() == Errc::message_too_large);
        CHECK(deframer.next()->error() == Errc::message_too_large);
    }

    TEST_CASE("what an inner decode throws ends a stream in frames") {
        Deframer<Layered<Netstring, LineCodec>> deframer;
        deframer.feed("20:one\nthrow on decode\n,");
        CHECK(**deframer.next() == "one");
        CHECK_THROWS_AS((void)deframer.next(), std::runtime_error);
        CHECK(deframer.next()->error() == Errc::malformed);
    }
}

}  // namespace post::test
