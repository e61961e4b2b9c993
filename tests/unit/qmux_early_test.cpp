// The limits by which early data goes on QMux, and what becomes of them when the peer says its own.
#include <doctest/doctest.h>

#include "mappings/tls/qmux.hpp"
#include "tests/hostile/frames.hpp"

using namespace post;
using namespace post::test;

namespace {

// A client that resumes a session with what it remembers of the server.
struct Resumed {
    explicit Resumed(const tls::Parameters& remembered) { qmux.remember(remembered); }
    bool hear(const tls::Parameters& said) {
        const auto content = tls::encode(said);
        const std::string text(reinterpret_cast<const char*>(content.data()), content.size());
        const std::string record = frame::record(frame::qx_parameters(text));
        return qmux.handle_input(now, std::as_bytes(std::span(record)));
    }

    Instant now{std::chrono::seconds(1)};
    streams::Pools pools;
    streams::Streams streams{Role::client, Limits{}, 7, pools};
    tls::Qmux qmux{Role::client, Limits{}, streams};
};

tls::Parameters usual() {
    tls::Parameters parameters;
    parameters.max_data = 100'000;
    parameters.stream_data_ours = parameters.stream_data_theirs = 30'000;
    parameters.stream_data_one_way = 20'000;
    parameters.streams = 100;
    parameters.streams_one_way = 101;
    parameters.datagram_frame_size = 1000;
    return parameters;
}

}  // namespace

TEST_SUITE("unit") {
    // RFC 9000, 7.4.1, to which QMux, Using 0-RTT, holds servers.
    TEST_CASE("qmux: a server that took early data may raise what was remembered, not reduce it") {
        Resumed same(usual());
        CHECK(same.hear(usual()));
        CHECK(same.qmux.ready());
        auto more = usual();
        more.max_data *= 2;
        more.streams += 1;
        more.stream_data_theirs += 1;
        Resumed raised(usual());
        CHECK(raised.hear(more));
        CHECK(raised.qmux.data_left() == 200'000);

        for (const auto value :
             {&tls::Parameters::max_data, &tls::Parameters::stream_data_ours,
              &tls::Parameters::stream_data_theirs, &tls::Parameters::stream_data_one_way,
              &tls::Parameters::streams, &tls::Parameters::streams_one_way,
              &tls::Parameters::datagram_frame_size}) {
            auto less = usual();
            less.*value -= 1;
            Resumed reduced(usual());
            CHECK_FALSE(reduced.hear(less));
            REQUIRE(reduced.qmux.violation());
            CHECK(reduced.qmux.violation()->code == tls::TransportError::protocol_violation);
        }
    }

    TEST_CASE("qmux: behind early data that was rejected the server may say what it likes") {
        auto less = usual();
        less.max_data = less.streams = 1;
        Resumed rejected(usual());
        rejected.qmux.begin_again();
        CHECK(rejected.hear(less));
        CHECK(rejected.qmux.data_left() == 1);
    }
}
