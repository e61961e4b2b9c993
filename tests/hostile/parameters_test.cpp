// Transport parameters that no honest peer sends: broken ones, and true ones with values at the
// edge of what a number can say. ATTACKS A31.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>

#include <ngtcp2/ngtcp2.h>

#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/frames.hpp"
#include "tests/hostile/siege.hpp"
#include "tests/hostile/table.hpp"
#include "tests/seed.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

// What a client sends, roughly.
std::vector<std::uint8_t> honest_parameters() {
    ngtcp2_transport_params parameters;
    ngtcp2_transport_params_default(&parameters);
    parameters.initial_scid.datalen = 10;
    parameters.initial_scid_present = 1;
    parameters.initial_max_data = 1 << 20;
    parameters.initial_max_stream_data_bidi_local = 1 << 15;
    parameters.initial_max_stream_data_bidi_remote = 1 << 15;
    parameters.initial_max_stream_data_uni = 1 << 15;
    parameters.initial_max_streams_bidi = 100;
    parameters.initial_max_streams_uni = 101;
    parameters.max_idle_timeout = 30 * NGTCP2_SECONDS;
    parameters.active_connection_id_limit = 4;
    std::vector<std::uint8_t> bytes(256);
    const auto size = ngtcp2_transport_params_encode(bytes.data(), bytes.size(), &parameters);
    bytes.resize(static_cast<std::size_t>(size));
    return bytes;
}

void decode_mutated(int count) {
    std::mt19937_64 random(seed());
    const auto honest = honest_parameters();
    int taken = 0;
    for (int i = 0; i < count; ++i) {
        auto bytes = honest;
        for (auto changes = 1 + random() % 4; changes > 0; --changes)
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random() & 0xff);
        if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 1));
        ngtcp2_transport_params parameters;
        taken += ngtcp2_transport_params_decode(&parameters, bytes.data(), bytes.size()) == 0;
    }
    CHECK(taken > 0);
    CHECK(taken < count);
    measured("A31", std::to_string(count) + " mutated transport parameters",
             "no abort; " + std::to_string(taken) + " were well-formed");
}

// Handshakes in which one side's first flight is changed on its way into the packet, where its
// transport parameters stand.
struct Meeting {
    Meeting(std::uint64_t seed, Role liar) : client(options(seed, 1)), server(options(seed, 2)) {
        auto& forge = liar == Role::client ? client_forge : server_forge;
        const auto level = liar == Role::client ? Level::initial : Level::handshake;
        forge.edit = [this, level](Level at, std::string& frames) {
            // The extension's type, behind which come its length and the parameters. A server's
            // stand in its first Handshake packet.
            const auto place = at == level ? frames.find(std::string("\x00\x39\x00", 3))
                                           : std::string::npos;
            if (place == std::string::npos) return;
            const auto size = std::max<std::size_t>(1,
                                                    static_cast<unsigned char>(frames[place + 3]));
            for (auto changes = 1 + random() % 3; changes > 0; --changes)
                frames[std::min(frames.size() - 1, place + 4 + random() % size)] =
                    static_cast<char>(random() & 0xff);
            ++lies;
        };
    }
    quic::EndpointOptions options(std::uint64_t seed, std::uint64_t salt) {
        random.seed(seed);
        quic::EndpointOptions made;
        made.random =
            [noise = std::mt19937_64(seed * 2 + salt)](std::span<std::byte> bytes) mutable {
                for (auto& byte : bytes) byte = static_cast<std::byte>(noise() & 0xff);
            };
        made.versions = {QuicVersion::v1};
        made.substitute = salt == 1 ? &client_forge : &server_forge;
        return made;
    }

    std::mt19937_64 random;
    int lies = 0;
    Forge client_forge;
    Forge server_forge;
    quic::Endpoint client;
    quic::Endpoint server;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A31: mutated transport parameters are read or refused") {
        decode_mutated(1'000'000);
    }

    TEST_CASE("A31: a handshake whose transport parameters are spoilt ends with an error") {
        static const Identity identity = Identity::self_signed("server.test");
        int lies = 0, refused = 0;
        for (std::uint64_t i = 0; i < 400; ++i) {
            CAPTURE(i);
            const Role liar = i % 2 ? Role::client : Role::server;
            Meeting meeting(seed() + i, liar);
            quic::ConnectOptions connect;
            connect.local = *Address::parse("192.0.2.1", 50000);
            connect.remote = *Address::parse("192.0.2.2", 4433);
            connect.security.trust = Trust::pinned(identity.pin());
            connect.security.server_name = "server.test";
            connect.transport.versions = {QuicVersion::v1};
            quic::AcceptOptions accept;
            accept.security.identity = identity;
            Instant now(1s);
            auto client = meeting.client.connect(now, TransientId{1}, connect).value();
            std::unique_ptr<Mapping> server;
            std::vector<std::byte> space(largest_run);
            QueueSupply nothing;
            std::vector<Event> events;
            bool ended = false;
            for (int turn = 0; turn < 20 && !ended; ++turn, now += 700ms) {
                for (bool to_server : {true, false}) {
                    auto& from = to_server ? client : server;
                    auto& to = to_server ? server : client;
                    if (!from) continue;
                    for (;;) {
                        auto run = from->poll_transmit(now, nothing, space);
                        if (run.empty()) break;
                        run.local = to_server ? connect.remote : connect.local;
                        run.remote = to_server ? connect.local : connect.remote;
                        if (to)
                            to->handle_input(now, run);
                        else if (to_server && meeting.server.half_open() == 0)
                            if (auto made = meeting.server.accept(now, TransientId{2}, accept, run))
                                to = std::move(*made);
                    }
                    if (from->deadline() <= now) from->handle_timeout(now);
                }
                for (auto* end : {client.get(), server.get()}) {
                    if (end == nullptr) continue;
                    events.clear();
                    end->poll_events(events);
                    for (const auto& event : events)
                        ended |= std::holds_alternative<event::Lost>(event);
                }
            }
            lies += meeting.lies > 0;
            refused += ended;
        }
        // A byte that happens to be the same changes nothing.
        CHECK(lies >= 390);
        CHECK(refused >= 390);
        measured("A31", "400 handshakes with mutated parameters",
                 std::to_string(refused) + " refused, no abort");
    }

    TEST_CASE("A31: parameters at the edge of what a number can say are clamped and lived with") {
        for (Role victim : {Role::client, Role::server}) {
            CAPTURE(static_cast<int>(victim));
            SiegeOptions options;
            options.victim = victim;
            options.seed = seed();
            options.attacker.idle_timeout = Duration::max();
            options.attacker.budget = ~std::uint64_t{0};
            options.attacker.carrier_window = ~std::uint64_t{0};
            options.attacker.carriers = ~std::uint64_t{0};
            options.attacker.most_carriers = ~std::uint64_t{0};
            Siege siege(options);
            const CarrierId carrier{victim == Role::client ? 0u : 1u};
            siege.victim().keep_alive(true);
            siege.supply().push(Open{carrier, {}, CarrierKind::messages});
            siege.supply().push(Piece{carrier, {}, {}, 0, 5, Bytes("hello"), {}});
            siege.flush();
            CHECK(siege.victim().send_window(carrier) > 1u << 30);
            siege.say(frame::ping());
            siege.pass(25s);
            CHECK_FALSE(siege.lost());
            // Its own idle timeout still counts.
            siege.victim().keep_alive(false);
            siege.pass(60s);
            CHECK(siege.lost());
        }
    }
}

}  // namespace post::test
