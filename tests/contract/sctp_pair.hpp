// SctpPair: two ends of SCTP over DTLS, and the association between them, over the Pair's link.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mappings/sctp/dtls_endpoint.hpp"
#include "tests/contract/pair.hpp"
#include "tests/sim/ambient.hpp"

namespace post::test {

class SctpPair final : public Pair {
public:
    static constexpr bool is_quic = false;
    explicit SctpPair(const PairOptions& options);
    ~SctpPair() override;

    sctp::DtlsEndpoint& server_endpoint() { return server_endpoint_; }

protected:
    void deliver(bool to_server, const Datagrams& datagram) override;
    Instant shared_deadline() const override;
    void serve_shared() override;

private:
    sctp::TransportOptions transport(const Limits& limits) const;
    std::vector<std::string> alpn() const;

    sctp::Engine client_engine_{[] {}};
    sctp::Engine server_engine_{[] {}};
    sctp::DtlsEndpoint client_endpoint_;
    sctp::DtlsEndpoint server_endpoint_;
};

}  // namespace post::test
