// DTLS sessions, both ends in memory: handshakes, and what a bad network or peer cannot do to them.
#include "tests/unit/dtls_support.hpp"

#include <doctest/doctest.h>

namespace post::test {

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
        }
    }
}

}  // namespace post::test
