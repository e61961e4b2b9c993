// Many: ten thousand Carriers in one Association, a thousand Associations in one Context. What is
// idle sends nothing and takes no turn.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// The turns of a Context, counted: a Node's turns are the World's own affair.
struct Counted {
    Counted(sim::World& of, sim::Host& host) : world(of), io(host.make_io()) {
        ContextOptions options;
        options.io = io;
        context.emplace(std::move(options));
        driver = world.add({[this] {
                                ++turns;
                                if (context->turn()) world.turn_again();
                            },
                            [this] { return context->deadline(); }, io.get()});
    }
    ~Counted() {
        world.remove(driver);
        context.reset();
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    sim::World& world;
    std::shared_ptr<Io> io;
    std::optional<Context> context;
    sim::DriverId driver;
    std::uint64_t turns = 0;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("ten thousand Carriers live in one Association") {
        Scene scene(seed(), {.delay = 5ms, .rate = 1'000'000'000, .queue = 10'000});
        scene.echo();
        auto first = scene.initiate();
        std::vector<Carrier> carriers;
        Fates fates;
        std::size_t echoed = 0;
        for (int i = 0; i < 10'000; ++i) {
            carriers.push_back(first.fork());
            carriers.back().send("hello", {}, fates.watch());
            carriers.back().ready([&](Carrier&, InMessage) {
                ++echoed;
                return true;
            });
        }
        // Far more than the first grant of streams, which grows as it is used.
        CHECK(scene.until([&] { return echoed == 10'000 && fates.all(); }, 60s));
        fates.check();
        CHECK(fates.acked() == 10'000);
        CHECK(first.association().carriers() == 10'001);
        CHECK(first.association().transients().size() == 1);
        scene.world.run_for(5s);
        // Idle ones keep nobody busy: one message and its echo are a handful of packets.
        const auto before = scene.link.there.counters().sent + scene.link.back.counters().sent;
        carriers[5000].send("again");
        CHECK(scene.until([&] { return echoed == 10'001; }));
        scene.world.run_for(1s);
        CHECK(scene.link.there.counters().sent + scene.link.back.counters().sent - before < 12);
    }

    TEST_CASE("a thousand Associations live in one Context, and the idle ones are silent") {
        Scene scene(seed(), {.delay = 5ms, .rate = 1'000'000'000, .queue = 10'000});
        scene.echo();
        Counted many(scene.world, scene.near);
        std::vector<Carrier> carriers;
        std::size_t echoed = 0;
        Fates fates;
        for (std::uint64_t i = 0; i < 1000; ++i) {
            InitiateOptions options;
            options.bounds.carriers = 100 + i;  // of its own: not shared
            options.bounds.idle_timeout = 10min;
            carriers.push_back(
                many.context->initiate("post://server.test:4433", scene.pinned(options)));
            carriers.back().send("hello", {}, fates.watch());
            carriers.back().ready([&](Carrier&, InMessage) {
                ++echoed;
                return true;
            });
        }
        CHECK(scene.until([&] { return echoed == 1000 && fates.all(); }, 60s));
        // Of DTLS there is one connection between two ports.
        if (stack_of_stories() == Stack::quic)
            CHECK(carriers[0].association().paths()[0].local.port ==
                  carriers[999].association().paths()[0].local.port);
        scene.world.run_for(5s);
        // One of them talks. The others send nothing, and cause no turn.
        const auto packets = scene.link.there.counters().sent;
        const auto turns = many.turns;
        for (int i = 0; i < 10; ++i) {
            carriers[500].send("again");
            CHECK(scene.until([&] { return echoed == 1001 + static_cast<std::size_t>(i); }));
        }
        scene.world.run_for(1s);
        CHECK(scene.link.there.counters().sent - packets < 60);
        CHECK(many.turns - turns < 150);
    }
}

}  // namespace post::test
