// Early data (0-RTT): what a client's leaves may send before anybody has answered, what becomes of
// it, and what a listener makes of it. Messages go as copies, so that nothing has to be taken back
// when another leaf wins, or the peer refuses.
#include <algorithm>

#include "lib/association/association.hpp"
#include "lib/association/earlier_word.hpp"
#include "lib/association/in_order.hpp"

namespace post::core {

// What a leaf pulls before it is established.
struct Association::EarlySupply final : Supply {
    EarlySupply(Association& owner, Leaf& leaf)
        : self(owner), mapping(*leaf.mapping), flight(*leaf.early), waiting(owner.find_early()) {}

    Outgoing* next() override {
        if (self.continuity_ && !flight.attached)
            return at < waiting.size() ? introduce() : nullptr;
        for (; at < waiting.size(); ++at) {
            const EarlyFlight::Message& message = waiting[at];
            const auto& sent = flight.messages;
            if (std::find(sent.begin(), sent.end(), message) != sent.end()) continue;
            if (!flight.has_room(message)) return nullptr;
            Lane& lane = *self.find(message.carrier);
            if (Outgoing* const open = open_first(lane)) return open;
            Piece piece;
            if (!self.outbox_.copy_early(lane.out, message.niceness, message.sequence, piece))
                continue;
            flight.messages.push_back(message);
            self.copied_.push_back(message);
            ++at;
            out = std::move(piece);
            return &out;
        }
        return nullptr;
    }
    // Of an association that goes on it comes first which one that is (FORMAT.md, 7.4).
    Outgoing* introduce() {
        const Continuity& kept = *self.continuity_;
        const auto proof = mapping.prove_early(kept.key, kept.epoch + 1);
        if (!proof) return nullptr;
        if (!std::exchange(flight.settings, true)) {
            out = self.our_settings(mapping);
            return &out;
        }
        flight.attached = true;
        out = Attach{
            .association = kept.name, .epoch = kept.epoch + 1, .proof = *proof, .early = true};
        return &out;
    }
    // A fork opens its parent first, so that the peer knows whom to ask; but not one that the peer
    // knows already.
    Outgoing* open_first(Lane& lane) {
        const auto is_open = [&](CarrierId carrier) {
            return std::find(flight.opened.begin(), flight.opened.end(), carrier) !=
                   flight.opened.end();
        };
        Lane* first = &lane;
        while (!self.continuity_ && first->parent && !is_open(*first->parent)) {
            Lane* const parent = self.find(*first->parent);
            if (!parent || !parent->ours) break;
            first = parent;
        }
        if (is_open(first->id())) return nullptr;
        flight.opened.push_back(first->id());
        first->keyed = true;
        Open open{first->id(),         first->parent,         first->kind,
                  first->out.priority, first->rare().channel, first->rare().target};
        if (self.continuity_)
            open.association = self.continuity_->name;
        else
            open.race = self.options_.race_id;
        out = std::move(open);
        return &out;
    }
    void packed(CarrierId carrier, std::uint64_t pieces) override {
        flight.packed[carrier] += pieces;
    }
    void packed_alone(CarrierId, NicenessClass, Sequence) override {}
    void blocked(CarrierId carrier) override { flight.blocked.push_back(carrier); }

