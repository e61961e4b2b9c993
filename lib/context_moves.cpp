// Moves: the root watches the interfaces, and takes the connections of clients that can move from
// one path to another (RFC 9000, 9): by itself when an address has gone or a better way out has
// come, or because the application wants it. The mapping does the rest; here are the sockets.
#include <algorithm>

#include "lib/context_paths.hpp"
#include "lib/context_root.hpp"
#include "lib/policy/stacks.hpp"

namespace post {

Operation<Path> Association::migrate(Local local) {
    if (!anchor_ || !anchor_->root) return {Result<Path>(Error(Errc::context_closed))};
    return anchor_->root->migrate(id_, local);
}

std::vector<Path> Association::paths() const {
    const auto path = anchor_ && anchor_->root ? anchor_->root->path(id_) : std::nullopt;
    return path ? std::vector<Path>{*path} : std::vector<Path>{};
}

std::vector<Transient> Association::transients() const {
    const auto path = anchor_ && anchor_->root ? anchor_->root->path(id_) : std::nullopt;
    if (!path) return {};
    std::vector<Transient> all = {Transient{stack(), alpn(), active(), *path}};
    if (auto standby = anchor_->root->standby(id_)) all.push_back(*std::move(standby));
    return all;
}

namespace core {

namespace {

// What a path that did not answer is left alone for, when there is no other.
constexpr Duration again_after = std::chrono::seconds(5);

bool same_ip(const Address& a, const Address& b) { return a.family == b.family && a.ip == b.ip; }

// Of no machine's interface alone; it never goes.
bool is_everywhere(const Address& address) {
    return address.family == Address::Family::none || address.is_any() || address.is_loopback();
}

bool has(const Interface& interface, const Address& address) {
    return std::any_of(
        interface.sources.begin(), interface.sources.end(),
        [&](const Interface::Source& source) { return same_ip(source.address, address); });
}

bool has(const std::vector<Interface>& interfaces, const Address& address) {
    return std::any_of(interfaces.begin(), interfaces.end(),
                       [&](const Interface& each) { return has(each, address); });
}

Error refused(Errc errc, std::string text) {
    return Error(errc, {}, Stage::call, Bytes(std::move(text)));
}

std::string named(const LocalPath& path) {
    return path.interface + " from " + path.source.ip_string();
}

}  // namespace

// With what the system knows of it.
std::optional<Transient> Root::standby(AssociationId id) const {
    const Association* const found = associations_.find(id);
    const Mapping* const there = found ? found->standby() : nullptr;
    if (!there) return std::nullopt;
    return Transient{there->stack(), std::string(tls::post_alpn), false, there->path()};
}

std::optional<Path> Root::path(AssociationId id) const {
    const Association* const found = associations_.find(id);
    auto path = found ? found->path() : std::nullopt;
    const auto at = setups_.find(id);
    if (!path || at == setups_.end()) return path;
    for (const Way& way : at->second.ways)
        if (way.attempt == found->attempt() && way.connection) io_->measure(*way.connection, *path);
    return path;
}

// Each turn.
void Root::watch_paths() {
    if (interfaces_version_ == 0) return;
    look_wanted_ |= io_->poll_interfaces_changed();
    // A flood of changes is looked at now and then.
    if (look_wanted_ && looks_.take(now_)) find_interfaces();
    const bool changed = std::exchange(paths_version_, interfaces_version_) != interfaces_version_;
    if (!changed && moves_due_ > now_) return;
    moves_due_ = never;
    for (auto& [id, setup] : setups_) {
        Moves& moves = setup.moves;
        if (moves.version != interfaces_version_) {
            moves.version = interfaces_version_;
            moves.failed.clear();
            moves.due = now_;
        }
        if (moves.due <= now_) roam(id, setup);
        moves_due_ = std::min(moves_due_, moves.due);
    }
}

// Before it is established nothing can move (RFC 9000, 9).
void Root::begin_roaming(const Association& association) {
    const auto at = setups_.find(association.id());
    if (at == setups_.end() || !association.moves()) return;
    if (at->second.interfaces == interfaces_version_) return;
    at->second.moves.due = moves_due_ = now_;
}

// Where the connection should be, and is not.
void Root::roam(AssociationId id, Setup& setup) {
    Moves& moves = setup.moves;
    moves.due = never;
    Association* const found = associations_.peek(id);
    if (!found || !found->moves() || moves.asked != 0 || interfaces_error_) return;
    const auto path = found->path();
    if (!path) return;
    const InitiateOptions& options = setup.options;
    const auto& failed = moves.failed;
    const auto fails = [&](const Interface& each) {
        return std::find(failed.begin(), failed.end(), each.name) != failed.end();
    };
    // Gone, or never there: it went on over one that does not answer.
    const bool gone = !is_everywhere(path->local) &&
                      std::none_of(interfaces_.begin(), interfaces_.end(),
                                   [&](const Interface& each) {
                                       return has(each, path->local) && !fails(each);
                                   });
    const bool ordered = PathSelection::needed(options.local, options.policy, preferences_);
    // Where nobody orders them the system's routes do. The first path follows them by itself; a
    // later one has its source from us, and routes that changed would take it out by the wrong
    // interface.
    const auto way = std::find_if(setup.ways.begin(), setup.ways.end(), [&](const Way& each) {
        return each.attempt == found->attempt() && each.port;
    });
    const bool pinned = way != setup.ways.end() && way->port->local.is_any() &&
                        way->port->local.port == path->local.port &&
                        same_ip(moves.target.source, path->local);
    if (!gone && !ordered && !pinned) return;
    const auto selection = ordered
                               ? select_paths(interfaces_, options.policy, preferences_,
                                              options.local)
                               : PathSelection{.chosen = interfaces_, .refused = {}, .error = {}};
    const Address from = options.local.address.is_any() ? Address{} : options.local.address;
    for (const Interface& each : selection.chosen) {
        if (fails(each)) continue;
        if (has(each, path->local)) return;  // what follows is no better
        const auto target = reach(each, path->remote, options.local.source, from, own_addresses());
        if (!target) continue;
        if (moves.number != 0 && moves.target == *target && (moves.at_once || !gone)) return;
        if (!moves.limit.take(now_)) {
            moves.due = now_ + std::chrono::seconds(1);
            return;
        }
        moves.target = *target;
        moves.at_once = gone;
        moves.rest.clear();
        associations_.use(id);
        if (begin_move(*found, setup)) moves.due = now_ + again_after;
        return;
    }
    if (!gone || moves.failed.empty()) return;
    moves.failed.clear();
    moves.due = now_ + again_after;
}

std::vector<Address> Root::own_addresses() const {
    std::vector<Address> own;
    for (const Interface& each : interfaces_)
        for (const Interface::Source& source : each.sources) own.push_back(source.address);
    return own;
}

// A path that somebody wants has a socket that keeps to its interface. One that is as the system
// routes keeps the socket: the system may have taken our packets there before we knew, and another
// port would be one more move to the peer.
Error Root::begin_move(Association& association, Setup& setup) {
    Moves& moves = setup.moves;
    const auto at = std::find_if(setup.ways.begin(), setup.ways.end(), [&](const Way& way) {
        return way.attempt == association.attempt() && way.port;
    });
    if (at == setup.ways.end()) return Error(Errc::unsupported);
    const InitiateOptions& options = setup.options;
    const Port& home = *at->port;
    const bool routed = moves.asked == 0 && home.interface == 0 && home.local.is_any() &&
                        !PathSelection::needed(options.local, options.policy, preferences_);
    Address local = moves.target.source;
    local.port = home.local.port;
    if (!routed) {
        const auto port = roaming_port(
            association, *at, moves.asked != 0 ? moves.local : options.local, moves.target);
        if (!port) return port.error();
        local = (*port)->local;
    }
    moves.number = ++last_move_;
    association.move(now_, {moves.number, local, moves.at_once});
    return {};
}

// A socket on another interface, for connections whose ids the endpoint of `way` knows.
Result<Root::Port*> Root::roaming_port(const Association& association, Way& way, const Local& local,
                                       const LocalPath& path) {
    const auto known = path_port(way, [&](const Port& port) {
        return port.interface == path.index && same_ip(port.local, path.source);
    });
    if (known && (known == way.port ||
                  std::find(way.further.begin(), way.further.end(), known) != way.further.end()))
        return known;
    Port* made = known;
    if (!made) {
        Local marked = local;
        marked.dscp = way.port->dscp;  // the association's, for its life
        auto socket = open_roaming(marked, path);
        if (!socket) return socket.error();
        auto port = std::make_unique<Port>();
        port->socket = *socket;
        port->local = io_->local_address(*socket);
        port->interface = path.index;
        port->dscp = marked.dscp;
        port->endpoint = way.port->endpoint;
        ports_.push_back(std::move(port));
        made = ports_.back().get();
    }
    // What is neither in use nor wanted now is given up.
    const auto current = association.path();
    for (std::size_t i = way.further.size(); i-- > 0;) {
        Port* const old = way.further[i];
        if (current && old->local == current->local) continue;
        way.further.erase(way.further.begin() + static_cast<std::ptrdiff_t>(i));
        if (way.out == old) way.out = nullptr;
        --old->associations;
        close_port_if_idle(*old);
    }
    way.further.push_back(made);
    ++made->associations;
    return made;
}

// With the port number of the Local where it names one and it is free there.
Result<SocketId> Root::open_roaming(const Local& local, const LocalPath& path) {
    Address at = path.source;
    const auto open = [&](std::uint16_t number) {
        at.port = number;
        return io_->open_udp(
            {.local = at, .share = {}, .datagrams = {}, .outlet = outlet(local, path)});
    };
    auto opened = first_free(local, open);
    if (!opened && opened.error() == Errc::address_in_use) opened = open(0);
    return opened;
}

// Where the clients of a Listener shall go: what none of its ports has gets one.
Error Root::open_preferred(std::vector<Port*>& opened, const QuicOptions& options) {
    for (const Address& wanted : {options.preferred_v4, options.preferred_v6}) {
        if (wanted.family == Address::Family::none) continue;
        Port* home = nullptr;
        bool there = false;
        for (Port* const port : opened) {
            if (port->local.family != wanted.family) continue;
            home = home ? home : port;
            there |= port->local == wanted ||
                     (port->local.is_any() && port->local.port == wanted.port);
        }
        if (there || !home) continue;
        auto socket = io_->open_udp({.local = wanted, .outlet = {.dscp = home->dscp}});
        if (!socket) return socket.error();
        auto port = std::make_unique<Port>();
        port->socket = *socket;
        port->local = io_->local_address(*socket);
        port->dscp = home->dscp;
        port->endpoint = home->endpoint;
        ports_.push_back(std::move(port));
        opened.push_back(ports_.back().get());
    }
    return {};
}

void Root::offer_preferred(Port& port) {
    port.accept.preferred_v4 = port.quic.preferred_v4;
    port.accept.preferred_v6 = port.quic.preferred_v6;
}

// The socket that a run leaves by: that of its near end.
Root::Port* Root::port_of(Way& way, const Address& local) {
    const auto covers = [&](const Port& port) {
        return port.local == local || (port.local.is_any() && port.local.port == local.port &&
                                       port.local.family == local.family && port.interface == 0);
    };
    if (local.family == Address::Family::none || covers(*way.port)) return way.port;
    if (way.out && covers(*way.out)) return way.out;
    Port* const found = path_port(way, covers);
    if (!found) return way.port;
    // Of a Listener, whose port then stays as long as its clients.
    auto& further = way.further;
    if (std::find(further.begin(), further.end(), found) == further.end()) {
        further.push_back(found);
        ++found->associations;
    }
    return found;
}

Operation<Path> Root::migrate(AssociationId id, const Local& local) {
    const auto no = [&](Error error) {
        return Operation<Path>(Result<Path>(std::move(error)), AnchorRef(&anchor_));
    };
    using State = Association::State;
    Association* const found = associations_.peek(id);
    const auto at = setups_.find(id);
    if (!found || at == setups_.end() || found->state() >= State::closing)
        return no(refused(Errc::carrier_closed, "the association has ended"));
    if (const auto fine = check(local); !fine) return no(fine.error());
    if (found->state() != State::established)
        return no(refused(Errc::would_block, "the association is not established yet"));
    if (!found->moves()) {
        const bool server = found->options().role == Role::server;
        return no(refused(Errc::unsupported,
                          found->stack() == Stack::quic && server
                              ? "on quic the client decides which path is used (RFC 9000, 9)"
                              : std::string(to_string(found->stack())) + ": " +
                                    found->explain(Feature::migration).reason));
    }
    find_interfaces();
    if (interfaces_error_) return no(interfaces_error_);
    const auto path = found->path();
    const Address from = local.address.is_any() ? Address{} : local.address;
    if (from.family != Address::Family::none && from.family != path->remote.family)
        return no(refused(Errc::no_route, "the peer is at " + path->remote.string() + ", which " +
                                              from.ip_string() +
                                              " cannot reach: it is of the other family"));
    Setup& setup = at->second;
    Moves& moves = setup.moves;
    auto selection = select_paths(interfaces_, setup.options.policy, preferences_, local);
    if (selection.error) return no(std::move(selection.error));
    std::string looked_at;
    for (const auto& each : selection.refused)
        looked_at += "\n  " + each.interface + ": " + each.reason;
    std::vector<LocalPath> targets;
    const bool anywhere = local.interfaces.empty() && from.family == Address::Family::none;
    for (const Interface& each : selection.chosen) {
        if (anywhere && has(each, path->local)) {
            looked_at += "\n  " + each.name + ": it is in use";
            continue;
        }
        auto target = reach(each, path->remote, local.source, from, own_addresses());
        if (target)
            targets.push_back(*std::move(target));
        else
            looked_at += "\n  " + each.name + ": " + target.error().detail.string();
    }
    if (targets.empty())
        return no(refused(Errc::no_route,
                          "no other path leads to " + path->remote.string() + ", of:" + looked_at));
    if (same_ip(targets.front().source, path->local))
        return {Result<Path>(*path), AnchorRef(&anchor_)};
    finish_move(found, setup, refused(Errc::cancelled, "another migration was asked for"));
    moves.number = 0;  // whatever is under way, its end is no news any more
    moves.asked = ++last_move_;
    moves.tried = std::move(looked_at);
    moves.rest = std::move(targets);
    moves.local = local;
    auto operation = carriers_.wait_for_path(moves.asked);
    associations_.use(id);
    carriers_.used();
    now_ = now();
    if (const Error error = try_next(*found, setup)) finish_move(found, setup, error);
    return operation;
}

// The next one of those that the application would have.
Error Root::try_next(Association& association, Setup& setup) {
    Moves& moves = setup.moves;
    const auto path = association.path();
    Error error(Errc::no_route);
    while (!moves.rest.empty()) {
        moves.target = std::move(moves.rest.front());
        moves.rest.erase(moves.rest.begin());
        moves.at_once = path && !is_everywhere(path->local) && !has(interfaces_, path->local);
        error = begin_move(association, setup);
        if (!error) return error;
        moves.tried += "\n  " + named(moves.target) + ": " + error.message();
    }
    return error;
}

// The application hears what became of what it asked for, if it did.
void Root::finish_move(const Association* association, Setup& setup, Error error) {
    Moves& moves = setup.moves;
    const std::uint64_t asked = std::exchange(moves.asked, 0);
    if (asked == 0) return;
    const auto path = association ? association->path() : std::nullopt;
    if (!error && path) return carriers_.answer_path(asked, *path);
    if (!error) error = Error(Errc::connection_lost);
    std::string detail = error.detail.string();
    if (!moves.tried.empty()) detail += (detail.empty() ? "of:" : "; of:") + moves.tried;
    error.detail = Bytes(std::move(detail));
    carriers_.answer_path(asked, std::move(error));
}

void Root::settle_move(const happened::Moved& moved) {
    const auto at = setups_.find(moved.association);
    Association* const found = associations_.peek(moved.association);
    if (at == setups_.end() || at->second.moves.number != moved.number) return;
    Setup& setup = at->second;
    Moves& moves = setup.moves;
    moves.number = 0;
    // Something may have changed meanwhile, or there is another way.
    moves.due = std::min(moves.due, now_);
    moves_due_ = std::min(moves_due_, moves.due);
    if (!moved.error) {
        std::erase(moves.failed, moves.target.interface);
        for (Way& way : setup.ways)
            if (found && way.attempt == found->attempt()) way.path = moves.target;
        return finish_move(found, setup, {});
    }
    const bool silent = moved.error == Errc::unreachable;
    if (silent && moves.failed.size() < most_paths) moves.failed.push_back(moves.target.interface);
    if (moves.asked == 0) return;
    moves.tried += "\n  " + named(moves.target) + ": " + moved.error.detail.string();
    Error error = moved.error;
    error.detail = {};
    if (found && found->moves() && silent && !moves.rest.empty()) {
        error = try_next(*found, setup);
        if (!error) return;
    }
    finish_move(found, setup, std::move(error));
}

}  // namespace core

}  // namespace post
