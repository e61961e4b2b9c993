// Endpoint: what the connections of one UDP port share. It knows which datagram belongs to whom,
// gives out connection ids, answers what needs no connection (version negotiation, the last word
// of a connection that is closed), counts half-open connections, and lends TLS credentials.
//
// It owns no connection: connect() and accept() make one for the caller, who routes by TransientId.
// The endpoint outlives its connections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <variant>

#include <post/result.hpp>

#include "mappings/mapping.hpp"
#include "mappings/quic/options.hpp"
#include "mappings/quic/rate_limit.hpp"
#include "mappings/quic/routes.hpp"
#include "mappings/quic/streams.hpp"

namespace post::quic {

class Endpoint {
public:
    // Throws Failure when the packet protection that is asked for cannot be had.
    explicit Endpoint(EndpointOptions options);
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    // Where the front of a run goes. `datagrams` always counts the leading ones that are meant, at
    // least one; route the rest again.
    struct ToConnection {
        TransientId transient;
        std::size_t datagrams = 1;
    };
    // The first packet of a client that we could accept().
    struct NewClient {
        std::size_t datagrams = 1;
    };
    // One datagram, `size` bytes in the space given to route(), back to where the run came from.
    struct Answer {
        std::size_t size = 0;
        std::size_t datagrams = 1;
    };
    // Belongs to the Context with this index, on the same port.
    struct Elsewhere {
        std::uint16_t context_index = 0;
        std::size_t datagrams = 1;
    };
    struct Nothing {
        std::size_t datagrams = 1;
    };
    using Routed = std::variant<ToConnection, NewClient, Answer, Elsewhere, Nothing>;

    // `answer`: at least 1200 bytes.
    Routed route(Instant now, const Datagrams& run, std::span<std::byte> answer);

    // A connection, not yet established. `transient` is what route() will say.
    Result<std::unique_ptr<Mapping>> connect(Instant now, TransientId transient,
                                             const ConnectOptions& options);
    // `first`: the datagrams of a NewClient, which the connection takes in.
    Result<std::unique_ptr<Mapping>> accept(Instant now, TransientId transient,
                                            const AcceptOptions& options, const Datagrams& first);

    std::size_t half_open() const { return half_open_; }
    std::size_t routes() const { return routes_.size(); }

    // For the connections.

    void random(std::span<std::byte> bytes) { options_.random(bytes); }
    // A fresh id of ours that leads to `transient`.
    ConnectionId issue_id(TransientId transient);
    bool add_route(const ConnectionId& id, TransientId transient) {
        return routes_.add(id, transient);
    }
    void remove_route(const ConnectionId& id) { routes_.remove(id); }
    // RFC 9000, 10.3.2: the same id always gives the same token.
    void reset_token(const ConnectionId& id, std::span<std::uint8_t, 16> token) const;
    void opened_half() { ++half_open_; }
    void closed_half() { --half_open_; }
    crypto::CredentialStore& credentials() { return credentials_; }
    Pools& pools() { return pools_; }
    const crypto::PacketProtection& protection() const { return protection_; }
    // RFC 9000, 10.2.1: a closed connection goes on answering late packets with its last one.
    struct LastWord {
        std::vector<ConnectionId> ids;
        std::vector<std::byte> packet;
        Instant until;
    };
    void remember(LastWord word);

private:
    struct Closed {
        LastWord word;
        std::uint32_t received = 0;
    };

    Routed route_unknown(Instant now, const Datagrams& run, std::span<std::byte> answer);
    Routed negotiate_version(Instant now, const Datagrams& run, std::span<std::byte> answer);
    std::optional<Routed> route_closed(Instant now, const ConnectionId& id, const Datagrams& run,
                                       std::span<std::byte> answer, std::size_t datagrams);
    void forget_closed(Instant now);

    // Enough for a server that closes 300 connections a second, three PTO of a second long.
    static constexpr std::size_t most_closed = 1024;

    EndpointOptions options_;
    crypto::CredentialStore credentials_;
    Pools pools_;
    const crypto::PacketProtection& protection_;
    std::array<std::byte, 32> reset_secret_{};
    Routes routes_;
    // TransientIds with the top bit set lead into closed_: index + first_closed_.
    std::deque<Closed> closed_;
    std::uint64_t first_closed_ = 0;
    std::size_t half_open_ = 0;
    RateLimit negotiations_{100, 100};
};

}  // namespace post::quic
