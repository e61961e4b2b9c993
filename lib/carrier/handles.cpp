// The handles: each call finds its row, or answers that there is none. And the counted reference to
// the Context that each of them holds.
#include "lib/carrier/carriers.hpp"

#include <limits>
namespace post::core {

// Nothing for one without a name or a wish. Throws Failure when it cannot be said.
Boxed<ChannelInfo> Carriers::channel_of(ChannelInfo channel) {
    if (channel == ChannelInfo{}) return {};
    if (Error error = Association::channel_error(channel)) throw Failure(std::move(error));
    return channel;
}

const ChannelInfo* Carriers::channel(CarrierKey key) {
    const Row* row = rows_.find(key);
    const Association* association = row ? associations_.find(row->association) : nullptr;
    return association ? association->channel(row->carrier) : nullptr;
}

}  // namespace post::core

namespace post {

namespace core {

void abandoned(const AnchorRef& anchor, WaitingBase& waiting) {
    if (anchor && anchor->carriers) anchor->carriers->abandoned(waiting);
}

void listened(const AnchorRef& anchor, WaitingRef<WaitingBase> waiting) {
    if (anchor && anchor->carriers) {
        anchor->carriers->used();
        return anchor->carriers->listened(std::move(waiting));
    }
    // The Context is gone, and so is whoever would call later.
    if (auto notify = std::move(waiting->notify)) notify();
}

void Alarm::set(const AnchorRef& anchor, Duration after, Function<void()> ring) {
    cancel();
    anchor_ = anchor;
    after_ = after;
    ring_ = std::move(ring);
    if (anchor_ && anchor_->carriers) anchor_->carriers->set(*this);
}

void Alarm::cancel() {
    if (place_ != unset && anchor_->carriers) anchor_->carriers->cancel(*this);
    place_ = unset;
}

void unhandled(const AnchorRef& anchor, Error error) {
    if (anchor && anchor->carriers) anchor->carriers->unhandled(std::move(error));
}

namespace {

Carriers* carriers(const AnchorRef& anchor) {
    Carriers* found = anchor ? anchor->carriers : nullptr;
    if (found) found->used();
    return found;
}

// What a call on a handle without a Context answers.
Error none(const AnchorRef& anchor) {
    return anchor ? Error(Errc::context_closed) : Error(Errc::carrier_closed);
}

}  // namespace

}  // namespace core

Carrier::Carrier(core::AnchorRef anchor, core::CarrierKey key, bool borrowed)
    : anchor_(std::move(anchor)), key_(key), borrowed_(borrowed) {}

// Who takes a lent Carrier over owns it from then on.
Carrier::Carrier(Carrier&& other) noexcept
    : anchor_(std::move(other.anchor_)), key_(std::exchange(other.key_, {})) {
    if (std::exchange(other.borrowed_, false))
        if (auto* table = core::carriers(anchor_)) table->hold(key_);
}

Carrier& Carrier::operator=(Carrier&& other) noexcept {
    if (this == &other) return *this;
    Carrier taken(std::move(other));
    std::swap(anchor_, taken.anchor_);
    std::swap(key_, taken.key_);
    std::swap(borrowed_, taken.borrowed_);
    return *this;
}

Carrier::~Carrier() { drop(); }

void Carrier::drop() {
    auto* table = core::carriers(anchor_);
    if (table && key_.generation != 0 && !borrowed_) table->drop(key_);
}

Sending Carrier::send(Content content, SendOptions options, OnFate on_fate) {
    if (auto* table = core::carriers(anchor_))
        return table->send(key_, std::move(content), options, std::move(on_fate));
    const Error error = core::none(anchor_);
    if (on_fate) on_fate(Fate{Fate::Kind::failed, {}, error, false});
    return Sending(Result<MessageId>(error));
}

Operation<Fate> Carrier::deliver(Content content, SendOptions options) {
    if (auto* table = core::carriers(anchor_))
        return table->deliver(key_, std::move(content), options);
    return {Result<Fate>(Fate{Fate::Kind::failed, {}, core::none(anchor_), false})};
}

Sending Carrier::send(Content content) {
    if (auto* table = core::carriers(anchor_)) return table->send(key_, std::move(content));
    return send(std::move(content), SendOptions{});
}

Sending Carrier::send(Generated content, SendOptions options, OnFate on_fate) {
    if (auto* table = core::carriers(anchor_))
        return table->send(key_, std::move(content), options, std::move(on_fate));
    return send(Content(Bytes{}), std::move(options), std::move(on_fate));
}

Sending Carrier::send(Generated content) { return send(std::move(content), defaults()); }

Operation<Fate> Carrier::deliver(Content content) {
    return deliver(std::move(content), defaults());
}

SendOptions Carrier::defaults() const {
    auto* table = core::carriers(anchor_);
    const SendOptions* defaults = table ? table->defaults(key_) : nullptr;
    return defaults ? *defaults : SendOptions{};
}

void Carrier::defaults(SendOptions options) {
    if (auto* table = core::carriers(anchor_)) table->defaults(key_, std::move(options));
}

bool Carrier::writable() const {
    auto* table = core::carriers(anchor_);
    return table && table->writable(key_);
}

void Carrier::on_fate(OnFate on_fate) {
    if (auto* table = core::carriers(anchor_)) table->on_fate(key_, std::move(on_fate));
}

void Carrier::finish() {
    if (auto* table = core::carriers(anchor_)) table->finish(key_);
}

void Carrier::ready(OnMessage on_message) {
    if (auto* table = core::carriers(anchor_))
        table->ready(key_, std::move(on_message), core::Carriers::whole);
}

void Carrier::ready(ReceiveParts parts, OnMessage on_message) {
    if (auto* table = core::carriers(anchor_)) table->ready(key_, std::move(on_message), parts);
}

void Carrier::largest_message(std::uint64_t bytes) {
    if (auto* table = core::carriers(anchor_)) table->largest_message(key_, bytes);
}

Operation<InMessage> Carrier::receive(ReceiveParts parts) {
    if (auto* table = core::carriers(anchor_)) return table->receive(key_, parts);
    return {Result<InMessage>(core::none(anchor_))};
}

Operation<InMessage> Carrier::receive() {
    if (auto* table = core::carriers(anchor_)) return table->receive(key_, core::Carriers::whole);
    return {Result<InMessage>(core::none(anchor_))};
}

Carrier Carrier::fork(ForkOptions options) {
    auto* table = core::carriers(anchor_);
    return table ? table->fork(key_, options) : Carrier{};
}

void Carrier::accept(OnCarrier on_carrier) {
    if (auto* table = core::carriers(anchor_)) table->accept(key_, std::move(on_carrier));
}

Operation<Carrier> Carrier::accept() {
    if (auto* table = core::carriers(anchor_)) return table->accept(key_);
    return {Result<Carrier>(core::none(anchor_))};
}

Operation<void> Carrier::activate() {
    if (auto* table = core::carriers(anchor_)) return table->activate(key_);
    return {Result<void>(core::none(anchor_))};
}

bool Carrier::is_active() const {
    auto* table = core::carriers(anchor_);
    return table && table->is_active(key_);
}

Operation<void> Carrier::deactivate() {
    if (auto* table = core::carriers(anchor_)) return table->deactivate(key_);
    return {Result<void>(core::none(anchor_))};
}

Activity Carrier::activity() const {
    auto* table = core::carriers(anchor_);
    return table ? table->activity(key_) : Activity::over;
}

void Carrier::on_activity(OnActivity on_activity) {
    if (auto* table = core::carriers(anchor_)) table->on_activity(key_, std::move(on_activity));
}

void Carrier::close() {
    if (auto* table = core::carriers(anchor_)) table->close(key_);
}

void Carrier::abort(AbortCode code) {
    if (auto* table = core::carriers(anchor_)) table->abort(key_, code);
}

void Carrier::on_closed(OnClosed on_closed) {
    if (auto* table = core::carriers(anchor_)) table->on_closed(key_, std::move(on_closed));
}

void Carrier::on_soft_error(OnClosed on_soft_error) {
    if (auto* table = core::carriers(anchor_)) table->on_soft_error(key_, std::move(on_soft_error));
}

CarrierId Carrier::id() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    return row ? row->carrier : CarrierId{};
}

