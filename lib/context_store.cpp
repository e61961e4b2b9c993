// What the root keeps of associations for later ones: it asks the store when a connection begins,
// and gives it what the mappings hand up. What the store does not have, or cannot do, is no error.
#include <algorithm>

#include "lib/context_root.hpp"
#include "lib/peer_text.hpp"

namespace post::core {

namespace {

// Who has to be at the other end. Nothing that was believed under one text holds under another.
std::string trust_text(const Trust& trust, const std::string& name) {
    switch (trust.kind()) {
        case Trust::Kind::system: return "system for " + name;
        case Trust::Kind::authorities:
            return "authorities " + crypto::digest_of(trust.authorities_pem().view()) + " for " +
                   name;
        case Trust::Kind::pinned: return "pin " + trust.pin() + " for " + name;
        case Trust::Kind::fingerprint: return "certificate " + trust.fingerprint() + " for " + name;
        case Trust::Kind::danger_anyone: break;
    }
    return "anyone for " + name;
}

// What the name service demands of certificates beside, in this very moment.
std::string with_dane(std::string trust, const crypto::ClientSecurity& security) {
    if (security.tlsa.empty()) return trust;
    std::string all = security.tlsa_host + ' ';
    for (const Tlsa& record : security.tlsa)
        all += std::to_string(record.usage) + ' ' + std::to_string(record.selector) + ' ' +
               std::to_string(record.matching) + ' ' + std::to_string(record.data.size()) + ' ' +
               record.data.string();
    return trust + ", tlsa " + crypto::digest_of(all);
}

RaceMemory::Known known_of(WallTime now, const KeptAssociation::Leaf& leaf) {
    return {{leaf.stack, leaf.remote}, std::max(std::chrono::seconds(0), now - leaf.at)};
}

}  // namespace

// `network`: that of the way out.
AssociationKey Root::association_key(const Remote& remote, const InitiateOptions& options,
                                     std::string trust, const std::string& network) const {
    AssociationKey key;
    key.network = network;
    key.remote = peer_text(remote);
    key.alpn = options.without_alpn ? "none" : options.alpn;
    key.trust = std::move(trust);
    key.identity = options.local.identity.pin();
    if (!options.isolation.empty()) key.identity += " isolated as " + options.isolation;
    return key;
}

// Races.

void Root::steer(const Remote& remote, const InitiateOptions& options, Race::Options& race) {
    if (!race.out) recall(remote, options, race.network);
    if (race.out)
        for (const auto& path : race.out->paths) recall(remote, options, path.network);
    memory_.steer(now(), peer_text(remote), race);
}

// What the store knows of a network, where nothing is known here.
void Root::recall(const Remote& remote, const InitiateOptions& options,
                  const std::string& network) {
    const RaceMemory::Key memory{network, peer_text(remote)};
    if (memory_.knows(memory)) return;
    const auto trust = trust_text(options.trust, remote.server_name());
    const auto kept = store_->find(association_key(remote, options, trust, network));
    if (!kept || (!kept->winner && kept->failed.empty())) return;
    const WallTime now = io_->wall_time();
    const auto counts = [&](const KeptAssociation::Leaf& leaf) { return leaf.at > moved_; };
    std::optional<RaceMemory::Known> winner;
    if (kept->winner && counts(*kept->winner)) winner = known_of(now, *kept->winner);
    std::vector<RaceMemory::Known> failed;
    for (const auto& leaf : kept->failed)
        if (counts(leaf)) failed.push_back(known_of(now, leaf));
    memory_.restore(this->now(), memory, winner,
                    kept->rtt > Duration{} ? std::optional(kept->rtt) : std::nullopt, failed);
}

void Root::write_history(const Association& association, const InitiateOptions& options) {
    const Race::Options& race = association.options().race;
    if (!race.out) return write_history(association, options, race.network, nullptr);
    for (const auto& path : race.out->paths)
        write_history(association, options, path.network, &path.interface.name);
}

// `path`: of the attempts on this interface alone; nullptr: of all.
void Root::write_history(const Association& association, const InitiateOptions& options,
                         const std::string& network, const std::string* path_name) {
    const Establishment& known = *association.establishment();
    const Remote& remote = *association.options().remote;
    const WallTime now = io_->wall_time();
    const auto path = association.path();
    const auto trust = trust_text(options.trust, remote.server_name());
    using Result = Establishment::Result;
    const auto counts = [&](const Establishment::Attempt& attempt) {
        return (!path_name || attempt.path == *path_name) &&
               (attempt.result == Result::failed || attempt.result == Result::won);
    };
    if (std::none_of(known.attempts.begin(), known.attempts.end(), counts)) return;
    store_->change(association_key(remote, options, trust, network), [&](KeptAssociation& kept) {
        kept.drop_stale(now);
        for (const auto& attempt : known.attempts) {
            if (!counts(attempt)) continue;
            const KeptAssociation::Leaf leaf{attempt.stack, attempt.remote, now};
            std::erase_if(kept.failed, [&](const auto& each) {
                return each.stack == leaf.stack && each.remote == leaf.remote;
            });
            if (attempt.result == Result::won) {
                kept.winner = leaf;
                continue;
            }
            if (kept.failed.size() >= KeptAssociation::most_failed)
                kept.failed.erase(kept.failed.begin());
            kept.failed.push_back(leaf);
            if (kept.winner && kept.winner->stack == leaf.stack &&
                kept.winner->remote == leaf.remote)
                kept.winner.reset();
        }
        kept.used = now;
        const auto* winner = known.winner();
        if (!winner || !counts(*winner)) return;
        if (path && path->smoothed_rtt > Duration{})
            kept.rtt = path->smoothed_rtt;
        else if (winner->heard != never)
            kept.rtt = winner->heard - winner->started;
        if (path && path->mtu > 0) kept.mtu = path->mtu;
        if (path && path->rate > 0) kept.rate = path->rate;
    });
}

// Tickets and tokens.

const std::string& Root::network(const Association& association, const Way& way) {
    const Race::Options& race = association.options().race;
    if (race.out)
        for (const auto& path : race.out->paths)
            if (path.interface.name == way.path.interface) return path.network;
    return race.network;
}

void Root::keep(Association& association, Setup& setup) {
    const auto keepsakes = association.take_keepsakes();
    if (keepsakes.empty() && !association.resumed()) return;
    const auto at = std::find_if(setup.ways.begin(), setup.ways.end(), [&](const Way& way) {
        return way.attempt == association.attempt();
    });
    if (at == setup.ways.end() || at->trust.empty()) return;
    // DTLS 1.2 gives one ticket with a full handshake, and takes it as often as it is shown.
    const auto again = std::exchange(at->ticket, std::nullopt);
    if (keepsakes.empty() && !again) return;
    const WallTime now = io_->wall_time();
    const auto key = association_key(*association.options().remote, setup.options, at->trust,
                                     network(association, *at));
    store_->change(key, [&](KeptAssociation& kept) {
        if (again && association.resumed()) kept.keep(now, *again);
        for (const auto& keepsake : keepsakes) {
            if (const auto* ticket = std::get_if<event::Ticket>(&keepsake)) {
                const auto life = std::min<std::chrono::seconds>(ticket->lifetime,
                                                                 KeptAssociation::longest_ticket);
                kept.keep(now, ResumptionTicket{.stack = association.stack(),
                                                .session = ticket->session,
                                                .parameters = ticket->parameters,
                                                .early_data = ticket->early_data,
                                                .issued = now,
                                                .expires = now + life});
            } else {
                const auto& token = std::get<event::Token>(keepsake);
                kept.keep(now, AddressToken{at->remote, token.token, now});
            }
        }
    });
}

// The attempt has a ticket of its own, if there is one. Which one is taken, and who takes it, is
// settled by the store.
void Root::resume(const Association& association, const Setup& setup, Stack stack, Way& way,
                  crypto::ClientSecurity& security) {
    const Remote& remote = *association.options().remote;
    way.trust = with_dane(trust_text(security.trust, security.server_name), security);
    const auto key = association_key(remote, setup.options, way.trust, network(association, way));
    const WallTime now = io_->wall_time();
    const auto kept = store_->find(key);
    if (!kept || !kept->has_ticket(now, stack)) return;
    std::optional<ResumptionTicket> ticket;
    const bool taken = store_->change(
        key, [&](KeptAssociation& value) { ticket = value.take_ticket(now, stack); });
    if (!taken || !ticket) return;
    security.session = ticket->session;
    const bool plain = stack == Stack::http3 || is_plain(setup.options);
    if (association.has_early(!plain)) {
        security.early_data = ticket->early_data;
        way.parameters = ticket->parameters;
    }
    if (stack == Stack::sctp_dtls) way.ticket = std::move(ticket);
}

Bytes Root::address_token(const Association& association, const Setup& setup, const Way& way) {
    const auto key = association_key(*association.options().remote, setup.options, way.trust,
                                     network(association, way));
    const WallTime now = io_->wall_time();
    const auto kept = store_->find(key);
    if (!kept || !kept->has_token(now, way.remote)) return {};
    std::optional<AddressToken> token;
    const bool taken = store_->change(
        key, [&](KeptAssociation& value) { token = value.take_token(now, way.remote); });
    const bool fits = taken && token && token->token.size() <= KeptAssociation::most_token_bytes;
    return fits ? std::move(token->token) : Bytes();
}

// Of the same network and Remote (RFC 9002, 6.2.2). Zero: nothing is known. The rate and the MTU
// that are kept are for the application alone: not done, because a rate of yesterday may overload
// the path of today (careful resume would need a phase of its own in congestion control), and the
// MTU is found within two round trips, while a kept one could be too large by now.
Duration Root::kept_rtt(const Association& association, const Setup& setup, const Way& way) const {
    const auto trust = trust_text(setup.options.trust, association.options().remote->server_name());
    const auto kept = store_->find(association_key(*association.options().remote, setup.options,
                                                   trust, network(association, way)));
    return kept ? kept->rtt : Duration{};
}

// A ticket of one Listener is none for another that shows or demands other certificates: it would
// get in without showing any.
crypto::ServerTickets Root::tickets(crypto::TicketKeys& keys, EarlyGuard& guard, const Local& local,
                                    const ListenOptions& options, Stack stack) {
    const bool asks = options.client_certificate != ListenOptions::ClientCertificate::none;
    std::string scope = std::string(to_string(stack)) + ' ' +
                        crypto::digest_of(local.identity.certificates().view()) + ' ' +
                        std::to_string(static_cast<int>(options.client_certificate));
    if (asks) scope += ' ' + trust_text(options.client_trust, {});
    if (options.early_data) {
        // What the client remembers of our windows has to hold (RFC 9000, 7.4.1). QMux: "when
        // accepting early data, servers MUST send transport parameters that comply with the
        // restrictions in Section 7.4.1 of QUIC".
        const Limits granted = limits(options.bounds);
        scope += " early " + std::to_string(granted.carrier_window) + ' ' +
                 std::to_string(granted.budget) + ' ' + std::to_string(granted.carriers);
    }
    return {options.tickets > 0 ? &keys : nullptr, std::move(scope), options.tickets,
            options.early_data ? &guard : nullptr};
}

}  // namespace post::core
