// How an association rests: its connection is closed in good order while nothing is on its way, and
// the lanes stay. The next use wakes a client's: it races again, and ATTACH puts the connection
// under both ends' lanes, as after an outage (association_continuity.cpp). A server's waits for
// that.
#include <algorithm>

#include "lib/association/association.hpp"
#include "lib/association/in_order.hpp"

namespace post::core {

namespace {

Error let_go() { return Error(Errc::dormant, {}, Stage::established); }

// Something of it is still to be said, or to be heard.
bool unfinished(const Lane& lane) {
    if (lane.ended || lane.closing || lane.out.announce) return true;
    if (lane.out.finish_wanted && !lane.out.finish_pulled) return true;
    return lane.in.work && !lane.in.work->unfinished.empty();
}

}  // namespace

Activity Association::activity() const {
    switch (state_) {
        case State::fresh: return Activity::fresh;
        case State::dormant: return Activity::dormant;
        case State::connecting: return Activity::connecting;
        case State::established: return Activity::active;
        case State::closing:
        case State::gone: break;
    }
    return Activity::over;
}

// Commands.

Error Association::deactivate() {
    if (state_ >= State::closing) return end_ ? end_ : Error(Errc::carrier_closed);
    if (state_ == State::established && settings_ && chosen_ && !can_rest()) return why_awake();
    if (state_ <= State::dormant) return {};
    if (!dormancy_) dormancy_ = std::make_unique<Dormancy>();
    dormancy_->wanted = true;
    return {};
}

void Association::stay() {
    if (!dormancy_ || !std::exchange(dormancy_->wanted, false)) return;
    events_.push_back(happened::Dormant{
        id(), Error(Errc::cancelled, {}, Stage::established, "activate() was called meanwhile")});
}

std::uint64_t Association::rest_feature() const {
    const bool keeps = options_.role == Role::client ||
                       options_.bounds.dormant_for > Duration::zero();
    return keeps ? feature::dormant : 0;
}

bool Association::can_rest() const { return continuity_ && (rest_feature() & peer_features_) != 0; }

Error Association::why_awake() const {
    const auto unsupported = [](const char* why) {
        return Error(Errc::unsupported, {}, Stage::established, why);
    };
    if (plain_) return unsupported("a plain peer cannot find a Carrier again");
    if (options_.bounds.continuity == Duration::zero())
        return unsupported("Bounds::continuity is zero at this end");
    if (options_.role == Role::server && options_.bounds.dormant_for == Duration::zero())
        return unsupported("Bounds::dormant_for is zero at this end");
    if (!continuity_ && (peer_features_ & feature::attach) != 0)
        return unsupported("this stack has no secret by which its ends know each other again");
    return unsupported(
        "Bounds::continuity, or a listener's Bounds::dormant_for, is zero at the peer");
}

// Going to rest.

bool Association::in_flight() const {
    return outbox_.unsettled_messages() > 0 ||
           std::any_of(lanes_.begin(), lanes_.end(),
                       [](const auto& one) { return unfinished(one.second); });
}

bool Association::quiet() const {
    return control_.empty() && inbox_.silent() && !continuity_->attaching &&
           !continuity_->doubting && mapping_->quiet() && !in_flight();
}

bool Association::rest_if_quiet(Instant now) {
    if (state_ != State::established || !settings_ || !chosen_) return false;
    if (!can_rest()) {
        events_.push_back(happened::Dormant{id(), why_awake()});
        dormancy_.reset();
        return false;
    }
    if (!quiet()) return false;
    trace_end(*mapping_, attempt_, let_go());
    mapping_->close(let_go());
    leaves_.push_back({attempt_, std::move(mapping_), true});
    rest(now);
    return true;
}

// Whether a connection that ended so is not missed. Where silence may end one (RFC 9622, 8.1.4) it
// has done so at both ends.
bool Association::rests(const Error& lost) const {
    if (state_ != State::established || !can_rest()) return false;
    const bool said = lost.cause == make_error_code(Errc::dormant);
    // Over TCP the end that noticed it first has closed without a word (QMux).
    const bool wordless = lost == Errc::connection_closed && !lost.cause && stack_ == Stack::tls;
    const bool silent = (lost == Errc::connection_lost || wordless) &&
                        options_.bounds.keep_alive == Duration::zero();
    if (options_.role == Role::client) return (said || silent) && !in_flight();
    const bool room = shared_.dormant + lanes_.size() < Shared::most_dormant;
    return room && (said || (silent && !in_flight()));
}

// The peer has let go, or both were silent. False: it is more than that.
bool Association::handle_lost_at_rest(Instant now, const Error& error) {
    if (rests(error)) {
        rest(now);
        return true;
    }
    const bool said = continuity_ && error.cause == make_error_code(Errc::dormant);
    if (!said || state_ != State::established || options_.role == Role::server) return false;
    // We need it. A peer that does so again and again gets no more than a few handshakes a second.
    break_off(now, error);
    continuity_->retry = now + Continuity::first_pause;
    return true;
}

// The connection is gone already, but for its last word.
void Association::rest(Instant now) {
    mapping_.reset();
    close_leaves(Error(Errc::lost_the_race));
    resolution_.reset();
    continuity_->former.reset();
    continuity_->lost = continuity_->doubting = continuity_->attaching = false;
    continuity_->reopen_by = continuity_->give_up = never;
    continuity_->cause = {};
    state_ = State::dormant;
    settings_ = chosen_ = false;
    unplug();
    inbox_.rest();
    dormancy_ = std::make_unique<Dormancy>();
    if (options_.role == Role::server) {
        dormancy_->give_up = later(now, options_.bounds.dormant_for);
        dormancy_->counted = std::max<std::size_t>(1, lanes_.size());
        shared_.dormant += dormancy_->counted;
    }
    events_.push_back(happened::Changed{id(), activity()});
    events_.push_back(happened::Dormant{id(), {}});
}

// Once a turn.
void Association::tend_rest(Instant now) {
    if (dormancy_->wanted && rest_if_quiet(now)) return;
    const bool client = options_.role == Role::client;
    if (state_ == State::dormant && client && lanes_.empty()) {
        // The peer has to hear of those that are over; without any nobody needs it.
        if (continuity_->ended.empty()) return shut(Error(Errc::carrier_closed));
        wake();
    }
    // The time was not known when the application woke it.
    const bool waking = client && state_ == State::connecting && continuity_ && continuity_->lost;
    if (waking && continuity_->give_up == never)
        continuity_->give_up = later(now, options_.bounds.continuity);
}

// Waking.

void Association::wake() {
    if (options_.role == Role::server) return;  // only its client can find the way
    state_ = State::connecting;
    continuity_->lost = true;
    continuity_->pause = Continuity::first_pause;
    race_again(now_);
    announce_known();
    events_.push_back(happened::Changed{id(), activity()});
}

// There is a connection again.
void Association::rise() {
    if (!dormancy_) return;
    if (options_.role == Role::server) announce_known();
    shared_.dormant -= std::exchange(dormancy_->counted, 0);
    dormancy_->give_up = never;
    if (!dormancy_->wanted) dormancy_.reset();
}

// The peer shall open our Carriers again, also those that have nothing to say.
void Association::announce_known() {
    for (CarrierId carrier : in_order(lanes_))
        if (Lane& lane = *find(carrier); lane.ours && lane.known && !lane.ended)
            outbox_.announce(lane.out);
}

// False: it is over.
bool Association::time_rest(Instant now) {
    if (rest_deadline() > now) return true;
    end_ = Error(Errc::connection_lost, make_error_code(Errc::dormant), Stage::established,
                 "it was dormant, and its client did not come again within Bounds::dormant_for");
    after_failure();
    return false;
}

// Another race is about to begin, by what is known now.
void Association::race_by(Race::Options race) {
    race.first_attempt = options_.race.first_attempt;
    // Over a stack without security nobody could tell that it is us.
    if (continuity_) race.insecure.clear();
    options_.race = std::move(race);
}

}  // namespace post::core
