// The handshake, and the deafness that follows.
#include "tests/hostile/siege.hpp"

#include <random>
#include <stdexcept>
#include <utility>

#include "mappings/wire/reader.hpp"
#include "tests/hostile/frames.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

// Made once, since keys cost time.
const Identity& identity() {
    static const Identity made = Identity::self_signed("server.test");
    return made;
}

quic::EndpointOptions endpoint_options(std::uint64_t seed, const Forge& forge) {
    quic::EndpointOptions options;
    options.random = [random = std::mt19937_64(seed)](std::span<std::byte> bytes) mutable {
        for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
    };
    options.versions = {QuicVersion::v1};
    options.substitute = &forge;
    return options;
}

}  // namespace

Siege::Siege(const SiegeOptions& options)
    : options_(options),
      client_(endpoint_options(options.seed, client_forge_)),
      server_(endpoint_options(options.seed + 1, server_forge_)) {
    quic::ConnectOptions connect;
    connect.local = address(false);
    connect.remote = address(true);
    connect.security.trust = Trust::pinned(identity().pin());
    connect.security.server_name = "server.test";
    connect.alpn = {options.raw ? "echo" : std::string(quic::post_alpn)};
    connect.transport.versions = {QuicVersion::v1};
    const bool victim = options.victim == Role::client;
    connect.transport.limits = victim ? options.limits : options.attacker;
    client_.mapping = client_.endpoint.connect(now_, TransientId{1}, connect).value();
    shake_hands();
    const bool server = options.victim == Role::server;
    victims_forge().listens = true;
    victim_ = std::move((server ? server_ : client_).mapping);
    (server ? client_ : server_).mapping.reset();
    flush();
    events_.clear();
    datagrams_ = bytes_ = 0;
    destinations_.clear();
    victims_forge().said.clear();
}

Siege::~Siege() {
    victim_.reset();
    client_.mapping.reset();
    server_.mapping.reset();
}

Address Siege::address(bool server) const {
    return *Address::parse(server ? "192.0.2.2" : "192.0.2.1", server ? 4433 : 50000);
}

void Siege::shake_hands() {
    for (int turn = 0; turn < 50; ++turn) {
        exchange(client_, server_, true);
        if (options_.begin_at != Level::one_rtt && forge().ready(options_.begin_at)) return;
        exchange(server_, client_, false);
        if (options_.begin_at != Level::one_rtt && forge().ready(options_.begin_at)) return;
        now_ += 1ms;
        for (auto* end : {&client_, &server_})
            if (end->mapping && end->mapping->deadline() <= now_)
                end->mapping->handle_timeout(now_);
        if (turn > 10 && client_.established && server_.established &&
            forge().ready(Level::one_rtt))
            return;
    }
    throw std::logic_error("the handshake of a siege failed");
}

void Siege::exchange(End& from, End& to, bool to_server) {
    if (!from.mapping) return;
    QueueSupply nothing;
    std::vector<Event> events;
    for (;;) {
        const auto run = from.mapping->poll_transmit(now_, nothing, space_);
        if (run.empty()) break;
        // What would end the level that the attacker wants to speak at is never sent.
        if (options_.begin_at == Level::handshake && forge().ready(Level::handshake)) {
            if (!to_server) deliver_first_packet(run);
            return;
        }
        for (auto rest = run; !rest.empty(); rest = rest.after(1)) {
            Datagrams one = rest.first(1);
            one.local = address(to_server);
            one.remote = address(!to_server);
            if (!to.mapping && to_server) {
                quic::AcceptOptions accept;
                accept.security.identity = identity();
                accept.alpn = {"echo", std::string(quic::post_alpn)};
                accept.transport.versions = {QuicVersion::v1};
                const bool victim = options_.victim == Role::server;
                accept.transport.limits = victim ? options_.limits : options_.attacker;
                to.mapping = to.endpoint.accept(now_, TransientId{2}, accept, one).value();
            } else if (to.mapping) {
                to.mapping->handle_input(now_, one);
            }
        }
    }
    for (auto* end : {&from, &to}) {
        if (!end->mapping) continue;
        end->mapping->poll_events(events);
        for (const auto& event : events)
            end->established |= std::holds_alternative<event::Established>(event);
        events.clear();
    }
}

