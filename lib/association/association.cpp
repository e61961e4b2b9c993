// The association's commands and views.
#include "lib/association/association.hpp"

#include <cassert>

#include "lib/association/early_attach.hpp"
#include "lib/association/lane.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

namespace {

Outbox::Limits outbox_limits(const Bounds& bounds) {
    return {bounds.send_budget, bounds.association_send_budget, bounds.unsettled};
}

Instant deadline_of(Instant now, const SendOptions& options) {
    return options.lifetime > Duration::zero() ? later(now, options.lifetime) : never;
}

Inbox::Limits inbox_limits(const Bounds& bounds) {
    return {post::Limits{}.carrier_window, bounds.receive_budget, bounds.largest_message,
            bounds.stalled_after};
}

}  // namespace

Association::Association(const Options& options, Shared& shared)
    : options_(options),
      shared_(shared),
      outbox_(outbox_limits(options.bounds), shared.outstanding, shared.out_works),
      inbox_(inbox_limits(options.bounds), shared.charge, shared.in_works, shared.received),
      next_carrier_(options.role == Role::client ? 0 : 1) {
    outbox_.set_traced(traces());
    inbox_.set_traced(traces());
    // Fields are what its messages are, so that they may go early.
    if (options.fields) outbox_.know_peer({.plain = true, .properties = true});
}

Association::~Association() {
    for (auto& [id, lane] : lanes_)
        if (lane.draining) --shared_.draining;
    shared_.charge.charged -= unchosen_bytes_;
    if (continuity_ && continuity_->lost && options_.role == Role::server) --shared_.lost;
    if (joining_ && joining_->waits) --shared_.lost;
    if (dormancy_) shared_.dormant -= dormancy_->counted;
    if (continuity_) shared_.standbys.forget(id());
}

Lane* Association::look_up(CarrierId carrier) {
    const auto at = lanes_.find(carrier);
    return at == lanes_.end() ? nullptr : &at->second;
}

const Lane* Association::find(CarrierId carrier) const {
    return const_cast<Association*>(this)->find(carrier);
}

Lane& Association::make(CarrierId carrier) {
    auto& spare = shared_.spare_lanes;
    if (spare.empty()) {
        lanes_.try_emplace(carrier);
    } else {
        spare.back().key() = carrier;
        spare.back().mapped() = Lane{};
        lanes_.insert(std::move(spare.back()));
        spare.pop_back();
    }
    Lane& lane = lanes_.find(carrier)->second;
    lane.out.carrier = lane.in.carrier = carrier;
    inbox_.begin(lane.in);
    idle_since_ = never;
    return lane;
}

CarrierId Association::open(const NewCarrier& carrier) {
    Lane& lane = make(CarrierId{next_carrier_});
    next_carrier_ += 2;
    lane.ours = true;
    lane.parent = carrier.parent;
    lane.kind = carrier.kind;
    lane.out.tag = lane.in.tag = carrier.tag;
    lane.out.priority = carrier.priority;
    lane.out.weight = carrier.weight;
    if (carrier.channel) lane.rarely().channel = carrier.channel;
    if (carrier.target) lane.rarely().target = carrier.target;
    const Lane* const parent = carrier.parent ? find(*carrier.parent) : nullptr;
    if (parent && parent->rare().target && !carrier.target)
        lane.rarely().target = parent->rare().target;
    if (!lane.receives()) inbox_.end(now_, lane.in, Error(Errc::no_return_path));
    if (traces()) trace_carrier(lane);
    if (carrier.announce) {
        outbox_.announce(lane.out);
        activate();
    }
    return lane.id();
}

void Association::adopt(CarrierId carrier, Tag tag) {
    Lane* lane = find(carrier);
    if (!lane) return;
    lane->out.tag = lane->in.tag = tag;
    if (!lane->in.empty() || lane->in.over) {
        lane->in.told = true;
        events_.push_back(happened::Readable{tag});
    }
}

void Association::refuse(CarrierId carrier) {
    Lane* lane = find(carrier);
    if (!lane) return;
    if (!plain_) control_.push_back(Refuse{carrier, Errc::carrier_refused});
    cut(*lane, Error(Errc::carrier_refused));
}

