// From our options to ngtcp2's settings and transport parameters. Every number that conn_new would
// assert on is brought into its range here.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "mappings/quic/options.hpp"

namespace post::quic {

class Endpoint;

void fill(ngtcp2_settings& settings, const TransportOptions& options, Instant now,
          Endpoint& endpoint);
void fill(ngtcp2_transport_params& parameters, const TransportOptions& options);
// The callbacks, with their cookie being the Connection (callbacks.cpp).
void fill(ngtcp2_callbacks& callbacks, Role role);

}  // namespace post::quic
