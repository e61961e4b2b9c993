// What QMux in TLS over TCP gives, beside what all streams have in common.
#include "lib/policy/stacks.hpp"

namespace post::core {

std::span<const Cell> tls_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::one_way, When::post, native, "a unidirectional stream"},
        {Feature::unreliable, When::always, unsupported,
         "TCP delivers all that was sent, whatever it takes"},
        {Feature::early_data, When::post, native,
         "idempotent messages go with the ClientHello of a connection that is resumed (early data "
         "of TLS 1.3), where the peer takes them so; with TlsOptions::fast_open in the SYN"},
        {Feature::security, When::always, native, "TLS 1.3, and the certificate is verified"},
        {Feature::multipath, When::always, native,
         "TlsOptions::multipath: MPTCP (RFC 8684) where both systems have it"},
        {Feature::advertises_altaddr, When::always, native,
         "with TlsOptions::multipath, those that the system's path manager is told to signal"},
        {Feature::migration, When::always, unsupported,
         "TCP keeps to its two addresses; TlsOptions::multipath lets the systems add others, where "
         "both have it, and nobody here decides which is used"},
        {Feature::checksum_sent, When::always, native,
         "authenticated encryption covers every byte"},
        {Feature::checksum_received, When::always, native,
         "authenticated encryption covers every byte"},
    };
    return cells;
}

}  // namespace post::core
