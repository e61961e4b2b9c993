// A server of HTTP/3 and a client that writes its bytes by hand: what breaks a rule of RFC 9114 or
// RFC 9204 ends the stream or the connection with the right code; what floods is bounded (ATTACKS
// A8, A9, A20, A32).
#include "tests/scenario/http3_by_hand.hpp"

namespace post::test {

namespace {

using namespace http3_bytes;

struct ByHand : ClientByHand {
    ByHand()
        : ClientByHand([this](Carrier& self, InMessage& request) {
              ++requests;
              niceness.push_back(request.niceness().value());
              self.send(request.content());
          }) {}
    int code(const Ends& of) {
        until([&] { return of.size() > 0; });
        return of.size() > 0 ? of[0].cause.value() : -1;
    }
    int requests = 0;
    std::vector<std::uint32_t> niceness;  // of each
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("http3: what breaks a rule of the connection ends it with its code") {
        struct Row {
            const char* name;
            std::vector<std::string> streams;  // one-way, each with its type
            std::string request;
            int code;
            bool finish = false;  // of the last one-way stream
        };
        const std::string control("\0", 1);
        const std::vector<Row> rows{
            {"no SETTINGS first", {control + frame(0xd, varint(1))}, "", 0x10a},
            {"SETTINGS twice", {settings + frame(4, "")}, "", 0x105},
            {"DATA on the control stream", {settings + frame(0, "x")}, "", 0x105},
            {"HEADERS on the control stream", {settings + frame(1, good)}, "", 0x105},
            {"a setting of HTTP/2", {control + frame(4, varint(2) + varint(1))}, "", 0x109},
            {"two control streams", {settings, settings}, "", 0x103},
            {"the control stream ends", {settings}, "", 0x104, true},
            {"a push stream of a client", {settings, varint(1) + varint(0)}, "", 0x103},
            {"a frame of HTTP/2", {settings + frame(6, "12345678")}, "", 0x105},
            {"DATA before HEADERS", {settings}, frame(0, "x"), 0x105},
            {"SETTINGS on a request", {settings}, frame(4, ""), 0x105},
            {"GOAWAY on a request", {settings}, frame(7, varint(0)), 0x105},
            {"fields that nobody inserted", {settings}, frame(1, prefix + "\x80"), 0x200},
            {"no static field of that number", {settings}, frame(1, prefix + "\xff\x40"), 0x200},
            {"a dynamic table beyond the limit", {settings, "\x02\x3f\xe1\x3f"}, "", 0x201},
            {"an insertion without a table",
             {settings, std::string("\x02\xc1\x01x", 4)},
             "",
             0x201},
            {"a count of zero", {settings, std::string("\x03\x00", 2)}, "", 0x202},
            {"two QPACK encoders", {settings, "\x02", "\x02"}, "", 0x103},
        };
        for (const Row& row : rows) {
            CAPTURE(std::string(row.name));
            ByHand scene;
            std::vector<Carrier> streams;
            for (std::size_t i = 0; i < row.streams.size(); ++i)
                streams.push_back(
                    scene.one_way(row.streams[i], row.finish && i + 1 == row.streams.size()));
            if (!row.request.empty()) scene.first.send(row.request);
            CHECK(scene.code(scene.ends) == row.code);
            CHECK(scene.requests == 0);
        }
    }

    TEST_CASE("http3: a malformed message ends its stream and nothing else") {
        struct Row {
            const char* name;
            std::string fields;
            std::string body = {};
        };
        const std::vector<Row> rows{
            {"no method", https + root + authority},
            {"no path", get + https + authority},
            {"a path twice", get + https + root + root + authority},
            {"a pseudo field behind others", get + https + root + literal("a", "b") + authority},
            {"a status in a request", good.substr(2) + literal(":status", "200")},
            {"a capital letter", good.substr(2) + literal("Accept", "x")},
            {"a field of a connection", good.substr(2) + literal("connection", "close")},
            {"two lengths",
             good.substr(2) + literal("content-length", "1") + literal("content-length", "2")},
            {"more than its length", good.substr(2) + literal("content-length", "1"),
             frame(0, "two")},
            {"less than its length", good.substr(2) + literal("content-length", "5"),
             frame(0, "two")},
        };
        ByHand scene;
        Carrier control = scene.one_way(settings);
        for (const Row& row : rows) {
            CAPTURE(std::string(row.name));
            Carrier carrier = scene.first.fork();
            Ends ends;
            gather_end(carrier, ends);
            carrier.send(frame(1, prefix + row.fields) + row.body, {.final = true});
            CHECK(scene.code(ends) == 0x10e);
        }
        CHECK(scene.alive());
        if (scene.ends.size() > 0) FAIL(scene.ends[0].message());
    }

