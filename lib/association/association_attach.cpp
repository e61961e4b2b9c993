// A connection that says by ATTACH which association it belongs to (FORMAT.md, 7.2): how a listener
// holds what comes on it until it is known whose it is, how that is proved, and how it is put under
// the association.
#include "lib/association/early_attach.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

namespace {

// Of a connection that waits to be chosen: messages and what else came, which may be of one byte
// each; and bytes up to which messages are kept that no window holds back.
constexpr std::size_t most_unchosen = 65536;
constexpr std::uint64_t most_unchosen_alone = 256 * 1024;

// In a time that does not depend on where they differ.
bool same(const ContinuityProof& one, const ContinuityProof& other) {
    unsigned differs = 0;
    for (std::size_t i = 0; i < one.size(); ++i)
        differs |= unsigned{one[i]} ^ unsigned { other[i] };
    return differs == 0;
}

}  // namespace

// A fresh client's connection: it may belong to an association that there is already, so that
// nothing of it is anybody's before it is chosen.

bool Association::holds(Instant now, const Event& event) {
    if (options_.role == Role::client || plain_ || state_ != State::established) return false;
    if (std::holds_alternative<event::Lost>(event)) return false;
    if (wished_) return true;
    const bool tells = std::holds_alternative<event::Established>(event) ||
                       std::holds_alternative<Settings>(event) ||
                       std::holds_alternative<Chosen>(event) ||
                       std::holds_alternative<Attach>(event);
    if (chosen_ || tells) return false;
    if (standing_) return true;
    if (early_) return holds_early(now, event);
    return options_.bounds.continuity > Duration::zero() || !shared_.early_races.empty() ||
           !unchosen_.empty();
}

// No more content than the windows that the client was given, and no more of all else.
void Association::hold(Event&& event) {
    if (standing_ && !wished_) return standing_->handle(std::move(event));
    if (unchosen_.size() >= most_unchosen)
        return shut(Error(Errc::excessive_load, {}, Stage::established,
                          "it said very much, and not CHOSEN"));
    const auto keep = [&](Piece&& piece) {
        unchosen_bytes_ += piece.bytes.size();
        shared_.charge.charged += piece.bytes.size();
        piece.bytes = piece.bytes.held();
        if (early_ && brought_) {
            if (!brought_->take(piece)) violation("more early messages than there may be");
            piece.marks.early = false;  // it counts only when the handshake is complete
        }
        unchosen_.emplace_back(event::Arrived{std::move(piece)});
    };
    if (auto* run = std::get_if<event::ArrivedRun>(&event)) {
        for (std::size_t i = 0; i < run->contents.size(); ++i) keep(run->piece(i));
    } else if (auto* arrived = std::get_if<event::Arrived>(&event)) {
        keep(std::move(arrived->piece));
    } else {
        if (auto* alone = std::get_if<event::ArrivedAlone>(&event)) {
            // No window holds these back.
            const std::size_t size = alone->piece.bytes.size();
            if (unchosen_bytes_ + size > most_unchosen_alone) return;
            unchosen_bytes_ += size;
            shared_.charge.charged += size;
            alone->piece.bytes = alone->piece.bytes.held();
        }
        unchosen_.push_back(std::move(event));
    }
}

void Association::replay() {
    shared_.charge.charged -= std::exchange(unchosen_bytes_, 0);
    auto events = std::exchange(unchosen_, {});
    for (Event& event : events) std::visit([&](auto& happened) { handle(now_, happened); }, event);
}

