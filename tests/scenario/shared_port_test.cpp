// Several Contexts on one port: peers are spread over them, and what the network gives to the wrong
// one is handed on.
#include <set>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// Two Contexts of one machine that answer with their number.
struct Shared : Scene {
    Shared() : second(std::make_unique<sim::Node>(world, far)) {
        answer(far_context(), 0);
        answer(**second, 1);
    }
    ~Shared() { second.reset(); }

    void answer(Context& context, std::uint16_t index) {
        listeners[index] = context.listen(
            {.port = server_port, .identity = identity, .shared = index, .of = 2});
        listeners[index].accept([index](Carrier carrier) {
            carrier.ready([index](Carrier& self, InMessage) {
                self.send(std::to_string(index));
                return true;
            });
            return true;
        });
    }
    // What a message on this Carrier is answered.
    std::string ask(Carrier& carrier) {
        auto reply = carrier.receive();
        carrier.send("who is there?");
        if (!until([&] { return reply.ready(); })) return "nobody";
        auto message = reply.get();
        return message ? message->content().string() : message.error().message();
    }

    std::unique_ptr<sim::Node> second;
    Listener listeners[2];
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("two Contexts on one port share the peers") {
        Shared scene;
        std::set<std::string> answers;
        for (int i = 0; i < 16; ++i) {
            sim::Node client(scene.world, scene.near);
            auto carrier = (*client).initiate("post://server.test:4433", scene.pinned());
            answers.insert(scene.ask(carrier));
        }
        CHECK(answers == std::set<std::string>{"0", "1"});
    }

    TEST_CASE("a connection stays with its Context when its packets reach another one") {
        Shared scene;
        auto carrier = scene.initiate();
        const std::string first = scene.ask(carrier);
        REQUIRE((first == "0" || first == "1"));
        // Each time another flow: about half of them lead to the other Context's socket.
        for (int i = 0; i < 12; ++i) {
            scene.world.rebind(scene.near);
            CAPTURE(i);
            CHECK(scene.ask(carrier) == first);
            scene.world.run_for(2s);
        }
    }

    TEST_CASE(
        "two Contexts on one port share flows of datagrams, each of which stays with its own") {
        Scene scene;
        sim::Node second(scene.world, scene.far);
        const Policy datagrams{.security = Security::none, .stacks = {Stack::udp}};
        std::vector<Listener> listeners;
        for (const std::uint16_t index : {std::uint16_t{0}, std::uint16_t{1}}) {
            Context& context = index == 0 ? scene.far_context() : *second;
            listeners.push_back(context.listen({.port = server_port, .shared = index, .of = 2},
                                               {.policy = datagrams}));
            listeners.back().accept([index](Carrier carrier) {
                carrier.ready([index](Carrier& self, InMessage) {
                    self.send(std::to_string(index));
                    return true;
                });
                return true;
            });
        }
        std::set<std::string> answers;
        for (int i = 0; i < 16; ++i) {
            CAPTURE(i);
            InitiateOptions options;
            options.policy = datagrams;
            auto carrier = scene.near_context().initiate(Remote("server.test", server_port),
                                                         options);
            Texts got;
            gather(carrier, got);
            for (std::size_t n = 1; n <= 5; ++n) {
                carrier.send("who is there?");
                REQUIRE(scene.until([&] { return got.size() == n; }));
                CHECK(got[n - 1] == got[0]);
            }
            answers.insert(got[0]);
        }
        CHECK(answers == std::set<std::string>{"0", "1"});
        // A place is taken once here, too.
        CHECK(scene.far_context()
                  .try_listen({.port = server_port, .shared = 0, .of = 2}, {.policy = datagrams})
                  .error() == Errc::address_in_use);
    }

    TEST_CASE("a place on a shared port is taken once, and must exist") {
        Scene scene;
        const auto at = [&](std::uint16_t shared, std::uint16_t of, std::uint16_t port) {
            return scene.far_context().try_listen(
                {.port = port, .identity = scene.identity, .shared = shared, .of = of});
        };
        auto first = at(0, 2, server_port);
        REQUIRE(first);
        CHECK(at(0, 2, server_port).error() == Errc::address_in_use);
        CHECK(at(0, 1, server_port).error() == Errc::address_in_use);
        CHECK(at(1, 2, server_port));
        CHECK(at(2, 2, server_port).error() == Errc::invalid_argument);
        CHECK(at(0, 0, server_port).error() == Errc::invalid_argument);
        CHECK(at(0, 2000, server_port).error() == Errc::invalid_argument);
        CHECK(at(0, 2, 0).error() == Errc::invalid_argument);
        InitiateOptions wrong;
        wrong.local.of = 2;
        CHECK_THROWS_AS(scene.initiate(wrong), Failure);
    }
}

}  // namespace post::test
