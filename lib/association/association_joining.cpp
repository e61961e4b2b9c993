// Early data on several leaves of one race (early_races.hpp), at the listener's end. The owner of a
// race may lose its connection before the client has chosen, because the client chose another: it
// waits for that one, as long as a client may take to choose.
#include <algorithm>

#include "lib/association/association.hpp"
#include "lib/association/early_attach.hpp"

namespace post::core {

// Until the first key says of which race it is, nothing of an early flight is anybody's.
bool Association::holds_early(Instant now, const Event& event) {
    const auto* const key = std::get_if<EarlyKey>(&event);
    if (key && key->association && !joining_) {
        if (!brought_) brought_ = std::make_unique<EarlyAttach>();
        if (!brought_->is_of(*key->association)) violation("EARLY of two associations");
        return true;
    }
    if (key && !joining_) {
        joining_ = std::make_unique<Joining>();
        joining_->race = key->race;
        joining_->to = shared_.early_races.claim(now, key->race, id());
        joining_->owner = joining_->to == id();
        if (joining_->owner) replay();
    }
    return !joining_ || !joining_->owner;
}

// The client keeps this connection. True: another association is to go on with it.
bool Association::joins(Instant now, std::uint64_t race) {
    const AssociationId owner = shared_.early_races.claim(now, race, id());
    if (owner == id() || !lanes_.empty()) return false;
    if (!joining_) joining_ = std::make_unique<Joining>();
    joining_->to = owner;
    joining_->wanted = true;
    return true;
}

std::optional<AssociationId> Association::poll_join() {
    if (!joining_ || !std::exchange(joining_->wanted, false)) return std::nullopt;
    return joining_->to;
}

// An owner whose connection ended so may yet be chosen on another.
bool Association::waits_for_choice(Instant now, const Error& lost) {
    if (!awaits_choice() || state_ != State::established || lanes_.empty()) return false;
    const bool beaten = early_ || is_outage(lost) ||
                        lost.cause == make_error_code(Errc::lost_the_race);
    if (!beaten || shared_.lost >= Shared::most_lost) return false;
    ++shared_.lost;
    joining_->waits = true;
    early_ = false;
    unplug();
    state_ = State::connecting;
    settings_ = false;
    choice_due_ = now + choice_patience;
    events_.push_back(happened::Changed{id(), activity()});
    return true;
}

void Association::join(Instant now, AttemptId attempt, Husk husk) {
    now_ = now;
    if (mapping_) {
        leave_connection(Error(Errc::replaced, {}, Stage::established));
        unplug();
    }
    if (std::exchange(joining_->waits, false)) --shared_.lost;
    joining_->reopen_by = now + Continuity::reopen_patience;
    early_ = false;
    early_messages_ = 0;
    attempt_ = attempt;
    mapping_ = std::move(husk.mapping);
    stack_ = mapping_->stack();
    state_ = State::established;
    alpn_ = std::move(husk.established.alpn);
    alone_ = husk.established.alone;
    resumed_ = husk.established.resumed;
    peer_identity_ = std::move(husk.established.peer_identity);
    heard_ = now;
    options_.name = husk.attach.association;
    settings_ = true;
    peer_largest_ = husk.largest_message;
    know_peer(husk.features);
    if (husk.unsaid) control_.push_back(*husk.unsaid);
    trace_established();
    events_.push_back(happened::Active{id()});
    unchosen_ = std::move(husk.events);
    choose();
    forget_done();
}

// What was early, and the client has not opened on the leaf that it chose.
void Association::time_joining(Instant now) {
    if (!joining_ || joining_->reopen_by > now) return;
    joining_.reset();
    std::vector<CarrierId> left;
    for (const auto& [carrier, lane] : lanes_)
        if (lane.known && !lane.ours && !lane.opened && !lane.ended) left.push_back(carrier);
    std::sort(left.begin(), left.end());
    for (CarrierId carrier : left)
        if (Lane* lane = find(carrier))
            cut(*lane, Error(Errc::connection_lost, {}, Stage::established,
                             "the client has not opened it on the connection that it chose"));
}

}  // namespace post::core
