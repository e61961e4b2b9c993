// Migration as the other end has it: a NAT gives a client another address, somebody copies packets
// (RFC 9000, 9.3), a server would rather be elsewhere (9.6); and how late messages are.
#include "tests/scenario/roam_scene.hpp"

namespace post::test {

namespace {

// Bytes that went between the server and an address that it has not validated.
struct Toll {
    Toll(RoamScene& scene, const char* ip) {
        scene.world.observe([this, ip = std::string(ip)](const sim::Packet& packet, sim::Verdict) {
            if (packet.protocol != sim::Protocol::udp) return;
            if (packet.from.ip_string() == ip) in += packet.bytes.size();
            if (packet.to.ip_string() != ip) return;
            out += packet.bytes.size();
            within &= out <= 3 * in;
        });
    }
    std::size_t in = 0;
    std::size_t out = 0;
    bool within = true;  // never more than three times what came (RFC 9000, 8.1)
};

// Talks every 10 ms from either end, and says how late the latest message was.
class Talk {
public:
    Talk(RoamScene& scene, Carrier& near) : scene_(scene), near_(near) {
        hear(near_, to_near_);
        hear(scene_.accepted[0], to_far_);
    }
    void say() {
        const std::string text = std::to_string(sent_.size()) + std::string(500, '.');
        sent_.push_back(scene_.world.now());
        near_.send(text);
        scene_.accepted[0].send(text);
    }
    void say_for(Duration time) {
        for (const Instant end = scene_.world.now() + time; scene_.world.now() < end;) {
            say();
            scene_.world.run_for(10ms);
        }
    }
    bool all() const { return to_near_.size() == sent_.size() && to_far_.size() == sent_.size(); }
    Duration latest() const { return std::max(latest(to_near_), latest(to_far_)); }

private:
    void hear(Carrier& carrier, const Log<Instant>& came) {
        carrier.ready([this, came](Carrier&, InMessage) {
            came.push_back(scene_.world.now());
            return true;
        });
    }
    Duration latest(const Log<Instant>& came) const {
        Duration most{};
        for (std::size_t i = 0; i < came.size(); ++i) most = std::max(most, came[i] - sent_[i]);
        return most;
    }

