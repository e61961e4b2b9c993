// RoamScene: a machine with eth0 and wlan0, a server with one address, who sent what from where.
#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "tests/scenario/scene.hpp"

namespace post::test {

struct RoamScene : Scene {
    static constexpr Duration wired = 10ms;
    static constexpr Duration radio = 20ms;

    struct Seen {
        Instant at;
        Address from;
        Address to;
        std::size_t size = 0;
        std::string id;  // the connection id that a short header begins with; else empty
    };

    explicit RoamScene(std::uint64_t seed = test::seed(), ListenOptions options = {},
                       double loss = 0)
        : Scene(seed, {.delay = wired, .rate = 20'000'000, .queue = 100, .loss = loss}) {
        near.add_interface("wlan0", {"10.1.0.1"}, InterfaceType::wifi);
        near.set_gateway("eth0", "10.0.0.254");
        near.set_gateway("wlan0", "10.1.0.254");
        over("10.0.0.1", {.delay = wired, .rate = 20'000'000, .queue = 100, .loss = loss});
        over("10.1.0.1", {.delay = radio, .rate = 20'000'000, .queue = 100, .loss = loss});
        world.observe([this](const sim::Packet& packet, sim::Verdict) {
            if (packet.protocol != sim::Protocol::udp || packet.bytes.size() < 11) return;
            Seen one{world.now(), packet.from, packet.to, packet.bytes.size(), {}};
            const std::string text = packet.bytes.string();
            const bool is_long = (static_cast<unsigned char>(text[0]) & 0x80) != 0;
            if (!is_long) one.id = text.substr(1, 10);
            initials += is_long && packet.to.port == server_port ? 1 : 0;
            seen.push_back(std::move(one));
        });
        collect(std::move(options));
    }
    // The last flights are observed, too.
    ~RoamScene() {
        client.reset();
        server.reset();
    }
    void over(std::string_view source, const sim::LinkOptions& options) {
        world.link(source, "10.0.0.2", options);
    }
    static InitiateOptions on_quic(std::vector<InterfacePreference> preferences = {}) {
        InitiateOptions options;
        options.policy.stacks = {Stack::quic};
        options.policy.preferences.interfaces = std::move(preferences);
        return options;
    }
    static InterfacePreference prefer(const char* name) {
        return {.name = name, .preference = Preference::prefer};
    }
    // A Carrier that is established and confirmed, with what the server gets in `texts`.
    Carrier reach(InitiateOptions options = on_quic()) {
        Carrier carrier = initiate(std::move(options));
        carrier.on_path([this](const Path& path) { paths.push_back(path); });
        gather_end(carrier, ends);
        carrier.send("hello", {}, fates.watch());
        REQUIRE(until([&] { return fates.all() && accepted.size() == 1; }));
        gather(accepted[0], texts);
        world.run_for(200ms);
        return carrier;
    }
    bool arrives(Carrier& carrier, const std::string& text, Duration limit = 10s) {
        const std::size_t before = texts.size();
        carrier.send(text, {}, fates.watch());
        return until([&] { return texts.size() > before && texts[before] == text; }, limit);
    }
    static std::string at(const Carrier& carrier) {
        const auto paths = carrier.association().paths();
        return paths.empty() ? "nowhere" : paths[0].local.ip_string();
    }
    std::size_t sent_from(const char* ip, Instant since = {}) const {
        return static_cast<std::size_t>(std::count_if(
            seen.begin(), seen.end(),
            [&](const Seen& one) { return one.at >= since && one.from.ip_string() == ip; }));
    }
    std::set<std::string> ids_from(const char* ip) const {
        std::set<std::string> ids;
        for (const Seen& one : seen)
            if (one.from.ip_string() == ip && !one.id.empty()) ids.insert(one.id);
        return ids;
    }
    // Runs until the operation is answered.
    Result<Path> answer(Operation<Path>& operation, Duration limit = 20s) {
        REQUIRE(until([&] { return operation.ready(); }, limit));
        return operation.get();
    }

    std::vector<Seen> seen;
    std::size_t initials = 0;  // long headers to the server: of handshakes
    Fates fates;
    Ends ends;
    Texts texts;
    Log<Path> paths;
};

inline bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace post::test
