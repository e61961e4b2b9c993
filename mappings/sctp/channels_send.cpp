// What leaves: from the supply's values to user messages, a little at a time, so that what is most
// urgent is decided when there is room for it.
#include <algorithm>
#include <array>
#include <type_traits>

#include "mappings/sctp/channels.hpp"

namespace post::sctp {

namespace {

// FORMAT.md, 8.2: the content of a user message.
constexpr std::uint64_t largest_content = 16 * 1024;
// Of a message to a plain peer that comes in pieces.
constexpr std::uint64_t most_put_together = 16 * 1024 * 1024;
// The common header, and that of an I-DATA chunk.
constexpr std::size_t data_header = 12 + 20;
// Values that one call pulls.
constexpr int most_pulled = 4096;

// Those of the message that the piece is of.
auto find_parts(Channel& channel, const Piece& piece) {
    return std::find_if(channel.parts.begin(), channel.parts.end(), [&](const auto& one) {
        return one.niceness == piece.niceness && one.sequence == piece.sequence;
    });
}

}  // namespace

void Channels::fill(Supply& supply) {
    if (!socket_) return;
    full_ = false;
    if (post_) say_credit();
    for (int i = 0; i < most_pulled; ++i) {
        if (!room()) break;
        if (rest_) {
            if (!say_rest()) break;
            continue;
        }
        if (!control_.empty()) {
            if (!say_held()) break;
            continue;
        }
        if (!waiting_.empty()) {
            advance(*waiting_.front(), supply);
            continue;
        }
        // What all Carriers together may send is used up, and what was pulled waits for it.
        if (post_ && total_sent_ >= total_limit_ && stuck_) break;
        Outgoing* const outgoing = supply.next();
        if (!outgoing) break;
        if (auto* piece = std::get_if<Piece>(outgoing))
            begin_piece(*piece, supply);
        else
            begin(*outgoing, supply);
    }
    if (control_.empty() && !rest_) ask_for_resets();
}

// Whether the association would put more into a packet now. What it took and could not send yet
// is behind everything that is more urgent, so it gets next to nothing beyond what leaves at once.
bool Channels::room() { return !full_ && socket_->unsent() == 0; }

// Whether it was taken; if not as a whole, the rest follows before anything else does. `owner`: of
// whose memory the bytes are.
bool Channels::say(const Label& label, std::span<const std::byte> bytes, const Bytes& owner) {
    const std::size_t taken = rest_ ? 0 : socket_->send(label, bytes);
    if (taken == 0) {
        full_ = true;
        return false;
    }
    dry_ = false;
    if (taken == bytes.size()) return true;
    rest_.emplace(
        Rest{label, owner.empty() ? Bytes(bytes.subspan(taken)) : owner.slice(taken).held()});
    return true;
}

bool Channels::say_rest() {
    const std::size_t taken = socket_->send(rest_->label, rest_->bytes.span());
    full_ = taken == 0;
    rest_->bytes.remove_prefix(taken);
    if (rest_->bytes.empty()) rest_.reset();
    return taken > 0;
}

bool Channels::say_held() {
    const Held& held = control_.front();
    if (!say(held.label, held.bytes)) return false;
    control_.pop_front();
    return true;
}

// A window is told anew when a quarter of it would be news.
void Channels::say_credit() {
    using framing::Credit;
    const auto due = [](std::uint64_t allowed, std::uint64_t told, std::uint64_t received) {
        return allowed > told && allowed - told >= (allowed - received) / 4;
    };
    if (!std::exchange(windows_told_, true))
        say_wide(Credit{Credit::Of::fresh, {}, options_.limits.carrier_window});
    if (due(total_allowed_, total_told_, total_received_)) {
        total_told_ = total_allowed_;
        say_wide(Credit{Credit::Of::all, {}, total_told_});
    }
    std::size_t kept = 0;
    for (Channel* channel : credited_) {
        // One that overtook OPEN would be of no Carrier.
        if (!channel->acknowledged || !due(channel->allowed, channel->told, channel->received)) {
            credited_[kept++] = channel;
            continue;
        }
        channel->told = channel->allowed;
        channel->credited = false;
        if (!channel->receive_dropped && !channel->receive_over)
            say_wide(Credit{Credit::Of::carrier, channel->carrier, channel->told});
    }
    credited_.resize(kept);
}

void Channels::begin(Outgoing& outgoing, Supply& supply) {
    std::visit(
        [&](auto& value) {
            using Value = std::remove_reference_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, Open>) {
                begin_carrier(value, supply);
            } else if constexpr (std::is_same_v<Value, Settings> || std::is_same_v<Value, Chosen> ||
                                 std::is_same_v<Value, Refuse> ||
                                 std::is_same_v<Value, Delivered> ||
                                 std::is_same_v<Value, Attach>) {
                if (post_) say_wide(value);
            } else {
                Channel* channel = find(value.carrier);
                if (!channel || !channel->may_send() || channel->finishing) return;
                if (!post_ && (std::is_same_v<Value, Skip> || std::is_same_v<Value, Abandon>))
                    return;
                if constexpr (std::is_same_v<Value, Finish>) channel->finishing = true;
                channel->begun.push_back(std::move(value));
                wake(*channel);
                advance(*channel, supply);
            }
        },
        outgoing);
}

