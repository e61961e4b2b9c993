// Siege: an endpoint with one connection, and a peer that was honest until the handshake was done
// and says anything afterwards: packets that a Forge seals. No network lies between them: what the
// victim sends is counted, and its frames can be read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mappings/quic/connection.hpp"
#include "mappings/quic/endpoint.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/forge.hpp"

namespace post::test {

struct SiegeOptions {
    Role victim = Role::server;
    Limits limits;      // the victim's
    Limits attacker;    // what the attacker says of itself in the handshake
    bool raw = false;   // an ALPN that is not Post's
    bool take = false;  // the victim's application takes what arrives
    std::uint64_t seed = 1;
    // Stop as soon as the attacker can seal at this level.
    Level begin_at = Level::one_rtt;
};

class Siege {
public:
    explicit Siege(const SiegeOptions& options = {});
    Siege(const Siege&) = delete;
    Siege& operator=(const Siege&) = delete;
    ~Siege();

    // One datagram with one packet of these frames; what they cause is sent and counted. False
    // when the victim has ended the connection.
    bool say(std::string_view frames, Level level = Level::one_rtt);
    bool deliver(std::span<const std::byte> datagram, std::optional<Address> from = {});
    // The victim fills what packets it can.
    void flush();
    void pass(Duration duration);

    quic::Connection& victim() { return static_cast<quic::Connection&>(*victim_); }
    QueueSupply& supply() { return supply_; }
    Forge& forge() { return options_.victim == Role::server ? client_forge_ : server_forge_; }
    // What the victim said since it was asked last, packet by packet, while `hears`.
    bool hears = false;
    std::vector<Forge::Said> heard();
    // An ACK frame for exactly what the victim said since this was asked last.
    std::string acknowledgement();
    Instant now() const { return now_; }

    const std::optional<Error>& lost() const { return lost_; }
    // The error code of the CONNECTION_CLOSE that the victim sent.
    std::optional<std::uint64_t> close_code() const { return close_code_; }
    std::uint64_t datagrams() const { return datagrams_; }
    std::uint64_t bytes() const { return bytes_; }
    // Where the victim's datagrams went.
    const std::vector<Address>& destinations() const { return destinations_; }
    // The victim's events since the handshake, while `keeps`.
    bool keeps = true;
    const std::vector<Event>& events() const { return events_; }
    std::uint64_t opened() const { return opened_; }
    std::uint64_t arrived() const { return arrived_; }  // bytes

private:
    struct End {
        quic::Endpoint endpoint;
        std::unique_ptr<Mapping> mapping;
        bool established = false;
        explicit End(quic::EndpointOptions options) : endpoint(std::move(options)) {}
    };
    void shake_hands();
    void exchange(End& from, End& to, bool to_server);
    void deliver_first_packet(Datagrams run);
    void drain();
    void note_close();
    Forge& victims_forge() {
        return options_.victim == Role::server ? server_forge_ : client_forge_;
    }
    Address address(bool server) const;

    SiegeOptions options_;
    Forge client_forge_;
    Forge server_forge_;
    End client_;
    End server_;
    std::unique_ptr<Mapping> victim_;
    QueueSupply supply_;
    Instant now_{std::chrono::seconds(1)};
    std::vector<std::byte> space_ = std::vector<std::byte>(largest_run);
    std::vector<Event> events_;
    std::vector<Event> fresh_;
    std::optional<Error> lost_;
    std::optional<std::uint64_t> close_code_;
    std::vector<Address> destinations_;
    std::uint64_t datagrams_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t opened_ = 0;
    std::uint64_t arrived_ = 0;
};

}  // namespace post::test
