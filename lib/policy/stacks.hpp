// What selection has to know of each stack: one row a stack.
#pragma once

#include <span>
#include <string_view>

#include <post/policy.hpp>

#include "lib/policy/features.hpp"

namespace post::core {

struct StackRow {
    Stack stack;
    std::string_view name;
    bool secure = false;  // encrypted, and the peer is who it says
    bool tcp = false;     // over TCP, which gets through where UDP does not
    // False: nothing in it says that the peer is there, so that it would win every race. It is
    // taken only where it is the only one.
    bool races = true;
    bool plain = true;        // peers that do not speak Post are served on it
    bool messages = false;    // and have messages too
    std::string_view alpn{};  // of Post on it (mappings/FORMAT.md, 1); empty: it has none
    std::span<const Cell> cells{};
    bool streams = true;       // and what all streams have in common
    bool post = true;          // Post peers are served on it
    bool connections = false;  // to a plain peer each Carrier is a connection of its own
};

const StackRow& row(Stack stack);

// Each in the file of its stack.
std::span<const Cell> quic_cells();
std::span<const Cell> sctp_dtls_cells();
std::span<const Cell> sctp_udp_cells();
std::span<const Cell> tls_cells();
std::span<const Cell> tcp_cells();
std::span<const Cell> http3_cells();
std::span<const Cell> udp_cells();
std::span<const Cell> connection_cells();
// What streams with Post frames on them have in common, whatever they are streams of.
std::span<const Cell> stream_cells();

}  // namespace post::core
