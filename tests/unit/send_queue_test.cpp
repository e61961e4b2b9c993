// SendQueue: order, bounds, and parts of runs.
#include "lib/io/send_queue.hpp"

#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using post::Datagrams;
using post::io::SendQueue;

namespace {

Datagrams run_of(const std::vector<std::byte>& bytes, std::size_t segment) {
    Datagrams run;
    run.segment = segment;
    run.bytes = bytes;
    return run;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("runs leave the queue in order, whole or datagram by datagram") {
        SendQueue queue;
        CHECK(queue.empty());
        std::vector<std::byte> first(250, std::byte{1});
        CHECK(queue.push(run_of(first, 100)));
        CHECK(queue.push(run_of(std::vector<std::byte>(10, std::byte{2}), 10)));
        first.assign(250, std::byte{9});  // the queue has a copy

        CHECK(queue.front().count() == 3);
        CHECK(queue.front().bytes[0] == std::byte{1});
        queue.pop(2);
        CHECK(queue.front().count() == 1);
        CHECK(queue.front().bytes.size() == 50);
        queue.pop(0);
        CHECK(queue.front().bytes.size() == 50);
        queue.pop(1);
        CHECK(queue.front().bytes[0] == std::byte{2});
        queue.pop(1);
        CHECK(queue.empty());
    }

    TEST_CASE("the queue is bounded in bytes and in runs") {
        SendQueue queue;
        const std::vector<std::byte> large(64 * 1024);
        for (int i = 0; i < 16; ++i) CHECK(queue.push(run_of(large, 1024)));
        CHECK_FALSE(queue.push(run_of(std::vector<std::byte>(1), 1)));
        queue.pop(1);
        CHECK(queue.push(run_of(std::vector<std::byte>(1024), 1024)));
        CHECK_FALSE(queue.push(run_of(std::vector<std::byte>(1), 1)));

        queue.clear();
        for (std::size_t i = 0; i < SendQueue::most_runs; ++i)
            REQUIRE(queue.push(run_of(std::vector<std::byte>(1), 1)));
        CHECK_FALSE(queue.push(run_of(std::vector<std::byte>(1), 1)));
    }

    TEST_CASE("a queue that never empties keeps its order and its bound") {
        SendQueue queue;
        std::uint8_t in = 0;
        std::uint8_t out = 0;
        for (int i = 0; i < 3000; ++i) {
            for (int k = 0; k < (i < 10 ? 3 : 1); ++k)
                REQUIRE(queue.push(run_of(std::vector<std::byte>(20'000, std::byte{in++}), 1000)));
            REQUIRE(queue.front().bytes[0] == std::byte{out});
            REQUIRE(queue.front().bytes.back() == std::byte{out});
            queue.pop(5);
            queue.pop(15);
            ++out;
        }
        CHECK_FALSE(queue.empty());
    }
}
