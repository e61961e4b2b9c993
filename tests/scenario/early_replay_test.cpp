// First flights that somebody recorded, and plays again: to the server that took them, and to
// another one with the same keys. Nothing of them is heard a second time (ATTACKS A15).
#include <set>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

const SendOptions twice{.idempotent = true};

class Fleet final : public TicketKeySource {
public:
    Secrets secrets() override { return {std::string(32, 'a'), {}}; }
    bool first_use(const Bytes& name, std::chrono::seconds) override {
        return names.insert(name.string()).second;
    }
    std::set<std::string> names;
};

// Listens, and keeps what is heard.
Listener hear(Scene& scene, Context& context, const Texts& heard) {
    ListenOptions options{.early_data = true};
    options.policy = {.stacks = {Stack::quic, Stack::tls}};
    Listener listener = context.listen({.port = server_port, .identity = scene.identity}, options);
    listener.accept([heard](Carrier carrier) {
        carrier.ready([heard](Carrier&, InMessage message) {
            heard.push_back((message.early() ? "early " : "") + message.content().string());
            return true;
        });
        return true;
    });
    return listener;
}

// One connection, with one message.
void say(Scene& scene, const Texts& heard, Stack stack, const std::string& text) {
    const std::size_t before = heard.size();
    Carrier carrier = scene.initiate({.policy = {.stacks = {stack}}});
    carrier.send(text, twice);
    REQUIRE(scene.until([&] { return heard.size() > before; }));
    scene.world.run_for(500ms);
    carrier.close();
    scene.world.run_for(6s);
}

// What the client sent to the server while it is there, as an attacker on the way has it.
struct Recording {
    explicit Recording(Scene& scene) {
        scene.world.observe([this, &scene](const sim::Packet& packet, sim::Verdict) {
            if (on && packet.to == *Address::parse("10.0.0.2", server_port))
                packets.push_back(packet);
            static_cast<void>(scene);
        });
    }
    // Of a byte stream.
    std::string bytes() const {
        std::string all;
        for (const auto& packet : packets) all += packet.bytes.string();
        return all;
    }
    bool on = false;
    std::vector<sim::Packet> packets;
};

// Plays it to `to`, as whom it came from, or, a byte stream, from a connection of its own.
void play(Scene& scene, const Recording& recording, Stack stack, const Address& to) {
    if (stack == Stack::quic) {
        for (sim::Packet packet : recording.packets) {
            packet.to = to;
            scene.world.send(scene.near, packet);
        }
        scene.world.run_for(15s);
        return;
    }
    Carrier carrier = scene.near_context().initiate("tcp://" + to.string(),
                                                    {.policy = {Security::none, {Stack::tcp}}});
    carrier.send(recording.bytes());
    scene.world.run_for(15s);
    carrier.abort();
    scene.world.run_for(1s);
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a first flight that is played again is not heard again") {
        for (const Stack stack : {Stack::quic, Stack::tls}) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            const Texts heard;
            scene.listener = hear(scene, scene.far_context(), heard);
            say(scene, heard, stack, "one");
            Recording recording(scene);
            recording.on = true;
            say(scene, heard, stack, "two");
            recording.on = false;
            REQUIRE(heard.all() == std::vector<std::string>{"one", "early two"});
            const Address server = *Address::parse("10.0.0.2", server_port);
            for (int i = 0; i < 3; ++i) play(scene, recording, stack, server);
            CHECK(heard.size() == 2);
            // And it is in nobody's way.
            say(scene, heard, stack, "three");
            CHECK(heard[2] == "early three");
        }
    }

    TEST_CASE("nor by another server with the same keys") {
        for (const Stack stack : {Stack::quic, Stack::tls}) {
            CAPTURE(std::string(to_string(stack)));
            const auto fleet = std::make_shared<Fleet>();
            Scene scene(test::seed(), {.delay = 10ms}, {.ticket_keys = fleet});
            sim::Host& third = scene.world.host("10.0.0.3");
            scene.world.link(scene.near, third, {.delay = 10ms});
            const Texts heard;
            const Texts heard_there;
            sim::Node other(scene.world, third, {.ticket_keys = fleet});
            const Listener there = hear(scene, *other, heard_there);
            scene.listener = hear(scene, scene.far_context(), heard);
            say(scene, heard, stack, "one");
            Recording recording(scene);
            recording.on = true;
            say(scene, heard, stack, "two");
            recording.on = false;
            REQUIRE(heard.all() == std::vector<std::string>{"one", "early two"});
            play(scene, recording, stack, *Address::parse("10.0.0.3", server_port));
            CHECK(heard_there.empty());
            CHECK(heard.size() == 2);
        }
    }

    TEST_CASE("a first flight that was held back is heard once, when it comes") {
        // Nobody took it before: it is not a copy, and its time has not run out.
        Scene scene;
        const Texts heard;
        scene.listener = hear(scene, scene.far_context(), heard);
        say(scene, heard, Stack::quic, "one");
        Recording recording(scene);
        recording.on = true;
        scene.link.there.options.down = true;
        Carrier carrier = scene.initiate({.policy = {.stacks = {Stack::quic}}});
        carrier.send("two", twice);
        scene.world.run_for(20ms);
        recording.on = false;
        carrier.abort();
        carrier = {};
        scene.world.run_for(1min);
        CHECK(heard.size() == 1);
        scene.link.there.options.down = false;
        const Address server = *Address::parse("10.0.0.2", server_port);
        play(scene, recording, Stack::quic, server);
        CHECK(heard.size() == 2);
        play(scene, recording, Stack::quic, server);
        CHECK(heard.size() == 2);
    }
}

}  // namespace post::test
