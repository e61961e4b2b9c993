// Channels as a table: opened, reset, stopped, ended, and their streams.
#include "mappings/sctp/channels.hpp"

#include <algorithm>

#include "mappings/framing/error_codes.hpp"

namespace post::sctp {

namespace {

constexpr std::uint32_t most_streams = 65535;
constexpr std::uint32_t least_step = 64;

}  // namespace

Channels::Channels(const Options& options, wire::ReceiveBlocks& blocks)
    : options_(options),
      inbox_(blocks),
      total_allowed_(options.limits.budget),
      next_peer_carrier_(options.role == Role::client ? 1 : 0),
      add_step_(most_streams) {}

void Channels::establish(Socket& socket, bool post, const notice::Up& up) {
    socket_ = &socket;
    post_ = post;
    if (!post_) socket.take_parts();
    grow({up.out_streams, up.in_streams, false});
}

// Commands.

void Channels::reset(CarrierId carrier, const Error& reason) {
    Channel* channel = find(carrier);
    if (!channel || !channel->may_send()) return;
    if (!channel->said && channel->ours) return forget(*channel);
    give_up(*channel, wire_code(reason));
}

std::uint32_t Channels::name_size(const core::Boxed<ChannelInfo>& info) {
    return info ? static_cast<std::uint32_t>(info->label.size() + info->protocol.size()) : 0;
}

// The peer has never heard of it.
void Channels::forget(Channel& channel) {
    channel.send_over = channel.receive_over = true;
    settle(channel);
}

void Channels::give_up(Channel& channel, std::uint64_t code) {
    if (post_) say_wide(framing::GivenUp{channel.carrier, code});
    close_sending(channel);
}

void Channels::stop(CarrierId carrier, const Error& reason) {
    Channel* channel = find(carrier);
    if (!channel || channel->receive_over || channel->receive_dropped) return;
    channel->receive_dropped = true;
    if (!post_) return;
    if (channel->said || !channel->ours)
        say_wide(framing::Unwanted{carrier, wire_code(reason)});
    else
        channel->stop_code = wire_code(reason);
}

void Channels::extend_window(CarrierId carrier, std::uint64_t bytes) {
    Channel* channel = find(carrier);
    if (!channel) return;
    channel->allowed += bytes;
    if (!post_ || channel->credited || channel->receive_over) return;
    channel->credited = true;
    credited_.push_back(channel);
}

void Channels::extend_budget(std::uint64_t bytes) { total_allowed_ += bytes; }

// What usrsctp has to say.

bool Channels::on_notice(const Notice& notice) {
    if (const auto* reset = std::get_if<notice::Reset>(&notice)) {
        return on_reset(*reset);
    } else if (const auto* streams = std::get_if<notice::Streams>(&notice)) {
        adding_streams_ = false;
        // Refused before it had seen what those are for: then once more when it has.
        if (streams->failed && added_dry_) add_step_ = asked_ / 2;
        grow(*streams);
    } else if (std::holds_alternative<notice::Dry>(notice)) {
        on_dry();
    } else if (const auto* failed = std::get_if<notice::Failed>(&notice)) {
        const auto flight = flights_.find(failed->context);
        if (flight == flights_.end()) return true;
        const Flight& lost = flight->second;
        if (find(lost.carrier))
            inbox_.add(event::SettledAlone{lost.carrier, lost.niceness, lost.sequence, true});
        flights_.erase(flight);
    } else if (const auto* cut = std::get_if<notice::Cut>(&notice)) {
        drop_partial(cut->stream);
    }
    return true;
}

// All is acknowledged: more is not known of a single message, and nothing sooner.
void Channels::on_dry() {
    if (rest_) return;
    dry_ = true;
    if (!nameless_.empty()) add_streams();
    if (std::exchange(unanswered_, false))
        say_wide(framing::Credit{framing::Credit::Of::all, {}, total_told_});
    for (CarrierId carrier : std::exchange(said_, {}))
        if (Channel* channel = find(carrier)) channel->acknowledged = true;
    for (CarrierId carrier : std::exchange(unacked_, {}))
        if (Channel* channel = find(carrier))
            inbox_.add(event::Acked{carrier, std::exchange(channel->unacked, 0)});
    for (const auto& [context, flight] : std::exchange(flights_, {}))
        if (find(flight.carrier))
            inbox_.add(
                event::SettledAlone{flight.carrier, flight.niceness, flight.sequence, false});
}

bool Channels::on_reset(const notice::Reset& reset) {
    std::vector<StreamId> all;
    if (reset.streams.empty())
        for (std::size_t i = 0; i < streams_.size(); ++i) all.push_back(static_cast<StreamId>(i));
    for (StreamId stream : reset.streams.empty() ? all : reset.streams) {
        if (stream >= streams_.size()) continue;
        if (post_ && stream == 0 && !reset.streams.empty())
            return violate("the association's stream was reset");
        if (!reset.incoming) {
            resetting_[stream] = unanswered_ = false;
            freed(stream);
        }
        Channel* channel = at(stream);
        if (!channel && reset.incoming)
            if (const auto gone = announced_.extract(stream)) names_ -= name_size(gone.mapped());
        if (!channel) continue;
        if (reset.incoming) {
            if (!on_incoming_reset(*channel)) return false;
        } else if (channel->send_closed) {
            channel->send_over = true;
        } else {
            wake(*channel);  // it waited for the one before it
        }
        settle(*channel);
    }
    return true;
}

bool Channels::on_incoming_reset(Channel& channel) {
    if (std::exchange(channel.receive_over, true)) return true;
    drop_partial(*channel.stream);
    const bool fruitless = !channel.ours && !channel.brought_message && !channel.finished;
    if (fruitless && !fruitless_.take(now_))
        return violate("the peer opens Carriers and resets them before any message is whole",
                       Errc::excessive_load);
    // The RESET that says why is on another stream, and can be overtaken.
    if (post_)
        channel.unexplained = !channel.end_told;
    else if (!std::exchange(channel.end_told, true))
        inbox_.add(event::Finished{channel.carrier});
    // RFC 8831, 6.7: a data channel is closed as a whole.
    if (!post_ && options_.dcep && channel.may_send()) {
        inbox_.add(event::Stopped{channel.carrier, Error(Errc::carrier_closed)});
        close_sending(channel);
    }
    return true;
}

// Streams.

Channel* Channels::find(CarrierId carrier) const {
    const auto found = channels_.find(carrier);
    return found == channels_.end() ? nullptr : found->second.get();
}

Channel* Channels::at(StreamId stream) const {
    return stream < streams_.size() ? streams_[stream] : nullptr;
}

Channel& Channels::add(CarrierId carrier, CarrierKind kind, bool ours) {
    auto& channel = channels_[carrier];
    channel = std::make_unique<Channel>(carrier, kind, ours);
    if (!ours) ++theirs_;
    channel->limit = post_ ? fresh_limit_ : unlimited;
    channel->allowed = channel->told = options_.limits.carrier_window;
    return *channel;
}

void Channels::place(Channel& channel, StreamId stream) {
    channel.stream = stream;
    streams_[stream] = &channel;
}

// The lowest of our half that nobody uses and both ends can send on.
std::optional<StreamId> Channels::free_stream() {
    std::uint32_t first = options_.even ? 0 : 1;
    if (post_ && first == 0) first = 2;
    first = std::max(first, used_below_ + (used_below_ + first) % 2);
    for (used_below_ = first; used_below_ < std::min(out_streams_, in_streams_); used_below_ += 2)
        if (!streams_[used_below_] && !resetting_[used_below_] && used_below_ != alone_stream_)
            return static_cast<StreamId>(used_below_);
    return std::nullopt;
}

void Channels::find_streams() {
    std::size_t placed = 0;
    for (; placed < nameless_.size(); ++placed) {
        const auto stream = free_stream();
        if (!stream) break;
        Channel& channel = *nameless_[placed];
        place(channel, *stream);
        wake(channel);
        if (std::exchange(channel.reported, false)) inbox_.add(event::Unblocked{channel.carrier});
    }
    nameless_.erase(nameless_.begin(), nameless_.begin() + static_cast<std::ptrdiff_t>(placed));
    if (!nameless_.empty()) add_streams();
}

// As many again as there are, or as the peer has more than we.
void Channels::add_streams() {
    if (adding_streams_ || out_streams_ > in_streams_) return;  // the peer is to add as many
    const std::uint32_t more = in_streams_ > out_streams_ ? in_streams_ - out_streams_
                                                          : std::max(out_streams_, least_step);
    asked_ = std::min({more, add_step_, most_streams - out_streams_});
    if (asked_ == 0) return;
    added_dry_ = dry_;
    adding_streams_ = socket_->add_streams(static_cast<std::uint16_t>(asked_));
}

bool Channels::may_add(std::uint32_t count, bool its) const {
    constexpr std::uint32_t least = 2048;
    const std::uint32_t now = its ? in_streams_ : out_streams_;
    const std::uint32_t other = its ? out_streams_ : in_streams_;
    return now + count <= std::max({least, other, 4 * (theirs_ + 8)});
}

void Channels::grow(const notice::Streams& streams) {
    out_streams_ = std::max<std::uint32_t>(out_streams_, streams.out_streams);
    in_streams_ = std::max<std::uint32_t>(in_streams_, streams.in_streams);
    const std::size_t size = std::max(out_streams_, in_streams_);
    if (streams_.size() < size) {
        streams_.resize(size);
        resetting_.resize(size);
    }
    // The peer has more than we: it wants Carriers, which need both directions.
    if (in_streams_ > out_streams_ && out_streams_ > 0) add_streams();
    find_streams();
}

void Channels::close_sending(Channel& channel) {
    channel.send_closed = true;
    channel.begun.clear();
    std::erase(waiting_, &channel);
    channel.waits = false;
    if (channel.stream) {
        resets_.push_back(*channel.stream);
        resetting_[*channel.stream] = true;
    }
}

// Asked for together, since only one request may be under way (RFC 6525, 5.1.1).
void Channels::ask_for_resets() {
    if (resets_.empty()) return;
    if (!socket_->reset_streams(resets_)) {
        // The peer cannot: then the streams are free when both ends have said their last.
        notice::Reset none{false, true, resets_};
        resets_.clear();
        on_reset(none);
        return;
    }
    unanswered_ = post_;
    resets_.clear();
}

void Channels::settle(Channel& channel) {
    if (!channel.over()) return;
    inbox_.add(event::Ended{channel.carrier});
    std::erase(waiting_, &channel);
    std::erase(nameless_, &channel);
    if (channel.credited) std::erase(credited_, &channel);
    if (channel.stream && at(*channel.stream) == &channel) {
        streams_[*channel.stream] = nullptr;
        freed(*channel.stream);
    }
    names_ -= channel.name_size;
    if (!channel.ours) --theirs_;
    channels_.erase(channel.carrier);
    find_streams();
}

void Channels::wake(Channel& channel) {
    if (channel.begun.empty() || channel.waits) return;
    channel.waits = true;
    waiting_.push_back(&channel);
}

// Views.

std::uint64_t Channels::send_window(CarrierId carrier) const {
    if (!post_) return unlimited;
    const std::uint64_t total = total_limit_ > total_sent_ ? total_limit_ - total_sent_ : 0;
    const Channel* channel = find(carrier);
    if (!channel) return std::min(total, fresh_limit_);
    if (!channel->may_send() || !channel->stream) return 0;
    std::uint64_t begun = 0;
    for (const Outgoing& one : channel->begun)
        if (const auto* piece = std::get_if<Piece>(&one)) begun += piece->bytes.size();
    const std::uint64_t left = std::min(total, channel->window());
    return left - std::min(left, begun);
}

std::uint64_t Channels::window_beyond(CarrierId carrier, std::uint64_t reserve) {
    Channel* const channel = find(carrier);
    if (!post_ || !channel || !channel->may_send() || !channel->stream) return unlimited;
    std::uint64_t begun = 0;
    for (const Outgoing& one : channel->begun)
        if (const auto* piece = std::get_if<Piece>(&one)) begun += piece->bytes.size();
    const std::uint64_t left = channel->window() - std::min(channel->window(), begun);
    channel->watched = left <= reserve;
    return left - std::min(left, reserve);
}

bool Channels::violate(std::string detail, Errc code) {
    if (!violation_) violation_ = Error(code, {}, Stage::established, std::move(detail));
    return false;
}

std::uint64_t Channels::wire_code(const Error& reason) const {
    return post_ ? framing::to_wire(reason) : framing::to_foreign(reason);
}

}  // namespace post::sctp
