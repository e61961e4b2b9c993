// Endpoint: what the foreign byte streams of a Context share: credentials, memory that is used in
// turn, and a count of those whose handshake is on its way. It owns no mapping, and outlives them
// all.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <post/result.hpp>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/packet_protection.hpp"
#include "mappings/crypto/tls_stream.hpp"
#include "mappings/mapping.hpp"
#include "mappings/tcp/options.hpp"
#include "mappings/wire/inbox.hpp"

namespace post::tcp {

class Endpoint {
public:
    // Throws Failure when the machine cannot.
    explicit Endpoint(const EndpointOptions& options);
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    // The first connection is wanted by poll_link, as all others.
    std::unique_ptr<Mapping> connect(Instant now, const ConnectOptions& options);
    // A connection that was taken: it is link 0, and has room.
    std::unique_ptr<Mapping> accept(Instant now, const TransportOptions& options,
                                    const Address& local, const Address& remote);
    // The same with a session of TLS in it, which has begun. too_many: the door is full.
    Result<std::unique_ptr<Mapping>> accept(Instant now, const TransportOptions& options,
                                            const Address& local, const Address& remote,
                                            std::unique_ptr<crypto::TlsStream> tls);

    // For the mappings.

    void opened_half() { ++half_open_; }
    void closed_half() { --half_open_; }
    crypto::CredentialStore& credentials() { return credentials_; }
    const crypto::PacketProtection& protection() const { return protection_; }
    wire::ReceiveBlocks& received() { return received_; }
    // Where a record is opened, until the next call.
    std::span<std::byte> room() { return room_; }

private:
    const std::size_t most_half_open_;
    const crypto::PacketProtection& protection_;
    crypto::CredentialStore credentials_;
    wire::ReceiveBlocks received_;
    std::vector<std::byte> room_;
    std::size_t half_open_ = 0;
};

}  // namespace post::tcp