Association Carrier::association() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    return row ? Association(anchor_, row->association) : Association{};
}

std::vector<Transient> Carrier::transients() const { return association().transients(); }

std::string Carrier::label() const {
    auto* table = core::carriers(anchor_);
    const auto* channel = table ? table->channel(key_) : nullptr;
    return channel ? channel->label : std::string{};
}

std::string Carrier::protocol() const {
    auto* table = core::carriers(anchor_);
    const auto* channel = table ? table->channel(key_) : nullptr;
    return channel ? channel->protocol : std::string{};
}

ChannelOptions Carrier::channel() const {
    auto* table = core::carriers(anchor_);
    const auto* channel = table ? table->channel(key_) : nullptr;
    return channel ? channel->options : ChannelOptions{};
}

std::uint64_t Carrier::max_message_size() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    const auto* found = row ? table->associations().find(row->association) : nullptr;
    return found ? found->max_message_size() : std::numeric_limits<std::uint64_t>::max();
}

bool Carrier::can_send() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    return row && !row->over && (row->ours || row->kind != CarrierKind::one_way);
}

bool Carrier::can_receive() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    return row && !row->over && (!row->ours || row->kind != CarrierKind::one_way);
}

bool Carrier::is_stream() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    return row && !row->over && !row->ours && row->kind == CarrierKind::stream;
}

