// QUIC: who must prove its address, how, and what strangers are told. Nothing is kept of anybody
// who has not proved it, and nobody gains by asking in somebody else's name.

#include <array>
#include <set>

#include "tests/contract/support.hpp"
#include "tests/hostile/forge.hpp"

namespace post::test {

namespace {

using quic::Endpoint;

// A server's endpoint by itself, and clients' first packets for it.
struct Door {
    explicit Door(std::size_t validate_from, std::size_t most = 1024) {
        quic::EndpointOptions options;
        options.random = [state = std::mt19937_64(seed())](std::span<std::byte> bytes) mutable {
            for (auto& byte : bytes) byte = static_cast<std::byte>(state() & 0xff);
        };
        options.validate_from = validate_from;
        options.most_half_open = most;
        endpoint.emplace(std::move(options));
    }

    Endpoint::Routed knock(const std::vector<std::byte>& datagram, std::uint16_t port = 5000) {
        Datagrams run;
        run.local = *Address::parse("192.0.2.2", 4433);
        run.remote = *Address::parse("192.0.2.1", port);
        run.segment = datagram.size();
        run.bytes = datagram;
        return endpoint->route(now, run, answer);
    }
    std::span<const std::byte> answer_of(const Endpoint::Routed& routed) const {
        const auto* found = std::get_if<Endpoint::Answer>(&routed);
        return found ? std::span(answer).first(found->size) : std::span<const std::byte>{};
    }

