// Policy: what the application demands of the way its messages take (draft 2.8, RFC 9622, 6).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/feature.hpp>
#include <post/result.hpp>
#include <post/time.hpp>

namespace post {

// A protocol stack instance. The README's table says what each is made of.
enum class Stack : std::uint8_t {
    quic,       // streams of QUIC (RFC 9000)
    sctp_dtls,  // streams of SCTP over DTLS over UDP (RFC 8261): data channels, for plain peers
    sctp_udp,   // streams of SCTP right over UDP (RFC 6951): not secured, so Security::none only
    tls,        // streams of QMux in TLS 1.3 over TCP: where UDP does not get through; with a
                // foreign ALPN, or none, a connection for each Carrier, and its bytes
    tcp,        // a TCP connection for each Carrier, and its bytes: plain peers only, and not
                // secured, so Security::none only
    udp,        // datagrams (post/udp.hpp): Security::none, and the only one that is named
    udp_lite,   // the same with a checksum over a part of each (RFC 3828)
    http3,      // HTTP/3 over QUIC (post/http.hpp): what https URLs are served by, and nothing else
};
const char* to_string(Stack stack) noexcept;
// By that name: "quic", "sctp-dtls".
std::optional<Stack> stack_of(std::string_view name) noexcept;

enum class Security : std::uint8_t {
    required,  // encrypted, and the peer is who it says; the default, and never traded for speed
    none,      // stacks without security are taken too, where `stacks` names them: anybody on the
               // way can read, change and forge whatever passes
};

enum class InterfaceType : std::uint8_t { loopback, wired, wifi, cellular, tunnel, other };
const char* to_string(InterfaceType type) noexcept;

// What is thought of one interface, by its name ("eth0"), or of all of a type; a name counts more
// than its type (RFC 9622, 6.2.11). initiate: where there is any, each interface that is left is a
// path of its own, with sockets bound to it, and those that are preferred are tried first, those
// that are avoided last; what is refused stands in the plan and in the race's report. listen: what
// is required or prohibited holds for the interfaces that there are when it begins. Each interface
// is a provisioning domain of its own (RFC 7556), so this is the property "pvd", too (6.2.12).
struct InterfacePreference {
    std::string name{};                   // empty: whatever its name
    std::optional<InterfaceType> type{};  // none: whatever its type
    Preference preference = Preference::none;
    bool operator==(const InterfacePreference&) const = default;
};

// Preferences beyond the order of stacks. Nothing is required unless it is said, but for security:
// RFC 9622 requires reliability, order, congestion control and full checksums by default, and so do
// the default stacks, each of which has them; who names another stack means it.
//
// Features and stacks: what is required has to be given
// (natively or emulated), what is prohibited must not be; of what is left those come first that
// give more of what is preferred and less of what is avoided, and what is equal stays in the order
// of Policy::stacks. Interfaces go before stacks: first the path is chosen, then the stack (RFC
// 9622, 6.2).
//
// A system may have preferences too, in a file that every Context reads when it is made
// (ContextOptions::preferences): that which the environment variable POST_POLICY names, and none if
// it is empty; where that is not set $XDG_CONFIG_HOME/post/policy.ini, or ~/.config/post/policy.ini
// without that variable; else /etc/post/policy.ini. The first of them that there is counts, alone.
// A mistake in it is an error that says file and line. Programs that gain rights when they start
// (set-user-id) read the last one only.
//
// They stand below the application's: whatever the application says of a feature, a stack or an
// interface holds, Preference::none too. If nothing is left with both, the system's `require`
// counts as `prefer` and its `prohibit` as `avoid`, and Policy::explain says so. Neither ever adds
// a stack to those of the policy.
struct Preferences {
    // Out of line: GCC 12 would warn every caller of options about members that it never made.
    Preferences();

    std::map<Feature, Preference> features{};
    std::map<Stack, Preference> stacks{};
    std::vector<InterfacePreference> interfaces{};  // at most 64
    bool operator==(const Preferences&) const = default;

