// DtlsEndpoint: SCTP over DTLS on one UDP port (RFC 8261). A connection is known by the address of
// its peer; a stranger proves that it receives at its address before anything is kept of it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <unordered_map>
#include <variant>

#include "mappings/crypto/dtls_cookies.hpp"
#include "mappings/sctp/endpoint.hpp"

namespace post::sctp {

class DtlsEndpoint final : public Endpoint {
public:
    DtlsEndpoint(Engine& engine, EndpointOptions options);

    // RFC 9443, 2: what the first byte of a datagram says about its protocol.
    static bool is_dtls(std::byte first) {
        return first >= std::byte{20} && first <= std::byte{63};
    }

    // Where a run goes. All of its datagrams are from one address.
    struct ToConnection {
        TransientId transient;
    };
    // The first datagram is from a client that we could accept(), which wants the proof.
    struct NewClient {
        crypto::DtlsPrestate proof;
    };
    // To the first datagram; nothing is done with the others.
    struct Answer {
        std::size_t size = 0;
    };
    struct Nothing {};
    using Routed = std::variant<ToConnection, NewClient, Answer, Nothing>;

    // `listening`: strangers may come. `answer`: at least 64 bytes.
    Routed route(Instant now, const Datagrams& run, bool listening, std::span<std::byte> answer);

    Result<std::unique_ptr<Mapping>> connect(Instant now, TransientId transient,
                                             const ConnectOptions& options);
    // `first`: what the proof came with, which the connection takes in.
    Result<std::unique_ptr<Mapping>> accept(Instant now, TransientId transient,
                                            const AcceptOptions& options, const Datagrams& first,
                                            const crypto::DtlsPrestate& proof);

    // Another connection to this address would be taken for the one that is there.
    bool reaches(const Address& remote) const { return routes_.count(remote) > 0; }

    void settled(const Address& remote) override;
    void forget(Line& line, const Address& remote) override;

private:
    struct Route {
        TransientId transient;
        const Line* line = nullptr;
        bool settled = false;
    };

    ConnectionOptions connection_options(Role role, const Address& local, const Address& remote,
                                         const TransportOptions& transport) const;
    Line& add_route(TransientId transient, const Address& remote);

    EndpointOptions options_;
    crypto::DtlsCookies cookies_;
    std::unordered_map<Address, Route> routes_;
};

}  // namespace post::sctp
