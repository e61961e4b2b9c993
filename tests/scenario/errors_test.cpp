// Connections that cannot be: each failure names its stage, its candidate and the foreign code,
// lists what was tried, and gives every waiting message its fate.
#include <cerrno>

#include "tests/scenario/scene.hpp"

#include "mappings/crypto/credentials.hpp"

namespace post::test {

namespace {

using std::chrono::hours;

Identity issue(const std::string& name, const Identity* issuer = nullptr,
               std::chrono::seconds valid_from = hours(-1), bool authority = false) {
    crypto::CertificateRequest request;
    request.names = {name};
    request.issuer = issuer;
    request.authority = authority;
    request.valid_from = valid_from;
    request.valid_for = valid_from < hours(-1) ? hours(-1) : hours(24);
    auto pair = crypto::make_certificate(request);
    return Identity::from_pem(pair.certificates, pair.key);
}

struct Failed {
    Error error;  // of the Carrier
    Fates fates;
    Duration took{};
};

// Sends two messages and waits for what becomes of them.
Failed try_once(Scene& scene, const InitiateOptions& options,
                const char* url = "post://server.test:4433", Duration limit = 15s) {
    Failed failed;
    Ends ends;
    auto carrier = scene.near_context().initiate(url, options);
    gather_end(carrier, ends);
    carrier.send("one", {}, failed.fates.watch());
    carrier.send("two", {.idempotent = true}, failed.fates.watch());
    auto active = carrier.activate();
    const Duration before = scene.world.elapsed();
    CHECK(
        scene.until([&] { return !ends.empty() && failed.fates.all() && active.ready(); }, limit));
    failed.took = scene.world.elapsed() - before;
    failed.fates.check();
    CHECK(failed.fates.failed() == 2);
    if (ends.empty() || !active.ready()) return failed;
    failed.error = ends[0];
    CHECK(failed.fates[0].error.code == ends[0].code);
    CHECK_FALSE(failed.fates[0].maybe_delivered);
    CHECK(active.get().error().code == ends[0].code);
    scene.world.run_for(1s);
    CHECK(scene.unhandled.empty());  // the application took it
    return failed;
}

bool mentions(const Error& error, std::string_view text) {
    return error.detail.view().find(text) != std::string_view::npos;
}

std::error_code alert(int number) { return {number, tls_alert_category()}; }

const Address server_address = Address::parse("10.0.0.2", server_port).value();

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a certificate from an unknown authority is refused") {
        Scene scene;
        scene.collect();
        const Identity authority = issue("Authority", nullptr, hours(-1), true);
        const auto failed = try_once(
            scene, {.trust = Trust::authorities(authority.certificates().view())});
        CHECK(failed.error == Errc::certificate_untrusted);
        CHECK(failed.error.stage == Stage::verify);
        CHECK(failed.error.candidate == server_address);
        CHECK(failed.error.cause == alert(48));
        CHECK(mentions(failed.error, "10.0.0.2:4433"));
        CHECK(failed.took < 1s);
        CHECK(scene.accepted.empty());
    }

    TEST_CASE("a certificate for another name is refused") {
        Scene scene;
        const Identity authority = issue("Authority", nullptr, hours(-1), true);
        scene.identity = issue("other.test", &authority);
        scene.collect();
        InitiateOptions options{.trust = Trust::authorities(authority.certificates().view())};
        const auto failed = try_once(scene, options);
        CHECK(failed.error == Errc::certificate_name);
        CHECK(failed.error.stage == Stage::verify);
        CHECK(failed.error.candidate == server_address);
        CHECK(failed.error.cause == alert(42));
        CHECK(mentions(failed.error, "server.test"));
        // The name can be said.
        Remote remote("post://server.test:4433");
        remote.set_server_name("other.test");
        auto carrier = scene.near_context().initiate(remote, options);
        Fates fates;
        carrier.send("hello", {}, fates.watch());
        CHECK(scene.until([&] { return fates.acked() == 1; }));
    }