    // The file's text, in INI:
    //     ; a comment, as is what begins with #
    //     [features]
    //     multistreaming = prefer     ; names as to_string(Feature) has them
    //     [stacks]
    //     sctp-dtls = prohibit        ; require, prefer, none, avoid, prohibit
    //     [interfaces]                ; or [pvd], which is the same
    //     wlan0 = avoid
    //     type cellular = prohibit    ; loopback, wired, wifi, cellular, tunnel, other
    // Anything else is refused: an Error (invalid_argument) with "file:line: what is wrong". A
    // system cannot weaken security: `security` there is only preferred or required.
    static Result<Preferences> parse(std::string_view text, std::string_view file = "preferences");
    // The same from a file of at most 64 KiB; Errc::file when it cannot be read.
    static Result<Preferences> read(const std::string& path);
    // As such a file.
    std::string string() const;
};

struct Policy {
    Security security = Security::required;
    // In the order of preference. initiate races them, with one over TCP as the second and those
    // without security last; listen takes peers on all of them, on one number of UDP and TCP
    // (sctp_udp: SctpOptions::udp_port). udp and udp_lite share with nobody.
    std::vector<Stack> stacks = {Stack::quic, Stack::sctp_dtls, Stack::tls};
    Preferences preferences{};
    // Hot standby: a client that has Bounds::continuity, as its server has, keeps a connection of
    // tls to the same Remote beside the one in use, and goes over to it as soon as that one is lost
    // or doubted (three probe timeouts without an answer), instead of racing: what is not settled
    // is there half a round trip later. At most one for each Association, and none while tls itself
    // is in use, no Carrier is open, or the server knows no such thing. What dies is made anew,
    // after 1 s, and after up to 64 s when it dies at once. It costs both ends the memory of a
    // connection and a handshake (3 KB), and 230 bytes every Bounds::keep_alive, or every third of
    // the idle timeout. Association::transients lists it, Association::explain says why
    // there is none. Needs Stack::tls among `stacks`; listen takes standbys without it.
    bool standby = false;
    // Redundancy: a message with SendOptions::immediate and a lifetime of less than this goes over
    // the standby as well, and is given out once, by whichever brings it first. Of a client's own
    // Carriers that the peer knows, up to 1200 bytes, reliable, neither the last nor with
    // antecedents or properties; an ordered one whose predecessors are still on their way comes by
    // its own connection alone. Since it may have come, it does not expire: it is acked or fails.
    // Zero: none.
    Duration redundant_below{};
    bool operator==(const Policy&) const = default;

    // The profiles of RFC 9622, B.2, over the default stacks: reliable-message,
    // reliable-inorder-stream, and unreliable-datagram. The last one also prefers
    // Feature::unreliable, so that a stack which can lose a message goes before one which cannot.
    static Policy reliable_messages();
    static Policy reliable_stream();
    static Policy unreliable_datagrams();

    // How each stack of the policy gives a feature to a Post peer, in the order in which they are
    // tried; and all of it as text, with what is refused and why. `system`: the preferences below.
    struct StackSupport {
        Stack stack;
        Support support;
    };
    std::vector<StackSupport> explain(Feature feature, const Preferences& system = {}) const;
    std::string explain(const Preferences& system = {}) const;
};

// How far the peer may go before the library says no. Every bound can be set: numbers from 1 to
// 2^60, largest_message at most half of receive_budget, timeouts above zero; anything else is
// refused with invalid_argument by initiate and listen.
struct Bounds {
    // Received and taken whole, bytes; who receives in parts (ReceiveParts) has no limit.
    std::uint64_t largest_message = 16 * 1024 * 1024;
    std::uint64_t receive_budget = 64 * 1024 * 1024;  // received and untaken, an Association
    std::uint64_t send_budget = 1024 * 1024;          // not yet in a packet, a Carrier, bytes
    // All Carriers; the last quarter in shares of a 1024th each, so that Carriers whose peer takes
    // nothing cannot have it all, and beyond it one message each.
    std::uint64_t association_send_budget = 64 * 1024 * 1024;
    // Packed and not yet acked, bytes. Each Carrier may go beyond it by one message, or by 576 KiB
    // of each long one that is begun, so that the peer has something to acknowledge.
    std::uint64_t unsettled = 32 * 1024 * 1024;
    // That the peer may have open; where each is a connection of its own, also ours.
    std::uint64_t carriers = 65536;
    Duration handshake_timeout = std::chrono::seconds(10);  // for each candidate
    Duration idle_timeout = std::chrono::seconds(30);       // the lesser of both ends'
    Duration stalled_after = std::chrono::seconds(60);      // an unfinished message; zero: never
    Duration linger = std::chrono::seconds(10);             // what close() waits for at most
    // How long both ends may be silent before we say something, while a Carrier is open, so that
    // the idle timeout only ends what is broken or unused. None: a third of the idle timeout that
    // both ends agreed on. Zero: never, and silence ends open Carriers too (RFC 9622, 8.1.4).
    std::optional<Duration> keep_alive{};
    // How long an Association between secured Post peers goes on without a connection when that
    // broke: it was silent for too long, was reset, or nothing came back for three probe timeouts
    // while something was on its way. The client races again, over any secured stack that its
    // policy allows; the server waits. Carriers stay open, each message is delivered once and has
    // one fate; what ended without a word is noticed that much later. Zero: a broken connection
    // ends its Association, at both ends, whoever of them says so, as it always does where there is
    // nothing to be known again by (plain peers, sctp_udp). Silence that ends a connection because
    // both ends have keep_alive zero breaks nothing: open Carriers rest (Carrier::deactivate).
    Duration continuity = std::chrono::seconds(30);
    // How long a listener keeps a dormant Association (Carrier::deactivate) whose client does not
    // come again: its Carriers end with connection_lost then. Zero: it keeps none, and clients
    // cannot deactivate. A Context keeps at most 262144 Carriers of listeners dormant; beyond that
    // a connection that is let go ends its Association.
    Duration dormant_for = std::chrono::hours(1);
    bool operator==(const Bounds&) const = default;
};

}  // namespace post
