// Frames to bytes and back.
#include "mappings/tls/frames.hpp"

#include <algorithm>

namespace post::tls {

namespace {

constexpr std::uint64_t padding = 0x00;
constexpr std::uint64_t reset_stream = 0x04;
constexpr std::uint64_t stop_sending = 0x05;
constexpr std::uint64_t stream = 0x08;  // to 0x0f
constexpr std::uint64_t stream_finish = 0x01;
constexpr std::uint64_t stream_length = 0x02;
constexpr std::uint64_t stream_offset = 0x04;
constexpr std::uint64_t max_data = 0x10;
constexpr std::uint64_t max_stream_data = 0x11;
constexpr std::uint64_t max_streams = 0x12;  // and 0x13: unidirectional
constexpr std::uint64_t data_blocked = 0x14;
constexpr std::uint64_t stream_data_blocked = 0x15;
constexpr std::uint64_t streams_blocked = 0x16;   // and 0x17
constexpr std::uint64_t connection_close = 0x1c;  // and 0x1d: the application's
constexpr std::uint64_t datagram = 0x30;          // and 0x31: with a length
constexpr std::uint64_t transport_parameters = 0x3f5153300d0a0d0a;
constexpr std::uint64_t ping = 0x348c67529ef8c7bd;  // and the next: the answer

// RFC 9000, 4.6 and 19.11
constexpr std::uint64_t most_streams = std::uint64_t{1} << 60;

// Numbers one behind the other; after one that is not there, all are zero.
class Numbers {
public:
    explicit Numbers(wire::Reader& reader) : reader_(reader) {}
    std::uint64_t next() {
        const auto value = whole_ ? reader_.varint() : std::nullopt;
        whole_ = value.has_value();
        return value.value_or(0);
    }
    std::span<const std::byte> bytes(std::uint64_t size) {
        const auto found = whole_ ? reader_.bytes(size) : std::nullopt;
        whole_ = found.has_value();
        return found.value_or(std::span<const std::byte>());
    }
    std::span<const std::byte> rest() { return bytes(reader_.left()); }
    // The frame, if all of it was there.
    std::optional<Frame> frame(Frame made) const {
        if (!whole_) return std::nullopt;
        return made;
    }

private:
    wire::Reader& reader_;
    bool whole_ = true;
};

std::optional<Frame> read_stream(Numbers& numbers, std::uint64_t type) {
    frame::Stream read;
    read.stream = numbers.next();
    if ((type & stream_offset) != 0) read.offset = numbers.next();
    read.data = (type & stream_length) != 0 ? numbers.bytes(numbers.next()) : numbers.rest();
    read.finish = (type & stream_finish) != 0;
    // RFC 9000, 19.8: no stream is longer than a number can say.
    if (read.offset > wire::varint_max - read.data.size()) return std::nullopt;
    return numbers.frame(read);
}

std::optional<Frame> read_close(Numbers& numbers, bool application) {
    frame::ConnectionClose read;
    read.application = application;
    read.code = numbers.next();
    if (!application) read.frame_type = numbers.next();
    read.reason = numbers.bytes(numbers.next());
    return numbers.frame(read);
}

// More streams than ids exist for.
template <class Kind> std::optional<Frame> read_streams(Numbers& numbers, bool one_way) {
    const Kind read{one_way, numbers.next()};
    std::uint64_t count = 0;
    if constexpr (std::is_same_v<Kind, frame::MaxStreams>)
        count = read.most;
    else
        count = read.at;
    if (count > most_streams) return std::nullopt;
    return numbers.frame(read);
}

}  // namespace

std::optional<Frame> next_frame(wire::Reader& record) {
    const auto type = record.varint();
    if (!type) return std::nullopt;
    Numbers numbers(record);
    if (*type >= stream && *type < max_data) return read_stream(numbers, *type);
    // Numbers are read from left to right: braces say so.
    switch (*type) {
        case padding:
            while (record.peek() == 0) record.u8();
            return frame::Padding{};
        case reset_stream:
            return numbers.frame(
                frame::ResetStream{numbers.next(), numbers.next(), numbers.next()});
        case stop_sending: return numbers.frame(frame::StopSending{numbers.next(), numbers.next()});
        case max_data: return numbers.frame(frame::MaxData{numbers.next()});
        case max_stream_data:
            return numbers.frame(frame::MaxStreamData{numbers.next(), numbers.next()});
        case max_streams:
        case max_streams + 1: return read_streams<frame::MaxStreams>(numbers, *type != max_streams);
        case data_blocked: return numbers.frame(frame::DataBlocked{numbers.next()});
        case stream_data_blocked:
            return numbers.frame(frame::StreamDataBlocked{numbers.next(), numbers.next()});
        case streams_blocked:
        case streams_blocked + 1:
            return read_streams<frame::StreamsBlocked>(numbers, *type != streams_blocked);
        case connection_close:
        case connection_close + 1: return read_close(numbers, *type != connection_close);
        case datagram: return numbers.frame(frame::Datagram{numbers.rest()});
        case datagram + 1: return numbers.frame(frame::Datagram{numbers.bytes(numbers.next())});
        case transport_parameters:
            return numbers.frame(frame::TransportParameters{numbers.bytes(numbers.next())});
        case ping:
        case ping + 1: return numbers.frame(frame::Ping{*type != ping, numbers.next()});
        // QMux: "Endpoints MUST NOT send prohibited frames. If an endpoint receives one it MUST
        // close the connection with an error of type FRAME_ENCODING_ERROR." What is unknown is
        // answered in the same way (RFC 9000, 12.4).
        default: return std::nullopt;
    }
}

void write(wire::Writer& out, const frame::ResetStream& frame) {
    out.varint(reset_stream).varint(frame.stream).varint(frame.code).varint(frame.final_size);
}

void write(wire::Writer& out, const frame::StopSending& frame) {
    out.varint(stop_sending).varint(frame.stream).varint(frame.code);
}

void write(wire::Writer& out, const frame::MaxData& frame) {
    out.varint(max_data).varint(frame.most);
}

void write(wire::Writer& out, const frame::MaxStreamData& frame) {
    out.varint(max_stream_data).varint(frame.stream).varint(frame.most);
}

void write(wire::Writer& out, const frame::MaxStreams& frame) {
    out.varint(max_streams + (frame.one_way ? 1 : 0)).varint(frame.most);
}

void write(wire::Writer& out, const frame::DataBlocked& frame) {
    out.varint(data_blocked).varint(frame.at);
}

void write(wire::Writer& out, const frame::StreamDataBlocked& frame) {
    out.varint(stream_data_blocked).varint(frame.stream).varint(frame.at);
}

void write(wire::Writer& out, const frame::StreamsBlocked& frame) {
    out.varint(streams_blocked + (frame.one_way ? 1 : 0)).varint(frame.at);
}

void write(wire::Writer& out, const frame::ConnectionClose& frame) {
    out.varint(connection_close + (frame.application ? 1 : 0)).varint(frame.code);
    if (!frame.application) out.varint(frame.frame_type);
    out.varint(frame.reason.size()).bytes(frame.reason);
}

void write(wire::Writer& out, const frame::TransportParameters& frame) {
    out.varint(transport_parameters).varint(frame.content.size()).bytes(frame.content);
}

void write(wire::Writer& out, const frame::Ping& frame) {
    out.varint(ping + (frame.answer ? 1 : 0)).varint(frame.sequence);
}

void write_stream_header(wire::Writer& out, const frame::Stream& frame, std::size_t size) {
    std::uint64_t type = stream | stream_length;
    if (frame.offset != 0) type |= stream_offset;
    if (frame.finish) type |= stream_finish;
    out.varint(type).varint(frame.stream);
    if (frame.offset != 0) out.varint(frame.offset);
    out.varint(size);
}

}  // namespace post::tls
