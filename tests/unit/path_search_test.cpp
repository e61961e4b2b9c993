// PathSearch: which sizes are tried, and what becomes of a size that does not pass any more.
#include "mappings/sctp/path_search.hpp"

#include <vector>

#include <doctest/doctest.h>

using namespace post;
using namespace std::chrono_literals;

namespace {

// A path that carries so much: the probes that it sees until the search rests.
std::vector<std::size_t> probes(sctp::PathSearch& search, Instant& now, std::size_t carries) {
    std::vector<std::size_t> seen;
    for (int i = 0; i < 100; ++i) {
        if (const std::size_t size = search.poll(now)) {
            seen.push_back(size);
            if (size <= carries) search.on_answer(now, size);
            continue;
        }
        if (search.deadline() > now + sctp::PathSearch::answer_time) break;
        now = search.deadline();
        search.on_timeout(now);
    }
    return seen;
}

using Sizes = std::vector<std::size_t>;

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("sctp: what the interface takes is tried first, and that is all where it passes") {
        Instant now(100s);
        sctp::PathSearch search(1200, 1472);
        CHECK(search.poll(now) == 0);  // not begun
        search.start(now);
        CHECK(probes(search, now, 1472) == Sizes{1472});
        CHECK(search.size() == 1472);
        CHECK(search.deadline() == never);
    }

    TEST_CASE("sctp: three probes in vain exclude a size and what is larger") {
        Instant now(100s);
        sctp::PathSearch search(1200, 8972);
        search.start(now);
        CHECK(probes(search, now, 1452) == Sizes{8972, 8972, 8972, 1452, 4096, 4096, 4096});
        CHECK(search.size() == 1452);
        CHECK(search.deadline() >= now + 9min);
        now = search.deadline();
        CHECK_FALSE(search.on_timeout(now));
        CHECK(probes(search, now, 8972) == Sizes{8972});
        CHECK(search.size() == 8972);
    }

    TEST_CASE("sctp: where nothing larger passes it stays with what is sure") {
        Instant now(100s);
        sctp::PathSearch search(1200, 1472);
        search.start(now);
        CHECK(probes(search, now, 1200).size() == 4 * 3);  // 1472, 1452, 1406, 1342
        CHECK(search.size() == 1200);
        sctp::PathSearch none(1200, 0);
        none.start(now);
        CHECK(none.poll(now) == 0);
        CHECK(none.size() == 1200);
        CHECK(none.deadline() == never);
    }

    TEST_CASE("sctp: a loss asks the path again, which falls back when it is silent") {
        Instant now(100s);
        sctp::PathSearch search(1200, 1472);
        search.on_loss(now);
        CHECK(search.poll(now) == 0);  // what is sure is not doubted
        search.start(now);
        probes(search, now, 1472);
        search.on_loss(now);
        CHECK(search.poll(now) == 1472);
        CHECK_FALSE(search.on_answer(now, 1472));
        CHECK(search.size() == 1472);
        search.on_loss(now + 500ms);  // too soon after the last
        CHECK(search.poll(now + 500ms) == 0);
        now += 1s;
        search.on_loss(now);
        CHECK(probes(search, now, 1400) ==
              Sizes{1472, 1472, 1472, 1452, 1452, 1452, 1406, 1406, 1406, 1342});
        CHECK(search.size() == 1342);
    }

    TEST_CASE("sctp: an answer to another probe is nothing") {
        Instant now(100s);
        sctp::PathSearch search(1200, 1472);
        CHECK_FALSE(search.on_answer(now, 1472));
        search.start(now);
        REQUIRE(search.poll(now) == 1472);
        CHECK_FALSE(search.on_answer(now, 65535));
        CHECK(search.size() == 1200);
        CHECK(search.on_answer(now, 1472));
        CHECK_FALSE(search.on_answer(now, 1472));
    }
}
