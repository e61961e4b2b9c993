// Strangers at the door of SCTP. ATTACKS A21 (floods of INIT, amplification), A22 (cookies that
// come again), A23 (guessed tags); malformed packets. On the UdpEndpoint and its connections, in
// virtual time.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "mappings/sctp/packet.hpp"
#include "mappings/sctp/socket.hpp"
#include "mappings/sctp/udp_endpoint.hpp"
#include "tests/contract/sctp_pair.hpp"
#include "tests/hostile/stopwatch.hpp"
#include "tests/hostile/table.hpp"
#include "tests/seed.hpp"

namespace post::test {

namespace {

using sctp::ChunkType;

std::vector<std::byte> init_packet(std::size_t size, std::uint16_t streams = 10,
                                   std::uint16_t port = 5000) {
    std::vector<std::byte> packet(std::max<std::size_t>(size, 32));
    sctp::put16(packet, 0, 40000);
    sctp::put16(packet, 2, port);
    packet[12] = static_cast<std::byte>(ChunkType::init);
    sctp::put16(packet, 14, static_cast<std::uint16_t>(packet.size() - 12));
    sctp::put32(packet, 16, 0x1234567);  // initiate tag
    sctp::put32(packet, 20, 100'000);    // window
    sctp::put16(packet, 24, streams);
    sctp::put16(packet, 26, streams);
    sctp::put32(packet, 28, 1);
    // What is left is one parameter that nobody knows and may be skipped in silence (RFC 4820).
    if (packet.size() >= 36) {
        sctp::put16(packet, 32, 0x8005);
        sctp::put16(packet, 34, static_cast<std::uint16_t>(packet.size() - 32));
    }
    sctp::write_checksum(packet);
    return packet;
}

// What an honest client says to an INIT ACK: its cookie (RFC 9260, 3.3.3.1) comes back.
std::vector<std::byte> cookie_echo(std::span<const std::byte> init_ack) {
    constexpr std::uint16_t state_cookie = 7;
    std::vector<std::byte> packet(16);
    sctp::put16(packet, 0, 40000);
    sctp::put16(packet, 2, 5000);
    sctp::put32(packet, 4, sctp::get32(init_ack, 16));  // the initiate tag
    packet[12] = static_cast<std::byte>(ChunkType::cookie_echo);
    for (std::size_t at = 32; at + 4 <= init_ack.size();) {
        const std::size_t size = sctp::get16(init_ack, at + 2);
        if (sctp::get16(init_ack, at) == state_cookie) {
            const auto cookie = init_ack.subspan(at + 4, size - 4);
            packet.insert(packet.end(), cookie.begin(), cookie.end());
        }
        at += (size + 3) & ~std::size_t{3};
    }
    sctp::put16(packet, 14, static_cast<std::uint16_t>(packet.size() - 12));
    packet.resize((packet.size() + 3) & ~std::size_t{3});
    sctp::write_checksum(packet);
    return packet;
}

class Door {
public:
    Door() : endpoint_(engine_, options()) { endpoint_.listen(5000, {}); }
    ~Door() { made.clear(); }

    std::size_t knock(std::span<const std::byte> datagram, const Address& from) {
        Datagrams run;
        run.local = *Address::parse("192.0.2.2", 9899);
        run.remote = from;
        run.segment = datagram.size();
        run.bytes = datagram;
        in += datagram.size();
        engine_.tick(now);
        const auto routed = endpoint_.route(now, run, space_);
        if (std::holds_alternative<sctp::UdpEndpoint::NewClient>(routed)) {
            made.push_back(endpoint_.accept(now, TransientId{made.size() + 1}, run).value());
        } else if (const auto* answer = std::get_if<sctp::UdpEndpoint::Answer>(&routed)) {
            out += answer->size;
            return answer->size;
        }
        return 0;
    }

    // An association whose line closes while its INIT is still sent again and again. How many of
    // its packets the engine keeps.
    std::size_t say_to_nobody() {
        sctp::Line& line = engine_.open_line(TransientId{77});
        sctp::Socket socket(engine_, line, {});
        socket.connect();
        engine_.close_line(line);
        sctp::Line& other = engine_.open_line(TransientId{78});  // so that timers run
        for (int i = 0; i < 2000; ++i) engine_.tick(now += std::chrono::milliseconds(10));
        engine_.close_line(other);
        return engine_.strays().size();
    }
    std::span<const std::byte> answer() const { return space_; }
    ChunkType answered() const { return static_cast<ChunkType>(space_[sctp::common_header]); }

    Instant now{std::chrono::seconds(1)};
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    std::vector<std::unique_ptr<Mapping>> made;

private:
    static sctp::EndpointOptions options() {
        sctp::EndpointOptions options;
        options.random = [random = std::mt19937_64(seed())](std::span<std::byte> bytes) mutable {
            for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
        };
        return options;
    }

    sctp::Engine engine_{[] {}};
    sctp::UdpEndpoint endpoint_;
    std::array<std::byte, 1280> space_;
};

Address stranger(std::uint64_t number) {
    Address address = *Address::parse("203.0.113.1",
                                      static_cast<std::uint16_t>(number % 60000 + 1));
    address.ip[2] = static_cast<std::uint8_t>(number >> 16);
    address.ip[3] = static_cast<std::uint8_t>(number >> 8);
    return address;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE(
        "A21: a flood of short INITs draws at most three times what was sent, and leaves "
        "nothing behind") {
        Door door;
        const auto init = init_packet(32);
        for (std::uint64_t i = 0; i < 1000; ++i) door.knock(init, stranger(i));
        const auto before = heap();
        constexpr std::uint64_t knocks = 100'000;
        for (std::uint64_t i = 0; i < knocks; ++i) {
            door.now += std::chrono::microseconds(100);
            door.knock(init, stranger(i * 7919));
        }
        CHECK(door.out <= 3 * door.in);
        CHECK(grown(before) <= 16 * 1024);
        CHECK(door.made.empty());
        measured("A21", "100 000 INITs",
                 "factor " + std::to_string(door.out / (door.in / 100)) + " % (<= 300), " +
                     heap_figure(grown(before), 16384));
    }

    TEST_CASE("A21: a short INIT is answered when it comes again, a long one at once") {
        Door door;
        CHECK(door.knock(init_packet(400), stranger(1)) > 0);
        int tries = 0;
        while (door.knock(init_packet(32), stranger(2)) == 0) REQUIRE(++tries < 10);
        CHECK(tries > 0);
        CHECK(door.out <= 3 * door.in);
        // To another port than the one that is listened on there is no answer, ever.
        for (int i = 0; i < 20; ++i)
            CHECK(door.knock(init_packet(400, 10, 5001), stranger(3)) == 0);
    }

    TEST_CASE("what usrsctp says to somebody who is gone is nobody's answer, and is not kept") {
        Door door;
        CHECK(door.say_to_nobody() == 0);
        CHECK(door.knock(init_packet(400), stranger(1)) > 0);
        CHECK(door.answered() == ChunkType::init_ack);
    }

    TEST_CASE(
        "A24: an INIT that asks for 65 535 streams gets 1024, and costs no more than they do") {
        const auto cost = [](std::uint16_t streams) {
            Door door;
            // The first one pays for what the endpoint keeps anyway.
            for (const std::uint64_t number : {1, 2}) {
                const auto before = heap();
                const auto size = door.knock(init_packet(400, streams), stranger(number));
                REQUIRE(door.answered() == ChunkType::init_ack);
                const auto init_ack = door.answer().first(size);
                CHECK(sctp::get16(init_ack, 24) <= 1024);  // theirs in, ours out
                CHECK(sctp::get16(init_ack, 26) == 1024);
                door.knock(cookie_echo(init_ack), stranger(number));
                REQUIRE(door.made.size() == number);
                if (number == 2) return grown(before);
            }
            return std::size_t{};
        };
        const auto honest = cost(1024);
        const auto hostile = cost(65535);
        CHECK(hostile <= honest + 1024);
        constexpr std::size_t bound = 200 * 1024;
        if (!sanitized()) CHECK(hostile <= bound);
        measured("A24", "65 535 streams", heap_figure(hostile, bound));
    }

    TEST_CASE("A23: what belongs to no association draws no answer, whatever it is") {
        Door door;
        std::mt19937_64 random(seed());
        for (int type = 0; type < 256; ++type) {
            if (type == 1) continue;
            for (const std::size_t size : {4u, 8u, 20u, 200u}) {
                std::vector<std::byte> packet(12 + size);
                for (auto& byte : packet) byte = static_cast<std::byte>(random() & 0xff);
                sctp::put16(packet, 2, 5000);
                packet[12] = static_cast<std::byte>(type);
                sctp::put16(packet, 14, static_cast<std::uint16_t>(size));
                sctp::write_checksum(packet);
                CHECK(door.knock(packet, stranger(random())) == 0);
            }
        }
        CHECK(door.made.empty());
    }

    TEST_CASE(
        "malformed INITs: truncated, with parameters that cross the end, without a checksum") {
        Door door;
        std::mt19937_64 random(seed());
        const auto good = init_packet(200);
        for (std::size_t size = 0; size < good.size(); ++size) {
            auto cut = good;
            cut.resize(size);
            if (size >= 12) sctp::write_checksum(cut);
            door.knock(cut, stranger(size));
        }
        for (int i = 0; i < 20'000; ++i) {
            auto bent = good;
            for (int flips = 0; flips < 3; ++flips)
                bent[random() % bent.size()] = static_cast<std::byte>(random() & 0xff);
            const bool sealed = i % 2 == 0;
            if (sealed) sctp::write_checksum(bent);
            const auto answered = door.knock(bent, stranger(static_cast<std::uint64_t>(i)));
            if (!sealed && bent != good) CHECK(answered == 0);
            door.now += std::chrono::milliseconds(1);
        }
        CHECK(door.made.empty());
        CHECK(door.out <= 3 * door.in);
    }

    TEST_CASE(
        "A22, A23: an association outlives replays of all that its peer sent, guessed tags and "
        "noise") {
        PairOptions options;
        options.seed = seed();
        SctpUdpPair pair(options);
        std::vector<std::vector<std::byte>> heard;
        pair.on_sent = [&](bool to_server, std::span<const std::byte> bytes) {
            if (to_server) heard.push_back({bytes.begin(), bytes.end()});
        };
        REQUIRE(pair.connect());
        const auto carrier = pair.client.open();
        pair.client.send(carrier, "before");
        pair.run(1s);
        const auto before = heap();
        std::mt19937_64 random(seed());
        const auto all = heard;
        for (int round = 0; round < 20; ++round)
            for (const auto& packet : all) pair.inject(true, packet);
        for (int i = 0; i < 20'000; ++i) {
            auto forged = all[random() % all.size()];
            sctp::put32(forged, 4, static_cast<std::uint32_t>(random()));
            constexpr ChunkType types[] = {ChunkType::abort, ChunkType::shutdown_complete,
                                           ChunkType::data, ChunkType::sack, ChunkType::error};
            forged[12] = static_cast<std::byte>(types[i % 5]);
            sctp::write_checksum(forged);
            pair.inject(true, forged);
        }
        pair.run(1s);
        CHECK(grown(before) <= 256 * 1024);
        pair.client.send(carrier, "after");
        CHECK(pair.run_until([&] { return pair.server.messages(carrier).size() == 2; }));
        CHECK_FALSE(pair.server.lost());
        CHECK(pair.server.messages(carrier)[0] == "before");
    }

    TEST_CASE("A24: a peer adds as many streams as it uses, and none of 60 000 that it does not") {
        constexpr std::uint16_t add_outgoing = 0x11, add_incoming = 0x12;
        PairOptions options;
        options.seed = seed();
        SctpUdpPair pair(options);
        std::vector<std::byte> header;
        std::uint32_t next = 0;    // the peer's first request has the number of its first TSN
        std::uint32_t result = 0;  // of the last one; what follows is for the honest end
        constexpr std::uint32_t performed = 1, denied = 2;
        pair.on_sent = [&](bool to_server, std::span<const std::byte> bytes) {
            const auto type = static_cast<ChunkType>(bytes[12]);
            if (to_server && type == ChunkType::init) next = sctp::get32(bytes, 28);
            if (to_server && type != ChunkType::init)
                header.assign(bytes.begin(), bytes.begin() + 12);
            if (!to_server && type == ChunkType::re_config && sctp::get16(bytes, 16) == 0x10 &&
                result == 0)
                result = sctp::get32(bytes, 24);
        };
        REQUIRE(pair.connect());
        pair.client.send(pair.client.open(), "hello");
        pair.run(1s);
        const auto ask = [&](std::uint16_t type, std::uint16_t count) {
            auto packet = header;
            packet.resize(28);
            packet[12] = static_cast<std::byte>(ChunkType::re_config);
            sctp::put16(packet, 14, 16);
            sctp::put16(packet, 16, type);
            sctp::put16(packet, 18, 12);
            sctp::put32(packet, 20, next++);
            sctp::put16(packet, 24, count);
            sctp::write_checksum(packet);
            result = 0;
            pair.inject(true, packet);
            pair.run(1s);
            return result;
        };
        const auto before = heap();
        CHECK(ask(add_outgoing, 60'000) == denied);
        CHECK(ask(add_incoming, 60'000) == denied);
        CHECK(ask(add_outgoing, 1025) == denied);
        CHECK(grown(before) <= 16 * 1024);
        CHECK(ask(add_outgoing, 1024) == performed);
        constexpr std::size_t bound = 256 * 1024;  // of both ends, each way
        CHECK(grown(before) <= bound);
        CHECK_FALSE(pair.server.lost());
        measured("A24", "streams added", heap_figure(grown(before), bound));
    }

    TEST_CASE_TEMPLATE("an association of SCTP that goes while its peer is silent leaves nothing",
                       PairType, SctpPair, SctpUdpPair) {
        const auto play = [](std::uint64_t number) {
            PairOptions options;
            options.seed = seed() + number;
            PairType pair(options);
            REQUIRE(pair.connect());
            const auto carrier = pair.client.open();
            pair.client.send(carrier, "heard");
            pair.run(1s);
            pair.cut();
            for (int i = 0; i < 20; ++i) pair.client.send(carrier, std::string(50'000, 'x'));
            pair.run(3s);
        };
        for (std::uint64_t i = 0; i < 3; ++i) play(i);
        const auto before = heap();
        for (std::uint64_t i = 0; i < 10; ++i) play(i);
        CHECK(grown(before) <= 16 * 1024);
    }

    TEST_CASE("a tick of SCTP's timers costs little, however many associations are idle") {
        std::vector<std::unique_ptr<SctpUdpPair>> pairs;
        const auto cost = [&] {  // of a second, with a hundred ticks
            pairs.front()->run(100ms);
            const Stopwatch stopwatch;
            pairs.front()->run(1s);
            return stopwatch.seconds();
        };
        const auto add = [&] {
            PairOptions options;
            options.seed = seed() + pairs.size();
            pairs.push_back(std::make_unique<SctpUdpPair>(options));
            REQUIRE(pairs.back()->connect());
            pairs.back()->client.send(pairs.back()->client.open(), "hello");
            pairs.back()->run(1s);
        };
        add();
        const double one = cost();
        while (pairs.size() < 500) add();
        const double many = cost();
        // A thousand ends: no more than 10 us a tick, and 1 % of a core.
        if (!sanitized()) CHECK(many <= one + 0.01);
        measured("A24", "a second of ticks, 1000 idle ends of SCTP", time_figure(many, one + 0.01));
    }
}

}  // namespace post::test
