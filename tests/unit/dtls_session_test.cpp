// DTLS sessions, both ends in memory: who may talk to whom, and what a session is once it is
// complete.
#include "tests/unit/dtls_support.hpp"

#include <doctest/doctest.h>

namespace post::test {

namespace {

using Progress = crypto::DtlsSession::Progress;

bool mentions(const Error& error, std::string_view text) {
    return error.detail.view().find(text) != std::string_view::npos;
}

std::error_code alert(int number) { return {number, tls_alert_category()}; }

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("dtls: two sessions shake hands and talk") {
        DtlsPairOptions options;
        for (Cipher cipher : {Cipher::automatic, Cipher::aes_128_gcm, Cipher::aes_256_gcm,
                              Cipher::chacha20_poly1305}) {
            CAPTURE(static_cast<int>(cipher));
            options.client.cipher = cipher;
            DtlsPair pair(options);
            pair.run();
            CHECK_MESSAGE(pair.complete(), pair.client.error().message());
            CHECK_MESSAGE(!pair.server.error(), pair.server.error().message());
            CHECK(pair.client.alpn() == "post-sctp/1");
            CHECK(pair.server.alpn() == "post-sctp/1");
            CHECK(pair.talks());
            CHECK(pair.client.dropped() == 0);
            CHECK(pair.server.dropped() == 0);
            CHECK(pair.sent <= 5);
            CHECK(pair.client.deadline() == never);
            CHECK(pair.server.deadline() == never);
            CHECK_FALSE(pair.client.peer_certificate().empty());
            CHECK(pair.server.peer_certificate().empty());
        }
    }

    TEST_CASE("dtls: both ends export the same, by label and context") {
        for (Cipher cipher : {Cipher::aes_128_gcm, Cipher::aes_256_gcm}) {
            DtlsPairOptions options;
            options.client.cipher = cipher;
            DtlsPair pair(options);
            CHECK(pair.client.exporter("EXPORTER-post", {}, 32).empty());
            pair.run();
            const auto context = bytes_of("context");
            const std::span<const std::byte> none;
            const auto plain = pair.client.exporter("EXPORTER-post", {}, 100);
            CHECK(plain.size() == 100);
            CHECK(plain == pair.server.exporter("EXPORTER-post", {}, 100));
            CHECK(pair.client.exporter("EXPORTER-post", context, 32) ==
                  pair.server.exporter("EXPORTER-post", context, 32));
            CHECK(pair.client.exporter("EXPORTER-post", context, 100) != plain);
            CHECK(pair.client.exporter("EXPORTER-post", none, 100) != plain);
            CHECK(pair.client.exporter("EXPORTER-other", {}, 100) != plain);
        }
    }

