// Peers of foreign byte streams that mean harm, over plain TCP and in TLS: handshakes that stand
// still, a byte at a time, more than anybody takes, streams that are cut. The connection is played
// by hand, so that every byte is the attacker's; how connections are refused when descriptors are
// short (A26) is in live/tcp_limits_test.cpp, and what framers make of it in
// scenario/framers_test.cpp.
#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "mappings/tcp/endpoint.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/stopwatch.hpp"
#include "tests/hostile/table.hpp"
#include "tests/unit/tls_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

const std::string alpn = "bytes/1";

// A server's connection, and the client that attacks it.
class BytesSiege {
public:
    explicit BytesSiege(bool secured, const Limits& limits = {}) : secured_(secured) {
        const auto server = *Address::parse("192.0.2.2", 4433);
        const auto client = *Address::parse("192.0.2.1", 50000);
        tcp::TransportOptions transport;
        transport.limits = limits;
        if (!secured) {
            victim_ = endpoint.accept(now, transport, server, client);
        } else {
            crypto::ServerSecurity security;
            security.identity = Identity::from_pem(tls_pem().certificates, tls_pem().key);
            auto tls = std::make_unique<crypto::TlsStream>(store_, security, std::vector{alpn},
                                                           endpoint.protection());
            victim_ = endpoint.accept(now, transport, server, client, std::move(tls)).value();
            TlsEndOptions options;
            options.alpn = {alpn};
            attacker.emplace(Role::client, options);
        }
        flush();
    }

    // Bytes of the connection, `part` at a time.
    void deliver(std::span<const std::byte> bytes, std::size_t part = ~std::size_t{0}) {
        while (!bytes.empty() && !lost()) {
            // As the edge: whoever was told to leave it does.
            if (most == 0) break;
            const auto first = bytes.first(std::min({part, most, bytes.size()}));
            bytes = bytes.subspan(first.size());
            Datagrams run;
            run.bytes = first;
            run.segment = first.size();
            victim_->handle_input(now, run);
            flush();
        }
    }
    void shake_hands(std::size_t part = ~std::size_t{0}) {
        for (int turn = 0; turn < 6 && attacker->stream->has_output(); ++turn)
            deliver(attacker->take(), part);
    }
    // What an honest peer would say so, in one record.
    void say(std::string_view content, std::size_t part = ~std::size_t{0}) {
        if (secured_) return deliver(attacker->say(content), part);
        deliver(std::as_bytes(std::span(content)), part);
    }
    void tell(decltype(LinkNews::what) what) {
        victim_->handle_link(now, {LinkId{}, std::move(what)});
        flush();
    }
    void flush() {
        drain();
        while (true) {
            links();
            const Datagrams run = victim_->poll_transmit(now, supply, space_);
            drain();
            if (run.empty() && !run.end) break;
            said += run.bytes.size();
            if (attacker) attacker->feed(run.bytes);
        }
        links();
    }
    void pass(Duration duration) {
        const Instant end = now + duration;
        while (victim_->deadline() <= end) {
            now = std::max(now, victim_->deadline());
            victim_->handle_timeout(now);
            flush();
        }
        now = end;
    }
    void grant(std::uint64_t bytes) {
        victim_->extend_window(CarrierId{0}, bytes);
        victim_->extend_budget(bytes);
        flush();
    }

    std::optional<Error> lost() const { return lost_; }
    Mapping& victim() { return *victim_; }

