// What the peer sends: records to frames, and what each of them may do.

#include <algorithm>

#include "mappings/tls/qmux.hpp"

namespace post::tls {

bool Qmux::handle_input(Instant now, std::span<const std::byte> bytes) {
    now_ = std::max(now_, now);
    while (!bytes.empty()) {
        // A record that came whole is read where it lies; one that did not is put together first.
        if (!partial_.empty()) {
            std::size_t wanted = wire::varint_size_at(partial_.front());
            if (partial_.size() >= wanted)
                wanted += static_cast<std::size_t>(wire::take_varint(partial_.data()));
            const auto more = bytes.first(std::min(bytes.size(), wanted - partial_.size()));
            partial_.insert(partial_.end(), more.begin(), more.end());
            bytes = bytes.subspan(more.size());
        }
        const bool gathered = !partial_.empty();
        wire::Reader reader(gathered ? std::span<const std::byte>(partial_) : bytes);
        const auto size = reader.varint();
        // QMux: "When receiving a QMux Record with a Frames field that exceeds the declared
        // maximum, receivers MUST close the connection with an error of type
        // FRAME_ENCODING_ERROR."
        if (size && *size > ours_.record_size)
            return violate(TransportError::frame_encoding_error,
                           "a record of " + std::to_string(*size) + " bytes");
        // RFC 9000, 12.4: something without frames is an error.
        if (size && *size == 0)
            return violate(TransportError::frame_encoding_error, "a record without frames");
        const auto record = size ? reader.bytes(*size) : std::nullopt;
        if (!record) {
            if (!gathered) {
                partial_.assign(bytes.begin(), bytes.end());
                return true;
            }
            continue;
        }
        if (!handle_record(*record)) return false;
        if (gathered)
            partial_ = {};
        else
            bytes = reader.rest();
    }
    return true;
}

bool Qmux::handle_record(std::span<const std::byte> record) {
    ++records_received_;
    for (wire::Reader reader(record); !reader.empty();) {
        const auto frame = next_frame(reader);
        // QMux: "If the end of the Frames field is not aligned to a frame boundary (that is, if
        // the final frame in the record is truncated), the receiver MUST close the connection with
        // an error of type FRAME_ENCODING_ERROR."
        if (!frame)
            return violate(TransportError::frame_encoding_error,
                           "a frame that is cut, unknown or prohibited");
        // QMux: "If the first frame being received by an endpoint is not a QX_TRANSPORT_PARAMETERS
        // frame [...] the endpoint MUST close the connection with an error of type
        // PROTOCOL_VIOLATION."
        if (!told_ && !std::holds_alternative<frame::TransportParameters>(*frame))
            return violate(TransportError::protocol_violation,
                           "a frame before QX_TRANSPORT_PARAMETERS");
        if (!std::visit([&](const auto& one) { return handle(one); }, *frame)) return false;
    }
    return true;
}

// RFC 9000, 3: which streams a frame may name. Those that ended are not known any more, and what
// crossed their end means nothing.
Qmux::Link* Qmux::named(std::uint64_t stream, bool receiving, const char* what) {
    const bool ours = is_ours(stream);
    const bool one_way = (stream & 2) != 0;
    const std::uint64_t index = stream >> 2;
    const auto wrong = [&](TransportError code, const char* why) {
        violate(code, std::string(what) + " for stream " + std::to_string(stream) + why);
        return nullptr;
    };
    if (one_way && ours == receiving)
        return wrong(TransportError::stream_state_error, ", which has no such direction");
    if (ours && index >= own_[one_way].opened)
        return wrong(TransportError::stream_state_error, ", which is not open");
    if (!ours && index >= their_[one_way].most)
        return wrong(TransportError::stream_limit_error, ", which is beyond the limit");
    if (!ours && index >= their_[one_way].opened && !open_theirs(index, one_way)) return nullptr;
    return find(static_cast<std::int64_t>(stream));
}

// RFC 9000, 3.2: "Before a stream is created, all streams of the same type with lower-numbered
// stream IDs MUST be created."
bool Qmux::open_theirs(std::uint64_t index, bool one_way) {
    Count& count = their_[one_way];
    while (count.opened <= index)
        if (!streams_.on_opened(id_of(count.opened++, false, one_way))) return false;
    return true;
}

// RFC 9000, 4.1: the peer uses up what it was granted.
bool Qmux::charge(Link& link, std::uint64_t bytes) {
    if (bytes > link.receive.most - link.receive.used || bytes > receive_.most - receive_.used)
        return violate(TransportError::flow_control_error, "more bytes than were granted");
    link.receive.used += bytes;
    receive_.used += bytes;
    return true;
}

bool Qmux::handle(const frame::Stream& frame) {
    Link* link = named(frame.stream, true, "STREAM");
    const auto id = static_cast<std::int64_t>(frame.stream);
    if (violation_ || streams_.violation()) return false;
    // RFC 9000, 4.5: "A receiver SHOULD treat receipt of data at or beyond the final size as an
    // error of type FINAL_SIZE_ERROR, even after a stream is closed."
    if (!link || link->receive_done)
        return violate(TransportError::final_size_error,
                       "STREAM for stream " + std::to_string(frame.stream) + ", which has ended");
    // QMux: "When receiving a STREAM frame that carries a payload not immediately following the
    // payload of the previous STREAM frame for the same Stream ID, receivers MUST close the
    // connection with an error of type PROTOCOL_VIOLATION."
    if (frame.offset != link->receive.used)
        return violate(TransportError::protocol_violation,
                       "STREAM for stream " + std::to_string(frame.stream) + " out of order");
    if (!charge(*link, frame.data.size())) return false;
    link->receive_done = frame.finish;
    if (link->stopped) {
        // Nobody takes it, so that its part of the budget goes back from here.
        extend_budget(frame.data.size());
    } else {
        if (!streams_.on_data(*link->stream, frame.data, frame.finish)) return false;
        if (link->receive.due()) list(id, *link);
    }
    if (frame.finish) close_if_done(id, *link);
    return true;
}

bool Qmux::handle(const frame::ResetStream& frame) {
    Link* link = named(frame.stream, true, "RESET_STREAM");
    if (violation_ || streams_.violation()) return false;
    if (!link) return true;
    // RFC 9000, 4.5: "Once a final size for a stream is known, it cannot change."
    if (frame.final_size < link->receive.used ||
        (link->receive_done && frame.final_size != link->receive.used))
        return violate(TransportError::final_size_error,
                       "RESET_STREAM with another size than what was sent");
    if (link->receive_done) return true;
    const std::uint64_t rest = frame.final_size - link->receive.used;
    if (!charge(*link, rest)) return false;
    extend_budget(rest);
    link->receive_done = true;
    link->stop_due = false;
    if (!streams_.on_reset(*link->stream, frame.code, now_)) return false;
    close_if_done(static_cast<std::int64_t>(frame.stream), *link);
    return true;
}

bool Qmux::handle(const frame::StopSending& frame) {
    Link* link = named(frame.stream, false, "STOP_SENDING");
    if (violation_ || streams_.violation()) return false;
    if (!link || link->send_done) return true;
    if (!streams_.on_stopped(*link->stream, frame.code)) return false;
    // RFC 9000, 3.5: an endpoint answers with RESET_STREAM, and copies the code.
    reset_stream(static_cast<std::int64_t>(frame.stream), frame.code);
    return true;
}

bool Qmux::handle(const frame::MaxData& frame) {
    send_.most = std::max(send_.most, frame.most);
    return true;
}

bool Qmux::handle(const frame::MaxStreamData& frame) {
    Link* link = named(frame.stream, false, "MAX_STREAM_DATA");
    if (violation_ || streams_.violation()) return false;
    if (!link || frame.most <= link->send.most) return true;
    link->send.most = frame.most;
    streams_.on_window(*link->stream);
    return true;
}

bool Qmux::handle(const frame::MaxStreams& frame) {
    Count& count = own_[frame.one_way];
    if (frame.most <= count.most) return true;
    count.most = frame.most;
    streams_.on_stream_limit(frame.one_way);
    return true;
}

bool Qmux::handle(const frame::StreamDataBlocked& frame) {
    Link* link = named(frame.stream, true, "STREAM_DATA_BLOCKED");
    if (violation_ || streams_.violation()) return false;
    if (!link) return true;
    link->receive.wanted = true;
    if (link->receive.due()) list(static_cast<std::int64_t>(frame.stream), *link);
    return true;
}

bool Qmux::handle(const frame::ConnectionClose& frame) {
    const auto* text = reinterpret_cast<const char*>(frame.reason.data());
    peer_close_ = {frame.application, frame.code, std::string(text, frame.reason.size())};
    return false;
}

bool Qmux::handle(const frame::TransportParameters& frame) {
    // QMux: "or if a QX_TRANSPORT_PARAMETERS frame is received other than as the first frame, the
    // endpoint MUST close the connection with an error of type PROTOCOL_VIOLATION."
    if (told_) return violate(TransportError::protocol_violation, "QX_TRANSPORT_PARAMETERS twice");
    Parameters parameters;
    std::string why;
    if (!decode(frame.content, parameters, why))
        return violate(TransportError::transport_parameter_error, why);
    // RFC 9000, 7.4.1: a server that took early data has not reduced what it was sent by.
    if (theirs_ && !covers(parameters, *theirs_))
        return violate(TransportError::protocol_violation,
                       "the peer took early data, and reduced the limits that it went by");
    told_ = true;
    grant(parameters);
    return true;
}

void Qmux::grant(const Parameters& theirs) {
    theirs_ = theirs;
    send_.most = theirs.max_data;
    own_[0].most = theirs.streams;
    own_[1].most = theirs.streams_one_way;
    for (auto& [id, link] : links_)
        if (is_ours(static_cast<std::uint64_t>(id)))
            link.send.most = link.one_way ? theirs.stream_data_one_way : theirs.stream_data_theirs;
}

void Qmux::remember(const Parameters& theirs) { grant(theirs); }

void Qmux::begin_again() {
    theirs_.reset();
    links_.clear();
    due_.clear();
    send_ = {};
    own_ = {};
    declared_ = ping_due_ = unasked_ = asked_after_ = false;
}

bool Qmux::handle(const frame::Ping& frame) {
    if (!frame.answer) {
        // QMux: "If an endpoint receives a QX_PING frame of type 0x348c67529ef8c7bd with a sequence
        // number less than or equal to the previous sequence number received in a frame of the same
        // type, the endpoint MUST close the connection with an error of type PROTOCOL_VIOLATION."
        if (last_ping_ && frame.sequence <= *last_ping_)
            return violate(TransportError::protocol_violation, "QX_PING with an old number");
        // QMux: with several, one answer with the largest number is enough.
        last_ping_ = answer_due_ = frame.sequence;
        return true;
    }
    // QMux: "with a sequence number greater than the greatest sequence number that it sent [...]
    // the endpoint MUST close the connection with an error of type PROTOCOL_VIOLATION."
    if (frame.sequence == 0 || frame.sequence > pings_sent_)
        return violate(TransportError::protocol_violation, "an answer to a QX_PING never sent");
    if (frame.sequence == pings_sent_ && ping_sent_at_ != never) {
        sample(now_ - std::exchange(ping_sent_at_, never));
        asked_after_ = false;
    }
    return true;
}

// RFC 9002, 5.3
void Qmux::sample(Duration rtt) {
    if (smoothed_rtt_ == Duration{}) {
        smoothed_rtt_ = minimum_rtt_ = rtt;
        rtt_variance_ = rtt / 2;
        return;
    }
    minimum_rtt_ = std::min(minimum_rtt_, rtt);
    const Duration off = rtt > smoothed_rtt_ ? rtt - smoothed_rtt_ : smoothed_rtt_ - rtt;
    rtt_variance_ = (3 * rtt_variance_ + off) / 4;
    smoothed_rtt_ = (7 * smoothed_rtt_ + rtt) / 8;
}

bool Qmux::handle(const frame::Datagram& frame) {
    streams_.on_alone(frame.content);
    return true;
}

}  // namespace post::tls
