// The life of the connections, the commands, and the time.
#include "mappings/tcp/connections.hpp"

#include <algorithm>
#include <utility>

#include "mappings/framing/error_codes.hpp"

namespace post::tcp {

Connections::Connections(Endpoint& endpoint, Instant now, const ConnectOptions& options)
    : endpoint_(endpoint),
      role_(Role::client),
      stack_(options.security ? Stack::tls : Stack::tcp),
      transport_(options.transport),
      connect_(options),
      local_(options.local),
      remote_(options.remote),
      now_(now),
      inbox_(endpoint.received()),
      allowed_(options.transport.limits.budget) {
    make_link();
}

Connections::Connections(Endpoint& endpoint, Instant now, const TransportOptions& options,
                         const Address& local, const Address& remote,
                         std::unique_ptr<crypto::TlsStream> tls)
    : endpoint_(endpoint),
      role_(Role::server),
      stack_(tls ? Stack::tls : Stack::tcp),
      transport_(options),
      local_(local),
      remote_(remote),
      now_(now),
      inbox_(endpoint.received()),
      allowed_(options.limits.budget) {
    Link& link =
        *links_.emplace(spare_, std::make_unique<Link>(spare_, now, options.segment)).first->second;
    next_link_ = 1;
    link.room = true;
    if (!tls) {
        open(link);
        return;
    }
    link.tls = std::move(tls);
    link.state = Link::State::handshaking;
    half_open_ = true;
    endpoint_.opened_half();
    list(link);
    arm(link);
}

Connections::~Connections() {
    if (half_open_) endpoint_.closed_half();
}

Link* Connections::find(LinkId id) {
    const auto at = links_.find(id);
    return at == links_.end() ? nullptr : at->second.get();
}

// In an order that does not depend on the table.
std::vector<LinkId> Connections::all_links() const {
    std::vector<LinkId> all;
    for (const auto& [id, link] : links_) all.push_back(id);
    std::sort(all.begin(), all.end());
    return all;
}

Link* Connections::find(CarrierId carrier) {
    const auto at = by_carrier_.find(carrier);
    return at == by_carrier_.end() ? nullptr : find(at->second);
}

// The life of a link.

Link& Connections::make_link() {
    const LinkId id{next_link_++};
    Link& link =
        *links_.emplace(id, std::make_unique<Link>(id, now_, transport_.segment)).first->second;
    want(link, link::Connect{});
    arm(link);
    return link;
}

void Connections::give(Link& link, CarrierId carrier) {
    link.carrier = carrier;
    link.reader.emplace(carrier);
    link.allowed = transport_.limits.carrier_window;
    by_carrier_[carrier] = link.id();
    hand_up_early(link);
    hold_back(link);
}

void Connections::begin_session(Link& link) {
    link.state = Link::State::handshaking;
    link.tls = std::make_unique<crypto::TlsStream>(endpoint_.credentials(), *connect_->security,
                                                   connect_->alpn, endpoint_.protection());
    link.tls->start();
    list(link);
}

// Bytes of the Carrier can go both ways.
void Connections::open(Link& link) {
    link.state = Link::State::open;
    if (state_ == State::handshaking) establish(link);
    hold_back(link);
    unblock(link);
    list(link);
    arm(link);
}

void Connections::establish(const Link& link) {
    state_ = State::established;
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
    event::Established established;
    if (link.tls) {
        established.alpn = alpn_ = link.tls->alpn();
        established.peer_identity = link.tls->peer_certificate();
    }
    established.connections = true;
    inbox_.add(std::move(established));
    if (role_ == Role::client) return;
    want(link, link::Ask{});  // for the round trip
    // The client's first Carrier, and its only one here.
    inbox_.add(event::Opened{Open{CarrierId{0}, {}}});
    give(*find(link.id()), CarrierId{0});
}

void Connections::follow(Link& link, crypto::TlsStream::Progress progress) {
    using Progress = crypto::TlsStream::Progress;
    if (progress == Progress::failed) return fail(link, link.tls->error());
    if (link.tls->has_output()) list(link);
    if (progress == Progress::waiting) return;
    if (link.state == Link::State::handshaking) {
        if (state_ == State::established && link.tls->alpn() != alpn_)
            return fail(link, Error(Errc::alpn_mismatch, {}, Stage::handshake,
                                    "the peer chose another protocol for this connection"));
        open(link);
    }
    if (progress == Progress::closed) end_reading(link);
}

void Connections::end_if_over(Link& link) {
    if (!link.carrier || !link.sent_all() || !(link.told || link.discarding)) return;
    inbox_.add(event::Ended{*link.carrier});
    forget(link, false, Error(Errc::carrier_closed));
}

// What ends this one ends no other; but without a first one there is no connection at all.
void Connections::fail(Link& link, Error error) {
    if (error.candidate.family == Address::Family::none) error.candidate = remote_;
    if (link.carrier) {
        inbox_.add(event::Reset{*link.carrier, error});
        inbox_.add(event::Ended{*link.carrier});
    }
    if (!link.tls || !link.tls->has_output()) return forget(link, false, error);
    // TLS has a last word.
    if (link.carrier) by_carrier_.erase(*link.carrier);
    link.carrier.reset();
    link.leaving = true;
    list(link);
    arm(link);
    if (state_ == State::handshaking || role_ == Role::server) lose(std::move(error));
}

void Connections::forget(Link& link, bool reset, const Error& last) {
    remove(link, reset);
    if (state_ == State::handshaking || role_ == Role::server) return lose(last);
    connect_waiting();
}

// Carriers that were opened while there were as many connections as may be.
void Connections::connect_waiting() {
    while (!waiting_.empty() && links_.size() < transport_.limits.most_carriers) {
        const CarrierId carrier = waiting_.front();
        waiting_.pop_front();
        Link& next = make_link();
        next.blocked = true;
        give(next, carrier);
    }
}

void Connections::remove(Link& link, bool reset) {
    want(link, link::Close{reset});
    if (link.armed != never) timers_.erase({link.armed, link.id()});
    if (link.carrier) by_carrier_.erase(*link.carrier);
    links_.erase(link.id());
}

void Connections::lose(Error error) {
    if (state_ == State::over) return;
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
    inbox_.add(event::Lost{std::move(error)});
    state_ = State::over;
}

// Commands.

// TCP has one reset for both directions.
void Connections::reset(CarrierId carrier, Error) {
    const auto waits = std::find(waiting_.begin(), waiting_.end(), carrier);
    if (waits != waiting_.end()) {
        waiting_.erase(waits);
        inbox_.add(event::Ended{carrier});
    }
    Link* link = find(carrier);
    if (!link) return;
    inbox_.add(event::Ended{carrier});
    forget(*link, true, Error(Errc::carrier_closed));
}

void Connections::stop(CarrierId carrier, Error) {
    Link* link = find(carrier);
    if (!link) return;
    link->discarding = true;
    link->early = {};
    hold_back(*link);
    end_if_over(*link);
}

void Connections::extend_window(CarrierId carrier, std::uint64_t bytes) {
    Link* link = find(carrier);
    if (!link) return;
    link->allowed += bytes;
    hand_up_early(*link);
    hold_back(*link);
    end_if_over(*link);
}

void Connections::extend_budget(std::uint64_t bytes) {
    allowed_ += bytes;
    if (received_ >= allowed_ || !std::exchange(budget_spent_, false)) return;
    for (const LinkId id : all_links()) {
        Link& link = *find(id);
        hand_up_early(link);
        hold_back(link);
        end_if_over(link);
    }
}

// A fresh Carrier would have taken the first one.
std::optional<LinkId> Connections::release(CarrierId carrier) {
    Link* link = find(carrier);
    Link* const spare = find(spare_);
    if (!link && spare && !spare->carrier) link = spare;
    const bool whole = link && !link->tls && link->state == Link::State::open && link->at_rest() &&
                       !link->finishing() && link->flight.settled() && !link->finished &&
                       link->early.empty() && !link->discarding;
    if (!whole) return std::nullopt;
    const LinkId id = link->id();
    inbox_.add(event::Ended{carrier});
    forget(*link, false, Error(Errc::carrier_closed));
    // The connection is not ours to close.
    std::erase_if(wants_, [&](const LinkWant& want) { return want.link == id; });
    return id;
}

// Whoever has sent all that he wanted ends in good order, and the others are cut.
void Connections::close(Error) {
    if (state_ == State::over) return;
    mute_ = true;
    state_ = State::over;
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
    for (const LinkId id : all_links()) {
        Link& link = *find(id);
        const bool cut = link.state == Link::State::open && !link.at_rest();
        if (cut || link.state != Link::State::open) {
            remove(link, cut);
            continue;
        }
        link.finish();
        list(link);
    }
}

// Input.

void Connections::handle_link(Instant now, const LinkNews& news) {
    advance(now);
    Link* link = find(news.link);
    if (!link || link->leaving || state_ == State::over) return;
    std::visit([&](const auto& what) { handle(*link, what); }, news.what);
}

void Connections::handle(Link& link, const link::Begun& news) {
    if (link.id() == spare_) local_ = news.local;
}

void Connections::handle(Link& link, const link::Failed& news) {
    Error error = news.error;
    error.stage = Stage::connect;
    fail(link, std::move(error));
}

void Connections::handle(Link& link, const link::Writable& news) {
    link.room = true;
    link.run = news.run;
    if (link.flight.ask_now()) want(link, link::Ask{});
    if (link.state != Link::State::connecting) {
        unblock(link);
        list(link);
        return arm(link);
    }
    if (link.id() == spare_) measure(now_ - link.began());
    connect_->security ? begin_session(link) : open(link);
}

void Connections::handle(Link& link, const link::Full&) {
    link.room = false;
    full_.push_back(link.id());
}

void Connections::handle(Link& link, const link::Ended&) {
    using Progress = crypto::TlsStream::Progress;
    if (!link.tls || link.tls->progress() == Progress::closed) return end_reading(link);
    // RFC 8446, 6.1: without close_notify it may be somebody else who ended it.
    const bool early = link.state != Link::State::open;
    fail(link, Error(early ? Errc::handshake_failed : Errc::connection_lost, {},
                     early ? Stage::handshake : Stage::established,
                     early ? "the peer closed the connection in the handshake"
                           : "the stream was cut: it ended without TLS's close_notify"));
}

void Connections::handle(Link& link, const link::Broken& news) {
    // It has said all, has all of ours, and did not wait for our last word.
    if (link.finished && link.finishing() && link.at_rest() && link.flight.pieces_settled()) {
        if (link.carrier) inbox_.add(event::Ended{*link.carrier});
        return forget(link, false, Error(Errc::carrier_closed));
    }
    if (link.state == Link::State::open) {
        const bool reset = news.code == std::errc::connection_reset ||
                           news.code == std::errc::broken_pipe;
        return fail(link, Error(reset ? Errc::carrier_reset : Errc::connection_lost, news.code,
                                Stage::established, "the TCP connection broke"));
    }
    const bool made = link.state == Link::State::handshaking;
    Errc errc = framing::errc_of_trouble(news.code);
    if (made) errc = Errc::handshake_failed;
    if (errc == Errc{}) errc = Errc::unreachable;
    fail(link, Error(errc, news.code, made ? Stage::handshake : Stage::connect,
                     made ? "the TCP connection broke" : ""));
}

void Connections::handle(Link& link, const link::Unacknowledged& news) {
    if (news.round_trip > Duration::zero()) measure(news.round_trip);
    const std::uint64_t pieces = link.flight.handle_unacknowledged(now_, news.bytes);
    if (pieces > 0 && link.carrier) inbox_.add(event::Acked{*link.carrier, pieces});
    arm(link);
    end_if_over(link);
}

void Connections::measure(Duration round_trip) {
    const bool first = round_trip_ == Duration::zero();
    round_trip_ = round_trip;
    shortest_round_trip_ = first ? round_trip : std::min(shortest_round_trip_, round_trip);
}

// Time.

Instant Connections::due(const Link& link) const {
    if (link.leaving) return never;
    const Instant ask = link.flight.ask_at();
    if (link.state == Link::State::open) return ask;
    return std::min(ask, later(link.began(), transport_.limits.handshake_timeout));
}

void Connections::arm(Link& link) {
    const Instant at = due(link);
    if (at == link.armed) return;
    if (link.armed != never) timers_.erase({link.armed, link.id()});
    link.armed = at;
    if (at != never) timers_.insert({at, link.id()});
}

void Connections::handle_timeout(Instant now) {
    advance(now);
    while (!timers_.empty() && timers_.begin()->first <= now_ && state_ != State::over) {
        Link& link = *find(timers_.begin()->second);
        timers_.erase(timers_.begin());
        link.armed = never;
        const bool late = link.state != Link::State::open &&
                          now_ >= later(link.began(), transport_.limits.handshake_timeout);
        if (late) {
            fail(link,
                 Error(Errc::handshake_timeout, {},
                       link.state == Link::State::connecting ? Stage::connect : Stage::handshake));
            continue;
        }
        if (link.flight.ask(now_)) want(link, link::Ask{});
        arm(link);
    }
}

Instant Connections::deadline() const {
    return timers_.empty() || state_ == State::over ? never : timers_.begin()->first;
}

// Views.

std::uint64_t Connections::send_window(CarrierId carrier) const {
    const Link* link = const_cast<Connections*>(this)->find(carrier);
    return link && can_send(*link) ? unlimited : 0;
}

Path Connections::path() const {
    Path path;
    path.local = local_;
    path.remote = remote_;
    path.mtu = transport_.segment;
    path.smoothed_rtt = round_trip_;
    path.minimum_rtt = shortest_round_trip_;
    path.rate = rate_.rate();
    path.bytes_sent = bytes_sent_;
    path.bytes_received = bytes_received_;
    return path;
}

bool Connections::quiet() const {
    return std::all_of(links_.begin(), links_.end(), [](const auto& one) {
        return one.second->flight.settled() && !one.second->has_output();
    });
}

bool Connections::over() const {
    if (state_ != State::over || !wants_.empty()) return false;
    return std::none_of(links_.begin(), links_.end(),
                        [](const auto& one) { return one.second->has_output(); });
}

std::optional<LinkWant> Connections::poll_link() {
    if (wants_.empty()) return std::nullopt;
    const LinkWant first = std::move(wants_.front());
    wants_.pop_front();
    return first;
}

}  // namespace post::tcp
