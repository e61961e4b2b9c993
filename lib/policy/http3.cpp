// What HTTP/3 gives (RFC 9114), beside what all streams have in common.
#include "lib/policy/stacks.hpp"

namespace post::core {

std::span<const Cell> http3_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::fork, When::always, native,
         "a fork is the next request; only the client opens Carriers"},
        {Feature::one_way, When::always, unsupported, "a request has a response"},
        {Feature::unreliable, When::always, native,
         "in a tunnel of extended CONNECT, as HTTP Datagrams (RFC 9297); else every message is "
         "reliable"},
        {Feature::niceness, When::always, emulated,
         "the request's priority (RFC 9218), and it orders what is sent"},
        {Feature::properties, When::always, native, "the fields of HTTP"},
        {Feature::message_boundaries, When::always, native,
         "one message a direction, with interim responses before it and trailers behind it"},
        {Feature::early_data, When::always, native,
         "safe requests that are idempotent go with the first packets of a connection that is "
         "resumed (0-RTT), where the server takes them so (RFC 8470)"},
        {Feature::security, When::always, native, "TLS 1.3, and the certificate is verified"},
        {Feature::migration, When::always, native,
         "a client goes to another path and stays the same connection (RFC 9000, 9)"},
        {Feature::advertises_altaddr, When::always, native,
         "of a server, what QuicOptions::preferred_v4 and preferred_v6 say"},
        {Feature::read_first, When::always, unsupported, "the client asks and the server answers"},
        {Feature::checksum_sent, When::always, native,
         "authenticated encryption covers every byte"},
        {Feature::checksum_received, When::always, native,
         "authenticated encryption covers every byte"},
    };
    return cells;
}

}  // namespace post::core
