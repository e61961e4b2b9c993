// What we send: one record at a time, filled at the last moment.

#include <algorithm>
#include <array>

#include "mappings/tls/qmux.hpp"

namespace post::tls {

namespace {

// How many pieces of memory go into one frame. Small messages lie in one piece.
constexpr std::size_t most_views = 16;
// Kept free of the connection's window for the association's stream, so that DELIVERED gets through
// when the Carriers have used up everything: without it both sides could wait for each other.
constexpr std::uint64_t reserved_window = 4096;
// The Size field of a record of up to 16383 bytes.
constexpr std::size_t size_field = 2;
// Less room than that is not worth a frame.
constexpr std::size_t least_room = 64;

// Writes `size` in two bytes, whatever the shortest form is, so that its place is known before.
void put_size(std::span<std::byte> space, std::size_t size) {
    space[0] = static_cast<std::byte>(0x40 | size >> 8);
    space[1] = static_cast<std::byte>(size & 0xff);
}

}  // namespace

std::size_t Qmux::fill(Instant now, Supply& supply, std::span<std::byte> space) {
    now_ = std::max(now_, now);
    carried_ = false;
    const std::uint64_t pings = pings_sent_;
    if (space.size() <= size_field) return 0;
    // QMux: "Endpoints MUST NOT send QMux Records with a Frames field that exceeds the maximum
    // declared by the peer", which is never less than this.
    const auto frames = space.subspan(size_field)
                            .first(std::min<std::size_t>(space.size() - size_field,
                                                         default_record_size));
    // QMux: "a frame MUST fit entirely within a single QMux Record and MUST NOT span multiple QMux
    // Records": all that follows writes whole frames, into this one.
    wire::Writer control(frames);
    write_control(control);
    std::size_t used = control.size();
    // What still has to be said comes before what streams have.
    if (theirs_ && due_.empty()) write_streams(supply, frames, used);
    carried_ = used > control.size();
    // What is in the record of a ping is dealt with before that is answered.
    unasked_ |= carried_;
    if (pings_sent_ != pings) asked_after_ = std::exchange(unasked_, false) || asked_after_;
    if (used == 0) return 0;
    put_size(space, used);
    return size_field + used;
}

// Everything but STREAM: it is small, and it is what the peer waits for.
void Qmux::write_control(wire::Writer& out) {
    // QMux: "endpoints MUST send the QX_TRANSPORT_PARAMETERS frame as soon as the underlying
    // transport becomes available for sending", and it "MUST only be sent as the first frame".
    if (!std::exchange(declared_, true)) write(out, frame::TransportParameters{encode(ours_)});
    // QMux: in response, "endpoints MUST echo the Sequence Number that they received".
    if (answer_due_) write(out, frame::Ping{true, *std::exchange(answer_due_, std::nullopt)});
    // QMux: "endpoints MUST NOT send frames whose use depends on peer transport parameters until
    // the peer's QX_TRANSPORT_PARAMETERS frame has been received and processed."
    if (!theirs_) return;
    // QMux: "endpoints MUST send strictly increasing values in the Sequence Number field".
    if (std::exchange(ping_due_, false)) {
        write(out, frame::Ping{false, ++pings_sent_});
        ping_sent_at_ = now_;
    }
    if (receive_.due()) {
        write(out, frame::MaxData{receive_.announce()});
    }
    for (const bool one_way : {false, true}) {
        Count& count = their_[one_way];
        if (count.granted == count.most) continue;
        count.most = count.granted;
        write(out, frame::MaxStreams{one_way, count.most});
    }
    std::size_t written = 0;
    while (written < due_.size() && out.room() >= 3 * largest_control_frame) {
        const std::int64_t id = due_[written++];
        write_due(out, id);
    }
    due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(written));
}

