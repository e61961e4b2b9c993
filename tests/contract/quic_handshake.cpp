// QUIC: who may connect to whom. Each refusal has its Errc, its TLS alert, and a text that helps.

#include "mappings/crypto/credentials.hpp"
#include "tests/contract/support.hpp"
#include "tests/hostile/forge.hpp"

namespace post::test {

namespace {

Identity issue(std::vector<std::string> names, const Identity* issuer = nullptr,
               std::chrono::seconds valid_for = std::chrono::hours(24), bool authority = false) {
    crypto::CertificateRequest request;
    request.names = std::move(names);
    request.issuer = issuer;
    request.authority = authority;
    request.valid_from = valid_for < std::chrono::seconds(0) ? valid_for * 2
                                                             : std::chrono::seconds(-3600);
    request.valid_for = valid_for;
    auto pair = crypto::make_certificate(request);
    return Identity::from_pem(pair.certificates, pair.key);
}

const Identity& authority() {
    static const Identity identity = issue({"Test authority"}, nullptr, std::chrono::hours(24),
                                           true);
    return identity;
}

Trust trust_authority() { return Trust::authorities(authority().certificates().view()); }

// Both ends' last words.
struct Verdict {
    Error client;
    Error server;
    bool client_established = false;
    bool server_established = false;
};

Verdict verdict_of(const QuicOptions& options) {
    QuicPair pair(options);
    pair.run(5s);
    Verdict verdict;
    verdict.client_established = pair.client.established();
    verdict.server_established = pair.server.established();
    if (pair.client.lost()) verdict.client = *pair.client.lost();
    if (pair.server.lost()) verdict.server = *pair.server.lost();
    CHECK(pair.client_endpoint().half_open() == 0);
    CHECK(pair.server_endpoint().half_open() == 0);
    return verdict;
}

bool mentions(const Error& error, std::string_view text) {
    return error.detail.view().find(text) != std::string_view::npos;
}

std::error_code alert(int number) { return {number, tls_alert_category()}; }

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("quic: a chain to a given authority is believed, by name and by address") {
        QuicOptions options(seeded());
        auto intermediate = issue({"Intermediate"}, &authority(), std::chrono::hours(24), true);
        options.server_security.identity = issue({"server.example", "192.0.2.2"}, &intermediate);
        options.client_security.trust = trust_authority();
        for (const char* name : {"server.example", "server.example.", "192.0.2.2"}) {
            CAPTURE(name);
            options.client_security.server_name = name;
            auto verdict = verdict_of(options);
            CHECK(verdict.client_established);
            CHECK_MESSAGE(!verdict.client, verdict.client.message());
        }
    }

    TEST_CASE("quic: an unknown authority is refused") {
        QuicOptions options(seeded());
        options.client_security.trust = trust_authority();
        auto verdict = verdict_of(options);
        CHECK_FALSE(verdict.client_established);
        CHECK_FALSE(verdict.server_established);
        CHECK(verdict.client == Errc::certificate_untrusted);
        CHECK(verdict.client.cause == alert(48));
        CHECK(verdict.client.stage == Stage::verify);
        CHECK(verdict.client.candidate.port == 4433);
        CHECK(mentions(verdict.client, "Trust::authorities"));
        CHECK(verdict.server == Errc::handshake_failed);
        CHECK(verdict.server.cause == alert(48));
    }

    TEST_CASE("quic: the system's authorities do not know a self-signed certificate") {
        QuicOptions options(seeded());
        options.client_security.trust = Trust::system();
        CHECK(verdict_of(options).client == Errc::certificate_untrusted);
    }

    TEST_CASE("quic: a certificate for another name is refused") {
        QuicOptions options(seeded());
        options.client_security.trust = Trust::authorities(server_identity().certificates().view());
        CHECK(verdict_of(options).client_established);
        for (const char* name : {"other.example", "192.0.2.99", ""}) {
            CAPTURE(name);
            options.client_security.server_name = name;
            auto verdict = verdict_of(options);
            CHECK_FALSE(verdict.client_established);
            CHECK(verdict.client == Errc::certificate_name);
            CHECK(verdict.client.cause == alert(42));
            CHECK(mentions(verdict.client, name));
        }
    }

