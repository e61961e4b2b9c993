// QuicPair: two QUIC endpoints and the connection between them, over the Pair's link. The handshake
// is real TLS 1.3 with certificates made for the test program.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mappings/quic/connection.hpp"
#include "mappings/quic/endpoint.hpp"
#include "tests/contract/pair.hpp"

namespace post::test {

struct QuicOptions : PairOptions {
    QuicOptions(const PairOptions& options = {});

    crypto::ClientSecurity client_security;
    crypto::ServerSecurity server_security;
    std::vector<std::string> client_alpn;
    std::vector<std::string> server_alpn;
    bool listening = true;
    crypto::PacketProtectionBackend client_protection = crypto::PacketProtectionBackend::automatic;
    crypto::PacketProtectionBackend server_protection = crypto::PacketProtectionBackend::automatic;
    // In place of these.
    const crypto::PacketProtection* client_substitute = nullptr;
    const crypto::PacketProtection* server_substitute = nullptr;
    bool client_raw = false;  // the client writes what it likes, whatever the ALPN
    // Their limits come from PairOptions; the server's versions are its endpoint's, too.
    quic::TransportOptions client_transport;
    quic::TransportOptions server_transport;
    std::size_t validate_from = 128;  // EndpointOptions of the server
    bool log = false;
};

// Made once, since keys cost time: a server's identity for "server.example" and 192.0.2.2.
const Identity& server_identity();

class QuicPair final : public Pair {
public:
    static constexpr bool is_quic = true;
    explicit QuicPair(const QuicOptions& options);
    ~QuicPair() override;

    quic::Endpoint& client_endpoint() { return client_endpoint_; }
    quic::Endpoint& server_endpoint() { return server_endpoint_; }
    quic::Connection& client_connection() {
        return static_cast<quic::Connection&>(*client.mapping);
    }
    quic::Connection& server_connection() {
        return static_cast<quic::Connection&>(*server.mapping);
    }
    // Another connection after the one at hand, from the same endpoints, with the address token
    // that this one got.
    void again();
    // What was sent, to be sent again.
    const std::vector<std::vector<std::byte>>& history(bool to_server) const {
        return to_server ? to_server_ : to_client_;
    }
    // Not 0: the server sees the client at this port.
    std::uint16_t client_port = 0;
    // A datagram from somewhere, now.
    void inject(bool to_server, std::vector<std::byte> bytes);
    std::uint64_t answers() const { return answers_; }
    const std::vector<std::byte>& last_answer() const { return last_answer_; }
    std::uint64_t unroutable() const { return unroutable_; }

protected:
    void deliver(bool to_server, const Datagrams& datagram) override;
    void sent(const Flight& flight) override;

private:
    void connect_client();
    // Of an endpoint, without a connection.
    void answer(bool by_server, std::span<const std::byte> bytes);

    QuicOptions quic_options_;
    quic::Endpoint client_endpoint_;
    quic::Endpoint server_endpoint_;
    std::vector<std::vector<std::byte>> to_server_;
    std::vector<std::vector<std::byte>> to_client_;
    std::uint64_t answers_ = 0;
    std::uint64_t unroutable_ = 0;
    std::vector<std::byte> last_answer_;
    std::vector<Bytes> tokens_;  // that the server gave, and no connection has used
    std::uint64_t next_transient_ = 1;
};

}  // namespace post::test
