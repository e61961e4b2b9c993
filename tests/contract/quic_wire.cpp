// QUIC: what the wire can do to a connection: loss, repetition, garbage, reflection, and a peer
// that breaks the rules. Nothing but the peer's own packets may change anything.

#include <array>

#include "mappings/framing/post_framing.hpp"
#include "tests/contract/support.hpp"

namespace post::test {

namespace {

// A client that writes its streams by hand, to a server that expects Post frames.
QuicOptions by_hand() {
    QuicOptions options(seeded());
    options.client_raw = true;
    return options;
}

template <class... Frames> Bytes framed(const Frames&... frames) {
    framing::Encoder encoder;
    std::vector<std::byte> bytes;
    auto write = [&](const auto& frame) {
        std::array<std::byte, framing::largest_frame> space;
        auto size = encoder.write(space, frame);
        bytes.insert(bytes.end(), space.begin(), space.begin() + static_cast<std::ptrdiff_t>(size));
        if constexpr (requires { frame.bytes; })
            bytes.insert(bytes.end(), frame.bytes.begin(), frame.bytes.end());
    };
    (write(frames), ...);
    return Bytes(std::span<const std::byte>(bytes));
}

Piece message(std::uint64_t carrier, std::string_view text) {
    Piece piece;
    piece.carrier = CarrierId{carrier};
    piece.bytes = Bytes(text);
    piece.total = text.size();
    return piece;
}

std::vector<std::byte> initial_of_version(std::uint32_t version, std::size_t size) {
    std::vector<std::byte> datagram(size);
    datagram[0] = std::byte{0xc3};
    for (unsigned i = 0; i < 4; ++i)
        datagram[1 + i] = static_cast<std::byte>(version >> (24 - 8 * i) & 0xff);
    datagram[5] = std::byte{8};   // destination id: 8 bytes
    datagram[14] = std::byte{8};  // source id: 8 bytes
    return datagram;
}

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("quic: everything arrives over a link that loses, repeats and reorders") {
        for (std::uint64_t offset = 0; offset < 8; ++offset) {
            auto options = seeded();
            options.seed += offset;
            CAPTURE(options.seed);
            options.link = {20ms, 0.08, 0.05, 15ms};
            QuicPair pair(options);
            REQUIRE(pair.connect());
            std::vector<CarrierId> carriers;
            for (int i = 0; i < 5; ++i) {
                carriers.push_back(pair.client.open());
                pair.client.send_cut(carriers.back(), Bytes(pattern(60000)), 7000);
                for (int k = 0; k < 20; ++k) pair.client.send(carriers.back(), pattern(100));
                pair.client.finish(carriers.back());
            }
            CHECK(pair.run_until(
                [&] { return pair.server.all<event::Finished>().size() == carriers.size(); },
                300s));
            for (auto carrier : carriers) {
                auto messages = pair.server.messages(carrier);
                REQUIRE(messages.size() == 21);
                CHECK(messages.front() == pattern(60000));
                pair.server.finish(carrier);
            }
            CHECK(pair.run_until(
                [&] { return pair.client.all<event::Ended>().size() == carriers.size(); }, 60s));
            pair.run(5s);
            CHECK(pair.client.mapping->quiet());
            CHECK(pair.server.mapping->quiet());
            // ngtcp2 counts packets since 1.16.
            auto path = pair.client.mapping->path();
            if (path.packets_sent > 0) CHECK(path.packets_lost > 0);
        }
    }

