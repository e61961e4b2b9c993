// What an endpoint and a connection are told when they are made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/function.hpp>
#include <post/result.hpp>

#include "mappings/crypto/packet_protection.hpp"
#include "mappings/crypto/tls_stream.hpp"
#include "mappings/crypto/verification.hpp"
#include "mappings/mapping.hpp"

namespace post::tls {

// The ALPN token of Post frames on QMux in TLS (FORMAT.md, 1). QMux: application protocols "MUST
// designate their ALPN identifier", and it "MUST be different from the mapping of the same protocol
// to QUIC".
inline constexpr std::string_view post_alpn = "post-qmux/1";

// What both ends of a connection choose.
struct TransportOptions {
    Limits limits;
    // What fits into one segment of TCP, bytes.
    std::size_t segment = 1400;
};

struct EndpointOptions {
    // Who seals and opens records.
    crypto::PacketProtectionBackend protection = crypto::PacketProtectionBackend::automatic;
    // Fills with randomness: what must not be guessed.
    Function<void(std::span<std::byte>)> random;
    // Clients that have not finished their handshake; more are turned away (ATTACKS A25).
    std::size_t most_half_open = 960;
    // Makes the mapping of a client whose handshake, which goes on there, chose another protocol
    // than Post's. None: there are no others.
    Function<Result<std::unique_ptr<Mapping>>(Instant now, const TransportOptions& options,
                                              const Address& local, const Address& remote,
                                              std::unique_ptr<crypto::TlsStream> tls)>
        foreign{};
};

struct ConnectOptions {
    Address local;  // family none: any
    Address remote;
    crypto::ClientSecurity security;
    std::vector<std::string> alpn{std::string(post_alpn)};
    TransportOptions transport;
    Bytes parameters{};  // of the event::Ticket that is resumed, for early data
};

struct AcceptOptions {
    crypto::ServerSecurity security;
    // Post's, and foreign ones; empty text: none.
    std::vector<std::string> alpn{std::string(post_alpn)};
    TransportOptions transport;
};

}  // namespace post::tls
