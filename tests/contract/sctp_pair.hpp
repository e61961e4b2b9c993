// SctpPair: two ends of SCTP over DTLS, and the association between them, over the Pair's link.
// SctpUdpPair: the same right over UDP.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mappings/sctp/dtls_endpoint.hpp"
#include "mappings/sctp/udp_endpoint.hpp"
#include "tests/contract/pair.hpp"
#include "tests/sim/ambient.hpp"

namespace post::test {

// What both have: each end its part of usrsctp, which asks the system what time it is: without an
// answer in virtual time it would send nothing again.
class EnginePair : public Pair {
public:
    static constexpr bool is_quic = false;
    explicit EnginePair(const PairOptions& options)
        : Pair(options), ambient_(timeline_, options.seed) {
        EnginePair::moved();  // else the first round trip would begin before the pair does
    }

protected:
    void moved() override { timeline_.advance_to(sim::Timeline::start + now_.time_since_epoch()); }
    Instant shared_deadline() const override;
    void serve_shared() override;
    sctp::TransportOptions transport(const Limits& limits) const;
    static sctp::EndpointOptions seeded(std::uint64_t seed);

    void sent(const Flight& flight) override {
        if (on_sent) on_sent(flight.to_server, flight.bytes);
    }

    sim::Timeline timeline_;
    sim::ambient::Scope ambient_;
    sctp::Engine client_engine_{[] {}};
    sctp::Engine server_engine_{[] {}};

public:
    // Hears every datagram; and one from somewhere, now.
    std::function<void(bool to_server, std::span<const std::byte>)> on_sent;
    void inject(bool to_server, std::span<const std::byte> bytes);
};

class SctpUdpPair final : public EnginePair {
public:
    explicit SctpUdpPair(const PairOptions& options);
    ~SctpUdpPair() override;

protected:
    void deliver(bool to_server, const Datagrams& datagram) override;

private:
    sctp::UdpEndpoint client_endpoint_;
    sctp::UdpEndpoint server_endpoint_;
};

class SctpPair final : public EnginePair {
public:
    explicit SctpPair(const PairOptions& options);
    ~SctpPair() override;

    sctp::DtlsEndpoint& server_endpoint() { return server_endpoint_; }

protected:
    void deliver(bool to_server, const Datagrams& datagram) override;

private:
    std::vector<std::string> alpn() const;

    sctp::DtlsEndpoint client_endpoint_;
    sctp::DtlsEndpoint server_endpoint_;
};

}  // namespace post::test