void Association::begin() {
    if (state_ == State::dormant) return wake();
    state_ = State::connecting;
}

void Association::want(CarrierId carrier) {
    Lane* lane = options_.eager ? find(carrier) : nullptr;
    if (!lane || !lane->ours || lane->opened || lane->closing) return;
    outbox_.announce(lane->out);
    activate();
}

bool Association::writable(CarrierId carrier, Niceness niceness) const {
    const Lane* lane = find(carrier);
    return lane && !lane->closing && lane->sends() &&
           outbox_.writable(lane->out, class_of(niceness));
}

Error Association::terms_error(const SendOptions& options) const {
    const auto wrong = [](Bytes what) {
        return Error(Errc::invalid_argument, {}, Stage::call, std::move(what));
    };
    if (options.lifetime < Duration::zero()) return wrong("SendOptions::lifetime is negative");
    if (options.antecedents.size() > Antecedents::most)
        return wrong("a message has at most 16 antecedents");
    for (const MessageId& message : options.antecedents) {
        const Lane* lane = find(message.carrier);
        const bool ours = message.carrier.value() % 2 == next_carrier_ % 2;
        // Of a Carrier that is gone all messages have their fate.
        const bool known = lane ? outbox_.knows(lane->out, class_of(message.niceness),
                                                message.sequence)
                                : !ours || message.carrier.value() < next_carrier_;
        if (!known)
            return wrong("antecedent " + std::to_string(message.sequence.value()) + " of Carrier " +
                         std::to_string(message.carrier.value()) + ", niceness " +
                         std::to_string(message.niceness.value()) + ", was never sent");
    }
    if (options.datagram)
        if (Error error = datagram_error(*options.datagram)) return error;
    if (fields() && fields_size(options.properties) > Properties::largest_fields)
        return wrong(
            "the fields of a message are at most 16 KiB, with their names and 32 bytes for "
            "each of them");
    if (!fields() && properties_size(options.properties) > Properties::largest)
        return wrong("the properties of a message are at most 512 bytes, names included");
    for (const auto& [name, value] : options.properties)
        if (name.empty()) return wrong("a property has no name");
    return {};
}

Error Association::datagram_error(const DatagramOptions& options) {
    const auto wrong = [](const char* what) {
        return Error(Errc::invalid_argument, {}, Stage::call, Bytes(what));
    };
    if (options.hop_limit && *options.hop_limit == 0)
        return wrong("DatagramOptions::hop_limit is 1 to 255");
    if (options.dscp && *options.dscp > 63) return wrong("DatagramOptions::dscp is 0 to 63");
    if (options.coverage && *options.coverage != 0 && *options.coverage < 8)
        return wrong("DatagramOptions::coverage is 0, or 8 and more");
    constexpr std::size_t most_options = 246;  // 31 * 8 - 2
    if (options.ip_options.size() > most_options || options.hop_options.size() > most_options)
        return wrong(
            "DatagramOptions::ip_options and hop_options have at most 246 bytes (over IPv4: 40)");
    return {};
}

