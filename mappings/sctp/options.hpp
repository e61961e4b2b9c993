// What an endpoint and a connection are told when they are made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/function.hpp>

#include "mappings/crypto/verification.hpp"
#include "mappings/mapping.hpp"
#include "mappings/sctp/socket.hpp"

namespace post::sctp {

// What says that the peer speaks Post frames (FORMAT.md, 1).
inline constexpr std::string_view post_alpn = "post-sctp/1";
// Data channels (RFC 8833, 4): plain ones, whose peers may also negotiate nothing.
inline constexpr std::string_view webrtc_alpn = "webrtc";
inline constexpr std::uint32_t post_adaptation = 0x706f7374;

// What both ends of a connection choose.
struct TransportOptions {
    Limits limits;
    // The largest UDP payload that we send unasked: every path carries it.
    std::size_t largest_payload = 1200;
    // The largest that probes ask the path for, to a Post peer, when it is larger.
    std::size_t largest_probe = 0;
    // The same to a plain peer over DTLS, whatever the path: nobody knows how large the buffer is
    // that it reads a record into.
    std::size_t largest_plain = 1200;
    std::size_t run_limit = 45;  // datagrams a run (Io::run_limit)
    // Streams that are asked for at first; more when they run out.
    std::uint16_t streams = 1024;
    // SCTP's own ports, inside of UDP or DTLS (RFC 8841 has 5000 for data channels).
    std::uint16_t local_port = 5000;
    std::uint16_t remote_port = 5000;
    bool post = true;  // say that we speak Post frames, where ALPN does not (RFC 6951)
};

// What an INIT or INIT ACK, ours or the peer's, may ask for: more comes by RE-CONFIG (RFC 6525),
// when there is an association that wants it.
inline std::uint16_t first_streams(const TransportOptions& transport) {
    constexpr std::uint16_t most = 1024;
    return std::max(most, transport.streams);
}

struct ConnectionOptions {
    Role role = Role::client;
    Address local;
    Address remote;
    TransportOptions transport;
    SocketOptions socket;
    // Our SCTP port as it is on the wire, where usrsctp knows another; 0: the same.
    std::uint16_t wire_port = 0;
};

// A Carrier takes a stream id, which both ends share; stream 0 is the association's.
inline std::uint16_t in_streams(const Limits& limits) {
    constexpr std::uint64_t most = 65535;
    return static_cast<std::uint16_t>(limits.most_carriers < most / 2 ? 2 * limits.most_carriers + 1
                                                                      : most);
}

struct ConnectOptions {
    Address local;  // family none: any
    Address remote;
    crypto::ClientSecurity security;
    std::vector<std::string> alpn{std::string(post_alpn)};
    TransportOptions transport;
};

struct AcceptOptions {
    crypto::ServerSecurity security;
    std::vector<std::string> alpn{std::string(post_alpn)};
    TransportOptions transport;
};

struct EndpointOptions {
    // Fills with randomness: secrets, and whatever must not be guessed.
    Function<void(std::span<std::byte>)> random;
    // Half-open connections: beyond it, first datagrams are dropped.
    std::size_t most_half_open = 960;
};

}  // namespace post::sctp
