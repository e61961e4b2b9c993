// A client's hot standby: how it comes about, is kept, and takes the place of the connection in
// use.
#include <algorithm>

#include "lib/association/earlier_word.hpp"
#include "lib/association/in_order.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

namespace {

Error not_wanted() { return Error(Errc::lost_the_race); }

}  // namespace

void Association::keep_standby(Duration redundant_below) {
    if (!standby_) standby_ = std::make_unique<Standby>(*this, redundant_below);
}

const Mapping* Association::standby() const { return standby_ ? standby_->ready() : nullptr; }

std::string Association::explain_standby() const {
    return standby_ ? standby_->string() : std::string();
}

// When there is to be one.

bool Association::Standby::may_stay() const {
    const bool there = self_.state_ == State::established || self_.state_ == State::connecting;
    return there && self_.continuity_ &&
           !(self_.state_ == State::established && self_.stack_ == Stack::tls);
}

const char* Association::Standby::why_not() const {
    if (self_.state_ != State::established || !self_.settings_ || !self_.chosen_)
        return "there is no connection yet";
    if (self_.plain_) return "a plain peer knows no other connection";
    if ((self_.peer_features_ & feature::standby) == 0)
        return "the server has Bounds::continuity zero, or knows no such thing";
    if (!self_.continuity_) return "the stack in use has no secret by which it could be known";
    if (self_.stack_ == Stack::tls) return "tls is in use itself";
    if (self_.continuity_->attaching || self_.continuity_->doubting)
        return "the connection in use is not sure";
    if (self_.lanes_.empty()) return "no Carrier is open";
    return nullptr;
}

void Association::Standby::tend() {
    if (may_stay()) return;
    if (Leaf* const found = leaf(); found && !found->leaving) drop(*found, not_wanted());
    if (asked_) lose(self_.now_, {});
    pause_ = first_pause;
    retry_ = {};
}

std::optional<Connect> Association::Standby::poll(Instant now) {
    if (asked_ || now < retry_ || why_not()) return std::nullopt;
    std::uint8_t attempt = first_attempt;
    while (self_.has(AttemptId{attempt})) ++attempt;
    auto way = self_.race_ ? self_.race_->beside(AttemptId{attempt}, Stack::tls,
                                                 self_.mapping_->path().remote)
                           : std::nullopt;
    if (!way) {
        lose(now, Error(Errc::no_route, {}, Stage::resolve, "no address for tls is known"));
        return std::nullopt;
    }
    asked_ = true;
    attempt_ = AttemptId{attempt};
    return way;
}

const Mapping* Association::Standby::ready() const {
    const Leaf* const found = established_ ? leaf() : nullptr;
    return found && !found->leaving ? found->mapping.get() : nullptr;
}

std::string Association::Standby::string() const {
    if (const Mapping* const there = ready())
        return std::string("standby: ") + to_string(there->stack()) + " to " +
               there->path().remote.string();
    if (const char* const why = why_not()) return std::string("no standby: ") + why;
    if (asked_) return "no standby: it is being made";
    return "no standby: " + (cause_ ? cause_.message() : std::string("not yet"));
}

// What becomes of it.

void Association::Standby::handle_failure(Instant now, const Error& error) { lose(now, error); }

void Association::Standby::drain(Instant now, Leaf& leaf) {
    std::vector<Event> came;
    leaf.mapping->poll_events(came);
    for (Event& event : came) {
        if (!is(leaf.attempt) || leaf.leaving) return;
        handle(now, leaf, event);
    }
}

void Association::Standby::handle(Instant now, Leaf& leaf, Event& event) {
    if (auto* lost = std::get_if<event::Lost>(&event)) {
        leaf.leaving = true;
        self_.trace_end(*leaf.mapping, leaf.attempt, lost->error);
        return lose(now, lost->error);
    }
    if (auto* established = std::get_if<event::Established>(&event))
        return establish(now, leaf, std::move(*established));
    if (auto* delivered = std::get_if<Delivered>(&event)) return self_.handle(now, *delivered);
    if (const auto* unblocked = std::get_if<event::Unblocked>(&event)) {
        if (unblocked->carrier)
            std::erase(blocked_, *unblocked->carrier);
        else
            blocked_.clear();
        return;
    }
    if (const auto* ended = std::get_if<event::Ended>(&event)) {
        opened_.erase(ended->carrier);
        return;
    }
    const bool kept = std::holds_alternative<Settings>(event) ||
                      std::holds_alternative<event::Ticket>(event);
    if (kept && events_.size() < most_events) return events_.push_back(std::move(event));
    if (kept || std::holds_alternative<event::Reset>(event) ||
        std::holds_alternative<event::Stopped>(event))
        return;
    const Error wrong(Errc::protocol_violation, {}, Stage::established,
                      "a standby says more than it may before it is attached");
    drop(leaf, wrong);
    lose(now, wrong);
}