// The Initial packet in front of a server's first datagram, so that its client knows the next keys.
void Siege::deliver_first_packet(Datagrams run) {
    wire::Reader reader(run.front());
    reader.bytes(5);
    reader.bytes(reader.u8().value());
    reader.bytes(reader.u8().value());
    reader.bytes(reader.varint().value());
    reader.bytes(reader.varint().value());
    run = run.first(1);
    run.bytes = run.bytes.first(reader.taken());
    run.local = address(false);
    run.remote = address(true);
    client_.mapping->handle_input(now_, run);
}

bool Siege::say(std::string_view frames, Level level) {
    return deliver(forge().seal(level, frames));
}

bool Siege::deliver(std::span<const std::byte> datagram, std::optional<Address> from) {
    Datagrams run;
    const bool server = options_.victim == Role::server;
    run.local = address(server);
    run.remote = from ? *from : address(!server);
    run.segment = datagram.size();
    run.bytes = datagram;
    victim_->handle_input(now_, run);
    drain();
    flush();
    return !lost_;
}

void Siege::flush() {
    if (!hears) victims_forge().said.clear();
    for (;;) {
        const auto run = victim_->poll_transmit(now_, supply_, space_);
        drain();
        if (run.empty()) return;
        datagrams_ += run.count();
        bytes_ += run.bytes.size();
        if (destinations_.empty() || destinations_.back() != run.remote)
            destinations_.push_back(run.remote);
        note_close();
    }
}

void Siege::note_close() {
    if (victims_forge().said.empty()) return;
    const std::string& frames = victims_forge().said.back().frames;
    wire::Reader reader(std::as_bytes(std::span(frames)));
    const auto type = reader.u8();
    if (type == 0x1c || type == 0x1d) close_code_ = reader.varint();
}

void Siege::pass(Duration duration) {
    const auto end = now_ + duration;
    while (!lost_ && victim_->deadline() <= end) {
        now_ = std::max(now_, victim_->deadline());
        victim_->handle_timeout(now_);
        drain();
        flush();
    }
    now_ = end;
}

std::vector<Forge::Said> Siege::heard() { return std::exchange(victims_forge().said, {}); }

std::string Siege::acknowledgement() {
    std::vector<std::uint64_t> numbers;
    for (const auto& packet : heard())
        if (packet.level == Level::one_rtt) numbers.push_back(packet.number);
    if (numbers.empty()) return frame::ping();
    std::uint64_t first = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    for (auto i = numbers.size(); i-- > 0;) {
        // `low`: of the run that ends at number i.
        auto low = i;
        while (low > 0 && numbers[low - 1] + 1 == numbers[low]) --low;
        if (i + 1 == numbers.size())
            first = i - low;
        else
            ranges.push_back({numbers[i + 1] - numbers[i] - 2, i - low});
        i = low;
    }
    return frame::ack(numbers.back(), first, ranges);
}

void Siege::drain() {
    fresh_.clear();
    victim_->poll_events(fresh_);
    spread_runs(fresh_);
    for (auto& event : fresh_) {
        if (auto* lost = std::get_if<event::Lost>(&event)) lost_ = lost->error;
        opened_ += std::holds_alternative<event::Opened>(event);
        if (auto* arrived = std::get_if<event::Arrived>(&event)) {
            arrived_ += arrived->piece.bytes.size();
            if (options_.take) {
                victim_->extend_window(arrived->piece.carrier, arrived->piece.bytes.size());
                victim_->extend_budget(arrived->piece.bytes.size());
            }
        }
        if (auto* unblocked = std::get_if<event::Unblocked>(&event))
            if (unblocked->carrier) supply_.unblock(*unblocked->carrier);
        if (keeps) events_.push_back(std::move(event));
    }
}

}  // namespace post::test
