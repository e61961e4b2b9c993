// What comes up from the mapping and the resolver, and what it does to the association.
#include <algorithm>
#include <string>

#include "lib/association/association.hpp"
#include "lib/association/earlier_word.hpp"
#include "lib/association/early_attach.hpp"
#include "lib/association/in_order.hpp"
#include "lib/association/lane.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

// How long a client that is turned away may take to acknowledge our SETTINGS.
constexpr Duration refusal_patience = std::chrono::seconds(3);

// For SETTINGS, and CHOSEN right behind it, which may be lost in an outage.
constexpr Duration settings_patience = std::chrono::seconds(30);

void Association::drain_mapping(Instant now) {
    if (auto successor = mapping_->poll_successor()) {
        mapping_ = std::move(successor);
        stack_ = mapping_->stack();
    }
    // Lost destroys the mapping, and is the last event.
    mapping_->poll_events(shared_.arrived);
    handle_arrived(now);
}

void Association::handle_arrived(Instant now) {
    std::vector<Event> arrived = std::exchange(shared_.arrived, {});
    for (Event& event : arrived) {
        if (holds(now, event))
            hold(std::move(event));
        else
            std::visit([&](auto& happened) { handle(now, happened); }, event);
    }
    arrived.clear();
    shared_.arrived = std::move(arrived);
    forget_done();
    if (continuity_ && continuity_->doubting && mapping_) look_for_doubt(now);
}

// Once the application has had the chance to take what came.
void Association::relieve_budget() {
    InLane* fullest = state_ == State::established ? inbox_.fullest() : nullptr;
    if (Lane* lane = fullest ? find(fullest->carrier) : nullptr)
        cut(*lane, Error(Errc::too_slow, {}, Stage::established,
                         "received messages were left untaken until the receive budget was spent; "
                         "this Carrier held most of them"));
}

void Association::handle(Instant now, event::Established& event) {
    if (options_.role == Role::server) met_ = event;
    const bool again = std::exchange(early_, false);
    if (!again) begin_use(now, event.alpn, event.post);
    const bool unknown = options_.role == Role::server && !chosen_;
    if (unknown) choice_due_ = now + (peers_race_ ? choice_patience : settings_patience);
    alone_ = event.alone;
    messages_ = event.messages;
    chunk_until_ = {};
    connections_ = event.connections;
    datagrams_ = event.datagrams;
    resumed_ = event.resumed;
    if (race_) race_->note_resumed(resumed_);
    if (event.largest_message > 0) peer_largest_ = event.largest_message;
    if (datagrams_) inbox_.forget_windows();
    if (datagrams_)
        for (auto& [id, lane] : lanes_) inbox_.begin(lane.in);
    peer_identity_ = std::move(event.peer_identity);
    if (plain_)
        know_peer(0);
    else if (settings_)
        know_peer(peer_features_);
    if (messages_) inbox_.keep_boundaries();
    if (event.fields) inbox_.keep_fields();
    if (flight_ || !copied_.empty()) settle_early(event.early);
    if (!plain_ && continuity_)
        plug(now);
    else if (options_.role == Role::client)
        know_key();
    trace_established();
    events_.push_back(happened::Active{id()});
}

void Association::handle(Instant now, event::Opened& event) {
    const Open& open = event.open;
    const bool again = continuity_ && continuity_->epoch > 0;
    Lane* const known = find(open.carrier);
    // Over but for what the application has not taken.
    const bool left = known && again && known->ended && known->known && !known->opened;
    if (known && !left)
        return reopen(*known, open) ? void() : violation("a Carrier is opened twice");
    if (state_ == State::closing) return;
    const bool joined = joining_ && joining_->reopen_by != never;
    if ((again || joined) && inbox_.outcomes().was_opened(open.carrier)) {
        // The peer may not have heard of it.
        const Error over = again ? why_ended(open.carrier) : Error(Errc::cancelled);
        mapping_->reset(open.carrier, over);
        mapping_->stop(open.carrier, over);
        control_.push_back(Refuse{open.carrier, Errc::carrier_closed, over});
        return;
    }
    Lane& lane = make(open.carrier);
    inbox_.outcomes().opened(open.carrier);
    lane.kind = open.kind;
    lane.parent = open.parent;
    if (open.channel) lane.rarely().channel = open.channel;
    lane.opened = true;
    outbox_.opened(lane.out);
    lane.in.epoch_began = now;
    if (traces()) trace_carrier(lane);
    if (!lane.sends()) outbox_.fail(lane.out, Error(Errc::no_return_path));
    if (chosen_)
        offer(lane);
    else
        held_.push_back(lane.id());
}

