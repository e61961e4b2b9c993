// What is urgent under bulk: a 100 MiB message is in flight on a path of 10 Mbit/s, 50 ms and a
// tail-drop queue of 25 packets, and 64 bytes that are nicer to nobody are sent beside it.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration delay = 50ms;
constexpr std::uint64_t rate = 10'000'000;
constexpr std::size_t queue = 25;
constexpr Duration packet_time = std::chrono::microseconds(1500 * 8 / 10);
constexpr std::size_t bulk_size = 100 << 20;

Bounds taking_bulk() {
    Bounds bounds;
    bounds.largest_message = bulk_size;
    bounds.receive_budget = 2 * bulk_size;
    return bounds;
}

// The same bytes for all seeds: only a part of them is ever sent.
const Bytes& bulk() {
    static const Bytes bytes{std::string(bulk_size, 'b')};
    return bytes;
}

struct Bulk : Scene {
    explicit Bulk(std::uint64_t seed)
        : Scene(seed, {.delay = delay, .rate = rate, .queue = queue}) {
        ListenOptions listening;
        listening.bounds = taking_bulk();
        collect(listening);
        InitiateOptions initiating;
        initiating.bounds = taking_bulk();
        one = initiate(initiating);
        one.send("0");
        other = one.fork();
        other.send("0");
        REQUIRE(until([&] { return accepted.size() == 2; }));
        for (Carrier& carrier : accepted)
            carrier.ready([this](Carrier&, const InMessage& message) {
                if (message.size() == 64) arrived = world.now();
                return true;
            });
        one.send(bulk(), {.niceness = 1});
        world.observe([this](const sim::Packet& packet, sim::Verdict verdict) {
            if (packet.to.port != server_port) return;
            if (asked != Instant{} && departed == Instant{}) bytes_before += packet.bytes.size();
            if (verdict == sim::Verdict::queue_full) lost_at = packet.sent;
        });
        // Somewhere in the saw teeth of its congestion window.
        world.run_for(std::chrono::microseconds(1'500'000 + seed * 7919 % 4'000'000));
        // usrsctp's congestion window suffers more from a queue that drops its tail.
        const std::size_t filled = stack_of_stories() == Stack::quic ? 1'000'000 : 500'000;
        REQUIRE(link.there.counters().passed_bytes > filled);
    }

    // False: a packet of its flight was lost; or, where nothing passes a gap, one before it.
    bool send_urgent(Carrier& carrier) {
        asked = world.now();
        carrier.send(std::string(64, 'u'), {}, [this](const Fate& fate) {
            if (fate.kind == Fate::Kind::sent) departed = world.now();
        });
        REQUIRE(until([&] { return departed != Instant{}; }, 5s));
        const bool gaps_count = stack_of_stories() == Stack::tls;
        const bool lost = gaps_count ? lost_at > asked - 6 * delay : lost_at == departed;
        REQUIRE(until([&] { return arrived != Instant{}; }, 5s));
        return !lost;
    }

    Carrier one;
    Carrier other;
    Instant asked{};
    Instant departed{};
    Instant arrived{};
    Instant lost_at{};
    std::size_t bytes_before = 0;  // that were sent between asked and departed
};

constexpr Duration bound = delay + queue * packet_time + 5ms;
// Of QUIC's packets we decide what is in them. What was given to TCP, or to SCTP, is a chunk or two
// that wait there until the congestion window has room: for what is left of a round trip.
Duration patience() {
    constexpr Duration round_trip = 2 * delay + queue * packet_time;
    return stack_of_stories() == Stack::quic ? Duration{} : round_trip;
}
// The rest of one chunk (2 ms of the path, at least a packet), and the packet it leaves in. What
// the rate is estimated at is up to a fifth off.
constexpr std::size_t most_before = 2 * 1500 + 2500 * 6 / 5;

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("64 urgent bytes on another Carrier do not wait behind 100 MiB") {
        int judged = 0;
        int at_once = 0;
        const auto all = seeds(stack_of_stories() == Stack::quic ? 200 : 50);
        for (auto seed : all) {
            CAPTURE(seed);
            Bulk scene(seed);
            const bool whole = scene.send_urgent(scene.other);
            CHECK(scene.bytes_before <= most_before);
            if (!whole) continue;
            ++judged;
            at_once += scene.arrived - scene.departed <= bound ? 1 : 0;
            CHECK(scene.arrived - scene.departed <= bound + patience());
        }
        CHECK(judged * 10 >= static_cast<int>(all.size()) * 8);
        CHECK(at_once * 10 >= judged * 8);
    }

    TEST_CASE("64 urgent bytes overtake 100 MiB of their own Carrier") {
        int in_time = 0;
        const auto all = seeds(100);
        for (auto seed : all) {
            CAPTURE(seed);
            Bulk scene(seed);
            scene.send_urgent(scene.one);
            CHECK(scene.bytes_before <= most_before);
            // Where an earlier packet of the stream is missing it waits for its repair.
            in_time += scene.arrived - scene.departed <= bound ? 1 : 0;
            CHECK(scene.arrived - scene.departed <= 4 * bound);
        }
        CHECK(in_time * 2 >= static_cast<int>(all.size()));
    }
}

}  // namespace post::test