Error Association::channel_error(const ChannelInfo& channel) {
    const auto wrong = [](Bytes what) {
        return Error(Errc::invalid_argument, {}, Stage::call, std::move(what));
    };
    const ChannelOptions& options = channel.options;
    if (channel.label.size() > ChannelInfo::largest ||
        channel.protocol.size() > ChannelInfo::largest)
        return wrong("a label, and a protocol, has at most 65535 bytes");
    if (options.retransmissions && options.lifetime)
        return wrong("ChannelOptions: either retransmissions or lifetime");
    constexpr auto most = std::chrono::milliseconds(0xffff'ffff);
    if (options.lifetime && (*options.lifetime < Duration::zero() || *options.lifetime > most))
        return wrong("ChannelOptions::lifetime is 0 to 2^32 - 1 ms");
    return {};
}

Error Association::send_error(CarrierId carrier, std::uint64_t size) const {
    const Lane* lane = find(carrier);
    if (!lane) return Error(Errc::carrier_closed);
    if (!lane->sends()) return Error(Errc::no_return_path);
    if (lane->error()) return *lane->error();
    if (lane->closing || lane->out.finish_wanted) return Error(Errc::carrier_closed);
    if (size > peer_largest_ && datagrams_)
        return Error(Errc::message_too_large, {}, Stage::call,
                     "one datagram carries at most " + std::to_string(peer_largest_) +
                         " bytes here (Carrier::max_message_size, DatagramOptions::dont_fragment)");
    if (size > peer_largest_)
        return Error(Errc::message_too_large, {}, Stage::call,
                     "the peer takes messages of at most " + std::to_string(peer_largest_) +
                         " bytes (its Bounds::largest_message); send it in parts");
    return {};
}

Result<Sequence> Association::send(Instant now, CarrierId carrier, Content content,
                                   const SendOptions& options, FateToken on_fate,
                                   std::uint64_t fed) {
    if (Error error = send_error(carrier, content.size() + fed)) return error;
    if (fed > 0)
        return take_in_rare(*find(carrier), {}, options, deadline_of(now, options), on_fate, fed);
    return take_in(now, *find(carrier), std::move(content), options, on_fate);
}

bool Association::send_if_writable(Instant now, CarrierId carrier, Content& content,
                                   const SendOptions& options, FateToken on_fate,
                                   Sequence& sequence) {
    Lane* lane = find(carrier);
    const bool fine = lane && lane->sends() && !lane->error() && !lane->closing &&
                      content.size() <= peer_largest_ &&
                      outbox_.writable(lane->out, class_of(options.niceness));
    if (!fine) return false;
    last_ = lane;
    sequence = take_in(now, *lane, std::move(content), options, on_fate);
    return true;
}

Sequence Association::take_in(Instant now, Lane& lane, Content&& content,
                              const SendOptions& options, FateToken on_fate) {
    const Instant deadline = deadline_of(now, options);
    Bytes bytes = shared_.keep(std::move(content));
    if (!options.antecedents.empty() || !options.properties.empty() || options.datagram)
        return take_in_rare(lane, std::move(bytes), options, deadline, on_fate);
    activate();
    const std::size_t size = bytes.size();
    const bool twice = standby_ && standby_->wants_copy(lane, options, size);
    Bytes copy = twice ? bytes : Bytes();
    const Sequence sequence = outbox_.push(lane.out, std::move(bytes),
                                           {options, deadline, on_fate});
    if (twice) standby_->copy(lane, options, sequence, std::move(copy));
    if (traces()) trace_queued(lane.id(), options.niceness, sequence, size);
    return sequence;
}

// A message with antecedents, properties or a header of its own, or one that is made while it is
// sent.
Sequence Association::take_in_rare(Lane& lane, Bytes bytes, const SendOptions& options,
                                   Instant deadline, FateToken on_fate, std::uint64_t fed) {
    core::Boxed<Extras> extras;
    if (!options.properties.empty() || options.datagram)
        extras = Extras{.properties = options.properties, .datagram = options.datagram};
    std::vector<OutRare::Bond> before;
    for (const MessageId& message : options.antecedents) {
        const NicenessClass niceness = class_of(message.niceness);
        Lane* other = find(message.carrier);
        before.push_back(
            {message.carrier, niceness, message.sequence.value(), other ? &other->out : nullptr});
    }
    activate();
    const std::uint64_t size = bytes.size() + fed;
    const Sequence sequence = outbox_.push(
        lane.out, std::move(bytes), {options, deadline, on_fate, std::move(extras), before, fed});
    if (traces()) trace_queued(lane.id(), options.niceness, sequence, size);
    return sequence;
}

void Association::feed(const MessageId& message, Result<Bytes> bytes) {
    Lane* lane = find(message.carrier);
    if (!lane) return;
    const NicenessClass niceness = class_of(message.niceness);
    if (bytes)
        outbox_.feed(lane->out, niceness, message.sequence, *std::move(bytes));
    else if (!outbox_.give_up(lane->out, niceness, message.sequence, bytes.error()))
        return cut(*lane, bytes.error());
    relieve();
}

void Association::starve(CarrierId carrier, Niceness niceness) {
    if (Lane* lane = find(carrier)) outbox_.starve(lane->out, class_of(niceness));
}

void Association::want_fates(CarrierId carrier, bool wanted) {
    if (Lane* lane = find(carrier)) lane->out.fates = wanted;
}

void Association::finish(CarrierId carrier) {
    Lane* lane = find(carrier);
    if (!lane || !lane->sends() || lane->out.finish_wanted) return;
    outbox_.finish(lane->out);
    activate();
}

std::optional<InMessage> Association::take(CarrierId carrier) {
    Lane* lane = find(carrier);
    if (!lane) return std::nullopt;
    if (!lane->in.asked && cut_too_large(*lane)) return std::nullopt;
    auto message = inbox_.take(lane->in);
    if (!message && cut_too_large(*lane)) return std::nullopt;
    if (lane->in.done()) forget_if_over(*lane);
    return message;
}

std::optional<InMessage> Association::take_part(CarrierId carrier, std::uint64_t minimum,
                                                std::uint64_t maximum) {
    Lane* lane = find(carrier);
    if (!lane) return std::nullopt;
    auto part = inbox_.take_part(lane->in, minimum, maximum);
    if (lane->in.done()) forget_if_over(*lane);
    return part;
}

// A message that is too long to be taken whole began before anybody said that parts would do.
bool Association::cut_too_large(Lane& lane) {
    const auto error = inbox_.too_large(lane.in);
    if (error) cut(lane, *error);
    return error.has_value();
}

Error Association::morph(CarrierId carrier) {
    Lane* lane = find(carrier);
    if (!lane || lane->closing) return Error(Errc::carrier_closed);
    const auto refused = [](Bytes why) {
        return Error(Errc::unsupported, {}, Stage::call, std::move(why));
    };
    if (options_.datagrams)
        return refused("datagrams are lost and overtake each other: no Stream is made of them");
    // Plain data channels may be opened to lose or to overtake (RFC 8832, 5.1).
    if (lane->rare().channel) {
        const ChannelOptions& channel = lane->rare().channel->options;
        if (!channel.ordered) return refused("the data channel is not ordered: it is no Stream");
        if (channel.retransmissions || channel.lifetime)
            return refused("the data channel is not reliable: it is no Stream");
    }
    // To whom a Carrier is its bytes, nothing was said of messages.
    const bool ours = lane->ours && lane->kind != CarrierKind::stream && !options_.eager;
    if (ours && (lane->opened || lane->keyed))
        return refused("the peer knows this Carrier as one of messages already (announce)");
    if (ours) lane->kind = CarrierKind::stream;
    lane->out.stream = true;
    return {};
}

std::optional<LinkId> Association::release(CarrierId carrier) {
    Lane* lane = find(carrier);
    const bool whole = lane && mapping_ && state_ == State::established && !lane->closing &&
                       lane->out.unsettled() == 0 && !lane->out.finish_wanted && lane->in.empty() &&
                       !lane->in.over;
    const auto link = whole ? mapping_->release(carrier) : std::nullopt;
    if (link) drain_mapping(now_);
    return link;
}

void Association::largest_message(CarrierId carrier, std::uint64_t bytes) {
    if (Lane* lane = find(carrier)) inbox_.set_limit(lane->in, bytes);
}

std::optional<Error> Association::received_all(CarrierId carrier) const {
    const Lane* lane = find(carrier);
    if (!lane) return Error(Errc::carrier_closed);
    if (!lane->in.done()) return std::nullopt;
    return lane->in.ended();
}

void Association::close(Instant now, CarrierId carrier) {
    Lane* lane = find(carrier);
    if (!lane || lane->closing) return;
    lane->closing = true;
    if (!lane->opened && lane->ours && lane->out.unsettled() == 0 && !lane->out.announce) {
        cut(*lane, Error(Errc::carrier_closed));  // the peer never heard of it
        return;
    }
    if (!lane->in.over) {
        inbox_.end(now_, lane->in, Error(Errc::carrier_closed));
        // Behind its last message the peer's end is on its way already.
        if (lane->opened && mapping_ && !lane->in.final)
            mapping_->stop(carrier, Error(Errc::carrier_closed));
    }
    inbox_.discard(now_, lane->in);
    if (lane->sends()) outbox_.finish(lane->out);
    activate();
    lane->draining = true;
    ++shared_.draining;
    // Those that were over sooner are forgotten from the front, so that the list is as long as what
    // drains and not as what was closed within a linger time.
    for (int i = 0; i < 2 && !lingering_.empty() && !find(lingering_.front().second); ++i)
        lingering_.pop();
    lingering_.push({now + options_.bounds.linger, carrier});
    forget_if_over(*lane);
}

void Association::abort(CarrierId carrier, const Error& error) {
    Lane* lane = find(carrier);
    if (!lane) return;
    lane->closing = true;
    cut(*lane, error);
}

// Both directions end now; what has no fate fails with `error`.
void Association::cut(Lane& lane, const Error& error) {
    lane.fail(error);
    // What the application has not taken is thrown away, so that it has to hear why.
    if (lane.in.over && !lane.in.done()) lane.in.set_end(error);
    if (mapping_ && lane.opened && !lane.ended) {
        if (lane.sends()) mapping_->reset(lane.id(), error);
        if (lane.receives()) mapping_->stop(lane.id(), error);
    }
    if (mapping_ && continuity_ && lane.known && !lane.opened && !lane.ended)
        control_.push_back(Refuse{lane.id(), Errc::carrier_closed, error});
    outbox_.fail(lane.out, error);
    inbox_.end(now_, lane.in, error);
    inbox_.discard(now_, lane.in);
    if (!lane.opened || !mapping_) lane.ended = true;
    relieve();
    forget_if_over(lane);
}

bool Association::forget_if_over(Lane& lane) {
    if (!lane.ended || lane.out.unsettled() > 0 || !lane.in.done()) return false;
    // A plain peer that has answered and reads no more, as servers do that need not hear all of the
    // question, is at no fault (RFC 9114, 4.1). What it did not take has its own fate. On http3 its
    // code tells.
    const bool answered = plain_ && !fields() && lane.ours && lane.receives() && lane.in.over &&
                          !lane.in.end() && !lane.closing;
    const bool fault = lane.error() && !(answered && *lane.error() == Errc::carrier_reset);
    Error error = fault ? *lane.error() : Error(Errc::carrier_closed);
    if (lane.out.tag != no_tag) events_.push_back(happened::Over{lane.out.tag, error});
    relieve();
    if (traces()) trace(traced::CarrierClosed{lane.id(), std::move(error)});
    remember_end(lane);
    if (standby_) standby_->forget(lane.id());
    inbox_.remove(lane.in);
    outbox_.remove(lane.out);
    if (lane.draining) --shared_.draining;
    if (lane.listed) std::erase(blocked_, lane.id());
    if (last_ == &lane) last_ = nullptr;
    auto node = lanes_.extract(lane.id());
    if (shared_.spare_lanes.size() < Shared::most_spare)
        shared_.spare_lanes.push_back(std::move(node));
    return true;
}

// Moves what the outbox and the inbox have to say behind what was said before.
void Association::relieve() {
    if (inbox_.traced()) trace_messages();
    for (auto* from : {&outbox_.events(), &inbox_.events()}) {
        for (Happened& event : *from) events_.push_back(std::move(event));
        from->clear();
    }
}

std::optional<Path> Association::path() const {
    const Mapping* way = mapping_          ? mapping_.get()
                         : leaves_.empty() ? nullptr
                                           : leaves_.front().mapping.get();
    if (!way) return std::nullopt;
    return way->path();
}

const ChannelInfo* Association::channel(CarrierId carrier) const {
    const Lane* lane = find(carrier);
    return lane && lane->rare().channel ? &*lane->rare().channel : nullptr;
}

std::vector<Tag> Association::tags() const {
    std::vector<Tag> all;
    for (const auto& [id, lane] : lanes_)
        if (lane.out.tag != no_tag) all.push_back(lane.out.tag);
    return all;
}

// A plain peer names no parent. What it opens belongs to the Carrier that was initiated first.
Tag Association::parent(CarrierId carrier) const {
    const Lane* lane = find(carrier);
    const bool nameless = lane && !lane->parent && plain_ && options_.role == Role::client;
    const Lane* parent = nameless               ? find(CarrierId{0})
                         : lane && lane->parent ? find(*lane->parent)
                                                : nullptr;
    return parent ? parent->out.tag : no_tag;
}

}  // namespace post::core
