// What stories of broken connections begin with: a load in both directions, on several Carriers,
// and the books of what came of it.
#pragma once

#include <algorithm>
#include <map>

#include "tests/scenario/scene.hpp"

namespace post::test {

inline constexpr Duration one_way = 10ms;
inline constexpr Duration trip = 2 * one_way;
inline constexpr Bounds lasting = {.continuity = 30s};

// A client that sends numbered messages on several Carriers, and a server that sends as many back.
struct TrafficScene : Scene {
    explicit TrafficScene(std::uint64_t seed, double loss, InitiateOptions options,
                          ListenOptions server_options = {.bounds = lasting})
        : Scene(seed, {.delay = one_way, .loss = loss}) {
        listener = listen(std::move(server_options));
        listener.accept([this](Carrier carrier) {
            far_carriers.push_back(std::move(carrier));
            const std::size_t number = far_carriers.size() - 1;
            far_carriers.back().ready([this, number](Carrier& self, InMessage message) {
                std::string content = std::move(message).content().string();
                arrived((**server).now(), far_got[number], content);
                self.send(std::move(content), {}, fates.watch());
                return true;
            });
            return true;
        });
        options.trust = Trust::pinned(identity.pin());
        near_carriers.push_back(
            near_context().initiate("post://10.0.0.2:4433", std::move(options)));
        for (int i = 0; i < 2; ++i) near_carriers.push_back(near_carriers.front().fork());
        for (std::size_t i = 0; i < near_carriers.size(); ++i)
            near_carriers[i].ready([this, i](Carrier&, InMessage message) {
                arrived((**client).now(), near_got[i], std::move(message).content().string());
                return true;
            });
    }
    void arrived(Instant now, std::vector<std::string>& got, std::string content) {
        got.push_back(std::move(content));
        // What was on its way is there after one delay.
        if (broken != never && first_after == never && now > broken + one_way) first_after = now;
    }
    Association association() const { return near_carriers.front().association(); }
    // Sends the messages up to `count` on each Carrier, one every millisecond.
    void load(std::size_t count, std::size_t first = 0) {
        for (std::size_t i = first; i < count; ++i)
            world.after(1ms * static_cast<int>(i - first), [this, i] {
                for (Carrier& carrier : near_carriers)
                    carrier.send(text(i, heavy), {}, fates.watch());
            });
    }
    static std::string text(std::size_t i, bool heavy = true) {
        // Some need more than a packet.
        return std::to_string(i) + (heavy && i % 7 == 0 ? std::string(5000, 'x') : std::string());
    }
    // From now on the network drops what the predicate says.
    void drop(std::function<bool(const sim::Packet&)> which) {
        link.change([&](sim::LinkOptions& options) { options.drop = which; });
    }
    void break_with(std::function<bool(const sim::Packet&)> which) {
        broken = (**client).now();
        drop(std::move(which));
    }
    bool complete(std::size_t count) const {
        const auto all = [&](const auto& got) {
            return std::all_of(got.begin(), got.end(),
                               [&](const auto& one) { return one.second.size() >= count; });
        };
        return far_got.size() == near_carriers.size() && near_got.size() == near_carriers.size() &&
               all(far_got) && all(near_got);
    }
    // Where it stands, for who has to find out why.
    std::string standing() const {
        std::string text = "at " + std::to_string(world.elapsed().count() / 1'000'000) + " ms, " +
                           association().explain().substr(0, association().explain().find('\n'));
        for (const auto& [number, got] : far_got)
            text += "; far " + std::to_string(number) + ": " + std::to_string(got.size());
        for (const auto& [number, got] : near_got)
            text += "; near " + std::to_string(number) + ": " + std::to_string(got.size());
        text += "; acked " + std::to_string(fates.acked()) + " of " + std::to_string(fates.size()) +
                ", failed " + std::to_string(fates.failed());
        for (std::size_t i = 0; i < fates.size(); ++i)
            if (fates[i].error) return text + ", first with: " + fates[i].error.message();
        return text;
    }
    void check(std::size_t count) const {
        for (const auto* side : {&far_got, &near_got})
            for (const auto& [number, got] : *side) {
                CAPTURE(number);
                REQUIRE(got.size() == count);
                for (std::size_t i = 0; i < count; ++i) CHECK(got[i] == text(i, heavy));
            }
        fates.check();
        CHECK(static_cast<std::size_t>(fates.acked()) == 2 * count * near_carriers.size());
        for (const Error& error : unhandled) FAIL_CHECK(error.message());
        for (const Error& error : server_unhandled) FAIL_CHECK(error.message());
    }
    void finish(std::size_t count) {
        const bool whole = until([&] { return complete(count) && fates.all(); }, 90s);
        INFO(standing());
        REQUIRE(whole);
        check(count);
    }

    std::vector<Carrier> near_carriers;
    std::vector<Carrier> far_carriers;
    std::map<std::size_t, std::vector<std::string>> near_got;
    std::map<std::size_t, std::vector<std::string>> far_got;
    Fates fates;
    bool heavy = true;
    Instant broken = never;
    Instant first_after = never;
};

}  // namespace post::test
