// Strangers at the door: what a server's port does with packets of nobody in particular. Memory,
// answers and their rate are bounded, whoever asks, and in whosever name. ATTACKS A1, A2, A16, A18,
// A19. On the Endpoint and its connections, in virtual time.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/first_packets.hpp"
#include "tests/hostile/table.hpp"
#include "tests/seed.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using quic::Endpoint;

// Of all half-open connections together.
constexpr std::size_t bound = 64 * 1024 * 1024;

const Identity& identity() {
    static const Identity made = Identity::self_signed("server.test");
    return made;
}

// A server that takes whoever may come, as lib/context_root.cpp does.
class Door {
public:
    explicit Door(std::size_t validate_from = 128, std::uint64_t salt = 0) {
        quic::EndpointOptions options;
        options.random =
            [random = std::mt19937_64(seed() + salt)](std::span<std::byte> bytes) mutable {
                for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
            };
        options.validate_from = validate_from;
        endpoint.emplace(std::move(options));
        accept.security.identity = identity();
    }
    ~Door() { connections.clear(); }
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;

    // The answer, if there is one; it is valid until the next knock.
    std::span<const std::byte> knock(std::span<const std::byte> datagram, const Address& from) {
        Datagrams run;
        run.local = *Address::parse("192.0.2.2", 4433);
        run.remote = from;
        run.segment = datagram.size();
        run.bytes = datagram;
        in += datagram.size();
        const auto routed = endpoint->route(now, run, space);
        if (const auto* client = std::get_if<Endpoint::NewClient>(&routed)) {
            const TransientId id{next_++};
            auto made = endpoint->accept(now, id, accept, run, client->proof);
            if (made) transmit(*connections.emplace(id, std::move(*made)).first->second);
        } else if (const auto* to = std::get_if<Endpoint::ToConnection>(&routed)) {
            const auto at = connections.find(to->transient);
            if (at == connections.end()) return {};
            at->second->handle_input(now, run);
            transmit(*at->second);
        } else if (const auto* answer = std::get_if<Endpoint::Answer>(&routed)) {
            out += answer->size;
            ++answers;
            return std::span(space).first(answer->size);
        }
        return {};
    }
    void pass(Duration duration) {
        const Instant end = now + duration;
        for (;;) {
            Instant next = never;
            for (auto& [id, connection] : connections)
                next = std::min(next, connection->deadline());
            if (next > end) break;
            now = std::max(now, next);
            for (auto at = connections.begin(); at != connections.end();) {
                if (at->second->deadline() <= now) at->second->handle_timeout(now);
                transmit(*at->second);
                at = at->second->over() ? connections.erase(at) : std::next(at);
            }
        }
        now = end;
    }

    std::optional<Endpoint> endpoint;
    quic::AcceptOptions accept;
    std::map<TransientId, std::unique_ptr<Mapping>> connections;
    Instant now{1s};
    std::uint64_t in = 0, out = 0, answers = 0;

private:
    void transmit(Mapping& connection) {
        for (;;) {
            const auto run = connection.poll_transmit(now, nothing_, run_space_);
            if (run.empty()) break;
            out += run.bytes.size();
        }
        std::vector<Event> events;
        connection.poll_events(events);
    }

    QueueSupply nothing_;
    std::array<std::byte, 1500> space{};
    std::vector<std::byte> run_space_ = std::vector<std::byte>(largest_run);
    std::uint64_t next_ = 1;
};

