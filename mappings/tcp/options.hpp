// What the endpoint and its mappings are told when they are made.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <post/address.hpp>

#include "mappings/crypto/packet_protection.hpp"
#include "mappings/crypto/verification.hpp"
#include "mappings/mapping.hpp"

namespace post::tcp {

struct EndpointOptions {
    // Clients of TLS that have not finished their handshake; more are turned away (ATTACKS A25).
    std::size_t most_half_open = 960;
    // Who seals and opens records.
    crypto::PacketProtectionBackend protection = crypto::PacketProtectionBackend::automatic;
};

// What both ends choose.
struct TransportOptions {
    Limits limits;
    // What fits into one segment of TCP, bytes.
    std::size_t segment = 1400;
};

struct ConnectOptions {
    Address local;  // family none: any
    Address remote;
    // None: no TLS, and whoever is on the way reads, changes and forges what passes.
    std::optional<crypto::ClientSecurity> security;
    // What is offered. Empty text: the server need not choose one.
    std::vector<std::string> alpn;
    TransportOptions transport;
};

}  // namespace post::tcp
