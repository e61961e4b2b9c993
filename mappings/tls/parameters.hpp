// Transport parameters of QMux: those of QUIC that it permits (QMux, Permitted and Forbidden
// Transport Parameters; RFC 9000, 18), and max_record_size.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace post::tls {

// QMux, max_record_size: what holds where nothing is said, and the least that may be said.
inline constexpr std::uint64_t default_record_size = 16382;

// What one side declares. Zero: not said, and then it is nothing, or no limit for the timeout.
struct Parameters {
    std::uint64_t idle_timeout = 0;  // milliseconds
    std::uint64_t max_data = 0;
    std::uint64_t stream_data_ours = 0;    // on bidirectional streams that the declarer opens
    std::uint64_t stream_data_theirs = 0;  // on those that the other end opens
    std::uint64_t stream_data_one_way = 0;
    std::uint64_t streams = 0;  // bidirectional
    std::uint64_t streams_one_way = 0;
    std::uint64_t record_size = default_record_size;
    std::uint64_t datagram_frame_size = 0;  // RFC 9221, 3; 0: no DATAGRAM frames

    bool operator==(const Parameters&) const = default;
};

// The content of a QX_TRANSPORT_PARAMETERS frame.
std::vector<std::byte> encode(const Parameters& parameters);
// False, and why, for what must be answered with TRANSPORT_PARAMETER_ERROR.
bool decode(std::span<const std::byte> bytes, Parameters& parameters, std::string& why);

// Whether nothing of what early data goes by is less than what is remembered (RFC 9000, 7.4.1).
bool covers(const Parameters& parameters, const Parameters& remembered);

}  // namespace post::tls