    RoamScene& scene_;
    Carrier& near_;
    std::vector<Instant> sent_;
    Log<Instant> to_near_;
    Log<Instant> to_far_;
};

// RFC 9002, 6.2.1.
Duration pto(const Path& path) {
    return path.smoothed_rtt + std::max<Duration>(4 * path.rtt_variance, 1ms) + 25ms;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("migration: no message is late by more than a round trip and three PTO") {
        Duration latest{};
        for (const double loss : {0.0, 0.02})
            for (const auto seed : seeds(10)) {
                CAPTURE(seed);
                CAPTURE(loss);
                RoamScene scene(seed, {}, loss);
                Carrier carrier = scene.reach();
                Talk talk(scene, carrier);
                talk.say_for(1s + std::chrono::milliseconds(seed % 97));
                const Path old = carrier.association().paths()[0];
                scene.near.plug("eth0", false);
                talk.say_for(2s);
                REQUIRE(scene.until([&] { return talk.all(); }, 10s));
                const Path now = carrier.association().paths()[0];
                CHECK(now.local.ip_string() == "10.1.0.1");
                // On top of the way itself; of a lost packet the PTO counts on either path.
                const Duration bound = RoamScene::radio + now.smoothed_rtt +
                                       3 * std::max(pto(old), pto(now));
                CHECK(talk.latest() <= bound);
                latest = std::max(latest, talk.latest());
                CHECK(scene.ends.empty());
            }
        MESSAGE("the latest message took "
                << std::chrono::duration_cast<std::chrono::milliseconds>(latest).count() << " ms");
    }

    TEST_CASE("rebinding: until it has answered an address gets three times what it sent") {
        RoamScene scene;
        scene.near.add_address("10.0.0.9");
        Carrier carrier = scene.reach();
        gather(carrier, Texts());
        const Toll toll(scene, "10.0.0.9");
        // The NAT's new address hears nothing: the server asks it and gives it up.
        scene.link.change([](sim::LinkOptions& link) {
            link.drop = [](const sim::Packet& packet) {
                return packet.to.ip_string() == "10.0.0.9";
            };
        });
        scene.world.rebind(scene.near, "10.0.0.9");
        for (int i = 0; i < 20; ++i) scene.accepted[0].send(std::string(5'000, 'x'));
        for (int i = 0; i < 20; ++i) {
            carrier.send("knock");
            scene.world.run_for(50ms);
        }
        CHECK(toll.in > 0);
        CHECK(toll.out > 0);
        CHECK(toll.within);
    }

    TEST_CASE("rebinding: a new address is asked, and then it is the path") {
        RoamScene scene;
        scene.near.add_address("10.0.0.9");
        Carrier carrier = scene.reach();
        Texts back;
        gather(carrier, back);
        Log<Path> theirs;
        scene.accepted[0].on_path([theirs](const Path& path) { theirs.push_back(path); });
        const Toll toll(scene, "10.0.0.9");
        scene.world.rebind(scene.near, "10.0.0.9");
        CHECK(scene.arrives(carrier, "from elsewhere"));
        scene.accepted[0].send("and back");
        CHECK(scene.until([&] { return back.size() == 1; }, 1s));
        scene.world.run_for(1s);
        REQUIRE(theirs.size() == 1);
        CHECK(theirs[0].remote.ip_string() == "10.0.0.9");
        // The question fills its packet (RFC 9000, 8.2.1), and so does the answer.
        CHECK(toll.out >= 1200);
        CHECK(toll.in >= 1200);
        CHECK(scene.paths.empty());  // the client knows nothing of its NAT
        CHECK(scene.accepted[0].association().paths()[0].remote.ip_string() == "10.0.0.9");
    }

    TEST_CASE("rebinding: a packet that somebody copies takes the connection nowhere") {
        RoamScene scene;
        sim::Host& other = scene.world.host("10.0.0.66");
        other.silent = true;
        scene.world.link(other, scene.far, {.delay = 1ms});
        Carrier carrier = scene.reach();
        const Toll toll(scene, "10.0.0.66");
        // He is faster than the path: the copy is the first to arrive.
        bool copied = false;
        scene.world.observe([&](const sim::Packet& packet, sim::Verdict) {
            if (copied || packet.from.ip_string() != "10.0.0.1") return;
            copied = true;
            sim::Packet copy = packet;
            copy.from = *Address::parse("10.0.0.66");
            copy.from.port = 6666;
            scene.world.at(scene.world.elapsed() + 1us,
                           [&scene, &other, copy] { scene.world.send(other, copy); });
        });
        CHECK(scene.arrives(carrier, "copied"));
        REQUIRE(copied);
        for (int i = 0; i < 20; ++i) {
            const Instant sent = scene.world.now();
            CHECK(scene.arrives(carrier, "message " + std::to_string(i)));
            CHECK(scene.world.now() - sent < 500ms);
        }
        scene.world.run_for(5s);
        CHECK(scene.accepted[0].association().paths()[0].remote.ip_string() == "10.0.0.1");
        CHECK(toll.out > 0);
        CHECK(toll.within);
        CHECK(scene.ends.empty());
    }

    TEST_CASE("preferred address: clients go there, unless they would not") {
        ListenOptions options;
        options.quic.preferred_v4 = *Address::parse("10.0.0.3");
        options.quic.preferred_v4.port = 4434;
        for (const bool take : {true, false}) {
            CAPTURE(take);
            Scene scene;
            scene.far.add_address("10.0.0.3");
            scene.collect(options);
            InitiateOptions initiate = RoamScene::on_quic();
            initiate.quic.take_preferred = take;
            Carrier carrier = scene.initiate(initiate);
            Log<Path> paths;
            carrier.on_path([paths](const Path& path) { paths.push_back(path); });
            carrier.send("hello");
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            scene.world.run_for(1s);
            CHECK(paths.size() == (take ? 1 : 0));
            const Address there = carrier.association().paths()[0].remote;
            CHECK(there.ip_string() == (take ? "10.0.0.3" : "10.0.0.2"));
            CHECK(there.port == (take ? 4434 : server_port));
            Texts texts;
            Texts back;
            gather(scene.accepted[0], texts);
            gather(carrier, back);
            carrier.send("there");
            scene.accepted[0].send("and back");
            CHECK(scene.until([&] { return texts.size() == 2 && back.size() == 1; }));
            CHECK(scene.accepted[0].association().paths()[0].local.ip_string() ==
                  (take ? "10.0.0.3" : "10.0.0.2"));
        }
    }

    TEST_CASE("preferred address: one that does not answer, or is inside, is not gone to") {
        ListenOptions options;
        options.quic.preferred_v4 = *Address::parse("10.0.0.3");
        options.quic.preferred_v4.port = 4434;
        {
            Scene scene;
            scene.far.add_address("10.0.0.3");
            scene.link.change([](sim::LinkOptions& link) {
                link.drop = [](const sim::Packet& packet) { return packet.to.port == 4434; };
            });
            scene.collect(options);
            Carrier carrier = scene.initiate(RoamScene::on_quic());
            carrier.send("hello");
            REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
            scene.world.run_for(10s);
            CHECK(carrier.association().paths()[0].remote.ip_string() == "10.0.0.2");
            Texts texts;
            gather(scene.accepted[0], texts);
            carrier.send("still here");
            CHECK(scene.until([&] { return texts.size() == 2; }));
        }
        // A server on the public network that sends its clients into a private one.
        Scene scene;
        scene.far.add_address("10.0.0.3").add_address("198.51.100.1");
        std::size_t inside = 0;
        scene.world.observe([&](const sim::Packet& packet, sim::Verdict) {
            if (packet.to.ip_string() == "10.0.0.3") ++inside;
        });
        scene.collect(options);
        Carrier carrier = scene.near_context().initiate("post://198.51.100.1:4433",
                                                        scene.pinned(RoamScene::on_quic()));
        carrier.send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.world.run_for(1s);
        CHECK(inside == 0);
        // What is no address to go to is refused at once; so is asking for one as a client.
        options.quic.preferred_v4.port = 0;
        CHECK_FALSE(
            scene.far_context().try_listen({.port = 5000, .identity = scene.identity}, options));
        InitiateOptions client = scene.pinned(RoamScene::on_quic());
        client.quic.preferred_v4 = *Address::parse("10.0.0.3");
        CHECK_THROWS_AS(scene.near_context().initiate("post://server.test:4433", client), Failure);
    }

    TEST_CASE("paths: a first packet that is lost is sent again by what the last round trip was") {
        const auto established_after = [](bool known) {
            const auto store = memory_store();
            Scene scene(test::seed(), {.delay = 10ms}, {}, {.store = store});
            scene.collect();
            const auto reach = [&](Duration limit) {
                Carrier carrier = scene.initiate(RoamScene::on_quic());
                const Instant began = scene.world.now();
                carrier.send("hello");
                CHECK(scene.until([&] { return carrier.is_active(); }, limit));
                return scene.world.now() - began;
            };
            if (known) reach(1s);
            scene.world.run_for(10s);  // and the association has ended
            bool dropped = false;
            scene.link.there.options.drop = [&dropped](const sim::Packet&) {
                return !std::exchange(dropped, true);
            };
            return reach(5s);
        };
        CHECK(established_after(false) >= 900ms);
        CHECK(established_after(true) < 400ms);
    }
}

}  // namespace post::test
