// One seed, one course of events: a whole exchange over QUIC on a lossy link, with fresh
// certificates and keys, is the same in every byte in two worlds and in two processes.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include <post/post.hpp>

#include "tests/seed.hpp"
#include "tests/sim/ambient.hpp"
#include "tests/sim/child.hpp"
#include "tests/sim/node.hpp"

using namespace post;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

constexpr const char* story = "tells the digest of an exchange";

// Apart, since GnuTLS keeps a random generator for each thread (tests/sim/ambient.hpp).
std::string digest_of_an_exchange(std::uint64_t seed) {
    std::ostringstream digest;
    sim::ambient::apart([&] {
        sim::World world{seed};
        world.record("reproducible");
        auto& near = world.host("10.0.0.1");
        auto& far = world.host("10.0.0.2");
        world.link(near, far, {.delay = 20ms, .rate = 10'000'000, .loss = 0.02});
        world.name("server.test", {"10.0.0.2"});
        const Identity identity = Identity::self_signed("server.test");

        sim::Node server{world, far};
        auto listener = server->listen({.port = 4433, .identity = identity});
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content());
                return true;
            });
            return true;
        });
        sim::Node client{world, near};
        auto carrier = client->initiate("post://server.test:4433",
                                        {.trust = Trust::pinned(identity.pin())});
        std::size_t bytes = 0;
        carrier.send("hello");
        carrier.send(std::string(300'000, 'x'));
        carrier.ready([&](Carrier&, InMessage message) {
            bytes += message.size();
            return true;
        });
        CHECK(world.run_until([&] { return bytes == 300'005; }, 60s));
        world.run_for(1s);
        digest << std::hex << world.digest();
    });
    return digest.str();
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("tells the digest of an exchange" * doctest::skip()) {
        sim::say(digest_of_an_exchange(test::seed()));
    }

    TEST_CASE("an exchange is the same in every byte for the same seed") {
        const std::string here = digest_of_an_exchange(test::seed());
        CHECK(here == digest_of_an_exchange(test::seed()));
        CHECK(here != digest_of_an_exchange(test::seed() + 1));
        CHECK(here + '\n' == sim::run_in_child(story, test::seed()));
    }
}
