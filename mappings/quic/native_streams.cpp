// From the words of Transport to calls of ngtcp2.
#include "mappings/quic/native_streams.hpp"

#include <algorithm>
#include <new>

#include "mappings/wire/varint.hpp"

namespace post::quic {

namespace {

// Of a packet with a short header (RFC 9000, 17.3.1): what surrounds its frames beside the
// connection id: the first byte, a packet number in its longest form, the AEAD's tag.
constexpr std::size_t packet_overhead = 1 + 4 + 16;

}  // namespace

std::int64_t NativeStreams::open_stream(bool one_way, streams::Stream& stream) {
    std::int64_t id = -1;
    const int code = one_way ? ngtcp2_conn_open_uni_stream(native_, &id, &stream)
                             : ngtcp2_conn_open_bidi_stream(native_, &id, &stream);
    if (code == NGTCP2_ERR_NOMEM) throw std::bad_alloc();
    return code == 0 ? id : -1;
}

void NativeStreams::adopt(std::int64_t id, streams::Stream& stream) {
    ngtcp2_conn_set_stream_user_data(native_, id, &stream);
}

void NativeStreams::reset_stream(std::int64_t id, std::uint64_t code) {
    ngtcp2_conn_shutdown_stream_write(native_, 0, id, code);
}

void NativeStreams::stop_sending(std::int64_t id, std::uint64_t code) {
    ngtcp2_conn_shutdown_stream_read(native_, 0, id, code);
}

void NativeStreams::extend_streams(bool one_way, std::uint64_t count) {
    (one_way ? ngtcp2_conn_extend_max_streams_uni : ngtcp2_conn_extend_max_streams_bidi)(
        native_, static_cast<std::size_t>(count));
}

void NativeStreams::extend_window(std::int64_t id, std::uint64_t bytes) {
    ngtcp2_conn_extend_max_stream_offset(native_, id, bytes);
}

void NativeStreams::extend_budget(std::uint64_t bytes) {
    ngtcp2_conn_extend_max_offset(native_, bytes);
}

std::uint64_t NativeStreams::data_left() const { return ngtcp2_conn_get_max_data_left(native_); }

std::uint64_t NativeStreams::stream_data_left(std::int64_t id) const {
    return ngtcp2_conn_get_max_stream_data_left(native_, id);
}

std::uint64_t NativeStreams::fresh_data_left() const {
    const auto* theirs = ngtcp2_conn_get_remote_transport_params(native_);
    if (theirs == nullptr || ngtcp2_conn_get_streams_bidi_left(native_) == 0) return 0;
    return theirs->initial_max_stream_data_bidi_remote;
}

std::size_t NativeStreams::largest_alone(std::size_t packet) const {
    const auto* theirs = ngtcp2_conn_get_remote_transport_params(native_);
    if (theirs == nullptr) return 0;
    packet = std::min(packet, ngtcp2_conn_get_path_max_tx_udp_payload_size(native_));
    const auto overhead = packet_overhead + ngtcp2_conn_get_dcid(native_)->datalen;
    const auto frame = std::min<std::uint64_t>(packet - std::min(packet, overhead),
                                               theirs->max_datagram_frame_size);
    // DATAGRAM { type (i) = 0x31, length (i), data }    RFC 9221, 4
    const auto around = 1 + wire::varint_size(frame);
    return frame > around ? static_cast<std::size_t>(frame - around) : 0;
}

Duration NativeStreams::alone_patience() const {
    return 6 * Duration(static_cast<Duration::rep>(ngtcp2_conn_get_pto(native_)));
}

}  // namespace post::quic