    Instant now{1s};
    tcp::Endpoint endpoint{{}};
    std::optional<TlsEnd> attacker;
    QueueSupply supply;
    bool take = false;
    bool closed = false;  // the connection was given back
    std::size_t most = ~std::size_t{0};
    std::uint64_t arrived = 0;
    std::uint64_t said = 0;
    std::size_t finished = 0;
    std::vector<Error> resets;

private:
    void links() {
        while (const auto want = victim_->poll_link()) {
            if (const auto* take_now = std::get_if<link::Take>(&want->what)) most = take_now->most;
            if (std::get_if<link::Close>(&want->what)) closed = true;
        }
    }
    void drain() {
        events_.clear();
        victim_->poll_events(events_);
        spread_runs(events_);
        for (const Event& event : events_) {
            if (const auto* gone = std::get_if<event::Lost>(&event)) lost_ = gone->error;
            if (const auto* reset = std::get_if<event::Reset>(&event))
                resets.push_back(reset->error);
            finished += std::holds_alternative<event::Finished>(event);
            const auto* piece = std::get_if<event::Arrived>(&event);
            if (!piece) continue;
            const std::uint64_t size = piece->piece.bytes.size();
            arrived += size;
            if (!take) continue;
            victim_->extend_window(CarrierId{0}, size);
            victim_->extend_budget(size);
        }
    }

    const bool secured_;
    crypto::CredentialStore store_;
    std::unique_ptr<Mapping> victim_;
    std::optional<Error> lost_;
    std::vector<Event> events_;
    Octets space_ = Octets(largest_run);
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("byte streams: a handshake that stands still ends at 10 s, however it is fed") {
        for (const bool trickles : {false, true}) {
            BytesSiege siege(true);
            const Octets hello = siege.attacker->take();
            std::size_t at = 0;
            for (int second = 0; second < 9; ++second) {
                if (trickles) siege.deliver(std::span(hello).subspan(at++, 1));
                siege.pass(1s);
            }
            CHECK_FALSE(siege.lost());
            siege.pass(1001ms);
            REQUIRE(siege.lost());
            CHECK(*siege.lost() == Errc::handshake_timeout);
            CHECK(siege.victim().over());
            CHECK(siege.closed);
        }
        measured("A25", "byte streams: a handshake that stands still", "closed at 10 s");
    }

    TEST_CASE("byte streams: those in their handshake are counted, and the door is full") {
        tcp::Endpoint endpoint({.most_half_open = 8});
        crypto::CredentialStore store;
        crypto::ServerSecurity security;
        security.identity = Identity::from_pem(tls_pem().certificates, tls_pem().key);
        const auto client = *Address::parse("192.0.2.1", 50000);
        const auto accept = [&] {
            return endpoint.accept(Instant(1s), tcp::TransportOptions{}, client, client,
                                   std::make_unique<crypto::TlsStream>(
                                       store, security, std::vector{alpn}, endpoint.protection()));
        };
        std::vector<std::unique_ptr<Mapping>> held;
        for (int i = 0; i < 8; ++i) held.push_back(accept().value());
        CHECK(accept().error() == Errc::too_many);
        held.front()->handle_timeout(Instant(11s));
        CHECK(accept());
    }

