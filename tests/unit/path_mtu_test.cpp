// PathMtu and Probes: which sizes are tried, and when a path's size is not believed any more.
#include "mappings/quic/path_mtu.hpp"

#include <vector>

#include <doctest/doctest.h>

using namespace post;
using namespace std::chrono_literals;

namespace {

std::vector<std::uint16_t> probes(std::size_t largest) {
    const quic::Probes made(largest);
    return {made.sizes().begin(), made.sizes().end()};
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("probes begin with what the interface allows, and none is larger") {
        CHECK(probes(1200).empty());
        CHECK(probes(1201) == std::vector<std::uint16_t>{1201});
        CHECK(probes(1452) == std::vector<std::uint16_t>{1452, 1406, 1342, 1232});
        CHECK(probes(1472) == std::vector<std::uint16_t>{1472, 1452, 1406, 1342, 1232});
        CHECK(probes(8972) == std::vector<std::uint16_t>{8972, 1452, 4096, 8952, 1406, 1342, 1232});
        CHECK(probes(65507) ==
              std::vector<std::uint16_t>{65507, 1452, 4096, 8952, 16384, 32768, 1406, 1342, 1232});
        CHECK(probes(100'000).front() == 65507);
    }

    TEST_CASE("three PTO without progress make packets small, and they grow again") {
        quic::PathMtu mtu;
        auto now = Instant(100s);
        mtu.on_progress(now);
        CHECK(mtu.deadline() == never);
        CHECK_FALSE(mtu.on_timeout(now + 299ms, 100ms, 1452));
        CHECK_FALSE(mtu.on_timeout(now + 300ms, 100ms, 1200));  // there is nothing smaller
        CHECK(mtu.most() > 65507);
        CHECK(mtu.on_timeout(now + 300ms, 100ms, 1452));
        CHECK(mtu.most() == 1200);
        CHECK(mtu.deadline() == now + 300ms + 10s);
        CHECK_FALSE(mtu.on_timeout(now + 10s, 100ms, 1452));
        CHECK(mtu.on_timeout(now + 10'300ms, 100ms, 1452));
        CHECK(mtu.most() > 65507);
        CHECK(mtu.deadline() == never);
    }

    TEST_CASE("the same black hole is tried again ever more rarely, a new one at once") {
        quic::PathMtu mtu;
        auto now = Instant(100s);
        Duration expected = 10s;
        for (int i = 0; i < 10; ++i) {
            now += 1s;
            CHECK(mtu.on_timeout(now, 100ms, 1452));
            CHECK(mtu.deadline() - now == std::min<Duration>(expected, 10min));
            now = mtu.deadline();
            CHECK(mtu.on_timeout(now, 100ms, 1452));
            expected *= 2;
        }
        now += 1h;
        CHECK(mtu.on_timeout(now, 100ms, 1452));
        CHECK(mtu.deadline() - now == Duration(10s));
    }
}
