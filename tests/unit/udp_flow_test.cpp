// Flow and its Endpoint: runs, what waits for the next one, and who makes room.
#include <doctest/doctest.h>

#include "mappings/udp/endpoint.hpp"
#include "tests/fake/queue_supply.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""s;

constexpr CarrierId first_carrier{0};

udp::FlowOptions options_of(Role role = Role::client) {
    udp::FlowOptions options;
    options.role = role;
    options.local = *Address::parse("10.0.0.1", 1000);
    options.remote = *Address::parse("10.0.0.2", 2000);
    options.unfragmented = 1472;
    options.run_limit = 4;
    return options;
}

Piece piece_of(std::string_view text, std::uint64_t sequence, DatagramOptions options = {}) {
    Piece piece;
    piece.carrier = first_carrier;
    piece.sequence = Sequence{sequence};
    piece.total = text.size();
    piece.bytes = Bytes(text);
    if (options != DatagramOptions{}) piece.extras = Extras{.datagram = options};
    return piece;
}

// A flow, what it is to send, and what it said.
struct Play {
    explicit Play(const udp::FlowOptions& options)
        : flow(nullptr, TransientId{1}, options, Instant{}), space(largest_run) {
        supply.push(Open{first_carrier, std::nullopt});
    }
    std::vector<std::string> run() {
        const Datagrams sent = flow.poll_transmit(Instant{}, supply, space);
        std::vector<std::string> texts;
        std::size_t left = sent.count();
        for (Datagrams rest = sent; left > 0; --left, rest = rest.after(1)) {
            const auto bytes = rest.blank ? std::span<const std::byte>{} : rest.front();
            texts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }
        last = sent;
        last.bytes = {};
        return texts;
    }
    std::vector<Event> events() {
        std::vector<Event> all;
        flow.poll_events(all);
        return all;
    }

    QueueSupply supply;
    udp::Flow flow;
    std::vector<std::byte> space;
    Datagrams last;
};

using Texts = std::vector<std::string>;

