// Local and paths: a machine with two interfaces reaches a peer by the one that is wanted, says
// which there are when none may be used, and takes its ports from a range.
#include <algorithm>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration wired = 10ms;

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// The near host has eth0 (10.0.0.1) and wlan0 (10.1.0.1), the far one one address.
struct PathScene : Scene {
    explicit PathScene(std::uint64_t seed = test::seed(), ContextOptions client_options = {})
        : Scene(seed, {.delay = wired}, {}, std::move(client_options)) {
        near.add_interface("wlan0", {"10.1.0.1"}, InterfaceType::wifi);
        near.set_gateway("eth0", "10.0.0.254");
        near.set_gateway("wlan0", "10.1.0.254");
        over("10.0.0.1", {.delay = wired});
        over("10.1.0.1", {.delay = 30ms});
        world.observe([this](const sim::Packet& packet, sim::Verdict) {
            if (packet.to.port == server_port) sources.push_back(packet.from);
        });
        listener = listen();
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content());
                return true;
            });
            return true;
        });
    }
    // The last flights are observed, too.
    ~PathScene() {
        client.reset();
        server.reset();
    }
    void over(std::string_view source, const sim::LinkOptions& options) {
        world.link(source, "10.0.0.2", options);
    }
    static InitiateOptions wanting(std::vector<InterfacePreference> preferences,
                                   std::vector<Stack> stacks = {Stack::quic, Stack::tls}) {
        InitiateOptions options;
        options.policy.stacks = std::move(stacks);
        options.policy.preferences.interfaces = std::move(preferences);
        return options;
    }
    Carrier reach(InitiateOptions options, const char* remote = "post://server.test:4433") {
        options.trust = Trust::pinned(identity.pin());
        Carrier carrier = near_context().initiate(remote, std::move(options));
        gather_end(carrier, ends);
        carrier.send("hello", {}, fates.watch());
        until([&] { return fates.all(); });
        return carrier;
    }
    // Of the attempt that won.
    static std::string path(const Carrier& carrier) {
        const auto made = carrier.association().establishment();
        const auto* winner = made ? made->winner() : nullptr;
        return winner ? winner->path : "nobody";
    }
    std::size_t sent_from(const char* ip) const {
        return static_cast<std::size_t>(
            std::count_if(sources.begin(), sources.end(),
                          [&](const Address& source) { return source.ip_string() == ip; }));
    }

    std::vector<Address> sources;  // of what came to the server's port
    Fates fates;
    Ends ends;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("local: nobody's wish leaves the path to the system") {
        PathScene scene;
        const Carrier carrier = scene.reach(PathScene::wanting({}));
        CHECK(scene.fates.acked() == 1);
        CHECK(PathScene::path(carrier).empty());
    }

    TEST_CASE("local: an interface that is preferred carries the messages, and nothing else does") {
        PathScene scene;
        const Carrier carrier = scene.reach(
            PathScene::wanting({{.name = "wlan0", .preference = Preference::prefer}}));
        CHECK(scene.fates.acked() == 1);
        CHECK(PathScene::path(carrier) == "wlan0");
        CHECK(scene.sent_from("10.1.0.1") > 0);
        CHECK(scene.sent_from("10.0.0.1") == 0);
    }

    TEST_CASE("local: one that is prohibited carries nothing, and the report says why") {
        PathScene scene;
        const Carrier carrier = scene.reach(PathScene::wanting(
            {{.type = InterfaceType::wired, .preference = Preference::prohibit}}));
        CHECK(PathScene::path(carrier) == "wlan0");
        CHECK(scene.sent_from("10.0.0.1") == 0);
        const std::string report = carrier.association().establishment()->string();
        CAPTURE(report);
        CHECK(contains(report, "\n  not eth0: type wired is prohibited"));
    }

    TEST_CASE(
        "local: where the preferred path is dead the next one is tried after all its stacks") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            PathScene scene(seed);
            scene.over("10.1.0.1", {.delay = 30ms, .loss = 1.0});
            const Instant began = scene.world.now();
            const Carrier carrier = scene.reach(
                PathScene::wanting({{.name = "wlan0", .preference = Preference::prefer}}));
            CHECK(scene.fates.acked() == 1);
            CHECK(PathScene::path(carrier) == "eth0");
            CHECK(scene.world.now() - began < 2 * 250ms + 10 * wired + 50ms);
        }
    }

    TEST_CASE("local: each stack keeps to the interface that is required") {
        for (const Stack stack : {Stack::quic, Stack::sctp_dtls, Stack::tls}) {
            CAPTURE(to_string(stack));
            PathScene scene;
            scene.reach(PathScene::wanting({{.name = "wlan0", .preference = Preference::require}},
                                           {stack}));
            CHECK(scene.fates.acked() == 1);
            CHECK(scene.sent_from("10.1.0.1") > 0);
            CHECK(scene.sent_from("10.0.0.1") == 0);
        }
    }

    TEST_CASE("local: an interface that is not there is named, and those that are") {
        PathScene scene;
        scene.reach(PathScene::wanting({{.name = "tun0", .preference = Preference::require}}));
        REQUIRE(scene.ends.size() == 1);
        CHECK(scene.ends[0] == Errc::no_route);
        const std::string text = scene.ends[0].detail.string();
        CAPTURE(text);
        CHECK(contains(text, "required is interface tun0; there are:"));
        CHECK(contains(text, "\n  eth0 (wired): 10.0.0.1"));
        CHECK(contains(text, "\n  wlan0 (wifi): 10.1.0.1"));
        CHECK(scene.sources.empty());
        InitiateOptions named;
        named.local.interfaces = {"eth7"};
        PathScene again;
        again.reach(std::move(named));
        REQUIRE(again.ends.size() == 1);
        CHECK(contains(again.ends[0].detail.string(),
                       "of those that the Local names, eth7; there are:\n  eth0"));
    }

    TEST_CASE("local: a Local's interfaces are tried in their order") {
        PathScene scene;
        InitiateOptions options = PathScene::wanting({});
        options.local.interfaces = {"wlan0", "10.0.0.1"};
        const auto planned = scene.near_context().plan("post://server.test:4433", options);
        REQUIRE(scene.until([&] { return planned.ready(); }));
        const Carrier carrier = scene.reach(options);
        CHECK(PathScene::path(carrier) == "wlan0");
    }

    TEST_CASE("local: the plan is what is tried, with path and source") {
        PathScene scene;
        InitiateOptions options = PathScene::wanting(
            {{.name = "wlan0", .preference = Preference::prefer}});
        auto planned = scene.near_context().plan("post://server.test:4433", options);
        REQUIRE(scene.until([&] { return planned.ready(); }));
        const auto plan = planned.get();
        REQUIRE(plan);
        REQUIRE(plan->candidates.size() == 4);
        const char* const paths[] = {"wlan0", "wlan0", "eth0", "eth0"};
        for (std::size_t i = 0; i < 4; ++i) CHECK(plan->candidates[i].path == paths[i]);
        CHECK(plan->candidates[0].source.ip_string() == "10.1.0.1");
        CHECK(plan->candidates[3].delay == 750ms);
        CHECK(contains(plan->string(), "not  10.0.0.2:4433 over lo: the loopback interface leads"));
        scene.over("10.1.0.1", {.delay = 30ms, .loss = 1.0});
        const Carrier carrier = scene.reach(options);
        const auto made = carrier.association().establishment();
        REQUIRE(made);
        for (std::size_t i = 0; i < made->attempts.size(); ++i) {
            CHECK(made->attempts[i].path == plan->candidates[i].path);
            CHECK(made->attempts[i].source == plan->candidates[i].source);
        }
    }

    TEST_CASE("local: a system's preferences choose paths, too, below the application's") {
        ContextOptions system;
        system.preferences.emplace().interfaces = {
            {.name = "eth0", .preference = Preference::avoid}};
        PathScene scene(test::seed(), system);
        CHECK(PathScene::path(scene.reach(PathScene::wanting({}))) == "wlan0");
        CHECK(PathScene::path(scene.reach(PathScene::wanting(
                  {{.name = "eth0", .preference = Preference::prefer}}))) == "eth0");
    }

    TEST_CASE("local: what was learned of one network is not used in another") {
        PathScene scene;
        scene.over("10.0.0.1", {.delay = wired, .drop = sim::udp});
        const auto first_stack = [&] {
            const Carrier carrier = scene.reach(PathScene::wanting({}));
            const auto made = carrier.association().establishment();
            REQUIRE(made);
            carrier.association();
            return made->attempts.front().stack;
        };
        CHECK(first_stack() == Stack::quic);
        CHECK(scene.until([&] { return false; }, 6s) == false);  // the association has ended
        CHECK(first_stack() == Stack::tls);
        scene.until([] { return false; }, 6s);
        // The cable is in another wall.
        scene.near.set_gateway("eth0", "10.0.0.253");
        CHECK(first_stack() == Stack::quic);
        scene.until([] { return false; }, 6s);
        // And back: the network had gone, so that nothing of it is believed any more.
        scene.near.set_gateway("eth0", "10.0.0.254");
        CHECK(first_stack() == Stack::quic);
    }

    TEST_CASE("local: an interface that comes between initiate and the first message is used") {
        PathScene scene;
        scene.near.set_up("wlan0", false);
        InitiateOptions options = PathScene::wanting(
            {{.name = "wlan0", .preference = Preference::require}});
        options.trust = Trust::pinned(scene.identity.pin());
        Carrier carrier = scene.near_context().initiate("post://server.test:4433", options);
        scene.world.run_for(1s);
        scene.near.set_up("wlan0", true);
        carrier.send("hello", {}, scene.fates.watch());
        scene.until([&] { return scene.fates.all(); });
        CHECK(scene.fates.acked() == 1);
        CHECK(PathScene::path(carrier) == "wlan0");
    }

    TEST_CASE("local: the port of an interface that has gone is free again") {
        PathScene scene;
        InitiateOptions options = PathScene::wanting({}, {Stack::quic});
        options.local = {.port = 5000, .interfaces = {"wlan0"}};
        { const Carrier carrier = scene.reach(options); }
        scene.world.run_for(10s);
        sim::Node other(scene.world, scene.near);
        const Identity own = Identity::self_signed("near.test");
        CHECK_FALSE(other->try_listen({.port = 5000, .identity = own}));
        scene.near.set_up("wlan0", false);
        REQUIRE(scene.near_context().interfaces());
        CHECK(other->try_listen({.port = 5000, .identity = own}));
    }

    TEST_CASE("local: ports come from the range, the first that is free") {
        for (const Stack stack : {Stack::quic, Stack::tls}) {
            CAPTURE(to_string(stack));
            PathScene scene;
            InitiateOptions options = PathScene::wanting({}, {stack});
            options.local.port = 5000;
            options.local.last_port = 5001;
            const Carrier carrier = scene.reach(options);
            CHECK(scene.fates.acked() == 1);
            for (const Address& source : scene.sources) CHECK(source.port == 5000);
        }
    }

    TEST_CASE("local: a range that is taken is an error that says so") {
        PathScene scene;
        const Identity own = Identity::self_signed("near.test");
        std::vector<Listener> taken;
        for (std::uint16_t port = 5000; port <= 5001; ++port)
            taken.push_back(scene.near_context().listen({.port = port, .identity = own}));
        sim::Node other(scene.world, scene.near);
        InitiateOptions options = PathScene::wanting({}, {Stack::quic});
        options.trust = Trust::pinned(scene.identity.pin());
        options.local.port = 5000;
        options.local.last_port = 5001;
        Carrier carrier = other->initiate("post://server.test:4433", options);
        const Ends ends;
        gather_end(carrier, ends);
        carrier.activate();
        REQUIRE(scene.until([&] { return !ends.empty(); }));
        CHECK(ends[0] == Errc::address_in_use);
        CHECK(contains(ends[0].detail.string(), "the ports 5000 to 5001 are all taken"));
        const auto listening = other->try_listen(
            {.port = 5000, .identity = own, .last_port = 5001});
        REQUIRE_FALSE(listening);
        CHECK(listening.error() == Errc::address_in_use);
        CHECK(contains(listening.error().detail.string(), "5000 to 5001 are all taken"));
        // One more, and it is found.
        const Listener found = other->listen({.port = 5000, .identity = own, .last_port = 5002});
        CHECK(found.addresses().front().port == 5002);
    }

    TEST_CASE("local: a Listener on one interface hears nothing of the other") {
        PathScene scene;
        scene.far.add_interface("eth1", {"10.9.0.2"});
        scene.world.link("10.0.0.1", "10.9.0.2", {.delay = wired});
        sim::Node other(scene.world, scene.far);
        Listener listener = other->listen(
            {.port = 7000, .identity = scene.identity, .interfaces = {"eth1"}});
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier&, InMessage) { return true; });
            return true;
        });
        InitiateOptions options = PathScene::wanting({});
        options.bounds.handshake_timeout = 1s;
        scene.reach(options, "post://10.9.0.2:7000");
        CHECK(scene.fates.acked() == 1);
        scene.reach(options, "post://10.0.0.2:7000");
        CHECK(scene.fates.failed() == 1);
        const auto nowhere = other->try_listen(
            {.port = 7001, .identity = scene.identity, .interfaces = {"eth9"}});
        REQUIRE_FALSE(nowhere);
        CHECK(nowhere.error() == Errc::no_route);
        CHECK(contains(nowhere.error().detail.string(), "eth9; there are:\n  eth0"));
    }

    TEST_CASE("local: what makes no sense is refused at the call") {
        Scene scene;
        const auto refused = [&](const Local& local) {
            InitiateOptions options;
            options.local = local;
            try {
                scene.near_context().initiate("post://server.test", options);
            } catch (const Failure& failure) {
                return failure.error() == Errc::invalid_argument;
            }
            return false;
        };
        CHECK(refused({.last_port = 5000}));
        CHECK(refused({.port = 5001, .last_port = 5000}));
        CHECK(refused({.interfaces = {""}}));
        CHECK(refused({.interfaces = std::vector<std::string>(17, "eth0")}));
        CHECK_FALSE(scene.near_context().try_listen(
            {.port = 5000, .identity = scene.identity, .of = 2, .last_port = 5001}));
    }
}

}  // namespace post::test