void Association::Standby::establish(Instant now, Leaf& leaf, event::Established&& event) {
    const Continuity* const kept = self_.continuity_.get();
    const auto proof = kept && event.post
                           ? leaf.mapping->prove(kept->key, Role::client, kept->epoch + 1)
                           : std::nullopt;
    if (!proof) {
        const Error none(Errc::unsupported, {}, Stage::established,
                         "the connection has no secret to prove whose it is");
        drop(leaf, none);
        return lose(now, none);
    }
    leaf.mapping->keep_alive(true);
    unsaid_.push_back(self_.our_settings(*leaf.mapping));
    unsaid_.push_back(Attach{
        .association = kept->name, .epoch = kept->epoch + 1, .proof = *proof, .standby = true});
    if (self_.traces())
        self_.trace(traced::TransientEstablished{leaf.attempt.value(), leaf.mapping->stack(),
                                                 event.alpn, leaf.mapping->path()});
    established_ = std::move(event);
    ready_ = now;
    cause_ = {};
}

// It may still say its last word.
void Association::Standby::drop(Leaf& leaf, const Error& reason) {
    leaf.leaving = true;
    self_.trace_end(*leaf.mapping, leaf.attempt, reason);
    leaf.mapping->close(reason);
}

void Association::Standby::lose(Instant now, const Error& why) {
    if (established_ && now - ready_ >= longest_pause) pause_ = first_pause;
    asked_ = false;
    established_.reset();
    unsaid_.clear();
    events_.clear();
    copies_.clear();
    opened_.clear();
    blocked_.clear();
    cause_ = why;
    retry_ = later(now, pause_);
    pause_ = std::min(2 * pause_, longest_pause);
}

// Time.

Instant Association::Standby::deadline() const {
    const Leaf* const found = leaf();
    if (found && !found->leaving)
        return std::min(found->mapping->deadline(), found->mapping->doubt());
    return asked_ || why_not() ? never : retry_;
}

void Association::Standby::handle_timeout(Instant now) {
    Leaf* found = leaf();
    if (!found || found->leaving) return;
    if (found->mapping->deadline() <= now) {
        found->mapping->handle_timeout(now);
        drain(now, *found);
        found = leaf();
        if (!found || found->leaving) return;
    }
    if (found->mapping->doubt() > now) return;
    drop(*found, not_wanted());
    lose(now, Error(Errc::connection_lost, {}, Stage::established, "the standby did not answer"));
}

// Instead of the connection in use.

bool Association::Standby::take_over(Instant now, const Error& cause) {
    Leaf* const found = ready() ? leaf() : nullptr;
    if (!found || found->mapping->doubt() <= now) return false;
    auto mapping = std::move(found->mapping);
    std::erase_if(self_.leaves_, [](const Leaf& one) { return !one.mapping; });
    event::Established established = std::move(*established_);
    auto events = std::exchange(events_, {});
    const auto opened = std::exchange(opened_, {});
    const bool told = unsaid_.size() < 2;
    pause_ = first_pause;
    lose(now, {});
    // One that looks for another connection has come too late.
    if (self_.continuity_->doubting) self_.trust_again();
    // As when a race has found another one: none is to begin.
    self_.continuity_->doubting = true;
    self_.break_off(now, cause);
    self_.continuity_->doubting = false;
    self_.attempt_ = attempt_;
    self_.mapping_ = std::move(mapping);
    // The race did not lead here.
    auto race = std::exchange(self_.race_, nullptr);
    self_.handle(now, established);
    self_.race_ = std::move(race);
    if (told)
        std::erase_if(self_.control_,
                      [](const Outgoing& out) { return std::holds_alternative<Settings>(out); });
    std::vector<CarrierId> carriers;
    for (const auto& [carrier, pulled] : opened) {
        carriers.push_back(carrier);
        if (pulled > 0) owed_[carrier] = pulled;
    }
    std::sort(carriers.begin(), carriers.end());
    reopen(carriers);
    for (Event& event : events)
        std::visit([&](auto& happened) { self_.handle(now, happened); }, event);
    return true;
}

