// Two QUIC endpoints over the link.
#include "tests/contract/quic_pair.hpp"

#include <array>

#include "mappings/crypto/credentials.hpp"

namespace post::test {

namespace {

quic::EndpointOptions seeded(std::uint64_t seed, crypto::PacketProtectionBackend protection,
                             const crypto::PacketProtection* substitute,
                             const QuicOptions* server = nullptr) {
    quic::EndpointOptions options;
    options.protection = protection;
    options.substitute = substitute;
    if (server) {
        options.validate_from = server->validate_from;
        options.versions = server->server_transport.versions;
        options.log = server->log;
    }
    options.random =
        [random = std::make_unique<std::mt19937_64>(seed)](std::span<std::byte> bytes) {
            for (auto& byte : bytes) byte = static_cast<std::byte>((*random)() & 0xff);
        };
    return options;
}

}  // namespace

const Identity& server_identity() {
    static const Identity identity = [] {
        crypto::CertificateRequest request;
        request.names = {"server.example", "192.0.2.2"};
        auto pair = crypto::make_certificate(request);
        return Identity::from_pem(pair.certificates, pair.key);
    }();
    return identity;
}

QuicOptions::QuicOptions(const PairOptions& options) : PairOptions(options) {
    server_security.identity = server_identity();
    client_security.trust = Trust::pinned(server_identity().pin());
    client_security.server_name = "server.example";
    client_alpn = {raw ? "echo" : std::string(quic::post_alpn)};
    server_alpn = {"echo", std::string(quic::post_alpn)};
}

QuicPair::QuicPair(const QuicOptions& options)
    : Pair(options),
      quic_options_(options),
      client_endpoint_(seeded(options.seed, options.client_protection, options.client_substitute)),
      server_endpoint_(seeded(options.seed + 1, options.server_protection,
                              options.server_substitute, &options)) {
    connect_client();
}

void QuicPair::again() {
    for (const auto& given : client.all<event::Token>()) tokens_.push_back(given.token);
    client.mapping.reset();
    server.mapping.reset();
    client.events.clear();
    server.events.clear();
    flights_.clear();
    connect_client();
}

void QuicPair::connect_client() {
    const auto& options = quic_options_;
    quic::ConnectOptions connect;
    connect.local = address(false);
    connect.remote = address(true);
    connect.security = options.client_security;
    connect.alpn = options.client_alpn;
    connect.transport = options.client_transport;
    connect.transport.limits = options.client;
    connect.transport.raw = options.client_raw;
    if (!tokens_.empty()) {
        connect.token = tokens_.back();
        tokens_.pop_back();
    }
    client.mapping =
        client_endpoint_.connect(now_, TransientId{next_transient_++}, connect).value();
}

QuicPair::~QuicPair() {
    client.mapping.reset();
    server.mapping.reset();
}

void QuicPair::sent(const Flight& flight) {
    (flight.to_server ? to_server_ : to_client_).push_back(flight.bytes);
}

void QuicPair::inject(bool to_server, std::vector<std::byte> bytes) {
    Datagrams datagram;
    datagram.local = address(to_server);
    datagram.remote = address(!to_server);
    datagram.segment = bytes.size();
    datagram.bytes = bytes;
    deliver(to_server, datagram);
    (to_server ? server : client).drain();
}

void QuicPair::deliver(bool to_server, const Datagrams& sent) {
    if (to_server && !quic_options_.listening) return;
    Datagrams datagram = sent;
    if (to_server && client_port != 0) datagram.remote.port = client_port;
    auto& endpoint = to_server ? server_endpoint_ : client_endpoint_;
    auto& end = to_server ? server : client;
    std::array<std::byte, 1500> space;
    auto routed = endpoint.route(now_, datagram, space);
    if (std::holds_alternative<quic::Endpoint::ToConnection>(routed)) {
        if (end.mapping) end.mapping->handle_input(now_, datagram);
    } else if (std::holds_alternative<quic::Endpoint::NewClient>(routed) && to_server) {
        if (end.mapping) return;
        quic::AcceptOptions accept;
        accept.security = quic_options_.server_security;
        accept.alpn = quic_options_.server_alpn;
        accept.transport = quic_options_.server_transport;
        accept.transport.limits = options_.server;
        const auto& proof = std::get<quic::Endpoint::NewClient>(routed).proof;
        auto made = endpoint.accept(now_, TransientId{next_transient_++}, accept, datagram, proof);
        if (made) {
            end.mapping = std::move(*made);
        } else if (const auto size = endpoint.ask_again(now_, datagram, space); size > 0) {
            answer(to_server, std::span(space).first(size));
        }
    } else if (auto* answer = std::get_if<quic::Endpoint::Answer>(&routed)) {
        this->answer(to_server, std::span(space).first(answer->size));
    } else {
        ++unroutable_;
    }
}

void QuicPair::answer(bool by_server, std::span<const std::byte> bytes) {
    ++answers_;
    Datagrams reply;
    reply.segment = bytes.size();
    reply.bytes = bytes;
    last_answer_.assign(bytes.begin(), bytes.end());
    launch(!by_server, reply);
}

}  // namespace post::test
