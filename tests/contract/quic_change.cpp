// QUIC: what two ends agree on and change while they live: the version, the keys, how long silence
// lasts, how large packets are; and handshakes that need many of them.

#include <algorithm>

#include "mappings/crypto/credentials.hpp"
#include "tests/contract/support.hpp"

namespace post::test {

namespace {

constexpr auto v1 = QuicVersion::v1;
constexpr auto v2 = QuicVersion::v2;

// A chain of `length` certificates, from the server's own up to one below the authority.
Identity long_chain(int length) {
    auto issue = [](std::string name, const Identity* issuer, bool authority) {
        crypto::CertificateRequest request;
        request.names = {std::move(name)};
        request.issuer = issuer;
        request.authority = authority;
        auto pair = crypto::make_certificate(request);
        return Identity::from_pem(pair.certificates, pair.key);
    };
    Identity issuer = issue("Root of a long chain", nullptr, true);
    for (int i = 2; i < length; ++i)
        issuer = issue("Intermediate number " + std::to_string(i), &issuer, true);
    return issue("server.example", &issuer, false);
}

// RFC 9000, 17.2: an Initial (type 0), then perhaps a Handshake packet (type 2) in one datagram.
// Initial { flags, version (32), dcid length, dcid, scid length, scid, token (i, ..), length (i) }
bool holds_handshake(const std::vector<std::byte>& datagram) {
    auto at = [&](std::size_t i) {
        return i < datagram.size() ? std::to_integer<std::size_t>(datagram[i]) : 0;
    };
    std::size_t place = 0;
    while (place < datagram.size() && (at(place) & 0x80) != 0) {
        if ((at(place) & 0x30) == 0x20) return true;
        auto integer = [&] {
            const std::size_t size = std::size_t{1} << (at(place) >> 6);
            std::size_t value = at(place) & 0x3f;
            for (std::size_t i = 1; i < size; ++i) value = value << 8 | at(place + i);
            place += size;
            return value;
        };
        place += 5;
        place += 1 + at(place);
        place += 1 + at(place);
        place += integer();
        place += integer();
    }
    return false;
}

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("quic: the version is the first of the server's that the client offers") {
        struct Case {
            const char* name;
            std::vector<QuicVersion> client, server;
            std::optional<QuicVersion> agreed;
            std::uint64_t answers = 0;  // Version Negotiation packets
        };
        const std::vector<Case> cases = {
            {"the defaults", {v1, v2}, {v1, v2}, v1},
            {"a v1 first flight, moved to v2 on the way", {v1, v2}, {v2, v1}, v2},
            {"a v2 first flight, moved to v1", {v2, v1}, {v1, v2}, v1},
            {"v2 alone", {v2}, {v1, v2}, v2},
            {"a client of v1", {v1}, {v2, v1}, v1},
            {"a server of v2, asked in v1", {v1, v2}, {v2}, v2, 1},
            {"a server of v1, asked in v2", {v2, v1}, {v1}, v1, 1},
            {"nothing in common", {v1}, {v2}, {}, 1},
        };
        for (const auto& one : cases) {
            CAPTURE(one.name);
            QuicOptions options(seeded());
            options.client_transport.versions = one.client;
            options.server_transport.versions = one.server;
            QuicPair pair(options);
            if (!one.agreed) {
                pair.run(5s);
                REQUIRE(pair.client.lost());
                CHECK(*pair.client.lost() == Errc::handshake_failed);
                CHECK(pair.client.lost()->detail.view().find("no version") != std::string::npos);
                continue;
            }
            REQUIRE(pair.connect());
            const auto version = static_cast<std::uint32_t>(*one.agreed);
            CHECK(pair.client.mapping->path().version == version);
            CHECK(pair.server.mapping->path().version == version);
            CHECK(pair.answers() == one.answers);
            auto carrier = pair.client.open();
            pair.client.send(carrier, "hello");
            CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 1; }));
        }
    }

    TEST_CASE("quic: keys change while data flows, whoever begins, and nothing is lost") {
        for (bool client_begins : {true, false}) {
            CAPTURE(client_begins);
            auto from = seeded();
            from.link = {10ms, 0.02, 0, 5ms};
            QuicOptions options(from);
            auto& transport = client_begins ? options.client_transport : options.server_transport;
            transport.key_update_after = 100;
            QuicPair pair(options);
            REQUIRE(pair.connect());
            auto up = pair.client.open();
            pair.client.send_cut(up, Bytes(pattern(3'000'000)), 60'000);
            pair.client.finish(up);
            CHECK(pair.run_until([&] { return !pair.server.all<event::Opened>().empty(); }));
            pair.server.send_cut(up, Bytes(pattern(3'000'000)), 60'000);
            pair.server.finish(up);
            CHECK(pair.run_until([&] { return pair.server.messages(up).size() == 1; }, 300s));
            CHECK(pair.run_until([&] { return pair.client.messages(up).size() == 1; }, 300s));
            CHECK(pair.server.messages(up).at(0) == pattern(3'000'000));
            CHECK(pair.client.messages(up).at(0) == pattern(3'000'000));
            CHECK(pair.client_connection().key_generations() > 3);
            CHECK(pair.server_connection().key_generations() > 3);
        }
    }

    TEST_CASE("quic: a key update is refused while the last one is young") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        pair.run(1s);
        CHECK(pair.client_connection().key_generations() == 1);
        CHECK(pair.client_connection().update_keys());
        CHECK_FALSE(pair.client_connection().update_keys());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "under new keys");
        CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 1; }));
        pair.server.send(carrier, "answered in kind");
        CHECK(pair.run_until([&] { return pair.client.messages(carrier).size() == 1; }));
        pair.run(2s);
        pair.client.send(carrier, "more");
        pair.run(1s);
        CHECK(pair.server_connection().key_generations() == 2);
        CHECK(pair.client_connection().update_keys());
    }

    TEST_CASE_TEMPLATE("silence is broken in time while it is wanted, and only then", PairType,
                       FakePair, QuicPair) {
        auto options = seeded();
        SUBCASE("at a third of the idle timeout") {}
        SUBCASE("as often as it is told") { options.client.keep_alive = 3s; }
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.client.mapping->keep_alive(true);
        pair.run(5min);
        CHECK_FALSE(pair.client.lost());
        CHECK_FALSE(pair.server.lost());
        pair.client.mapping->keep_alive(false);
        pair.run(31s);
        CHECK(pair.client.lost());
        CHECK(pair.server.lost());
    }

    TEST_CASE_TEMPLATE("a keep-alive of zero is none", PairType, FakePair, QuicPair) {
        auto options = seeded();
        options.client.keep_alive = 0s;
        PairType pair(options);
        REQUIRE(pair.connect());
        pair.client.mapping->keep_alive(true);
        pair.run(31s);
        CHECK(pair.client.lost());
    }

    TEST_CASE("quic: nine certificates come through loss, within three times what was sent") {
        for (std::uint64_t offset = 0; offset < 6; ++offset) {
            auto from = seeded();
            from.seed += offset;
            CAPTURE(from.seed);
            from.link = {20ms, offset == 0 ? 0 : 0.15, 0, 0ms};
            QuicOptions options(from);
            static const Identity chain = long_chain(9);
            options.server_security.identity = chain;
            options.client_security.trust = Trust::pinned(chain.pin());
            options.client.handshake_timeout = options.server.handshake_timeout = 60s;
            QuicPair pair(options);
            auto total = [&](bool to_server) {
                std::size_t bytes = 0;
                for (const auto& datagram : pair.history(to_server)) bytes += datagram.size();
                return bytes;
            };
            // Until the client's address is proved, by its first Handshake packet.
            auto proved = [&] {
                const auto& sent = pair.history(true);
                return std::any_of(sent.begin(), sent.end(), holds_handshake);
            };
            bool kept = true;
            CHECK(pair.run_until(
                [&] {
                    if (!proved()) kept = kept && total(false) <= 3 * total(true);
                    return pair.client.established() && pair.server.established();
                },
                120s));
            CHECK(kept);
            CHECK(total(false) > 4000);
        }
    }

    TEST_CASE("quic: packets grow to what the path bears and is told to bear") {
        for (std::size_t limit : {std::size_t{1200}, std::size_t{1280}, std::size_t{1452},
                                  std::size_t{9000}, std::size_t{65507}}) {
            CAPTURE(limit);
            QuicOptions options(seeded());
            options.client_transport.largest_payload = limit;
            options.server_transport.largest_payload = limit;
            QuicPair pair(options);
            REQUIRE(pair.connect());
            pair.run(1s);
            CHECK(pair.client.mapping->path().mtu == limit);
            auto carrier = pair.client.open();
            pair.client.send_cut(carrier, Bytes(pattern(1'000'000)), 60'000);
            CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 1; }));
            CHECK(pair.server.messages(carrier).at(0) == pattern(1'000'000));
            for (const auto& datagram : pair.history(true)) CHECK(datagram.size() <= limit);
        }
    }

    TEST_CASE("quic: a log is handed out as values, one file a connection and end") {
        QuicOptions options(seeded());
        options.log = quic::Endpoint::can_log();
        QuicPair pair(options);
        REQUIRE(pair.connect());
        pair.run(1s);
        pair.client.mapping.reset();
        pair.server.mapping.reset();
        auto logs = pair.server_endpoint().poll_logs();
        if (!options.log) {
            CHECK(logs.empty());
            return;
        }
        REQUIRE(logs.size() == 1);
        CHECK(logs[0].file.size() == 36 + std::string_view("_server.sqlog").size());
        CHECK(logs[0].file.ends_with("_server.sqlog"));
        std::string text(reinterpret_cast<const char*>(logs[0].bytes.data()), logs[0].bytes.size());
        CHECK(text.find("JSON-SEQ") != std::string::npos);
        CHECK(text.find("packet_received") != std::string::npos);
        CHECK(pair.server_endpoint().poll_logs().empty());
    }
}

}  // namespace post::test
