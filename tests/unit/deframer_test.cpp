// Deframer: the same values come out wherever the stream was broken, what cannot be one ends it,
// and neither copies nor questions grow faster than the stream.
#include <post/deframer.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/codec_support.hpp"

namespace post::test {

namespace {

// A codec that counts what it is shown.
template <class Inner> struct Counting {
    using Value = typename Inner::Value;
    struct Seen {
        std::size_t calls = 0;
        std::size_t bytes = 0;
    };
    Inner inner{};
    std::shared_ptr<Seen> seen = std::make_shared<Seen>();

    Decoded<Value> decode(const Bytes& bytes) const {
        ++seen->calls;
        seen->bytes += bytes.size();
        return inner.decode(bytes);
    }
};

// One byte is one value; it takes none where it is told to.
struct ByteCodec {
    using Value = char;
    Decoded<char> decode(const Bytes& bytes) const {
        const char one = bytes.view().front();
        return {one, one == '0' ? std::size_t{0} : std::size_t{1}};
    }
};

Bytes record(const std::string& key, std::size_t body) {
    Buffer buffer;
    RecordCodec{}.encode({.key = key, .body = Bytes(std::string(body, key.front()))}, buffer);
    return buffer.content().take();
}

template <class D> std::vector<std::string> lines_of(D& deframer) {
    std::vector<std::string> lines;
    while (auto line = deframer.next()) {
        lines.push_back(*line ? **line : line->error().detail.string());
        if (!*line) break;
    }
    return lines;
}

bool within(const Bytes& part, const Bytes& whole) {
    return part.begin() >= whole.begin() && part.end() <= whole.end();
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a stream that comes byte by byte gives its values when they are whole") {
        Deframer<LineCodec> deframer;
        std::vector<std::string> lines;
        for (const char one : std::string_view("one\n\ntwo\nth")) {
            CHECK_FALSE(deframer.next());
            deframer.feed(Bytes(std::string_view(&one, 1)));
            if (auto line = deframer.next()) lines.push_back(**line);
        }
        CHECK(lines == std::vector<std::string>{"one", "", "two"});
        CHECK(deframer.left() == 2);
        CHECK(deframer.offset() == 9);
    }

    TEST_CASE("several values of one arrival come one by one, and the tail waits") {
        Deframer<LineCodec> deframer;
        deframer.feed("one\ntwo\nthr");
        CHECK(lines_of(deframer) == std::vector<std::string>{"one", "two"});
        CHECK(deframer.left() == 3);
        deframer.feed("ee\nfour\n");
        deframer.feed("fi");
        deframer.feed("ve\n");
        CHECK(lines_of(deframer) == std::vector<std::string>{"three", "four", "five"});
        CHECK(deframer.left() == 0);
        deframer.finish();
        CHECK_FALSE(deframer.next());
    }

    TEST_CASE("values within an arrival are views of it, also behind one that began before") {
        const Bytes three = record("a", 3000);
        const std::string stream = three.string() + three.string() + three.string();
        const Bytes first(stream.substr(0, 2 * three.size() - 500));
        const Bytes second(stream.substr(2 * three.size() - 500));
        Deframer<RecordCodec> deframer;
        deframer.feed(first);
        auto value = deframer.next();
        REQUIRE(value);
        CHECK(within((*value)->body, first));
        CHECK_FALSE(deframer.next());
        deframer.feed(second);
        value = deframer.next();
        REQUIRE(value);
        CHECK_FALSE(within((*value)->body, second));
        CHECK((*value)->body.size() == 3000);
        value = deframer.next();
        REQUIRE(value);
        CHECK(within((*value)->body, second));
    }

    TEST_CASE("a tail does not hold the arrival that it came in, and a value does not change") {
        Deframer<LineCodec> lines;
        bool freed = false;
        struct Owner : Bytes::Owner {
            std::string text = "a line\nand a tail";
            bool* freed = nullptr;
        };
        auto* owner = new Owner;
        owner->freed = &freed;
        owner->destroy = [](Bytes::Owner* one) noexcept {
            *static_cast<Owner*>(one)->freed = true;
            delete static_cast<Owner*>(one);
        };
        lines.feed(Bytes::from_owner(owner, reinterpret_cast<const std::byte*>(owner->text.data()),
                                     owner->text.size()));
        CHECK(lines_of(lines) == std::vector<std::string>{"a line"});
        CHECK(freed);
        lines.feed(", at last\n");
        CHECK(lines_of(lines) == std::vector<std::string>{"and a tail, at last"});

        Deframer<RecordCodec> records;
        std::vector<RecordView> views;
        for (char key = 'a'; key <= 'z'; ++key) {
            const Bytes whole = record(std::string(1, key), 100);
            for (const std::size_t at : {std::size_t{0}, std::size_t{50}}) {
                records.feed(whole.slice(at, at == 0 ? 50 : whole.size()));
                if (auto view = records.next()) views.push_back(**view);
            }
        }
        REQUIRE(views.size() == 26);
        for (const RecordView& view : views)
            CHECK(view.body == std::string(100, view.key.view().front()));
    }

    TEST_CASE("what is malformed ends the stream for good, and says where and what") {
        Deframer<LineCodec> deframer;
        deframer.feed("one\n# \"x\"\tand some more text\ntwo\n");
        CHECK(**deframer.next() == "one");
        const std::string detail =
            "at byte 4 of the stream: a line does not begin with #; it begins with "
            "\"# \\x22x\\x22\\x09and some m\"...";
        for (int i = 0; i < 2; ++i) {
            const auto wrong = deframer.next();
            REQUIRE(wrong);
            CHECK(wrong->error() == Errc::malformed);
            CHECK(wrong->error().detail.view() == detail);
            deframer.feed("three\n");
        }
        CHECK(deframer.left() > 0);
    }

