// An application's own protocol: raw streams, and not one byte of ours on the wire.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// What a Carrier received, in one piece: boundaries mean nothing on a raw stream.
struct Stream {
    std::shared_ptr<std::string> text = std::make_shared<std::string>();
    void read(Carrier& carrier) {
        carrier.ready([text = text](Carrier&, InMessage message) {
            *text += message.content().string();
            return true;
        });
    }
};

struct RawScene : Scene {
    explicit RawScene(std::uint64_t seed = test::seed(), double loss = 0)
        : Scene(seed, {.delay = 10ms, .rate = 20'000'000, .loss = loss}) {
        collect({.alpn = {"echo"}});
        carrier = initiate({.alpn = "echo"});
    }
    Carrier carrier;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("raw bytes go both ways, and acked comes from the transport") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            RawScene scene(seed, 0.03);
            Fates fates;
            Stream there, back;
            back.read(scene.carrier);
            std::string all;
            for (int i = 0; i < 20; ++i) {
                const std::string part(static_cast<std::size_t>(1 + i * 997),
                                       static_cast<char>('a' + i));
                all += part;
                scene.carrier.send(part, {}, fates.watch());
            }
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            there.read(scene.accepted[0]);
            REQUIRE(scene.until([&] { return fates.all(); }));
            fates.check();
            CHECK(fates.acked() == 20);
            REQUIRE(scene.until([&] { return there.text->size() == all.size(); }));
            CHECK(*there.text == all);
            scene.accepted[0].send(all);
            CHECK(scene.until([&] { return *back.text == all; }));
            CHECK(scene.carrier.association().alpn() == "echo");
            CHECK(scene.carrier.association().explain(Feature::acked).level ==
                  Support::Level::native);
            // A stream for the association itself would have come as a Carrier here.
            CHECK(scene.accepted.size() == 1);
        }
    }

    TEST_CASE("finish is the stream's FIN, in both directions") {
        RawScene scene;
        Ends ends, theirs;
        gather_end(scene.carrier, ends);
        Fates fates;
        scene.carrier.send("request", {.final = true}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Carrier& accepted = scene.accepted[0];
        gather_end(accepted, theirs);
        auto request = accepted.receive();
        REQUIRE(scene.until([&] { return request.ready(); }));
        CHECK(request.get().value().content() == "request");
        auto end = accepted.receive();
        REQUIRE(scene.until([&] { return end.ready(); }));
        CHECK(end.get().error() == Errc::carrier_closed);
        accepted.send("response");
        accepted.finish();
        auto response = scene.carrier.receive();
        REQUIRE(scene.until([&] { return response.ready(); }));
        CHECK(response.get().value().content() == "response");
        CHECK(scene.until([&] { return ends.size() == 1 && theirs.size() == 1; }));
        CHECK(ends[0] == Errc::carrier_closed);
        CHECK(theirs[0] == Errc::carrier_closed);
        CHECK(fates.acked() == 1);
    }

    TEST_CASE("a reset of a raw stream carries the application's code as it is") {
        RawScene scene;
        Ends ends;
        gather_end(scene.carrier, ends);
        scene.carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.accepted[0].abort(AbortCode{42});
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::carrier_reset);
        CHECK(ends[0].cause == std::error_code(42, application_category()));
    }

    TEST_CASE("a peer that has answered and reads no more is at no fault") {
        for (const bool more : {true, false}) {
            CAPTURE(more);
            RawScene scene;
            Ends ends;
            gather_end(scene.carrier, ends);
            Fates fates, theirs;
            scene.carrier.send("request", {}, fates.watch());
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            scene.accepted[0].send("response", {.final = true}, theirs.watch());
            REQUIRE(scene.until([&] { return theirs.all() && fates.all(); }));
            // Its FIN has arrived; this is STOP_SENDING alone.
            if (more) scene.carrier.send(std::string(1'000'000, 'x'), {}, fates.watch());
            scene.accepted[0].abort(AbortCode{256});
            scene.world.run_for(1s);
            auto response = scene.carrier.receive();
            REQUIRE(response.ready());
            CHECK(response.get().value().content() == "response");
            auto end = scene.carrier.receive();
            REQUIRE(scene.until([&] { return end.ready() && ends.size() == 1; }));
            CHECK(end.get().error() == Errc::carrier_closed);
            CHECK(ends[0] == Errc::carrier_closed);
            if (more) {
                REQUIRE(fates.all());
                CHECK(fates[1].failed == 1);
                CHECK(fates[1].error == Errc::carrier_reset);
                CHECK(fates[1].error.cause == std::error_code(256, application_category()));
            }
        }
    }

    TEST_CASE("forks of raw Carriers are streams that go to the Listener") {
        RawScene scene;
        scene.carrier.send("parent");
        auto fork = scene.carrier.fork();
        fork.send("fork");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        auto source = scene.carrier.fork({.one_way = true});
        source.send("source");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 3; }));
        CHECK_FALSE(scene.accepted[2].can_send());
    }

    TEST_CASE("a message that expires before its first byte is left out of a raw stream") {
        RawScene scene;
        scene.link.change([](sim::LinkOptions& options) { options.rate = 1'000'000; });
        Fates fates;
        scene.carrier.send(std::string(100'000, 'a'), {.lifetime = 100ms}, fates.watch());
        scene.carrier.send("b", {.lifetime = 200ms}, fates.watch());
        scene.carrier.send("c", {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        Stream there;
        there.read(scene.accepted[0]);
        REQUIRE(scene.until([&] { return fates.all(); }, 20s));
        fates.check();
        CHECK(fates[0].acked == 1);  // it had begun, and is finished
        CHECK(fates[1].expired == 1);
        CHECK(fates[2].acked == 1);
        CHECK(there.text->substr(99'999) == "ac");
    }

    TEST_CASE("a raw reader that takes nothing stops its peer") {
        RawScene scene;
        Fates fates;
        for (int i = 0; i < 100; ++i) scene.carrier.send(std::string(5000, 'x'), {}, fates.watch());
        scene.world.run_for(5s);
        CHECK(fates.acked() < 40);
        Stream there;
        REQUIRE(scene.accepted.size() == 1);
        there.read(scene.accepted[0]);
        CHECK(scene.until([&] { return fates.all(); }, 20s));
        CHECK(scene.until([&] { return there.text->size() == 500'000; }));
        fates.check();
    }
}

}  // namespace post::test
