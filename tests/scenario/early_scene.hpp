// A server that may hear messages early, and visits of clients (0-RTT).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/scene.hpp"

namespace post::test {

inline const SendOptions twice{.idempotent = true};

struct Heard {
    std::string text;
    bool early = false;
    Instant at{};
    bool operator==(const Heard& other) const { return text == other.text && early == other.early; }
};

// A server that answers each message, and keeps what it heard.
struct Server {
    Scene& scene;
    std::shared_ptr<std::vector<Heard>> heard = std::make_shared<std::vector<Heard>>();

    explicit Server(Scene& its, ListenOptions options = {.early_data = true}) : scene(its) {
        listen(std::move(options));
    }
    void listen(ListenOptions options) {
        if (options.policy == Policy{}) options.policy = {.stacks = {Stack::quic, Stack::tls}};
        scene.listener = {};
        scene.listener = scene.listen(std::move(options));
        auto* world = &scene.world;
        scene.listener.accept([heard = heard, world](Carrier carrier) {
            carrier.ready([heard, world](Carrier& self, InMessage message) {
                const std::string text(message.view());
                heard->push_back({text, message.early(), world->now()});
                self.send("re: " + text);
                return true;
            });
            return true;
        });
    }
    // The process ends, and another one takes its place.
    void restart(ContextOptions context = {}, ListenOptions options = {.early_data = true}) {
        scene.listener = {};
        scene.server = std::make_unique<sim::Node>(scene.world, scene.far, std::move(context));
        listen(std::move(options));
    }
    std::vector<std::string> texts() const {
        std::vector<std::string> all;
        for (const Heard& one : *heard) all.push_back(one.text);
        return all;
    }
};

struct Visit {
    Duration arrived{};   // the first message, at the server
    Duration answered{};  // the first answer, at the client
    bool early = false;   // the first message
    bool resumed = false;
    Establishment report;
    std::vector<std::string> answers;
};

inline InitiateOptions over(Stack stack) { return {.policy = {.stacks = {stack}}}; }

// One connection, with these messages there and their answers back.
inline Visit visit(Scene& scene, Server& server, InitiateOptions options,
                   const std::vector<std::pair<std::string, SendOptions>>& messages = {{"hello",
                                                                                        twice}},
                   Duration patience = 20s) {
    const Instant began = scene.world.now();
    const std::size_t before = server.heard->size();
    Carrier carrier = scene.initiate(std::move(options));
    const Texts texts;
    gather(carrier, texts);
    Fates fates;
    for (const auto& [text, terms] : messages) carrier.send(text, terms, fates.watch());
    Visit visit;
    REQUIRE(scene.until([&] { return !texts.empty(); }, patience));
    visit.answered = scene.world.now() - began;
    REQUIRE(scene.until([&] { return texts.size() == messages.size() && fates.all(); }, patience));
    fates.check();
    CHECK(fates.acked() == static_cast<int>(messages.size()));
    REQUIRE(server.heard->size() > before);
    // From when the way was known.
    const Duration known = carrier.association().establishment()->attempts.at(0).started - began;
    visit.answered -= known;
    visit.arrived = (*server.heard)[before].at - began - known;
    visit.early = (*server.heard)[before].early;
    visit.resumed = carrier.association().resumed();
    visit.report = *carrier.association().establishment();
    visit.answers = texts.all();
    scene.world.run_for(100ms);  // what the server gives comes behind the handshake
    const Association association = carrier.association();
    carrier.close();
    CHECK(scene.until([&] { return !association.active(); }, patience));
    return visit;
}

inline const std::vector<Stack> early_stacks = {Stack::quic, Stack::tls};

// A connection whose first flight was taken, for the stories in which something else happens.
inline void check_early(const Visit& visit, std::size_t messages = 1) {
    CHECK(visit.resumed);
    CHECK(visit.early);
    CHECK(visit.report.early == messages);
    CHECK_FALSE(visit.report.early_rejected);
}

}  // namespace post::test