    TEST_CASE("dtls: certificates of both sides, by fingerprint, as WebRTC has it") {
        DtlsPairOptions options;
        options.client.identity = dtls_client_identity();
        options.client.trust = Trust::fingerprint(dtls_server_identity().fingerprint());
        options.server.client_certificate = crypto::ClientCertificate::required;
        options.server.client_trust = Trust::fingerprint(dtls_client_identity().fingerprint());
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.complete());
            CHECK(crypto::fingerprint_of(pair.server.peer_certificate().span(), "sha-256") ==
                  dtls_client_identity().fingerprint());
            CHECK(pair.talks());
        }
        options.server.client_trust = Trust::fingerprint(dtls_server_identity().fingerprint());
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.server.error() == Errc::certificate_pin);
            CHECK(mentions(pair.server.error(), dtls_client_identity().fingerprint()));
            CHECK(pair.client.error() == Errc::certificate_required);
            CHECK(pair.client.error().cause == alert(42));
        }
        options.client.identity = {};
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.server.error() == Errc::certificate_required);
            CHECK(pair.client.progress() == Progress::failed);
        }
        options.server.client_certificate = crypto::ClientCertificate::optional;
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.complete());
        }
    }

    TEST_CASE("dtls: a server that is not whom the client wants") {
        struct Row {
            const char* name;
            Trust trust;
            std::string server_name;
            Errc errc;
            int alert;
            std::string_view text;
        };
        const auto other = dtls_identity({"other.example"});
        const auto own = Trust::authorities(dtls_server_identity().certificates().view());
        const std::vector<Row> rows = {
            {"pin", Trust::pinned(other.pin()), "server.example", Errc::certificate_pin, 42,
             "sha256//"},
            {"fingerprint", Trust::fingerprint(other.fingerprint()), "server.example",
             Errc::certificate_pin, 42, "sha-256 "},
            {"name", own, "wrong.example", Errc::certificate_name, 42, "wrong.example"},
            {"authority", Trust::authorities(other.certificates().view()), "server.example",
             Errc::certificate_untrusted, 48, "Trust::authorities"},
        };
        for (const auto& row : rows) {
            CAPTURE(row.name);
            DtlsPairOptions options;
            options.client.trust = row.trust;
            options.client.server_name = row.server_name;
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.client.progress() == Progress::failed);
            CHECK(pair.client.error() == row.errc);
            CHECK(pair.client.error().cause == alert(row.alert));
            CHECK(pair.client.error().stage == Stage::verify);
            CHECK(mentions(pair.client.error(), row.text));
            CHECK(pair.client.alert() == row.alert);
            // The server is told, and believes it in the end, although anybody could have said it.
            CHECK(pair.server.error() == Errc::handshake_failed);
            CHECK(pair.server.error().cause == alert(row.alert));
        }
        DtlsPairOptions options;
        options.client.trust = own;
        for (const char* name : {"server.example", "192.0.2.2"}) {
            options.client.server_name = name;
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.complete());
        }
    }

    TEST_CASE("dtls: protocols agree, or are missing where that is allowed") {
        DtlsPairOptions options;
        options.client_options.alpn = {"gopher"};
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.server.error() == Errc::alpn_mismatch);
            CHECK(mentions(pair.server.error(), "post-sctp/1"));
            CHECK(pair.client.error() == Errc::alpn_mismatch);
        }
        options.client_options.alpn = {};
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.server.error() == Errc::alpn_mismatch);
            CHECK(pair.client.error().cause == alert(120));
        }
        options.server_options.alpn_optional = true;
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.complete());
            CHECK(pair.server.alpn().empty());
        }
        options.client_options.alpn = {"webrtc"};
        options.server_options.alpn = {};
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.client.error() == Errc::alpn_mismatch);
        }
        options.client_options.alpn_optional = true;
        {
            DtlsPair pair(options);
            pair.run();
            CHECK(pair.complete());
        }
        options.server_options.alpn = {"webrtc", "post-sctp/1"};
        options.client_options.alpn = {"post-sctp/1", "webrtc"};
        DtlsPair pair(options);
        pair.run();
        CHECK(pair.client.alpn() == "webrtc");
    }

    TEST_CASE("dtls: no cipher in common") {
        DtlsPairOptions options;
        options.client.cipher = Cipher::aes_256_gcm;
        options.server.cipher = Cipher::chacha20_poly1305;
        DtlsPair pair(options);
        pair.run();
        CHECK(pair.server.error() == Errc::handshake_failed);
        CHECK(pair.client.error() == Errc::handshake_failed);
    }

    TEST_CASE("dtls: content of every length up to the limit, and not one byte more") {
        for (Cipher cipher : {Cipher::aes_128_gcm, Cipher::chacha20_poly1305}) {
            for (std::size_t mtu : {300u, 1200u, 20000u}) {
                CAPTURE(mtu);
                DtlsPairOptions options;
                options.client.cipher = cipher;
                DtlsPair pair(options);
                CHECK(pair.client.data_mtu() == 0);
                CHECK(pair.seal(true, bytes_of("early")).empty());
                pair.run();
                pair.client.set_mtu(mtu);
                const auto most = pair.client.data_mtu();
                CHECK(most == std::min<std::size_t>(mtu - (cipher == Cipher::aes_128_gcm ? 37 : 29),
                                                    16384));
                for (std::size_t size = 1; size <= most; size += size < 40 ? 1 : most / 7) {
                    Datagram content(size, std::byte{7});
                    const auto record = pair.seal(true, content);
                    CHECK(record.size() <= mtu);
                    pair.deliver(true, record);
                    REQUIRE_FALSE(pair.at_server.empty());
                    CHECK(pair.at_server.back() == content);
                }
                Datagram room(70000);
                CHECK(pair.client.seal(Datagram(most), room) > most);
                CHECK(pair.client.seal(Datagram(most + 1), room) == 0);
                CHECK(pair.client.seal(Datagram(10), std::span(room).first(30)) == 0);
            }
        }
        DtlsPairOptions options;
        DtlsPair pair(options);
        CHECK_THROWS_AS(pair.client.set_mtu(255), Failure);
        CHECK_THROWS_AS(pair.client.set_mtu(65508), Failure);
    }

    TEST_CASE("dtls: content is sealed where it stands, and several records share a datagram") {
        DtlsPair pair{DtlsPairOptions()};
        pair.run();
        const auto text = bytes_of("in place");
        Datagram record(100);
        const auto at = pair.client.data_offset();
        std::ranges::copy(text, record.begin() + static_cast<std::ptrdiff_t>(at));
        record.resize(pair.client.seal(std::span(record).subspan(at, text.size()), record));
        for (const char* more : {"second", "third"}) {
            const auto next = pair.seal(true, bytes_of(more));
            record.insert(record.end(), next.begin(), next.end());
        }
        pair.deliver(true, record);
        CHECK(pair.at_server == std::vector<Datagram>{text, bytes_of("second"), bytes_of("third")});
    }

    TEST_CASE("dtls: either side closes, and the other hears it") {
        for (bool by_client : {true, false}) {
            DtlsPair pair{DtlsPairOptions()};
            pair.run();
            auto& closing = by_client ? pair.client : pair.server;
            auto& other = by_client ? pair.server : pair.client;
            closing.close();
            closing.close();
            CHECK(closing.progress() == Progress::closed);
            pair.run(1s);
            CHECK(other.progress() == Progress::closed);
            CHECK_FALSE(other.error());
            CHECK(pair.seal(!by_client, bytes_of("late")).empty());
            other.close();
            CHECK(other.poll_datagram().empty());
        }
        DtlsPair pair{DtlsPairOptions()};
        pair.client.start(pair.now);
        pair.client.close();
        CHECK(pair.client.progress() == Progress::closed);
        CHECK(pair.client.deadline() == never);
    }
}

}  // namespace post::test