void Channels::begin_piece(Piece& piece, Supply& supply) {
    Channel* const channel = find(piece.carrier);
    if (!channel || !channel->may_send() || channel->finishing) return;
    Progress progress = Progress::full;
    if (channel->begun.empty() && can_say(*channel))
        progress = post_ ? write_piece(*channel, piece, supply)
                         : write_raw(*channel, piece, supply);
    if (progress == Progress::done) return;
    piece.bytes = piece.bytes.held();
    channel->begun.push_back(std::move(piece));
    if (progress == Progress::blocked) return block(*channel, supply);
    if (channel->stream) wake(*channel);
}

void Channels::begin_carrier(const Open& open, Supply& supply) {
    if (find(open.carrier)) return;
    Channel& channel = add(open.carrier, open.kind, true);
    if (open.channel) channel.terms = ChannelOpen(open);
    channel.begun.push_back(open);
    if (const auto stream = free_stream()) {
        place(channel, *stream);
        wake(channel);
        advance(channel, supply);
        return;
    }
    nameless_.push_back(&channel);
    channel.reported = true;
    supply.blocked(channel.carrier);
    add_streams();
}

// Says what the Carrier has begun, as far as it goes. It leaves the list of those that wait when
// nothing is left, or when it is the peer's turn.
void Channels::advance(Channel& channel, Supply& supply) {
    while (!channel.begun.empty()) {
        if (!can_say(channel)) break;
        if (!room()) return keep_lent(channel);
        const Progress progress = write(channel, channel.begun.front(), supply);
        if (progress == Progress::full) return keep_lent(channel);
        if (progress == Progress::blocked) {
            block(channel, supply);
            break;
        }
        if (channel.begun.empty()) return;  // it was given up
        channel.begun.erase(channel.begun.begin());
    }
    keep_lent(channel);
    channel.waits = false;
    std::erase(waiting_, &channel);
}

// What was lent with the supply's last answer is kept beyond the next one.
void Channels::keep_lent(Channel& channel) {
    for (Outgoing& one : channel.begun)
        if (auto* piece = std::get_if<Piece>(&one)) piece->bytes = piece->bytes.held();
}

void Channels::block(Channel& channel, Supply& supply) {
    stuck_ = total_sent_ >= total_limit_;
    if (std::exchange(channel.reported, true)) return;
    supply.blocked(channel.carrier);
}

Label Channels::label(const Channel& channel, std::uint32_t ppid) const {
    Label label;
    label.stream = *channel.stream;
    label.ppid = ppid;
    return label;
}

// Before whoever calls it: clang 14 makes none for a call in a generic lambda otherwise.
template <class Value> void Channels::write_frame(Channel& channel, const Value& value) {
    std::array<std::byte, framing::largest_frame> space;
    const std::size_t size = channel.encoder.write(space, value);
    say_or_hold(label(channel, ppid::post), std::span(space).first(size));
}

Channels::Progress Channels::write(Channel& channel, Outgoing& outgoing, Supply& supply) {
    return std::visit(
        [&](auto& value) -> Progress {
            using Value = std::remove_reference_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, Piece>) {
                return post_ ? write_piece(channel, value, supply)
                             : write_raw(channel, value, supply);
            } else if constexpr (std::is_same_v<Value, Open>) {
                return write_open(channel, value);
            } else if constexpr (std::is_same_v<Value, Finish>) {
                if (post_) write_frame(channel, value);
                close_sending(channel);
                return Progress::done;
            } else if constexpr (std::is_same_v<Value, Skip> || std::is_same_v<Value, Abandon>) {
                write_frame(channel, value);
                return Progress::done;
            } else {
                return Progress::done;
            }
        },
        outgoing);
}

// For what was encoded: it leaves now, or before anything else does.
void Channels::say_or_hold(const Label& label, std::span<const std::byte> bytes) {
    if (!control_.empty() || !say(label, bytes))
        control_.push_back({label, {bytes.begin(), bytes.end()}});
}

