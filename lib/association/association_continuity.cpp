// How an association outlives its connection: the lanes stay, the client races again, and what came
// about is put under them, on both sides, by ATTACH and its proof (FORMAT.md, 7.2).
//
// Behind ATTACH each side says what it has (DELIVERED) and which Carriers are over (REFUSE), opens
// its own Carriers again, and sends all that is not settled, without waiting for the other's word:
// what the other one has already it drops.
#include <algorithm>

#include "lib/association/earlier_word.hpp"
#include "lib/association/in_order.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

namespace {

// What had come of it.
std::vector<Delivered> last_words(const Continuity::Ended& one) {
    std::vector<Delivered> known;
    for (const Receipts& receipts : one.known) known.push_back(receipts.summary(one.carrier));
    return known;
}

}  // namespace

// Both ends derive it from the first connection: the server when it knows by the client's SETTINGS
// which association that is, the client as soon as there is one. That may break when the server has
// taken and sent much and its own SETTINGS were lost; they only say whether it would not.
void Association::know_key() {
    const bool unheard = options_.role == Role::client && !settings_;
    const bool able = options_.bounds.continuity > Duration::zero() && mapping_ && !plain_ &&
                      (unheard || (peer_features_ & feature::attach) != 0);
    if (!able && continuity_ && continuity_->epoch == 0) continuity_.reset();
    if (continuity_ || !able) return;
    const auto key = mapping_->continuity_key(options_.name);
    if (!key) return;
    continuity_ = std::make_unique<Continuity>();
    continuity_->key = *key;
    continuity_->name = options_.name;
    named_ = options_.role == Role::server;
}

std::optional<AssociationName> Association::poll_name() {
    if (!std::exchange(named_, false)) return std::nullopt;
    return continuity_->name;
}

// The end of a connection.

// What another connection can mend: nobody meant to end this one.
bool Association::mends(const Error& error) const {
    if (!continuity_ || state_ != State::established) return false;
    if (continuity_->attaching && error == Errc::excessive_load) return true;
    if (options_.role == Role::server && shared_.lost >= Shared::most_lost) return false;
    // Who keeps nothing alive means silence to be the end (RFC 9622, 8.1.4).
    const bool meant = options_.bounds.keep_alive == Duration::zero() &&
                       outbox_.unsettled_messages() == 0 && error == Errc::connection_lost;
    // Of a DTLS session the end may be heard, and not the word of SCTP that said why.
    const bool wordless = stack_ == Stack::sctp_dtls && error == Errc::connection_closed &&
                          !error.cause && error.detail.empty() && !lanes_.empty();
    return !meant && (wordless || is_outage(error));
}

bool Association::is_outage(const Error& error) {
    return error == Errc::connection_lost || error == Errc::stateless_reset ||
           error.cause == make_error_code(Errc::replaced);
}

// What the loser of a race says, of which a part may have been lost.
bool Association::is_withdrawal(const Error& error) {
    return error == Errc::connection_closed &&
           (!error.cause || error.cause == make_error_code(Errc::lost_the_race));
}

// What a server's SETTINGS has where a client's has the name. Of two listeners neither knows the
// associations of the other, so that they differ.
AssociationName Association::remembrance() {
    if (shared_.remembrance == AssociationName{}) shared_.remembrance = options_.name;
    AssociationName said = shared_.remembrance;
    for (std::size_t i = 0; i < 8; ++i)
        said[i] ^= static_cast<std::uint8_t>(options_.door >> 8 * i);
    return said;
}

void Association::forget_client() {
    if (continuity_ && options_.role == Role::server) shared_.remembrance = {};
}

void Association::note_remembrance(const AssociationName& said) {
    if (!continuity_ || options_.role == Role::server) return;
    if (continuity_->epoch == 0) continuity_->remembrance = said;
    continuity_->says = said;
}