void Association::offer(Lane& lane) {
    events_.push_back(happened::Opened{id(), lane.id(), lane.kind});
}

void Association::handle(Instant now, Settings& settings) {
    if (std::exchange(settings_, true)) return violation("SETTINGS came twice");
    peer_largest_ = settings.largest_message;
    know_peer(settings.features);
    if (options_.role == Role::server) options_.name = settings.association;
    if (!settings.race || options_.role == Role::client) {
        if (joining_ && joins(now, joining_->race)) return;
        choose();
        return note_remembrance(settings.association);
    }
    peers_race_ = settings.race;
    if (!early_) choice_due_ = now + choice_patience;
}

void Association::handle(Instant now, Chosen& chosen) {
    if (options_.role == Role::client) return violation("CHOSEN from a server");
    if (standing_) return violation("CHOSEN on a standby that was not attached");
    if (!peers_race_ || *peers_race_ != chosen.race)
        return violation("CHOSEN names another race than SETTINGS, or comes twice");
    if (!joins(now, chosen.race)) choose();
}

void Association::choose() {
    chosen_ = true;
    if (joining_ && joining_->reopen_by == never) joining_.reset();
    peers_race_.reset();
    brought_.reset();
    choice_due_ = never;
    met_.reset();
    know_key();
    for (CarrierId carrier : std::exchange(held_, {}))
        if (Lane* lane = find(carrier)) offer(*lane);
    replay();
}

// What of a message's terms the peer's library takes; those that say more than content wait for it.
void Association::know_peer(std::uint64_t features) {
    peer_features_ = features;
    outbox_.know_peer({.plain = plain_,
                       .properties = fields() || (features & feature::properties) != 0,
                       .antecedents = (features & feature::waits) == feature::waits,
                       .alone = alone(),
                       .messages = messages_});
    for (auto& [id, lane] : lanes_) outbox_.reconsider(lane.out);
}

// Whether a message may travel alone. A plain peer takes its bytes as it takes any.
bool Association::alone() const {
    return alone_ && (plain_ || (peer_features_ & feature::datagrams));
}

void Association::handle(Instant now, event::Arrived& event) {
    Lane* lane = find(event.piece.carrier);
    if (!lane) return;
    last_ = lane;
    if (lane->keyed) drop_copy(now, *lane, event.piece);
    Inbox::After after;
    const bool comes_after = event.piece.extras && !event.piece.extras->antecedents.empty();
    if (comes_after && !look_up(now, *event.piece.extras, after))
        return violation("a message comes after one of a Carrier that cannot be open yet");
    const Result<void> taken = inbox_.handle_piece(now, lane->in, std::move(event.piece),
                                                   comes_after ? &after : nullptr);
    if (taken) return;
    if (taken.error() == Errc::message_too_large) return cut(*lane, taken.error());
    violation(taken.error().message());
}

void Association::handle(Instant now, event::ArrivedRun& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    last_ = lane;
    if (inbox_.handle_run(now, lane->in, event)) return;
    for (std::size_t i = 0; i < event.contents.size(); ++i) {
        event::Arrived one{event.piece(i)};
        handle(now, one);
    }
}

