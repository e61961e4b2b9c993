// Two ends of TLS over the link.
#include "tests/contract/tls_pair.hpp"

#include "tests/contract/quic_pair.hpp"

namespace post::test {

namespace {

// What TCP makes of it.
PairOptions in_order(PairOptions options) {
    options.link.loss = options.link.duplicate = 0;
    options.link.jitter = {};
    return options;
}

}  // namespace

tls::EndpointOptions TlsPair::seeded(std::uint64_t seed) {
    tls::EndpointOptions options;
    options.random =
        [random = std::make_unique<std::mt19937_64>(seed)](std::span<std::byte> bytes) {
            for (auto& byte : bytes) byte = static_cast<std::byte>((*random)() & 0xff);
        };
    return options;
}

TlsPair::TlsPair(const PairOptions& options)
    : Pair(in_order(options)),
      client_endpoint_(seeded(options.seed)),
      server_endpoint_(seeded(options.seed + 1)) {
    tls::ConnectOptions connect;
    connect.local = address(false);
    connect.remote = address(true);
    connect.security.trust = Trust::pinned(server_identity().pin());
    connect.security.server_name = "server.example";
    connect.transport.limits = options.client;
    client.mapping = client_endpoint_.connect(now_, connect).value();
}

TlsPair::~TlsPair() {
    client.mapping.reset();
    server.mapping.reset();
}

void TlsPair::deliver(bool to_server, const Datagrams& bytes) {
    auto& end = to_server ? server : client;
    if (to_server && !end.mapping) {
        tls::AcceptOptions accept;
        accept.security.identity = server_identity();
        accept.transport.limits = options_.server;
        end.mapping = server_endpoint_.accept(now_, accept, bytes.local, bytes.remote).value();
    }
    if (end.mapping) end.mapping->handle_input(now_, bytes);
}

void TlsPair::inject(bool to_server, std::span<const std::byte> bytes) {
    Datagrams run;
    run.local = address(to_server);
    run.remote = address(!to_server);
    run.segment = bytes.size();
    run.bytes = bytes;
    deliver(to_server, run);
    (to_server ? server : client).drain();
}

}  // namespace post::test