// The server has forgotten nothing since it was first heard of, and does not know us: it never got
// our SETTINGS and CHOSEN, without which nothing was anybody's there.
bool Association::never_known() const {
    return continuity_->says == continuity_->remembrance &&
           std::all_of(lanes_.begin(), lanes_.end(),
                       [](const auto& one) { return one.second.ours; });
}

void Association::handle_refusal(Instant now, const Error& error) {
    outbox_.went_in_vain();
    // Without its SETTINGS nobody can tell what that means. They were lost; perhaps not next time.
    if (!continuity_->says && beginnings_ < most_beginnings) {
        ++beginnings_;
        return break_off(now, error);
    }
    start_anew(now, Error(Errc::connection_lost, make_error_code(Errc::not_attached),
                          Stage::established, "the peer was started anew, and has forgotten all"));
}

// The lanes stay as if nothing had been sent yet of what is not settled.
void Association::break_off(Instant now, const Error& cause) {
    leave_connection(cause);
    continuity_->cause = cause;
    continuity_->attaching = false;
    continuity_->says.reset();
    continuity_->reopen_by = never;
    unplug();
    state_ = State::connecting;
    settings_ = chosen_ = false;
    events_.push_back(happened::Changed{id(), activity()});
    if (std::exchange(continuity_->lost, true)) return;
    if (options_.role == Role::server) ++shared_.lost;
    continuity_->give_up = now + options_.bounds.continuity;
    continuity_->pause = Continuity::first_pause;
    if (options_.role != Role::client || std::exchange(continuity_->doubting, false)) return;
    race_again(now);
    if (cause == Errc::excessive_load) continuity_->retry = now + continuity_->pause;
}

// It may still say its last word.
void Association::leave_connection(const Error& reason) {
    if (!mapping_) return;
    if (!mapping_->over()) {
        if (reason == Errc::replaced) {
            trace_end(*mapping_, attempt_, reason);
            mapping_->close(reason);
        }
        leaves_.push_back({attempt_, std::move(mapping_), true});
    }
    mapping_.reset();
}

void Association::race_again(Instant now) {
    race_.reset();
    resolution_.reset();
    if (!copied_.empty()) settle_early(event::Established::Early::none);
    if (continuity_) {
        continuity_->retry = now;
        // Over a stack without security nobody could tell that it is us.
        options_.race.insecure.clear();
    }
    // Not the numbers among which that of the connection in use is, however often beside it.
    const bool low = mapping_ ? attempt_.value() < 16 : options_.race.first_attempt == 0;
    options_.race.first_attempt = low ? 16 : 0;
    const std::uint8_t first = options_.race.first_attempt;
    std::erase_if(leaves_, [&](const Leaf& one) {
        return one.attempt.value() >= first && one.attempt.value() < first + Race::most;
    });
}

// What was tried has failed; the next race may find something. False: this is the first one.
bool Association::pause_race() {
    if (!continuity_) return false;
    const Duration pause = continuity_->pause;
    if (dormancy_) continuity_->cause = race_->report();
    race_again(now_);
    continuity_->retry = now_ + pause;
    continuity_->pause = std::min(2 * pause, Continuity::longest_pause);
    return true;
}

// Something is on its way, and nothing comes back: another connection is looked for before this one
// is given up. The first to be heard of wins.
void Association::look_for_doubt(Instant now) {
    if (!continuity_ || options_.role == Role::server || state_ != State::established) return;
    if (continuity_->doubting) {
        const bool heard = mapping_->heard() > continuity_->doubted;
        if (heard) return trust_again();
        if (standby_) standby_->take_over(now, Error(Errc::replaced, {}, Stage::established));
        return;
    }
    if (mapping_->doubt() > now || lanes_.empty()) return;
    // On a first connection, on which the server has not spoken yet: a refusal would not tell
    // whether it knows us, and that one may well go on. One that attaches is as good as the next.
    if (!settings_ && !continuity_->attaching) return;
    const Error silent(Errc::replaced, {}, Stage::established);
    if (standby_ && standby_->take_over(now, silent)) return;
    continuity_->doubting = true;
    continuity_->doubted = now;
    continuity_->former = std::move(race_);
    race_again(now);
}

