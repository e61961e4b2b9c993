// What a TCP connection for each Carrier gives to a plain peer, with TLS in it or without, and what
// the stack `tcp` has of its own.
#include "lib/policy/stacks.hpp"

namespace post::core {

std::span<const Cell> connection_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::fork, When::plain, native, "a fork is another connection to the same address"},
        {Feature::one_way, When::plain, emulated,
         "a connection; what comes back on it is thrown away"},
        {Feature::backpressure, When::plain, native, "each connection has the flow control of TCP"},
        {Feature::acked, When::plain, native,
         "the peer's system acknowledged every byte (SIOCOUTQ); TCP tells nobody, so that it is "
         "asked: when something comes, and by a timer"},
        {Feature::congestion_control, When::plain, native, "one window for each connection"},
        {Feature::read_first, When::plain, native,
         "a Carrier connects as soon as anything is asked of it"},
        {Feature::keep_alive, When::plain, native,
         "TlsOptions::keep_alive: the probes of TCP; silence ends nothing"},
    };
    return cells;
}

std::span<const Cell> tcp_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::unreliable, When::always, unsupported,
         "TCP delivers all that was sent, whatever it takes"},
        {Feature::security, When::always, unsupported,
         "anybody on the way can read, change and forge it"},
        {Feature::multipath, When::always, native,
         "TlsOptions::multipath: MPTCP (RFC 8684) where both systems have it"},
        {Feature::advertises_altaddr, When::always, native,
         "with TlsOptions::multipath, those that the system's path manager is told to signal"},
        {Feature::checksum_sent, When::always, native, "the checksum of TCP covers every byte"},
        {Feature::checksum_received, When::always, native, "the checksum of TCP covers every byte"},
    };
    return cells;
}

}  // namespace post::core
