// Early data of Carriers that go on, whatever happens: seeded runs of sends, rests, losses and
// outages.
#include <algorithm>
#include <map>

#include "tests/scenario/early_attach_scene.hpp"
#include "tests/sim/random.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("early attach: rests, outages and races, and each message comes once in its order") {
        std::size_t early = 0;
        for (const std::uint64_t seed : seeds(15)) {
            CAPTURE(seed);
            sim::Random random(seed + 1);
            const auto draw = [&](std::uint64_t below) { return random.next() % below; };
            ListenOptions options = early_listening();
            options.bounds.continuity = 5min;
            Rest scene(seed % 3 == 0   ? std::vector{Stack::quic, Stack::tls}
                       : seed % 3 == 1 ? std::vector{Stack::quic}
                                       : std::vector{Stack::tls},
                       seed, one_way, {}, options);
            scene.carrier.ready([](Carrier&, InMessage) { return true; });
            std::vector<Carrier> all;
            for (int i = 0; i < 3; ++i) all.push_back(scene.carrier.fork());
            // By Carrier and niceness, those that have an order; and how often each was heard.
            std::map<std::string, std::vector<int>> in_order;
            int said = 0;
            for (int step = 0; step < 40; ++step) {
                const auto what = draw(10);
                if (what == 0) scene.link.set({.delay = one_way, .down = true});
                if (what == 1) scene.link.set({.delay = one_way, .loss = 0.1, .duplicate = 0.1});
                if (what == 2) scene.link.set({.delay = one_way});
                if (what == 3) scene.carrier.deactivate();
                if (what > 3) {
                    const auto which = draw(all.size());
                    const auto niceness = static_cast<std::uint32_t>(draw(2));
                    const bool ordered = draw(4) > 0;
                    std::string text = std::to_string(which) + '/' + std::to_string(niceness);
                    if (ordered) in_order[text].push_back(said);
                    text += ' ' + std::to_string(said++) + ' ' + std::string(draw(4000), '.');
                    all[which].send(
                        text, {.niceness = niceness, .ordered = ordered, .idempotent = draw(4) > 0},
                        scene.fates.watch());
                }
                scene.world.run_for(1ms * static_cast<int>(draw(what < 4 ? 8000 : 300)));
            }
            scene.link.set({.delay = one_way});
            // What the server has to say waits for whoever can wake it.
            const auto settled = [&] {
                if (scene.carrier.activity() == Activity::dormant) scene.carrier.activate();
                return scene.fates.all();
            };
            REQUIRE(scene.until(settled, 10min));
            scene.fates.check();
            CHECK(scene.fates.acked() == static_cast<int>(scene.fates.size()));
            std::map<int, int> times;
            std::map<std::string, std::vector<int>> heard;
            for (const Heard& one : scene.heard.all()) {
                if (one.text == "hello") continue;
                const std::string queue = one.text.substr(0, 3);
                const int number = std::stoi(one.text.substr(4));
                ++times[number];
                early += one.early ? 1 : 0;
                const auto& expected = in_order[queue];
                if (std::find(expected.begin(), expected.end(), number) != expected.end())
                    heard[queue].push_back(number);
            }
            CHECK(times.size() == static_cast<std::size_t>(said));
            for (const auto& [number, count] : times) CHECK(count == 1);
            for (const auto& [queue, numbers] : in_order) CHECK(heard[queue] == numbers);
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
        CHECK(early > 0);
    }
}

}  // namespace post::test
