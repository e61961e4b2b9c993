// Peers of QMux that keep to the rules and mean harm: floods of what costs them little, peers that
// do not read, and peers that say nothing. What is held and what is said stays bounded.
#include <doctest/doctest.h>

#include <functional>

#include "tests/hostile/qmux_siege.hpp"
#include "tests/hostile/stopwatch.hpp"
#include "tests/hostile/table.hpp"
#include "tests/unit/words.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

using frame::open;

struct Flood {
    std::string name;
    std::function<std::string(std::uint64_t)> record;  // the content of the n-th
    std::uint64_t rounds = 20'000;
};

const std::vector<Flood>& floods() {
    static const std::vector<Flood> all{
        {"QX_PING", [](std::uint64_t n) { return frame::qx_ping(n + 1); }},
        {"PADDING of one byte", [](std::uint64_t) { return frame::padding(1); }},
        {"PADDING of 16 KiB", [](std::uint64_t) { return frame::padding(16382); }, 2000},
        {"empty STREAM frames", [](std::uint64_t n) { return frame::stream(n % 8 * 4, 0, ""); }},
        {"MAX_DATA", [](std::uint64_t n) { return frame::max_data((1ull << 41) + n); }},
        {"MAX_STREAM_DATA",
         [](std::uint64_t n) { return frame::max_stream_data(n % 100 * 4, (1ull << 41) + n); }},
        {"MAX_STREAMS", [](std::uint64_t n) { return "\x12" + frame::number((1 << 21) + n); }},
        {"STOP_SENDING", [](std::uint64_t n) { return frame::stop_sending(n % 100 * 4, n); }},
        {"DATA_BLOCKED", [](std::uint64_t n) { return "\x14" + frame::number(n); }},
        {"STREAM_DATA_BLOCKED",
         [](std::uint64_t n) { return "\x15" + frame::number(n % 100 * 4) + frame::number(n); }},
        {"DATAGRAM for nobody", [](std::uint64_t) { return frame::datagram("\x01\x02x"); }},
        {"answers to QX_PING", [](std::uint64_t) { return frame::qx_answer(1); }},
    };
    return all;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("qmux: floods of frames cost neither memory nor more bytes than they bring") {
        constexpr std::size_t bound = 128 * 1024;  // a block for what is received has half of that
        std::size_t most = 0;
        for (const Flood& flood : floods()) {
            CAPTURE(flood.name);
            QmuxSiege siege;
            siege.keeps = false;
            // What 100 streams cost is no flood's doing.
            for (std::uint64_t id = 0; id < 100; ++id) siege.say(frame::stream(id * 4, 0, ""));
            const auto before = heap();
            const auto said = siege.bytes();
            std::uint64_t heard = 0;
            for (std::uint64_t n = 0; n < flood.rounds && !siege.lost(); ++n) {
                const auto content = flood.record(n);
                heard += content.size() + 2 + crypto::tls_overhead;
                siege.say(content);
                most = std::max(most, grown(before));
            }
            CHECK_FALSE(siege.lost());
            CHECK(siege.bytes() - said <= heard);
        }
        CHECK(most <= bound);
        measured("A25", "QMux: floods of frames, one a record", heap_figure(most, bound));
    }

    TEST_CASE(
        "qmux: floods to a connection whose peer does not read hold nothing and answer once") {
        constexpr std::size_t bound = 128 * 1024;
        std::size_t most = 0;
        for (const Flood& flood : floods()) {
            CAPTURE(flood.name);
            QmuxSiege siege;
            siege.keeps = false;
            for (std::uint64_t id = 0; id < 100; ++id) siege.say(frame::stream(id * 4, 0, ""));
            siege.reads = false;
            const auto before = heap();
            for (std::uint64_t n = 0; n < flood.rounds && siege.say(flood.record(n)); ++n) {}
            CHECK_FALSE(siege.lost());
            most = std::max(most, grown(before));
            siege.reads = true;
            const auto said = siege.bytes();
            siege.flush();
            CHECK(siege.bytes() - said <= 8 * 1024);
        }
        CHECK(most <= bound);
        measured("A25", "QMux: the same, and nothing is read", heap_figure(most, bound));
    }

    TEST_CASE("A25: records of TLS with a byte each, and records of QMux with a byte each") {
        constexpr std::size_t bound = 64 * 1024;
        QmuxSiege siege({.take = true});
        siege.keeps = false;
        siege.say(frame::stream(0, 0, open(0)));
        const auto before = heap();
        const auto said = siege.bytes();
        std::uint64_t offset = open(0).size();
        for (int i = 0; i < 3000; ++i, offset += 2) {
            const auto record = frame::record(frame::stream(0, offset, "\x01x"));
            REQUIRE(siege.write(record, 1));
        }
        CHECK(siege.arrived() == 3000);
        CHECK(grown(before) <= bound);
        CHECK(siege.bytes() - said <= offset * 22);
        measured("A25", "QMux: records of TLS of one byte", heap_figure(grown(before), bound));
    }

    TEST_CASE("qmux: a record that never ends is held once") {
        constexpr std::size_t bound = 64 * 1024;
        QmuxSiege siege;
        const auto before = heap();
        REQUIRE(siege.write(frame::record(frame::padding(16382)).substr(0, 16383), 100));
        CHECK(grown(before) <= bound);
        // The connection is alive otherwise, and ends as idle.
        siege.pass(31s);
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::connection_lost);
    }

    TEST_CASE("A8: thousands of streams opened and reset over QMux end the connection") {
        constexpr std::size_t bound = 512 * 1024;
        QmuxSiege siege;
        siege.keeps = false;
        const auto before = heap();
        std::size_t most = 0;
        const Stopwatch watch;
        std::uint64_t n = 0;
        for (; n < 10'000 && !siege.lost(); ++n) {
            siege.say(frame::stream(4 * n, 0, open(2 * n)) + frame::stop_sending(4 * n, 0) +
                      frame::reset_stream(4 * n, 0, open(2 * n).size()));
            most = std::max(most, grown(before));
        }
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::excessive_load);
        CHECK(siege.opened() <= 1001);
        CHECK(most <= bound);
        CHECK((sanitized() || watch.seconds() <= 2));
        measured("A8", "QMux: streams opened and reset", heap_figure(most, bound));
    }

    TEST_CASE("qmux: Carriers that end well are no flood, and leave nothing") {
        constexpr std::size_t bound = 64 * 1024;
        QmuxSiege siege({.take = true});
        siege.keeps = false;
        std::size_t before = 0;
        for (std::uint64_t n = 0; n < 5000; ++n) {
            // OPEN, a message, FIN; and what we would send is not wanted.
            const auto text = open(2 * n) + "\x01x\x34";
            REQUIRE(siege.say(frame::stream(4 * n, 0, text, true) + frame::stop_sending(4 * n, 0)));
            if (n == 500) before = heap();
        }
        CHECK(siege.opened() == 5000);
        CHECK(grown(before) <= bound);
    }

    TEST_CASE("qmux: an application that takes nothing stops streams, and nothing else") {
        // QMux: "endpoints MUST continue reading from the underlying transport even when delivery
        // of STREAM data to the application is temporarily blocked."
        Limits limits;
        limits.carrier_window = 4096;
        QmuxSiege siege({.limits = limits});
        std::string text = open(0) + "\x2f\xff";
        text.resize(4096, 'x');
        REQUIRE(siege.say(frame::stream(0, 0, text)));
        siege.heard();
        CHECK(siege.say(frame::stream(4, 0, open(2) + "\x01x")));
        CHECK(siege.opened() == 2);
        CHECK(siege.say(frame::qx_ping(9)));
        CHECK(siege.heard() == Words{"ping 1 9"});
        CHECK_FALSE(siege.say(frame::stream(0, 4096, std::string(100, 'x'))));
    }

    TEST_CASE("qmux: records are never larger than the least that a peer must take") {
        QmuxSiege siege;
        siege.supply().push(Open{CarrierId{1}, {}, CarrierKind::messages});
        const std::string large(1 << 20, 'x');
        siege.supply().push(
            Piece{CarrierId{1}, {}, Sequence{0}, 0, large.size(), Bytes(large), {}});
        siege.flush();
        CHECK(siege.bytes() > large.size());
        CHECK(siege.largest_record() <= tls::default_record_size);
        CHECK(siege.largest_record() > 16000);
    }

    TEST_CASE("qmux: what the peer granted is never exceeded, on a stream and on all") {
        const auto parameters = frame::parameter(1, 30'000) + frame::parameter(4, 20'000) +
                                frame::parameter(6, 5000) + frame::parameter(8, 2) +
                                frame::parameter(9, 1);
        QmuxSiege siege({.parameters = parameters});
        const std::string large(10'000, 'x');
        for (std::uint64_t id = 1; id <= 5; id += 2) {
            siege.supply().push(Open{CarrierId{id}, {}, CarrierKind::messages});
            siege.supply().push(
                Piece{CarrierId{id}, {}, Sequence{0}, 0, large.size(), Bytes(large), {}});
        }
        siege.flush();
        const auto heard = siege.heard();
        const auto said = [&](std::string_view front) {
            return std::count_if(heard.begin(), heard.end(),
                                 [&](const auto& one) { return one.starts_with(front); });
        };
        CHECK(said("stream blocked 1 5000") == 1);
        CHECK(said("stream blocked 5 5000") == 1);
        CHECK(said("stream 9") == 0);  // a third is not allowed
        CHECK(siege.bytes() < 10'000 + 4000);
        siege.say("\x12\x03" + frame::max_stream_data(1, 20'000));
        CHECK(siege.bytes() > 15'000);
        const auto then = siege.heard();
        CHECK(std::any_of(then.begin(), then.end(),
                          [](const auto& one) { return one.starts_with("stream 9 0"); }));
    }

    TEST_CASE("qmux: silence ends a connection with close_notify and without frames") {
        for (const Role victim : {Role::server, Role::client}) {
            // The lesser of both: 30 seconds are ours.
            QmuxSiege siege(
                {.victim = victim,
                 .parameters = frame::parameter(1, 5000) + frame::generous().substr(6)});
            REQUIRE_FALSE(siege.lost());
            siege.heard();
            siege.pass(4900ms);
            CHECK_FALSE(siege.lost());
            siege.say(frame::padding(1));  // a record counts
            siege.pass(4900ms);
            CHECK_FALSE(siege.lost());
            // It was asked whether it is there, and that is all.
            for (const auto& word : siege.heard()) CHECK(word.starts_with("ping 0 "));
            siege.pass(200ms);
            REQUIRE(siege.lost());
            CHECK(*siege.lost() == Errc::connection_lost);
            CHECK(siege.heard().empty());
            CHECK(siege.attacker().progress() == TlsEnd::Progress::closed);
            CHECK(siege.victim().over());
        }
    }

    TEST_CASE("qmux: what is below QMux does not count as life") {
        QmuxSiege siege;
        // KeyUpdates, empty records, and the front of a record.
        for (int i = 0; i < 7; ++i) {
            siege.pass(5s);
            if (siege.lost()) break;
            siege.attacker().stream->update_keys(true);
            siege.deliver(siege.attacker().say(""));
        }
        CHECK(siege.lost());
    }

    TEST_CASE("qmux: keep-alive asks with rising numbers, and a peer that answers is kept") {
        QmuxSiege siege;
        siege.victim().keep_alive(true);
        siege.heard();
        std::uint64_t last = 1;  // when it was established
        for (int i = 0; i < 20; ++i) {
            siege.pass(10s);
            for (const auto& word : siege.heard())
                CHECK(word == "ping 0 " + std::to_string(++last));
            siege.say(frame::qx_answer(last));
        }
        CHECK_FALSE(siege.lost());
        CHECK(last >= 15);
    }

    TEST_CASE("qmux: a dead peer is found out with keep-alive, in time") {
        QmuxSiege siege;
        siege.victim().keep_alive(true);
        const auto from = siege.now();
        while (!siege.lost() && siege.now() < from + 300s) siege.pass(1s);
        REQUIRE(siege.lost());
        CHECK(*siege.lost() == Errc::connection_lost);
        // It is asked after 10 seconds and has 30 for the answer.
        CHECK(siege.now() - from <= 41s);
        CHECK(siege.now() - from >= 30s);
    }

    TEST_CASE("A25: a handshake that stalls ends after 10 seconds, wherever it stalls") {
        // Nothing of QMux behind TLS's handshake, and the front of it.
        for (const std::size_t front : {0u, 5u}) {
            QmuxSiege siege({.declares = false});
            const auto record = frame::record(frame::qx_parameters(""));
            if (front > 0) siege.write(record.substr(0, front));
            siege.pass(9900ms);
            CHECK_FALSE(siege.lost());
            siege.pass(200ms);
            REQUIRE(siege.lost());
            CHECK(*siege.lost() == Errc::handshake_timeout);
        }
        // Inside TLS's handshake: nothing, a byte a second, and all but the client's last flight.
        const auto hello = TlsEnd(Role::client, {.alpn = {std::string(tls::post_alpn)}}).take();
        for (const std::size_t part : {std::size_t{0}, std::size_t{1}, hello.size()}) {
            CAPTURE(part);
            tls::EndpointOptions options;
            options.random = [](std::span<std::byte>) {};
            options.most_half_open = 1;
            tls::Endpoint endpoint(std::move(options));
            tls::AcceptOptions accept;
            accept.security.identity = Identity::from_pem(tls_pem().certificates, tls_pem().key);
            const Instant begin(1h);
            auto made = endpoint.accept(begin, accept, {}, {});
            REQUIRE(made);
            CHECK(endpoint.half_open() == 1);
            // No more of them than there may be.
            CHECK(endpoint.accept(begin, accept, {}, {}).error() ==
                  make_error_code(Errc::too_many));
            Mapping& mapping = **made;
            std::size_t at = 0;
            for (int second = 1; second < 10; ++second) {
                Datagrams run;
                run.bytes = std::span(hello).subspan(at, std::min(part, hello.size() - at));
                mapping.handle_input(begin + Duration(1s) * second, run);
                at += run.bytes.size();
            }
            CHECK(mapping.deadline() == begin + 10s);
            mapping.handle_timeout(begin + 9999ms);
            CHECK_FALSE(mapping.over());
            mapping.handle_timeout(begin + 10s);
            CHECK(mapping.over());
            CHECK(endpoint.half_open() == 0);
            std::vector<Event> events;
            mapping.poll_events(events);
            REQUIRE(events.size() == 1);
            CHECK(std::get<event::Lost>(events[0]).error == Errc::handshake_timeout);
        }
    }
}

}  // namespace post::test