// Ids are given at a fork, and not each fork is ever opened: no Carrier can be open from there on.
std::uint64_t Association::grant() const {
    return 2 * (inbox_.outcomes().last() + unopened_forks + 2 * options_.bounds.carriers);
}

// What of a message's antecedents is still to come. False: one of them cannot exist.
bool Association::look_up(Instant now, const Extras& extras, Inbox::After& after) {
    const bool even = options_.role == Role::client;  // our Carriers' ids
    if (extras.lifetime) after.deadline = later(now, *extras.lifetime);
    for (const Antecedent& name : extras.antecedents) {
        std::optional<bool> settled;
        if (const Lane* lane = find(name.carrier)) {
            settled = inbox_.settled(lane->in, name);
        } else {
            const bool ours = (name.carrier.value() % 2 == 0) == even;
            const bool opened = !ours && inbox_.outcomes().was_opened(name.carrier);
            if (!opened && name.carrier.value() >= (ours ? next_carrier_ : grant())) return false;
            // Of a Carrier that is gone all has come, but for what was lost with it.
            if (ours || opened)
                settled = !inbox_.outcomes().lost(name) && !inbox_.outcomes().has_failed(name);
        }
        if (!settled)
            after.missing.push_back(name);
        else if (!*settled)
            after.failed = true;
    }
    // Named twice is once.
    std::sort(after.missing.begin(), after.missing.end());
    const auto last = std::unique(after.missing.begin(), after.missing.end());
    after.missing.erase(last, after.missing.end());
    return true;
}

void Association::handle(Instant now, event::ArrivedAlone& event) {
    Lane* lane = find(event.piece.carrier);
    if (!lane) return;
    Inbox::After after;
    if (event.piece.extras && !look_up(now, *event.piece.extras, after))
        return violation("a message comes after one of a Carrier that cannot be open yet");
    inbox_.handle_alone(now, lane->in, std::move(event.piece), after, std::move(event.datagram));
}

void Association::handle(Instant now, event::SettledAlone& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    outbox_.settled_alone(lane->out, event, now + delivered_patience);
    close_gaps();
    relieve();
    forget_if_over(*lane);
}

// The peer waits for no message that travelled alone and was lost.
void Association::close_gaps() {
    for (Skip& gap : outbox_.gaps()) control_.push_back(gap);
    outbox_.gaps().clear();
}

void Association::handle(Instant, event::Finished& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    inbox_.end(now_, lane->in, Error(Errc::carrier_closed));
    relieve();
    forget_if_over(*lane);
}

void Association::handle(Instant, event::Reset& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    // Whose end we had, and stopped for that, has nothing more to say.
    const bool answer = lane->in.over && event.error == Errc::carrier_closed;
    if (!answer && !settled_before(*lane)) lane->fail(event.error);
    inbox_.end(now_, lane->in, event.error);
    relieve();
    forget_if_over(*lane);
}

void Association::handle(Instant now, event::Stopped& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    if (settled_before(*lane)) event.error = Error(Errc::carrier_closed);
    if (awaits_word(*lane, event.error, continuity_.get())) {
        outbox_.finish(lane->out);
        outbox_.block(lane->out);
        mapping_->reset(event.carrier, event.error);
        unheard_.push({now + delivered_patience, lane->id()});
        return;
    }
    // A peer that closed in good order wants nothing more, which is no fault of the Carrier's.
    if (event.error != Errc::carrier_closed) lane->fail(event.error);
    if (!lane->out.finish_pulled || lane->out.unsettled() > 0)
        mapping_->reset(event.carrier, event.error);
    outbox_.fail(lane->out, event.error);
    relieve();
    forget_if_over(*lane);
}

void Association::handle(Instant, Refuse& refuse) {
    Lane* lane = find(refuse.carrier);
    const bool again = continuity_ && continuity_->epoch > 0;
    if (!lane && again) return end_unopened(refuse.carrier);
    if (lane && again && refuse.error != Errc::carrier_refused) return end_over(*lane, refuse);
    if (!lane || !lane->ours) return;
    cut(*lane, Error(Errc::carrier_refused, {}, Stage::established,
                     "nobody at the peer accepts forks of this Carrier, nor has its Listener an "
                     "accept()"));
}

