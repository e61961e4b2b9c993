// DANE: handshakes with servers whose certificates the name service knows, or knows otherwise.
#include "mappings/crypto/dane.hpp"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "tests/unit/tls_support.hpp"

using namespace post;
using namespace post::test;

namespace {

// The certificates of a file in DER.
std::vector<std::string> ders(const std::string& pem) {
    gnutls_x509_crt_t* list = nullptr;
    unsigned count = 0;
    const auto text = crypto::datum(pem);
    REQUIRE(gnutls_x509_crt_list_import2(&list, &count, &text, GNUTLS_X509_FMT_PEM, 0) >= 0);
    std::vector<std::string> all;
    for (unsigned i = 0; i < count; ++i) {
        crypto::Datum der;
        REQUIRE(gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_DER, &der) >= 0);
        all.push_back(der.string());
        gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    return all;
}

// The key of a certificate, as it stands in it.
std::string key_of(const std::string& der) {
    gnutls_pcert_st certificate;
    const auto bytes = crypto::datum(der);
    REQUIRE(gnutls_pcert_import_x509_raw(&certificate, &bytes, GNUTLS_X509_FMT_DER, 0) >= 0);
    crypto::Datum key;
    REQUIRE(gnutls_pubkey_export2(certificate.pubkey, GNUTLS_X509_FMT_DER, &key) >= 0);
    gnutls_pcert_deinit(&certificate);
    return key.string();
}

Tlsa record(unsigned usage, unsigned selector, unsigned matching, const std::string& der) {
    std::string data = selector == 0 ? der : key_of(der);
    if (matching != 0) {
        std::string digest(matching == 1 ? 32 : 64, '\0');
        REQUIRE(gnutls_hash_fast(matching == 1 ? GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA512, data.data(),
                                 data.size(), digest.data()) == 0);
        data = digest;
    }
    return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector),
            static_cast<std::uint8_t>(matching), Bytes(data)};
}

// A server with an authority of its own, and another authority that has nothing to do with it.
struct Certificates {
    crypto::PemPair root = make("root.example", true, nullptr);
    Identity issuer = Identity::from_pem(root.certificates, root.key);
    crypto::PemPair server = make("server.example", false, &issuer);
    crypto::PemPair other_name = make("other.example", false, &issuer);
    crypto::PemPair stranger = make("root.example", true, nullptr);
    // What the stranger's certificate would prove if it only had to be shown.
    crypto::PemPair padded{server.certificates + stranger.certificates, server.key};

    static crypto::PemPair make(const char* name, bool authority, const Identity* issuer) {
        crypto::CertificateRequest request;
        request.names = {name};
        request.authority = authority;
        request.issuer = issuer;
        return crypto::make_certificate(request);
    }
};

const Certificates& made() {
    static const Certificates certificates;
    return certificates;
}

