// TicketKeys: the secrets of a server's tickets change each hour, and the one before still opens.
#include "mappings/crypto/ticket_keys.hpp"

#include <doctest/doctest.h>

namespace post::test {

namespace {

using namespace std::chrono_literals;
using crypto::TicketKeys;

const Instant start{1h};
const TicketKeys::Name one{std::byte{1}};
const TicketKeys::Name two{std::byte{2}};

crypto::RotatingSecret::Random counting() {
    return [next = 0](std::span<std::byte> out) mutable {
        for (std::byte& byte : out) byte = static_cast<std::byte>(++next & 0xff);
    };
}

struct Source final : TicketKeySource {
    Secrets secrets() override {
        ++asked;
        return given;
    }
    Secrets given{std::string(32, 'a'), {}};
    int asked = 0;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a key seals for an hour, and opens for one more") {
        TicketKeys keys(counting(), nullptr);
        CHECK_FALSE(keys.current("x"));
        keys.refresh(start);
        const auto first = keys.current("x");
        REQUIRE(first);
        CHECK_FALSE(keys.named("x", one));
        keys.learn(one, *first);
        keys.refresh(start + 1h - 1ns);
        CHECK(keys.current("x")->bytes == first->bytes);
        keys.refresh(start + 1h);
        CHECK(keys.current("x")->bytes != first->bytes);
        REQUIRE(keys.named("x", one));
        CHECK(keys.named("x", one)->bytes == first->bytes);
        keys.learn(two, *keys.current("x"));
        keys.refresh(start + 2h);
        CHECK_FALSE(keys.named("x", one));
        CHECK(keys.named("x", two));
        // Nobody came for so long that both are too old.
        keys.refresh(start + 4h);
        CHECK_FALSE(keys.named("x", two));
    }

    TEST_CASE("each scope has keys of its own, whatever a ticket names") {
        TicketKeys keys(counting(), nullptr);
        keys.refresh(start);
        const auto mine = keys.current("quic, nobody asked");
        const auto theirs = keys.current("quic, certificates required");
        CHECK(mine->bytes != theirs->bytes);
        keys.learn(one, *mine);
        CHECK(keys.named("quic, certificates required", one)->bytes == theirs->bytes);
    }

    TEST_CASE("a source is asked once a minute, and what it calls previous is known again") {
        Source source;
        TicketKeys keys(counting(), &source);
        keys.refresh(start);
        keys.refresh(start + 1min - 1ns);
        CHECK(source.asked == 1);
        const auto first = keys.current("x");
        keys.learn(one, *first);
        source.given = {std::string(32, 'b'), std::string(32, 'a')};
        keys.refresh(start + 1min);
        CHECK(source.asked == 2);
        CHECK(keys.current("x")->bytes != first->bytes);
        CHECK(keys.named("x", one)->bytes == first->bytes);
        // Two that have the same secret seal alike.
        Source other;
        TicketKeys elsewhere(counting(), &other);
        elsewhere.refresh(start);
        CHECK(elsewhere.current("x")->bytes == first->bytes);
        source.given = {std::string(31, 'b'), {}};
        keys.refresh(start + 2min);
        CHECK_FALSE(keys.current("x"));
        CHECK_FALSE(keys.named("x", one));
    }
}

}  // namespace post::test
