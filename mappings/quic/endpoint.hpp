// Endpoint: what the connections of one UDP port share. It knows which datagram belongs to whom,
// gives out connection ids, answers what needs no connection (answers.cpp: version negotiation,
// Retry, stateless reset, the last word of a connection that is closed), counts half-open
// connections, and lends TLS credentials.
//
// It owns no connection: connect() and accept() make one for the caller, who routes by TransientId.
// The endpoint outlives its connections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <post/result.hpp>

#include "mappings/crypto/keyed_hash.hpp"
#include "mappings/mapping.hpp"
#include "mappings/quic/options.hpp"
#include "mappings/quic/routes.hpp"
#include "mappings/quic/tokens.hpp"
#include "mappings/streams/streams.hpp"
#include "mappings/wire/rate_limit.hpp"

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
    // The first packet of a client that we could accept(), which wants the proof.
    struct NewClient {
        std::size_t datagrams = 1;
        AddressProof proof{};
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
                                            const AcceptOptions& options, const Datagrams& first,
                                            const AddressProof& proof = {});
    // What to say when accept() has failed, in `answer`, which has at least 1200 bytes: the size of
    // a Retry for a client whose first packet was overtaken or lost, since long ClientHellos take
    // several, and some clients never repeat what nobody has acknowledged; 0: nothing. It says all
    // of them again, with its address proved.
    std::size_t ask_again(Instant now, const Datagrams& first, std::span<std::byte> answer);

    // What connections logged since the last call: bytes to be appended to files.
    struct Log {
        std::string file;
        std::vector<std::byte> bytes;
    };
    std::vector<Log> poll_logs() { return std::exchange(logs_, {}); }
    // False where the library below writes qlog at its own peril (CVE-2026-40170).
    static bool can_log();

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
    // The token that means that the peer of `transient` has forgotten its connection.
    bool add_reset_token(const ConnectionId& token, TransientId transient) {
        return reset_tokens_.add(token, transient);
    }
    void remove_reset_token(const ConnectionId& token) { reset_tokens_.remove(token); }
    // An address token for a client.
    AddressTokens::Token address_token(Instant now, const Address& remote) {
        return tokens_.make(now, remote, options_.random);
    }
    bool logs() const { return options_.log; }
    void log(const std::string& file, std::span<const std::byte> bytes);
    void opened_half() { ++half_open_; }
    void closed_half() { --half_open_; }
    crypto::CredentialStore& credentials() { return credentials_; }
    streams::Pools& pools() { return pools_; }
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

    // What a client's first packet says in the clear.
    struct Initial {
        std::uint32_t version = 0;
        ConnectionId destination;
        ConnectionId source;
    };

    ConnectionId random_id();
    bool speaks(std::uint32_t version) const;
    Routed route_unknown(Instant now, const Datagrams& run, std::span<std::byte> answer);
    // answers.cpp
    Routed negotiate_version(Instant now, const Datagrams& run, std::span<std::byte> answer);
    Routed retry(Instant now, const Datagrams& run, const Initial& initial,
                 std::span<std::byte> answer);
    Routed refuse_token(Instant now, const Datagrams& run, const Initial& initial,
                        std::span<std::byte> answer);
    Routed reset(Instant now, const Datagrams& run, const ConnectionId& id,
                 std::span<std::byte> answer);
    std::optional<Routed> route_closed(Instant now, const ConnectionId& id, const Datagrams& run,
                                       std::span<std::byte> answer, std::size_t datagrams);
    void forget_closed(Instant now);

    // Enough for a server that closes 300 connections a second, three PTO of a second long.
    static constexpr std::size_t most_closed = 1024;
    // Marks the TransientIds that lead into closed_: index + first_closed_.
    static constexpr std::uint64_t closed_bit = std::uint64_t{1} << 63;

    EndpointOptions options_;
    crypto::CredentialStore credentials_;
    streams::Pools pools_;
    const crypto::PacketProtection& protection_;
    Routes routes_;
    Routes reset_tokens_;           // of the peers, 16 bytes each
    crypto::KeyedHash reset_hash_;  // of ours (RFC 9000, 10.3.2)
    AddressTokens tokens_;
    std::vector<Log> logs_;
    std::deque<Closed> closed_;
    std::uint64_t first_closed_ = 0;
    std::size_t half_open_ = 0;
    bool begun_amid_ = false;  // what accept() did not take last
    wire::RateLimit negotiations_{100, 100};
    wire::RateLimit refusals_{100, 100};
    wire::RateLimit resets_{50, 50};
};

}  // namespace post::quic
