// The connection between two ends of a foreign byte stream.
#include "tests/contract/tcp_pair.hpp"

#include <cerrno>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"
#include "tests/contract/quic_pair.hpp"

namespace post::test {

namespace {

const std::vector<std::string> protocol{"bytes/1"};

}  // namespace

TcpPair::TcpPair(const PairOptions& options, bool secured) : Pair(options), secured_(secured) {
    tcp::ConnectOptions connect;
    connect.local = address(false);
    connect.remote = address(true);
    connect.transport.limits = options.client;
    if (secured) {
        connect.security.emplace();
        connect.security->trust = Trust::pinned(server_identity().pin());
        connect.security->server_name = "server.example";
        connect.alpn = protocol;
    }
    client.mapping = client_endpoint_.connect(now_, connect);
}

TcpPair::~TcpPair() {
    client.mapping.reset();
    server.mapping.reset();
}

void TcpPair::put(bool to_server, Kind kind, std::span<const std::byte> bytes) {
    Flight flight{now_ + options_.link.delay, ++datagrams_, to_server, {}, Ecn::not_ect};
    flight.bytes.push_back(static_cast<std::byte>(kind));
    flight.bytes.insert(flight.bytes.end(), bytes.begin(), bytes.end());
    flights_.insert({{flight.at, flight.number}, std::move(flight)});
}

void TcpPair::tell(bool at_server, decltype(LinkNews::what) what) {
    End& end = at_server ? server : client;
    if (!end.mapping) return;
    end.mapping->handle_link(now_, {LinkId{}, std::move(what)});
    end.drain();
}

void TcpPair::accept() {
    tcp::TransportOptions transport;
    transport.limits = options_.server;
    if (!secured_) {
        server.mapping = server_endpoint_.accept(now_, transport, address(true), address(false));
        return;
    }
    crypto::ServerSecurity security;
    security.identity = server_identity();
    auto tls = std::make_unique<crypto::TlsStream>(credentials_, security, protocol,
                                                   server_endpoint_.protection());
    server.mapping = server_endpoint_
                         .accept(now_, transport, address(true), address(false), std::move(tls))
                         .value();
}

void TcpPair::launch(bool to_server, const Datagrams& run) {
    Half& way = half(to_server);
    if (run.link != LinkId{} || way.closed) return;
    if (!run.bytes.empty()) {
        put(to_server, Kind::bytes, run.bytes);
        way.sent += run.bytes.size();
    }
    if (run.end) {
        put(to_server, Kind::end);
        way.closed = true;
    }
    if (way.sent - way.read < buffer || std::exchange(way.full, true)) return;
    tell(!to_server, link::Full{});
}

void TcpPair::serve_links(bool of_client) {
    End& end = of_client ? client : server;
    while (end.mapping) {
        const auto want = end.mapping->poll_link();
        if (!want) break;
        Half& ours = half(of_client);
        Half& theirs = half(!of_client);
        if (std::get_if<link::Connect>(&want->what)) {
            end.mapping->handle_link(now_, {want->link, link::Begun{address(false)}});
            if (want->link == LinkId{})
                put(true, Kind::connect);
            else
                end.mapping->handle_link(
                    now_, {want->link, link::Broken{{ECONNREFUSED, std::system_category()}}});
            end.drain();
        } else if (const auto* take = std::get_if<link::Take>(&want->what)) {
            theirs.most = take->most;
            read(!of_client);
        } else if (std::get_if<link::Ask>(&want->what)) {
            tell(!of_client,
                 link::Unacknowledged{ours.sent - ours.acknowledged, 2 * options_.link.delay});
        } else if (const auto* close = std::get_if<link::Close>(&want->what);
                   close && want->link == LinkId{}) {
            theirs.gone = true;
            if (!std::exchange(ours.closed, true))
                put(of_client, close->reset ? Kind::reset : Kind::end);
            else if (close->reset)
                put(of_client, Kind::reset);
        }
    }
}

void TcpPair::deliver(bool to_server, const Datagrams& datagram) {
    wire::Reader reader(datagram.bytes);
    const Kind kind{reader.u8().value()};
    Half& ours = half(to_server);
    switch (kind) {
        case Kind::connect:
            accept();
            put(false, Kind::connected);
            break;
        case Kind::connected: tell(false, link::Writable{}); break;
        case Kind::bytes: {
            if (ours.gone) break;
            const auto bytes = reader.bytes(reader.left()).value();
            ours.arrived.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            ours.acknowledged += bytes.size();
            read(to_server);
            break;
        }
        case Kind::end:
            ours.ended = true;
            read(to_server);
            break;
        case Kind::reset:
            tell(to_server, link::Broken{{ECONNRESET, std::system_category()}});
            break;
        case Kind::taken: {
            // What their end has read.
            Half& way = half(!to_server);
            if (way.sent - way.read >= buffer / 2 || !std::exchange(way.full, false)) break;
            tell(to_server, link::Writable{});
            break;
        }
    }
}

// What the edge would do in its next turn.
void TcpPair::read(bool at_server) {
    End& end = at_server ? server : client;
    Half& ours = half(at_server);
    while (end.mapping && ours.most > 0 && !ours.arrived.empty()) {
        const std::string now = ours.arrived.substr(0,
                                                    std::min<std::size_t>(ours.most, 256 * 1024));
        ours.arrived.erase(0, now.size());
        ours.read += now.size();
        ours.largest = std::max(ours.largest, now.size());
        Datagrams run;
        run.local = address(at_server);
        run.remote = address(!at_server);
        run.bytes = std::as_bytes(std::span(now));
        run.segment = now.size();
        const std::size_t before = ours.most;
        end.mapping->handle_input(now_, run);
        end.drain();
        put(!at_server, Kind::taken);
        serve_links(!at_server);
        if (ours.most != before) return;  // whoever changed it has gone on
    }
    // The end is seen by whoever takes nothing, too.
    if (!end.mapping || !ours.arrived.empty()) return;
    if (std::exchange(ours.ended, false)) tell(at_server, link::Ended{});
}

}  // namespace post::test
