// What plain datagrams give, over UDP and UDP-Lite (RFC 8303, 4.3): nothing of what streams have in
// common.
#include "lib/policy/stacks.hpp"

namespace post::core {

std::span<const Cell> udp_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::fork, When::always, unsupported,
         "a Carrier is a flow between two addresses: initiate another one"},
        {Feature::one_way, When::always, emulated, "what comes back is not looked at"},
        {Feature::niceness, When::always, emulated,
         "orders what is sent; the receiver sees no class"},
        {Feature::lifetime, When::always, emulated,
         "until it is handed to the network; it is dropped before"},
        {Feature::unordered, When::always, native, "datagrams overtake each other"},
        {Feature::unreliable, When::always, native, "a lost datagram is not sent again"},
        {Feature::antecedents, When::always, emulated,
         "a message is sent when those that it comes after were"},
        {Feature::immediate, When::always, native,
         "no message ever waits to be sent together with others"},
        {Feature::message_boundaries, When::always, native, "a datagram is a message"},
        {Feature::acked, When::always, emulated,
         "it was handed to the network; nobody says whether it arrived"},
        {Feature::backpressure, When::always, unsupported,
         "what finds no room at the receiver is dropped"},
        {Feature::datagram_options, When::always, native,
         "fields of the IP, UDP and UDP-Lite headers"},
        {Feature::idempotent, When::always, unsupported, "a datagram has no place for it"},
        {Feature::properties, When::always, unsupported, "a datagram has no place for it"},
        {Feature::text, When::always, unsupported, "a datagram has no place for it"},
        {Feature::label, When::always, unsupported, "the stack has no data channels"},
        {Feature::security, When::always, unsupported,
         "anybody on the way can read, change and forge it"},
        {Feature::reliability, When::always, unsupported, "a lost datagram is not sent again"},
        {Feature::order, When::always, unsupported, "datagrams overtake each other"},
        {Feature::congestion_control, When::always, unsupported,
         "the application has to hold back (RFC 8085, 3.1)"},
        {Feature::early_data, When::always, native, "there is no handshake to wait for"},
        {Feature::checksum_sent, When::always, native,
         "the checksum covers all, unless DatagramOptions says otherwise"},
        {Feature::checksum_received, When::always, native,
         "what fails the checksum is dropped; datagrams without one are taken"},
        {Feature::soft_errors, When::always, native, "Carrier::on_soft_error"},
        {Feature::keep_alive, When::always, unsupported, "a flow is not held open"},
        {Feature::multipath, When::always, unsupported, "one path at a time"},
        {Feature::migration, When::always, unsupported,
         "a flow is its two addresses: nothing in a datagram says that it goes on elsewhere"},
        {Feature::temporary_address, When::always, unsupported,
         "no matter of the stack: Local::source chooses"},
        {Feature::advertises_altaddr, When::always, unsupported,
         "the peer hears of no address of ours but the one that it is spoken to from"},
        {Feature::read_first, When::always, unsupported,
         "the peer hears of a flow with its first datagram"},
    };
    return cells;
}

}  // namespace post::core
