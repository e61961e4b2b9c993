// Codecs: what they write to, what their answers mean for a whole message, and that the same codec
// cuts a byte stream.
#include <post/codec.hpp>

#include <ostream>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/codec_support.hpp"

namespace post::test {

namespace {

InMessage message(std::string_view text) { return {Bytes(text), 0, Sequence{0}}; }

// Cuts a stream that comes in pieces: what a framer does with a codec.
template <StreamCodec C> class Cutter {
public:
    // False for a stream that is broken for good.
    template <class Take> bool feed(std::string_view piece, const Take& take) {
        held_ += piece;
        while (true) {
            auto decoded = codec_.decode(Bytes(held_));
            if (decoded.malformed()) return false;
            if (decoded.needs_more()) return true;
            take(*std::move(decoded));
            held_.erase(0, decoded.taken());
        }
    }
    std::size_t left() const { return held_.size(); }

private:
    C codec_;
    std::string held_;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a buffer gathers bytes and serves again") {
        Buffer buffer;
        buffer.append("ab");
        buffer.append(Bytes("cd").span());
        buffer.append(std::byte{'e'});
        CHECK(buffer.size() == 5);
        CHECK(buffer.content().view() == "abcde");
        buffer.clear();
        CHECK(buffer.size() == 0);
        buffer.append("f");
        CHECK(buffer.content().view() == "f");
    }

    TEST_CASE("a buffer hands large contents and adopted bytes over without a copy") {
        Buffer buffer;
        const std::string large(10'000, 'x');
        buffer.append(large);
        const void* written = buffer.view().data();
        CHECK(std::move(buffer.content()).take().data() == written);
        buffer.clear();

        const Bytes ready{std::string_view("there already")};
        buffer.adopt(ready);
        CHECK(buffer.size() == ready.size());
        CHECK(std::move(buffer.content()).take().data() == ready.data());
        buffer.clear();
        buffer.adopt(ready);
        buffer.append("!");
        buffer.adopt(ready);
        CHECK(buffer.view() == "there already!there already");
    }

    TEST_CASE("a message is a value, or malformed with the reason") {
        const LineCodec codec;
        CHECK(*decode(codec, message("one\n")) == "one");
        const auto check = [&](std::string_view text, std::string_view reason) {
            CAPTURE(text);
            const auto wrong = decode(codec, message(text));
            REQUIRE_FALSE(wrong);
            CHECK(wrong.error() == Errc::malformed);
            CHECK(wrong.error().detail == reason);
        };
        check("# remark\n", "a line does not begin with #");
        check("no end", "the message of 6 bytes ends too early: at least 1 more are needed");
        check("", "the message of 0 bytes ends too early: at least 1 more are needed");
        check("one\ntwo", "3 of 7 bytes stand behind the value");
        CHECK(make_error_code(Errc::malformed) == std::errc::bad_message);
    }

    TEST_CASE("a decoded view shares the memory of the message") {
        const RecordCodec codec;
        Buffer buffer;
        codec.encode({.key = "name", .body = Bytes(std::string(5000, 'b'))}, buffer);
        const Bytes bytes = std::move(buffer.content()).take();
        const auto view = decode(codec, InMessage(bytes, 0, Sequence{0}));
        REQUIRE(view);
        CHECK(view->key == "name");
        CHECK(view->key.data() == bytes.data() + RecordCodec::head);
        CHECK(view->body.data() == view->key.data() + 4);
        CHECK(view->body.size() == 5000);
    }

    TEST_CASE("a message of several segments reaches a codec that wants it so, uncopied") {
        const Bytes first{std::string_view("one ")};
        const Bytes second{std::string_view("two")};
        InMessage parts(first, 0, Sequence{0});
        parts.append(second);
        const auto whole = decode(WholeCodec{}, std::move(parts));
        REQUIRE(whole);
        std::vector<const std::byte*> memory;
        whole->segments([&](const Bytes& segment) { memory.push_back(segment.data()); });
        CHECK(memory == std::vector{first.data(), second.data()});
    }

    TEST_CASE("the same codec cuts a byte stream, wherever it is broken") {
        const RecordCodec codec;
        std::string stream;
        for (std::size_t i = 0; i < 20; ++i) {
            Buffer buffer;
            codec.encode({.key = std::to_string(i), .body = Bytes(std::string(i * 37, 'b'))},
                         buffer);
            stream += buffer.view();
        }
        std::minstd_rand random(1);
        for (std::size_t longest : {1u, 2u, 7u, 100u, 10'000u}) {
            CAPTURE(longest);
            Cutter<RecordCodec> cutter;
            std::size_t count = 0;
            for (std::string_view rest = stream; !rest.empty();) {
                const std::size_t size = std::min<std::size_t>(1 + random() % longest, rest.size());
                REQUIRE(cutter.feed(rest.substr(0, size), [&](const RecordView& view) {
                    CHECK(view.key == std::to_string(count));
                    CHECK(view.body.size() == count * 37);
                    ++count;
                }));
                rest.remove_prefix(size);
            }
            CHECK(count == 20);
            CHECK(cutter.left() == 0);
        }
        Cutter<RecordCodec> broken;
        CHECK_FALSE(broken.feed(std::string(4, '\0'), [](const RecordView&) {}));
    }
}

}  // namespace post::test