void Qmux::write_due(wire::Writer& out, std::int64_t id) {
    Link* link = find(id);
    if (!link) return;
    const auto stream = static_cast<std::uint64_t>(id);
    link->listed = false;
    unasked_ |= link->stop_due || link->reset_due;
    if (std::exchange(link->stop_due, false))
        write(out, frame::StopSending{stream, link->stop_code});
    if (!link->receive_done && !link->stopped && link->receive.due()) {
        write(out, frame::MaxStreamData{stream, link->receive.announce()});
    }
    if (std::exchange(link->reset_due, false)) {
        write(out, frame::ResetStream{stream, link->reset_code, link->send.used});
        link->send_done = true;
        close_if_done(id, *link);
    }
}

void Qmux::write_streams(Supply& supply, std::span<std::byte> space, std::size_t& used) {
    const std::uint64_t reserve = std::min(reserved_window, theirs_->max_data / 4);
    for (;;) {
        const std::size_t room = space.size() - used;
        streams::Streams::Allowance allowance;
        allowance.room = room;
        allowance.packet = space.size();
        allowance.carriers = send_.left() > reserve;
        allowance.pull = allowance.carriers;
        streams::Stream* stream = streams_.next(supply, allowance);
        if (!stream) break;
        if (room < largest_stream_header + least_room) return;
        const bool carrier = stream->purpose == streams::Stream::Purpose::carrier;
        const std::uint64_t window = send_.left() - (carrier ? reserve : 0);
        if (!write_stream(*stream, supply, window, space, used)) break;
    }
    // RFC 9000, 4.1: the peer is told, once for each limit.
    if (send_.left() <= reserve && send_.blocked_at != send_.most) {
        wire::Writer out(space.subspan(used));
        if (out.room() < largest_control_frame) return;
        send_.blocked_at = send_.most;
        write(out, frame::DataBlocked{send_.most});
        used += out.size();
    }
}

// One STREAM frame. False: nothing more may be sent on any stream.
bool Qmux::write_stream(streams::Stream& stream, Supply& supply, std::uint64_t window,
                        std::span<std::byte> space, std::size_t& used) {
    const std::int64_t id = stream.id;
    Link* link = find(id);
    if (!link || link->send_done || link->reset_due) {
        streams_.write_closed(stream);
        return true;
    }
    const std::size_t room = space.size() - used - largest_stream_header;
    const std::uint64_t most = std::min<std::uint64_t>({room, window, link->send.left()});
    std::array<std::span<const std::byte>, most_views> views;
    const auto gathered = stream.send.gather(views, most);
    if (gathered.bytes == 0 && !gathered.finish) {
        if (link->send.left() > 0) return false;
        // RFC 9000, 4.1
        wire::Writer out(space.subspan(used));
        if (std::exchange(link->send.blocked_at, link->send.most) != link->send.most)
            write(out, frame::StreamDataBlocked{static_cast<std::uint64_t>(id), link->send.most});
        used += out.size();
        streams_.write_blocked(stream, supply);
        return true;
    }
    // QMux: "for each QUIC stream being sent, senders MUST send the stream payload in order": the
    // offset is what was sent before.
    wire::Writer out(space.subspan(used));
    const std::uint64_t offset = link->send.used;
    write_stream_header(out, {static_cast<std::uint64_t>(id), offset, {}, gathered.finish},
                        gathered.bytes);
    for (std::size_t i = 0; i < gathered.count; ++i) out.bytes(views[i]);
    used += out.size();
    link->send.used += gathered.bytes;
    send_.used += gathered.bytes;
    streams_.wrote(stream, gathered.bytes, gathered.finish, supply);
    streams_.on_acked(stream, offset, gathered.bytes);
    if (gathered.finish) {
        link->send_done = true;
        close_if_done(id, *link);
    }
    return true;
}

std::size_t Qmux::write_close(const frame::ConnectionClose& close, std::span<std::byte> space) {
    if (space.size() <= size_field) return 0;
    wire::Writer out(space.subspan(size_field));
    if (!std::exchange(declared_, true)) write(out, frame::TransportParameters{encode(ours_)});
    write(out, close);
    if (!out.ok()) return 0;
    put_size(space, out.size());
    return size_field + out.size();
}

}  // namespace post::tls
