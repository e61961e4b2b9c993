// Errors of HTTP/3 (RFC 9114, 8.1; RFC 9204, 6): from our Error to the code on the wire, and from
// what the peer said to our Error.
#pragma once

#include <cstdint>

#include <post/error.hpp>

namespace post::http3 {

namespace code {
inline constexpr std::uint64_t datagram_error = 0x33;  // RFC 9297, 5.2
inline constexpr std::uint64_t no_error = 0x100;
inline constexpr std::uint64_t general_protocol_error = 0x101;
inline constexpr std::uint64_t internal_error = 0x102;
inline constexpr std::uint64_t stream_creation_error = 0x103;
inline constexpr std::uint64_t closed_critical_stream = 0x104;
inline constexpr std::uint64_t frame_unexpected = 0x105;
inline constexpr std::uint64_t frame_error = 0x106;
inline constexpr std::uint64_t excessive_load = 0x107;
inline constexpr std::uint64_t id_error = 0x108;
inline constexpr std::uint64_t settings_error = 0x109;
inline constexpr std::uint64_t request_rejected = 0x10b;
inline constexpr std::uint64_t request_cancelled = 0x10c;
inline constexpr std::uint64_t request_incomplete = 0x10d;
inline constexpr std::uint64_t message_error = 0x10e;
}  // namespace code

// What we say to the peer. An AbortCode other than 0 goes as it is.
std::uint64_t to_wire(const Error& reason);
// For the QUIC connection below, which has the code as an application's.
Error below(std::uint64_t code, Bytes detail = {});
// What the connection below heard: of a stream, and of the whole connection.
Error of_stream(Error heard);
Error of_connection(Error heard);
// A code with its words.
Error error_of(Errc errc, std::uint64_t code, Bytes detail = {});

}  // namespace post::http3
