// From our options to ngtcp2's settings and transport parameters. Every number that conn_new would
// assert on is brought into its range here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ngtcp2/ngtcp2.h>

#include "mappings/quic/options.hpp"
#include "mappings/quic/path_mtu.hpp"

namespace post::quic {

// What the peer may send on all Carriers together before the handshake is complete. ngtcp2 keeps
// credit back until it amounts to half of this first window, so the whole budget is not given as
// the first window, or half of it could be kept from a peer that needs it; the rest follows as
// credit. So never more than 512 KiB, and no more than a 32nd of the budget, is kept back.
inline std::uint64_t first_budget(std::uint64_t budget) {
    const std::uint64_t part = std::max<std::uint64_t>(budget / 16, 16 * 1024);
    return std::min<std::uint64_t>({budget, part, 1024 * 1024});
}

class Endpoint;

// What ngtcp2's settings point to while a connection is made.
struct Preferences {
    explicit Preferences(const TransportOptions& options);

    std::size_t largest_payload;
    Probes probes;
    std::vector<std::uint32_t> versions;  // never empty
};
void fill(ngtcp2_settings& settings, const TransportOptions& options,
          const Preferences& preferences, Instant now, Endpoint& endpoint);
void fill(ngtcp2_transport_params& parameters, const TransportOptions& options);
// The callbacks, with their cookie being the Connection (callbacks.cpp).
void fill(ngtcp2_callbacks& callbacks, Role role);

}  // namespace post::quic
