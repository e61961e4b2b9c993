// Strangers with DTLS: cookies first, then a session and a line.
#include "mappings/sctp/dtls_endpoint.hpp"

#include <algorithm>

#include "mappings/sctp/connection.hpp"

namespace post::sctp {

namespace {

constexpr std::size_t least_payload = crypto::least_dtls_mtu;

crypto::DtlsOptions dtls_options(const std::vector<std::string>& alpn,
                                 const TransportOptions& transport) {
    crypto::DtlsOptions options;
    options.alpn = alpn;
    // Data channels of browsers and their like negotiate none.
    options.alpn_optional = std::find(alpn.begin(), alpn.end(), webrtc_alpn) != alpn.end();
    options.mtu = std::clamp(transport.largest_payload, least_payload, largest_run);
    return options;
}

}  // namespace

DtlsEndpoint::DtlsEndpoint(Engine& engine, EndpointOptions options)
    : Endpoint(engine), options_(std::move(options)) {}

DtlsEndpoint::Routed DtlsEndpoint::route(Instant now, const Datagrams& run, bool listening,
                                         std::span<std::byte> answer) {
    const auto found = routes_.find(run.remote);
    const bool known = found != routes_.end();
    // RFC 6347, 4.2.8: a client that lost its state, or another behind the same address.
    const bool anew = known && listening && found->second.settled &&
                      crypto::DtlsCookies::is_client_hello(run.front());
    if (known && !anew) return ToConnection{found->second.transient};
    if (!listening) return Nothing{};
    auto verdict = cookies_.examine(now, run.remote, run.front(), options_.random);
    if (const auto* reply = std::get_if<std::vector<std::byte>>(&verdict)) {
        if (reply->size() > answer.size()) return Nothing{};
        std::copy(reply->begin(), reply->end(), answer.begin());
        return Answer{reply->size()};
    }
    const auto* proof = std::get_if<crypto::DtlsPrestate>(&verdict);
    if (!proof || half_open() >= options_.most_half_open) return Nothing{};
    return NewClient{*proof};
}

Line& DtlsEndpoint::add_route(TransientId transient, const Address& remote) {
    Line& line = engine().open_line(transient);
    routes_[remote] = {transient, &line};
    return line;
}

ConnectionOptions DtlsEndpoint::connection_options(Role role, const Address& local,
                                                   const Address& remote,
                                                   const TransportOptions& transport) const {
    ConnectionOptions options{role, local, remote, transport, {}};
    options.transport.largest_payload = std::clamp(transport.largest_payload, least_payload,
                                                   largest_run);
    options.socket.local_port = transport.local_port;
    options.socket.remote_port = transport.remote_port;
    options.socket.out_streams = transport.streams;
    options.socket.in_streams = in_streams(transport.limits);
    return options;
}

Result<std::unique_ptr<Mapping>> DtlsEndpoint::connect(Instant now, TransientId transient,
                                                       const ConnectOptions& options) {
    if (routes_.count(options.remote))
        return Error(Errc::too_many, {}, Stage::connect,
                     "one SCTP association at a time between two UDP ports");
    auto dtls = dtls_options(options.alpn, options.transport);
    dtls.srtp = options.alpn != std::vector<std::string>{std::string(post_alpn)};
    auto session = std::make_unique<crypto::DtlsSession>(engine().commons().credentials(),
                                                         options.security, dtls);
    Line& line = add_route(transient, options.remote);
    return std::unique_ptr<Mapping>(std::make_unique<Connection>(
        *this, line,
        connection_options(Role::client, options.local, options.remote, options.transport), now,
        std::move(session)));
}

Result<std::unique_ptr<Mapping>> DtlsEndpoint::accept(Instant now, TransientId transient,
                                                      const AcceptOptions& options,
                                                      const Datagrams& first,
                                                      const crypto::DtlsPrestate& proof) {
    auto session = std::make_unique<crypto::DtlsSession>(
        engine().commons().credentials(), options.security,
        dtls_options(options.alpn, options.transport), proof);
    Line& line = add_route(transient, first.remote);
    auto made = std::make_unique<Connection>(
        *this, line, connection_options(Role::server, first.local, first.remote, options.transport),
        now, std::move(session));
    made->handle_input(now, first);
    return std::unique_ptr<Mapping>(std::move(made));
}

void DtlsEndpoint::settled(const Address& remote) {
    const auto found = routes_.find(remote);
    if (found != routes_.end()) found->second.settled = true;
}

void DtlsEndpoint::forget(Line& line, const Address& remote) {
    const auto found = routes_.find(remote);
    if (found != routes_.end() && found->second.line == &line) routes_.erase(found);
    engine().close_line(line);
}

}  // namespace post::sctp
