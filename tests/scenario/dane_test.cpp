// Names whose certificates stand in DNS (TLSA), and where their service records lead.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// SHA-256 of the key, as a pin has it in base 64.
std::string digest_of(const std::string& pin) {
    const std::string_view letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string digest;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char letter : pin.substr(pin.find("//") + 2)) {
        if (letter == '=') break;
        bits = bits << 6 | static_cast<std::uint32_t>(letters.find(letter));
        count += 6;
        if (count < 8) continue;
        count -= 8;
        digest += static_cast<char>(bits >> count & 0xff);
    }
    return digest;
}

// server.test is 10.0.0.2 and has the service of service.test, whose own address is nobody's.
struct SignedScene : Scene {
    explicit SignedScene(std::uint64_t seed = test::seed()) : Scene(seed) {
        collect();
        world.names().set_trusted(true);
        world.name("server.test", {"10.0.0.2"}, {.authenticated = true});
        world.name("service.test", {"10.0.0.9"}, {.authenticated = true});
        serve({});
    }
    void serve(ServiceRecord record, bool authenticated = true) {
        record.priority = 1;
        record.target = "server.test";
        record.port = server_port;
        Answer answer{.kind = RecordKind::svcb, .authenticated = authenticated};
        answer.services = {record};
        world.names().set_records("_1._post.service.test", answer, {});
    }
    void certificate(const std::string& host, const std::string& digest) {
        Answer answer{.kind = RecordKind::tlsa, .authenticated = true};
        answer.tlsa = {{3, 1, 1, Bytes(digest)}};
        for (const char* transport : {"_udp.", "_tcp."})
            world.names().set_records('_' + std::to_string(server_port) + '.' + transport + host,
                                      answer, {});
    }
    Error reach(const char* url) {
        carrier = near_context().initiate(url, {.trust = Trust::system()});
        auto active = carrier.activate();
        REQUIRE(until([&] { return active.ready(); }, 60s));
        const auto result = active.get();
        return result ? Error() : result.error();
    }
    std::string good() const { return digest_of(identity.pin()); }

    Carrier carrier;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE(
        "DANE: a certificate that DNS names needs no authority, on the host and on a target") {
        SignedScene scene;
        CHECK(scene.good().size() == 32);
        scene.certificate("server.test", scene.good());
        CHECK_FALSE(scene.reach("post://server.test:4433"));
        CHECK_FALSE(scene.reach("post://service.test:1"));
        const auto made = scene.carrier.association().establishment();
        REQUIRE(made);
        REQUIRE(made->winner());
        CHECK(made->winner()->remote == Address::parse("10.0.0.2", server_port));
        INFO(made->string());
        CHECK(made->attempts.size() == 1);
    }

    TEST_CASE("DANE: a certificate that DNS does not name is refused, and the error says so") {
        SignedScene scene;
        scene.certificate("server.test", std::string(32, 'x'));
        for (const char* url : {"post://server.test:4433", "post://service.test:1"}) {
            CAPTURE(url);
            const Error error = scene.reach(url);
            CHECK(error == Errc::certificate_dane);
            CHECK(error.stage == Stage::verify);
            CHECK(error.detail.view().find("no TLSA record of server.test fits") !=
                  std::string_view::npos);
        }
        CHECK(scene.accepted.empty());
    }

    TEST_CASE("DANE: nothing counts that nobody has authenticated") {
        SignedScene scene;
        scene.certificate("server.test", scene.good());
        // The way to the certificate, or the name server.
        scene.serve({}, false);
        CHECK(scene.reach("post://service.test:1").detail.view().find("certificate of nobody") !=
              std::string_view::npos);
        scene.world.names().set_trusted(false);
        CHECK(scene.reach("post://server.test:4433") == Errc::certificate_untrusted);
    }

    TEST_CASE("DANE: a certificate that is kept from us is no reason to believe another") {
        SignedScene scene;
        scene.certificate("server.test", scene.good());
        Answer nothing{.kind = RecordKind::tlsa};
        scene.world.names().set_records("_4433._udp.server.test", nothing,
                                        {.fate = sim::NameFate::server_failure});
        const Error error = scene.reach("post://server.test:4433");
        CHECK(error.stage == Stage::resolve);
        CHECK(error.detail.view().find("kept from us") != std::string_view::npos);
    }

    TEST_CASE("the host that a service record names is tried before the host itself") {
        for (const bool trusted : {false, true}) {
            CAPTURE(trusted);
            SignedScene scene;
            scene.world.names().set_trusted(trusted);
            scene.world.name("service.test", {"10.0.0.2"}, {.authenticated = true});
            auto carrier = scene.near_context().initiate(
                "post://service.test:1", {.trust = Trust::pinned(scene.identity.pin())});
            auto active = carrier.activate();
            REQUIRE(scene.until([&] { return active.ready(); }));
            REQUIRE(active.get());
            const auto made = carrier.association().establishment();
            REQUIRE(made);
            INFO(made->string());
            REQUIRE(made->attempts.size() == 1);
            CHECK(made->attempts[0].from == "A of server.test");
        }
    }
}

}  // namespace post::test
