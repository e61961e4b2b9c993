// SCTP right over UDP between two ends that speak a foreign protocol: what is cut into packets
// comes out whole.
#include "tests/scenario/scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("sctp-udp: messages of several packets go both ways between plain ends") {
        for (const double loss : {0.0, 0.02})
            for (const std::uint64_t seed : seeds(2)) {
                CAPTURE(loss);
                CAPTURE(seed);
                Scene scene(seed, {.delay = 15ms, .rate = 10'000'000, .loss = loss});
                const Policy policy{Security::none, {Stack::sctp_udp}};
                scene.echo({.policy = policy, .alpn = {"echo"}});
                InitiateOptions options;
                options.policy = policy;
                options.alpn = "echo";
                Carrier first = scene.near_context().initiate(
                    Remote("server.test", server_port, Scheme::sctp), options);
                Carrier second = first.fork();
                for (Carrier* carrier : {&first, &second})
                    for (const std::size_t size : {1000, 2000, 3000, 10'000, 60'000}) {
                        CAPTURE(size);
                        const std::string content(size, 'x');
                        carrier->send(content);
                        auto back = carrier->receive();
                        REQUIRE(scene.until([&] { return back.ready(); }, 30s));
                        auto got = back.get();
                        REQUIRE(got.has_value());
                        CHECK(got->view() == content);
                    }
            }
    }
}

}  // namespace post::test
