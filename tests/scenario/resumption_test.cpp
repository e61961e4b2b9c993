// Resumption: a later connection to the same peer goes on where an earlier one was, without
// certificates; and where it may not, or cannot, it is a connection like any other.
#include <sstream>

#include "tests/scenario/scene.hpp"
#include "tests/sim/calendar.hpp"
#include "tests/sim/child.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""h;

// What one visit to the server was like: a connection of its own, with a message there and back.
struct Visit {
    bool resumed = false;
    Bytes peer;  // the server's certificate
    std::string report;
    Duration took{};
};

Visit visit(Scene& scene, Stack stack, InitiateOptions options = {}, Duration patience = 10s) {
    if (options.policy == Policy{}) options.policy = {.stacks = {stack}};
    const Instant began = scene.world.now();
    Carrier carrier = scene.initiate(std::move(options));
    const Texts texts;
    gather(carrier, texts);
    carrier.send("hello");
    REQUIRE(scene.until([&] { return !texts.empty(); }, patience));
    const Association association = carrier.association();
    Visit visit{association.resumed(), association.peer_identity(),
                association.establishment()->string(), scene.world.now() - began};
    scene.world.run_for(100ms);  // what the server gives comes behind the handshake
    carrier.close();
    CHECK(scene.until([&] { return !association.active(); }, patience));
    return visit;
}

Scene& with_server(Scene& scene, ListenOptions options = {}) {
    options.policy = {.stacks = {Stack::quic, Stack::sctp_dtls, Stack::tls}};
    scene.echo(std::move(options));
    return scene;
}

// The server's process ends, and another one takes its place.
void restart_server(Scene& scene, ContextOptions options = {}, ListenOptions listen = {}) {
    scene.listener = {};
    scene.server = std::make_unique<sim::Node>(scene.world, scene.far, std::move(options));
    with_server(scene, std::move(listen));
}

void restart_client(Scene& scene, ContextOptions options = {}) {
    scene.client = std::make_unique<sim::Node>(scene.world, scene.near, std::move(options));
    Scene::hear(scene.near_context(), scene.unhandled);
}

const std::vector<Stack> resuming = {Stack::quic, Stack::sctp_dtls, Stack::tls};
// How many tickets a server gives: in DTLS 1.2 it is one, with the full handshake.
std::size_t given(Stack stack) { return stack == Stack::sctp_dtls ? 1 : 3; }

// Whatever is asked for, it has the same of it, and never less.
class StubbornStore final : public AssociationStore {
public:
    std::optional<KeptAssociation> find(const AssociationKey&) override { return kept; }
    bool change(const AssociationKey&, Function<void(KeptAssociation&)> change) override {
        KeptAssociation value = kept;
        change(value);
        changes += 1;
        if (kept.tickets.empty()) kept = value;
        return true;
    }
    std::vector<Listed> list() override { return {}; }
    std::size_t forget(std::string_view) override { return 0; }

    KeptAssociation kept;
    int changes = 0;
};

class Fleet final : public TicketKeySource {
public:
    Secrets secrets() override { return {current, previous}; }
    Bytes current = std::string(32, 'a');
    Bytes previous;
};

