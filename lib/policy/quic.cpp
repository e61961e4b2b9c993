// What QUIC gives (RFC 9000, RFC 9221), beside what all streams have in common.
#include "lib/policy/stacks.hpp"

namespace post::core {

std::span<const Cell> quic_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::one_way, When::always, native, "a unidirectional stream"},
        {Feature::unreliable, When::no_datagrams, unsupported,
         "the peer takes no datagrams: every message is reliable"},
        {Feature::unreliable, When::always, native,
         "a QUIC DATAGRAM, never sent again, when it is unordered, not the last, and fits into a "
         "packet; else it is reliable"},
        {Feature::migration, When::always, native,
         "a client goes to another path and stays the same connection (RFC 9000, 9)"},
        {Feature::advertises_altaddr, When::always, native,
         "of a server, what QuicOptions::preferred_v4 and preferred_v6 say"},
        {Feature::early_data, When::always, native,
         "idempotent messages go with the first packets of a connection that is resumed (0-RTT), "
         "where the peer takes them so"},
        {Feature::security, When::always, native, "TLS 1.3, and the certificate is verified"},
        {Feature::checksum_sent, When::always, native,
         "authenticated encryption covers every byte"},
        {Feature::checksum_received, When::always, native,
         "authenticated encryption covers every byte"},
    };
    return cells;
}

}  // namespace post::core
