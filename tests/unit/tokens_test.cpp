// AddressTokens: what a token proves, to whom, and for how long.
#include "mappings/quic/tokens.hpp"

#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tests/seed.hpp"

using namespace post;
using namespace std::chrono_literals;
using Kind = quic::AddressProof::Kind;

namespace {

quic::ConnectionId id(std::uint8_t first) {
    std::array<std::uint8_t, 10> bytes{first};
    return {bytes.data(), bytes.size()};
}

// A server's tokens and a client that shows them.
struct Fixture {
    quic::AddressTokens tokens;
    crypto::RotatingSecret::Random random =
        [state = std::mt19937_64(test::seed())](std::span<std::byte> bytes) mutable {
            for (auto& byte : bytes) byte = static_cast<std::byte>(state() & 0xff);
        };
    Instant now{100s};
    Address client = *Address::parse("192.0.2.7", 4000);
    quic::AddressTokens::RetryIds ids{1, id(1), id(2)};

    quic::AddressTokens::Token retry() { return tokens.make_retry(now, client, ids, random); }
    quic::AddressTokens::Token later() { return tokens.make(now, client, random); }
    quic::AddressProof show(const quic::AddressTokens::Token& token, const Address& from,
                            const quic::ConnectionId& to = id(2), std::uint32_t version = 1) {
        return tokens.verify(now, from, version, to, std::span(token.bytes).first(token.size),
                             random);
    }
};

Address elsewhere(const char* ip, std::uint16_t port) { return *Address::parse(ip, port); }

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE_FIXTURE(Fixture, "a Retry token proves its address and port, for ten seconds") {
        const auto token = retry();
        REQUIRE(token.size > 0);
        auto proof = show(token, client);
        CHECK(proof.kind == Kind::retry);
        CHECK(proof.original == id(1));
        CHECK(show(token, elsewhere("192.0.2.7", 4001)).kind == Kind::refused);
        CHECK(show(token, elsewhere("192.0.2.8", 4000)).kind == Kind::refused);
        CHECK(show(token, elsewhere("2001:db8::7", 4000)).kind == Kind::refused);
        // It is sealed together with the id that the Retry chose, and with the version.
        CHECK(show(token, client, id(3)).kind == Kind::none);
        CHECK(show(token, client, id(2), 0x6b3343cf).kind == Kind::none);
        now += 10s - 1ms;
        CHECK(show(token, client).kind == Kind::retry);
        now += 2ms;
        CHECK(show(token, client).kind == Kind::refused);
        now += 3h;  // the secret is forgotten, and nobody can tell what it was
        CHECK(show(token, client).kind == Kind::none);
    }

    TEST_CASE_FIXTURE(Fixture, "a token of NEW_TOKEN proves its address for a day, on any port") {
        for (const char* ip : {"192.0.2.7", "2001:db8::7"}) {
            CAPTURE(ip);
            client = elsewhere(ip, 4000);
            const auto made_at = now;
            const auto token = later();
            REQUIRE(token.size > 0);
            CHECK(show(token, client).kind == Kind::token);
            CHECK(show(token, elsewhere(ip, 1)).kind == Kind::token);
            CHECK(show(token, client, id(9), 0x6b3343cf).kind == Kind::token);
            CHECK(show(token, elsewhere("192.0.2.8", 4000)).kind == Kind::none);
            now = made_at + 24h - 1ms;
            later();  // makes the secrets rotate
            CHECK(show(token, client).kind == Kind::token);
            now = made_at + 24h + 1ms;
            CHECK(show(token, client).kind == Kind::none);
        }
    }

    TEST_CASE_FIXTURE(Fixture, "no changed bit and no cut is taken for a token") {
        for (const auto& token : {retry(), later()}) {
            for (std::size_t bit = 0; bit < token.size * 8; ++bit) {
                auto forged = token;
                forged.bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
                CHECK(show(forged, client).kind == Kind::none);
            }
            for (std::size_t size = 0; size < token.size; ++size) {
                auto cut = token;
                cut.size = size;
                CHECK(show(cut, client).kind == Kind::none);
            }
        }
    }

    TEST_CASE_FIXTURE(Fixture, "another server's tokens are nothing") {
        quic::AddressTokens other;
        auto token = other.make_retry(now, client, ids, random);
        CHECK(show(token, client).kind == Kind::none);
        token = other.make(now, client, random);
        CHECK(show(token, client).kind == Kind::none);
    }

    TEST_CASE_FIXTURE(Fixture, "a secret opens what it sealed for one period, and not for two") {
        crypto::RotatingSecret secret(1h);
        secret.rotate(now, random);
        const auto first = secret.current();
        now += 1h - 1ns;
        secret.rotate(now, random);
        CHECK(secret.current() == first);
        now += 1ns;
        secret.rotate(now, random);
        CHECK(secret.current() != first);
        CHECK(secret.previous() == first);
        now += 2h;
        secret.rotate(now, random);
        CHECK(secret.previous() != first);
        CHECK(secret.current() != secret.previous());
    }
}
