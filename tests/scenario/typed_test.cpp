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

// A server with a protocol of its own, a stream of bytes, and whatever writes bytes to it.
struct PlainScene : Scene {
    PlainScene() {
        collect({.alpn = {"lines"}});
        writer = initiate({.alpn = "lines"});
    }
    // Each piece is an arrival of its own.
    void write(std::initializer_list<const char*> pieces) {
        for (const char* piece : pieces) {
            writer.send(piece);
            world.run_for(50ms);
        }
    }
    // The other end, to which something was written.
    Carrier& reader() {
        REQUIRE(until([&] { return !accepted.empty(); }));
        return accepted[0];
    }
    Carrier writer;
};

// Keeps lines, and how they end.
void gather_lines(Lines& lines, const Texts& texts) {
    lines.ready([texts](Lines&, const Result<std::string>& line) {
        texts.push_back(text_of(line));
        return true;
    });
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

    TEST_CASE("a plain peer's stream becomes values, whatever the arrivals") {
        PlainScene scene;
        const Texts texts;
        const std::vector<std::string> wanted{"one", "two", "three", "", "four"};
        const auto write = [&] { scene.write({"on", "e\ntwo\nth", "r", "ee\n\n", "four\n"}); };
        SUBCASE("by a callback, as it comes") {
            scene.write({"on"});
            Lines lines(std::move(scene.reader()));
            gather_lines(lines, texts);
            lines = Lines();  // the callback has it
            scene.write({"e\ntwo\nth", "r", "ee\n\n", "four\n"});
            REQUIRE(scene.until([&] { return texts.size() == 5; }));
            CHECK(texts.all() == wanted);
            scene.writer.finish();
            scene.world.run_for(1s);
            CHECK(texts.size() == 5);
        }
        SUBCASE("by a callback, when all of it is there") {
            write();
            Lines lines(std::move(scene.reader()));
            gather_lines(lines, texts);
            REQUIRE(scene.until([&] { return texts.size() == 5; }));
            CHECK(texts.all() == wanted);
        }
        SUBCASE("awaited") {
            write();
            scene.writer.finish();
            read_all(Lines(std::move(scene.reader())), texts);
            REQUIRE(scene.until([&] { return texts.size() == 6; }));
            CHECK(texts[5] == "the end");
            CHECK(std::equal(wanted.begin(), wanted.end(), texts.all().begin()));
        }
        SUBCASE("by several that wait at once, some of which are dropped") {
            scene.write({"on"});
            Lines lines(std::move(scene.reader()));
            for (int i = 0; i < 3; ++i) {
                lines.receive().then(
                    [texts](const Result<std::string>& line) { texts.push_back(text_of(line)); });
                (void)lines.receive();
            }
            auto fourth = lines.receive();
            auto fifth = lines.receive();
            scene.write({"e\ntwo\nth"});
            CHECK(texts.all() == std::vector<std::string>{"one", "two"});
            scene.write({"r", "ee\n\nfour\nfive\n"});
            REQUIRE(fifth.ready());
            CHECK(texts.size() == 3);
            CHECK(text_of(fourth.get()) == "");
            CHECK(text_of(fifth.get()) == "four");
            auto sixth = lines.receive();
            REQUIRE(sixth.ready());  // it came with the others
            CHECK(text_of(sixth.get()) == "five");
        }
    }

    TEST_CASE("typed values go both ways over a plain stream, from the first byte") {
        PlainScene scene;
        scene.listener.accept([](Carrier carrier) {
            Lines(std::move(carrier)).ready([](Lines& from, const Result<std::string>& line) {
                from.send("got " + text_of(line));
                return true;
            });
            return true;
        });
        Lines lines(std::move(scene.writer));
        const Texts replies;
        SUBCASE("by a callback") { gather_lines(lines, replies); }
        SUBCASE("awaited before there is a connection") {
            for (int i = 0; i < 100; ++i) read_one(lines, replies);
        }
        std::vector<std::string> wanted;
        for (int i = 0; i < 100; ++i) {
            lines.send(std::to_string(i));
            wanted.push_back("got " + std::to_string(i));
        }
        REQUIRE(scene.until([&] { return replies.size() == 100; }));
        CHECK(replies.all() == wanted);
    }

    TEST_CASE("a plain stream that is malformed, or ends inside a value, is over") {
        struct Row {
            const char* name;
            const char* bytes;
            Function<void(Carrier&)> end;
            std::vector<std::string> wanted;
        };
        Row rows[] = {
            {"malformed", "one\n# two\nthree\n", [](Carrier&) {}, {"one", "malformed"}},
            {"cut off",
             "one\nno end",
             [](Carrier& writer) { writer.finish(); },
             {"one", "malformed"}},
            {"whole", "one\ntwo\n", [](Carrier& writer) { writer.finish(); }, {"one", "two"}},
            {"reset",
             "one\nno end",
             [](Carrier& writer) { writer.abort(AbortCode{7}); },
             {"one", "the end"}},
        };
        for (Row& row : rows) {
            for (const bool awaited : {true, false}) {
                CAPTURE(row.name);
                CAPTURE(awaited);
                PlainScene scene;
                scene.write({"zero\n"});
                Lines lines(std::move(scene.reader()));
                const Texts texts;
                read_one(lines, texts);
                for (int i = 0; awaited && i < 3; ++i) read_one(lines, texts);
                if (!awaited) gather_lines(lines, texts);
                scene.write({row.bytes});
                row.end(scene.writer);
                scene.world.run_for(2s);
                // Whoever asks again is answered again; the callback hears it once.
                std::vector<std::string> wanted = row.wanted;
                wanted.insert(wanted.begin(), "zero");
                if (awaited) wanted.push_back(wanted.back() == "two" ? "the end" : wanted.back());
                CHECK(texts.all() == wanted);
            }
        }
    }

    TEST_CASE("a value of a plain stream that is too long ends it") {
        PlainScene scene;
        scene.write({"one\n"});
        Lines lines(std::move(scene.reader()));
        lines.largest_value(100);
        scene.writer.send(std::string(99, 'x') + "\n" + std::string(100, 'y') + "\n");
        std::vector<Result<std::string>> got;
        for (int i = 0; i < 3; ++i) {
            auto line = lines.receive();
            REQUIRE(scene.until([&] { return line.ready(); }));
            got.push_back(line.get());
        }
        CHECK(*got[0] == "one");
        CHECK(got[1]->size() == 99);
        CHECK(got[2].error() == Errc::message_too_large);
        CHECK(got[2].error().detail.view().find("largest is 100") != std::string_view::npos);
    }

    TEST_CASE("a fork has its Carrier's largest value") {
        PlainScene scene;
        scene.write({"one\n"});
        scene.reader();
        Lines lines(std::move(scene.writer));
        lines.largest_value(100);
        Lines fork = lines.fork();
        fork.send("two");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        scene.accepted[1].send(std::string(100, 'y') + "\n");
        auto line = fork.receive();
        REQUIRE(scene.until([&] { return line.ready(); }));
        CHECK(line.get().error() == Errc::message_too_large);
    }

    TEST_CASE("a codec of whole messages says that a plain peer has none") {
        PlainScene scene;
        scene.write({"one"});
        TypedCarrier<WholeCodec> whole(std::move(scene.reader()));
        const Log<Error> errors;
        SUBCASE("to a receive") {
            whole.receive().then(
                [errors](const Result<InMessage>& message) { errors.push_back(message.error()); });
        }
        SUBCASE("to a callback") {
            whole.ready([errors](TypedCarrier<WholeCodec>&, const Result<InMessage>& message) {
                errors.push_back(message.error());
                return true;
            });
        }
        scene.write({"two"});
        REQUIRE(errors.size() == 1);
        CHECK(errors[0] == Errc::unsupported);
        CHECK_FALSE(errors[0].detail.empty());
    }

    TEST_CASE("who takes a plain Carrier over from a typed callback gets what is left of it") {
        PlainScene scene;
        auto kept = std::make_shared<Lines>();
        Lines lines(std::move(scene.writer));
        lines.ready([kept](Lines& from, const Result<std::string>& line) {
            CHECK(text_of(line) == "one");
            *kept = std::move(from);
            return false;
        });
        lines.send("hello");
        lines = Lines();
        scene.reader().send("one\ntwo\nthr");
        REQUIRE(scene.until([&] { return static_cast<bool>(*kept); }));
        const Texts texts;
        read_one(*kept, texts);
        read_one(*kept, texts);
        scene.reader().send("ee\nfour\n");
        REQUIRE(scene.until([&] { return texts.size() == 2; }));
        gather_lines(*kept, texts);
        REQUIRE(scene.until([&] { return texts.size() == 3; }));
        CHECK(texts.all() == std::vector<std::string>{"two", "three", "four"});
    }

    TEST_CASE("what decode throws of a plain stream comes out once, and the stream is over") {
        PlainScene scene;
        scene.write({"one\nthrow on decode\ntwo\n"});
        Lines lines(std::move(scene.reader()));
        const Texts texts;
        SUBCASE("out of the turn of a callback") {
            gather_lines(lines, texts);
            CHECK_THROWS_AS(scene.world.run_for(1s), std::runtime_error);
        }
        SUBCASE("out of get") {
            auto one = lines.receive();
            auto bad = lines.receive();
            REQUIRE(scene.until([&] { return bad.ready(); }));
            texts.push_back(text_of(one.get()));
            CHECK_THROWS_AS((void)bad.get(), std::runtime_error);
            read_one(lines, texts);
        }
        scene.world.run_for(1s);
        CHECK(texts.all() == std::vector<std::string>{"one", "malformed"});
    }

    TEST_CASE("a Context may go while a plain stream is read") {
        PlainScene scene;
        scene.write({"one\ntw"});
        Lines lines(std::move(scene.reader()));
        const Texts texts;
        SUBCASE("by a callback") { gather_lines(lines, texts); }
        SUBCASE("awaited") { read_all(std::move(lines), texts); }
        REQUIRE(scene.until([&] { return texts.size() == 1; }));
        scene.server.reset();
        CHECK(texts.size() <= 2);
    }
}

}  // namespace post::test