Channels::Progress Channels::write_open(Channel& channel, const Open& open) {
    channel.said = true;
    if (post_) said_.push_back(channel.carrier);  // RFC 8832, 6 wants a word of a plain peer's
    if (options_.dcep) {
        const auto bytes = sctp::write(ChannelOpen(open));
        say_or_hold(label(channel, ppid::dcep), bytes);
    }
    if (post_) write_frame(channel, open);
    if (const auto code = std::exchange(channel.stop_code, 0); code != 0 && post_)
        say_wide(framing::Unwanted{channel.carrier, code});
    return Progress::done;
}

Channels::Progress Channels::write_piece(Channel& channel, Piece& piece, Supply& supply) {
    if (!piece.marks.reliable) {
        if (goes_alone(channel, piece)) return say_alone(channel, piece, supply);
        piece.marks.reliable = true;
    }
    for (;;) {
        const std::uint64_t total = total_limit_ - std::min(total_limit_, total_sent_);
        const std::uint64_t window = std::min({channel.window(), total, largest_content});
        const std::uint64_t size = std::min<std::uint64_t>(window, piece.bytes.size());
        if (size == 0 && !piece.bytes.empty()) return Progress::blocked;
        Piece part = piece;
        part.bytes = piece.bytes.slice(0, static_cast<std::size_t>(size));
        scratch_.clear();
        append_frame(channel, part);
        channel.sent += size;
        total_sent_ += size;
        const bool whole = size == piece.bytes.size();
        const std::size_t others = whole && piece.first() && size < small_content
                                       ? add_run(channel, piece, supply)
                                       : 0;
        say_or_hold(label(channel, ppid::post), scratch_);
        if (whole) {
            supply.packed(channel.carrier, 1 + others);
            return Progress::done;
        }
        piece.offset += size;
        piece.bytes.remove_prefix(static_cast<std::size_t>(size));
        piece.extras = {};
        if (!room()) return Progress::full;
    }
}

void Channels::append_frame(Channel& channel, const Piece& piece) {
    const std::size_t before = scratch_.size();
    scratch_.resize(before + framing::largest_frame + piece.bytes.size());
    const auto space = std::span(scratch_).subspan(before);
    const std::size_t header = channel.encoder.write(space, piece);
    std::copy(piece.bytes.begin(), piece.bytes.end(),
              space.begin() + static_cast<std::ptrdiff_t>(header));
    scratch_.resize(before + header + piece.bytes.size());
}

// What stands right behind a small message goes in the same user message, as far as a packet
// reaches; how many.
std::size_t Channels::add_run(Channel& channel, const Piece& first, Supply& supply) {
    const std::uint64_t total = total_limit_ - std::min(total_limit_, total_sent_);
    const std::uint64_t window = std::min(channel.window(), total);
    const std::size_t packet = socket_->chunk_packet();
    const std::size_t used = scratch_.size() + data_header;
    // What comes may be longer by one message.
    if (packet <= used || window <= small_content) return 0;
    const auto run = supply.more(std::min<std::uint64_t>(packet - used, window - small_content));
    Piece piece;
    piece.carrier = first.carrier;
    piece.niceness = first.niceness;
    piece.sequence = first.sequence;
    for (const auto content : run) {
        piece.sequence = Sequence{piece.sequence.value() + 1};
        piece.total = content.size();
        piece.bytes = Bytes::lent(content.data(), content.size());
        append_frame(channel, piece);
        channel.sent += content.size();
        total_sent_ += content.size();
    }
    return run.size();
}

// Whether it does, and then it is encoded: the peer has to know the Carrier, and a packet to hold
// the message. They have a stream of their own: usrsctp counts the numbers of unordered messages
// that were given up among those of the ordered ones of their stream, and ends the association when
// one of these comes with a number that it has already seen.
bool Channels::goes_alone(const Channel& channel, const Piece& piece) {
    if (!channel.acknowledged || !piece.first() || !piece.last()) return false;
    if (!alone_stream_) alone_stream_ = free_stream();
    if (!alone_stream_) return false;
    scratch_.resize(framing::largest_frame);
    scratch_.resize(framing::write_alone(scratch_, piece));
    if (scratch_.size() + piece.bytes.size() + data_header > socket_->packet_size()) return false;
    scratch_.insert(scratch_.end(), piece.bytes.begin(), piece.bytes.end());
    return true;
}

