// What goes through the connections: input to events, and the supply's pieces to runs.
#include <algorithm>
#include <utility>

#include "mappings/tcp/connections.hpp"

namespace post::tcp {

namespace {

// Who has room for more than so many bytes is not told how many: the edge takes no more in one go.
constexpr std::uint64_t most_in_one_go = 256 * 1024;
// A record of two bytes, an alert or as much content, with the longest tag of TLS 1.3 (RFC 8446,
// 5.2): so that close_notify is heard behind a window that is used up.
constexpr std::size_t shortest_record = crypto::tls_header_size + 2 + 1 + 16;

}  // namespace

// Receiving.

void Connections::handle_input(Instant now, const Datagrams& bytes) {
    advance(now);
    Link* link = find(bytes.link);
    if (!link || link->leaving || state_ == State::over || bytes.bytes.empty()) return;
    heard_ = now_;
    bytes_received_ += bytes.bytes.size();
    if (link->flight.ask_now()) want(*link, link::Ask{});
    if (!link->tls) {
        receive(*link, bytes.bytes);
        return hold_back(*link);
    }
    crypto::TlsStream::Sink sink = [&](std::span<const std::byte> content) {
        receive(*link, content);
        return true;
    };
    if (shut(*link)) link->beyond += bytes.bytes.size();
    const auto progress = link->tls->handle_input(bytes.bytes, endpoint_.room(), sink);
    hold_back(*link);
    follow(*link, progress);
}

// What its windows have no room for waits here: at most what the system was allowed to take, and of
// TLS a record.
void Connections::receive(Link& link, std::span<const std::byte> content) {
    if (link.discarding || content.empty() || mute_) return;
    hand_up_early(link);
    const auto now = content.first(
        std::min<std::uint64_t>(content.size(), link.early.empty() ? window(link) : 0));
    if (!now.empty()) hand_up(link, now);
    const auto rest = content.subspan(now.size());
    link.early.insert(link.early.end(), rest.begin(), rest.end());
}

void Connections::hand_up(Link& link, std::span<const std::byte> content) {
    link.received += content.size();
    received_ += content.size();
    Bytes kept = inbox_.keep(content);
    if (!inbox_.extend_whole(*link.carrier, kept))
        inbox_.arrived(link.reader->take(std::move(kept)));
    if (received_ < allowed_ || std::exchange(budget_spent_, true)) return;
    for (auto& [id, other] : links_) hold_back(*other);
}

// There is a Carrier now, or more room.
void Connections::hand_up_early(Link& link) {
    const std::size_t size = std::min<std::uint64_t>(link.early.size(), window(link));
    if (size > 0) {
        hand_up(link, std::span(link.early).first(size));
        link.early.erase(link.early.begin(),
                         link.early.begin() + static_cast<std::ptrdiff_t>(size));
        if (link.early.empty()) link.early = {};
    }
    if (link.carrier && link.finished && link.early.empty() && !std::exchange(link.told, true))
        inbox_.add(event::Finished{*link.carrier});
}

std::uint64_t Connections::window(const Link& link) const {
    if (!link.carrier || link.received >= link.allowed || received_ >= allowed_) return 0;
    return std::min(link.allowed - link.received, allowed_ - received_);
}

std::uint64_t Connections::room(const Link& link) const {
    return link.carrier ? window(link) : transport_.limits.carrier_window;
}

// A Carrier that nobody reads holds its own peer, and a spent budget all of them. Whoever has no
// Carrier yet is given the window of one. A record of TLS is worth nothing before all of it is
// here. The end of TCP is seen where nothing is taken, that of TLS is a record.
std::size_t Connections::most_to_take(const Link& link) const {
    constexpr std::size_t any = ~std::size_t{0};
    if (link.discarding || link.state != Link::State::open) return any;
    const std::uint64_t left = room(link);
    if (left <= link.early.size())
        return link.tls && link.early.empty() && link.beyond < shortest_record
                   ? shortest_record - link.beyond
                   : 0;
    const std::uint64_t most = left - link.early.size() +
                               (link.tls ? crypto::tls_header_size + crypto::largest_tls_fragment
                                         : 0);
    return most < most_in_one_go ? most : any;
}

void Connections::hold_back(Link& link) {
    if (!shut(link)) link.beyond = 0;
    const std::size_t most = most_to_take(link);
    if (most == link.most) return;
    link.most = most;
    want(link, link::Take{most});
}

void Connections::end_reading(Link& link) {
    if (std::exchange(link.finished, true)) return;
    hand_up_early(link);
    end_if_over(link);
}

// Sending.

bool Connections::can_send(const Link& link) const {
    return link.state == Link::State::open && link.room && !link.leaving;
}

void Connections::list(Link& link) {
    if (!std::exchange(link.listed, true)) ready_.push_back(link.id());
}

void Connections::unblock(Link& link) {
    if (can_send(link) && link.carrier && std::exchange(link.blocked, false))
        inbox_.add(event::Unblocked{*link.carrier});
}

// Before anything more of theirs is pulled.
void Connections::tell_blocked(Supply& supply) {
    for (const LinkId id : std::exchange(full_, {})) {
        Link* link = find(id);
        if (!link || link->room || !link->carrier || std::exchange(link->blocked, true)) continue;
        supply.blocked(*link->carrier);
    }
}

Datagrams Connections::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    advance(now);
    tell_blocked(supply);
    while (!ready_.empty()) {
        Link* link = find(ready_.front());
        // What is last waits for nobody.
        const bool last = link && (link->leaving || state_ == State::over);
        if (link && (link->room || last) && link->has_output()) {
            const Datagrams run = write(*link, supply, space);
            if (!run.empty() || run.end) return run;
        }
        ready_.pop_front();
        if (link) link->listed = false;
        if (last) remove(*link, false);
    }
    if (state_ != State::established) return {};
    connect_waiting();
    while (Link* link = pull(supply)) {
        const Datagrams run = write(*link, supply, space);
        // Of a message without a byte there is nothing to be sent.
        if (!run.empty() || run.end) return run;
    }
    return {};
}