// What copies have opened is open.
void Association::Standby::reopen(const std::vector<CarrierId>& carriers) {
    for (const CarrierId carrier : carriers) {
        Lane* const lane = self_.find(carrier);
        if (!lane || lane->ended) {
            self_.mapping_->reset(carrier, Error(Errc::carrier_closed));
            self_.mapping_->stop(carrier, Error(Errc::carrier_closed));
            continue;
        }
        lane->opened = true;
        self_.outbox_.opened(lane->out);
        self_.inbox_.plug(self_.now_, lane->in);
        if (says_end_behind_open(*lane) || lane->out.failed) self_.closed_early_.push_back(carrier);
        self_.say_gaps(*lane);
    }
}

// Copies.

bool Association::Standby::wants_copy(const Lane& lane, const SendOptions& options,
                                      std::size_t size) const {
    const bool short_lived = options.immediate && options.lifetime > Duration::zero() &&
                             options.lifetime < redundant_below_;
    return short_lived && options.reliable && !options.final && size <= largest_copy && lane.ours &&
           lane.heard && !lane.out.stream && established_ && copies_.size() < most_copies &&
           ready();
}

void Association::Standby::copy(Lane& lane, const SendOptions& options, Sequence sequence,
                                Bytes bytes) {
    const NicenessClass niceness = class_of(options.niceness);
    if (!self_.outbox_.note_copy(lane.out, niceness, sequence)) return;
    const std::uint64_t size = bytes.size();
    copies_.push_back({.carrier = lane.id(),
                       .niceness = niceness,
                       .sequence = sequence,
                       .total = size,
                       .bytes = std::move(bytes),
                       .marks = {.ordered = options.ordered,
                                 .idempotent = options.idempotent,
                                 .ask = true,
                                 .text = options.text}});
}

void Association::Standby::forget(CarrierId carrier) {
    if (!opened_.contains(carrier)) return;
    std::erase_if(copies_, [&](const Piece& one) { return one.carrier == carrier; });
    Leaf* const found = leaf();
    if (!found || found->leaving) return;
    found->mapping->reset(carrier, Error(Errc::carrier_closed));
    found->mapping->stop(carrier, Error(Errc::carrier_closed));
}

std::uint64_t Association::Standby::without_copies(CarrierId carrier, std::uint64_t pieces) {
    const auto at = owed_.find(carrier);
    if (at == owed_.end()) return pieces;
    const std::uint64_t copies = std::min(at->second, pieces);
    at->second -= copies;
    if (at->second == 0) owed_.erase(at);
    return pieces - copies;
}

// Supply.

Datagrams Association::Standby::poll_transmit(Instant now, Mapping& mapping,
                                              std::span<std::byte> space) {
    return mapping.poll_transmit(now, *this, space);
}

Outgoing* Association::Standby::next() {
    if (!unsaid_.empty()) {
        out_ = std::move(unsaid_.front());
        unsaid_.pop_front();
        return &out_;
    }
    while (!copies_.empty()) {
        const CarrierId carrier = copies_.front().carrier;
        const Lane* const lane = self_.find(carrier);
        const bool is_blocked = std::find(blocked_.begin(), blocked_.end(), carrier) !=
                                blocked_.end();
        const bool open = opened_.contains(carrier);
        if (!lane || lane->ended || is_blocked || (!open && opened_.size() >= most_carriers)) {
            copies_.pop_front();
            continue;
        }
        if (!open) {
            opened_[carrier] = 0;
            out_ = Open{carrier, lane->parent, lane->kind, lane->out.priority};
            return &out_;
        }
        ++opened_[carrier];
        out_ = std::move(copies_.front());
        copies_.pop_front();
        return &out_;
    }
    return nullptr;
}

void Association::Standby::packed(CarrierId carrier, std::uint64_t pieces) {
    const auto at = opened_.find(carrier);
    if (at != opened_.end()) at->second -= std::min(at->second, pieces);
}

void Association::Standby::blocked(CarrierId carrier) { blocked_.push_back(carrier); }

}  // namespace post::core
