// TCP Fast Open (TlsOptions::fast_open) through the public API: what it spares, and when not.
#include "tests/scenario/scene.hpp"

namespace post::test {
namespace {

struct Kind {
    const char* name;
    Stack stack;
    const char* alpn;  // empty: Post's own, or none
    int round_trips;   // until the server has the first message, without Fast Open
};
constexpr Kind kinds[] = {{"tls between Post peers", Stack::tls, "", 2},
                          {"tls with a plain peer", Stack::tls, "echo", 2},
                          {"tcp", Stack::tcp, "", 1}};
constexpr Duration one_way = 50ms;

struct FastScene : Scene {
    FastScene(const Kind& kind, bool at_client, bool at_server)
        : Scene(test::seed(), {.delay = one_way}), kind_(kind), fast_(at_client) {
        ListenOptions options;
        options.policy = policy();
        options.tls.fast_open = at_server;
        if (*kind.alpn) options.alpn = {kind.alpn};
        listener = listen(std::move(options));
        listener.accept([this](Carrier carrier) {
            gather(carrier, came);
            accepted.push_back(std::move(carrier));
            return true;
        });
    }

    // From the call until the first message is there.
    Duration ask() {
        const std::size_t before = came.size();
        InitiateOptions options;
        options.policy = policy();
        options.tls.fast_open = fast_;
        options.alpn = kind_.alpn;
        const Instant start = world.now();
        Carrier carrier = initiate(std::move(options));
        carrier.send("hello");
        REQUIRE(until([&] { return came.size() > before; }));
        const Duration taken = world.now() - start;
        carrier.close();
        world.run_for(20s);  // its Association ends, too
        return taken;
    }

    Texts came;

private:
    Policy policy() const {
        return {kind_.stack == Stack::tcp ? Security::none : Security::required, {kind_.stack}};
    }
    const Kind& kind_;
    bool fast_;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("Fast Open: a peer that was there before is asked one round trip sooner") {
        for (const Kind& kind : kinds) {
            CAPTURE(kind.name);
            FastScene scene(kind, true, true);
            const Duration first = scene.ask();
            const Duration again = scene.ask();
            const Duration without = (2 * kind.round_trips + 1) * one_way;
            CHECK(first >= without);
            CHECK(first < without + 10ms);
            CHECK(again >= without - 2 * one_way);
            CHECK(again < without - 2 * one_way + 10ms);
        }
    }

    TEST_CASE("Fast Open: nothing is spared where one side does not ask for it") {
        for (const Kind& kind : kinds) {
            for (const bool at_client : {false, true}) {
                CAPTURE(kind.name);
                CAPTURE(at_client);
                FastScene scene(kind, at_client, !at_client);
                scene.ask();
                CHECK(scene.ask() >= (2 * kind.round_trips + 1) * one_way);
            }
        }
    }
}

}  // namespace post::test
