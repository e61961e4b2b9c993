// A30: a certificate chain that is a bomb, shown by the server of a DTLS session: refused within
// its bounds, whatever it is made of.
#include <doctest/doctest.h>

#include <string>

#include "tests/hostile/stopwatch.hpp"
#include "tests/hostile/table.hpp"
#include "tests/unit/dtls_support.hpp"

namespace post::test {

namespace {

// A chain of so many, each signed by the next, the last by itself.
Identity chain_of(int length) {
    Identity issuer = dtls_identity({"root.example"}, nullptr, true);
    const std::string key = issuer.key().string();
    for (int i = 1; i < length; ++i) {
        const bool leaf = i + 1 == length;
        Identity next = dtls_identity({leaf ? "server.example" : "middle.example"}, &issuer, !leaf);
        std::string chain = next.certificates().string();
        // What it was made with may be there already.
        if (chain.find("BEGIN", 10) == std::string::npos) chain += issuer.certificates().string();
        issuer = Identity::from_pem(chain, next.key().string());
    }
    return issuer;
}

struct Outcome {
    Error error;
    double seconds = 0;
};

Outcome shown(const Identity& identity) {
    DtlsPairOptions options;
    options.server.identity = identity;
    options.client.trust = Trust::authorities(
        dtls_identity({"other.example"}, nullptr, true).certificates().view());
    DtlsPair pair(options);
    const Stopwatch stopwatch;
    pair.run();
    return {pair.client.error(), stopwatch.seconds()};
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A30: a chain of 40 certificates, and one above 32 KiB, are refused in their time") {
        const std::string one = dtls_identity({"middle.example"}).certificates().string();
        const Identity server = dtls_server_identity();
        double most = 0;
        for (const int count : {7, 40, 200}) {
            CAPTURE(count);
            std::string bomb = server.certificates().string();
            for (int i = 0; i < count; ++i) bomb += one;
            const Outcome outcome = shown(Identity::from_pem(bomb, server.key().string()));
            CHECK(outcome.error);
            most = std::max(most, outcome.seconds);
        }
        const Outcome deep = shown(chain_of(12));
        CHECK(deep.error);
        most = std::max(most, deep.seconds);
        if (!sanitized()) CHECK(most <= 0.1);
        measured("A30", "certificate chains", time_figure(most, 0.1));
    }
}

}  // namespace post::test