    TEST_CASE("quic: an expired certificate is refused") {
        QuicOptions options(seeded());
        options.server_security.identity = issue({"server.example"}, &authority(),
                                                 std::chrono::hours(-1));
        options.client_security.trust = trust_authority();
        auto verdict = verdict_of(options);
        CHECK_FALSE(verdict.client_established);
        CHECK(verdict.client == Errc::certificate_expired);
        CHECK(verdict.client.cause == alert(45));
    }

    TEST_CASE("quic: a pin counts alone, whatever name and dates say") {
        QuicOptions options(seeded());
        options.server_security.identity = issue({"another"}, nullptr, std::chrono::hours(-1));
        options.client_security.trust = Trust::pinned(options.server_security.identity.pin());
        CHECK(verdict_of(options).client_established);
        options.client_security.trust = Trust::pinned(authority().pin());
        auto verdict = verdict_of(options);
        CHECK_FALSE(verdict.client_established);
        CHECK(verdict.client == Errc::certificate_pin);
        CHECK(mentions(verdict.client, options.server_security.identity.pin()));
        options.client_security.trust = Trust::danger_anyone();
        CHECK(verdict_of(options).client_established);
    }

    TEST_CASE("quic: a fingerprint counts alone, of either side") {
        QuicOptions options(seeded());
        options.server_security.identity = issue({"another"}, nullptr, std::chrono::hours(-1));
        const auto right = options.server_security.identity.fingerprint();
        options.client_security.trust = Trust::fingerprint(right);
        CHECK(verdict_of(options).client_established);
        options.client_security.identity = authority();
        options.server_security.client_certificate = crypto::ClientCertificate::required;
        options.server_security.client_trust = Trust::fingerprint(authority().fingerprint());
        CHECK(verdict_of(options).server_established);
        options.client_security.trust = Trust::fingerprint(authority().fingerprint());
        auto verdict = verdict_of(options);
        CHECK_FALSE(verdict.client_established);
        CHECK(verdict.client == Errc::certificate_pin);
        CHECK(verdict.client.cause == alert(42));
        CHECK(mentions(verdict.client, right));
        CHECK(mentions(verdict.client, authority().fingerprint()));
    }

    TEST_CASE("quic: no protocol in common") {
        QuicOptions options(seeded());
        options.client_alpn = {"gopher"};
        auto verdict = verdict_of(options);
        CHECK_FALSE(verdict.client_established);
        CHECK(verdict.client == Errc::alpn_mismatch);
        CHECK(verdict.client.cause == alert(120));
        CHECK(verdict.server == Errc::alpn_mismatch);
        CHECK(mentions(verdict.server, "echo"));
    }

    TEST_CASE("quic: the server's order of protocols decides") {
        QuicOptions options(seeded());
        options.client_alpn = {"echo", std::string(quic::post_alpn)};
        options.server_alpn = {std::string(quic::post_alpn), "echo"};
        QuicPair pair(options);
        REQUIRE(pair.connect());
        CHECK(pair.client.all<event::Established>()[0].alpn == quic::post_alpn);
        CHECK_FALSE(pair.client.all<event::Established>()[0].peer_identity.empty());
        CHECK(pair.server.all<event::Established>()[0].peer_identity.empty());
    }

