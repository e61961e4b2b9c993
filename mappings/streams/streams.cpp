// Streams as a table: opened, reset, stopped, ended, and the credit for them.
#include "mappings/streams/streams.hpp"

#include <algorithm>

#include "mappings/framing/error_codes.hpp"

namespace post::streams {

Streams::Streams(Role role, const Limits& limits, std::uint64_t hash_key, Pools& pools)
    : limits_(limits),
      inbox_(pools.received),
      pool_(pools.send),
      table_(pools.streams, hash_key),
      role_(role) {
    grant_.granted = limits.carriers;
    grant_one_way_.granted = limits.carriers;
}

void Streams::establish(bool post) { post_ = post; }

void Streams::begin_again() {
    table_.each([this](Stream& stream) { erase(stream); });
    waiting_.clear();
    waiting_one_way_.clear();
    stopped_ = {};
}

void Streams::reset(CarrierId carrier, const Error& reason) {
    auto* stream = find(carrier);
    if (stream == nullptr || !stream->may_send()) return;
    drop_sending(*stream);
    if (stream->opened()) {
        transport_->reset_stream(stream->id, wire_code(reason));
        return;
    }
    // The peer has never heard of it.
    auto& waiting = stream->one_way ? waiting_one_way_ : waiting_;
    std::erase(waiting, stream);
    inbox_.add(event::Ended{carrier});
    erase(*stream);
}

void Streams::stop(CarrierId carrier, const Error& reason, Instant now) {
    auto* stream = find(carrier);
    if (stream == nullptr || !stream->may_receive() || stream->peer_done) return;
    // Those that ended sooner leave from the front, so that the list is as long as what is open and
    // not as what was stopped within the patience.
    for (int i = 0; i < 2 && !stopped_.empty() && !find(stopped_.front().carrier); ++i)
        stopped_.pop_front();
    stopped_.push_back({now + stopped_patience, carrier});
    if (stream->opened())
        transport_->stop_sending(stream->id, wire_code(reason));
    else
        stream->stop_read_pending = true, stop_codes_[stream] = wire_code(reason);
}

void Streams::extend_window(CarrierId carrier, std::uint64_t bytes) {
    if (auto* stream = find(carrier); stream != nullptr && stream->may_receive())
        add_credit(*stream, bytes);
}

bool Streams::on_opened(std::int64_t id) {
    bool one_way = (id & 2) != 0;  // RFC 9000, 2.1
    auto& stream = table_.add(false, one_way, std::nullopt);
    stream.id = id;
    transport_->adopt(id, stream);
    auto& grant = one_way ? grant_one_way_ : grant_;
    ++grant.open;
    grow_grant(grant, one_way);
    if (post_) return true;

    stream.purpose = Stream::Purpose::carrier;
    // Of QUIC's id the last bit says who opened it too (RFC 9000, 2.1).
    stream.decoder.name(CarrierId{static_cast<std::uint64_t>(id)});
    name(stream);
    auto kind = one_way ? CarrierKind::one_way : CarrierKind::messages;
    inbox_.add(event::Opened{{stream.carrier(), std::nullopt, kind}});
    return true;
}

bool Streams::on_reset(Stream& stream, std::uint64_t code, Instant now) {
    if (stream.purpose == Stream::Purpose::association)
        return violate({Errc::protocol_violation,
                        {},
                        Stage::established,
                        "the peer reset the association's stream"});
    bool fruitless = !stream.ours && !stream.brought_message && !stream.peer_done;
    if (fruitless && !resets_.take(now))
        return violate({Errc::excessive_load,
                        {},
                        Stage::established,
                        "the peer opens Carriers and resets them before any message is whole"});
    if (stream.peer_done || stream.purpose == Stream::Purpose::forgotten) return true;
    stream.peer_done = true;
    if (stream.purpose == Stream::Purpose::carrier) {
        inbox_.add(event::Reset{stream.carrier(), error_of(code)});
        return true;
    }
    // It was never opened for anybody above, so nobody else ends our direction.
    if (!stream.one_way) {
        drop_sending(stream);
        transport_->reset_stream(stream.id, code);
    }
    return true;
}

bool Streams::on_stopped(Stream& stream, std::uint64_t code) {
    if (&stream == association_)
        return violate({Errc::protocol_violation,
                        {},
                        Stage::established,
                        "the peer stopped the association's stream"});
    if (stream.stopped) return true;
    stream.stopped = true;
    drop_sending(stream);
    if (stream.purpose == Stream::Purpose::carrier) {
        inbox_.add(event::Stopped{stream.carrier(), error_of(code)});
    } else {
        stop_codes_[&stream] = code;
        stream.stop_pending = true;
    }
    return true;
}

void Streams::on_closed(Stream& stream) {
    if (!stream.ours) {
        auto& grant = stream.one_way ? grant_one_way_ : grant_;
        --grant.open;
        ++grant.closed;
        transport_->extend_streams(stream.one_way, 1);
    }
    if (stream.purpose == Stream::Purpose::carrier) inbox_.add(event::Ended{stream.carrier()});
    erase(stream);
}

void Streams::on_acked(Stream& stream, std::uint64_t offset, std::uint64_t bytes) {
    change_send(stream, [&](SendStream& send) { send.acked(pool_, offset + bytes, bytes); });
    if (post_) return;
    if (auto pieces = stream.send.take_acked(); pieces > 0)
        inbox_.add(event::Acked{stream.carrier(), pieces});
}

void Streams::on_window(Stream& stream) {
    const bool hears = stream.watched && stream.purpose == Stream::Purpose::carrier;
    stream.watched = false;
    if (hears && !(stream.blocked && stream.reported))
        inbox_.add(event::Unblocked{stream.carrier()});
    if (!stream.blocked) return;
    stream.blocked = false;
    if (stream.send.pending()) ready_.add(stream);
    if (stream.reported && stream.purpose == Stream::Purpose::carrier)
        inbox_.add(event::Unblocked{stream.carrier()});
    stream.reported = false;
}

void Streams::on_stream_limit(bool one_way) {
    auto& waiting = one_way ? waiting_one_way_ : waiting_;
    while (!waiting.empty()) {
        auto& stream = *waiting.front();
        if (!open_native(stream)) return;
        waiting.pop_front();
        make_ready(stream);
        if (stream.purpose == Stream::Purpose::carrier)
            inbox_.add(event::Unblocked{stream.carrier()});
    }
}

void Streams::handle_timeout(Instant now) {
    give_up_alone(now);
    while (!stopped_.empty() && stopped_.front().due <= now) {
        const auto carrier = stopped_.front().carrier;
        stopped_.pop_front();
        auto* stream = find(carrier);
        // What the peer ended too ends when our last word is acknowledged.
        if (stream == nullptr || stream->peer_done) continue;
        const auto& send = stream->send;
        const bool said_all = !stream->may_send() ||
                              (send.finishing() && !send.pending() && !send.bytes_unacked());
        if (!stream->opened() || !said_all) {
            stopped_.push_back({now + stopped_patience, carrier});
            continue;
        }
        // Its place among the peer's streams is free again when the transport says so: whoever
        // stops talking on purpose gets no further ones for it.
        table_.unname(*stream);
        stream->purpose = Stream::Purpose::forgotten;
        inbox_.add(event::Ended{carrier});
    }
    if (stopped_.empty()) stopped_ = {};  // a connection at rest holds nothing
}

void Streams::apply_credit() {
    for (auto* stream : credited_) {
        stream->credited = false;
        transport_->extend_window(stream->id, std::exchange(stream->credit, 0));
    }
    credited_.clear();
    if (budget_credit_ > 0) transport_->extend_budget(std::exchange(budget_credit_, 0));
}

std::uint64_t Streams::send_window(CarrierId carrier) const {
    auto left = transport_->data_left();
    const auto* stream = find(carrier);
    // Which kind of Carrier will be opened is not known yet.
    if (stream == nullptr) return std::min(left, transport_->fresh_data_left());
    if (!stream->opened() || !stream->may_send()) return 0;
    left = std::min(left, transport_->stream_data_left(stream->id));
    return left - std::min(left, stream->send.unsent());
}

std::uint64_t Streams::window_beyond(CarrierId carrier, std::uint64_t reserve) {
    Stream* const stream = find(carrier);
    if (!stream || !stream->opened() || !stream->may_send()) return unlimited;
    const std::uint64_t window = transport_->stream_data_left(stream->id);
    const std::uint64_t left = window - std::min(window, stream->send.unsent());
    stream->watched = left <= reserve;
    return left - std::min(left, reserve);
}

void Streams::name(Stream& stream) {
    table_.name(stream);
    if (alone_ && alone_->carriers) alone_->carriers->insert(stream.carrier());
}

void Streams::erase(Stream& stream) {
    drop_sending(stream);
    if (stream.credited) std::erase(credited_, &stream);
    if (stream.stop_pending || stream.stop_read_pending) take_stop_code(stream);
    if (&stream == association_) association_ = nullptr;
    table_.remove(stream);
}

std::uint64_t Streams::take_stop_code(Stream& stream) {
    stream.stop_pending = stream.stop_read_pending = false;
    return stop_codes_.extract(&stream).mapped();
}

void Streams::drop_sending(Stream& stream) {
    ready_.remove(stream);
    if (alone_) alone_->forget(stream.carrier());
    change_send(stream, [&](SendStream& send) { send.drop(pool_); });
}

// A peer that uses more than half of its grant gets twice as much, up to the limit.
void Streams::grow_grant(Grant& grant, bool one_way) {
    if (grant.open * 2 <= grant.granted || grant.granted >= limits_.most_carriers) return;
    auto more = std::min(grant.granted, limits_.most_carriers - grant.granted);
    grant.granted += more;
    transport_->extend_streams(one_way, more);
}

void Streams::add_credit(Stream& stream, std::uint64_t bytes) {
    if (bytes == 0 || stream.peer_done) return;
    stream.credit += bytes;
    if (stream.credited || !stream.opened()) return;
    stream.credited = true;
    credited_.push_back(&stream);
}

bool Streams::violate(const Error& error) {
    if (!violation_) violation_ = error;
    return false;
}

std::uint64_t Streams::wire_code(const Error& reason) const {
    return post_ ? framing::to_wire(reason) : framing::to_foreign(reason);
}

Error Streams::error_of(std::uint64_t code) const {
    return post_ ? framing::from_wire(code) : framing::from_foreign(code);
}

}  // namespace post::streams