    TEST_CASE("quic: garbage changes nothing") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        pair.run(1s);
        std::mt19937_64 random(seed());
        auto real = pair.history(true);
        for (int i = 0; i < 3000; ++i) {
            std::vector<std::byte> datagram;
            if (i % 3 == 0) {
                datagram.resize(random() % 1500);
                for (auto& byte : datagram) byte = static_cast<std::byte>(random() & 0xff);
            } else {
                // A real one with a few bits wrong, or cut.
                datagram = real[random() % real.size()];
                for (auto flips = random() % 4; flips > 0 || i % 3 == 1; --flips) {
                    datagram[random() % datagram.size()] ^= static_cast<std::byte>(1
                                                                                   << random() % 8);
                    if (flips == 0) break;
                }
                if (i % 3 == 2) datagram.resize(1 + random() % datagram.size());
            }
            pair.inject(random() % 2 == 0, std::move(datagram));
        }
        CHECK_FALSE(pair.client.lost());
        CHECK_FALSE(pair.server.lost());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "still fine");
        CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 1; }));
    }

    TEST_CASE("quic: replayed and reflected datagrams change nothing") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "once");
        pair.run(1s);
        auto before = pair.server.events.size();
        auto to_server = pair.history(true);
        auto to_client = pair.history(false);
        for (int round = 0; round < 3; ++round) {
            for (const auto& datagram : to_server) {
                pair.inject(true, datagram);
                pair.inject(false, datagram);
            }
            for (const auto& datagram : to_client) {
                pair.inject(true, datagram);
                pair.inject(false, datagram);
            }
        }
        pair.run(1s);
        CHECK(pair.server.events.size() == before);
        CHECK_FALSE(pair.client.lost());
        CHECK_FALSE(pair.server.lost());
    }

    TEST_CASE("quic: an unknown version is answered with those we know, and sparingly") {
        QuicPair pair(seeded());
        auto& endpoint = pair.server_endpoint();
        std::array<std::byte, 1500> space;
        auto ask = [&](std::size_t size, Instant now) {
            auto datagram = initial_of_version(0xff00001d, size);
            Datagrams run;
            run.segment = datagram.size();
            run.bytes = datagram;
            auto routed = endpoint.route(now, run, space);
            auto* answer = std::get_if<quic::Endpoint::Answer>(&routed);
            return answer ? answer->size : 0;
        };
        auto now = pair.now();
        CHECK(ask(1199, now) == 0);
        auto size = ask(1200, now);
        CHECK(size > 7);
        CHECK(size < 100);
        std::size_t answered = 0;
        for (int i = 0; i < 1000; ++i) answered += ask(1200, now) > 0;
        CHECK(answered == 99);
        now += 1s;
        for (int i = 0; i < 1000; ++i) answered += ask(1200, now) > 0;
        CHECK(answered == 199);
    }

    TEST_CASE("quic: half-open connections are counted and capped") {
        quic::EndpointOptions options;
        options.random = [state = std::mt19937_64(7)](std::span<std::byte> bytes) mutable {
            for (auto& byte : bytes) byte = static_cast<std::byte>(state() & 0xff);
        };
        options.most_half_open = 3;
        quic::Endpoint endpoint(std::move(options));
        std::vector<std::unique_ptr<Mapping>> made;
        auto now = Instant(1s);
        for (std::uint64_t i = 0; i < 5; ++i) {
            auto from = seeded();
            from.seed = 100 + i;
            QuicPair pair(from);
            pair.run(0s);
            auto initial = pair.history(true).front();
            Datagrams run;
            run.local = *Address::parse("192.0.2.2", 4433);
            run.remote = *Address::parse("192.0.2.1", static_cast<std::uint16_t>(1000 + i));
            run.segment = initial.size();
            run.bytes = initial;
            std::array<std::byte, 1500> space;
            auto routed = endpoint.route(now, run, space);
            CHECK(std::holds_alternative<quic::Endpoint::NewClient>(routed) == (i < 3));
            quic::AcceptOptions accept;
            accept.security.identity = server_identity();
            auto connection = endpoint.accept(now, TransientId{i}, accept, run);
            CHECK(static_cast<bool>(connection) == (i < 3));
            if (connection) made.push_back(std::move(*connection));
        }
        CHECK(endpoint.half_open() == 3);
        // They go when their time is over, and leave nothing.
        for (auto& mapping : made) mapping->handle_timeout(now + 11s);
        CHECK(endpoint.half_open() == 0);
        made.clear();
        CHECK(endpoint.routes() == 0);
    }

    TEST_CASE("quic: a closed connection still answers late packets, ever more rarely") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        pair.run(1s);
        pair.server.mapping->close(Errc::context_closed);
        pair.transmit_now();
        pair.server.mapping.reset();
        auto late = pair.history(true).back();
        for (int i = 0; i < 100; ++i) pair.inject(true, late);
        CHECK(pair.answers() > 3);
        CHECK(pair.answers() < 10);
        pair.run(1s);
        REQUIRE(pair.client.lost());
        CHECK(*pair.client.lost() == Errc::connection_closed);
        // Then it is forgotten, and all that is left to say is just that.
        pair.run(10s);
        late.resize(100, std::byte{1});
        pair.inject(true, late);
        CHECK(pair.last_answer().size() == 42);
        CHECK(pair.server_endpoint().routes() == 0);
    }

    TEST_CASE("quic: a stream cut inside a message is an error and never a short message") {
        for (bool with_fin : {false, true}) {
            CAPTURE(with_fin);
            QuicPair pair(by_hand());
            REQUIRE(pair.connect());
            auto raw = pair.client.open();
            auto bytes = framed(Open{CarrierId{0}, {}, CarrierKind::messages}, message(0, "whole"),
                                message(0, "cut short"));
            pair.client.send(raw, with_fin ? bytes : bytes.slice(0, bytes.size() - 4));
            pair.client.finish(raw);
            pair.run(1s);
            auto messages = pair.server.messages(CarrierId{0});
            CHECK(messages.size() == (with_fin ? 2 : 1));
            CHECK(pair.server.all<event::Finished>().empty());
            auto resets = pair.server.all<event::Reset>();
            REQUIRE(resets.size() == 1);
            CHECK(resets[0].error == Errc::protocol_violation);
            CHECK_FALSE(pair.server.lost());
        }
    }

    TEST_CASE("quic: frames that break the rules end the connection") {
        struct Case {
            const char* name;
            Bytes bytes;
            bool one_way = false;
        };
        const std::vector<Case> cases = {
            {"an id of the server's", framed(Open{CarrierId{1}, {}, CarrierKind::messages})},
            {"one-way on a bidirectional stream",
             framed(Open{CarrierId{0}, {}, CarrierKind::one_way})},
            {"messages on a unidirectional stream",
             framed(Open{CarrierId{0}, {}, CarrierKind::messages}), true},
            {"no OPEN", framed(message(0, "hello"))},
            {"settings on a bidirectional stream", framed(Settings{})},
            {"noise", Bytes(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))},
        };
        for (const auto& one : cases) {
            CAPTURE(one.name);
            QuicPair pair(by_hand());
            REQUIRE(pair.connect());
            auto raw = pair.client.open(one.one_way ? CarrierKind::one_way : CarrierKind::messages);
            pair.client.send(raw, one.bytes);
            pair.run(1s);
            REQUIRE(pair.server.lost());
            CHECK(*pair.server.lost() == Errc::protocol_violation);
            CHECK_FALSE(pair.server.lost()->detail.empty());
            CHECK(pair.client.lost());
            CHECK(pair.server.mapping->over());
        }
    }

    TEST_CASE("quic: two streams may not open the same carrier") {
        QuicPair pair(by_hand());
        REQUIRE(pair.connect());
        for (int i = 0; i < 2; ++i)
            pair.client.send(pair.client.open(),
                             framed(Open{CarrierId{4}, {}, CarrierKind::messages}));
        pair.run(1s);
        REQUIRE(pair.server.lost());
        CHECK(*pair.server.lost() == Errc::protocol_violation);
    }

    TEST_CASE("quic: opening and resetting in a loop is excessive load") {
        auto options = by_hand();
        QuicPair pair(options);
        REQUIRE(pair.connect());
        pair.run(1s);
        for (int i = 0; i < 3000 && !pair.server.lost(); ++i) {
            auto raw = pair.client.open();
            pair.client.send(
                raw, framed(Open{
                         CarrierId{static_cast<std::uint64_t>(i) * 2}, {}, CarrierKind::messages}));
            pair.transmit_now();
            pair.client.mapping->reset(raw, abort_error(1));
            if (i % 20 == 0) pair.run(25ms);
            for (const auto& opened : pair.server.all<event::Opened>())
                pair.server.mapping->reset(opened.open.carrier, abort_error(2));
        }
        pair.run(1s);
        REQUIRE(pair.server.lost());
        CHECK(*pair.server.lost() == Errc::excessive_load);
        CHECK(pair.server.all<event::Reset>().size() <= 1600);
    }
}

}  // namespace post::test