Channels::Progress Channels::say_alone(const Channel& channel, const Piece& piece, Supply& supply) {
    Label how;
    how.stream = *alone_stream_;
    how.ppid = ppid::alone;
    how.unordered = true;
    how.retransmissions = 0;
    how.context = next_context_++;
    if (!say(how, scratch_)) return Progress::full;
    flights_[how.context] = {channel.carrier, piece.niceness, piece.sequence};
    supply.packed_alone(channel.carrier, piece.niceness, piece.sequence);
    return Progress::done;
}

// A plain peer's: the content as it is, a whole message each.
Channels::Progress Channels::write_raw(Channel& channel, Piece& piece, Supply& supply) {
    const bool cut = !piece.marks.stream && (!piece.first() || !piece.last());
    if (cut && !put_together(channel, piece)) return Progress::done;
    const auto parts = find_parts(channel, piece);
    const std::uint64_t pieces = parts == channel.parts.end() ? 1 : parts->pieces;
    Label how = label(channel, ppid::none);
    if (options_.dcep) how.ppid = piece.marks.text ? ppid::text : ppid::binary;
    std::span<const std::byte> bytes = piece.bytes.span();
    constexpr std::byte nothing[1]{};
    if (bytes.empty() && options_.dcep) {
        // RFC 8831, 6.6: SCTP has no empty messages
        how.ppid = piece.marks.text ? ppid::empty_text : ppid::empty_binary;
        bytes = nothing;
    }
    if (bytes.empty() && channel.unacked == 0) {
        // Nothing of it will be acknowledged.
        inbox_.add(event::Acked{channel.carrier, pieces});
        supply.packed(channel.carrier, pieces);
        return Progress::done;
    }
    const bool may_be_lost = pieces == 1 && this->may_be_lost(channel, piece, how);
    if (may_be_lost) how.context = next_context_++;
    if (!bytes.empty() && !say(how, bytes, piece.bytes)) return Progress::full;
    if (parts != channel.parts.end()) channel.parts.erase(parts);
    if (may_be_lost) {
        flights_[how.context] = {channel.carrier, piece.niceness, piece.sequence};
        supply.packed_alone(channel.carrier, piece.niceness, piece.sequence);
        return Progress::done;
    }
    if (channel.unacked == 0) unacked_.push_back(channel.carrier);
    channel.unacked += pieces;
    supply.packed(channel.carrier, pieces);
    return Progress::done;
}

// A message that is made while it is sent comes in pieces, and one behind the other is how they
// have to go: nothing else could be said before the last of them was made. So they are kept until
// then. True: it is whole, and in `piece`.
bool Channels::put_together(Channel& channel, Piece& piece) {
    if (piece.total > most_put_together) {
        inbox_.add(
            event::Stopped{channel.carrier,
                           Error(Errc::message_too_large, {}, Stage::established,
                                 "to a plain peer of SCTP a message that is made while it is sent "
                                 "(Generated) has at most 16 MiB")});
        close_sending(channel);
        return false;
    }
    auto parts = find_parts(channel, piece);
    if (parts == channel.parts.end())
        parts = channel.parts.insert(parts,
                                     {.niceness = piece.niceness, .sequence = piece.sequence});
    parts->bytes.insert(parts->bytes.end(), piece.bytes.begin(), piece.bytes.end());
    ++parts->pieces;
    if (!piece.last()) return false;
    piece.bytes = Bytes(std::move(parts->bytes));
    piece.offset = 0;
    return true;
}

// How a plain peer's message travels, when that is not to the end (RFC 7496). Until the peer has
// taken the channel all is ordered (RFC 8832, 6), and reliable with it.
bool Channels::may_be_lost(const Channel& channel, const Piece& piece, Label& label) const {
    using Reliability = ChannelTerms::Reliability;
    if (options_.dcep && !channel.acknowledged) return false;
    const ChannelTerms& terms = channel.terms;
    label.unordered = terms.unordered || !piece.marks.ordered;
    // One that others were pulled behind is counted among them.
    if (channel.begun.size() > 1) return false;
    if (!piece.marks.reliable)
        label.retransmissions = 0;
    else if (piece.extras && piece.extras->lifetime)
        label.lifetime = milliseconds_of(*piece.extras->lifetime);
    else if (terms.reliability == Reliability::retransmissions)
        label.retransmissions = terms.parameter;
    if (terms.reliability == Reliability::lifetime && !label.retransmissions)
        label.lifetime = std::min(label.lifetime.value_or(terms.parameter), terms.parameter);
    if (label.lifetime) label.lifetime = std::max(*label.lifetime, 1U);  // 0 has no end
    return label.lifetime || label.retransmissions;
}

}  // namespace post::sctp