// Somebody else each time.
Address stranger(std::uint64_t number) {
    Address address = *Address::parse("10.0.0.0",
                                      static_cast<std::uint16_t>(1024 + number % 60'000));
    for (std::size_t i = 0; i < 3; ++i)
        address.ip[3 - i] = static_cast<std::uint8_t>(number >> 8 * i & 0xff);
    return address;
}

bool is_retry(std::span<const std::byte> packet) {
    return packet.size() > 20 && (std::to_integer<unsigned>(packet[0]) & 0xf0) == 0xf0;
}

void flood_with_initials(std::uint64_t count) {
    Door door;
    FirstPackets packets(seed());
    const auto before = heap();
    std::uint64_t retries = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const bool sealed = door.endpoint->half_open() < 128;
        retries += is_retry(door.knock(packets.next(sealed), stranger(i)));
    }
    const auto most = grown(before);
    const double factor = static_cast<double>(door.out) / static_cast<double>(door.in);
    CHECK(door.endpoint->half_open() == 128);
    CHECK(retries == count - 128);
    CHECK(most <= bound);
    CHECK(factor <= 3.0);
    door.pass(10s);
    CHECK(door.endpoint->half_open() == 0);
    CHECK(door.endpoint->routes() == 0);
    measured("A1", std::to_string(count) + " spoofed Initials",
             heap_figure(most, bound) + ", out/in " + decimal(factor) + " (<= 3)");
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("A1: spoofed Initials open 128 connections, and then draw a Retry each") {
        flood_with_initials(sanitized() ? 50'000 : 1'000'000);
    }

    TEST_CASE("A1: from 960 half-open connections on Initials are dropped, and all go in 10 s") {
        Door door(100'000);
        FirstPackets packets(seed());
        // What every process pays once.
        door.knock(packets.next(), stranger(0));
        door.pass(11s);
        door.in = door.out = 0;
        const auto before = heap();
        for (std::uint64_t i = 0; i < 3000; ++i) {
            const bool sealed = door.endpoint->half_open() < 960;
            door.knock(packets.next(sealed), stranger(i));
        }
        const auto most = grown(before);
        CHECK(door.endpoint->half_open() == 960);
        CHECK(door.answers == 0);
        CHECK(most <= bound);
        door.pass(10s);
        const double factor = static_cast<double>(door.out) / static_cast<double>(door.in);
        CHECK(factor <= 3.0);
        CHECK(door.endpoint->half_open() == 0);
        CHECK(door.endpoint->routes() == 0);
        measured(
            "A1", "960 half-open connections",
            heap_figure(most, bound) + ", out/in " + decimal(factor) + " (<= 3), gone in 10 s");
    }

    TEST_CASE("A1: each spoofed address alone is sent at most three times what it sent") {
        Door door;
        FirstPackets packets(seed());
        door.knock(packets.next(), stranger(1));
        door.pass(10s);
        CHECK(door.out > 1200);
        CHECK(door.out <= 3 * door.in);
    }

    TEST_CASE("A2: garbage makes no state, and little at a half-open connection") {
        std::mt19937_64 random(seed());
        FirstPackets packets(seed());
        Door door;
        const auto garbage = [&](std::size_t size) {
            std::vector<std::byte> bytes(size);
            for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
            return bytes;
        };
        auto before = heap();
        for (int i = 0; i < 20'000; ++i) {
            auto bytes = garbage(1200);
            // Handshake packets, 0-RTT, short ones, Initials that are too short, other versions.
            switch (i % 5) {
                case 0: bytes[0] = std::byte{0xe3}; break;
                case 1: bytes[0] = std::byte{0xd3}; break;
                case 2: bytes[0] = std::byte{0x43}; break;
                case 3: bytes = packets.next(false), bytes.resize(1199); break;
                case 4: break;
            }
            if (i % 5 < 2) bytes[1] = bytes[2] = bytes[3] = std::byte{0}, bytes[4] = std::byte{1};
            door.knock(bytes, stranger(static_cast<std::uint64_t>(i)));
        }
        CHECK(door.connections.empty());
        CHECK(door.endpoint->routes() == 0);
        CHECK(grown(before) <= 1024);
        CHECK(door.out <= door.in);

        // Behind an honest first packet: what cannot be opened, yet or ever, and datagrams whose
        // second packet goes elsewhere.
        const auto first = packets.next();
        const auto from = stranger(1);
        door.knock(first, from);
        REQUIRE(door.connections.size() == 1);
        before = heap();
        for (int i = 0; i < 200'000; ++i) {
            auto bytes = first;
            const auto ids = 6 + std::to_integer<std::size_t>(first[5]);
            // The rest is not what was sealed.
            for (int k = 0; k < 4; ++k) bytes[ids + 30 + random() % 1100] ^= std::byte{0x55};
            switch (i % 4) {
                case 0: bytes[0] = std::byte{0xe3}; break;  // Handshake
                case 1: bytes[0] = std::byte{0xd3}; break;  // 0-RTT
                case 2: bytes.resize(100); break;
                case 3:  // coalesced with one for somebody else
                    bytes.resize(1200);
                    bytes[8] ^= std::byte{1};
                    break;
            }
            door.knock(bytes, from);
        }
        const auto most = grown(before);
        CHECK(door.endpoint->half_open() == 1);
        CHECK(most <= 8 * 1024);
        measured("A2", "200 000 undecryptable packets",
                 heap_figure(most, 8 * 1024) + " a half-open connection");
    }

    TEST_CASE("A16: a token that is forged or from another server counts as none") {
        Door door(0), other(0, 1);
        FirstPackets packets(seed());
        std::mt19937_64 random(seed());
        const std::array<std::byte, 8> destination{std::byte{1}, std::byte{2}};
        int states = 0, retries = 0;
        for (int i = 0; i < 2000; ++i) {
            // 0x36 and 0xb6 are how tokens of the library below begin.
            std::vector<std::byte> token(1 + random() % 120);
            for (auto& byte : token) byte = static_cast<std::byte>(random() & 0xff);
            if (i % 2) token[0] = static_cast<std::byte>(i % 4 == 1 ? 0x36 : 0xb6);
            const auto answer = door.knock(packets.next(false, destination, token), stranger(7));
            retries += is_retry(answer);
            states += static_cast<int>(door.connections.size());
        }
        CHECK(states == 0);
        CHECK(door.endpoint->routes() == 0);
        CHECK(retries >= 1000);

        // One of another server, whose secrets are not ours.
        const auto retry = other.knock(packets.next(false), stranger(7));
        REQUIRE(is_retry(retry));
        const auto ids = std::to_integer<std::size_t>(retry[5]);
        const auto theirs = std::to_integer<std::size_t>(retry[6 + ids]);
        const auto id = std::vector(retry.begin() + 7 + static_cast<std::ptrdiff_t>(ids),
                                    retry.begin() + 7 + static_cast<std::ptrdiff_t>(ids + theirs));
        const auto token = std::vector(
            retry.begin() + 7 + static_cast<std::ptrdiff_t>(ids + theirs), retry.end() - 16);
        door.knock(packets.next(true, id, token), stranger(7));
        CHECK(door.connections.empty());
        // The server that made it takes it, from this address and nowhere else.
        other.knock(packets.next(true, id, token), stranger(8));
        CHECK(other.connections.empty());
        other.knock(packets.next(true, id, token), stranger(7));
        CHECK(other.connections.size() == 1);
        // Its secrets go, and with them what they sealed: two hours later it is nobody's.
        other.connections.clear();
        other.now += 3h;
        other.knock(packets.next(true, id, token), stranger(7));
        CHECK(other.connections.empty());
        measured("A16", "2 000 forged tokens",
                 std::to_string(states) + " connections (0), " +
                     std::to_string(door.endpoint->routes()) + " ids kept (0)");
    }

    TEST_CASE("A18: two endpoints that have forgotten everything fall silent within three hops") {
        std::size_t most = 0;
        for (std::size_t size = 21; size < 1400; ++size) {
            Door a, b(128, 1);
            std::vector<std::byte> packet(size, std::byte{0x41});
            packet[1] = packet[2] = std::byte{0};  // of this Context
            std::size_t hops = 0;
            for (bool to_a = true; !packet.empty() && hops < 100; to_a = !to_a) {
                ++hops;
                const auto answer = (to_a ? a : b).knock(packet, stranger(1));
                CHECK(answer.size() < packet.size());
                packet.assign(answer.begin(), answer.end());
            }
            most = std::max(most, hops);
        }
        CHECK(most <= 3);

        Door door;
        std::mt19937_64 random(seed());
        for (int i = 0; i < 10'000; ++i) {
            std::vector<std::byte> stray(100, std::byte{0x41});
            stray[1] = stray[2] = std::byte{0};
            stray[5] = static_cast<std::byte>(random() & 0xff);
            door.knock(stray, stranger(static_cast<std::uint64_t>(i)));
            door.now += 1ms;
        }
        // Ten seconds, and the burst at the beginning.
        CHECK(door.answers <= 50 * 11);
        CHECK(door.answers >= 50 * 9);
        measured("A18", "stateless resets",
                 std::to_string(most) + " hops (<= 3), " +
                     decimal(static_cast<double>(door.answers) / 11) + " a second (<= 50)");
    }

    TEST_CASE("A19: version negotiation and refused tokens reflect less than they get") {
        FirstPackets packets(seed());
        Door door(0);
        // A version that nobody speaks, with the longest ids there are.
        double worst = 0;
        const auto ask = [&](const std::vector<std::byte>& question, std::uint64_t from) {
            const auto answer = door.knock(question, stranger(from));
            worst = std::max(
                worst, static_cast<double>(answer.size()) / static_cast<double>(question.size()));
            return !answer.empty();
        };
        std::uint64_t negotiated = 0, refused = 0;
        for (int i = 0; i < 10'000; ++i) {
            std::vector<std::byte> question(1200, std::byte{7});
            question[0] = std::byte{0xc0};
            question[1] = question[2] = question[3] = std::byte{0x3a};
            question[5] = question[5 + 21] = std::byte{static_cast<unsigned char>(20)};
            negotiated += ask(question, static_cast<std::uint64_t>(i));
            question.resize(1199);
            CHECK_FALSE(ask(question, static_cast<std::uint64_t>(i)));
            door.now += 1ms;
        }
        CHECK(negotiated <= 100 * 11);
        CHECK(negotiated >= 100 * 9);

        const auto retry = door.knock(packets.next(false), stranger(7));
        REQUIRE(is_retry(retry));
        const auto ids = std::to_integer<std::size_t>(retry[5]);
        const auto theirs = std::to_integer<std::size_t>(retry[6 + ids]);
        const auto at = retry.begin() + 7 + static_cast<std::ptrdiff_t>(ids);
        const std::vector id(at, at + static_cast<std::ptrdiff_t>(theirs));
        const std::vector token(at + static_cast<std::ptrdiff_t>(theirs), retry.end() - 16);
        const auto question = packets.next(false, id, token);
        for (int i = 0; i < 10'000; ++i) {
            refused += ask(question, 8);
            door.now += 1ms;
        }
        CHECK(refused <= 100 * 11);
        CHECK(refused >= 100 * 9);
        CHECK(worst <= 1.0);
        CHECK(door.connections.empty());
        measured("A19", "version negotiation, INVALID_TOKEN",
                 "out/in " + decimal(worst) + " (<= 1), " +
                     decimal(static_cast<double>(std::max(negotiated, refused)) / 11) +
                     " a second (<= 100)");
    }
}

}  // namespace post::test
