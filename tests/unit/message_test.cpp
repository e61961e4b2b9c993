// InMessage: segments stay apart until somebody wants them in one piece. Content: what is viewed is
// copied by the call, what is moved in is kept.
#include <post/message.hpp>

#include <ostream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using post::Block;
using post::Bytes;
using post::Content;
using post::InMessage;
using post::Niceness;
using post::Sequence;

namespace {

std::size_t segments(const InMessage& message) {
    std::size_t count = 0;
    message.segments([&](const Bytes&) { ++count; });
    return count;
}

std::string joined(const InMessage& message) {
    std::string text;
    message.segments([&](const Bytes& segment) { text += segment.view(); });
    return text;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a message keeps its segments and joins them once") {
        InMessage message({}, Niceness{3}, Sequence{9});
        CHECK(message.size() == 0);
        CHECK(segments(message) == 0);
        message.append(Bytes("one "));
        message.append(Bytes(""));
        message.append(Bytes("two "));
        message.append(Bytes("three"));
        CHECK(message.size() == 13);
        CHECK(segments(message) == 3);
        CHECK(joined(message) == "one two three");
        CHECK(message.size() == 13);
        CHECK(message.content() == "one two three");
        CHECK(segments(message) == 1);
        CHECK(message.content().data() == message.content().data());
        CHECK(message.size() == 13);
        CHECK(message.niceness() == Niceness{3});
        CHECK(message.sequence() == Sequence{9});
    }

    TEST_CASE("a joined message can grow on") {
        InMessage message(Bytes("a"), {}, {});
        message.append(Bytes("b"));
        CHECK(message.view() == "ab");
        message.append(Bytes("c"));
        CHECK(message.size() == 3);
        CHECK(std::move(message).content() == "abc");
    }

    TEST_CASE("bytes that follow each other in memory are one segment") {
        Block block(64);
        InMessage message;
        message.append(Bytes("apart "));
        message.append(block.append(Bytes("fol").span()));
        message.append(block.append(Bytes("lows").span()));
        CHECK(segments(message) == 2);
        CHECK(message.size() == 13);
        CHECK(joined(message) == "apart follows");
        CHECK(message.view() == "apart follows");

        InMessage first;
        first.append(block.append(Bytes("12").span()));
        first.append(block.append(Bytes("34").span()));
        CHECK(segments(first) == 1);
        CHECK(first.size() == 4);
        CHECK(first.view() == "1234");
    }

    TEST_CASE("content that is viewed is copied, content that is moved in is kept") {
        std::string text = "view";
        Bytes copied = Content(text).take();
        text[0] = 'V';
        CHECK(copied == "view");

        std::string large(5000, 'x');
        const char* where = large.data();
        CHECK(Content(std::move(large)).take().view().data() == where);

        std::vector<std::byte> bytes(3000, std::byte{7});
        const auto* place = bytes.data();
        CHECK(Content(std::move(bytes)).take().data() == place);
        CHECK(Content(Bytes{}).take().empty());
        CHECK(Content("").size() == 0);
    }

    TEST_CASE("the marks of a message are as the sender set them") {
        InMessage message;
        CHECK_FALSE(message.idempotent());
        message.mark(true, false);
        CHECK(message.idempotent());
        CHECK_FALSE(message.final());
        message.mark(false, true);
        CHECK(message.final());
    }
}
