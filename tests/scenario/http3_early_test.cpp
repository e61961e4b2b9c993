// Requests of HTTP/3 in early data (0-RTT): where a ticket and the server's SETTINGS are
// remembered, what is safe and idempotent goes with the first flight (RFC 8470).
#include <algorithm>
#include <memory>
#include <set>

#include "tests/scenario/http3_bytes.hpp"
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;
constexpr Duration trip = 2 * one_way;
const SendOptions twice{.idempotent = true};

// A memory that servers share, of keys and of names.
class Fleet final : public TicketKeySource {
public:
    Secrets secrets() override { return {std::string(32, key), {}}; }
    bool first_use(const Bytes& name, std::chrono::seconds) override {
        return names.insert(name.string()).second;
    }
    std::set<std::string> names;
    char key = 'a';
};

struct Asked {
    std::string what;  // "GET /path"
    bool early = false;
    Instant at{};
};

// A server of HTTP/3 that may take early requests and keeps what it was asked, and its clients.
struct EarlyWeb : Scene {
    explicit EarlyWeb(ListenOptions options = {.early_data = true})
        : Scene(test::seed(), {.delay = one_way}) {
        restart(std::move(options));
    }

    void serve(ListenOptions options) {
        options.policy.stacks = {Stack::http3};
        listener = far_context().listen({.port = server_port, .identity = identity},
                                        std::move(options));
        listener.accept([this](Carrier carrier) {
            carrier.ready([this](Carrier& self, InMessage request) {
                const auto& fields = request.properties();
                if (http::field(fields, ":method").empty()) return true;  // a trailer
                const std::string what = std::string(http::field(fields, ":method")) + " " +
                                         std::string(http::field(fields, ":path"));
                asked.push_back({what, request.early(), world.now()});
                const bool too_early = refuses && request.early();
                self.send(too_early ? "" : what,
                          {.properties = {{":status", too_early ? "425" : "200"}}});
                return true;
            });
            return true;
        });
    }
    // The process ends, and another one takes its place, which can read its tickets.
    void restart(ListenOptions options = {.early_data = true}) {
        listener = {};
        server.reset();
        server = std::make_unique<sim::Node>(world, far, ContextOptions{.ticket_keys = fleet});
        hear(**server, server_unhandled);
        serve(std::move(options));
    }
    Carrier ask(const std::string& target = "/") {
        return near_context().initiate("https://server.test:4433" + target,
                                       {.trust = Trust::pinned(identity.pin())});
    }
    // One request, and what is said of its connection; 0: no answer.
    struct Visit {
        int status = 0;
        std::string content;
        Duration arrived{};  // at the server, since the connection was begun
        Duration answered{};
        bool early = false;
        Establishment report;
    };
    Visit visit(SendOptions options = twice) {
        const Instant began = world.now();
        const std::size_t before = asked.size();
        Carrier carrier = ask("/hello");
        Fates fates;
        carrier.send("", std::move(options), fates.watch());
        auto received = carrier.receive();
        REQUIRE(until([&] { return received.ready() && fates.all(); }, 20s));
        auto reply = received.get();
        REQUIRE(reply);
        fates.check();
        CHECK(fates.acked() == 1);
        REQUIRE(asked.size() == before + 1);
        Visit visit;
        visit.report = *carrier.association().establishment();
        const Duration known = visit.report.attempts.at(0).started - began;
        visit.status = http::status(*reply);
        visit.content = reply->view();
        visit.arrived = asked.back().at - began - known;
        visit.early = asked.back().early;
        leave(carrier);
        return visit;
    }
    // Tickets and SETTINGS come behind the handshake.
    void leave(Carrier& carrier) {
        world.run_for(100ms);
        const Association association = carrier.association();
        carrier.close();
        REQUIRE(until([&] { return !association.active(); }, 20s));
    }

