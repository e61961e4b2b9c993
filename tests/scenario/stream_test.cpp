// Carriers that become Streams: bytes in order, without boundaries, in both directions; who may
// become one and who may not; and a Stream as a std::iostream.
#include <post/iostream.hpp>
#include <post/stream.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// All that comes on a Stream, and its end.
struct Reader {
    void begin(Stream stream) {
        stream.on_closed([ends = ends](const Error& error) { ends.push_back(error); });
        stream.ready([texts = texts](Stream&, Bytes bytes) {
            texts.push_back(bytes.string());
            return true;
        });
    }
    std::string all() const {
        std::string text;
        for (const std::string& part : texts.all()) text += part;
        return text;
    }

    std::size_t bytes() const {
        std::size_t sum = 0;
        for (const std::string& part : texts.all()) sum += part.size();
        return sum;
    }

    Texts texts;
    Ends ends;
};

std::string numbers(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += std::to_string(i) + "\n";
    return text;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a stream carries its bytes in order, whatever the writes were") {
        Scene scene;
        scene.collect();
        auto stream = scene.initiate().as_stream().value();
        const std::string text = numbers(20000);
        std::size_t written = 0;
        for (std::size_t step = 1; written < text.size(); step = step * 3 % 5003) {
            const auto part = std::string_view(text).substr(written, step);
            stream.write(std::string(part));
            written += part.size();
        }
        stream.finish();
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Reader reader;
        reader.begin(scene.accepted[0].as_stream().value());
        REQUIRE(scene.until([&] { return !reader.ends.empty(); }, 1min));
        CHECK(reader.all() == text);
        CHECK(reader.ends[0] == Errc::carrier_closed);
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("a stream is read in the portions that are asked for, and ends by halves") {
        Scene scene;
        scene.collect();
        auto stream = scene.initiate().as_stream().value();
        stream.write("abcdefghij");
        stream.finish();
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto far = scene.accepted[0].as_stream().value();
        std::string got;
        std::optional<Error> end;
        while (!end) {
            auto reading = far.read(3);
            REQUIRE(scene.until([&] { return reading.ready(); }));
            auto bytes = reading.get();
            if (!bytes) {
                end = bytes.error();
                break;
            }
            CHECK(bytes->size() >= 1);
            CHECK(bytes->size() <= 3);
            got += bytes->view();
        }
        CHECK(got == "abcdefghij");
        CHECK(*end == Errc::carrier_closed);
        // The other direction is as open as before.
        far.write("still here");
        auto answer = stream.read();
        REQUIRE(scene.until([&] { return answer.ready(); }));
        CHECK(answer.get().value() == "still here");
        far.finish();
        auto behind = stream.read();
        REQUIRE(scene.until([&] { return behind.ready(); }));
        CHECK(behind.get().error() == Errc::carrier_closed);
    }

    TEST_CASE("a stream that nobody reads holds its writer back, and loses nothing") {
        Scene scene;
        scene.collect();
        InitiateOptions options;
        options.bounds.send_budget = 64 * 1024;
        auto stream = scene.initiate(options).as_stream().value();
        const std::string block(16 * 1024, 'x');
        constexpr std::size_t blocks = 256;
        std::size_t accepted = 0;
        std::optional<Stream::Writing> waiting;
        const auto pump = [&] {
            while (accepted < blocks) {
                if (waiting && !waiting->ready()) return;
                waiting.emplace(stream.write(std::string(block)));
                ++accepted;
            }
        };
        for (int i = 0; i < 100; ++i) {
            pump();
            scene.world.run_for(100ms);
        }
        CHECK(accepted < blocks);
        REQUIRE(scene.accepted.size() == 1);
        Reader reader;
        reader.begin(scene.accepted[0].as_stream().value());
        const bool whole = scene.until(
            [&] {
                pump();
                return accepted == blocks && waiting->ready() &&
                       reader.bytes() == blocks * block.size();
            },
            2min);
        CHECK(whole);
    }

    // RFC 8831, 6.6: not everybody takes longer ones.
    TEST_CASE("a stream to a plain peer of SCTP is short messages, and one from it, too") {
        for (const Stack stack : {Stack::sctp_dtls, Stack::sctp_udp}) {
            CAPTURE(to_string(stack));
            const Policy policy{stack == Stack::sctp_udp ? Security::none : Security::required,
                                {stack}};
            Scene scene;
            scene.collect({.policy = policy, .alpn = {"webrtc"}});
            auto stream = scene.initiate({.policy = policy, .alpn = "webrtc"}).as_stream().value();
            const std::string text = numbers(20000);
            stream.write(text);
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            std::string there;
            std::size_t longest = 0;
            scene.accepted[0].ready([&](Carrier&, InMessage message) {
                longest = std::max<std::size_t>(longest, message.size());
                there += message.content().string();
                return true;
            });
            REQUIRE(scene.until([&] { return there.size() == text.size(); }, 1min));
            CHECK(there == text);
            CHECK(longest == 16 * 1024);
            // The other way it is bytes, whatever the peer's messages are.
            Reader back;
            back.begin(std::move(stream));
            scene.accepted[0].send(text.substr(0, 50'000));
            scene.accepted[0].send("the end");
            REQUIRE(scene.until([&] { return back.bytes() == 50'007; }, 1min));
            CHECK(back.all() == text.substr(0, 50'000) + "the end");
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("only a fresh carrier becomes a stream, and the error says why") {
        Scene scene;
        scene.collect();
        auto used = scene.initiate();
        used.send("a message");
        const auto after_send = used.as_stream();
        REQUIRE_FALSE(after_send);
        CHECK(after_send.error() == Errc::invalid_argument);
        CHECK(after_send.error().detail.view().find("fresh") != std::string_view::npos);
        CHECK(used);  // it is what it was

        auto asked = scene.initiate();
        auto waiting = asked.receive();
        CHECK(asked.as_stream().error() == Errc::invalid_argument);

        InitiateOptions one_way;
        one_way.one_way = true;
        CHECK(scene.initiate(one_way).as_stream().error() == Errc::unsupported);
        CHECK(Carrier().as_stream().error() == Errc::carrier_closed);

        // The accepting side takes what was opened for messages, as long as it did nothing else.
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto far = scene.accepted[0].as_stream();
        REQUIRE(far);
        auto bytes = far->read();
        REQUIRE(scene.until([&] { return bytes.ready(); }));
        CHECK(bytes.get().value() == "a message");
    }

    TEST_CASE("what the peer opened as a stream is nothing for messages") {
        Scene scene;
        scene.collect();
        auto stream = scene.initiate().as_stream().value();
        stream.write("bytes");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Carrier& carrier = scene.accepted[0];
        CHECK(carrier.is_stream());
        auto message = carrier.receive();
        REQUIRE(message.ready());
        CHECK(message.get().error() == Errc::invalid_argument);
        auto sent = carrier.send("no");
        REQUIRE(sent.ready());
        CHECK(sent.get().error() == Errc::invalid_argument);
        CHECK_THROWS_AS(carrier.ready([](Carrier&, InMessage) { return true; }), Failure);
        auto far = carrier.as_stream();
        REQUIRE(far);
        auto bytes = far->read();
        REQUIRE(scene.until([&] { return bytes.ready(); }));
        CHECK(bytes.get().value() == "bytes");
    }

    TEST_CASE("a stream forks carriers, and the abort of one is its own") {
        Scene scene;
        scene.collect();
        auto stream = scene.initiate().as_stream().value();
        stream.write("first");
        auto fork = stream.fork();
        fork.send("a message");
        auto sibling = stream.fork().as_stream().value();
        sibling.write("second");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 3; }));
        sibling.abort(AbortCode{7});
        auto far = scene.accepted[0].as_stream().value();
        auto bytes = far.read();
        REQUIRE(scene.until([&] { return bytes.ready(); }));
        CHECK(bytes.get().value() == "first");
        stream.write("third");
        auto more = far.read();
        REQUIRE(scene.until([&] { return more.ready(); }));
        CHECK(more.get().value() == "third");
    }

    TEST_CASE("a stream is a std::iostream") {
        Scene scene;
        scene.listener = scene.listen();
        // A server that greets by name, line by line.
        scene.listener.accept([](Carrier carrier) {
            auto stream = carrier.as_stream().value();
            stream.ready([text = std::string()](Stream& self, Bytes bytes) mutable {
                text += bytes.view();
                for (auto end = text.find('\n'); end != text.npos; end = text.find('\n')) {
                    const std::string line = text.substr(0, end);
                    text.erase(0, end + 1);
                    if (line.empty())
                        self.finish();
                    else
                        self.write("hello " + line + "\n");
                }
                return true;
            });
            return true;
        });
        IoStream io(scene.initiate().as_stream().value());
        io << "ada\n"
           << "grace\n"
           << std::string(10000, 'z') << "\n\n"
           << std::flush;
        std::vector<std::string> lines;
        for (std::string line; std::getline(io, line);) lines.push_back(line);
        REQUIRE(lines.size() == 3);
        CHECK(lines[0] == "hello ada");
        CHECK(lines[1] == "hello grace");
        CHECK(lines[2] == "hello " + std::string(10000, 'z'));
        CHECK(io.eof());
        CHECK(io.error() == Errc::carrier_closed);
    }
}

}  // namespace post::test