    std::optional<Endpoint> endpoint;
    Instant now{1s};
    std::array<std::byte, 1500> answer{};
};

// A client's first packet; with a token it is what follows a Retry.
std::vector<std::byte> first_packet(std::uint64_t offset = 0) {
    QuicOptions options(seeded());
    options.seed += 1000 + offset;
    QuicPair pair(options);
    pair.transmit_now();
    return pair.history(true).front();
}

bool is_retry(std::span<const std::byte> packet) {
    return packet.size() > 20 && (std::to_integer<unsigned>(packet[0]) & 0xf0) == 0xf0;
}

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("quic: a server that always asks sends Retry, and the connection comes") {
        for (auto version : {QuicVersion::v1, QuicVersion::v2}) {
            QuicOptions options(seeded());
            options.validate_from = 0;
            options.client_transport.versions = {version};
            QuicPair pair(options);
            REQUIRE(pair.connect());
            CHECK(pair.answers() == 1);
            CHECK(pair.client.mapping->path().version == static_cast<std::uint32_t>(version));
            auto carrier = pair.client.open();
            pair.client.send(carrier, "hello");
            CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 1; }));
        }
    }

    TEST_CASE(
        "quic: Retry is asked of whom comes when 128 handshakes are open, and keeps nothing") {
        Door door(2);
        std::vector<std::unique_ptr<Mapping>> made;
        quic::AcceptOptions accept;
        accept.security.identity = server_identity();
        for (std::uint64_t i = 0; i < 2; ++i) {
            auto packet = first_packet(i);
            auto routed = door.knock(packet, static_cast<std::uint16_t>(6000 + i));
            REQUIRE(std::holds_alternative<Endpoint::NewClient>(routed));
            Datagrams run;
            run.remote = *Address::parse("192.0.2.1", static_cast<std::uint16_t>(6000 + i));
            run.segment = packet.size();
            run.bytes = packet;
            made.push_back(door.endpoint->accept(door.now, TransientId{i}, accept, run).value());
        }
        auto routes = door.endpoint->routes();
        std::set<std::vector<std::byte>> retries;
        auto packet = first_packet(7);
        for (int i = 0; i < 100; ++i) {
            auto retry = door.answer_of(door.knock(packet));
            REQUIRE(is_retry(retry));
            CHECK(retry.size() < packet.size() / 3);
            retries.emplace(retry.begin(), retry.end());
        }
        CHECK(retries.size() == 100);
        CHECK(door.endpoint->routes() == routes);
        CHECK(door.endpoint->half_open() == 2);
        // When one of the two has gone, the next one is taken without.
        made.pop_back();
        CHECK(std::holds_alternative<Endpoint::NewClient>(door.knock(packet)));
    }

    // A long ClientHello, such as one with a post-quantum key, takes several packets, and the first
    // of them may be lost or overtaken.
    TEST_CASE("quic: a client of whose ClientHello the middle comes first is asked to repeat it") {
        QuicOptions options(seeded());
        std::string first;
        // RFC 9000, 19.6   CRYPTO { type = 6, offset = 600, length = 32, data }
        SUBCASE("the middle") { first = "\x06\x42\x58\x20" + std::string(32, 'x'); }
        SUBCASE("or a PING alone") { first = "\x01"; }
        Forge forge;
        options.client_substitute = &forge;
        int edited = 0;
        forge.edit = [&](Level level, std::string& frames) {
            if (level != Level::initial || edited++ > 0) return;
            first.resize(frames.size());  // PADDING
            frames = first;
        };
        QuicPair pair(options);
        REQUIRE(pair.connect());
        CHECK(pair.answers() == 1);
        CHECK(is_retry(pair.last_answer()));
        CHECK(pair.server_endpoint().half_open() == 0);
    }

    // RFC 9000, 9.3.
    TEST_CASE("quic: what a server says first at a client's new port is a PATH_CHALLENGE") {
        for (int i = 0; i < 30; ++i) {
            CAPTURE(i);
            QuicOptions options(seeded());
            Forge forge;
            forge.listens = true;
            options.server_substitute = &forge;
            options.client.carrier_window = 8'000'000;  // nothing but its pacer holds it back
            options.server_transport.versions = options.client_transport.versions = {
                QuicVersion::v1};
            QuicPair pair(options);
            REQUIRE(pair.connect());
            auto carrier = pair.client.open();
            pair.client.send(carrier, "go");
            REQUIRE(pair.run_until([&] { return !pair.server.messages(carrier).empty(); }));
            pair.server.send_cut(carrier, Bytes(std::string(4'000'000, 'x')), 65536);
            pair.run(60ms + i * 701us);
            std::string first;
            pair.on_launch = [&](bool to_server, Instant&) {
                if (!to_server && first.empty() && pair.server.mapping->path().remote.port == 6000)
                    first = forge.said.back().frames;
                return true;
            };
            pair.client_port = 6000;
            REQUIRE(pair.run_until([&] { return !first.empty(); }, 1s));
            CHECK(first[0] == '\x1a');  // RFC 9000, 19.17
        }
    }

    TEST_CASE("quic: a connection's token spares the next one the Retry, once") {
        QuicOptions options(seeded());
        options.validate_from = 0;
        QuicPair pair(options);
        REQUIRE(pair.connect());
        pair.run(1s);
        CHECK(pair.answers() == 1);
        CHECK(pair.client.all<event::Token>().size() == 1);
        pair.again();
        REQUIRE(pair.connect());
        CHECK(pair.answers() == 1);
        pair.run(1s);
        CHECK(pair.client.all<event::Token>().size() == 1);
        // A day later it is too old, and treated as none.
        pair.client.mapping.reset();
        pair.server.mapping.reset();
        pair.run(25h);
        pair.again();
        REQUIRE(pair.connect());
        CHECK(pair.answers() == 2);
    }

    TEST_CASE(
        "quic: a Retry token from another port, or too late, is refused, a hundred a second") {
        QuicOptions options(seeded());
        options.validate_from = 0;
        QuicPair pair(options);
        // The packet with the token is caught on its way.
        pair.on_launch = [&](bool to_server, Instant&) {
            return !to_server || pair.history(true).size() < 2;
        };
        REQUIRE(pair.run_until([&] { return pair.history(true).size() >= 2; }));
        auto& endpoint = pair.server_endpoint();
        const auto packet = pair.history(true)[1];
        std::array<std::byte, 1500> space;
        auto show = [&](std::uint16_t port, Instant now) {
            Datagrams run;
            run.remote = *Address::parse("192.0.2.1", port);
            run.segment = packet.size();
            run.bytes = packet;
            return endpoint.route(now, run, space);
        };
        auto routed = show(1, pair.now());
        REQUIRE(std::holds_alternative<Endpoint::Answer>(routed));
        auto close = std::get<Endpoint::Answer>(routed).size;
        CHECK(close < packet.size());
        CHECK_FALSE(is_retry(std::span(space).first(close)));
        int answered = 1;
        for (int i = 0; i < 1000; ++i)
            answered += std::holds_alternative<Endpoint::Answer>(show(1, pair.now()));
        CHECK(answered == 100);
        CHECK(endpoint.routes() == 0);
        CHECK(endpoint.half_open() == 0);
    }

    TEST_CASE("quic: a client whose token is refused learns it") {
        QuicOptions options(seeded());
        options.validate_from = 0;
        options.link.delay = 6s;  // the second packet comes 12 s after the Retry was made
        options.client.handshake_timeout = 60s;
        QuicPair pair(options);
        pair.run(50s);
        REQUIRE(pair.client.lost());
        CHECK(*pair.client.lost() == Errc::handshake_failed);
        CHECK(pair.client.lost()->cause == std::error_code(0x0b, quic_category()));
        CHECK_FALSE(pair.server.mapping);
    }

    TEST_CASE("quic: packets of a connection that we have forgotten are answered with its reset") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        auto carrier = pair.client.open();
        pair.client.send(carrier, "hello");
        pair.run(1s);
        SUBCASE("and end it at once") {
            pair.server.mapping.reset();  // no close: as after a crash
            CHECK(pair.server_endpoint().routes() == 0);
            pair.client.send(carrier, "are you there, with all that you had?");
            pair.run(100ms);
            CHECK(pair.answers() == 1);
            CHECK(pair.last_answer().size() == 42);
            REQUIRE(pair.client.lost());
            CHECK(*pair.client.lost() == Errc::stateless_reset);
            CHECK(pair.client.mapping->over());
        }
        SUBCASE("but not a forged one, nor one for somebody else") {
            std::vector<std::byte> forged(42, std::byte{0x41});
            pair.inject(false, forged);
            CHECK_FALSE(pair.client.lost());
        }
        SUBCASE("only when they are long enough, and fifty a second") {
            pair.server.mapping.reset();
            auto stray = pair.history(true).back();
            stray.resize(42, std::byte{1});
            pair.inject(true, stray);
            CHECK(pair.answers() == 0);
            stray.resize(43, std::byte{1});
            for (int i = 0; i < 1000; ++i) pair.inject(true, stray);
            CHECK(pair.answers() == 50);
        }
        SUBCASE("and two that have forgotten everything do not keep each other busy") {
            auto late = pair.history(true).back();
            pair.client.mapping.reset();
            pair.server.mapping.reset();
            late.resize(1200, std::byte{1});
            pair.inject(true, late);
            pair.run(10s);
            CHECK(pair.answers() == 1);
        }
    }

    TEST_CASE("quic: ids are issued, retired and forgotten, and so are the peer's reset tokens") {
        QuicPair pair(seeded());
        REQUIRE(pair.connect());
        pair.run(2s);
        // Four of ours are out at most (ATTACKS A7). The client's first choice stays beside them:
        // a late copy of its first packet is no new client.
        CHECK(pair.server_endpoint().routes() >= 2);
        CHECK(pair.server_endpoint().routes() <= 5);
        CHECK(pair.client_endpoint().routes() <= 5);
        pair.client.mapping.reset();
        pair.server.mapping.reset();
        CHECK(pair.server_endpoint().routes() == 0);
        CHECK(pair.client_endpoint().routes() == 0);
    }
}

}  // namespace post::test
