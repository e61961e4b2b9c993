// TcpPair: two ends of a foreign byte stream, and the TCP connection between them: ordered, whole,
// with so much room at each end that a peer that is held back fills it. TlsBytesPair has TLS in it.
// The server takes one connection, and refuses all others.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mappings/tcp/endpoint.hpp"
#include "tests/contract/pair.hpp"

namespace post::test {

class TcpPair : public Pair {
public:
    static constexpr bool is_quic = false;
    static constexpr bool is_secured = false;
    // What the system of the receiver keeps at most; a sender has room below half of it.
    static constexpr std::size_t buffer = 64 * 1024;

    explicit TcpPair(const PairOptions& options) : TcpPair(options, false) {}
    ~TcpPair() override;

    // The Carrier that the one connection is at the server.
    static CarrierId only() { return CarrierId{0}; }
    // The most bytes that lay at an end unread.
    std::size_t unread(bool at_server) const { return half(at_server).arrived.size(); }
    // What the edge took in one go from a connection, at most.
    std::size_t most_taken(bool at_server) const { return half(at_server).largest; }

protected:
    TcpPair(const PairOptions& options, bool secured);
    void deliver(bool to_server, const Datagrams& datagram) override;
    void launch(bool to_server, const Datagrams& run) override;
    void serve_links(bool of_client) override;

private:
    enum class Kind : std::uint8_t { connect, connected, bytes, end, reset, taken };
    // One direction; what is said of its receiver.
    struct Half {
        std::string arrived;            // and not read
        bool ended = false;             // a FIN lies behind them
        std::size_t most = 256 * 1024;  // that is read in one go
        std::size_t largest = 0;
        std::uint64_t sent = 0;
        std::uint64_t acknowledged = 0;  // as its sender knows
        std::uint64_t read = 0;
        bool full = false;
        bool closed = false;  // nothing more is sent
        bool gone = false;    // its receiver has closed the connection
    };

    const Half& half(bool to_server) const { return halves_[to_server ? 1 : 0]; }
    Half& half(bool to_server) { return halves_[to_server ? 1 : 0]; }
    void put(bool to_server, Kind kind, std::span<const std::byte> bytes = {});
    void accept();
    void read(bool at_server);
    void tell(bool at_server, decltype(LinkNews::what) what);

    const bool secured_;
    tcp::Endpoint client_endpoint_{{}};
    tcp::Endpoint server_endpoint_{{}};
    crypto::CredentialStore credentials_;
    std::array<Half, 2> halves_;
};

class TlsBytesPair final : public TcpPair {
public:
    static constexpr bool is_secured = true;
    explicit TlsBytesPair(const PairOptions& options) : TcpPair(options, true) {}
};

template <class PairType> constexpr bool is_byte_stream = std::is_base_of_v<TcpPair, PairType>;

}  // namespace post::test
