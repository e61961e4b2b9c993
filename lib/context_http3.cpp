// HTTP/3 of the root: QUIC connections whose streams are requests.
#include <algorithm>

#include "lib/context_root.hpp"
#include "mappings/http3/connection.hpp"

namespace post::core {

namespace {

// As it stands in a request (RFC 9110, 7.2): without the port where that goes without saying.
std::string authority(const Remote& remote) {
    constexpr std::uint16_t default_port = 443;
    const bool v6 = remote.host().find(':') != std::string::npos;
    std::string host = remote.host();
    if (v6) host = "[" + host.substr(0, host.find('%')) + "]";
    const std::uint16_t port = remote.port();
    return port == default_port || port == 0 ? host : host + ":" + std::to_string(port);
}

}  // namespace

Result<std::unique_ptr<Mapping>> Root::connect_http3(const Association& association,
                                                     const Setup& setup, Way& way,
                                                     TransientId transient) {
    quic::ConnectOptions connect = quic_way(association, setup, way, Stack::http3);
    connect.alpn = {std::string(http3::alpn)};
    auto kept = http3::Kept::read(way.parameters);
    if (kept)
        connect.parameters = std::move(kept->transport);
    else
        connect.security.early_data = 0;
    auto below = way.port->endpoint->connect(now_, transient, connect);
    if (!below) return below.error();
    http3::Options options;
    options.authority = authority(*association.options().remote);
    if (kept) options.remembered = kept->settings;
    return std::unique_ptr<Mapping>(
        std::make_unique<http3::Connection>(*std::move(below), Role::client, std::move(options)));
}

// A port of QUIC may have clients of both kinds; the ALPN tells which one a client is.
void Root::listen_http3(Port& port, const std::vector<Stack>& stacks, const HttpOptions& http) {
    const auto named = [&](Stack stack) {
        return std::find(stacks.begin(), stacks.end(), stack) != stacks.end();
    };
    port.http3 = named(Stack::http3);
    if (!port.http3) return;
    port.http = http;
    // What a client remembers of our SETTINGS has to hold (RFC 9114, 7.2.4.2).
    auto& tickets = port.accept.security.tickets;
    if (tickets.early) tickets.scope += http.connect.empty() ? " http3" : " http3 connect";
    auto& alpn = port.accept.alpn;
    if (!named(Stack::quic)) std::erase(alpn, std::string(quic::post_alpn));
    if (std::find(alpn.begin(), alpn.end(), http3::alpn) == alpn.end())
        alpn.emplace_back(http3::alpn);
}

Result<std::unique_ptr<Mapping>> Root::accept_quic(Port& port, TransientId transient,
                                                   const Datagrams& first,
                                                   const quic::AddressProof& proof) {
    auto below = port.endpoint->accept(now_, transient, port.accept, first, proof);
    if (!below || !port.http3) return below;
    http3::Options options;
    options.connect = port.http.connect;
    return std::unique_ptr<Mapping>(
        std::make_unique<http3::Connection>(*std::move(below), Role::server, std::move(options)));
}

}  // namespace post::core