void Association::handle(Instant, Attach& attach) {
    if (options_.role == Role::server) {
        // Only a connection that waits to be chosen, and brought nothing yet, may say so, and once.
        if (chosen_ || !peers_race_ || wished_ || !lanes_.empty())
            return violation("ATTACH comes too late, or twice");
        if (attach.early) return handle_early(attach);
        if (attach.standby && standing_) return violation("ATTACH as a standby comes twice");
        if (attach.standby) standing_ = std::make_unique<Standing>(*this);
        wish_ = attach;
        wished_ = !attach.standby;
        return;
    }
    if (!continuity_ || attach.standby || !std::exchange(continuity_->attaching, false))
        return violation("ATTACH that nobody asked for");
    const auto proof = mapping_->prove(continuity_->key, Role::server, attach.epoch);
    const bool good = proof && same(*proof, attach.proof) && attach.epoch == continuity_->epoch &&
                      attach.association == continuity_->name;
    if (!good) return violation("ATTACH is not proved");
    if (continuity_->says) continuity_->remembrance = *continuity_->says;
}

// As what was lost on the way and comes again it says nothing: the one that counts is behind it.
void Association::handle_early(const Attach& attach) {
    if (!brought_) brought_ = std::make_unique<EarlyAttach>();
    if (attach.standby || standing_ || !brought_->attach(attach.association))
        return violation("ATTACH as early data comes twice, or not alone");
    if (early_) wish_ = attach;
}

bool Association::proves(const Association* known, const Association& fresh, const Attach& attach) {
    if (!fresh.mapping_) return false;
    const Continuity* const kept = known ? known->continuity_.get() : nullptr;
    const ContinuityKey key = kept ? kept->key : ContinuityKey{};
    const auto proof = attach.early ? fresh.mapping_->prove_early(key, attach.epoch)
                                    : fresh.mapping_->prove(key, Role::client, attach.epoch);
    const bool right = proof && same(*proof, attach.proof);
    return right && kept && attach.epoch > kept->epoch && known->state_ < State::closing &&
           known->options_.role == Role::server;
}

std::optional<Husk> Association::give_up_connection() {
    if (!mapping_ || !met_) return std::nullopt;
    Husk husk;
    husk.mapping = std::move(mapping_);
    husk.race = peers_race_;
    husk.established = std::move(*met_);
    husk.features = peer_features_;
    husk.largest_message = peer_largest_;
    shared_.charge.charged -= std::exchange(unchosen_bytes_, 0);
    husk.events = std::exchange(unchosen_, {});
    if (const auto standing = std::exchange(standing_, nullptr)) {
        auto opened = standing->opened();
        husk.events.insert(husk.events.begin(), std::make_move_iterator(opened.begin()),
                           std::make_move_iterator(opened.end()));
    }
    for (Outgoing& out : control_)
        if (auto* settings = std::get_if<Settings>(&out)) husk.unsaid = *settings;
    control_.clear();
    choice_due_ = never;
    state_ = State::gone;
    return husk;
}

AttemptId Association::free_attempt() const {
    std::uint8_t attempt = static_cast<std::uint8_t>((attempt_.value() + 1) % 32);
    while (has(AttemptId{attempt})) attempt = static_cast<std::uint8_t>((attempt + 1) % 32);
    return AttemptId{attempt};
}

void Association::attach(Instant now, AttemptId attempt, Husk husk) {
    now_ = now;
    if (mapping_) break_off(now, Error(Errc::replaced, {}, Stage::established));
    if (std::exchange(continuity_->lost, false)) --shared_.lost;
    attempt_ = attempt;
    mapping_ = std::move(husk.mapping);
    stack_ = mapping_->stack();
    state_ = State::established;
    continuity_->give_up = never;
    continuity_->epoch = husk.attach.epoch;
    alpn_ = std::move(husk.established.alpn);
    alone_ = husk.established.alone;
    resumed_ = husk.established.resumed;
    heard_ = now;
    peers_race_ = husk.race;
    settings_ = chosen_ = true;
    peer_largest_ = husk.largest_message;
    know_peer(husk.features);
    if (husk.unsaid) control_.push_back(*husk.unsaid);
    plug(now);
    trace_established();
    events_.push_back(happened::Active{id()});
    for (Event& event : husk.events)
        std::visit([&](auto& happened) { handle(now_, happened); }, event);
    forget_done();
}

}  // namespace post::core
