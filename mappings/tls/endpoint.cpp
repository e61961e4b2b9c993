// How connections begin.
#include "mappings/tls/endpoint.hpp"

#include "mappings/tls/connection.hpp"

namespace post::tls {

Endpoint::Endpoint(EndpointOptions options)
    : options_(std::move(options)),
      protection_(crypto::packet_protection(options_.protection)),
      room_(crypto::largest_tls_fragment) {}

Result<std::unique_ptr<Mapping>> Endpoint::connect(Instant now, const ConnectOptions& options) {
    return std::unique_ptr<Mapping>(new Connection(*this, now, options));
}

Result<std::unique_ptr<Mapping>> Endpoint::accept(Instant now, const AcceptOptions& options,
                                                  const Address& local, const Address& remote) {
    if (half_open_ >= options_.most_half_open) return Errc::too_many;
    return std::unique_ptr<Mapping>(new Connection(*this, now, options, local, remote));
}

Result<std::unique_ptr<Mapping>> Endpoint::foreign(Instant now, const TransportOptions& options,
                                                   const Address& local, const Address& remote,
                                                   std::unique_ptr<crypto::TlsStream> tls) {
    if (!options_.foreign) return Errc::alpn_mismatch;
    return options_.foreign(now, options, local, remote, std::move(tls));
}

}  // namespace post::tls