    TEST_CASE("quic: a server that requires a certificate") {
        QuicOptions options(seeded());
        options.server_security.client_certificate = crypto::ClientCertificate::required;
        options.server_security.client_trust = trust_authority();
        SUBCASE("gets none") {
            auto verdict = verdict_of(options);
            CHECK_FALSE(verdict.server_established);
            CHECK(verdict.server == Errc::certificate_required);
            CHECK(verdict.client == Errc::certificate_required);
            CHECK(verdict.client.cause == alert(116));
        }
        SUBCASE("gets one that it trusts") {
            options.client_security.identity = issue({"client"}, &authority());
            QuicPair pair(options);
            REQUIRE(pair.connect());
            auto shown = pair.server.all<event::Established>()[0].peer_identity;
            CHECK(crypto::pin_of(shown.span()) == options.client_security.identity.pin());
        }
        SUBCASE("gets a stranger's") {
            options.client_security.identity = issue({"client"});
            auto verdict = verdict_of(options);
            CHECK_FALSE(verdict.server_established);
            CHECK(verdict.server == Errc::certificate_untrusted);
            CHECK(verdict.client == Errc::certificate_required);
        }
        SUBCASE("gets an expired one") {
            options.client_security.identity = issue({"client"}, &authority(),
                                                     std::chrono::hours(-1));
            auto verdict = verdict_of(options);
            CHECK_FALSE(verdict.server_established);
            CHECK(verdict.server == Errc::certificate_expired);
        }
        SUBCASE("gets the pinned one") {
            options.client_security.identity = issue({"client"});
            options.server_security.client_trust = Trust::pinned(
                options.client_security.identity.pin());
            CHECK(verdict_of(options).server_established);
        }
    }

    TEST_CASE("quic: a server that would like a certificate") {
        QuicOptions options(seeded());
        options.server_security.client_certificate = crypto::ClientCertificate::optional;
        options.server_security.client_trust = trust_authority();
        CHECK(verdict_of(options).server_established);
        options.client_security.identity = issue({"client"});
        CHECK(verdict_of(options).server == Errc::certificate_untrusted);
        options.client_security.identity = issue({"client"}, &authority());
        CHECK(verdict_of(options).server_established);
    }

    TEST_CASE("quic: a chain of ten certificates is believed, and a longer one not looked at") {
        for (const int between : {8, 9}) {
            CAPTURE(between);
            QuicOptions options(seeded());
            std::vector<Identity> chain{authority()};
            for (int depth = 0; depth < between; ++depth)
                chain.push_back(issue({"Depth " + std::to_string(depth)}, &chain.back(),
                                      std::chrono::hours(24), true));
            options.server_security.identity = issue({"server.example"}, &chain.back());
            options.client_security.trust = trust_authority();
            auto verdict = verdict_of(options);
            CHECK(verdict.client_established == (between == 8));
            if (between > 8) CHECK(verdict.client == Errc::certificate_untrusted);
        }
    }

    // RFC 9001, 6.
    TEST_CASE("quic: a KeyUpdate message of TLS ends the connection") {
        QuicOptions options(seeded());
        options.client_transport.versions = {QuicVersion::v1};
        options.server_transport.versions = {QuicVersion::v1};
        Forge forge;
        options.client_substitute = &forge;
        QuicPair pair(options);
        REQUIRE(pair.connect());
        pair.run(1s);
        // CRYPTO { offset = 0, length = 5, KeyUpdate { length = 1, update_requested } }
        pair.inject(true, forge.seal(Level::one_rtt, std::string("\x06\x00\x05\x18\0\0\1\1", 8)));
        CHECK(pair.server.lost());
        REQUIRE(pair.run_until([&] { return pair.client.lost().has_value(); }));
        CHECK(pair.client.lost()->cause == alert(10));  // unexpected_message
    }

    // RFC 9001, 8.2.
    TEST_CASE("quic: a client without transport parameters is refused for that") {
        QuicOptions options(seeded());
        options.client_transport.versions = {QuicVersion::v1};
        Forge forge;
        options.client_substitute = &forge;
        bool hidden = false;
        forge.edit = [&](Level level, std::string& frames) {
            // The extension's type, which is nobody's then. It may lie across two frames.
            const auto place = frames.find(std::string("\x00\x39\x00", 3));
            if (level != Level::initial || place == std::string::npos) return;
            frames[place] = '\x39';
            hidden = true;
        };
        for (; !hidden; ++options.seed) {
            const auto verdict = verdict_of(options);
            if (!hidden) continue;
            CHECK_FALSE(verdict.client_established);
            CHECK(verdict.client.cause == alert(109));  // missing_extension
        }
    }
}

}  // namespace post::test