// Pieces of one Carrier that go in one run; that of another is kept for the next.
Link* Connections::pull(Supply& supply) {
    Link* filling = nullptr;
    while (!filling || filling->queued() < filling->run) {
        Outgoing* const outgoing = supply.next();
        if (!outgoing) break;
        Link* const to = take(*outgoing, supply);
        if (!to || !can_send(*to)) continue;
        if (filling && to != filling) {
            list(*to);
            break;
        }
        filling = to;
    }
    return filling;
}

// To whom it went; nullptr: nothing is to be written for it.
Link* Connections::take(Outgoing& outgoing, Supply& supply) {
    if (const auto* piece = std::get_if<Piece>(&outgoing)) {
        Link* link = find(piece->carrier);
        if (!link) return nullptr;
        link->push(*piece);
        if (!can_send(*link) && !std::exchange(link->blocked, true)) supply.blocked(piece->carrier);
        return link;
    }
    if (const auto* end = std::get_if<Finish>(&outgoing)) {
        Link* link = find(end->carrier);
        if (link) link->finish();
        return link;
    }
    if (const auto* open = std::get_if<Open>(&outgoing)) take_open(*open, supply);
    return nullptr;
}

void Connections::take_open(const Open& open, Supply& supply) {
    if (role_ == Role::server) {
        supply.blocked(open.carrier);
        inbox_.add(event::Reset{open.carrier,
                                Error(Errc::unsupported, {}, Stage::established,
                                      "on a byte stream only the side that connects forks: each "
                                      "Carrier is a connection of its own")});
        inbox_.add(event::Ended{open.carrier});
        return;
    }
    Link* link = find(spare_);
    if (link && link->carrier) link = nullptr;
    if (!link && links_.size() >= transport_.limits.most_carriers) {
        waiting_.push_back(open.carrier);
        return supply.blocked(open.carrier);
    }
    if (!link) link = &make_link();
    // Of a Source nothing comes back.
    link->discarding = open.kind == CarrierKind::one_way;
    give(*link, open.carrier);
    if (can_send(*link)) return;
    link->blocked = true;
    supply.blocked(open.carrier);
}

Datagrams Connections::write(Link& link, Supply& supply, std::span<std::byte> space) {
    const Link::Written written = link.write(now_, space.first(std::min(space.size(), link.run)));
    if (written.pieces > 0 && link.carrier) supply.packed(*link.carrier, written.pieces);
    const std::uint64_t acknowledged = link.flight.poll_acknowledged();
    if (acknowledged > 0 && link.carrier) inbox_.add(event::Acked{*link.carrier, acknowledged});
    bytes_sent_ += written.bytes.size();
    rate_.sent(now_, written.content, written.content >= link.run / 2, round_trip_);
    if (link.has_output()) list(link);
    arm(link);
    Datagrams run;
    run.local = local_;
    run.remote = remote_;
    run.link = link.id();
    run.end = written.end;
    run.segment = written.bytes.size();
    run.bytes = written.bytes;
    // Only where there was nothing to be acknowledged: the bytes may lie in the link.
    if (written.end && written.bytes.empty() && state_ != State::over) end_if_over(link);
    return run;
}

void Connections::poll_events(std::vector<Event>& events) {
    if (!mute_) inbox_.drain(events);
}

}  // namespace post::tcp