    TEST_CASE("a stream that ends inside a value is malformed") {
        Deframer<RecordCodec> deframer;
        const Bytes whole = record("key", 10);
        deframer.feed(whole);
        deframer.feed(whole.slice(0, 7));
        deframer.finish();
        CHECK(*deframer.next());
        const auto wrong = deframer.next();
        REQUIRE(wrong);
        CHECK(wrong->error() == Errc::malformed);
        CHECK(wrong->error().detail.view() ==
              "at byte 17 of the stream: the stream ends inside a value, of which there are 7 "
              "bytes and at least 10 missing; it begins with \"\\x03\\x00\\x00\\x0akey\"");
    }

    TEST_CASE("a value may be as long as the bound and no longer, however it comes") {
        const std::size_t size = record("k", 95).size();
        REQUIRE(size == 100);
        for (const std::size_t step : {1u, 7u, 200u}) {
            CAPTURE(step);
            for (const std::size_t largest : {size, size - 1}) {
                CAPTURE(largest);
                Deframer<RecordCodec> deframer(RecordCodec{}, largest);
                const Bytes whole = record("k", 95);
                std::optional<Result<RecordView>> value;
                for (std::size_t at = 0; at < size && !value; at += step) {
                    deframer.feed(whole.slice(at, step));
                    value = deframer.next();
                }
                REQUIRE(value);
                CHECK(static_cast<bool>(*value) == (largest == size));
                if (*value) continue;
                CHECK(value->error() == Errc::message_too_large);
                CHECK(value->error().detail.view().starts_with(
                    "at byte 0 of the stream: a value of at least 100 bytes, and "
                    "Deframer::largest is 99; it begins with \"\\x01"));
            }
        }
        Deframer<LineCodec> endless(LineCodec{}, 1000);
        std::size_t fed = 0;
        for (; !endless.next(); fed += 100) endless.feed(std::string(100, 'x'));
        CHECK(fed == 1000);
        CHECK(endless.next()->error() == Errc::message_too_large);
    }

    TEST_CASE("what decode throws leaves next, and ends the stream") {
        Deframer<LineCodec> deframer;
        deframer.feed("one\nthrow on decode\ntwo\n");
        CHECK(**deframer.next() == "one");
        CHECK_THROWS_AS((void)deframer.next(), std::runtime_error);
        const auto wrong = deframer.next();
        REQUIRE(wrong);
        CHECK(wrong->error() == Errc::malformed);
    }

    TEST_CASE("a value of no bytes would never end, and is malformed") {
        Deframer<ByteCodec> deframer;
        deframer.feed("ab0c");
        CHECK(**deframer.next() == 'a');
        CHECK(**deframer.next() == 'b');
        CHECK(deframer.next()->error() == Errc::malformed);
    }

    TEST_CASE("decode is asked again when there is what it needs, and sees each byte twice or so") {
        constexpr std::size_t body = 1'000'000;
        const Bytes whole = record("k", body);
        for (const std::size_t step : {1u, 1200u}) {
            CAPTURE(step);
            Counting<RecordCodec> codec;
            Deframer<Counting<RecordCodec>> deframer(codec);
            std::size_t values = 0;
            for (std::size_t at = 0; at < whole.size(); at += step) {
                deframer.feed(whole.slice(at, step));
                while (auto value = deframer.next()) values += (*value)->body.size() == body;
            }
            CHECK(values == 1);
            CHECK(codec.seen->calls <= 3);
            CHECK(codec.seen->bytes <= whole.size() + 1300);
        }
        // Without a hint, and all there at once: twice as much each time.
        Counting<LineCodec> codec;
        Deframer<Counting<LineCodec>> deframer(codec);
        const std::string line(body, 'x');
        for (std::size_t at = 0; at < body; at += 1000) deframer.feed(line.substr(at, 1000));
        deframer.feed("\n");
        const auto value = deframer.next();
        REQUIRE(value);
        CHECK(**value == line);
        CHECK(codec.seen->calls < 2000);
    }

    TEST_CASE("the same values come out wherever a stream is broken") {
        std::mt19937 random(static_cast<std::mt19937::result_type>(seed()));
        const auto below = [&](std::size_t end) { return random() % end; };
        std::string stream;
        std::vector<std::string> keys;
        std::vector<std::size_t> bodies;
        for (int i = 0; i < 300; ++i) {
            keys.push_back(std::to_string(i));
            bodies.push_back(below(20) == 0 ? below(100'000) : below(300));
            stream += record(keys.back(), bodies.back()).view();
        }
        for (const std::size_t longest : {2u, 30u, 1500u, 20'000u, 500'000u}) {
            CAPTURE(longest);
            Counting<RecordCodec> codec;
            Deframer<Counting<RecordCodec>> deframer(codec);
            std::size_t count = 0;
            std::vector<RecordView> views;
            for (std::size_t at = 0; at < stream.size();) {
                const std::size_t size = 1 + below(longest);
                deframer.feed(std::string_view(stream).substr(at, size));
                at += size;
                if (below(4) == 0 && at < stream.size()) continue;  // several arrivals at once
                while (auto view = deframer.next()) {
                    REQUIRE(*view);
                    views.push_back(**view);
                    ++count;
                }
            }
            REQUIRE(count == keys.size());
            bool same = true;
            for (std::size_t i = 0; i < count; ++i)
                same &= views[i].key == keys[i] && views[i].body.size() == bodies[i] &&
                        views[i].body == std::string(bodies[i], keys[i].front());
            CHECK(same);
            CHECK(deframer.left() == 0);
            CHECK(deframer.offset() == stream.size());
        }
    }
}

}  // namespace post::test