void Association::trust_again() {
    continuity_->doubting = false;
    close_leaves(Error(Errc::lost_the_race));
    race_ = std::move(continuity_->former);
    resolution_.reset();
}

void Association::unplug() {
    control_.clear();
    closed_early_.clear();
    blocked_.clear();
    if (standby_) standby_->forget_copies();
    last_ = nullptr;
    std::vector<OutLane*> lanes;
    std::vector<CarrierId> over;
    for (CarrierId carrier : in_order(lanes_)) {
        Lane& lane = *find(carrier);
        inbox_.unplug(lane.in);
        lane.listed = false;
        lanes.push_back(&lane.out);
        lane.known = lane.known || lane.opened;
        lane.opened = false;
        // The peer hears of its end behind ATTACH, and says nothing of it if it is over there.
        if (continuity_ && lane.known && over_but_for_word(lane)) {
            lane.ended = true;
            over.push_back(carrier);
        }
        // What has ended for that connection alone goes on while something of it is not settled:
        // on a byte stream the last of it may have been lost.
        const bool settled = lane.out.unsettled() == 0 && !lane.in.waits();
        if (lane.ended && (lane.out.failed || settled)) continue;
        lane.ended = false;
        outbox_.unplug(lane.out);
        if (ends_gently(lane)) lane.out.finish_pulled = false;
        if (!lane.known) continue;
        if (!lane.ours)
            outbox_.block(lane.out);  // until the peer opens it again
        else if (state_ != State::dormant)
            outbox_.announce(lane.out);
    }
    inbox_.unplug_all();
    last_ = nullptr;
    outbox_.line_up_again(lanes);
    relieve();
    for (CarrierId carrier : over) forget_if_over(*find(carrier));
}

// The peer learns what it may have missed.
void Association::plug(Instant now) {
    rise();
    Continuity& kept = *continuity_;
    kept.former.reset();
    kept.doubting = false;
    kept.retry = never;
    kept.pause = Continuity::first_pause;
    kept.reopen_by = now + Continuity::reopen_patience;
    if (options_.role == Role::client) {
        ++kept.epoch;
        kept.attaching = true;
        kept.give_up = never;
        kept.lost = false;
    }
    const auto proof = mapping_->prove(kept.key, options_.role, kept.epoch);
    Attach attach{kept.name, kept.epoch, proof.value_or(ContinuityProof{})};
    // A client's CHOSEN stands behind it.
    const auto chosen = std::find_if(control_.begin(), control_.end(), [](const Outgoing& out) {
        return std::holds_alternative<Chosen>(out);
    });
    control_.insert(chosen, attach);
    for (std::size_t i = 0; i < kept.ended.size(); ++i) {
        const Continuity::Ended& one = kept.ended[i];
        say_ended(one.carrier, last_words(one), one.error.get());
    }
    for (CarrierId carrier : in_order(lanes_)) {
        Lane& lane = *find(carrier);
        if (lane.ended) {
            say_ended(carrier, inbox_.summary(lane.in), lane.error());
            continue;
        }
        if (!lane.known) {
            inbox_.plug(now, lane.in);
            continue;
        }
        for (Delivered& delivered : inbox_.summary(lane.in))
            control_.push_back(std::move(delivered));
    }
}

void Association::say_ended(CarrierId carrier, std::vector<Delivered>&& known, const Error* error) {
    for (Delivered& delivered : known) control_.push_back(std::move(delivered));
    control_.push_back(
        Refuse{carrier, Errc::carrier_closed, error ? *error : Error(Errc::carrier_closed)});
}