std::string digest_of_a_resumption(std::uint64_t seed) {
    std::ostringstream digest;
    sim::ambient::apart([&] {
        Scene scene(seed, {.delay = 20ms, .rate = 10'000'000, .loss = 0.02});
        with_server(scene);
        for (const Stack stack : resuming) {
            visit(scene, stack);
            CHECK(visit(scene, stack).resumed);
        }
        digest << std::hex << scene.world.digest();
    });
    return digest.str();
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("the second connection resumes the first one, and knows who the peer is") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            with_server(scene);
            const Visit first = visit(scene, stack);
            CHECK_FALSE(first.resumed);
            CHECK_FALSE(first.peer.empty());
            CHECK(first.report.find("resumed") == std::string::npos);
            for (int i = 0; i < 8; ++i) {
                const Visit again = visit(scene, stack);
                CHECK(again.resumed);
                CHECK(again.peer == first.peer);
                CHECK(again.report.find(", resumed") != std::string::npos);
            }
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("a server that restarts has other keys: full handshakes, and then it resumes again") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            with_server(scene);
            const Visit first = visit(scene, stack);
            restart_server(scene);
            const Visit other = visit(scene, stack);
            CHECK_FALSE(other.resumed);
            CHECK(other.peer == first.peer);
            CHECK(visit(scene, stack).resumed);
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("servers with the same keys take each other's tickets, as long as a key is in use") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            const auto fleet = std::make_shared<Fleet>();
            Scene scene(test::seed(), {.delay = 10ms}, {.ticket_keys = fleet});
            with_server(scene);
            visit(scene, stack);
            restart_server(scene, {.ticket_keys = fleet});
            CHECK(visit(scene, stack).resumed);
            // A new key; the server has given tickets under the old one, and knows them.
            fleet->previous = std::exchange(fleet->current, std::string(32, 'b'));
            scene.world.run_for(1min);
            CHECK(visit(scene, stack).resumed);
            // And another one: what is older than the previous one is nothing.
            fleet->previous = std::string(32, 'c');
            fleet->current = std::string(32, 'd');
            scene.world.run_for(1min);
            CHECK_FALSE(visit(scene, stack).resumed);
            CHECK(visit(scene, stack).resumed);
            // Too short a secret is none.
            fleet->previous = {};
            fleet->current = "short";
            scene.world.run_for(1min);
            CHECK_FALSE(visit(scene, stack).resumed);
            CHECK_FALSE(visit(scene, stack).resumed);
        }
    }

    TEST_CASE(
        "a ticket is good for an hour, across the change of keys, and resuming adds nothing") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            with_server(scene);
            scene.world.run_for(50min);
            visit(scene, stack);
            for (int i = 0; i < 3; ++i) {
                scene.world.run_for(18min);
                CHECK(visit(scene, stack).resumed);
            }
            scene.world.run_for(18min);
            CHECK_FALSE(visit(scene, stack).resumed);
            CHECK(visit(scene, stack).resumed);
        }
    }

    TEST_CASE("what is kept in a store is there for the next Context") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            const auto store = memory_store();
            Scene scene(test::seed(), {.delay = 10ms}, {}, {.store = store});
            with_server(scene);
            visit(scene, stack);
            const auto listed = store->list();
            REQUIRE(listed.size() == 1);
            CHECK(listed[0].key.remote == "post://server.test:4433");
            CHECK(listed[0].key.trust.find(scene.identity.pin()) != std::string::npos);
            CHECK(listed[0].kept.tickets.size() == given(stack));
            CHECK(listed[0].kept.tokens.size() == (stack == Stack::quic ? 1 : 0));
            CHECK(listed[0].kept.winner->stack == stack);
            CHECK(listed[0].kept.rtt >= 20ms);
            restart_client(scene, {.store = store});
            CHECK(visit(scene, stack).resumed);
            restart_client(scene);
            CHECK_FALSE(visit(scene, stack).resumed);
            restart_client(scene, {.store = store});
            CHECK(store->forget("post://server.test:4433") == 1);
            CHECK_FALSE(visit(scene, stack).resumed);
        }
    }

    TEST_CASE("whatever is lost of a handshake that resumes, it comes to its end") {
        for (const Stack stack : resuming) {
            int resumed = 0;
            for (const std::uint64_t seed : seeds(8)) {
                CAPTURE(seed);
                CAPTURE(std::string(to_string(stack)));
                Scene scene(seed, {.delay = 10ms});
                with_server(scene);
                visit(scene, stack);
                scene.world.link(scene.near, scene.far, {.delay = 10ms, .loss = 0.2});
                resumed += visit(scene, stack, {}, 2min).resumed ? 1 : 0;
            }
            CHECK(resumed > 0);
        }
    }

    TEST_CASE("a server that gives no tickets is not resumed") {
        for (const Stack stack : resuming) {
            Scene scene;
            with_server(scene, {.tickets = 0});
            visit(scene, stack);
            CHECK_FALSE(visit(scene, stack).resumed);
        }
    }

    TEST_CASE("who believes somebody else, or is somebody else, does not resume") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            with_server(scene);
            visit(scene, stack);
            const auto other = [&](InitiateOptions options) {
                options.policy = {.stacks = {stack}};
                Carrier carrier = scene.near_context().initiate("post://server.test:4433", options);
                const Texts texts;
                gather(carrier, texts);
                carrier.send("hello");
                CHECK(scene.until([&] { return !texts.empty(); }));
                return carrier.association().resumed();
            };
            CHECK_FALSE(other({.trust = Trust::danger_anyone()}));
            CHECK_FALSE(other({.trust = Trust::fingerprint(scene.identity.fingerprint())}));
            CHECK_FALSE(other({.trust = Trust::pinned(scene.identity.pin()),
                               .local = {.identity = Identity::self_signed("client.test")}}));
            CHECK(visit(scene, stack).resumed);
        }
    }

    TEST_CASE("a ticket of a Listener that asks for nothing does not get past one that does") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            const auto fleet = std::make_shared<Fleet>();
            const auto store = std::make_shared<StubbornStore>();
            Scene scene(test::seed(), {.delay = 10ms}, {.ticket_keys = fleet}, {.store = store});
            with_server(scene);
            visit(scene, stack);
            REQUIRE_FALSE(store->kept.tickets.empty());
            CHECK(visit(scene, stack).resumed);
            restart_server(scene, {.ticket_keys = fleet},
                           {.client_certificate = ListenOptions::ClientCertificate::required});
            Carrier carrier = scene.initiate({.policy = {.stacks = {stack}}});
            const Ends ends;
            gather_end(carrier, ends);
            carrier.send("let me in");
            CHECK(scene.until([&] { return !ends.empty(); }));
            CHECK(ends[0] == Errc::certificate_required);
        }
    }

    TEST_CASE("who shows a certificate resumes as the same") {
        // In DTLS such a ticket is too large for the one datagram that a ClientHello has.
        for (const Stack stack : {Stack::quic, Stack::tls}) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            const Identity client = Identity::self_signed("client.test");
            ListenOptions options;
            options.client_certificate = ListenOptions::ClientCertificate::required;
            options.client_trust = Trust::pinned(client.pin());
            options.policy = {.stacks = {stack}};
            scene.collect(options);
            for (const bool resumed : {false, true}) {
                Carrier carrier = scene.initiate(
                    {.policy = {.stacks = {stack}}, .local = {.identity = client}});
                carrier.send("hello");
                const std::size_t before = scene.accepted.size();
                REQUIRE(scene.until([&] { return scene.accepted.size() > before; }));
                const auto theirs = scene.accepted.back().association();
                CHECK(theirs.resumed() == resumed);
                CHECK_FALSE(theirs.peer_identity().empty());
                CHECK(carrier.association().resumed() == resumed);
                scene.world.run_for(100ms);
                carrier.close();
                scene.accepted.clear();
                scene.world.run_for(6s);
            }
        }
    }

    TEST_CASE("a ticket that is shown again makes a connection like any other") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            const auto store = std::make_shared<StubbornStore>();
            Scene scene(test::seed(), {.delay = 10ms}, {}, {.store = store});
            with_server(scene);
            visit(scene, stack);
            const auto before = store->kept;
            CHECK(visit(scene, stack).resumed);
            CHECK(visit(scene, stack).resumed);
            CHECK(store->kept == before);
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("a store that gives back nonsense costs full handshakes, and nothing else") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            const auto store = std::make_shared<StubbornStore>();
            Scene scene(test::seed(), {.delay = 10ms}, {}, {.store = store});
            with_server(scene);
            visit(scene, stack);
            const Bytes good = store->kept.tickets.back().session;
            for (std::size_t at = 0; at < good.size(); at += 97) {
                std::string bad = good.string();
                bad[at] = static_cast<char>(bad[at] ^ 0x5a);
                for (auto& ticket : store->kept.tickets) ticket.session = bad;
                CHECK_FALSE(visit(scene, stack).resumed);
            }
            for (auto& ticket : store->kept.tickets) ticket.session = "x";
            for (auto& token : store->kept.tokens) token.token = std::string(2000, 'x');
            CHECK_FALSE(visit(scene, stack).resumed);
            for (auto& ticket : store->kept.tickets) ticket.session = good;
            CHECK(visit(scene, stack).resumed);
        }
    }

    TEST_CASE("clocks that jump by a month cost a full handshake, forth and back") {
        for (const Stack stack : resuming) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            with_server(scene);
            visit(scene, stack);
            for (const auto month : {720h, -720h}) {
                sim::set_calendar(month);
                CHECK_FALSE(visit(scene, stack).resumed);
                CHECK(visit(scene, stack).resumed);
            }
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("each leaf of a race has a ticket of its own, and the next race goes to who won") {
        const auto store = memory_store();
        Scene scene(test::seed(), {.delay = 10ms}, {}, {.store = store});
        with_server(scene);
        InitiateOptions race{.policy = {.stacks = {Stack::tls, Stack::quic}}};
        CHECK_FALSE(visit(scene, Stack::tls, race).resumed);
        CHECK(visit(scene, Stack::tls, race).resumed);
        const auto kept = store->list().at(0).kept;
        REQUIRE(kept.winner);
        // Another process, to which the stack that won is closed by now.
        restart_client(scene, {.store = store});
        const Visit third = visit(scene, Stack::tls, race);
        CHECK(third.resumed);
        CHECK(third.report.find(to_string(kept.winner->stack)) != std::string::npos);
        CHECK(store->list().at(0).kept.tickets.size() <= 8);
    }

    TEST_CASE("tells the digest of a resumption" * doctest::skip()) {
        sim::say(digest_of_a_resumption(test::seed()));
    }

    TEST_CASE("a resumption is the same in every byte for the same seed") {
        // Each in a process of its own: usrsctp remembers what other stories had.
        const auto digest = [](std::uint64_t of) {
            return sim::run_in_child("tells the digest of a resumption", of);
        };
        const std::string first = digest(test::seed());
        CHECK(digest(test::seed()) == first);
        CHECK(digest(test::seed() + 1) != first);
    }
}

}  // namespace post::test
