// What leaves on streams: from the supply's values to bytes that wait for a packet.

#include <array>
#include <type_traits>

#include "mappings/streams/streams.hpp"

namespace post::streams {

Stream* Streams::next(Supply& supply, const Allowance& allowance) {
    if (!allowance.carriers)
        return association_ != nullptr && association_->ready ? association_ : nullptr;
    // Nothing is begun behind a message that waits to go alone.
    if (waits_alone()) put_on_stream(supply, allowance.packet);
    if (!ready_.empty() || !allowance.pull || waits_alone()) return ready_.first();

    // Enough for this packet and not more: what is most urgent may be another thing by the next.
    // The number of values is bounded too, since some of them (a Skip) weigh next to nothing.
    std::uint64_t waiting = 0;
    for (int i = 0; i < 1024 && waiting < allowance.room; ++i) {
        auto* outgoing = supply.next();
        if (outgoing == nullptr) break;
        auto* piece = std::get_if<Piece>(outgoing);
        if (piece == nullptr) {
            ++waiting;
            begin(*outgoing, supply);
            continue;
        }
        waiting += 1 + piece->bytes.size();
        begin_piece(*piece, supply, allowance.packet);
        if (waits_alone()) break;
        if (post_ && waiting < allowance.room)
            waiting += begin_run(*piece, supply, allowance.room - waiting);
    }
    return ready_.first();
}

void Streams::begin(Outgoing& outgoing, Supply& supply) {
    std::visit(
        [&](auto& value) {
            using Value = std::remove_reference_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, Piece>) {
                // begin_piece
            } else if constexpr (std::is_same_v<Value, Open>) {
                begin_carrier(value, supply);
            } else if constexpr (std::is_same_v<Value, Finish>) {
                auto* stream = find(value.carrier);
                if (stream == nullptr || !stream->may_send() || stream->send.finishing()) return;
                if (post_) write_frame(*stream, value);
                change_send(*stream, [](SendStream& send) { send.finish(); });
                make_ready(*stream);
            } else if constexpr (std::is_same_v<Value, Skip> || std::is_same_v<Value, Abandon>) {
                auto* stream = find(value.carrier);
                if (stream != nullptr && post_) write_frame(*stream, value);
            } else {
                if (post_) write_association(value);
            }
        },
        outgoing);
}

void Streams::begin_carrier(const Open& open, Supply& supply) {
    if (find(open.carrier) != nullptr) return;
    auto& stream = table_.add(true, open.kind == CarrierKind::one_way, open.carrier);
    stream.purpose = Stream::Purpose::carrier;
    name(stream);
    if (post_) write_frame(stream, open);
    stream.open_size = static_cast<std::uint8_t>(stream.send.unsent());
    if (open_native(stream)) {
        make_ready(stream);
        return;
    }
    (stream.one_way ? waiting_one_way_ : waiting_).push_back(&stream);
    supply.blocked(open.carrier);
}

void Streams::begin_piece(Piece& piece, Supply& supply, std::size_t packet) {
    auto* stream = find(piece.carrier);
    if (stream == nullptr || !stream->may_send()) return;
    if (!piece.marks.reliable) {
        if (goes_alone(*stream, piece, packet)) return alone().wait(std::move(piece));
        if (apart_) return refuse_alone(piece, supply, packet);
        piece.marks.reliable = true;
    }
    write_piece(*stream, piece);
    if (stream->send.pending()) return;
    // An empty piece on a raw stream is nothing on the wire: it is packed, and acknowledged, now.
    if (auto count = stream->send.take_packed(!post_); count > 0)
        supply.packed(piece.carrier, count);
    if (auto count = stream->send.take_acked(); count > 0)
        inbox_.add(event::Acked{piece.carrier, count});
}

// The messages behind it; how much they take.
std::uint64_t Streams::begin_run(const Piece& first, Supply& supply, std::uint64_t room) {
    auto* stream = find(first.carrier);
    if (stream == nullptr || !stream->may_send()) return 0;
    const auto run = supply.more(room);
    if (run.empty()) return 0;
    Piece piece;
    piece.carrier = first.carrier;
    piece.niceness = first.niceness;
    piece.sequence = first.sequence;
    std::uint64_t taken = run.size();
    change_send(*stream, [&](SendStream& send) {
        std::array<std::byte, framing::largest_frame> header;
        for (const auto content : run) {
            piece.sequence = Sequence{piece.sequence.value() + 1};
            piece.total = content.size();
            piece.bytes = Bytes::lent(content.data(), content.size());
            const auto size = stream->encoder.write(header, piece);
            send.append_piece(pool_, std::span(header).first(size), piece.bytes);
            taken += content.size();
        }
    });
    make_ready(*stream);
    return taken;
}

void Streams::write_piece(Stream& stream, const Piece& piece) {
    std::array<std::byte, framing::largest_frame> header;
    const auto size = post_ ? stream.encoder.write(header, piece) : 0;
    change_send(stream, [&](SendStream& send) {
        send.append_piece(pool_, std::span(header).first(size), piece.bytes);
    });
    make_ready(stream);
}

template <class Value> void Streams::write_frame(Stream& stream, const Value& value) {
    if (!stream.may_send()) return;
    std::array<std::byte, framing::largest_frame> frame;
    auto size = stream.encoder.write(frame, value);
    change_send(stream,
                [&](SendStream& send) { send.append(pool_, std::span(frame).first(size)); });
    make_ready(stream);
}

// The stream is opened with the first word that it has to carry.
template <class Value> void Streams::write_association(const Value& value) {
    if (association_ == nullptr) {
        association_ = &table_.add(true, true, std::nullopt);
        association_->purpose = Stream::Purpose::association;
        if (!open_native(*association_)) waiting_one_way_.push_front(association_);
    }
    write_frame(*association_, value);
}

// False when the peer's limit is reached.
bool Streams::open_native(Stream& stream) {
    stream.id = transport_->open_stream(stream.one_way, stream);
    if (!stream.opened()) return false;
    if (stream.stop_read_pending) transport_->stop_sending(stream.id, take_stop_code(stream));
    if (stream.credit > 0) add_credit(stream, 0);
    return true;
}

void Streams::make_ready(Stream& stream) {
    if (stream.opened() && !stream.blocked && stream.send.pending()) ready_.add(stream);
}

void Streams::wrote(Stream& stream, std::uint64_t bytes, bool finish, Supply& supply) {
    change_send(stream, [&](SendStream& send) { send.wrote(bytes, finish); });
    if (!stream.send.pending()) ready_.remove(stream);
    if (stream.purpose != Stream::Purpose::carrier) return;
    if (auto count = stream.send.take_packed(!post_); count > 0)
        supply.packed(stream.carrier(), count);
}

void Streams::write_blocked(Stream& stream, Supply& supply) {
    ready_.remove(stream);
    stream.blocked = true;
    if (stream.purpose != Stream::Purpose::carrier || stream.reported) return;
    stream.reported = true;
    supply.blocked(stream.carrier());
}

// With ngtcp2 before 1.24 this is how a STOP_SENDING becomes known; its code does not.
void Streams::write_closed(Stream& stream) {
    bool news = !stream.stopped && !stream.send.dropped();
    drop_sending(stream);
    if (!news || stream.purpose != Stream::Purpose::carrier) return;
    stream.stopped = true;
    inbox_.add(
        event::Stopped{stream.carrier(), Error(Errc::carrier_reset, {}, Stage::established)});
}

}  // namespace post::streams