    TEST_CASE("a certificate that is over is refused") {
        Scene scene;
        const Identity authority = issue("Authority", nullptr, hours(-1), true);
        scene.identity = issue("server.test", &authority, hours(-2));
        scene.collect();
        const auto failed = try_once(
            scene, {.trust = Trust::authorities(authority.certificates().view())});
        CHECK(failed.error == Errc::certificate_expired);
        CHECK(failed.error.stage == Stage::verify);
        CHECK(failed.error.candidate == server_address);
        CHECK(failed.error.cause == alert(45));
    }

    TEST_CASE("a pin for another key is refused") {
        Scene scene;
        scene.collect();
        const auto failed = try_once(scene, {.trust = Trust::pinned(issue("x").pin())});
        CHECK(failed.error == Errc::certificate_pin);
        CHECK(failed.error.stage == Stage::verify);
        CHECK(failed.error.candidate == server_address);
        CHECK(mentions(failed.error, scene.identity.pin()));
    }

    TEST_CASE("a server that wants a certificate refuses a client without one") {
        Scene scene;
        const Identity client = Identity::self_signed("client.test");
        using Wants = ListenOptions::ClientCertificate;
        scene.collect(
            {.client_certificate = Wants::required, .client_trust = Trust::pinned(client.pin())});
        auto carrier = scene.initiate();
        Fates fates;
        Ends ends;
        gather_end(carrier, ends);
        carrier.send("hello", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && !ends.empty(); }));
        fates.check();
        CHECK(ends[0] == Errc::certificate_required);
        CHECK(ends[0].candidate == server_address);
        CHECK(ends[0].cause == alert(116));
        CHECK(scene.accepted.empty());
        auto known = scene.initiate({.local = {.identity = client}});
        known.send("hello", {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1 && fates.all(); }));
        CHECK_FALSE(scene.accepted[0].association().peer_identity().empty());
        CHECK_FALSE(known.association().peer_identity().empty());
    }

    TEST_CASE("a first packet that nobody can open is nothing that a server has to hear of") {
        Scene scene;
        scene.echo();
        scene.link.there.options.corrupt = 1.0;
        auto carrier = scene.initiate();
        auto reply = carrier.receive();
        carrier.send("hello");
        scene.world.run_for(500ms);
        CHECK(scene.server_unhandled.empty());
        scene.link.there.options.corrupt = 0;
        CHECK(scene.until([&] { return reply.ready(); }));
        CHECK(scene.server_unhandled.empty());
    }

    TEST_CASE("a server that does not speak the protocol refuses") {
        Scene scene;
        scene.collect({.alpn = {"gopher"}});
        auto options = scene.pinned({.alpn = "finger"});
        const auto failed = try_once(scene, options);
        CHECK(failed.error == Errc::alpn_mismatch);
        CHECK(failed.error.stage == Stage::handshake);
        CHECK(failed.error.candidate == server_address);
        CHECK(failed.error.cause == alert(120));
    }

    TEST_CASE("a closed port is known after one round trip") {
        Scene scene;
        const auto failed = try_once(scene, scene.pinned());
        CHECK(failed.error == Errc::refused_port);
        CHECK(failed.error.stage == Stage::connect);
        CHECK(failed.error.candidate == server_address);
        CHECK(failed.error.cause == std::error_code(ECONNREFUSED, std::generic_category()));
        CHECK(failed.took < 1s);
    }

    TEST_CASE("a network that cannot be reached is known at once") {
        Scene scene;
        const auto failed = try_once(scene, scene.pinned(), "post://192.0.2.1:4433");
        CHECK(failed.error == Errc::unreachable);
        CHECK(failed.error.stage == Stage::connect);
        CHECK(failed.error.candidate == Address::parse("192.0.2.1", 4433));
        CHECK(failed.error.cause.category() == std::generic_category());
        CHECK(failed.took < 1s);
    }

    TEST_CASE("a peer that never answers is given up after ten seconds") {
        Scene scene;
        scene.far.silent = true;
        const auto failed = try_once(scene, scene.pinned());
        CHECK(failed.error == Errc::handshake_timeout);
        CHECK(failed.error.stage == Stage::handshake);
        CHECK(failed.error.candidate == server_address);
        CHECK(failed.error.cause);
        CHECK(failed.took >= 9s);
        CHECK(failed.took <= 11s);
    }

    TEST_CASE("a name that does not exist says so, with the resolver's code") {
        Scene scene;
        const auto failed = try_once(scene, scene.pinned(), "post://nowhere.test:4433");
        CHECK(failed.error == Errc::resolve_failed);
        CHECK(failed.error.stage == Stage::resolve);
        CHECK(failed.error.cause.category() == resolver_category());
        CHECK(mentions(failed.error, "nowhere.test"));
        CHECK(failed.took < 1s);
    }

    TEST_CASE("a name service that is silent is given up") {
        Scene scene;
        scene.world.name("quiet.test", {},
                         {.fate_v4 = sim::NameFate::silent, .fate_v6 = sim::NameFate::silent});
        const auto failed = try_once(scene, scene.pinned(), "post://quiet.test:4433");
        CHECK(failed.error == Errc::resolve_failed);
        CHECK(failed.error.stage == Stage::resolve);
        CHECK(failed.took <= 11s);
    }

    TEST_CASE("the last error lists every candidate that was tried") {
        Scene scene;
        scene.collect();
        auto& second = scene.world.host("10.0.0.3");
        scene.world.link(scene.near, second, {.delay = 10ms});
        scene.world.name("both.test", {"10.0.0.2", "10.0.0.3"});
        const auto failed = try_once(scene, {.trust = Trust::pinned(issue("x").pin())},
                                     "post://both.test:4433");
        CHECK(failed.error == Errc::certificate_pin);  // who came furthest
        CHECK(failed.error.candidate == server_address);
        CHECK(mentions(failed.error, "both.test"));
        CHECK(mentions(failed.error, "10.0.0.2:4433"));
        CHECK(mentions(failed.error, "10.0.0.3:4433"));
        CHECK(mentions(failed.error, "refused"));
    }

    TEST_CASE("an error that nobody took reaches on_unhandled once") {
        Scene scene;
        auto carrier = scene.initiate();
        carrier.send("hello");
        REQUIRE(scene.until([&] { return !scene.unhandled.empty(); }));
        scene.world.run_for(5s);
        REQUIRE(scene.unhandled.size() == 1);
        CHECK(scene.unhandled[0] == Errc::refused_port);
        CHECK(scene.unhandled[0].message().find("10.0.0.2:4433") != std::string::npos);
        CHECK(mentions(scene.unhandled[0], "tried"));
        // The Carrier answers with it from now on.
        auto sending = carrier.send("again");
        REQUIRE(sending.ready());
        CHECK(sending.get().error() == Errc::refused_port);
        auto received = carrier.receive();
        REQUIRE(scene.until([&] { return received.ready(); }));
        CHECK(received.get().error() == Errc::refused_port);
    }

    TEST_CASE("a Carrier that is initiated after a failure tries again") {
        Scene scene;
        Fates fates;
        auto first = scene.initiate();
        first.send("too early", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        scene.collect();
        auto second = scene.initiate();
        second.send("now", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 1);
        fates.check();
    }

    TEST_CASE("what is wrong at the call is said at the call") {
        Scene scene;
        Context& context = scene.near_context();
        const auto refused = [](auto&& call, Errc errc) {
            try {
                call();
            } catch (const Failure& failure) {
                return failure.error() == errc;
            }
            return false;
        };
        CHECK(refused([&] { context.initiate("ftp://server.test"); }, Errc::invalid_url));
        CHECK(refused([&] { context.listen({.port = 1}); }, Errc::invalid_argument));
        CHECK(refused([&] { Identity::from_pem("no", "pem"); }, Errc::invalid_pem));
        InitiateOptions options;
        options.bounds.send_budget = 0;
        CHECK(refused([&] { context.initiate("post://server.test", options); },
                      Errc::invalid_argument));
        options = {};
        options.policy.preferences.features = {{Feature::datagram_options, Preference::require}};
        CHECK(refused([&] { context.initiate("post://server.test", options); }, Errc::unsupported));
        scene.collect();
        const auto again = scene.far_context().try_listen(
            {.port = server_port, .identity = scene.identity});
        CHECK(again.error() == Errc::address_in_use);
    }
}

}  // namespace post::test