Datagrams from(const Address& remote, const Address& local, std::span<const std::byte> bytes) {
    Datagrams run;
    run.local = local;
    run.remote = remote;
    run.segment = bytes.size();
    run.bytes = bytes;
    return run;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a run has messages of one size, a shorter one last, and no more than its limit") {
        Play play(options_of());
        std::uint64_t sequence = 0;
        for (const char* text :
             {"aaaa", "bbbb", "cc", "dddd", "eeeee", "", "f", "g", "h", "i", "j"})
            play.supply.push(piece_of(text, sequence++));
        CHECK(play.run() == Texts{"aaaa", "bbbb", "cc"});
        CHECK(play.run() == Texts{"dddd"});
        CHECK(play.run() == Texts{"eeeee"});
        CHECK(play.run() == Texts{""});
        CHECK(play.last.blank);
        CHECK(play.run() == Texts{"f", "g", "h", "i"});
        CHECK(play.supply.packed_of(first_carrier) == 10);
        CHECK(play.run() == Texts{"j"});
        CHECK(play.run().empty());
        std::uint64_t acked = 0;
        for (const Event& event : play.events())
            if (const auto* one = std::get_if<event::Acked>(&event)) acked += one->pieces;
        CHECK(acked == 11);
    }

    TEST_CASE("messages with other headers go in another run") {
        Play play(options_of());
        play.supply.push(piece_of("aa", 0));
        play.supply.push(piece_of("bb", 1, {.dscp = 46}));
        play.supply.push(piece_of("cc", 2, {.dscp = 46}));
        play.supply.push(piece_of("dd", 3));
        CHECK(play.run() == Texts{"aa"});
        CHECK_FALSE(play.last.options.dscp);
        CHECK(play.run() == Texts{"bb", "cc"});
        CHECK(play.last.options.dscp == 46);
        CHECK(play.run() == Texts{"dd"});
    }

    TEST_CASE("what has to be fragmented goes by itself") {
        Play play(options_of());
        for (std::uint64_t i = 0; i < 2; ++i) play.supply.push(piece_of(std::string(1473, 'x'), i));
        CHECK(play.run().size() == 1);
        CHECK(play.run().size() == 1);
        CHECK(play.run().empty());
    }

    TEST_CASE("a flow whose Carrier ends tells what was sent before it is lost") {
        Play play(options_of());
        CHECK(play.run().empty());
        play.flow.stop(first_carrier, Error(Errc::carrier_closed));
        play.supply.push(piece_of("last words", 0));
        play.supply.push(Finish{first_carrier});
        CHECK(play.run() == Texts{"last words"});
        CHECK_FALSE(play.flow.over());
        std::vector<Event> all = play.events();
        REQUIRE(all.size() == 4);
        CHECK(std::holds_alternative<event::Established>(all[0]));
        CHECK(std::holds_alternative<event::Acked>(all[1]));
        CHECK(std::holds_alternative<event::Ended>(all[2]));
        CHECK(std::holds_alternative<event::Lost>(all[3]));
        CHECK(play.flow.over());
    }

    TEST_CASE("strangers make room for each other, and not those who were answered") {
        udp::Endpoint endpoint(2);
        const Address local = *Address::parse("10.0.0.1", 1000);
        const std::byte bytes[1]{};
        const auto remote = [](std::uint16_t port) { return *Address::parse("10.0.0.9", port); };
        std::vector<std::unique_ptr<Mapping>> flows;
        const auto accept = [&](std::uint16_t port) {
            udp::FlowOptions options = options_of(Role::server);
            options.remote = remote(port);
            flows.push_back(endpoint.accept(Instant{}, TransientId{port}, options));
        };
        const auto route = [&](std::uint16_t port, bool strangers = true) {
            return endpoint.route(from(remote(port), local, bytes), strangers);
        };
        using Endpoint = udp::Endpoint;
        CHECK(std::holds_alternative<Endpoint::Nothing>(route(1, false)));
        for (const std::uint16_t port : std::initializer_list<std::uint16_t>{1, 2}) {
            const auto routed = route(port);
            REQUIRE(std::holds_alternative<Endpoint::NewFlow>(routed));
            CHECK_FALSE(std::get<Endpoint::NewFlow>(routed).evicted);
            accept(port);
        }
        REQUIRE(std::holds_alternative<Endpoint::ToFlow>(route(2)));
        endpoint.answered(local, remote(1), TransientId{1});
        auto third = route(3);
        REQUIRE(std::holds_alternative<Endpoint::NewFlow>(third));
        CHECK(std::get<Endpoint::NewFlow>(third).evicted == TransientId{2});
        accept(3);
        endpoint.answered(local, remote(3), TransientId{3});
        CHECK(std::holds_alternative<Endpoint::Nothing>(route(4)));
        CHECK(endpoint.flows() == 2);
        // The flow that made room goes later, and takes nobody else's place along.
        flows.erase(flows.begin() + 1);
        CHECK(endpoint.flows() == 2);
        flows.clear();
        CHECK(endpoint.flows() == 0);
        CHECK(endpoint.find(remote(1)).empty());
    }

    TEST_CASE("a flow of a port ends when it was silent, one with a port of its own does not") {
        udp::FlowOptions options = options_of(Role::server);
        options.limits.idle_timeout = 5s;
        udp::Endpoint endpoint(2);
        const auto flow = endpoint.accept(Instant{}, TransientId{1}, options);
        CHECK(flow->deadline() == Instant{} + 5s);
        const std::byte bytes[3]{};
        flow->handle_input(Instant{} + 3s, from(options.remote, options.local, bytes));
        CHECK(flow->deadline() == Instant{} + 8s);
        flow->handle_timeout(Instant{} + 8s);
        std::vector<Event> all;
        flow->poll_events(all);
        CHECK(std::holds_alternative<event::Lost>(all.back()));
        CHECK(flow->over());
        CHECK(Play(options_of()).flow.deadline() == never);
    }
}

}  // namespace post::test
