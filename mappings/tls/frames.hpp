// Frames and records of QMux version 1 (draft-ietf-quic-qmux; RFC 9000, 19): what stands in the
// bytes, and nothing of what it means.
//
//    record { size (i), frames }        frames: one or more, and no frame is cut
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::tls {

// RFC 9000, 20.1: the codes of CONNECTION_CLOSE that an endpoint of QMux has a use for.
enum class TransportError : std::uint64_t {
    no_error = 0x00,
    internal_error = 0x01,
    flow_control_error = 0x03,
    stream_limit_error = 0x04,
    stream_state_error = 0x05,
    final_size_error = 0x06,
    frame_encoding_error = 0x07,
    transport_parameter_error = 0x08,
    protocol_violation = 0x0a,
};

namespace frame {

struct Padding {};
struct ResetStream {
    std::uint64_t stream = 0;
    std::uint64_t code = 0;
    std::uint64_t final_size = 0;
};
struct StopSending {
    std::uint64_t stream = 0;
    std::uint64_t code = 0;
};
struct Stream {
    std::uint64_t stream = 0;
    std::uint64_t offset = 0;
    std::span<const std::byte> data;
    bool finish = false;
};
struct MaxData {
    std::uint64_t most = 0;
};
struct MaxStreamData {
    std::uint64_t stream = 0;
    std::uint64_t most = 0;
};
struct MaxStreams {
    bool one_way = false;
    std::uint64_t most = 0;
};
// The peer would send more if it might: DATA_BLOCKED, STREAM_DATA_BLOCKED, STREAMS_BLOCKED.
struct DataBlocked {
    std::uint64_t at = 0;
};
struct StreamDataBlocked {
    std::uint64_t stream = 0;
    std::uint64_t at = 0;
};
struct StreamsBlocked {
    bool one_way = false;
    std::uint64_t at = 0;
};
struct ConnectionClose {
    bool application = false;
    std::uint64_t code = 0;
    std::uint64_t frame_type = 0;  // of the frame that caused it; the transport's closes only
    std::span<const std::byte> reason;
};
struct TransportParameters {
    std::span<const std::byte> content;
};
struct Ping {
    bool answer = false;
    std::uint64_t sequence = 0;
};
// RFC 9221
struct Datagram {
    std::span<const std::byte> content;
};

}  // namespace frame

using Frame =
    std::variant<frame::Stream, frame::Padding, frame::ResetStream, frame::StopSending,
                 frame::MaxData, frame::MaxStreamData, frame::MaxStreams, frame::DataBlocked,
                 frame::StreamDataBlocked, frame::StreamsBlocked, frame::ConnectionClose,
                 frame::TransportParameters, frame::Ping, frame::Datagram>;

// The next frame of a record; nothing for one that is cut, unknown or prohibited. Its spans are
// views into the record.
std::optional<Frame> next_frame(wire::Reader& record);

// Each writes a whole frame, or makes the writer not ok(). QMux: "Endpoints MUST NOT send
// prohibited frames", and nothing here can write one.
void write(wire::Writer& out, const frame::ResetStream& frame);
void write(wire::Writer& out, const frame::StopSending& frame);
void write(wire::Writer& out, const frame::MaxData& frame);
void write(wire::Writer& out, const frame::MaxStreamData& frame);
void write(wire::Writer& out, const frame::MaxStreams& frame);
void write(wire::Writer& out, const frame::DataBlocked& frame);
void write(wire::Writer& out, const frame::StreamDataBlocked& frame);
void write(wire::Writer& out, const frame::StreamsBlocked& frame);
void write(wire::Writer& out, const frame::ConnectionClose& frame);
void write(wire::Writer& out, const frame::TransportParameters& frame);
void write(wire::Writer& out, const frame::Ping& frame);
// What stands before the `size` bytes of content, and how long that is at most.
void write_stream_header(wire::Writer& out, const frame::Stream& frame, std::size_t size);
inline constexpr std::size_t largest_stream_header = 1 + 8 + 8 + 4;
inline constexpr std::size_t largest_control_frame = 1 + 3 * 8;

}  // namespace post::tls
