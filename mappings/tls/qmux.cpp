// What is kept of streams, and the commands of Streams.
#include "mappings/tls/qmux.hpp"

#include <algorithm>

namespace post::tls {

namespace {

Parameters declare(const Limits& limits) {
    const auto number = [](std::uint64_t value) { return std::min(value, wire::varint_max); };
    constexpr std::uint64_t most_streams = std::uint64_t{1} << 60;
    Parameters parameters;
    parameters.idle_timeout = static_cast<std::uint64_t>(
        std::max<std::int64_t>(1, limits.idle_timeout / std::chrono::milliseconds(1)));
    parameters.max_data = number(limits.budget);
    parameters.stream_data_ours = number(limits.carrier_window);
    parameters.stream_data_theirs = number(limits.carrier_window);
    parameters.stream_data_one_way = number(limits.carrier_window);
    parameters.streams = std::min(limits.carriers, most_streams);
    // One more, for what concerns the whole association.
    parameters.streams_one_way = std::min(limits.carriers, most_streams - 1) + 1;
    // QMux, Unreliable Datagram Extension: what fits into a record.
    parameters.datagram_frame_size = default_record_size;
    return parameters;
}

}  // namespace

Qmux::Qmux(Role role, const Limits& limits, streams::Streams& streams)
    : role_(role), ours_(declare(limits)), streams_(streams) {
    receive_.most = receive_.granted = ours_.max_data;
    their_[0].most = their_[0].granted = ours_.streams;
    their_[1].most = their_[1].granted = ours_.streams_one_way;
}

// RFC 9000, 2.1: the lowest bits say who opened it, and whether it has one direction.
std::int64_t Qmux::id_of(std::uint64_t index, bool ours, bool one_way) const {
    const bool by_server = ours == (role_ == Role::server);
    return static_cast<std::int64_t>(index << 2 | (one_way ? 2u : 0u) | (by_server ? 1u : 0u));
}

bool Qmux::is_ours(std::uint64_t stream) const {
    return ((stream & 1) != 0) == (role_ == Role::server);
}

Qmux::Link& Qmux::add(std::int64_t id, streams::Stream& stream) {
    Link& link = links_[id];
    link.stream = &stream;
    const bool ours = is_ours(static_cast<std::uint64_t>(id));
    link.one_way = (id & 2) != 0;
    link.may_send = ours || !link.one_way;
    link.send_done = !link.may_send;
    link.receive_done = ours && link.one_way;
    const Parameters theirs = theirs_.value_or(Parameters{});
    link.send.most = link.one_way ? theirs.stream_data_one_way
                     : ours       ? theirs.stream_data_theirs
                                  : theirs.stream_data_ours;
    link.receive.most = link.one_way ? ours_.stream_data_one_way
                        : ours       ? ours_.stream_data_ours
                                     : ours_.stream_data_theirs;
    link.receive.granted = link.receive.most;
    return link;
}

Qmux::Link* Qmux::find(std::int64_t id) {
    const auto found = links_.find(id);
    return found == links_.end() ? nullptr : &found->second;
}

const Qmux::Link* Qmux::find(std::int64_t id) const {
    const auto found = links_.find(id);
    return found == links_.end() ? nullptr : &found->second;
}

// It has a word to say with the next record.
void Qmux::list(std::int64_t id, Link& link) {
    if (!std::exchange(link.listed, true)) due_.push_back(id);
}

// RFC 9000, 3.4: both directions are at their end. Ours is when its last word is in a record.
void Qmux::close_if_done(std::int64_t id, Link& link) {
    if (!link.send_done || !link.receive_done) return;
    streams::Stream& stream = *link.stream;
    links_.erase(id);
    streams_.on_closed(stream);
}

bool Qmux::violate(TransportError code, std::string text) {
    if (!violation_)
        violation_ = {code, Error(Errc::protocol_violation,
                                  std::error_code(static_cast<int>(code), quic_category()),
                                  Stage::established, Bytes(std::move(text)))};
    return false;
}

void Qmux::ping(Instant now) {
    if (ping_due_) return;
    ping_due_ = true;
    now_ = std::max(now_, now);
}

Duration Qmux::idle_timeout() const {
    std::uint64_t lesser = ours_.idle_timeout;
    if (theirs_ && theirs_->idle_timeout != 0) lesser = std::min(lesser, theirs_->idle_timeout);
    constexpr std::uint64_t most = 1'000'000'000'000;
    return std::chrono::milliseconds(std::min(lesser, most));
}

// For Streams.

std::int64_t Qmux::open_stream(bool one_way, streams::Stream& stream) {
    Count& count = own_[one_way];
    if (count.opened == count.most) return -1;
    const std::int64_t id = id_of(count.opened++, true, one_way);
    add(id, stream);
    return id;
}

void Qmux::adopt(std::int64_t id, streams::Stream& stream) { add(id, stream); }

void Qmux::reset_stream(std::int64_t id, std::uint64_t code) {
    Link* link = find(id);
    // RFC 9000, 3.1: what was sent to its end needs no reset.
    if (!link || link->send_done || link->reset_due) return;
    link->reset_due = true;
    link->reset_code = code;
    list(id, *link);
}

void Qmux::stop_sending(std::int64_t id, std::uint64_t code) {
    Link* link = find(id);
    if (!link || link->receive_done || link->stopped) return;
    link->stopped = link->stop_due = true;
    link->stop_code = code;
    list(id, *link);
}

void Qmux::extend_streams(bool one_way, std::uint64_t count) { their_[one_way].granted += count; }

void Qmux::extend_window(std::int64_t id, std::uint64_t bytes) {
    Link* link = find(id);
    if (!link || link->receive_done || link->stopped) return;
    link->receive.granted = std::min(link->receive.granted + bytes, wire::varint_max);
    if (link->receive.due()) list(id, *link);
}

void Qmux::extend_budget(std::uint64_t bytes) {
    receive_.granted = std::min(receive_.granted + bytes, wire::varint_max);
}

std::uint64_t Qmux::stream_data_left(std::int64_t id) const {
    const Link* link = find(id);
    return link ? link->send.left() : 0;
}

std::uint64_t Qmux::fresh_data_left() const {
    if (!theirs_ || own_[0].opened == own_[0].most) return 0;
    return theirs_->stream_data_theirs;
}

}  // namespace post::tls
