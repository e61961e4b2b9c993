// Local: what the near end of an Association is made of (draft 2.5 and 3.1.2, RFC 9622, 6.1):
// interface, address, port, identity. A plain value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/identity.hpp>
#include <post/result.hpp>

namespace post {

// Which of several addresses connections come from (RFC 6724, 5; RFC 5014). What is deprecated is
// taken only where nothing else is left.
enum class SourceChoice : std::uint8_t {
    automatic,  // as the system has it; on an interface that was chosen, temporary ones first
    temporary,  // IPv6: one that changes with time (RFC 8981), where there is one
    stable,     // IPv6: one that others may know; so a peer can find us again, and trace us
};
const char* to_string(SourceChoice choice) noexcept;

struct Local {
    // 0: the system chooses. One UDP port serves all Associations of a Local.
    std::uint16_t port = 0;
    // Family none: every address of the machine, IPv4 and IPv6. Of a client: connections come from
    // this one, and only Remotes of its family are reached.
    Address address{};
    // A Listener must have one; a client shows its own only where the server asks for it.
    Identity identity{};
    // For listen: one port for several Contexts, each with its own thread or process. `of` Contexts
    // of the same user listen on the same port, the same address and with the same options, as
    // number `shared` = 0 to of - 1 (at most 1024). The system spreads peers over them, each
    // connection belongs to one of them for good, and datagrams that reach the wrong one are handed
    // on. Of udp and udp_lite nothing in a datagram says whose it is: a flow belongs to whom the
    // system gives its datagrams, and may get another one, where it begins anew, when a place is
    // taken or given up; a Sink shares its port anyway. What is shared must be named; a place that
    // is taken is address_in_use.
    std::uint16_t shared = 0;
    std::uint16_t of = 1;
    // Not 0: `port` to `last_port`, both included, and the first of them that is free. A socket of
    // UDP and a connection of TCP may have the same number. When all are taken the error is
    // address_in_use, and says so.
    std::uint16_t last_port = 0;
    // The interfaces that may be used, best first, at most 16: each by its name ("eth0"), its index
    // ("2") or one of its addresses ("192.0.2.7"). Empty: the policy's preferences decide
    // (Preferences::interfaces), and where it has none, the system's routes, one path alone.
    //
    // initiate: each is a path of its own; those are tried in this order, after what the policy
    // prefers. The sockets are bound to their interface, so that nothing leaves by another; where
    // the system does not allow that they are bound to its address, and the report says so
    // (Establishment::Attempt::reason). A name that no interface has, or all being prohibited, ends
    // the race with no_route; the detail lists the interfaces there are.
    // listen: peers are taken on these alone; what is not there, or may not be bound to, is refused
    // (no_route, unsupported). Not for listen_sink: UdpOptions::interface.
    std::vector<std::string> interfaces{};
    SourceChoice source = SourceChoice::automatic;
    // The differentiated services codepoint of all packets that leave, on every stack (RFC 2474): 0
    // to 63, anything else is invalid_argument; 0 is best effort. RFC 8622 has 1 for what yields to
    // all others, RFC 4594 has 46 for voice. Of listen: of what the Listener's Carriers send.
    // Networks may look at it, change it, or ignore it. Carriers of different ones share no
    // Association: packets that one congestion control counts should meet the same queues (RFC
    // 7657, 5.1), so that neither niceness nor Association::migrate() changes it. On udp and
    // udp_lite what is said of a datagram (DatagramOptions::dscp) counts first.
    std::uint8_t dscp = 0;

    // "eth0", "192.0.2.7", "[2001:db8::7]:4000", "eth0:4000-4010", ":4433": an interface or an
    // address, and a port or a range of them. Anything else is an Error (invalid_argument) that
    // says what is wrong.
    static Result<Local> parse(std::string_view text);
};

}  // namespace post
