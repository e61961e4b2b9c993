// Filling ngtcp2's settings and transport parameters, with the reasons for our values.
#include "mappings/quic/settings.hpp"

#include <algorithm>

#include "mappings/quic/convert.hpp"
#include "mappings/quic/endpoint.hpp"
#include "mappings/streams/alone.hpp"

namespace post::quic {

namespace {

// RFC 9000, 16: what a variable-length integer can say; and what a count of streams can be (4.6).
constexpr std::uint64_t largest_integer = (std::uint64_t{1} << 62) - 1;
constexpr std::uint64_t most_streams = std::uint64_t{1} << 60;

constexpr Duration least_initial_rtt = std::chrono::milliseconds(100);
constexpr Duration most_initial_rtt = std::chrono::seconds(1);

ngtcp2_cc_algo to_native(Congestion congestion) {
    switch (congestion) {
        case Congestion::cubic: break;
        case Congestion::reno: return NGTCP2_CC_ALGO_RENO;
        case Congestion::bbr: return NGTCP2_CC_ALGO_BBR;
    }
    return NGTCP2_CC_ALGO_CUBIC;
}

}  // namespace

Preferences::Preferences(const TransportOptions& options)
    : largest_payload(std::clamp<std::size_t>(options.largest_payload, least_payload, largest_run)),
      probes(largest_payload) {
    for (auto version : options.versions) versions.push_back(static_cast<std::uint32_t>(version));
    if (versions.empty()) versions.push_back(NGTCP2_PROTO_VER_V1);
}

void fill(ngtcp2_settings& settings, const TransportOptions& options,
          const Preferences& preferences, Instant now, Endpoint& endpoint) {
    ngtcp2_settings_default(&settings);
    settings.cc_algo = to_native(options.congestion);
    settings.initial_ts = to_timestamp(now);
    // Paths are asked for three times this at least (RFC 9000, 8.2.4), so that it is not taken for
    // too little: a later one may be slower.
    if (options.initial_rtt > Duration::zero())
        settings.initial_rtt = static_cast<ngtcp2_duration>(
            std::clamp<Duration>(options.initial_rtt, least_initial_rtt, most_initial_rtt).count());
    settings.max_tx_udp_payload_size = preferences.largest_payload;
    settings.handshake_timeout = to_timeout(options.limits.handshake_timeout);
    settings.pmtud_probes = preferences.probes.sizes().data();
    settings.pmtud_probeslen = preferences.probes.sizes().size();
    settings.no_pmtud = preferences.probes.sizes().empty() ? 1 : 0;
    settings.preferred_versions = preferences.versions.data();
    settings.preferred_versionslen = preferences.versions.size();
    settings.available_versions = preferences.versions.data();
    settings.available_versionslen = preferences.versions.size();
#if NGTCP2_VERSION_NUM >= 0x010f00
    // What ngtcp2 counts as a glitch is also what crosses on the way: a STOP_SENDING for a stream
    // that ended meanwhile, for each of some hundred thousand requests a second. Peers that reset
    // for nothing meet a limit of ours (Streams::on_reset).
    settings.glitch_ratelim_burst = 1'000'000;
    settings.glitch_ratelim_rate = 1'000'000;
#endif
    // The association decides how large windows are; ngtcp2 only announces them.
    settings.max_window = 0;
    settings.max_stream_window = 0;
    settings.rand_ctx.native_handle = &endpoint;
}

void fill(ngtcp2_transport_params& parameters, const TransportOptions& options) {
    const auto& limits = options.limits;
    auto integer = [](std::uint64_t value) { return std::min(value, largest_integer); };
    ngtcp2_transport_params_default(&parameters);
    parameters.initial_max_stream_data_bidi_local = integer(limits.carrier_window);
    parameters.initial_max_stream_data_bidi_remote = integer(limits.carrier_window);
    parameters.initial_max_stream_data_uni = integer(limits.carrier_window);
    parameters.initial_max_data = first_budget(limits.budget);
    parameters.initial_max_streams_bidi = std::min(limits.carriers, most_streams);
    // One more, for what concerns the whole association.
    parameters.initial_max_streams_uni = std::min(limits.carriers, most_streams - 1) + 1;
    parameters.max_idle_timeout = to_timeout(limits.idle_timeout);
    // Four paths at most (ATTACKS A7).
    parameters.active_connection_id_limit = 4;
    // RFC 9221, 3. The association drops what it has no room for.
    parameters.max_datagram_frame_size = streams::largest_datagram_frame;
    // RFC 9443: the first bits of a packet tell QUIC from DTLS and STUN on the same port.
    parameters.grease_quic_bit = 0;
}

}  // namespace post::quic
