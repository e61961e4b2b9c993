// What arrives: user messages to frames to events, and the rules a peer can break on the way.
#include <string>

#include "mappings/framing/error_codes.hpp"
#include "mappings/sctp/channels.hpp"

namespace post::sctp {

namespace {

template <class... Handlers> struct Overloaded : Handlers... { using Handlers::operator()...; };
template <class... Handlers> Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::string named(CarrierId carrier) { return "Carrier " + std::to_string(carrier.value()); }

// What a payload protocol identifier says of a data channel's message (RFC 8831, 8).
struct Kind {
    bool text = false;
    bool empty = false;
    bool more = false;  // the message goes on
};

Kind kind_of(std::uint32_t identifier) {
    switch (identifier) {
        case ppid::text: return {.text = true};
        case ppid::empty_text: return {.text = true, .empty = true};
        case ppid::empty_binary: return {.empty = true};
        case ppid::part_of_text: return {.text = true, .more = true};
        case ppid::part_of_binary: return {.more = true};
        default: return {};
    }
}

// FORMAT.md, 8.2.
constexpr std::size_t largest_post_message = 20 * 1024;

}  // namespace

bool Channels::on_message(const Message& message, Instant now) {
    now_ = now;
    const Label& label = message.label;
    const auto key = std::pair(label.stream, label.unordered);
    const auto part = partial_.find(key);
    if (part == partial_.end() && message.last) return on_whole(label, message.bytes);
    // A part: only of a plain peer's long message.
    if (post_) return violate("a user message is longer than a frame can be");
    Partial& partial = part == partial_.end() ? partial_[key] : part->second;
    gather(partial, label.stream, message.bytes);
    if (!message.last) return true;
    const Partial whole = std::move(partial);
    partial_bytes_ -= whole.bytes.size();
    partial_.erase(key);
    return whole.dropped || on_whole(label, whole.bytes);
}

// A half of the budget is for what is not whole: were it all, nothing would ever become whole.
void Channels::gather(Partial& partial, StreamId stream, std::span<const std::byte> bytes) {
    if (partial.dropped) return;
    partial.bytes.insert(partial.bytes.end(), bytes.begin(), bytes.end());
    partial_bytes_ += bytes.size();
    const bool fits = partial.bytes.size() <= options_.limits.largest_message &&
                      partial_bytes_ <= options_.limits.budget / 2;
    if (fits) return;
    partial_bytes_ -= partial.bytes.size();
    partial.bytes = {};
    partial.dropped = true;
    refuse_message(stream);
}

// The plain peer's message is longer than we take.
void Channels::refuse_message(StreamId stream) {
    Channel* channel = at(stream);
    if (!channel || std::exchange(channel->receive_dropped, true)) return;
    if (!std::exchange(channel->end_told, true))
        inbox_.add(
            event::Reset{channel->carrier, Error(Errc::message_too_large, {}, Stage::established,
                                                 "above Bounds::largest_message")});
    if (channel->may_send()) close_sending(*channel);
}

void Channels::drop_partial(StreamId stream) {
    drop(partial_, stream);
    drop(text_partial_, stream);
}

void Channels::drop(Partials& partials, StreamId stream) {
    for (const bool second : {false, true}) {
        const auto part = partials.find({stream, second});
        if (part == partials.end()) continue;
        partial_bytes_ -= part->second.bytes.size();
        partials.erase(part);
    }
}

bool Channels::on_whole(const Label& label, std::span<const std::byte> bytes) {
    if (label.ppid == ppid::dcep && options_.dcep) return on_dcep(label.stream, bytes);
    if (!post_) return on_raw(label, bytes);
    if (bytes.size() > largest_post_message)
        return violate("a user message is longer than a frame can be");
    switch (label.ppid) {
        case ppid::association:
            return label.stream == 0 ? on_wide(bytes)
                                     : violate("an association-wide frame on a Carrier's stream");
        case ppid::post:
            return label.stream != 0 ? on_frames(label.stream, bytes)
                                     : violate("a Carrier's frame on the association's stream");
        case ppid::alone: return on_alone(bytes);
        default:
            return violate("payload protocol identifier " + std::to_string(label.ppid) +
                           " between Post peers");
    }
}

bool Channels::on_dcep(StreamId stream, std::span<const std::byte> bytes) {
    const auto type = dcep_type(bytes);
    Channel* channel = at(stream);
    if (type == Dcep::ack) {
        if (channel && channel->ours) channel->acknowledged = true;
        return true;
    }
    if (const auto open = type == Dcep::open ? read_open(bytes) : std::nullopt)
        return on_channel_open(stream, *open);
    if (post_) return violate("a DCEP message that is neither OPEN nor ACK");
    close_unopened(stream);
    return true;
}

// RFC 8832, 6: what makes no sense closes the channel, and is not acknowledged.
void Channels::close_unopened(StreamId stream) {
    Channel* const channel = at(stream);
    if (channel && channel->may_send()) close_sending(*channel);
    if (channel || stream >= out_streams_ || resetting_[stream]) return;
    resets_.push_back(stream);
    resetting_[stream] = true;
}

bool Channels::on_channel_open(StreamId stream, const ChannelOpen& open) {
    Channel* const channel = at(stream);
    const bool ours = (stream % 2 == 0) == options_.even;
    const bool fits = stream < std::min(out_streams_, in_streams_);
    const std::uint64_t size = open.label.size() + open.protocol.size();
    if (post_) {
        if (!fits) return true;  // the OPEN that follows breaks the same rule, and says more
        if (channel && !makes_room(*channel)) return violate("DCEP's OPEN of a stream in use");
        if (names_ + size > most_names)
            return violate("labels of more than 4 MiB", Errc::excessive_load);
        if (!announced_.try_emplace(stream, open.info()).second)
            return violate("DCEP's OPEN twice");
        names_ += size;
    } else {
        const bool used = channel && !makes_room(*channel);
        if (!fits || ours || used || names_ + size > most_names)
            return close_unopened(stream), true;
        open_plain(stream, open);
    }
    control_.push_back({{stream, ppid::dcep}, {static_cast<std::byte>(Dcep::ack)}});
    return true;
}

// A stream whose Carrier has ended for the peer as well, as it shows by using it again.
bool Channels::makes_room(Channel& channel) {
    if (!channel.receive_over || !channel.send_closed) return false;
    channel.send_over = true;
    settle(channel);
    return true;
}

Channel& Channels::open_plain(StreamId stream, const ChannelOpen& open) {
    Channel& channel = add(CarrierId{next_peer_carrier_}, CarrierKind::messages, false);
    next_peer_carrier_ += 2;
    channel.said = channel.acknowledged = true;
    channel.terms = open;
    place(channel, stream);
    Open opened{channel.carrier, std::nullopt, CarrierKind::messages};
    opened.channel = open.info();
    names_ += channel.name_size = name_size(opened.channel);
    inbox_.add(event::Opened{std::move(opened)});
    return channel;
}

bool Channels::on_raw(const Label& label, std::span<const std::byte> bytes) {
    Channel* channel = at(label.stream);
    if (channel && channel->receive_over && makes_room(*channel)) channel = nullptr;
    if (!channel && !options_.dcep && label.stream < std::min(out_streams_, in_streams_))
        channel = &open_plain(label.stream, {});
    if (!channel) return true;  // RFC 8831, 6.6: nobody's
    channel->acknowledged = true;
    if (channel->receive_dropped) return true;
    const Kind kind = options_.dcep ? kind_of(label.ppid) : Kind{};
    if (kind.empty) bytes = {};
    const auto key = std::pair(label.stream, kind.text);
    if (kind.more) {
        gather(text_partial_[key], label.stream, bytes);
        return true;
    }
    if (text_partial_.empty() || !text_partial_.contains(key))
        return on_content(*channel, bytes, kind.text);
    gather(text_partial_[key], label.stream, bytes);
    const Partial whole = std::move(text_partial_.extract(key).mapped());
    partial_bytes_ -= whole.bytes.size();
    return whole.dropped || on_content(*channel, whole.bytes, kind.text);
}

bool Channels::on_content(Channel& channel, std::span<const std::byte> bytes, bool text) {
    channel.brought_message = true;
    Piece piece;
    piece.carrier = channel.carrier;
    piece.sequence = Sequence{channel.arrivals++};
    if (!bytes.empty()) piece.bytes = inbox_.keep(bytes);
    piece.total = piece.bytes.size();
    piece.marks.text = text;
    channel.received += piece.total;
    total_received_ += piece.total;
    inbox_.arrived(std::move(piece));
    return true;
}

// Frames.

bool Channels::on_wide(std::span<const std::byte> bytes) {
    Bytes input = inbox_.keep(bytes);
    auto frame = wide_decoder_.next(input);
    if (!frame) return violate_as(frame.error());
    if (!frame->has_value())
        return wide_decoder_.between_frames() || violate("not a whole frame in a user message");
    if (!wide_decoder_.association())
        return violate("a Carrier's frame on the association's stream");
    const bool fine = std::visit(
        Overloaded{
            [&](framing::Credit& credit) { return on_credit(credit); },
            [&](framing::GivenUp& given_up) { return on_given_up(given_up); },
            [&](framing::Unwanted& unwanted) { return on_unwanted(unwanted); },
            [&](Settings& value) { return pass_on(std::move(value)); },
            [&](Chosen& value) { return pass_on(std::move(value)); },
            [&](Refuse& value) { return pass_on(std::move(value)); },
            [&](Delivered& value) {
                // Behind ATTACH it may be of what an earlier connection brought.
                if (!attached_) known(value.carrier);
                return pass_on(std::move(value));
            },
            [&](Attach& value) {
                attached_ = true;
                return pass_on(std::move(value));
            },
            [&](auto&) { return violate("a Carrier's frame on the association's stream"); },
        },
        **frame);
    if (!fine) return false;
    return ends_here(wide_decoder_, input);
}

bool Channels::ends_here(framing::Decoder& decoder, Bytes& input) {
    auto more = decoder.next(input);
    if (!more) return violate_as(more.error());
    return (!more->has_value() && decoder.between_frames()) ||
           violate("a user message does not end with a frame");
}

// One user message is one frame or several.
bool Channels::on_frames(StreamId stream, std::span<const std::byte> bytes) {
    Channel* channel = at(stream);
    if (channel && channel->receive_over && makes_room(*channel)) channel = nullptr;
    if (!channel) return on_open(stream, bytes);
    channel->acknowledged = true;
    framing::Decoder& decoder = channel->decoder;
    auto kept = inbox_.keep(bytes);
    Bytes input = Bytes::lent(kept.data(), kept.size());
    for (;;) {
        if (const auto run = decoder.next_run(input, inbox_.list()); !run.contents.empty()) {
            if (!account(*channel, run.bytes)) return false;
            channel->brought_message = true;
            if (channel->receive_dropped) continue;
            inbox_.arrived(run);
            if (!kept.empty()) inbox_.hold(std::move(kept));
            continue;
        }
        auto frame = decoder.next(input);
        if (!frame) return violate_as(frame.error());
        if (!frame->has_value())
            return decoder.between_frames() || violate("a user message does not end with a frame");
        if (auto* part = std::get_if<Piece>(&**frame); part && !part->bytes.empty())
            part->bytes = inbox_.share(part->bytes);
        if (!on_carrier_frame(*channel, std::move(**frame))) return false;
    }
}

// The first frame of a stream of the peer's.
bool Channels::on_open(StreamId stream, std::span<const std::byte> bytes) {
    framing::Decoder decoder;
    Bytes input = inbox_.keep(bytes);
    auto frame = decoder.next(input);
    if (!frame) return violate_as(frame.error());
    const Open* open = frame->has_value() ? std::get_if<Open>(&**frame) : nullptr;
    if (!open) return violate("a Carrier's stream does not begin with OPEN");
    const auto id = open->carrier;
    if (id.value() % 2 != (options_.role == Role::client ? 1u : 0u))
        return violate("OPEN of " + named(id) + ", an id that is ours to give");
    if (find(id)) return violate("OPEN of " + named(id) + ", which is open");
    const bool ours = (stream % 2 == 0) == options_.even;
    if (stream >= std::min(out_streams_, in_streams_) || ours)
        return violate("OPEN of " + named(id) + " on stream " + std::to_string(stream) +
                       ", which is not the peer's to open");
    if (!ends_here(decoder, input)) return false;
    Channel& channel = add(id, open->kind, false);
    channel.decoder = std::move(decoder);
    channel.said = channel.acknowledged = true;
    place(channel, stream);
    Open opened = *open;
    if (auto announced = announced_.extract(stream)) {
        opened.channel = std::move(announced.mapped());
        channel.name_size = name_size(opened.channel);
    }
    inbox_.add(event::Opened{std::move(opened)});
    const auto early = given_up_early_.find(id);
    if (early == given_up_early_.end()) return true;
    const framing::GivenUp given_up{id, early->second};
    given_up_early_.erase(early);
    return on_given_up(given_up);
}

bool Channels::on_carrier_frame(Channel& channel, framing::Frame&& frame) {
    return std::visit(
        Overloaded{
            [&](Piece& piece) { return on_piece(channel, std::move(piece)); },
            [&](Finish&) {
                channel.finished = true;
                if (!std::exchange(channel.end_told, true))
                    inbox_.add(event::Finished{channel.carrier});
                return true;
            },
            [&](Skip& value) { return channel.receive_dropped || pass_on(std::move(value)); },
            [&](Abandon& value) { return channel.receive_dropped || pass_on(std::move(value)); },
            [&](EarlyKey&) { return true; },  // DTLS 1.2 has no early data
            [&](auto&) { return violate("a frame that does not belong on a Carrier's stream"); },
        },
        frame);
}

// Content that came, against what was promised.
bool Channels::account(Channel& channel, std::uint64_t bytes) {
    channel.received += bytes;
    total_received_ += bytes;
    if (channel.received > channel.allowed)
        return violate(named(channel.carrier) + " got more than its CREDIT");
    if (total_received_ > total_allowed_)
        return violate("all Carriers together got more than their CREDIT");
    // Nobody above will give it back.
    if (channel.receive_dropped) extend_budget(bytes);
    return true;
}

bool Channels::on_piece(Channel& channel, Piece&& piece) {
    if (!account(channel, piece.bytes.size())) return false;
    channel.brought_message = channel.brought_message || piece.last();
    if (!channel.receive_dropped) inbox_.arrived(std::move(piece));
    return true;
}

bool Channels::on_alone(std::span<const std::byte> bytes) {
    auto piece = framing::read_alone(inbox_.keep(bytes));
    Channel* channel = piece ? find(piece->carrier) : nullptr;
    if (!channel || channel->receive_dropped || channel->end_told || channel->receive_over)
        return true;
    channel->brought_message = true;
    inbox_.add(event::ArrivedAlone{std::move(*piece)});
    return true;
}

bool Channels::on_credit(const framing::Credit& credit) {
    using Of = framing::Credit::Of;
    if (credit.of == Of::all) {
        total_limit_ = std::max(total_limit_, credit.limit);
        if (std::exchange(stuck_, false))
            for (auto& [id, channel] : channels_) release(*channel);
        return true;
    }
    if (credit.of == Of::fresh) {
        if (credit.limit <= fresh_limit_) return true;
        fresh_limit_ = credit.limit;
        for (auto& [id, channel] : channels_) raise(*channel, fresh_limit_);
        return true;
    }
    if (Channel* channel = known(credit.carrier)) raise(*channel, credit.limit);
    return true;
}

// The peer speaks of it: so it has heard of it, also when so much is on its way that never all of
// it is acknowledged.
Channel* Channels::known(CarrierId carrier) {
    Channel* const channel = find(carrier);
    if (channel && channel->said) channel->acknowledged = true;
    return channel;
}

void Channels::raise(Channel& channel, std::uint64_t limit) {
    if (limit <= channel.limit) return;
    channel.limit = limit;
    release(channel);
}

// What waited for a window can go on.
void Channels::release(Channel& channel) {
    if (channel.window() == 0) return;
    wake(channel);
    const bool watched = std::exchange(channel.watched, false);
    if (channel.stream && (std::exchange(channel.reported, false) || watched))
        inbox_.add(event::Unblocked{channel.carrier});
}

bool Channels::on_given_up(const framing::GivenUp& given_up) {
    Channel* channel = find(given_up.carrier);
    if (!channel) {
        const bool theirs = given_up.carrier.value() % 2 ==
                            (options_.role == Role::client ? 1u : 0u);
        if (!theirs) return true;  // it has ended for us
        if (given_up_early_.size() >= most_early)
            return violate("RESET of too many Carriers that were never opened",
                           Errc::excessive_load);
        given_up_early_[given_up.carrier] = given_up.code;
        return true;
    }
    channel->receive_dropped = true;
    if (!std::exchange(channel->end_told, true))
        inbox_.add(event::Reset{channel->carrier, framing::from_wire(given_up.code)});
    if (std::exchange(channel->unexplained, false)) settle(*channel);
    return true;
}

bool Channels::on_unwanted(const framing::Unwanted& unwanted) {
    Channel* channel = find(unwanted.carrier);
    if (!channel || !channel->may_send()) return true;
    inbox_.add(event::Stopped{channel->carrier, framing::from_wire(unwanted.code)});
    give_up(*channel, unwanted.code);
    return true;
}

}  // namespace post::sctp