    Association& self;
    Mapping& mapping;
    EarlyFlight& flight;
    const std::vector<EarlyFlight::Message> waiting;
    std::size_t at = 0;
    Outgoing out;
};

Datagrams Association::transmit_early(Instant now, Leaf& leaf, std::span<std::byte> space) {
    if (!leaf.early) leaf.early = std::make_unique<EarlyFlight>();
    EarlySupply supply(*this, leaf);
    return leaf.mapping->poll_transmit(now, supply, space);
}

// In the order of sending, as far as that is told by priority and niceness. Of an association that
// goes on only what is for Carriers that its peer has.
std::vector<EarlyFlight::Message> Association::find_early() const {
    std::vector<CarrierId> ids;
    if (lanes_.size() <= EarlyFlight::most_carriers)
        ids = in_order(lanes_);
    else
        for (std::uint64_t i = 0; i < EarlyFlight::most_carriers; ++i) ids.emplace_back(2 * i);
    std::vector<const Lane*> lanes;
    for (const CarrierId id : ids) {
        const Lane* const lane = find(id);
        const bool messages = lane && lane->ours && lane->out.work && !lane->out.stream &&
                              lane->kind != CarrierKind::stream;
        if (messages && (!continuity_ || (lane->known && !lane->ended && !lane->out.failed)))
            lanes.push_back(lane);
    }
    std::stable_sort(lanes.begin(), lanes.end(), [](const Lane* left, const Lane* right) {
        return left->out.priority.value() < right->out.priority.value();
    });
    std::vector<EarlyFlight::Message> found;
    std::uint64_t bytes = EarlyFlight::most_bytes;
    for (const Lane* lane : lanes) {
        const std::size_t room = EarlyFlight::most_messages - found.size();
        for (const auto& one : outbox_.find_early(lane->out, room, bytes)) {
            found.push_back({lane->id(), one.niceness, one.sequence, one.size});
            bytes -= one.size;
        }
    }
    return found;
}

bool Association::has_early(bool every_leaf) const {
    // It had a connection before: it goes on where that was, or all of it is to be said anew.
    if (continuity_ ? !continuity_->lost : heard_ != Instant{}) return false;
    const bool had = !copied_.empty() ||
                     std::any_of(leaves_.begin(), leaves_.end(),
                                 [](const Leaf& leaf) { return leaf.mapping->sends_early(); });
    return (every_leaf || !had) && !find_early().empty();
}

// The peer of the leaf that won has taken its early data, or not; whatever else was early was in
// vain.
void Association::settle_early(event::Established::Early outcome) {
    using Outcome = event::Established::Early;
    const auto flight = std::exchange(flight_, nullptr);
    const bool accepted = outcome == Outcome::accepted;
    if (flight) {
        // What is left in the list went on leaves that have lost.
        for (const EarlyFlight::Message& message : flight->messages)
            if (const auto at = std::find(copied_.begin(), copied_.end(), message);
                at != copied_.end())
                copied_.erase(at);
    }
    if (flight && race_) race_->note_early(flight->messages.size(), !accepted);
    for (auto& [id, lane] : lanes_)
        if (lane.ours) lane.keyed = false;
    if (flight && accepted) adopt_early(*flight);
    if (flight && accepted && flight->settings)
        std::erase_if(control_,
                      [](const Outgoing& out) { return std::holds_alternative<Settings>(out); });
    const auto drop = [&](const std::vector<EarlyFlight::Message>& messages, bool elsewhere) {
        for (const EarlyFlight::Message& message : messages)
            if (Lane* const lane = find(message.carrier))
                outbox_.not_early(now_, lane->out, message.niceness, message.sequence, elsewhere);
    };
    drop(std::exchange(copied_, {}), true);
    // Whoever played the flight before us may have had it taken.
    if (flight && !accepted) drop(flight->messages, flight->attached);
    relieve();
}

void Association::adopt_early(EarlyFlight& flight) {
    for (const CarrierId carrier : flight.opened) {
        Lane* const lane = find(carrier);
        if (!lane || lane->ended) {
            const Error why = continuity_ ? why_ended(carrier) : Error(Errc::cancelled);
            mapping_->reset(carrier, why);
            mapping_->stop(carrier, why);
            continue;
        }
        lane->opened = true;
        outbox_.opened(lane->out);
        inbox_.plug(now_, lane->in);
        if (says_end_behind_open(*lane)) closed_early_.push_back(carrier);
        if (lane->known) say_gaps(*lane);
    }
    for (const EarlyFlight::Message& message : flight.messages)
        if (Lane* const lane = find(message.carrier))
            outbox_.went_early(lane->out, message.niceness, message.sequence);
    for (const auto& [carrier, pieces] : flight.packed) packed(carrier, pieces);
    for (const CarrierId carrier : flight.blocked) blocked(carrier);
}

// Of a listener.

void Association::begin_use(Instant now, const std::string& alpn, bool post) {
    state_ = State::established;
    stack_ = mapping_->stack();
    heard_ = now;
    alpn_ = alpn;
    plain_ = !post;
    settings_ = chosen_ = plain_;
    inbox_.set_plain(plain_);
    if (plain_) return;
    const Settings settings = our_settings(*mapping_);
    if (settings.race) control_.push_front(Chosen{*settings.race});
    control_.push_front(settings);
}

Settings Association::our_settings(const Mapping& mapping) {
    Settings settings;
    settings.association = options_.role == Role::client ? options_.name : remembrance();
    // Nothing is anybody's before the server knows which association it belongs to.
    if (raced() || continuity_) settings.race = options_.race_id;
    settings.largest_message = unlimited;  // each Carrier has its own limit
    settings.carriers = options_.bounds.carriers;
    settings.features = feature::lifetime | feature::antecedents | feature::properties |
                        feature::early | feature::dropped | feature::datagrams;
    // Where there is early data there will be a key, when the handshake is complete.
    if (options_.bounds.continuity > Duration::zero() &&
        (early_ || continuity_ || mapping.continuity_key(options_.name))) {
        settings.features |= feature::attach | rest_feature();
        if (options_.role == Role::server) settings.features |= feature::standby;
    }
    return settings;
}

void Association::handle(Instant now, event::Early& event) {
    early_ = true;
    begin_use(now, event.alpn, event.post);
    if (stack_ == Stack::http3) inbox_.keep_fields();
    if (plain_) know_peer(0);
}

// Its first messages are the application's at once, whatever becomes of the race.
void Association::handle(Instant, EarlyKey& key) {
    if (key.association) {
        if (early_) violation("EARLY of a race and of an association");
        return;
    }
    Lane* const lane = find(key.carrier);
    if (!lane) return;
    lane->keyed = true;
    lane->rarely().race = key.race;
    if (!chosen_ && early_ && std::erase(held_, lane->id()) > 0) offer(*lane);
}

// Each message of a race is taken once, whichever leaf brings the last of it: a copy counts as
// settled, and is dropped as it comes. Until the peer's SETTINGS have come nothing tells what was
// early and was only lost on the way.
void Association::drop_copy(Instant now, Lane& lane, const Piece& piece) {
    // What is here already, from a leaf that has lost, the inbox drops.
    const bool ends = options_.guard && piece.last() &&
                      !lane.in.has({lane.id(), piece.niceness, piece.sequence});
    if (!ends) return;
    Marks marks = piece.marks;
    if (!piece.first() && lane.in.work)
        for (const Assembly& begun : lane.in.work->unfinished)
            if (begun.niceness == piece.niceness && begun.sequence == piece.sequence)
                marks = begun.marks;
    if (!marks.idempotent || (!marks.early && settings_)) return;
    if (++early_messages_ > EarlyGuard::most_messages)
        return violation("more early messages than there may be");
    if (options_.guard->first(lane.rare().race, lane.id(), piece.niceness, piece.sequence)) return;
    inbox_.handle_skip(now, lane.in, Skip{lane.id(), piece.niceness, piece.sequence, 1});
}

}  // namespace post::core
