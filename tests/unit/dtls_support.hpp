// Two DTLS sessions in memory, and a wire between them that a test may tamper with.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mappings/crypto/dtls_session.hpp"

namespace post::test {

using namespace std::chrono_literals;
using Datagram = std::vector<std::byte>;

inline Datagram bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

inline Identity dtls_identity(const std::vector<std::string>& names,
                              const Identity* issuer = nullptr, bool authority = false) {
    crypto::CertificateRequest request;
    request.names = names;
    request.issuer = issuer;
    request.authority = authority;
    // Some of them are made once, and seen by the clocks of many stories.
    request.valid_for = std::chrono::hours(24 * 365 * 9);
    const auto pair = crypto::make_certificate(request);
    return Identity::from_pem(pair.certificates, pair.key);
}

// Made once, for keys cost time.
inline const Identity& dtls_server_identity() {
    static const Identity identity = dtls_identity({"server.example", "192.0.2.2"});
    return identity;
}
inline const Identity& dtls_client_identity() {
    static const Identity identity = dtls_identity({"client.example"});
    return identity;
}

struct DtlsPairOptions {
    DtlsPairOptions() {
        server.identity = dtls_server_identity();
        client.trust = Trust::pinned(server.identity.pin());
        client.server_name = "server.example";
        client_options.alpn = server_options.alpn = {"post-sctp/1"};
    }
    crypto::ClientSecurity client;
    crypto::ServerSecurity server;
    crypto::DtlsOptions client_options;
    crypto::DtlsOptions server_options;
};

class DtlsPair {
public:
    using Progress = crypto::DtlsSession::Progress;
    // What becomes of a datagram on its way: it may be changed, dropped (emptied) or kept.
    using Wire = Function<void(bool to_server, Datagram&)>;

    explicit DtlsPair(const DtlsPairOptions& options)
        : client(store, options.client, options.client_options),
          server(store, options.server, options.server_options) {}

    // Until nothing happens any more within `limit`. Datagrams take 10 ms.
    void run(Duration limit = 20s) {
        const Instant end = now + limit;
        if (!started_) client.start(now);
        started_ = true;
        while (true) {
            collect(client, true);
            collect(server, false);
            const Instant next = std::min(
                {client.deadline(), server.deadline(), flying_.empty() ? never : flying_[0].at});
            if (next > end) break;
            now = std::max(now, next);
            auto arriving = std::exchange(flying_, {});
            for (auto& flight : arriving) {
                if (flight.at > now)
                    flying_.push_back(std::move(flight));
                else
                    deliver(flight.to_server, flight.datagram);
            }
            client.handle_timeout(now);
            server.handle_timeout(now);
        }
        now = std::max(now, end);
    }

    void deliver(bool to_server, const Datagram& datagram) {
        auto& session = to_server ? server : client;
        auto& received = to_server ? at_server : at_client;
        crypto::DtlsSession::Sink sink = [&](std::span<std::byte> content) {
            received.emplace_back(content.begin(), content.end());
        };
        Datagram room(datagram.size());
        session.handle_input(now, datagram, room, sink);
    }

    Datagram seal(bool to_server, std::span<const std::byte> content) {
        auto& session = to_server ? client : server;
        Datagram record(content.size() + 64);
        record.resize(session.seal(content, record));
        return record;
    }

    bool complete() const {
        return client.progress() == Progress::complete && server.progress() == Progress::complete;
    }
    // Content passes in both directions.
    bool talks() {
        at_server.clear();
        at_client.clear();
        deliver(true, seal(true, bytes_of("ping")));
        deliver(false, seal(false, bytes_of("pong")));
        return at_server == std::vector<Datagram>{bytes_of("ping")} &&
               at_client == std::vector<Datagram>{bytes_of("pong")};
    }

    Instant now{1h};
    crypto::CredentialStore store;
    crypto::DtlsSession client;
    crypto::DtlsSession server;
    Wire wire;
    std::vector<Datagram> at_client;
    std::vector<Datagram> at_server;
    std::size_t sent = 0;  // datagrams
    std::size_t largest = 0;

private:
    struct Flight {
        Instant at;
        bool to_server;
        Datagram datagram;
    };

    void collect(crypto::DtlsSession& from, bool to_server) {
        for (auto datagram = from.poll_datagram(); !datagram.empty();
             datagram = from.poll_datagram()) {
            ++sent;
            largest = std::max(largest, datagram.size());
            if (wire) wire(to_server, datagram);
            if (!datagram.empty()) flying_.push_back({now + 10ms, to_server, std::move(datagram)});
        }
    }

    std::vector<Flight> flying_;
    bool started_ = false;
};

}  // namespace post::test
