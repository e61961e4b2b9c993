// A server's connection that stands by, and what an association takes of it before it is attached.
#include <algorithm>
#include <map>
#include <set>

#include "lib/association/early_attach.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

namespace {

// FORMAT.md, 7.3.
bool says_more(const Event& event) {
    return std::holds_alternative<Delivered>(event) || std::holds_alternative<Refuse>(event) ||
           std::holds_alternative<Skip>(event) || std::holds_alternative<Abandon>(event) ||
           std::holds_alternative<EarlyKey>(event) ||
           std::holds_alternative<event::Finished>(event) ||
           std::holds_alternative<event::ArrivedAlone>(event);
}

}  // namespace

void Association::Standing::believe(AssociationId owner) {
    believed_ = true;
    owner_ = owner;
    self_.shared_.standbys.take(owner, self_.id());
}

// One that nobody has believed yet has had its time.
bool Association::Standing::look(Instant now) {
    if (!believed_ || !self_.shared_.standbys.stands(owner_, self_.id())) return false;
    self_.choice_due_ = later(now, look_every);
    return true;
}

void Association::Standing::handle(Event&& event) {
    if (auto* arrived = std::get_if<event::Arrived>(&event)) {
        take(std::move(arrived->piece));
    } else if (const auto* run = std::get_if<event::ArrivedRun>(&event)) {
        for (std::size_t i = 0; i < run->contents.size(); ++i) take(run->piece(i));
    } else if (const auto* opened = std::get_if<event::Opened>(&event)) {
        if (opened_.size() >= Standby::most_carriers)
            return self_.violation("more Carriers are open on a standby than may be");
        opened_.push_back(opened->open);
    } else if (const auto* reset = std::get_if<event::Reset>(&event)) {
        self_.mapping_->reset(reset->carrier, Error(Errc::carrier_closed));
    } else if (const auto* ended = std::get_if<event::Ended>(&event)) {
        std::erase_if(opened_, [&](const Open& one) { return one.carrier == ended->carrier; });
    } else if (const auto* stopped = std::get_if<event::Stopped>(&event)) {
        self_.mapping_->reset(stopped->carrier, Error(Errc::carrier_closed));
    } else if (says_more(event)) {
        self_.violation("a standby says more than it may before it is attached");
    }
}

// Its windows are as they were, whoever takes it. A part of a copy is worth nothing: the message
// itself is on its way.
void Association::Standing::take(Piece&& piece) {
    self_.mapping_->extend_window(piece.carrier, piece.bytes.size());
    self_.mapping_->extend_budget(piece.bytes.size());
    const bool simple = piece.first() && piece.last() && piece.total <= Standby::largest_copy &&
                        !(piece.extras && !piece.extras->antecedents.empty());
    // Of a client that does not read what is said of them none is taken.
    if (self_.mapping_->quiet()) answers_ = 0;
    const bool reads = answers_ < most_answers && self_.control_.size() < most_copies;
    if (!simple || !reads || copies_.size() >= most_copies) return;
    piece.bytes = piece.bytes.held();
    copies_.push_back(std::move(piece));
}

std::vector<Event> Association::Standing::opened() const {
    std::vector<Event> all;
    for (const Open& open : opened_) all.emplace_back(event::Opened{open});
    return all;
}

// For the root.

void Association::stand_by(AssociationId owner) {
    if (standing_)
        standing_->believe(owner);
    else if (brought_)
        brought_->believe(owner);
}

std::optional<AssociationId> Association::poll_copies(std::vector<Piece>& copies) {
    if (!standing_) return brought_ ? brought_->poll(copies) : std::nullopt;
    copies = standing_->take_copies();
    return copies.empty() ? std::nullopt : std::optional(standing_->owner());
}

// What it has of these Carriers and classes now.
std::vector<Delivered> Association::take_copies(Instant now, std::vector<Piece>&& copies) {
    now_ = now;
    std::vector<Delivered> known;
    const bool waits = state_ == State::dormant || (continuity_ && continuity_->lost);
    if (!continuity_ || (state_ != State::established && !waits)) return known;
    std::map<CarrierId, std::set<NicenessClass>> touched;
    for (Piece& piece : copies) {
        Lane* const lane = find(piece.carrier);
        if (!lane || lane->ours) continue;
        touched[piece.carrier].insert(piece.niceness);
        inbox_.handle_copy(now, lane->in, std::move(piece));
    }
    for (const auto& [carrier, classes] : touched)
        for (Delivered& one : inbox_.summary(find(carrier)->in))
            if (classes.contains(one.niceness)) known.push_back(std::move(one));
    if (state_ == State::dormant) inbox_.rest();
    relieve();
    return known;
}

void Association::answer_copies(std::vector<Delivered>&& known) {
    if (standing_) standing_->answered(known.size());
    for (Delivered& one : known) control_.push_back(std::move(one));
}

}  // namespace post::core
