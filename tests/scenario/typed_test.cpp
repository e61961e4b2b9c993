// Typed Carriers over the simulated network: values go in and come out, nonsense is an error in its
// place and not an end, and what a codec throws comes out where it is said to.
#include <stdexcept>

#include <post/codec.hpp>
#include <post/coro.hpp>

#include "tests/scenario/scene.hpp"
#include "tests/unit/codec_support.hpp"

namespace post::test {

namespace {

using Lines = TypedCarrier<LineCodec>;
using Records = TypedCarrier<RecordCodec>;

// What comes, as text; errors by their first word.
std::string text_of(const Result<std::string>& line) {
    return line ? *line : line.error() == Errc::malformed ? "malformed" : "the end";
}

Task<> answer_requests(Lines carrier) {
    auto request = co_await carrier.receive();
    if (request) carrier.send("you said " + *request, {.final = true});
}

Task<> ask(Lines fork, std::string question, Texts replies) {
    fork.send(question, {.final = true});
    auto reply = co_await fork.receive();
    replies.push_back(text_of(reply));
}

Task<> read_all(Lines carrier, Texts texts) {
    while (true) {
        auto line = co_await carrier.receive();
        texts.push_back(text_of(line));
        if (!line && line.error() != Errc::malformed) co_return;
    }
}

Task<> read_one(Lines& carrier, Texts texts) {
    auto line = co_await carrier.receive();
    texts.push_back(text_of(line));
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("typed requests and replies over forks") {
        Scene scene;
        scene.listener = scene.listen();
        scene.listener.accept([](Carrier carrier) {
            answer_requests(Lines(std::move(carrier)));
            return true;
        });
        Lines lines(scene.initiate());
        const Texts replies;
        for (const char* question : {"one", "two", "three"}) ask(lines.fork(), question, replies);
        REQUIRE(scene.until([&] { return replies.size() == 3; }));
        for (const char* reply : {"you said one", "you said two", "you said three"})
            CHECK(std::count(replies.all().begin(), replies.all().end(), reply) == 1);
    }

    TEST_CASE("a malformed message is an error in its place, and the Carrier lives on") {
        Scene scene;
        scene.collect();
        auto raw = scene.initiate();
        for (const char* text : {"one\n", "# remark\n", "no end", "two\n"}) raw.send(text);
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        const Texts texts;
        const std::vector<std::string> wanted{"one", "malformed", "malformed", "two"};
        SUBCASE("awaited") {
            read_all(Lines(std::move(scene.accepted[0])), texts);
            REQUIRE(scene.until([&] { return texts.size() == 4; }));
            CHECK(texts.all() == wanted);
            raw.finish();
            REQUIRE(scene.until([&] { return texts.size() == 5; }));
            CHECK(texts[4] == "the end");
        }
        SUBCASE("by a callback, which may answer") {
            const Texts back;
            gather(raw, back);
            Lines lines(std::move(scene.accepted[0]));
            lines.ready([texts](Lines& from, const Result<std::string>& line) {
                texts.push_back(text_of(line));
                from.send("got " + text_of(line));
                return true;
            });
            REQUIRE(scene.until([&] { return back.size() == 4; }));
            CHECK(texts.all() == wanted);
            CHECK(back[1] == "got malformed\n");
        }
        SUBCASE("by a callback of the operation") {
            Lines lines(std::move(scene.accepted[0]));
            for (int i = 0; i < 4; ++i)
                lines.receive().then(
                    [texts](const Result<std::string>& line) { texts.push_back(text_of(line)); });
            REQUIRE(scene.until([&] { return texts.size() == 4; }));
            CHECK(texts.all() == wanted);
        }
    }

    TEST_CASE("a typed callback may keep the Carrier that it is lent") {
        Scene scene;
        scene.collect();
        auto raw = scene.initiate();
        const Texts back;
        gather(raw, back);
        raw.send("one\n");
        raw.send("two\n");
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        Lines lines(std::move(scene.accepted[0]));
        auto kept = std::make_shared<Lines>();
        lines.ready([kept](Lines& from, const Result<std::string>&) {
            *kept = std::move(from);
            return false;
        });
        lines = Lines();
        REQUIRE(scene.until([&] { return static_cast<bool>(*kept); }));
        const Texts texts;
        read_one(*kept, texts);
        kept->send("still here");
        REQUIRE(scene.until([&] { return texts.size() == 1 && back.size() == 1; }));
        CHECK(texts[0] == "two");
        CHECK(back[0] == "still here\n");
    }

    TEST_CASE("what encode throws leaves send, and nothing was sent") {
        Scene scene;
        scene.collect();
        Lines lines(scene.initiate());
        Fates fates;
        lines.send("one", {}, fates.watch());
        CHECK_THROWS_AS(lines.send("throw on encode"), std::runtime_error);
        CHECK_THROWS_AS((void)lines.deliver("throw on encode"), std::runtime_error);
        lines.send("two", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && !scene.accepted.empty(); }));
        CHECK(fates.acked() == 2);
        const Texts texts;
        gather(scene.accepted[0], texts);
        REQUIRE(scene.until([&] { return texts.size() == 2; }));
        CHECK(texts.all() == std::vector<std::string>{"one\n", "two\n"});
    }

