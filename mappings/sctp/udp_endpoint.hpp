// UdpEndpoint: SCTP right over UDP (RFC 6951) on a UDP port of its own. Nothing is secured here.
//
// A stranger's INIT is answered with a cookie and nothing is kept of it; usrsctp makes the
// association when the cookie comes back. For usrsctp every peer is an address of its own: a keyed
// hash of its UDP address and SCTP port, so that the answer to the cookie finds the same one.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "mappings/crypto/rotating_secret.hpp"
#include "mappings/sctp/endpoint.hpp"
#include "mappings/wire/rate_limit.hpp"

namespace post::sctp {

// What the path to a client carries (TransportOptions).
struct PathSizes {
    std::size_t largest_payload = 1200;
    std::size_t largest_probe = 0;
};

class UdpEndpoint final : public Endpoint {
public:
    UdpEndpoint(Engine& engine, EndpointOptions options);
    ~UdpEndpoint() override;

    // Takes associations on this SCTP port. Throws Failure when there is no memory.
    void listen(std::uint16_t port, const TransportOptions& transport);
    void close();

    // Where the first datagram of a run goes.
    struct ToConnection {
        TransientId transient;
        std::size_t datagrams = 1;
    };
    // A peer showed its cookie: its association is up, and waits for accept().
    struct NewClient {};
    // To where it came from.
    struct Answer {
        std::size_t size = 0;
    };
    struct Nothing {};
    using Routed = std::variant<ToConnection, NewClient, Answer, Nothing>;

    // `answer`: at least 1280 bytes.
    Routed route(Instant now, const Datagrams& run, std::span<std::byte> answer);

    Result<std::unique_ptr<Mapping>> connect(Instant now, TransientId transient,
                                             const ConnectOptions& options);
    // After NewClient, at once.
    Result<std::unique_ptr<Mapping>> accept(Instant now, TransientId transient,
                                            const Datagrams& first, const PathSizes& sizes = {});

    void settled(const Address&) override {}
    void forget(Line& line, const Address& remote) override;

private:
    // Peer's address and SCTP port, our SCTP port as it is on the wire.
    struct Key {
        Address remote;
        std::uint16_t theirs = 0;
        std::uint16_t ours = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Route {
        TransientId transient;
        const Line* line = nullptr;
    };
    struct Listening {
        struct socket* native = nullptr;
        std::uint16_t port = 0;      // on the wire
        std::uint16_t internal = 0;  // for usrsctp, where it stands for this listener alone
        TransportOptions transport;
    };

    std::uint64_t number_of(const Address& remote, std::uint16_t port) const;
    Routed route_stranger(Instant now, const Datagrams& run, std::span<std::byte> answer);
    Routed answer_stranger(Instant now, const Address& remote, std::size_t sent,
                           std::span<std::byte> answer);
    bool admits(const Address& remote) const;
    static SocketOptions socket_options(const TransportOptions& transport, std::uint16_t local,
                                        std::uint16_t remote);

    // Who may hold how many associations.
    static constexpr std::size_t most_associations = 1024;
    static constexpr std::size_t most_from_one = 8;

    EndpointOptions options_;
    crypto::RotatingSecret::Secret secret_{};
    std::map<Key, Route> routes_;
    std::map<const Line*, Key> keys_;
    std::optional<Listening> listening_;
    struct socket* accepted_ = nullptr;
    Line* accepted_line_ = nullptr;
    std::uint16_t accepted_port_ = 0;
    // What strangers have sent, three times, less what they were answered, by hash of the address.
    std::array<std::uint16_t, 4096> credits_{};
    std::uint16_t next_port_;
    wire::RateLimit answers_{1000, 1000};
};

}  // namespace post::sctp
