// Two ends of SCTP over the link.
#include "tests/contract/sctp_pair.hpp"

#include <array>

#include "tests/contract/quic_pair.hpp"

namespace post::test {

sctp::EndpointOptions EnginePair::seeded(std::uint64_t seed) {
    sctp::EndpointOptions options;
    options.random =
        [random = std::make_unique<std::mt19937_64>(seed)](std::span<std::byte> bytes) {
            for (auto& byte : bytes) byte = static_cast<std::byte>((*random)() & 0xff);
        };
    return options;
}

SctpPair::SctpPair(const PairOptions& options)
    : EnginePair(options),
      client_endpoint_(client_engine_, seeded(options.seed)),
      server_endpoint_(server_engine_, seeded(options.seed + 1)) {
    sctp::ConnectOptions connect;
    connect.local = address(false);
    connect.remote = address(true);
    connect.security.trust = Trust::pinned(server_identity().pin());
    connect.security.server_name = "server.example";
    connect.alpn = alpn();
    connect.transport = transport(options.client);
    client.mapping = client_endpoint_.connect(now_, TransientId{1}, connect).value();
}

SctpPair::~SctpPair() {
    client.mapping.reset();
    server.mapping.reset();
}

sctp::TransportOptions EnginePair::transport(const Limits& limits) const {
    sctp::TransportOptions transport;
    transport.limits = limits;
    transport.post = !options_.raw;
    return transport;
}

std::vector<std::string> SctpPair::alpn() const {
    return {std::string(options_.raw ? sctp::webrtc_alpn : sctp::post_alpn)};
}

void SctpPair::deliver(bool to_server, const Datagrams& datagram) {
    auto& endpoint = to_server ? server_endpoint_ : client_endpoint_;
    auto& end = to_server ? server : client;
    std::array<std::byte, 1500> space;
    const auto routed = endpoint.route(now_, datagram, to_server, space);
    using Endpoint = sctp::DtlsEndpoint;
    if (std::holds_alternative<Endpoint::ToConnection>(routed)) {
        if (end.mapping) end.mapping->handle_input(now_, datagram);
    } else if (const auto* newcomer = std::get_if<Endpoint::NewClient>(&routed)) {
        if (end.mapping) return;
        sctp::AcceptOptions accept;
        accept.security.identity = server_identity();
        accept.alpn = alpn();
        accept.transport = transport(options_.server);
        end.mapping =
            endpoint.accept(now_, TransientId{2}, accept, datagram, newcomer->proof).value();
    } else if (const auto* answer = std::get_if<Endpoint::Answer>(&routed)) {
        Datagrams reply;
        reply.segment = answer->size;
        reply.bytes = std::span(space).first(answer->size);
        launch(!to_server, reply);
    }
}

void EnginePair::inject(bool to_server, std::span<const std::byte> bytes) {
    Datagrams datagram;
    datagram.local = address(to_server);
    datagram.remote = address(!to_server);
    datagram.segment = bytes.size();
    datagram.bytes = bytes;
    deliver(to_server, datagram);
    (to_server ? server : client).drain();
}

Instant EnginePair::shared_deadline() const {
    return std::min(client_engine_.deadline(), server_engine_.deadline());
}

void EnginePair::serve_shared() {
    for (auto* engine : {&client_engine_, &server_engine_}) engine->tick(now_);
    for (auto* engine : {&client_engine_, &server_engine_}) {
        engine->tick(now_);
        std::vector<TransientId> touched;
        engine->poll_touched(touched);
        for (TransientId one : touched) (one == TransientId{1} ? client : server).drain();
    }
}

// Right over UDP.

SctpUdpPair::SctpUdpPair(const PairOptions& options)
    : EnginePair(options),
      client_endpoint_(client_engine_, seeded(options.seed)),
      server_endpoint_(server_engine_, seeded(options.seed + 1)) {
    server_endpoint_.listen(5000, transport(options.server));
    sctp::ConnectOptions connect;
    connect.local = address(false);
    connect.remote = address(true);
    connect.transport = transport(options.client);
    client.mapping = client_endpoint_.connect(now_, TransientId{1}, connect).value();
}

SctpUdpPair::~SctpUdpPair() {
    client.mapping.reset();
    server.mapping.reset();
}

void SctpUdpPair::deliver(bool to_server, const Datagrams& datagram) {
    auto& endpoint = to_server ? server_endpoint_ : client_endpoint_;
    auto& end = to_server ? server : client;
    std::array<std::byte, 1500> space;
    const auto routed = endpoint.route(now_, datagram, space);
    using Endpoint = sctp::UdpEndpoint;
    if (std::holds_alternative<Endpoint::ToConnection>(routed)) {
        if (end.mapping) end.mapping->handle_input(now_, datagram);
    } else if (std::holds_alternative<Endpoint::NewClient>(routed)) {
        end.mapping = endpoint.accept(now_, TransientId{2}, datagram).value();
    } else if (const auto* answer = std::get_if<Endpoint::Answer>(&routed)) {
        Datagrams reply;
        reply.segment = answer->size;
        reply.bytes = std::span(space).first(answer->size);
        launch(!to_server, reply);
    }
}

}  // namespace post::test