// Of what was given up the peer may not have heard.
void Association::say_gaps(const Lane& lane) {
    if (!lane.out.gaps) return;
    const auto skip = [&](NicenessClass niceness, std::uint64_t end) {
        if (end > 0) control_.push_back(Skip{lane.id(), niceness, Sequence{0}, end});
    };
    if (!lane.out.work) return skip({}, lane.out.sequence);
    for (const auto& queue : lane.out.work->classes) skip(queue->niceness, queue->first);
}

// The mapping has the Carrier again: what ended in either direction ends once more.
void Association::say_end_again(const Lane& lane) {
    const Error why = lane.error() ? *lane.error() : Error(Errc::carrier_closed);
    if (lane.out.failed && lane.sends() && !ends_gently(lane)) {
        mapping_->reset(lane.id(), why);
        // Our OPEN may be lost with it.
        if (lane.ours) control_.push_back(Refuse{lane.id(), Errc::carrier_closed, why});
    }
    // What an earlier connection brought to its end takes no copies, and gives no window for more.
    if ((lane.closing || lane.in.discarding || lane.in.over) && lane.receives())
        mapping_->stop(lane.id(), lane.error() ? why : Error(Errc::carrier_closed));
}

// A Carrier that the peer opened on an earlier connection; it may be over here. False: it is new.
bool Association::reopen(Lane& lane, const Open& open) {
    if (lane.ours || lane.opened || !lane.known || open.kind != lane.kind) return false;
    lane.opened = true;
    outbox_.opened(lane.out);
    outbox_.unblock(lane.out);
    inbox_.plug(now_, lane.in);
    say_gaps(lane);
    say_end_again(lane);
    return true;
}

// It is over at the peer, which says so once more.
void Association::end_over(Lane& lane, const Refuse& refuse) {
    // As behind a reset, what it brought before stands.
    if (refuse.error != Errc::carrier_closed && !settled_before(lane)) lane.fail(refuse.error);
    if (mapping_ && lane.opened && !lane.ended) {
        if (lane.sends()) mapping_->reset(lane.id(), refuse.error);
        if (lane.receives()) mapping_->stop(lane.id(), refuse.error);
    }
    // In good order all of it is settled there: what has not come was given up.
    inbox_.end(now_, lane.in, refuse.error, false);
    outbox_.fail(lane.out, refuse.error);
    lane.ended = true;
    relieve();
    forget_if_over(lane);
}

// A Carrier of the peer's of whose end we hear first: others may wait for what it was to bring.
void Association::end_unopened(CarrierId carrier) {
    const bool ours = carrier.value() % 2 == next_carrier_ % 2;
    if (ours || inbox_.outcomes().was_opened(carrier) || carrier.value() >= grant()) return;
    inbox_.end_unopened(now_, carrier);
    forget_done();
}

void Association::handle(Instant now, Delivered& delivered) {
    heard_ = now;
    Lane* lane = find(delivered.carrier);
    if (!lane) {
        const bool asks = may_wait_for(delivered.carrier, next_carrier_, continuity_.get());
        if (!asks || control_.size() >= Continuity::most_ended) return;
        std::vector<Delivered> known;
        for (std::size_t i = 0; i < continuity_->ended.size(); ++i)
            if (continuity_->ended[i].carrier == delivered.carrier)
                known = last_words(continuity_->ended[i]);
        const Error why = why_ended(delivered.carrier);
        return say_ended(delivered.carrier, std::move(known), &why);
    }
    lane->heard = true;
    if (!outbox_.handle_delivered(lane->out, delivered))
        return violation("DELIVERED speaks of a message that was not sent");
    relieve();
    forget_if_over(*lane);
}

// What is not remembered ended in good order, or the peer has acknowledged how. Unless there were
// too many.
Error Association::why_ended(CarrierId carrier) const {
    if (const Lane* lane = find(carrier))
        return lane->error() ? *lane->error() : Error(Errc::carrier_closed);
    for (std::size_t i = 0; i < continuity_->ended.size(); ++i) {
        const Continuity::Ended& one = continuity_->ended[i];
        if (one.carrier == carrier) return one.error ? *one.error : Error(Errc::carrier_closed);
    }
    const bool forgotten = continuity_->ended.size() >= Continuity::most_ended;
    return Error(forgotten ? Errc::cancelled : Errc::carrier_closed);
}

