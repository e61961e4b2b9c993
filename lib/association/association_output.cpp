// What goes down to the mapping and out to the root: the supply, timers, wants.
#include <algorithm>

#include "lib/association/association.hpp"
#include "lib/association/earlier_word.hpp"
#include "lib/association/lane.hpp"
#include "lib/association/standby.hpp"

namespace post::core {

namespace {

constexpr Duration idle_close = std::chrono::seconds(5);

}  // namespace

void Association::prepare(Instant now) {
    now_ = now;
    if (dormancy_) tend_rest(now);
    if (standby_) standby_->tend();
    // A server waits for its client: only that knows what it still wants to open.
    const bool open = state_ == State::connecting || state_ == State::established;
    if (!lanes_.empty() || options_.role == Role::server || !open)
        idle_since_ = never;
    else if (idle_since_ == never)
        idle_since_ = now;
    if (!mapping_) return;
    if (traces()) trace_path();
    mapping_->keep_alive(!lanes_.empty());
    // What was said of those is acknowledged, as all is.
    if (continuity_ && !continuity_->ended.empty() && control_.empty() && inbox_.silent() &&
        mapping_->quiet())
        continuity_->ended = {};
    relieve_budget();
    inbox_.flush(now, *mapping_);
    if (shared_.outstanding == 0) shared_.sent.rest();
    outbox_.wake_starved();
    if (outbox_.packed_messages() == 0) heard_ = now;
    if (stall_check_ == never && options_.bounds.stalled_after > Duration::zero())
        stall_check_ = now + options_.bounds.stalled_after / 4;
}

Datagrams Association::poll_transmit(Instant now, AttemptId attempt, std::span<std::byte> space) {
    now_ = now;
    if (!is_active(attempt)) return transmit_leaf(now, attempt, space);
    traffic_ = false;
    Datagrams datagrams = mapping_->poll_transmit(now, *this, space);
    if (end_ && state_ == State::established && control_.empty() && mapping_->quiet())
        shut(Error(end_));
    for (CarrierId carrier : std::exchange(closed_early_, {})) {
        if (const Lane* lane = find(carrier))
            say_end_again(*lane);
        else
            mapping_->stop(carrier, Error(Errc::carrier_closed));
    }
    if (mapping_->over() && datagrams.empty() && !datagrams.end) after_failure();
    return datagrams;
}

void Association::poll_events(std::vector<Happened>& events) {
    if (mapping_ && state_ != State::gone) drain_mapping(now_);
    drain_leaves(now_);
    relieve();
    for (Happened& event : events_) events.push_back(std::move(event));
    events_.clear();
    if (state_ == State::gone) mapping_.reset();
}

// Supply.

Outgoing* Association::next() {
    if (state_ != State::established) return nullptr;
    if (!control_.empty()) {
        out_ = std::move(control_.front());
        control_.pop_front();
        return &out_;
    }
    if (!plain_ && inbox_.report_due(now_, traffic_)) {
        Delivered report;
        if (inbox_.next_report(report)) {
            out_ = std::move(report);
            return &out_;
        }
    }
    std::uint64_t most = unlimited;
    OutLane* const lane = turn(most);
    if (!lane) return nullptr;
    traffic_ = true;
    if (!lane->opened) return open_for(*find(lane->carrier));
    // At most 2 ms of what the path takes, at least a packet, so that what is urgent waits for no
    // more than that. Of what the transport has as one message it gets all.
    if (messages_) {
        chunk_ = unlimited;
    } else if (now_ >= chunk_until_) {
        const Path path = mapping_->path();
        const std::uint64_t rate = path.rate / 500;
        chunk_ = std::clamp<std::uint64_t>(rate, std::max<std::size_t>(path.mtu, 1200),
                                           Outbox::largest_chunk);
        chunk_until_ = now_ + std::chrono::milliseconds(1);
    }
    if (messages_ && lane->stream) return next_of_stream();
    outbox_.next(now_, std::min(chunk_, most), out_);
    return &out_;
}

// Whose turn it is, and of how much: long messages leave the last of their Carrier's window to what
// is more urgent. The frames around the chunks are in that window, too.
OutLane* Association::turn(std::uint64_t& most) {
    constexpr std::uint64_t reserve = Outbox::kept_for_urgent + 32;
    for (;;) {
        OutLane* const lane = outbox_.turn();
        if (!lane || plain_ || !lane->opened) return lane;
        const Outbox::Bulk bulk = outbox_.bulk_next();
        if (bulk == Outbox::Bulk::no) return lane;
        most = mapping_->window_beyond(lane->carrier, reserve);
        if (most > 0) return lane;
        most = 1;
        if (bulk == Outbox::Bulk::fresh) return lane;
        most = unlimited;
        outbox_.hold_bulk(*lane);
    }
}

// To a plain peer whose transport has messages a Stream is messages whose boundaries mean nothing,
// none longer than what everybody takes (RFC 8831, 6.6).
Outgoing* Association::next_of_stream() {
    outbox_.next(now_, small_channel_message, out_);
    if (auto* piece = std::get_if<Piece>(&out_)) piece->marks.stream = true;
    return &out_;
}

Supply::Run Association::more(std::uint64_t room) {
    return outbox_.more(room, std::min<std::uint64_t>(chunk_, small_content - 1));
}

// A fork opens its parent first, so that the peer knows whom to ask.
Outgoing* Association::open_for(Lane& lane) {
    Lane* first = &lane;
    for (;;) {
        Lane* parent = first->parent ? find(*first->parent) : nullptr;
        if (!parent || parent->opened || !parent->ours || parent->ended) break;
        first = parent;
    }
    first->opened = true;
    outbox_.opened(first->out);
    inbox_.plug(now_, first->in);
    if (says_end_behind_open(*first)) closed_early_.push_back(first->id());
    if (first->known || first->out.again) say_gaps(*first);
    Open open{first->id(),         first->parent,         first->kind,
              first->out.priority, first->rare().channel, first->rare().target};
    open.resumed = first->resumed;
    out_ = std::move(open);
    return &out_;
}

void Association::packed(CarrierId carrier, std::uint64_t pieces) {
    if (standby_ && (pieces = standby_->without_copies(carrier, pieces)) == 0) return;
    Lane* lane = find(carrier);
    if (!lane) return;
    last_ = lane;
    outbox_.packed(lane->out, pieces);
}

void Association::packed_alone(CarrierId carrier, NicenessClass niceness, Sequence sequence) {
    if (Lane* lane = find(carrier)) outbox_.packed_alone(lane->out, niceness, sequence);
}

void Association::refused(CarrierId carrier, NicenessClass niceness, Sequence sequence,
                          const Error& reason) {
    if (Lane* lane = find(carrier)) outbox_.refused(lane->out, niceness, sequence, reason);
}

void Association::blocked(CarrierId carrier) {
    Lane* lane = find(carrier);
    if (!lane) return;
    outbox_.block(lane->out);
    if (lane->listed) return;
    lane->listed = true;
    blocked_.push_back(carrier);
}

// Time.

Instant Association::deadline() const {
    if (state_ == State::gone) return never;
    Instant first = outbox_.deadline();
    if (mapping_) first = std::min(first, mapping_->deadline());
    first = std::min({first, race_deadline(), continuity_deadline(), rest_deadline()});
    if (standby_) first = std::min(first, standby_->deadline());
    if (idle_since_ != never) first = std::min(first, idle_since_ + idle_close);
    if (state_ == State::established) {
        first = std::min(first, inbox_.deadline());
        if (outbox_.packed_messages() > 0 && !plain_)
            first = std::min(first, heard_ + delivered_patience);
        if (inbox_.charged() > 0 || mapping_->any_begun()) first = std::min(first, stall_check_);
    }
    if (!lingering_.empty()) first = std::min(first, lingering_.front().first);
    if (!unheard_.empty()) first = std::min(first, unheard_.front().first);
    return first;
}

void Association::handle_timeout(Instant now) {
    now_ = now;
    if (state_ == State::gone) return;
    outbox_.handle_timeout(now);
    close_gaps();
    relieve();
    while (!lingering_.empty() && lingering_.front().first <= now) {
        const CarrierId carrier = lingering_.front().second;
        lingering_.pop();
        if (Lane* lane = find(carrier))
            cut(*lane, Error(Errc::cancelled, {}, Stage::established,
                             "closed, and not delivered within Bounds::linger"));
    }
    give_up_unheard(now);
    if (idle_since_ != never && idle_since_ + idle_close <= now) {
        idle_since_ = never;
        return shut(Error(Errc::carrier_closed));
    }
    inbox_.handle_timeout(now);
    forget_done();
    if (!time_continuity(now) || !time_rest(now)) return;
    time_leaves(now);
    time_joining(now);
    if (standby_) standby_->handle_timeout(now);
    if (choice_due_ <= now && !(standing_ && standing_->look(now))) {
        choice_due_ = never;
        return shut(end_ ? Error(end_) : Error(Errc::never_chosen, {}, Stage::established));
    }
    if (!mapping_) return;
    if (mapping_->deadline() <= now) mapping_->handle_timeout(now);
    drain_mapping(now);
    if (state_ != State::established) return;
    if (stall_check_ <= now) {
        stall_check_ = now + options_.bounds.stalled_after / 4;
        cut_stalled(now);
    }
    if (!plain_ && outbox_.packed_messages() > 0 && heard_ + delivered_patience <= now) {
        // Of a peer that says nothing at all the transport has to judge.
        const bool speaks = mapping_->heard() > now - delivered_patience / 2;
        if (speaks && mapping_->quiet() && !give_up_unheard(never))
            shut(Error(Errc::delivered_missing));
        else
            heard_ = now;
    }
}

void Association::cut_stalled(Instant now) {
    std::vector<CarrierId> late;
    for (const InLane* lane : inbox_.stalled(now)) late.push_back(lane->carrier);
    for (const auto& [carrier, grew] : mapping_->poll_begun())
        if (Lane* lane = find(carrier); lane && inbox_.stuck(lane->in, grew))
            late.push_back(carrier);
    for (const CarrierId carrier : late)
        if (Lane* lane = find(carrier))
            cut(*lane, Error(Errc::stalled, {}, Stage::established,
                             "a message was begun, or waits for others, and made no progress "
                             "(Bounds::stalled_after)"));
}

// Fails what the peer will never speak of, since the Carriers are gone at its side; true when there
// was any. That is no reason to close the association.
bool Association::give_up_unheard(Instant until) {
    bool any = false;
    while (!unheard_.empty() && unheard_.front().first <= until) {
        const CarrierId carrier = unheard_.front().second;
        unheard_.pop();
        Lane* lane = find(carrier);
        if (!lane || !lane->ended) continue;  // or it goes on over another connection
        any = true;
        // One that the peer has closed was not to be finished by us.
        outbox_.fail(lane->out, Error(lane->out.finish_pulled ? Errc::delivered_missing
                                                              : Errc::carrier_closed));
        relieve();
        forget_if_over(*lane);
    }
    return any;
}

}  // namespace post::core
