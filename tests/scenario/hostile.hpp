// Hostile: a client that completes the handshake like any other and then writes what it likes: the
// QUIC mapping over a socket of the simulated network, with raw streams on which the tests write
// Post frames by hand (mappings/FORMAT.md). Once it has seized its own connection, it speaks QUIC's
// frames by hand too, and listens no more.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mappings/quic/endpoint.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/forge.hpp"
#include "tests/scenario/scene.hpp"

namespace post::test {

class Hostile {
public:
    explicit Hostile(Scene& scene)
        : world_(scene.world), io_(scene.near.make_io()), endpoint_(endpoint_options()) {
        socket_ = io_->open_udp({.local = Address::any_v4()}).value();
        quic::ConnectOptions connect;
        connect.remote = server_address();
        connect.security.trust = Trust::pinned(scene.identity.pin());
        connect.security.server_name = "server.test";
        connect.transport.raw = true;
        connect.transport.versions = {QuicVersion::v1};
        connect.transport.limits.idle_timeout = 10min;
        mapping_ = endpoint_.connect(io_->now(), TransientId{1}, connect).value();
        driver_ = world_.add({[this] { turn(); },
                              [this] { return mapping_ ? mapping_->deadline() : never; },
                              io_.get()});
    }
    ~Hostile() { world_.remove(driver_); }
    Hostile(const Hostile&) = delete;
    Hostile& operator=(const Hostile&) = delete;

    // Begins a stream with these bytes, or goes on with it. They go out in the next turn.
    void write(CarrierId stream, std::string_view bytes, bool one_way = false) {
        auto [at, fresh] = written_.emplace(stream, 0);
        if (fresh)
            supply_.push(Open{stream, {}, one_way ? CarrierKind::one_way : CarrierKind::messages});
        Piece piece;
        piece.carrier = stream;
        piece.sequence = Sequence{at->second++};
        piece.total = bytes.size();
        piece.bytes = Bytes(bytes);
        supply_.push(std::move(piece));
    }
    void finish(CarrierId stream) { supply_.push(Finish{stream}); }
    // SETTINGS with nothing but an association id, on the association's stream.
    void settle(CarrierId stream = CarrierId{1000}) {
        write(stream, std::string("\x38\x12\x00\x10", 4) + std::string(16, 'i'), true);
    }

    // Its connection is dropped without a word; what follows is said by hand.
    void seize() { mapping_.reset(); }
    void say(std::string_view frames) {
        const auto datagram = forge_.seal(Level::one_rtt, frames);
        Datagrams run;
        run.remote = server_address();
        run.segment = datagram.size();
        run.bytes = datagram;
        io_->send(socket_, run);
    }
    // What arrives on streams is taken, and the server may send more.
    bool reads = false;

    bool established() const { return established_; }
    const Error& lost() const { return lost_; }  // empty while it lives
    // How the server ended a stream.
    const std::map<CarrierId, Error>& resets() const { return resets_; }
    const std::map<CarrierId, Error>& stops() const { return stops_; }

private:
    static Address server_address() { return Address::parse("10.0.0.2", server_port).value(); }
    quic::EndpointOptions endpoint_options() {
        quic::EndpointOptions options;
        options.substitute = &forge_;
        options.random = [random = std::make_unique<sim::Random>(7)](std::span<std::byte> bytes) {
            random->fill(bytes);
        };
        return options;
    }
    void turn() {
        const Instant now = io_->now();
        for (const Io::Received& received : io_->receive())
            if (mapping_) mapping_->handle_input(now, received.datagrams);
        if (!mapping_) return;
        if (mapping_->deadline() <= now) mapping_->handle_timeout(now);
        std::vector<std::byte> space(largest_run);
        for (;;) {
            const Datagrams run = mapping_->poll_transmit(now, supply_, space);
            if (run.empty()) break;
            io_->send(socket_, run);
        }
        std::vector<Event> events;
        mapping_->poll_events(events);
        spread_runs(events);
        for (const Event& event : events) {
            established_ |= std::holds_alternative<event::Established>(event);
            if (const auto* lost = std::get_if<event::Lost>(&event)) lost_ = lost->error;
            if (const auto* reset = std::get_if<event::Reset>(&event))
                resets_.emplace(reset->carrier, reset->error);
            if (const auto* stopped = std::get_if<event::Stopped>(&event))
                stops_.emplace(stopped->carrier, stopped->error);
            if (const auto* arrived = std::get_if<event::Arrived>(&event); arrived && reads) {
                mapping_->extend_window(arrived->piece.carrier, arrived->piece.bytes.size());
                mapping_->extend_budget(arrived->piece.bytes.size());
            }
        }
    }

    sim::World& world_;
    std::unique_ptr<Io> io_;
    SocketId socket_;
    Forge forge_;
    quic::Endpoint endpoint_;
    std::unique_ptr<Mapping> mapping_;
    QueueSupply supply_;
    sim::DriverId driver_;
    std::map<CarrierId, std::uint64_t> written_;
    bool established_ = false;
    Error lost_;
    std::map<CarrierId, Error> resets_;
    std::map<CarrierId, Error> stops_;
};

}  // namespace post::test
