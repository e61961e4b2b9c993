// A client of HTTP/3 and a server that writes its bytes by hand: it does not answer, answers twice,
// gives up in the middle, lies about the length, or floods; and what our server makes of priorities
// and datagrams that a client's bytes ask for.
#include "tests/scenario/http3_bytes.hpp"
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

using namespace http3_bytes;

const std::string ok("\xd9", 1);  // :status 200

std::string response(const std::string& fields, const std::string& body = {}) {
    return frame(1, prefix + ok + fields) + (body.empty() ? "" : frame(0, body));
}

// The server's QUIC is in order; requests come as raw streams.
struct ServerByHand : Scene {
    explicit ServerByHand(InitiateOptions options = {}) : Scene(test::seed(), {.delay = 5ms}) {
        collect({.policy = {.stacks = {Stack::quic}}, .alpn = {"h3"}});
        options.trust = Trust::pinned(identity.pin());
        carrier = near_context().initiate("https://server.test:4433/", std::move(options));
        gather_end(carrier, ends);
        carrier.ready(ReceiveParts{}, [this](Carrier&, InMessage part) {
            statuses.push_back(http::status(part));
            body += part.view();
            lasts += part.last() ? 1 : 0;
            return true;
        });
        carrier.send("");
        // The control stream, two of QPACK, and the request.
        REQUIRE(until([&] { return accepted.size() == 4; }));
        Carrier::ForkOptions one_way;
        one_way.one_way = true;
        for (Carrier& one : accepted) {
            Carrier fork = one.fork(one_way);
            if (!fork) continue;
            fork.send(settings);
            control = std::move(fork);
            request = std::move(one);
            break;
        }
        REQUIRE(request);
        request->ready([](Carrier&, const InMessage&) { return true; });
    }
    void answer(const std::string& bytes, bool finish = false) {
        request->send(bytes, {.final = finish});
    }
    // Another request on the same connection comes through.
    bool connection_lives() {
        const std::size_t before = accepted.size();
        InitiateOptions options;
        options.trust = Trust::pinned(identity.pin());
        Carrier other = near_context().initiate("https://server.test:4433/other", options);
        other.send("");
        return until([&] { return accepted.size() == before + 1; });
    }
    int code() {
        until([&] { return ends.size() > 0; }, 120s);
        return ends.size() > 0 ? ends[0].cause.value() : -1;
    }

    Carrier carrier;
    Carrier control;
    std::optional<Carrier> request;
    Ends ends;
    std::vector<int> statuses;
    std::string body;
    int lasts = 0;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("http3: a server that never answers holds nobody up, and can be given up") {
        ServerByHand scene;
        scene.world.run_for(20s);
        CHECK(scene.statuses.empty());
        CHECK(scene.ends.size() == 0);
        // Meanwhile others are asked.
        CHECK(scene.connection_lives());
        Ends given_up;
        gather_end(*scene.request, given_up);
        scene.carrier.abort();
        REQUIRE(scene.until([&] { return given_up.size() == 1; }));
        CHECK(given_up[0].cause.value() == 0x10c);
        CHECK(scene.connection_lives());
    }

    TEST_CASE("http3: a server that is silent altogether ends as idle") {
        InitiateOptions options;
        options.bounds.idle_timeout = 5s;
        ServerByHand scene(options);
        scene.link.set({.down = true});
        REQUIRE(scene.until([&] { return scene.ends.size() == 1; }, 60s));
        CHECK(scene.ends[0] == Errc::connection_lost);
    }

    TEST_CASE("http3: a second answer is no answer") {
        ServerByHand scene;
        scene.answer(response("", "first") + response("", "second"));
        CHECK(scene.code() == 0x10e);
        CHECK(scene.ends[0] == Errc::protocol_violation);
        CHECK(scene.lasts == 0);
        CHECK(scene.connection_lives());
    }

    TEST_CASE("http3: an answer that is reset in the middle is no answer") {
        ServerByHand scene;
        scene.answer(response(literal("content-length", "1000"), "a part"));
        REQUIRE(scene.until([&] { return scene.body == "a part"; }));
        scene.request->abort(AbortCode{0x102});
        CHECK(scene.code() == 0x102);
        CHECK(scene.ends[0] == Errc::carrier_reset);
        CHECK(scene.lasts == 0);
        CHECK(scene.connection_lives());
    }

    TEST_CASE("http3: an answer has the length that it says") {
        struct Row {
            const char* name;
            std::string length;
            std::string body;
        };
        for (const Row& row : {Row{"more", "3", "four"}, Row{"less", "5", "four"},
                               Row{"none of it", "5", ""}, Row{"no number", "-1", "four"},
                               Row{"beyond 2^64", "99999999999999999999999", "four"}}) {
            CAPTURE(std::string(row.name));
            ServerByHand scene;
            scene.answer(response(literal("content-length", row.length), row.body), true);
            CHECK(scene.code() == 0x10e);
            CHECK(scene.ends[0] == Errc::protocol_violation);
            CHECK(scene.lasts == 0);
            CHECK(scene.connection_lives());
        }
    }

    TEST_CASE("http3: an answer that ends before it has begun, or inside a frame") {
        ServerByHand nothing;
        nothing.answer("", true);
        CHECK(nothing.code() == 0x10d);
        CHECK(nothing.connection_lives());
        ServerByHand cut;
        cut.answer(response("", "a body").substr(0, 8), true);
        CHECK(cut.code() == 0x106);  // of the whole connection (RFC 9114, 7.1)
    }

    TEST_CASE("http3: 16 MiB of fields in an answer end the connection, and cost nothing") {
        ServerByHand scene;
        std::string fields = prefix + ok;
        const std::string part = literal("x-field", std::string(1000, 'v'));
        while (fields.size() < 16 * 1024 * 1024) fields += part;
        scene.answer(frame(1, fields));
        CHECK(scene.code() == 0x107);
        CHECK(scene.statuses.empty());
    }

    TEST_CASE("http3: fields beyond the limit end the request alone") {
        ServerByHand scene;
        std::string fields;
        for (int i = 0; i < 20; ++i) fields += literal("x-field", std::string(1000, 'v'));
        scene.answer(response(fields, "body"), true);
        CHECK(scene.code() == 0x107);
        CHECK(scene.ends[0] == Errc::message_too_large);
        CHECK(scene.connection_lives());
    }

    TEST_CASE("http3: interim answers without end are stopped by who does not take them") {
        ServerByHand scene;
        const std::string early = frame(
            1, prefix + literal(":status", "103") + literal("link", std::string(200, 'l')));
        for (int i = 0; i < 2000; ++i) scene.answer(early);
        scene.answer(response("", "at last"), true);
        REQUIRE(scene.until([&] { return scene.body == "at last"; }, 60s));
        CHECK(scene.statuses.size() == 2001);
    }

    TEST_CASE("http3: a push that nobody allowed ends the connection") {
        // We never send MAX_PUSH_ID, so no id is allowed (RFC 9114, 7.2.5).
        ServerByHand promise;
        promise.answer(frame(5, varint(0) + good));
        CHECK((promise.code() == 0x105 || promise.code() == 0x108));
        ServerByHand stream;
        Carrier::ForkOptions one_way;
        one_way.one_way = true;
        Carrier push = stream.request->fork(one_way);
        push.send(varint(1) + varint(0) + response(""));
        CHECK((stream.code() == 0x103 || stream.code() == 0x108));
    }
}

}  // namespace post::test
