// A client that spoke to a server which takes early data, and whose Carriers may rest.
#pragma once

#include "tests/scenario/early_scene.hpp"

namespace post::test {

inline constexpr Duration one_way = 10ms;
inline const SendOptions once{};

inline ListenOptions early_listening() {
    ListenOptions options{.early_data = true};
    options.bounds.continuity = 30s;
    options.policy = {.stacks = {Stack::quic, Stack::tls}};
    return options;
}

// A client that spoke to a server, which answers everything, and may rest.
struct Rest : Scene {
    explicit Rest(std::vector<Stack> stacks = {Stack::quic}, std::uint64_t of = seed(),
                  Duration delay = one_way, const ContextOptions& far_options = {},
                  ListenOptions options = early_listening())
        : Scene(of, {.delay = delay}, far_options) {
        const Bounds bounds = options.bounds;
        serve(std::move(options));
        carrier = initiate({.policy = {.stacks = std::move(stacks)}, .bounds = bounds});
        gather(carrier, answers);
        say("hello", once);
    }
    void serve(ListenOptions options = early_listening()) {
        listener = listen(std::move(options));
        listener.accept([this](Carrier taken) {
            accepted.push_back(std::move(taken));
            attend(accepted.back());
            return true;
        });
    }
    void attend(Carrier& taken) {
        taken.ready([this](Carrier& self, InMessage message) {
            const std::string text(message.view());
            heard.push_back({text, message.early(), world.now()});
            self.send("re: " + text, once, fates.watch());
            return true;
        });
    }
    // The process ends, and another one takes its place.
    void restart(const ContextOptions& options = {}) {
        accepted.clear();
        listener = {};
        server = std::make_unique<sim::Node>(world, far, options);
        serve();
    }
    void rest() {
        world.run_for(200ms);  // tickets come behind the handshake
        auto resting = carrier.deactivate();
        REQUIRE(until([&] { return resting.ready(); }, 60s));
        REQUIRE(resting.get());
        REQUIRE(until([&] { return accepted.front().activity() == Activity::dormant; }, 60s));
        world.run_for(3s);
        heard.clear();
    }
    void say(const std::string& text, const SendOptions& options) {
        said.push_back("re: " + text);
        carrier.send(text, options, fates.watch());
        settle();
    }
    void settle(Duration patience = 60s) {
        REQUIRE(until([&] { return fates.all() && answers.size() >= said.size(); }, patience));
        fates.check();
        CHECK(fates.acked() == static_cast<int>(fates.size()));
        CHECK(answers.all() == said);
    }
    // From when the attempt began that won.
    Duration arrived(std::size_t which = 0) const {
        return heard[which].at - report().attempts.at(0).started;
    }
    Establishment report() const { return *carrier.association().establishment(); }
    std::vector<std::string> texts() const {
        std::vector<std::string> all;
        for (const Heard& one : heard.all()) all.push_back(one.text);
        return all;
    }
    void check_quiet() const {
        CHECK(accepted.size() == 1);
        CHECK(unhandled.empty());
        CHECK(server_unhandled.empty());
    }

    Carrier carrier;
    Texts answers;
    std::vector<std::string> said;  // as it is answered
    Log<Heard> heard;
    Fates fates;
};

}  // namespace post::test