    TEST_CASE("http3: what is unknown is ignored") {
        ByHand scene;
        Carrier control = scene.one_way(settings + frame(0x21 + 0x1f * 7, "grease"));
        Carrier grease = scene.one_way(varint(0x21 + 0x1f * 5) + "whatever");
        Carrier carrier = scene.first.fork();
        carrier.send(frame(0x21 + 0x1f * 9, "grease") + frame(1, good), {.final = true});
        auto received = carrier.receive();
        REQUIRE(scene.until([&] { return received.ready(); }));
        CHECK(received.get().has_value());
        CHECK(scene.requests == 1);
    }

    TEST_CASE("http3: a section of fields is bounded, and so is what is spent on one") {
        ByHand scene;
        Carrier control = scene.one_way(settings);
        Carrier large = scene.first.fork();
        std::string fields = good;
        for (int i = 0; i < 20; ++i) fields += literal("x-field", std::string(1000, 'v'));
        large.send(frame(1, fields), {.final = true});
        auto received = large.receive();
        REQUIRE(scene.until([&] { return received.ready(); }));
        REQUIRE(received.get().has_value());  // 431
        CHECK(scene.requests == 0);
        CHECK(scene.alive());

        Carrier huge = scene.first.fork();
        const std::string part = literal("x-field", std::string(1000, 'v'));
        fields = good;
        while (fields.size() < 16 * 1024 * 1024) fields += part;
        huge.send(frame(1, fields), {.final = true});
        CHECK(scene.code(scene.ends) == 0x107);
        CHECK(scene.requests == 1);
    }

    TEST_CASE("http3: a hundred thousand requests that are given up end the connection") {
        Scene scene(test::seed(), {.delay = 1ms});
        ListenOptions options;
        options.policy.stacks = {Stack::http3};
        scene.listener = scene.far_context().listen(
            {.port = server_port, .identity = scene.identity}, options);
        int accepted = 0;
        std::vector<Carrier> held;
        scene.listener.accept([&](Carrier carrier) {
            ++accepted;
            held.push_back(std::move(carrier));
            return true;
        });
        Carrier first = scene.near_context().initiate(
            "https://server.test:4433/", {.trust = Trust::pinned(scene.identity.pin())});
        Ends ends;
        gather_end(first, ends);
        first.send("");
        REQUIRE(scene.until([&] { return accepted == 1; }));
        int asked = 0;
        while (asked < 100'000 && ends.size() == 0) {
            std::vector<Carrier> burst;
            for (int i = 0; i < 50; ++i, ++asked) {
                burst.push_back(first.fork());
                burst.back().send("");
            }
            scene.world.run_for(4ms);
            for (Carrier& one : burst) one.abort();
            scene.world.run_for(4ms);
        }
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0].cause == std::error_code(0x107, http3_category()));
        CHECK(accepted < 2000);
        CHECK(asked < 5000);
    }

    TEST_CASE("http3: PRIORITY_UPDATE says how urgent a request is, also before it comes") {
        // RFC 9218, 7.1: of the stream 4, which is the next one; the request's own field is older.
        ByHand scene;
        Carrier control = scene.one_way(settings + varint(0xf0700) + varint(4) + varint(4) + "u=6");
        scene.world.run_for(20ms);
        scene.first.send(frame(1, good), {.final = true});
        Carrier second = scene.first.fork();
        second.send(frame(1, good + literal("priority", "u=4")), {.final = true});
        REQUIRE(scene.until([&] { return scene.niceness.size() == 2; }));
        CHECK(scene.niceness == std::vector<std::uint32_t>{0, 3});
    }

