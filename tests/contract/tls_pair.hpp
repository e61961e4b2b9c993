// TlsPair: two ends of QMux in TLS, and the byte stream between them: over the Pair's link, which
// here is ordered and loses nothing.
#pragma once

#include "mappings/tls/endpoint.hpp"
#include "tests/contract/pair.hpp"

namespace post::test {

class TlsPair final : public Pair {
public:
    static constexpr bool is_quic = false;
    explicit TlsPair(const PairOptions& options);
    ~TlsPair() override;

    // Bytes from nowhere, as the next of the stream.
    void inject(bool to_server, std::span<const std::byte> bytes);

protected:
    void deliver(bool to_server, const Datagrams& bytes) override;

private:
    static tls::EndpointOptions seeded(std::uint64_t seed);

    tls::Endpoint client_endpoint_;
    tls::Endpoint server_endpoint_;
};

}  // namespace post::test
