// Early data (0-RTT): what a client may send before the server has answered, when it arrives, that
// it counts once, and what becomes of it where it is not taken.
#include <set>

#include <post/stream.hpp>

#include "tests/scenario/early_scene.hpp"
#include "tests/sim/calendar.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""h;

// A memory that servers share, of keys and of names.
class Fleet final : public TicketKeySource {
public:
    Secrets secrets() override { return {std::string(32, 'a'), {}}; }
    bool first_use(const Bytes& name, std::chrono::seconds) override {
        return works && names.insert(name.string()).second;
    }
    std::set<std::string> names;
    bool works = true;
};

// It has the same ticket whenever it is asked.
class StubbornStore final : public AssociationStore {
public:
    std::optional<KeptAssociation> find(const AssociationKey&) override { return kept; }
    bool change(const AssociationKey&, Function<void(KeptAssociation&)> change) override {
        KeptAssociation value = kept;
        change(value);
        if (kept.tickets.empty()) kept = value;
        return true;
    }
    std::vector<Listed> list() override { return {}; }
    std::size_t forget(std::string_view) override { return 0; }

    KeptAssociation kept;
};

void check_rejected(const Visit& visit, std::size_t messages = 1) {
    CHECK_FALSE(visit.early);
    CHECK(visit.report.early == messages);
    CHECK(visit.report.early_rejected);
    CHECK(visit.report.string().find("rejected and sent again") != std::string::npos);
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("an idempotent message arrives half a round trip after it was sent") {
        for (const std::uint64_t seed : seeds(20)) {
            CAPTURE(seed);
            const Duration one_way = 1ms * (5 + static_cast<int>(seed % 97));
            Scene scene(seed, {.delay = one_way});
            Server server(scene);
            const Visit first = visit(scene, server, over(Stack::quic));
            CHECK_FALSE(first.early);
            CHECK(first.report.early == 0);
            for (int i = 0; i < 2; ++i) {
                const Visit again = visit(scene, server, over(Stack::quic));
                check_early(again);
                CHECK(again.arrived < one_way + 1ms);
                // And its answer does not wait for the client's second flight.
                CHECK(again.answered < 2 * one_way + 2ms);
                CHECK(again.report.string().find(", resumed, 1 message early") !=
                      std::string::npos);
            }
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("on tls it arrives with the ClientHello, and with Fast Open in the SYN") {
        for (const std::uint64_t seed : seeds(20)) {
            CAPTURE(seed);
            const Duration one_way = 1ms * (5 + static_cast<int>(seed % 97));
            for (const bool fast : {false, true}) {
                CAPTURE(fast);
                Scene scene(seed, {.delay = one_way});
                ListenOptions listen{.early_data = true};
                listen.tls.fast_open = fast;
                Server server(scene, listen);
                InitiateOptions options = over(Stack::tls);
                options.tls.fast_open = fast;
                CHECK_FALSE(visit(scene, server, options).early);
                for (int i = 0; i < 2; ++i) {
                    const Visit again = visit(scene, server, options);
                    check_early(again);
                    CHECK(again.arrived < (fast ? 1 : 3) * one_way + 1ms);
                }
                CHECK(scene.unhandled.empty());
                CHECK(scene.server_unhandled.empty());
            }
        }
    }

    TEST_CASE("what is not idempotent waits for the handshake, and so does what is behind it") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            Server server(scene);
            visit(scene, server, over(stack));
            server.heard->clear();
            const SendOptions once{};
            const Visit again = visit(scene, server, over(stack),
                                      {{"a", twice}, {"b", once}, {"c", twice}});
            check_early(again);
            const std::vector<Heard> expected{{"a", true}, {"b", false}, {"c", false}};
            CHECK(*server.heard == expected);
            // An unordered one need not wait; and none of those that may not go early does.
            server.heard->clear();
            const Visit third = visit(
                scene, server, over(stack),
                {{"a", once}, {"b", {.ordered = false, .idempotent = true}}, {"c", twice}});
            check_early(third);
            const std::vector<Heard> overtaken{{"b", true}, {"a", false}, {"c", false}};
            CHECK(*server.heard == overtaken);
        }
    }

    TEST_CASE("a server that does not ask for early data gets none") {
        for (const Stack stack : early_stacks) {
            Scene scene;
            Server server(scene, {});
            visit(scene, server, over(stack));
            const Visit again = visit(scene, server, over(stack));
            CHECK(again.resumed);
            CHECK_FALSE(again.early);
            CHECK(again.report.early == 0);
        }
        Scene scene;
        ListenOptions wrong{.early_data = true};
        wrong.client_certificate = ListenOptions::ClientCertificate::optional;
        CHECK_THROWS(scene.listen(wrong));
    }

    TEST_CASE("early data that is rejected is sent again, once and in its order") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            const std::vector<std::pair<std::string, SendOptions>> messages{
                {"a", twice}, {"b", twice}, {"c", {.niceness = 1, .idempotent = true}}};
            {
                // Another server, with keys of its own: nothing is resumed.
                Scene scene;
                Server server(scene);
                visit(scene, server, over(stack));
                server.restart();
                server.heard->clear();
                const Visit again = visit(scene, server, over(stack), messages);
                CHECK_FALSE(again.resumed);
                check_rejected(again, 3);
                CHECK(server.texts() == std::vector<std::string>{"a", "b", "c"});
                check_early(visit(scene, server, over(stack)));
                CHECK(scene.unhandled.empty());
            }
            // The same keys; but nobody knows whether the flight is new.
            const auto fleet = std::make_shared<Fleet>();
            Scene scene(test::seed(), {.delay = 10ms}, {.ticket_keys = fleet});
            Server server(scene);
            visit(scene, server, over(stack));
            check_early(visit(scene, server, over(stack)));
            fleet->works = false;
            server.heard->clear();
            const Visit again = visit(scene, server, over(stack), messages);
            CHECK(again.resumed);
            check_rejected(again, 3);
            CHECK(server.texts() == std::vector<std::string>{"a", "b", "c"});
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("a server that takes early data no more rejects what its tickets promised") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            const auto fleet = std::make_shared<Fleet>();
            Scene scene(test::seed(), {.delay = 10ms}, {.ticket_keys = fleet});
            Server server(scene);
            visit(scene, server, over(stack));
            server.restart({.ticket_keys = fleet}, {});
            const Visit again = visit(scene, server, over(stack));
            check_rejected(again);
            CHECK(visit(scene, server, over(stack)).report.early == 0);
        }
    }

    TEST_CASE("what is early stays below its limits, and the rest follows in its place") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            Server server(scene);
            visit(scene, server, over(stack));
            server.heard->clear();
            std::vector<std::pair<std::string, SendOptions>> many;
            for (int i = 0; i < 100; ++i) many.emplace_back(std::to_string(i), twice);
            check_early(visit(scene, server, over(stack), many), 64);
            REQUIRE(server.heard->size() == 100);
            for (std::size_t i = 0; i < 100; ++i) {
                CHECK((*server.heard)[i].text == std::to_string(i));
                CHECK((*server.heard)[i].early == (i < 64));
            }
            server.heard->clear();
            const std::string large(13 * 1024, 'x');
            check_early(visit(scene, server, over(stack), {{"a", twice}, {large, twice}}));
            CHECK((*server.heard)[1].text == large);
            CHECK_FALSE((*server.heard)[1].early);
            // As much as may be.
            server.heard->clear();
            const std::string most(12 * 1024, 'y');
            check_early(visit(scene, server, over(stack), {{most, twice}}));
            CHECK((*server.heard)[0].text == most);
        }
    }

    TEST_CASE("forks are early, too, and come to whoever accepts them") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            Server server(scene);
            visit(scene, server, over(stack));
            server.heard->clear();
            Carrier carrier = scene.initiate(over(stack));
            const Texts texts;
            std::vector<Carrier> forks;
            for (int i = 0; i < 4; ++i) {
                forks.push_back(carrier.fork());
                gather(forks.back(), texts);
                forks.back().send("fork " + std::to_string(i), twice);
            }
            REQUIRE(scene.until([&] { return texts.size() == 4; }));
            CHECK(carrier.association().establishment()->early == 4);
            REQUIRE(server.heard->size() == 4);
            for (const Heard& one : *server.heard) CHECK(one.early);
        }
    }

    TEST_CASE("a lifetime that ends while nobody has answered does not take back what went early") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            const auto fleet = std::make_shared<Fleet>();
            Scene scene(test::seed(), {.delay = 50ms}, {.ticket_keys = fleet});
            Server server(scene);
            visit(scene, server, over(stack));
            // It leaves when the way is known, on tls when TCP is up; and nobody has answered yet.
            const Duration lifetime = stack == Stack::tls ? 130ms : 30ms;
            const SendOptions brief{.lifetime = lifetime, .idempotent = true};
            check_early(visit(scene, server, over(stack), {{"brief", brief}}));
            // What was rejected was never sent: it expires.
            fleet->works = false;
            server.heard->clear();
            Carrier carrier = scene.initiate(over(stack));
            Fates fates;
            carrier.send("too brief", brief, fates.watch());
            carrier.send("long enough", twice, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            fates.check();
            CHECK(fates[0].expired == 1);
            CHECK(fates[1].acked == 1);
            CHECK(server.texts() == std::vector<std::string>{"long enough"});
        }
    }

    TEST_CASE("clocks that jump by a month cost the early arrival, and no message") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            Server server(scene);
            visit(scene, server, over(stack));
            for (const auto month : {720h, -720h}) {
                sim::set_calendar(month);
                server.heard->clear();
                const Visit jumped = visit(scene, server, over(stack));
                CHECK_FALSE(jumped.early);
                CHECK(server.texts() == std::vector<std::string>{"hello"});
                CHECK(visit(scene, server, over(stack)).resumed);
            }
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("a ticket that is shown again brings what is new, and each message once") {
        for (const Stack stack : early_stacks) {
            CAPTURE(std::string(to_string(stack)));
            const auto store = std::make_shared<StubbornStore>();
            Scene scene(test::seed(), {.delay = 10ms}, {}, {.store = store});
            Server server(scene);
            visit(scene, server, over(stack));
            server.heard->clear();
            for (const char* text : {"first", "second", "third"})
                check_early(visit(scene, server, over(stack), {{text, twice}}));
            CHECK(server.texts() == std::vector<std::string>{"first", "second", "third"});
        }
    }

    TEST_CASE("a Carrier whose OPEN went early becomes no Stream behind the peer's back") {
        Scene scene;
        Server server(scene);
        visit(scene, server, over(Stack::quic));
        Carrier carrier = scene.initiate(over(Stack::quic));
        Carrier fork = carrier.fork();
        const Texts texts;
        gather(fork, texts);
        fork.send("hello", twice);
        scene.world.run_for(8ms);  // its parent's OPEN is on its way
        CHECK_FALSE(carrier.association().active());
        CHECK(carrier.as_stream().error() == Errc::unsupported);
        CHECK(scene.until([&] { return !texts.empty(); }));
        CHECK(carrier.association().establishment()->early == 1);
    }

    TEST_CASE("whatever is lost of an early flight, each message comes once and has one fate") {
        for (const Stack stack : early_stacks) {
            int early = 0;
            for (const std::uint64_t seed : seeds(12)) {
                CAPTURE(seed);
                CAPTURE(std::string(to_string(stack)));
                Scene scene(seed, {.delay = 10ms});
                // Patience, for a handshake of which each fifth packet is lost.
                InitiateOptions options = over(stack);
                options.bounds.handshake_timeout = 1min;
                ListenOptions listen{.early_data = true};
                listen.bounds.handshake_timeout = 1min;
                Server server(scene, listen);
                visit(scene, server, options);
                scene.world.link(scene.near, scene.far,
                                 {.delay = 10ms, .loss = 0.2, .reorder = 0.1, .duplicate = 0.1});
                server.heard->clear();
                std::vector<std::pair<std::string, SendOptions>> many;
                std::vector<std::string> expected;
                for (int i = 0; i < 20; ++i) {
                    expected.push_back(std::to_string(i) + std::string(300, '.'));
                    many.emplace_back(expected.back(), twice);
                }
                early += visit(scene, server, options, many, 5min).early ? 1 : 0;
                CHECK(server.texts() == expected);
            }
            CHECK(early > 0);
        }
    }

    TEST_CASE("a plain peer's protocol is early on quic, as its bytes are") {
        Scene scene;
        ListenOptions listen{.early_data = true};
        listen.alpn = {"echo"};
        listen.policy = {.stacks = {Stack::quic}};
        Server server(scene, listen);
        InitiateOptions options = over(Stack::quic);
        options.alpn = "echo";
        CHECK_FALSE(visit(scene, server, options).early);
        const Visit again = visit(scene, server, options);
        check_early(again);
        CHECK(again.arrived < 12ms);
    }
}

}  // namespace post::test
