// How the root serves the race of an association: it asks the resolver, begins connections on ports
// and sockets, and takes them back when they are over.
#include <algorithm>

#include "lib/association/plan.hpp"
#include "lib/context_root.hpp"
#include "lib/peer_text.hpp"

namespace post::core {

namespace {

// A URL may name the stack; post and https leave it to the policy.
bool fits(Scheme scheme, Stack stack) {
    switch (scheme) {
        case Scheme::post: return stack != Stack::http3;
        case Scheme::https: return true;
        case Scheme::quic: return stack == Stack::quic;
        case Scheme::sctp: return stack == Stack::sctp_dtls || stack == Stack::sctp_udp;
        case Scheme::tls: return stack == Stack::tls;
        case Scheme::tcp: return stack == Stack::tcp;
        case Scheme::udp: return stack == Stack::udp || stack == Stack::udp_lite;
    }
    return false;
}

Scheme scheme_of(Stack stack) {
    for (const Scheme scheme : {Scheme::quic, Scheme::sctp, Scheme::tls, Scheme::tcp, Scheme::udp})
        if (fits(scheme, stack)) return scheme;
    return Scheme::post;
}

}  // namespace

// https is HTTP/3 and nothing else, unless the application speaks a protocol of its own.
Selection Root::select(const Remote& remote, const InitiateOptions& options) const {
    if (!speaks_http(remote, options))
        return core::select(options.policy, preferences_, is_plain(options));
    Policy policy = options.policy;
    policy.stacks = {Stack::http3};
    return core::select(policy, preferences_, true);
}

Result<Race::Options> Root::race_options(const Remote& remote, const InitiateOptions& options) {
    const Selection selection = select(remote, options);
    if (selection.error) return selection.error;
    Race::Options race = core::race_options(selection, options.alpn);
    race.groups = remote.complete() && of_datagrams(options.policy);
    const auto other = [&](Stack stack) { return !fits(remote.scheme(), stack); };
    std::erase_if(race.stacks, other);
    std::erase_if(race.insecure, other);
    if (race.stacks.empty() && race.insecure.empty())
        return Error(Errc::unsupported, {}, Stage::call,
                     Bytes(remote.string() + " names a stack that the policy does not: put it into "
                                             "Policy::stacks, and where it is not secured set "
                                             "Policy::security to Security::none"));
    add_paths(race, options);
    return race;
}

// What came of a race steers the next one to the same Remote.
void Root::remember(const Association& association, Setup& setup) {
    const bool over = !association.racing();
    if (!over || !std::exchange(setup.races, false)) return;
    const Establishment* known = association.establishment();
    if (!known) return;
    memory_.remember(now_, peer_text(*association.options().remote), association.options().race,
                     *known);
    write_history(association, setup.options);
}

void Root::serve_wants(Association& association, Setup& setup) {
    if (association.will_race()) {
        // A new race gives the numbers of an old one's attempts anew, and not their sockets.
        drop_ways(association, setup);
        renew_paths(association, setup);
    }
    while (const auto want = association.poll_want(now_)) {
        if (const auto* wanted = std::get_if<Resolution::Lookup>(&*want)) {
            const LookupId lookup{next_lookup_++};
            setup.lookups.push_back(lookup);
            lookups_[lookup] = {association.id(), wanted->id};
            io_->lookup({lookup, wanted->name, wanted->port, wanted->question, wanted->service});
        } else {
            connect(association, setup, std::get<Connect>(*want));
        }
    }
    if (!association.racing()) cancel_lookups(setup);
}

void Root::cancel_lookups(Setup& setup) {
    for (const LookupId lookup : std::exchange(setup.lookups, {})) {
        io_->cancel(lookup);
        lookups_.erase(lookup);
    }
}

void Root::take_resolved() {
    for (Io::Resolved& resolved : io_->poll_resolved()) {
        if (take_answer(resolved)) continue;
        const auto at = lookups_.find(resolved.id);
        if (at == lookups_.end()) continue;
        const auto [id, query] = at->second;
        if (resolved.complete) {
            lookups_.erase(at);
            std::erase(setups_[id].lookups, resolved.id);
        }
        if (Association* found = associations_.use(id))
            found->handle_answer(now_, query, resolved, resolved.complete);
    }
}

void Root::connect(Association& association, Setup& setup, const Connect& candidate) {
    Connect wanted = candidate;
    // A protocol may have a port of its own.
    const Remote& remote = *association.options().remote;
    const std::uint16_t own = remote.port(scheme_of(wanted.stack));
    if (own != remote.port()) wanted.remote.port = own;
    auto started = is_bytes(wanted.stack, setup.options) ? connect_bytes(association, setup, wanted)
                   : wanted.stack == Stack::tls          ? connect_tls(association, setup, wanted)
                   : of_datagrams(wanted.stack)          ? connect_udp(association, setup, wanted)
                                                         : connect_port(association, setup, wanted);
    if (!started) {
        Error error = started.error();
        error.stage = Stage::connect;
        return association.handle_failure(now_, wanted.attempt, error);
    }
    Way& way = started->way;
    const Route route{association.id(), wanted.attempt};
    if (way.connection) {
        connections_[*way.connection] = {route, {}};
    } else if (way.port) {
        ++way.port->associations;
        attempts_.emplace(way.remote, route);
    }
    if (association.racing()) setup.races = true;
    if (!way.linked) note_path(association, wanted.attempt, wanted.path, way.socket());
    way.path = wanted.path;
    setup.ways.push_back(std::move(way));
    association.attach(wanted.attempt, std::move(started->mapping));
}

Result<Root::Started> Root::connect_port(const Association& association, const Setup& setup,
                                         const Connect& wanted) {
    const InitiateOptions& options = setup.options;
    Way way;
    way.attempt = wanted.attempt;
    way.remote = wanted.remote;
    way.path = wanted.path;
    if (wanted.stack == Stack::sctp_udp) way.remote.port = options.sctp.udp_port;
    const auto port = client_port(options.local, way.path, way.remote, wanted.stack);
    if (!port) return port.error();
    way.port = *port;
    const TransientId transient = transient_of({association.id(), wanted.attempt});
    auto mapping = wanted.stack == Stack::http3  ? connect_http3(association, setup, way, transient)
                   : wanted.stack == Stack::quic ? connect_quic(association, setup, way, transient)
                   : wanted.stack == Stack::sctp_dtls
                       ? connect_sctp(association, setup, way, transient)
                       : connect_sctp_udp(association, setup, way, transient, wanted.remote.port);
    if (!mapping) return mapping.error();
    return Started{way, *std::move(mapping)};
}

// Those whose connections are over. The application may hold its Carriers for long; the system's
// connection is not theirs.
void Root::drop_ways(const Association& association, Setup& setup) {
    for (std::size_t i = setup.ways.size(); i-- > 0;)
        if (!association.has(setup.ways[i].attempt)) drop_way(association.id(), setup, i);
}

void Root::drop_way(AssociationId id, Setup& setup, std::size_t at) {
    Way way = std::move(setup.ways[at]);
    setup.ways.erase(setup.ways.begin() + static_cast<std::ptrdiff_t>(at));
    if (way.moved) associations_.forget_move({id, way.attempt});
    if (way.connection) {
        connections_.erase(*way.connection);
        blocked_.erase(*way.connection);
        io_->close(*way.connection);
        return;
    }
    if (way.linked) return drop_links(way);
    if (way.datagrams) return leave(*way.datagrams);
    attempts_.erase({way.remote, Route{id, way.attempt}});
    for (Port* const port : way.further) {
        --port->associations;
        close_port_if_idle(*port);
    }
    --way.port->associations;
    close_port_if_idle(*way.port);
}

Root::Way* Root::way(const Route& route) {
    const auto setup = setups_.find(route.association);
    if (setup == setups_.end()) return nullptr;
    auto& ways = setup->second.ways;
    const auto at = std::find_if(ways.begin(), ways.end(),
                                 [&](const Way& one) { return one.attempt == route.attempt; });
    return at == ways.end() ? nullptr : &*at;
}

// Those who waited for room in their socket have it.
void Root::note_writable() {
    for (const SocketId socket : io_->poll_writable()) {
        if (pumps_.contains(socket)) {
            read_on(socket);
            continue;
        }
        if (const auto to = connections_.find(socket);
            to != connections_.end() && to->second.link) {
            const auto [route, link] = to->second;
            if (Association* found = associations_.use(route.association)) {
                found->handle_heard(now_, route.attempt);
                found->handle_link(now_, route.attempt,
                                   {*link, link::Writable{io_->stream_run(socket)}});
            }
            continue;
        }
        const auto waiting = blocked_.find(socket);
        if (waiting == blocked_.end()) continue;
        for (const Route& route : waiting->second) {
            Association* found = associations_.use(route.association);
            Way* const free = way(route);
            if (!found || !free) continue;
            free->waits = false;
            if (free->connection) found->handle_heard(now_, route.attempt);
        }
        blocked_.erase(waiting);
    }
}

void Root::take_troubles() {
    for (const Io::Trouble& trouble : io_->poll_troubles()) {
        const auto tell = [&](const Route& route) {
            if (Association* found = associations_.use(route.association))
                found->handle_trouble(now_, route.attempt, trouble.remote, trouble.code);
        };
        if (const auto to = connections_.find(trouble.socket); to != connections_.end()) {
            const auto [route, link] = to->second;
            Association* found = link ? associations_.use(route.association) : nullptr;
            if (found)
                found->handle_link(now_, route.attempt, {*link, link::Broken{trouble.code}});
            else if (!link)
                tell(route);
            continue;
        }
        if (pumps_.contains(trouble.socket)) {
            handle_hangup(trouble.socket);
            continue;
        }
        if (const DatagramPort* const port = datagram_port(trouble.socket)) {
            // Of which of our addresses it speaks nobody says.
            for (const TransientId flow : port->endpoint->find(trouble.remote))
                tell(route_of(flow));
            continue;
        }
        for (auto at = attempts_.lower_bound({trouble.remote, Route{}});
             at != attempts_.end() && at->first == trouble.remote; ++at)
            tell(at->second);
    }
}

}  // namespace post::core