Listener::Listener(core::AnchorRef anchor, core::ListenerKey key)
    : anchor_(std::move(anchor)), key_(key) {}

Listener::Listener(Listener&& other) noexcept
    : anchor_(std::move(other.anchor_)), key_(std::exchange(other.key_, {})) {}

Listener& Listener::operator=(Listener&& other) noexcept {
    if (this == &other) return *this;
    Listener taken(std::move(other));
    std::swap(anchor_, taken.anchor_);
    std::swap(key_, taken.key_);
    return *this;
}

Listener::~Listener() { drop(); }

void Listener::drop() {
    auto* table = core::carriers(anchor_);
    if (table && key_.generation != 0) table->drop(key_);
}

void Listener::accept(Carrier::OnCarrier on_carrier) {
    if (auto* table = core::carriers(anchor_)) table->accept(key_, std::move(on_carrier));
}

Operation<Carrier> Listener::accept() {
    if (auto* table = core::carriers(anchor_)) return table->accept(key_);
    return {Result<Carrier>(core::none(anchor_))};
}

void Listener::close() {
    if (auto* table = core::carriers(anchor_)) table->close(key_);
}

std::vector<Address> Listener::addresses() const {
    auto* table = core::carriers(anchor_);
    const auto* row = table ? table->row(key_) : nullptr;
    return row ? row->addresses : std::vector<Address>{};
}

std::uint16_t Listener::port() const {
    const auto all = addresses();
    return all.empty() ? std::uint16_t{0} : all.front().port;
}

// Views.

namespace {

const core::Association* view(const core::AnchorRef& anchor, AssociationId id) {
    auto* table = anchor ? anchor->carriers : nullptr;
    return table ? table->associations().find(id) : nullptr;
}

}  // namespace

std::optional<Remote> Association::remote() const {
    const auto* found = view(anchor_, id_);
    return found ? found->options().remote : std::nullopt;
}

Stack Association::stack() const {
    const auto* found = view(anchor_, id_);
    return found ? found->stack() : Stack::quic;
}

std::string Association::alpn() const {
    const auto* found = view(anchor_, id_);
    return found ? found->alpn() : std::string{};
}

Bytes Association::peer_identity() const {
    const auto* found = view(anchor_, id_);
    return found ? found->peer_identity() : Bytes{};
}

bool Association::resumed() const {
    const auto* found = view(anchor_, id_);
    return found && found->resumed();
}

std::size_t Association::carriers() const {
    const auto* found = view(anchor_, id_);
    return found ? found->carriers() : 0;
}

bool Association::active() const {
    const auto* found = view(anchor_, id_);
    return found && found->state() == core::Association::State::established;
}

Activity Association::activity() const {
    auto* table = anchor_ ? anchor_->carriers : nullptr;
    return table ? table->associations().activity(id_) : Activity::over;
}

const char* to_string(Activity activity) noexcept {
    switch (activity) {
        case Activity::fresh: return "fresh";
        case Activity::connecting: return "connecting";
        case Activity::active: return "active";
        case Activity::dormant: return "dormant";
        case Activity::over: break;
    }
    return "over";
}

std::optional<Establishment> Association::establishment() const {
    const auto* found = view(anchor_, id_);
    const auto* known = found ? found->establishment() : nullptr;
    return known ? std::optional(*known) : std::nullopt;
}

const char* to_string(Stack stack) noexcept {
    switch (stack) {
        case Stack::quic: return "quic";
        case Stack::sctp_dtls: return "sctp-dtls";
        case Stack::sctp_udp: return "sctp-udp";
        case Stack::tls: return "tls";
        case Stack::udp: return "udp";
        case Stack::udp_lite: return "udp-lite";
        case Stack::http3: return "http3";
        case Stack::tcp: return "tcp";
    }
    return "";
}

}  // namespace post
