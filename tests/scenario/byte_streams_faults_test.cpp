// Foreign byte streams that are cut, stalled, damaged or were never TLS: what becomes of the
// Carrier, and that its neighbours and the port go on.
#include <functional>
#include <memory>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr std::uint16_t relay_port = 5000;

InitiateOptions in_clear() {
    InitiateOptions options;
    options.policy = {Security::none, {Stack::tcp}};
    return options;
}

InitiateOptions secure() {
    InitiateOptions options;
    options.policy.stacks = {Stack::tls};
    options.alpn = "echo";
    return options;
}

// A server of TLS, and somebody on the way to it, on another port, who passes on what `change`
// makes of the bytes that go to the client.
struct Relayed : Scene {
    using Change = std::function<void(Carrier& to, Bytes bytes)>;

    explicit Relayed(Change made) : change(std::move(made)) {
        ListenOptions options;
        options.policy.stacks = {Stack::tls};
        options.alpn = {"echo"};
        collect(options);
        ListenOptions plain;
        plain.policy = {Security::none, {Stack::tcp}};
        door = far_context().listen({.port = relay_port}, plain);
        door.accept([this](Carrier taken) {
            client_side = std::make_shared<Carrier>(std::move(taken));
            server_side = std::make_shared<Carrier>(
                far_context().initiate(Remote("10.0.0.2", server_port), in_clear()));
            server_side->ready([this](Carrier&, InMessage message) {
                this->change(*client_side, std::move(message).content());
                return true;
            });
            client_side->ready([this](Carrier&, InMessage message) {
                server_side->send(std::move(message).content());
                return true;
            });
            return true;
        });
        InitiateOptions options_of_client = secure();
        options_of_client.trust = Trust::pinned(identity.pin());
        carrier = near_context().initiate(Remote("server.test", relay_port), options_of_client);
    }
    ~Relayed() {
        // Their callbacks are of this scene.
        client_side.reset();
        server_side.reset();
    }

    Change change;
    Listener door;
    std::shared_ptr<Carrier> client_side, server_side;
    Carrier carrier;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("byte streams: a relay that passes everything on changes nothing") {
        Relayed scene([](Carrier& to, Bytes bytes) { to.send(std::move(bytes)); });
        scene.carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.accepted[0].send("answer");
        auto answer = scene.carrier.receive();
        REQUIRE(scene.until([&] { return answer.ready(); }));
        CHECK(answer.get().value().content() == "answer");
    }

    TEST_CASE("byte streams: TLS that comes byte by byte is TLS") {
        Relayed scene([](Carrier& to, Bytes bytes) {
            for (std::size_t i = 0; i < bytes.size(); ++i) to.send(bytes.slice(i, 1));
        });
        scene.carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.accepted[0].send(std::string(5000, 'x'));
        std::string got;
        scene.carrier.ready([&](Carrier&, InMessage message) {
            got += message.content().view();
            return true;
        });
        CHECK(scene.until([&] { return got.size() == 5000; }));
    }

    TEST_CASE("byte streams: TLS that ends without close_notify was cut, and says so") {
        bool cut = false;
        Relayed scene([&](Carrier& to, Bytes bytes) {
            if (!cut) to.send(std::move(bytes));
        });
        Ends ends;
        gather_end(scene.carrier, ends);
        Fates fates;
        scene.carrier.send("hello", {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.accepted[0].send("the first half");
        auto half = scene.carrier.receive();
        REQUIRE(scene.until([&] { return half.ready(); }));
        CHECK(half.get().value().content() == "the first half");
        cut = true;
        scene.accepted[0].send(", and the second");
        scene.world.run_for(1s);
        scene.client_side->finish();
        auto end = scene.carrier.receive();
        REQUIRE(scene.until([&] { return end.ready() && !ends.empty(); }));
        CHECK(end.get().error() == Errc::connection_lost);
        CHECK(ends[0] == Errc::connection_lost);
        CHECK(ends[0].detail.view().find("close_notify") != std::string_view::npos);
        fates.check();
    }

    TEST_CASE(
        "byte streams: a byte that was changed on the way ends the stream, and no part shows") {
        bool damage = false;
        Relayed scene([&](Carrier& to, Bytes bytes) {
            std::string text = bytes.string();
            if (damage) text.back() = static_cast<char>(text.back() ^ 1);
            to.send(text);
        });
        Ends ends;
        Texts texts;
        gather(scene.carrier, texts);
        gather_end(scene.carrier, ends);
        scene.carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.world.run_for(1s);
        damage = true;
        scene.accepted[0].send("answer");
        REQUIRE(scene.until([&] { return !ends.empty(); }));
        CHECK(ends[0] == Errc::protocol_violation);
        CHECK(texts.empty());
    }

    TEST_CASE("byte streams: who says nothing in the handshake is shown out in time") {
        Relayed scene([](Carrier&, Bytes) {});
        Ends ends;
        gather_end(scene.carrier, ends);
        scene.carrier.send("hello");
        REQUIRE(scene.until([&] { return !ends.empty(); }, 30s));
        CHECK(ends[0] == Errc::handshake_timeout);
        CHECK(ends[0].stage == Stage::handshake);
        CHECK(scene.accepted.empty());
    }

    TEST_CASE("byte streams: garbage and silence at a TLS port end, and others are served on") {
        Scene scene;
        ListenOptions options;
        options.policy.stacks = {Stack::tls};
        options.alpn = {"echo"};
        scene.collect(options);
        auto garbage = scene.initiate(in_clear());
        auto silence = garbage.fork();
        Ends ends;
        gather_end(garbage, ends);
        gather_end(silence, ends);
        garbage.send(std::string(40'000, '\x17'));
        auto active = silence.activate();
        Texts said;
        gather(garbage, said);
        gather(silence, said);
        scene.world.run_for(20s);
        // The server has ended its direction, or reset; what we had left is nobody's.
        garbage.finish();
        silence.finish();
        CHECK(scene.until([&] { return ends.size() == 2; }, 30s));
        CHECK(scene.accepted.empty());
        auto carrier = scene.initiate(secure());
        carrier.send("hello");
        CHECK(scene.until([&] { return scene.accepted.size() == 1; }));
    }

    TEST_CASE("byte streams: a wrong certificate ends an attempt, and nothing was sent") {
        Scene scene;
        ListenOptions options;
        options.policy.stacks = {Stack::tls};
        options.alpn = {"echo"};
        scene.collect(options);
        auto how = secure();
        how.trust = Trust::pinned(Identity::self_signed("other.test").pin());
        auto carrier = scene.near_context().initiate("post://server.test:4433", how);
        Fates fates;
        carrier.send("secret", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[0].error == Errc::certificate_pin);
        scene.world.run_for(1s);
        CHECK(scene.accepted.empty());
    }
}

}  // namespace post::test
