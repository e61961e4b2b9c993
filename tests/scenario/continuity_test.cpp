// Continuity: the stack under an association dies, at any moment and under load, and is replaced:
// every message arrives once, in order, with one fate, and neither application notices more than a
// pause (FORMAT.md, 7.2).
#include <algorithm>
#include <map>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;
constexpr Duration trip = 2 * one_way;

Policy stacks(std::vector<Stack> all) { return {.stacks = std::move(all)}; }

// A client that sends numbered messages on several Carriers, and a server that sends as many back.
struct Outage : Scene {
    explicit Outage(std::uint64_t seed, double loss, Policy policy)
        : Scene(seed, {.delay = one_way, .loss = loss}) {
        listener = listen();
        listener.accept([this](Carrier carrier) {
            far_carriers.push_back(std::move(carrier));
            Carrier& taken = far_carriers.back();
            const std::size_t number = far_carriers.size() - 1;
            taken.ready([this, number](Carrier& self, InMessage message) {
                std::string content = std::move(message).content().string();
                arrived((**server).now(), far_got[number], content);
                self.send(std::move(content), {}, fates.watch());
                return true;
            });
            return true;
        });
        near_carriers.push_back(near_context().initiate(
            "post://10.0.0.2:4433",
            {.policy = std::move(policy), .trust = Trust::pinned(identity.pin())}));
        for (int i = 0; i < 2; ++i) near_carriers.push_back(near_carriers.front().fork());
        for (std::size_t i = 0; i < near_carriers.size(); ++i)
            near_carriers[i].ready([this, i](Carrier&, InMessage message) {
                arrived((**client).now(), near_got[i],
                        std::move(message).content().string());
                return true;
            });
    }
    void arrived(Instant now, std::vector<std::string>& got, std::string content) {
        got.push_back(std::move(content));
        // What was on its way is there after one delay.
        if (broken != never && first_after == never && now > broken + one_way) first_after = now;
    }
    Association association() const { return near_carriers.front().association(); }
    // Sends `count` messages on each Carrier, one every millisecond.
    void load(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            world.after(1ms * static_cast<int>(i), [this, i] {
                for (Carrier& carrier : near_carriers)
                    carrier.send(text(i), {}, fates.watch());
            });
    }
    static std::string text(std::size_t i) {
        // Some need more than a packet.
        return std::to_string(i) + (i % 7 == 0 ? std::string(5000, 'x') : std::string());
    }
    // From now on the network drops what the predicate says.
    void break_with(std::function<bool(const sim::Packet&)> drop) {
        broken = (**client).now();
        link.change([&](sim::LinkOptions& options) { options.drop = drop; });
    }
    bool complete(std::size_t count) const {
        const auto all = [&](const auto& got) {
            return std::all_of(got.begin(), got.end(),
                               [&](const auto& one) { return one.second.size() >= count; });
        };
        return far_got.size() == near_carriers.size() && near_got.size() == near_carriers.size() &&
               all(far_got) && all(near_got);
    }
    void check(std::size_t count) const {
        for (const auto* side : {&far_got, &near_got})
            for (const auto& [number, got] : *side) {
                CAPTURE(number);
                REQUIRE(got.size() == count);
                for (std::size_t i = 0; i < count; ++i) CHECK(got[i] == text(i));
            }
        fates.check();
        CHECK(static_cast<std::size_t>(fates.acked()) == 2 * count * near_carriers.size());
        for (const Error& error : unhandled) FAIL_CHECK(error.message());
        for (const Error& error : server_unhandled) FAIL_CHECK(error.message());
    }

    std::vector<Carrier> near_carriers;
    std::vector<Carrier> far_carriers;
    std::map<std::size_t, std::vector<std::string>> near_got;
    std::map<std::size_t, std::vector<std::string>> far_got;
    Fates fates;
    Instant broken = never;
    Instant first_after = never;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("continuity: quic dies at a random moment under load, and tls goes on") {
        for (const double loss : {0.0, 0.02}) {
            for (const auto seed : seeds(loss > 0 ? 30 : 70)) {
                CAPTURE(seed);
                CAPTURE(loss);
                Outage scene(seed, loss, stacks({Stack::quic, Stack::tls}));
                scene.load(100);
                const Duration when = 30ms + 1ms * static_cast<int>(seed * 7919 % 150);
                Path before;
                scene.world.after(when, [&] {
                    const auto paths = scene.association().paths();
                    if (!paths.empty()) before = paths.front();
                    scene.break_with(sim::udp);
                });
                REQUIRE(scene.until([&] { return scene.complete(100) && scene.fates.all(); }, 60s));
                scene.check(100);
                CHECK(scene.association().stack() == Stack::tls);
            }
        }
    }
}

}  // namespace post::test
