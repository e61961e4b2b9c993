// The paths of a Connection: which one is in use, how it goes to another (RFC 9000, 9), and what is
// measured of it. ngtcp2 asks the peer (PATH_CHALLENGE), changes connection ids and begins anew
// with congestion control; what is decided here is when, and what its answer means.

#include <algorithm>

#include "mappings/quic/connection.hpp"

namespace post::quic {

namespace {

// ngtcp2 marks this many datagrams before it knows whether marks get through, and stops marking
// when they do not (RFC 9000, A.4).
constexpr std::uint64_t marks_on_trial = 10;

Error cannot(Errc errc, const char* text) { return Error(errc, {}, Stage::established, text); }

bool contains(const std::vector<Address>& all, const Address& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

// What only hosts of one network reach: a server outside of it has no business to send us there.
bool is_private(const Address& address) {
    const auto& ip = address.ip;
    if (address.is_loopback()) return true;
    if (address.family == Address::Family::v6)
        return (ip[0] & 0xfe) == 0xfc || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
    return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
           (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254) ||
           (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

}  // namespace

// Commands.

void Connection::move(Instant now, const Move& move) {
    advance(now);
    if (moving_.wanted) settle_move(moving_.wanted, cannot(Errc::cancelled, "another move came"));
    moving_.wanted = move;
    moving_.until = now_ + moving_.patience;
    try_move();
    rethrow();
}

// Before the handshake is confirmed a client may not move (RFC 9000, 9), and it needs a connection
// id that the peer has not seen on any path: both come soon, or never.
void Connection::try_move() {
    if (!moving_.wanted) return;
    if (state_ != State::established)
        return settle_move(moving_.wanted, cannot(Errc::cancelled, "the connection has ended"));
    auto* native = native_.get();
    const Move move = *moving_.wanted;
    const auto* theirs = ngtcp2_conn_get_remote_transport_params(native);
    if (theirs && theirs->disable_active_migration)
        return settle_move(
            moving_.wanted,
            cannot(Errc::unsupported, "the server forbids it (disable_active_migration)"));
    PathStorage path(move.local, to_address(ngtcp2_conn_get_path(native)->remote));
    moving_.validating = false;
    const auto stamp = to_timestamp(now_);
    const int code = move.at_once
                         ? ngtcp2_conn_initiate_immediate_migration(native, path.path(), stamp)
                         : ngtcp2_conn_initiate_migration(native, path.path(), stamp);
    switch (code) {
        case 0: break;
        case NGTCP2_ERR_INVALID_ARGUMENT: return settle_move(moving_.wanted, {});
        case NGTCP2_ERR_INVALID_STATE:
        case NGTCP2_ERR_CONN_ID_BLOCKED:
            if (now_ < moving_.until) return;
            return settle_move(moving_.wanted,
                               cannot(Errc::would_block, code == NGTCP2_ERR_INVALID_STATE
                                                             ? "the handshake is not confirmed"
                                                             : "the server has given no spare "
                                                               "connection id"));
        default: return fail(code);
    }
    if (!contains(moving_.locals, move.local)) {
        if (moving_.locals.size() == moving_.most_locals)
            moving_.locals.erase(moving_.locals.begin());
        moving_.locals.push_back(move.local);
    }
    // A path that the peer has answered on before is not asked again.
    moving_.probing = std::exchange(moving_.wanted, std::nullopt);
    moving_.until = now_ + moving_.longest;
#if NGTCP2_VERSION_NUM >= 0x010e00
    if (!moving_.validating) settle_move(moving_.probing, {});
#endif
    note_path();
}

void Connection::settle_move(std::optional<Move>& move, Error error) {
    if (!move) return;
    streams_.inbox().add(event::Moved{move->number, std::move(error)});
    move.reset();
    if (!moving_.wanted && !moving_.probing) moving_.until = never;
}

void Connection::check_moves() {
    if (now_ < moving_.until) return;
    if (moving_.wanted) return try_move();
    const bool there = moving_.probing && to_address(ngtcp2_conn_get_path(native_.get())->local) ==
                                              moving_.probing->local;
    settle_move(moving_.probing, there ? Error() : cannot(Errc::unreachable, "no answer came"));
    moving_.until = never;
}

// For the callbacks.

void Connection::on_validated(const Address& local, const Address& remote,
                              ngtcp2_path_validation_result result, bool new_token) {
    if (role_ == Role::server) {
        moving_.unvalidated.settle(remote, result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS);
        if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS && new_token) {
            // RFC 9000, 8.1.3: the token that it has is good for its old address alone.
            remote_ = remote;
            give_token();
        }
        return;
    }
    if (!moving_.probing || moving_.probing->local != local) return;
    switch (result) {
        case NGTCP2_PATH_VALIDATION_RESULT_SUCCESS: return settle_move(moving_.probing, {});
        case NGTCP2_PATH_VALIDATION_RESULT_FAILURE:
            return settle_move(
                moving_.probing,
                cannot(Errc::unreachable, "the server did not answer there (PATH_CHALLENGE)"));
        case NGTCP2_PATH_VALIDATION_RESULT_ABORTED:
            return settle_move(moving_.probing, cannot(Errc::cancelled, "another move came"));
    }
}

// Which of the server's preferred addresses a client goes to (RFC 9000, 9.6): that of the family in
// use. Not one inside of some network when the server itself is outside (21.5.3).
bool Connection::select_preferred(const ngtcp2_preferred_addr& offered, ngtcp2_path* path) const {
    if (!take_preferred_) return false;
    const bool v4 = remote_.family == Address::Family::v4;
    if (!(v4 ? offered.ipv4_present : offered.ipv6_present)) return false;
    ngtcp2_addr from{};
    ngtcp2_sockaddr_union there;
    std::memset(&there, 0, sizeof there);
    if (v4)
        there.in = offered.ipv4;
    else
        there.in6 = offered.ipv6;
    from.addr = &there.sa;
    from.addrlen = v4 ? sizeof there.in : sizeof there.in6;
    const Address to = to_address(from);
    if (to.port == 0 || to.is_any() || to.is_multicast()) return false;
    if (is_private(to) && !is_private(remote_)) return false;
    std::memcpy(path->remote.addr, from.addr, from.addrlen);
    path->remote.addrlen = from.addrlen;
    return true;
}

void Connection::offer_preferred(ngtcp2_transport_params& parameters,
                                 const AcceptOptions& options) {
    if (options.preferred_v4.family == Address::Family::none &&
        options.preferred_v6.family == Address::Family::none)
        return;
    auto& offer = parameters.preferred_addr;
    ngtcp2_sockaddr_union there;
    if (options.preferred_v4.family == Address::Family::v4) {
        to_sockaddr(options.preferred_v4, there);
        offer.ipv4 = there.in;
        offer.ipv4_present = 1;
    }
    if (options.preferred_v6.family == Address::Family::v6) {
        to_sockaddr(options.preferred_v6, there);
        offer.ipv6 = there.in6;
        offer.ipv6_present = 1;
    }
    const auto id = issue_id();
    offer.cid = to_native(id);
    endpoint_.reset_token(id, offer.stateless_reset_token);
    parameters.preferred_addr_present = 1;
}

// Input.

// What ngtcp2 knows as the near end of the path that this came over. A port of every address is one
// place to it until we move.
Address Connection::near_end(const Datagrams& datagrams) const {
    if (datagrams.local.family == Address::Family::none)
        return to_address(ngtcp2_conn_get_path(native_.get())->local);
    if (role_ == Role::server) return datagrams.local;
    return contains(moving_.locals, datagrams.local) ? datagrams.local : local_;
}

// Says so when the path in use is another one, and begins to count anew.
void Connection::note_path() {
    if (state_ != State::established) return;
    const auto* current = ngtcp2_conn_get_path(native_.get());
    Address local = to_address(current->local);
    if (local.is_any() && seen_local_.family != Address::Family::none) local = seen_local_;
    const Address remote = to_address(current->remote);
    if (local == moving_.local && remote == moving_.remote) return;
    const bool known = std::exchange(moving_.told, true) && !moving_.local.is_any();
    moving_.local = local;
    moving_.remote = remote;
    if (!known) return;
    mtu_ = {};
    mtu_.on_progress(now_);
    moving_.bytes_sent = bytes_sent_;
    moving_.bytes_received = bytes_received_;
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(native_.get(), &info);
    moving_.minimum = Duration::max();
    // Until then what comes may speak of packets that went the old way.
    moving_.measured_from = now_ + Duration(static_cast<Duration::rep>(info.smoothed_rtt)) +
                            moving_.longest_ack_delay;
#if NGTCP2_VERSION_NUM >= 0x011000
    moving_.packets_sent = info.pkt_sent;
    moving_.packets_lost = info.pkt_lost;
    moving_.delivery.restart(now_, delivered(info));
#endif
    streams_.inbox().add(event::PathChanged{});
}

#if NGTCP2_VERSION_NUM >= 0x011000
std::uint64_t Connection::delivered(const ngtcp2_conn_info& info) {
    const std::uint64_t gone = info.bytes_lost + info.bytes_in_flight;
    return info.bytes_sent > gone ? info.bytes_sent - gone : 0;
}
#endif

// Views.

bool Connection::marks_get_through() const {
    return established_ && marked_ && marks_ > marks_on_trial;
}

Path Connection::path() const {
    Path path;
    path.local = local_;
    path.remote = remote_;
    path.bytes_sent = bytes_sent_ - moving_.bytes_sent;
    path.bytes_received = bytes_received_ - moving_.bytes_received;
    if (!native_) return path;
    const auto* current = ngtcp2_conn_get_path(native_.get());
    path.local = to_address(current->local);
    // A port of every address: what the peer's packets were sent to says which one it is.
    if (path.local.is_any() && seen_local_.family != Address::Family::none)
        path.local = seen_local_;
    path.remote = to_address(current->remote);
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(native_.get(), &info);
    path.mtu = std::min(ngtcp2_conn_get_path_max_tx_udp_payload_size(native_.get()), mtu_.most());
    path.ecn = marks_get_through();
    if (established_) path.version = ngtcp2_conn_get_negotiated_version(native_.get());
    // Before the first sample ngtcp2 shows its guess; nobody has measured that.
    if (info.latest_rtt != 0) {
        path.smoothed_rtt = Duration(static_cast<Duration::rep>(info.smoothed_rtt));
        path.minimum_rtt = Duration(static_cast<Duration::rep>(info.min_rtt));
        if (moving_.measured_from != Instant{})
            path.minimum_rtt = moving_.minimum == Duration::max() ? Duration{} : moving_.minimum;
        path.one_way = path.minimum_rtt / 2;
        path.rtt_variance = Duration(static_cast<Duration::rep>(info.rttvar));
        auto seconds = std::chrono::duration<double>(path.smoothed_rtt).count();
        if (seconds > 0)
            path.rate = static_cast<std::uint64_t>(static_cast<double>(info.cwnd) / seconds);
    }
    path.in_flight = info.bytes_in_flight;
    path.delivery_rate = moving_.delivery.best();
#if NGTCP2_VERSION_NUM >= 0x011000
    path.packets_sent = info.pkt_sent - moving_.packets_sent;
    path.packets_lost = info.pkt_lost -
                        std::min<std::uint64_t>(info.pkt_lost, moving_.packets_lost);
    if (path.packets_sent > 0)
        path.loss = std::min(
            1.0, static_cast<double>(path.packets_lost) / static_cast<double>(path.packets_sent));
#endif
    return path;
}

}  // namespace post::quic