void Association::remember_end(const Lane& lane) {
    if (!continuity_ || (!lane.opened && !lane.known)) return;
    Continuity::Ended ended{lane.id(), Inbox::known_of(lane.in), nullptr};
    if (lane.error()) ended.error = std::make_unique<Error>(*lane.error());
    auto& all = continuity_->ended;
    all.push(std::move(ended));
    if (all.size() > Continuity::most_ended) all.pop();
}

// The connection broke before the peer had said what it is: nobody has promised anything, and
// another one is as good.
bool Association::begins_again(const Error& error) const {
    return options_.role == Role::client && state_ == State::established && !plain_ && !settings_ &&
           !continuity_ && options_.remote && is_outage(error) &&
           options_.bounds.continuity > Duration::zero() && beginnings_ < most_beginnings &&
           !lanes_.empty();
}

// The peer has forgotten the association, or never knew it: what it may have taken, and may not
// take twice, fails with this error, and all else begins once more.
void Association::start_anew(Instant now, const Error& error) {
    const bool never = continuity_ && never_known();
    unplug();
    close_leaves(Error(Errc::lost_the_race));
    continuity_.reset();
    settings_ = chosen_ = false;
    state_ = State::connecting;
    events_.push_back(happened::Changed{id(), activity()});
    for (CarrierId carrier : in_order(lanes_)) {
        Lane* lane = find(carrier);
        if (!lane) continue;
        // Over, and all of it is here for who takes it.
        const bool whole = lane->ours && lane->ended && !lane->error() && lane->in.over &&
                           !lane->in.end() && !lane->in.waits() && lane->out.unsettled() == 0;
        if (whole) continue;
        if (!lane->ours || lane->ended) {
            cut(*lane, error);
            continue;
        }
        lane->resumed = lane->known && !never;
        lane->known = false;
        lane->out.gaps = true;
        if (never) outbox_.never_tried(lane->out);
        outbox_.start_anew(lane->out, error);
        inbox_.forget(lane->in);
    }
    relieve();
    end_ = Error();
    race_again(now);
}

// Time.

Instant Association::continuity_deadline() const {
    if (!continuity_) return never;
    Instant first = std::min(continuity_->lost ? continuity_->give_up : never,
                             continuity_->reopen_by);
    if (racing() && !race_ && options_.remote) first = std::min(first, continuity_->retry);
    const bool watches = options_.role == Role::client && state_ == State::established &&
                         mapping_ && !continuity_->doubting && !lanes_.empty() &&
                         (settings_ || continuity_->attaching);
    return watches ? std::min(first, mapping_->doubt()) : first;
}

// False: it is over.
bool Association::time_continuity(Instant now) {
    if (!continuity_) return true;
    if (continuity_->lost && continuity_->give_up <= now) {
        end_ = continuity_->cause;
        close_leaves(Error(Errc::cancelled));
        after_failure();
        return false;
    }
    // Over a connection that has gone silent nothing can be opened.
    if (continuity_->reopen_by <= now && mapping_ &&
        mapping_->heard() + Continuity::reopen_patience / 2 < now) {
        continuity_->reopen_by = now + Continuity::reopen_patience;
    } else if (continuity_->reopen_by <= now) {
        continuity_->reopen_by = never;
        for (CarrierId carrier : in_order(lanes_)) {
            Lane* lane = find(carrier);
            if (lane && lane->known && !lane->ours && !lane->opened && !lane->ended)
                cut(*lane, Error(Errc::connection_lost, {}, Stage::established,
                                 "the peer has not opened it again on the new connection"));
        }
    }
    look_for_doubt(now);
    return true;
}

}  // namespace post::core
