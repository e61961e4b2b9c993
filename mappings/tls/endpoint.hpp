// Endpoint: what the TLS connections of a Context share: credentials, memory that is used in turn,
// and a count of those whose handshake is on its way. It owns no connection, and outlives them all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <post/result.hpp>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/packet_protection.hpp"
#include "mappings/mapping.hpp"
#include "mappings/streams/streams.hpp"
#include "mappings/tls/options.hpp"

namespace post::tls {

class Endpoint {
public:
    // Throws Failure when the machine cannot.
    explicit Endpoint(EndpointOptions options);
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    // The TCP connection is wanted, or was taken; what is sent meanwhile waits for it.
    Result<std::unique_ptr<Mapping>> connect(Instant now, const ConnectOptions& options);
    // too_many: the door is full.
    Result<std::unique_ptr<Mapping>> accept(Instant now, const AcceptOptions& options,
                                            const Address& local, const Address& remote);

    // For the connections.

    void random(std::span<std::byte> out) { options_.random(out); }
    Result<std::unique_ptr<Mapping>> foreign(Instant now, const TransportOptions& options,
                                             const Address& local, const Address& remote,
                                             std::unique_ptr<crypto::TlsStream> tls);
    void opened_half() { ++half_open_; }
    void closed_half() { --half_open_; }
    std::size_t half_open() const { return half_open_; }
    // For so many further clients at once.
    bool has_room(std::size_t clients) const {
        return half_open_ + clients <= options_.most_half_open;
    }
    crypto::CredentialStore& credentials() { return credentials_; }
    const crypto::PacketProtection& protection() const { return protection_; }
    streams::Pools& pools() { return pools_; }
    // Where a record is opened, until the next call.
    std::span<std::byte> room() { return room_; }

private:
    EndpointOptions options_;
    const crypto::PacketProtection& protection_;
    crypto::CredentialStore credentials_;
    streams::Pools pools_;
    std::vector<std::byte> room_;
    std::size_t half_open_ = 0;
};

}  // namespace post::tls
