// TokenStore: what servers give is kept in bounds, and used once.
#include "mappings/quic/token_store.hpp"

#include <string>

#include <doctest/doctest.h>

using post::quic::TokenStore;

namespace {

TokenStore::Token token(std::uint8_t first, std::size_t size = 32) {
    return TokenStore::Token(size, first);
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a token is given out once, the newest first, two a peer") {
        TokenStore store;
        CHECK(store.take("a").empty());
        for (std::uint8_t i = 1; i <= 3; ++i) store.keep("a", token(i));
        store.keep("b", token(9));
        CHECK(store.take("a") == token(3));
        CHECK(store.take("a") == token(2));
        CHECK(store.take("a").empty());
        CHECK(store.take("b") == token(9));
        CHECK(store.peers() == 0);
    }

    TEST_CASE("tokens that are too large, or nothing, are not kept") {
        TokenStore store;
        store.keep("a", token(1, TokenStore::largest + 1));
        store.keep("a", {});
        CHECK(store.peers() == 0);
        store.keep("a", token(1, TokenStore::largest));
        CHECK(store.take("a").size() == TokenStore::largest);
    }

    TEST_CASE("of too many peers the one not heard of for longest goes") {
        TokenStore store;
        const auto name = [](std::size_t i) { return "peer " + std::to_string(i); };
        for (std::size_t i = 0; i < TokenStore::most_peers; ++i) store.keep(name(i), token(1));
        store.keep(name(0), token(2));
        store.keep("one more", token(3));
        CHECK(store.peers() == TokenStore::most_peers);
        CHECK(store.take(name(1)).empty());
        CHECK(store.take(name(0)) == token(2));
        CHECK(store.take("one more") == token(3));
    }
}
