// How foreign byte streams begin.
#include "mappings/tcp/endpoint.hpp"

#include "mappings/tcp/connections.hpp"

namespace post::tcp {

Endpoint::Endpoint(const EndpointOptions& options)
    : most_half_open_(options.most_half_open),
      protection_(crypto::packet_protection(options.protection)),
      room_(crypto::largest_tls_fragment) {}

std::unique_ptr<Mapping> Endpoint::connect(Instant now, const ConnectOptions& options) {
    return std::make_unique<Connections>(*this, now, options);
}

std::unique_ptr<Mapping> Endpoint::accept(Instant now, const TransportOptions& options,
                                          const Address& local, const Address& remote) {
    return std::make_unique<Connections>(*this, now, options, local, remote, nullptr);
}

Result<std::unique_ptr<Mapping>> Endpoint::accept(Instant now, const TransportOptions& options,
                                                  const Address& local, const Address& remote,
                                                  std::unique_ptr<crypto::TlsStream> tls) {
    if (half_open_ >= most_half_open_) return Errc::too_many;
    return std::unique_ptr<Mapping>(
        std::make_unique<Connections>(*this, now, options, local, remote, std::move(tls)));
}

}  // namespace post::tcp