    std::shared_ptr<Fleet> fleet = std::make_shared<Fleet>();
    std::vector<Asked> asked;
    bool refuses = false;  // early requests, with 425
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("http3: a request of a client that was here before arrives half a round trip later") {
        EarlyWeb web;
        const auto first = web.visit();
        CHECK_FALSE(first.early);
        CHECK(first.arrived == one_way + trip);
        for (int i = 0; i < 3; ++i) {
            const auto next = web.visit();
            CHECK(next.early);
            CHECK(next.arrived == one_way);
            CHECK(next.status == 200);
            CHECK(next.content == "GET /hello");
            CHECK(next.report.early == 1);
            CHECK_FALSE(next.report.early_rejected);
        }
        CHECK_FALSE(web.visit({}).early);  // nobody said that it may come twice
    }

    TEST_CASE("http3: what goes early is safe, and the rest waits for the handshake") {
        EarlyWeb web;
        web.visit();
        web.asked.clear();
        Carrier first = web.ask("/first");
        std::vector<Carrier> forks;
        Fates fates;
        const auto send = [&](std::string content, Properties properties, bool idempotent) {
            forks.push_back(first.fork());
            forks.back().send(std::move(content),
                              {.idempotent = idempotent, .properties = std::move(properties)},
                              fates.watch());
        };
        first.send("", twice, fates.watch());
        send("", {{":path", "/a"}, {"accept", "text/plain"}}, true);
        send("", {{":method", "HEAD"}, {":path", "/b"}}, true);
        send("", {{":method", "OPTIONS"}, {":path", "/c"}}, true);
        send("x", {{":method", "PUT"}, {":path", "/d"}}, true);
        send("", {{":method", "DELETE"}, {":path", "/e"}}, true);
        send("x", {{":path", "/f"}}, true);
        send("", {{":path", "/g"}}, false);
        std::vector<Operation<InMessage>> replies;
        for (Carrier& fork : forks) replies.push_back(fork.receive());
        REQUIRE(web.until([&] { return web.asked.size() == 8 && fates.all(); }));
        fates.check();
        CHECK(fates.acked() == 8);
        std::string early;
        std::string late;
        for (const Asked& one : web.asked) (one.early ? early : late) += one.what + ", ";
        CHECK(early == "GET /first, GET /a, HEAD /b, OPTIONS /c, ");
        CHECK(late == "PUT /d, DELETE /e, POST /f, GET /g, ");
        REQUIRE(web.until([&] {
            return std::all_of(replies.begin(), replies.end(),
                               [](const auto& one) { return one.ready(); });
        }));
        for (auto& reply : replies) CHECK(http::status(*reply.get()) == 200);
    }

    TEST_CASE("http3: a request that waits for the handshake keeps its place before its trailer") {
        EarlyWeb web;
        web.visit();
        for (const bool refused : {false, true}) {
            CAPTURE(refused);
            if (refused) web.fleet->key = 'b';
            const std::size_t before = web.asked.size();
            Carrier carrier = web.ask("/put");
            Fates fates;
            carrier.send(
                "content",
                {.idempotent = true, .properties = {{":method", "PUT"}, {"trailer", "x-sum"}}},
                fates.watch());
            carrier.send("", {.idempotent = true, .properties = {{"x-sum", "7"}}}, fates.watch());
            auto received = carrier.receive();
            REQUIRE(web.until([&] { return received.ready() && fates.all(); }, 20s));
            fates.check();
            CHECK(fates.acked() == 2);
            REQUIRE(web.asked.size() == before + 1);
            CHECK(web.asked.back().what == "PUT /put");
            CHECK_FALSE(web.asked.back().early);
            web.leave(carrier);
        }
    }