void Association::handle(Instant, event::Acked& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    outbox_.handle_acked(lane->out, event.pieces);
    relieve();
    forget_if_over(*lane);
}

void Association::handle(Instant, event::Unblocked& event) {
    if (event.carrier) {
        Lane* lane = find(*event.carrier);
        if (!lane) return;
        if (lane->listed) std::erase(blocked_, lane->id());
        lane->listed = false;
        outbox_.unblock(lane->out);
        return;
    }
    for (CarrierId carrier : std::exchange(blocked_, {})) {
        Lane* lane = find(carrier);
        if (!lane) continue;
        lane->listed = false;
        outbox_.unblock(lane->out);
    }
}

void Association::handle(Instant now, event::Ended& event) {
    Lane* lane = find(event.carrier);
    if (!lane) return;
    lane->ended = true;
    if (!lane->in.over) inbox_.end(now_, lane->in, Error(Errc::carrier_closed));
    const Error why = lane->error() ? *lane->error() : Error(Errc::carrier_closed);
    if (!lane->out.finish_pulled && !awaits_word(*lane, why, continuity_.get()))
        outbox_.fail(lane->out, why);
    // All was acknowledged, so DELIVERED is on its way; but not from a peer that aborted the
    // Carrier meanwhile: no STOP_SENDING tells of it then (RFC 9000, 3.5).
    if (lane->out.unsettled() > 0) {
        if (lane->error() && *lane->error() != Errc::carrier_closed)
            outbox_.fail(lane->out, *lane->error());
        else
            unheard_.push({now + delivered_patience, lane->id()});
        // So that the list is as long as what is awaited.
        for (int i = 0; i < 2 && !unheard_.empty() && !find(unheard_.front().second); ++i)
            unheard_.pop();
    }
    relieve();
    forget_if_over(*lane);
}

void Association::handle(Instant now, Skip& skip) {
    Lane* lane = find(skip.carrier);
    if (!lane) return;
    const bool again = continuity_ && continuity_->epoch > 0 && skip.first.value() == 0;
    if (!again) return inbox_.handle_skip(now, lane->in, skip);
    inbox_.handle_skip_again(now, lane->in, skip);
}

void Association::handle(Instant now, Abandon& abandon) {
    if (Lane* lane = find(abandon.carrier)) inbox_.handle_abandon(now, lane->in, abandon);
}

// Servers decide how many come, and they are taken once a turn.
void Association::handle(Instant, event::Ticket& event) {
    if (keepsakes_.size() < most_keepsakes) keepsakes_.emplace_back(std::move(event));
}

void Association::handle(Instant, event::Token& event) {
    if (keepsakes_.size() < most_keepsakes) keepsakes_.emplace_back(std::move(event));
}

void Association::handle(Instant, event::Soft& event) {
    const Lane* lane = find(event.carrier);
    if (lane && lane->out.tag != no_tag)
        events_.push_back(happened::Soft{lane->out.tag, std::move(event.error)});
}

void Association::handle(Instant, event::Moved& event) {
    events_.push_back(happened::Moved{id(), event.number, std::move(event.error)});
}

void Association::handle(Instant, event::PathChanged&) {
    events_.push_back(happened::PathChanged{id(), mapping_->path()});
}

