// What an application may say of datagrams (UDP, RFC 768; UDP-Lite, RFC 3828), for the stacks `udp`
// and `udp_lite`: there a message is a datagram and a Carrier a flow of them between two addresses,
// or to or from a group (multicast). Nothing is connected, secured, acknowledged, ordered, repeated
// or held back by the network; an application that sends much has to mind RFC 8085 itself.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/bytes.hpp>

namespace post {

// RFC 3168, 5: the two bits of the IP header.
enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

// What the headers of one datagram say (SendOptions::datagram), or of all that say nothing else
// (UdpOptions::datagrams). What is not set is as the system has it.
struct DatagramOptions {
    // TTL of IPv4, hop limit of IPv6: 1 to 255. To a group the system has 1: the next router is too
    // far.
    std::optional<std::uint8_t> hop_limit{};
    std::optional<std::uint8_t> dscp{};  // RFC 2474: 0 to 63
    std::optional<Ecn> ecn{};
    // True: nobody fragments it, here or on the way; what is longer than the path takes, as far as
    // that is known, fails with message_too_large. False: DF is off.
    std::optional<bool> dont_fragment{};
    // False leaves the checksum out (RFC 768; over IPv6 RFC 6935). Not of UDP-Lite.
    std::optional<bool> checksum{};
    // Of UDP-Lite: so many bytes, from its header of 8 bytes on, must arrive unharmed: 8 or more;
    // 0: all.
    std::optional<std::uint16_t> coverage{};
    // Options of IPv4 as they stand in its header (RFC 791, 3.1), at most 40 bytes; of IPv6 those
    // of a Destination Options header (RFC 8200, 4.6), at most 246. What does not fill the header
    // is padded. Empty: none. They count as content does for how long a datagram may be. Much of
    // the internet drops what has any (RFC 7126, RFC 9098), and what the system refuses is a soft
    // error, `unsupported`: Linux sends IPv4's common ones (record route, timestamp, router alert,
    // source routes) for everybody, and others, and all of IPv6, for programs with CAP_NET_RAW
    // alone.
    Bytes ip_options{};
    // Those of a Hop-by-Hop Options header (RFC 8200, 4.3), in the same way. Not over IPv4.
    Bytes hop_options{};
    bool operator==(const DatagramOptions&) const = default;
};

// What was said of a datagram that came (InMessage::datagram). What the system does not tell is not
// set; it never tells DF, checksum and coverage.
struct DatagramInfo {
    Address remote;                           // from where
    Address local;                            // to where: an address of ours, or a group
    std::optional<std::uint8_t> hop_limit{};  // what is left of it
    std::optional<std::uint8_t> dscp{};
    std::optional<Ecn> ecn{};
    // As in DatagramOptions, with the padding; what of IPv6 is longer than 246 bytes is not told.
    Bytes ip_options{};
    Bytes hop_options{};
};

// For initiate and listen alike. Values outside the ranges are refused with invalid_argument.
struct UdpOptions {
    DatagramOptions datagrams{};
    // Over IPv6: datagrams without a checksum are taken, too (RFC 6935); over IPv4 they always are.
    bool accept_without_checksum = false;
    // UDP-Lite: what covers fewer bytes is dropped, 8 or more; 0: all have to be covered.
    std::uint16_t least_coverage = 8;
    // listen: flows at the same time. Beyond it the one that has gone longest without an answer of
    // ours makes room; where all were answered, datagrams of further remotes are dropped. So a
    // flood of forged sources takes only from those whom nobody has answered. 1 to 2^20.
    std::size_t flows = 4096;
    // Of a multicast Source or Sink, the interface by its name ("eth0"); empty: the system's route
    // decides.
    std::string interface {};
    // Of a multicast Source: Sinks of the same machine get it, too.
    bool loopback = true;
    // Of a Sink: only what these sources send (RFC 4607, source-specific), at most 64; empty: what
    // anybody sends.
    std::vector<Address> sources{};
    bool operator==(const UdpOptions&) const = default;
};

}  // namespace post
