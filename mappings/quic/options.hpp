// What an endpoint and a connection are told when they are made. Everything that ngtcp2 would
// assert on is clamped where its settings are filled (settings.cpp), so any value is safe here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/bytes.hpp>
#include <post/function.hpp>
#include <post/quic.hpp>

#include "mappings/crypto/packet_protection.hpp"
#include "mappings/crypto/tls_session.hpp"
#include "mappings/mapping.hpp"
#include "mappings/wire/datagrams.hpp"

namespace post::quic {

// The ALPN token of Post frames on QUIC (FORMAT.md, 1). With any other token streams are raw.
inline constexpr std::string_view post_alpn = "post-quic/1";

struct EndpointOptions {
    // Fills with randomness: connection ids, tokens, everything that must not be guessed.
    Function<void(std::span<std::byte>)> random;
    // Which of the Contexts that share the port this is; it stands in our connection ids. And how
    // many they are.
    std::uint16_t context_index = 0;
    std::uint16_t contexts = 1;
    // Connections that have not finished their handshake (ATTACKS A1): from `validate_from` on a
    // client must prove its address first, beyond `most_half_open` Initials are dropped: they cost
    // 67 KB each at most, so that all of them stay below 64 MiB.
    std::size_t validate_from = 128;
    std::size_t most_half_open = 960;
    // Who seals and opens packets.
    crypto::PacketProtectionBackend protection = crypto::PacketProtectionBackend::automatic;
    // Who does it instead, if anybody: tests that say what no honest peer says. Outlives the
    // endpoint.
    const crypto::PacketProtection* substitute = nullptr;
    // What clients are taken with, in the order of preference. Empty: no clients are taken.
    std::vector<QuicVersion> versions = {QuicVersion::v1, QuicVersion::v2};
    // For stateless resets that outlive this endpoint; empty: random.
    Bytes reset_key;
    // Connections write qlog, for poll_logs(); the library must be safe to do so (can_log).
    bool log = false;
};

// What both ends of a connection choose.
struct TransportOptions {
    Limits limits;
    // The largest UDP payload that we send, where the path is found to allow it: 1500 (Ethernet) -
    // 40 (IPv6) - 8 (UDP) = 1452.
    std::size_t largest_payload = 1452;
    // In the order of preference, at least one. A client begins with the first.
    std::vector<QuicVersion> versions = {QuicVersion::v1, QuicVersion::v2};
    Congestion congestion = Congestion::cubic;
    // Packets under one key.
    std::uint64_t key_update_after = std::uint64_t{1} << 20;
    // Datagrams a run (Io::run_limit).
    std::size_t run_limit = 45;
    // Spread packets over the round trip. Below a millisecond of it timers are coarser than that,
    // and packets go as they come.
    bool pacing = true;
    // Before anything is measured, of this path and of later ones; zero: 333 ms (RFC 9002, 6.2.2).
    Duration initial_rtt{};
    // A client goes to the address that the server would rather have it use (RFC 9000, 9.6).
    bool take_preferred = true;
    // Raw streams whatever the ALPN token says: for tests that write Post frames by hand.
    bool raw = false;
};

struct ConnectOptions {
    Address local;  // family none: any
    Address remote;
    crypto::ClientSecurity security;
    std::vector<std::string> alpn{std::string(post_alpn)};
    TransportOptions transport;
    Bytes token{};       // of event::Token; empty: none
    Bytes parameters{};  // of the event::Ticket that is resumed, for early data
};

struct AcceptOptions {
    crypto::ServerSecurity security;
    std::vector<std::string> alpn{std::string(post_alpn)};
    TransportOptions transport;
    // Where clients shall go once they are established, each with its port; family none: nowhere.
    Address preferred_v4{};
    Address preferred_v6{};
};

}  // namespace post::quic