Error outcome(const crypto::PemPair& server, const Trust& trust, std::vector<Tlsa> tlsa,
              const std::string& name = "server.example", const std::string& tlsa_host = {}) {
    TlsEndOptions options;
    options.pem = &server;
    options.trust = trust;
    options.tlsa = std::move(tlsa);
    options.tlsa_host = tlsa_host;
    options.server_name = name;
    TlsTalk talk(options);
    CHECK(talk.complete() == !talk.client.stream->error());
    return talk.client.stream->error();
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a certificate that DNS names needs no authority") {
        const auto& all = made();
        const auto chain = ders(all.server.certificates);
        REQUIRE(chain.size() == 2);
        CHECK(outcome(all.server, Trust::system(), {}) == Errc::certificate_untrusted);
        for (const unsigned selector : {0u, 1u}) {
            for (const unsigned matching : {0u, 1u, 2u}) {
                CAPTURE(selector);
                CAPTURE(matching);
                CHECK_FALSE(outcome(all.server, Trust::system(),
                                    {record(3, selector, matching, chain[0])}));
                CHECK_FALSE(outcome(all.server, Trust::system(),
                                    {record(2, selector, matching, chain[1])}));
                // Each for its own place alone.
                CHECK(outcome(all.server, Trust::system(),
                              {record(3, selector, matching, chain[1])}) == Errc::certificate_dane);
                CHECK(outcome(all.server, Trust::system(),
                              {record(2, selector, matching, chain[0])}) == Errc::certificate_dane);
            }
        }
    }

    TEST_CASE("one record that fits is enough, and none that fits is the end") {
        const auto& all = made();
        const auto mine = ders(all.server.certificates)[0];
        const auto other = ders(all.stranger.certificates)[0];
        CHECK_FALSE(
            outcome(all.server, Trust::system(), {record(3, 1, 1, other), record(3, 1, 1, mine)}));
        const Error error = outcome(all.server, Trust::system(),
                                    {record(3, 1, 1, other), record(2, 0, 2, other)});
        CHECK(error == Errc::certificate_dane);
        CHECK(error.stage == Stage::verify);
        CHECK(error.detail.view().find("(3 1 1) (2 0 2)") != std::string_view::npos);
        CHECK(error.detail.view().find("server.example") != std::string_view::npos);
    }

    TEST_CASE("an authority of DNS vouches for names and dates, a bare certificate does not") {
        const auto& all = made();
        const auto root = ders(all.root.certificates)[0];
        CHECK(outcome(all.other_name, Trust::system(), {record(2, 0, 1, root)}) ==
              Errc::certificate_dane);
        CHECK_FALSE(
            outcome(all.other_name, Trust::system(), {record(2, 0, 1, root)}, "other.example"));
        CHECK_FALSE(outcome(all.other_name, Trust::system(),
                            {record(3, 0, 1, ders(all.other_name.certificates)[0])}));
        // An authority that did not sign the certificate vouches for nobody, shown or not.
        const auto stranger = ders(all.stranger.certificates)[0];
        CHECK(outcome(all.padded, Trust::system(), {record(2, 0, 1, stranger)}) ==
              Errc::certificate_dane);
        CHECK(outcome(all.server, Trust::system(), {record(2, 0, 0, stranger)}) ==
              Errc::certificate_dane);
        // One that is named whole need not be shown.
        const crypto::PemPair alone{
            all.server.certificates.substr(0, all.server.certificates.find("-----BEGIN", 10)),
            all.server.key};
        CHECK_FALSE(outcome(alone, Trust::system(), {record(2, 0, 0, root)}));
        CHECK(outcome(alone, Trust::system(), {record(2, 0, 1, root)}) == Errc::certificate_dane);
    }

    TEST_CASE("an authority of DNS may vouch for the host that it is named for, too") {
        const auto& all = made();
        const auto root = ders(all.root.certificates)[0];
        const auto at = [&](const char* host) {
            return outcome(all.other_name, Trust::system(), {record(2, 0, 1, root)},
                           "service.example", host);
        };
        CHECK(at("") == Errc::certificate_dane);
        CHECK(at("third.example") == Errc::certificate_dane);
        CHECK_FALSE(at("other.example."));
        // Elsewhere it is the name that the application gave, and no other.
        CHECK(outcome(all.other_name, Trust::authorities(all.root.certificates), {},
                      "service.example", "other.example") == Errc::certificate_name);
    }

    TEST_CASE("records that ask for more than an authority are asked beside it") {
        const auto& all = made();
        const auto chain = ders(all.server.certificates);
        const auto stranger = ders(all.stranger.certificates)[0];
        const auto trust = Trust::authorities(all.root.certificates);
        CHECK_FALSE(outcome(all.server, trust, {record(1, 1, 1, chain[0])}));
        CHECK_FALSE(outcome(all.server, trust, {record(0, 1, 1, chain[1])}));
        CHECK(outcome(all.server, trust, {record(1, 1, 1, stranger)}) == Errc::certificate_dane);
        CHECK(outcome(all.server, trust, {record(0, 1, 1, chain[0])}) == Errc::certificate_dane);
        CHECK(outcome(all.padded, trust, {record(0, 0, 1, stranger)}) == Errc::certificate_dane);
        CHECK(outcome(all.server, trust, {record(1, 1, 1, chain[0])}, "other.example") ==
              Errc::certificate_name);
        // They replace no authority.
        CHECK(outcome(all.server, Trust::system(), {record(1, 1, 1, chain[0])}) ==
              Errc::certificate_untrusted);
        CHECK(outcome(all.server, Trust::authorities(all.stranger.certificates),
                      {record(1, 1, 1, chain[0])}) == Errc::certificate_untrusted);
        // Who names authorities or a key himself does not want DNS to name another.
        CHECK(outcome(all.server, Trust::authorities(all.stranger.certificates),
                      {record(3, 1, 1, chain[0])}) == Errc::certificate_untrusted);
        CHECK_FALSE(outcome(all.server,
                            Trust::pinned(crypto::pin_of(std::as_bytes(std::span(chain[0])))),
                            {record(3, 1, 1, stranger)}));
    }

    TEST_CASE("records that nobody understands say nothing") {
        const auto& all = made();
        const auto mine = ders(all.server.certificates)[0];
        std::vector<Tlsa> odd{record(3, 1, 1, mine), record(3, 1, 1, mine), record(3, 1, 1, mine),
                              record(3, 1, 1, mine), record(3, 1, 0, mine)};
        odd[0].usage = 4;
        odd[1].selector = 2;
        odd[2].matching = 3;
        odd[3].data = odd[3].data.slice(0, 31);
        odd[4].data = {};
        CHECK(crypto::usable_records(odd, Trust::Kind::system).empty());
        CHECK(outcome(all.server, Trust::system(), odd) == Errc::certificate_untrusted);
        CHECK_FALSE(outcome(all.server, Trust::authorities(all.root.certificates), odd));
    }
}