    TEST_CASE("http3: early requests that a server refuses are asked again, and once") {
        SUBCASE("it does not take early data any more") {
            EarlyWeb web;
            web.visit();
            web.restart({});
            const auto next = web.visit();
            CHECK_FALSE(next.early);
            CHECK(next.report.early_rejected);
            CHECK(next.status == 200);
            CHECK(next.arrived == one_way + trip);
        }
        SUBCASE("it was started anew") {
            EarlyWeb web;
            web.visit();
            web.fleet->key = 'b';
            web.restart();
            const auto next = web.visit();
            CHECK_FALSE(next.early);
            CHECK(next.report.early_rejected);
            CHECK(next.content == "GET /hello");
        }
        SUBCASE("its SETTINGS are others") {
            EarlyWeb web({.early_data = true, .http = {.connect = {"echo"}}});
            web.visit();
            CHECK(web.visit().early);
            web.restart();
            const auto next = web.visit();
            CHECK_FALSE(next.early);
            CHECK(next.report.early_rejected);
            CHECK(web.visit().early);
        }
        SUBCASE("the first flight is lost") {
            EarlyWeb web;
            web.visit();
            int left = 1;
            web.link.change([&](sim::LinkOptions& each) {
                each.drop = [&left](const sim::Packet& packet) {
                    return sim::udp(packet) && left > 0 && left-- > 0;
                };
            });
            CHECK(web.visit().status == 200);
        }
    }

    TEST_CASE("http3: a server that was never asked for it gets no early request") {
        EarlyWeb web(ListenOptions{});
        web.visit();
        const auto next = web.visit();
        CHECK_FALSE(next.early);
        CHECK_FALSE(next.report.early_rejected);
        CHECK(next.report.early == 0);
        CHECK(next.report.resumed);
    }

    TEST_CASE("http3: 425 is an answer, and asking again is the application's") {
        EarlyWeb web;
        web.visit();
        web.refuses = true;
        const auto refused = web.visit();
        CHECK(refused.early);
        CHECK(refused.status == 425);
        const auto again = web.visit({});
        CHECK_FALSE(again.early);
        CHECK(again.status == 200);
    }

    TEST_CASE("http3: a server that takes early data keeps to the SETTINGS that it once said") {
        // By hand: the first connection, whose SETTINGS are remembered, and one that resumes it.
        const auto end_of_second = [](std::uint64_t first, std::uint64_t second) {
            Scene scene(test::seed(), {.delay = one_way});
            scene.collect(
                {.policy = {.stacks = {Stack::quic}}, .alpn = {"h3"}, .early_data = true});
            const auto visit = [&](std::uint64_t section) {
                using namespace http3_bytes;
                scene.accepted.clear();
                Carrier carrier = scene.near_context().initiate(
                    "https://server.test:4433", {.trust = Trust::pinned(scene.identity.pin())});
                Ends ends;
                gather_end(carrier, ends);
                carrier.send("", twice);
                // The control stream, two of QPACK, and the request.
                REQUIRE(scene.until([&] { return scene.accepted.size() == 4; }));
                Carrier control;
                for (Carrier& one : scene.accepted)
                    if (Carrier fork = one.fork({.one_way = true}); fork && !control)
                        control = std::move(fork);
                REQUIRE(control);
                control.send(std::string("\0", 1) + frame(4, varint(6) + varint(section)));
                scene.world.run_for(200ms);
                const auto report = carrier.association().establishment();
                const std::size_t early = report ? report->early : 0;
                Error end = ends.empty() ? Error() : ends[0];
                carrier.abort();
                scene.world.run_for(10s);
                return std::pair(early, end);
            };
            CHECK_FALSE(visit(first).second);
            const auto [early, end] = visit(second);
            if (!end) CHECK(early == 1);
            return end;
        };
        CHECK_FALSE(end_of_second(10'000, 10'000));
        CHECK_FALSE(end_of_second(10'000, 10'001));
        const Error less = end_of_second(10'000, 9'999);
        CHECK(less == Errc::protocol_violation);
        CHECK(less.cause == std::error_code(0x109, http3_category()));
    }
}

}  // namespace post::test