    TEST_CASE("byte streams: a byte at a time costs no memory") {
        constexpr std::size_t bound = 128 * 1024;
        for (const bool secured : {false, true}) {
            CAPTURE(secured);
            BytesSiege siege(secured);
            if (secured) siege.shake_hands(1);
            siege.take = true;
            siege.say("warm");
            const auto before = heap();
            const auto said = siege.said;
            std::size_t most = 0;
            for (int i = 0; i < 20'000; ++i) {
                siege.say("x", 1);
                most = std::max(most, grown(before));
            }
            CHECK_FALSE(siege.lost());
            CHECK(siege.arrived == 20'004);
            CHECK(siege.said == said);
            CHECK(most <= bound);
            measured("A25",
                     secured ? "byte streams: records of TLS of one byte"
                             : "byte streams: segments of one byte",
                     heap_figure(most, bound));
        }
    }

    TEST_CASE("byte streams: a flood that nobody reads fills its window, and holds a record more") {
        constexpr std::size_t bound = 256 * 1024;
        for (const bool secured : {false, true}) {
            CAPTURE(secured);
            BytesSiege siege(secured);
            if (secured) siege.shake_hands();
            const auto before = heap();
            const std::string record(16'000, 'f');
            for (int i = 0; i < 5000; ++i) siege.say(record);
            CHECK(siege.arrived == Limits{}.carrier_window);
            CHECK(siege.most == 0);
            CHECK(grown(before) <= bound);
            measured("A14",
                     secured ? "byte streams in TLS: a flood that nobody reads"
                             : "byte streams: a flood that nobody reads",
                     heap_figure(grown(before), bound));
            // By as much as is taken it goes on, to the byte.
            siege.grant(777);
            siege.say(record);
            CHECK(siege.arrived <= Limits{}.carrier_window + 777);
        }
    }

    TEST_CASE("byte streams: a stream that is cut is an error behind what came, and never an end") {
        struct Cut {
            const char* name;
            std::size_t left;  // bytes of the last record that come; 0: it is cut between records
        };
        for (const Cut& cut :
             {Cut{"between records", 0}, Cut{"in a header", 3}, Cut{"in a record", 100}}) {
            CAPTURE(cut.name);
            BytesSiege siege(true);
            siege.shake_hands();
            siege.take = true;
            siege.say("whole");
            const Octets last = siege.attacker->say(std::string(1000, 'x'));
            siege.deliver(std::span(last).first(cut.left));
            siege.tell(link::Ended{});
            REQUIRE(siege.resets.size() == 1);
            CHECK(siege.resets[0] == Errc::connection_lost);
            CHECK(siege.finished == 0);
            CHECK(siege.arrived == 5);
            CHECK(siege.closed);
        }
        // With TCP's reset, too; and where nothing else than FIN says so, an end is one.
        for (const bool secured : {false, true}) {
            BytesSiege siege(secured);
            if (secured) siege.shake_hands();
            siege.take = true;
            siege.say("whole");
            siege.tell(link::Broken{{ECONNRESET, std::system_category()}});
            REQUIRE(siege.resets.size() == 1);
            CHECK(siege.resets[0] == Errc::carrier_reset);
            CHECK(siege.finished == 0);
        }
        BytesSiege plain(false);
        plain.say("all");
        plain.tell(link::Ended{});
        CHECK(plain.finished == 1);
        measured("A33", "byte streams: a cut stream", "no end is told (0 allowed)");
    }

    TEST_CASE("byte streams: garbage in place of TLS, and of a record, ends one connection") {
        for (const std::size_t at : {0, 1}) {
            BytesSiege siege(true);
            if (at == 1) siege.shake_hands();
            siege.take = true;
            siege.deliver(octets(std::string(5000, '\x17')));
            REQUIRE(siege.lost());
            siege.pass(1s);
            CHECK(siege.arrived == 0);
            CHECK(siege.victim().over());
        }
        // Of a record that is changed nothing is handed up.
        BytesSiege siege(true);
        siege.shake_hands();
        Octets record = siege.attacker->say("never");
        record[record.size() - 3] ^= std::byte{1};
        siege.deliver(record);
        CHECK(siege.lost());
        CHECK(siege.arrived == 0);
    }

    TEST_CASE("byte streams: news of links that nobody has, and after the end, do nothing") {
        for (const bool secured : {false, true}) {
            BytesSiege siege(secured);
            if (secured) siege.shake_hands();
            siege.victim().handle_link(siege.now, {LinkId{7}, link::Ended{}});
            siege.victim().handle_link(siege.now, {LinkId{7}, link::Unacknowledged{5, 1s}});
            siege.say("still here");
            CHECK(siege.arrived == 10);
            siege.tell(link::Broken{{ECONNRESET, std::system_category()}});
            siege.tell(link::Writable{});
            siege.tell(link::Unacknowledged{1u << 30, 1s});
            siege.deliver(octets("late"));
            CHECK(siege.arrived == 10);
            CHECK(siege.victim().over());
            CHECK(siege.victim().deadline() == never);
        }
    }
}

}  // namespace post::test
