// QuicPair: two QUIC endpoints and the connection between them, over the Pair's link. The handshake
// is real TLS 1.3 with certificates made for the test program.
#pragma once

#include <memory>
#include <string>
#include <vector>

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
    std::optional<crypto::Cipher> client_cipher;
    std::optional<crypto::Cipher> server_cipher;
    bool client_raw = false;  // the client writes what it likes, whatever the ALPN
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
    // What was sent, to be sent again.
    const std::vector<std::vector<std::byte>>& history(bool to_server) const {
        return to_server ? to_server_ : to_client_;
    }
    // A datagram from somewhere, now.
    void inject(bool to_server, std::vector<std::byte> bytes);
    std::uint64_t answers() const { return answers_; }
    std::uint64_t unroutable() const { return unroutable_; }

protected:
    void deliver(bool to_server, const Datagrams& datagram) override;
    void sent(const Flight& flight) override;

private:
    QuicOptions quic_options_;
    quic::Endpoint client_endpoint_;
    quic::Endpoint server_endpoint_;
    std::vector<std::vector<std::byte>> to_server_;
    std::vector<std::vector<std::byte>> to_client_;
    std::uint64_t answers_ = 0;
    std::uint64_t unroutable_ = 0;
};

}  // namespace post::test