void Association::handle(Instant now, event::Lost& event) {
    trace_end(*mapping_, attempt_, event.error);
    if (!mapping_->over()) leaves_.push_back({attempt_, std::move(mapping_), true});
    mapping_.reset();
    // A client that went before it was there, or before it said who it is, is nobody's loss.
    const bool begun = state_ == State::connecting || (early_ && lanes_.empty());
    const bool nobody = begun && !continuity_ &&
                        (event.error == Errc::connection_closed ||
                         event.error == Errc::handshake_timeout);
    const bool unnamed = state_ == State::established && !chosen_ && lanes_.empty() &&
                         (is_outage(event.error) || is_withdrawal(event.error));
    if (options_.role == Role::server && (nobody || unnamed))
        event.error = Error(Errc::carrier_closed);
    if (handle_lost_at_rest(now, event.error) || waits_for_choice(now, event.error)) return;
    const bool refused = continuity_ && continuity_->attaching && state_ == State::established &&
                         event.error.cause == make_error_code(Errc::not_attached);
    if (refused) return handle_refusal(now, event.error);
    if (mends(event.error)) {
        if (!standby_ || !standby_->take_over(now, event.error)) break_off(now, event.error);
        return;
    }
    if (begins_again(event.error)) {
        ++beginnings_;
        return start_anew(now, event.error);
    }
    end_ = state_ == State::closing ? end_ : event.error;
    after_failure();
}

// Carriers that waited for nothing but messages that were dropped.
void Association::forget_done() {
    for (CarrierId carrier : inbox_.poll_done()) {
        relieve();
        if (Lane* lane = find(carrier)) forget_if_over(*lane);
    }
}

void Association::shut(const Error& error) {
    if (state_ == State::gone || state_ == State::closing) return;
    // Who is turned away hears our SETTINGS first, so that he can tell what it means (FORMAT.md,
    // 7.2: remembrance): a close may come where they were lost.
    const bool heard = !mapping_ || (control_.empty() && mapping_->quiet());
    if (error == Errc::not_attached && !end_ && !heard) {
        end_ = error;
        choice_due_ = now_ + refusal_patience;
        return;
    }
    forget_client();
    if (mapping_ && !mapping_->over()) {
        mapping_->close(error);
        state_ = State::closing;
        fail_all(error);
    } else if (!leaves_.empty()) {
        close_leaves(error);
        state_ = State::closing;
        fail_all(error);
    } else {
        end_ = error;
        after_failure();
    }
}

void Association::shut_if_idle() {
    if (!lanes_.empty()) return;
    if (state_ == State::established) shut(Error(Errc::carrier_closed));
    if (state_ <= State::connecting) shut(Error(Errc::carrier_closed));
}

// The peer broke a rule of FORMAT.md.
void Association::violation(std::string_view what) {
    shut(Error(Errc::protocol_violation, {}, Stage::established, Bytes(what)));
}

// All that is open ends; the order of the Carriers is that of their ids, so that runs repeat.
void Association::fail_all(const Error& error) {
    if (!end_) end_ = error;
    for (CarrierId carrier : in_order(lanes_)) {
        Lane* lane = find(carrier);
        if (!lane) continue;
        lane->fail(error);
        outbox_.fail(lane->out, error);
        inbox_.end(now_, lane->in, error);
        lane->ended = true;
        relieve();
        forget_if_over(*lane);
    }
    forget_done();
}

void Association::after_failure() {
    if (state_ == State::gone) return;
    // Who says that it goes is not one that comes back; but what is said when another connection
    // shall take the place of this one, or when only the end of DTLS was heard, says no such thing.
    const bool wordless = stack_ == Stack::sctp_dtls && !end_.cause;
    const bool leaves = end_ == Errc::connection_closed && !wordless && !is_outage(end_);
    if (!leaves) forget_client();
    if (continuity_) shared_.standbys.forget(id());
    state_ = State::gone;
    if (mapping_) trace_end(*mapping_, attempt_, end_);
    fail_all(end_);
    if (traces()) trace(traced::AssociationClosed{end_});
    // Whoever was turned away is nobody's loss, nor is who brought copies alone.
    const bool copies = standing_ || (brought_ && end_ != Errc::protocol_violation);
    if (end_ == Errc::not_attached || copies) end_ = Error(Errc::carrier_closed);
    events_.push_back(happened::Gone{id(), end_});
}

}  // namespace post::core