    TEST_CASE("http3: PRIORITY_UPDATE without end is bounded") {
        ByHand scene;
        std::string updates = settings;
        for (std::uint64_t id = 0; id < 400'000; id += 4) {
            const std::string update = varint(id) + "u=6";
            updates += varint(0xf0700) + varint(update.size()) + update;
        }
        Carrier control = scene.one_way(updates);
        const int code = scene.code(scene.ends);  // of streams far ahead, or of too many
        CHECK((code == 0x108 || code == 0x107));
        CHECK(scene.requests == 0);
    }

    TEST_CASE(
        "http3: CONNECT is refused with 501, and :protocol, which nobody offered, is malformed") {
        ByHand scene;
        Carrier control = scene.one_way(settings);
        const std::string connect("\xcf", 1);
        Carrier plain = scene.first.fork();
        plain.send(frame(1, prefix + connect + authority));
        auto answer = plain.receive();
        REQUIRE(scene.until([&] { return answer.ready(); }));
        auto said = answer.get();
        REQUIRE(said.has_value());
        // The digits 501 in Huffman's code.
        CHECK(said->view().find("\x6c\x01") != std::string_view::npos);
        Carrier extended = scene.first.fork();
        Ends ends;
        gather_end(extended, ends);
        extended.send(frame(
            1, prefix + connect + https + root + authority + literal(":protocol", "websocket")));
        CHECK(scene.code(ends) == 0x10e);
        CHECK(scene.alive());
        CHECK(scene.requests == 1);
    }

    TEST_CASE("http3: datagrams, which nobody offered, are dropped and take up nothing") {
        ByHand scene;
        Carrier control = scene.one_way(settings);
        for (int i = 0; i < 100; ++i) {
            for (int j = 0; j < 1000; ++j)
                scene.first.send(std::string(1000, 'd'), {.ordered = false, .reliable = false});
            scene.world.run_for(100ms);
        }
        CHECK(scene.alive());
        if (scene.ends.size() > 0) FAIL(scene.ends[0].message());
    }

    TEST_CASE("http3: a server that breaks the rules is left") {
        struct Row {
            const char* name;
            std::string control;
            std::string response;
            int code;
        };
        const std::string status("\xd9", 1);  // :status 200
        const std::vector<Row> rows{
            {"DATA first", settings, frame(0, "x"), 0x105},
            // nghttp3 calls it unexpected, not an id of nobody's (7.2.5).
            {"a push that nobody allowed", settings, frame(5, varint(0) + prefix), 0x105},
            {"MAX_PUSH_ID of a server", settings + frame(0xd, varint(1)), "", 0x105},
            {"GOAWAY of no request", settings + frame(7, varint(1)), "", 0x108},
        };
        for (const Row& row : rows) {
            CAPTURE(std::string(row.name));
            Scene scene;
            scene.collect({.policy = {.stacks = {Stack::quic}}, .alpn = {"h3"}});
            Carrier carrier = scene.near_context().initiate(
                "https://server.test:4433/", {.trust = Trust::pinned(scene.identity.pin())});
            Ends ends;
            gather_end(carrier, ends);
            carrier.send("");
            // The control stream, two of QPACK, and the request.
            REQUIRE(scene.until([&] { return scene.accepted.size() == 4; }));
            for (Carrier& one : scene.accepted) {
                if (one.association().explain(Feature::fork).level == Support::Level::unsupported)
                    continue;
            }
            Carrier::ForkOptions options;
            options.one_way = true;
            std::optional<Carrier> request;
            for (Carrier& one : scene.accepted)
                if (Carrier fork = one.fork(options); fork && !request) {
                    fork.send(row.control);
                    request = std::move(one);
                    scene.accepted.push_back(std::move(fork));
                    break;
                }
            REQUIRE(request);
            if (!row.response.empty()) request->send(row.response);
            REQUIRE(scene.until([&] { return ends.size() == 1; }));
            CHECK(ends[0] == Errc::protocol_violation);
            CHECK(ends[0].cause == std::error_code(row.code, http3_category()));
        }
    }
}

}  // namespace post::test