    TEST_CASE(
        "what decode throws leaves the turn of a ready callback, and the next message comes") {
        Scene scene;
        scene.collect();
        auto raw = scene.initiate();
        for (const char* text : {"one\n", "throw on decode\n", "two\n"}) raw.send(text);
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        const Texts texts;
        Lines lines(std::move(scene.accepted[0]));
        lines.ready([texts](Lines&, const Result<std::string>& line) {
            texts.push_back(text_of(line));
            return true;
        });
        int thrown = 0;
        const auto both = [&] { return texts.size() == 2; };
        while (!both()) {
            try {
                const bool in_time = scene.until(both);
                REQUIRE(in_time);
            } catch (const std::runtime_error& error) {
                CHECK(std::string(error.what()) == "decode");
                ++thrown;
            }
        }
        CHECK(thrown == 1);
        CHECK(texts.all() == std::vector<std::string>{"one", "two"});
    }

    TEST_CASE("what decode throws leaves the co_await of a receive") {
        Scene scene;
        scene.collect();
        auto raw = scene.initiate();
        for (const char* text : {"throw on decode\n", "two\n"}) raw.send(text);
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        const Texts texts;
        Lines lines(std::move(scene.accepted[0]));
        read_one(lines, texts);
        REQUIRE(scene.until([&] { return !scene.server_unhandled.empty(); }));
        CHECK(scene.server_unhandled[0] == Errc::exception);
        CHECK(scene.server_unhandled[0].detail == "decode");
        read_one(lines, texts);
        REQUIRE(scene.until([&] { return texts.size() == 1; }));
        CHECK(texts[0] == "two");
    }

    TEST_CASE("records arrive as views that outlive Carrier and Context") {
        Scene scene;
        scene.collect();
        Records records(scene.initiate());
        for (const std::size_t size : {0u, 100u, 5'000u, 300'000u})
            records.send({.key = std::to_string(size), .body = Bytes(std::string(size, 'b'))});
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        auto views = std::make_shared<std::vector<RecordView>>();
        Records(std::move(scene.accepted[0])).ready([views](Records&, Result<RecordView> view) {
            if (view) views->push_back(*std::move(view));
            return true;
        });
        REQUIRE(scene.until([&] { return views->size() == 4; }));
        scene.server.reset();
        for (const RecordView& view : *views) {
            CHECK(view.key == std::to_string(view.body.size()));
            CHECK(view.body.view().find_first_not_of('b') == std::string_view::npos);
        }
    }
}

}  // namespace post::test
