// Feature: what a message, a Carrier or an Association can be asked for, and how each protocol
// stack gives it. The names are those of RFC 9622, 6.2 where it has one, and RFC 8303 says what
// they mean to transports; to_string() gives them as text, the form that files of preferences use.
// Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace post {

enum class Feature : std::uint8_t {
    fork,                // Carrier::fork; "multistreaming"
    one_way,             // Source and Sink
    niceness,            // SendOptions::niceness
    lifetime,            // SendOptions::lifetime
    unordered,           // SendOptions::ordered = false
    unreliable,          // SendOptions::reliable = false; "perMsgReliability"
    antecedents,         // SendOptions::antecedents
    idempotent,          // SendOptions::idempotent reaches the receiver
    immediate,           // SendOptions::immediate
    properties,          // SendOptions::properties reach the receiver
    message_boundaries,  // a message arrives as it was sent, whole; "preserveMsgBoundaries"
    acked,               // what Fate::acked rests on
    backpressure,        // a Carrier that nobody reads stops its own peer and nobody else
    label,               // Carrier::ForkOptions::label and protocol reach the peer
    text,                // SendOptions::text reaches the receiver
    datagram_options,    // SendOptions::datagram
    // Properties of the stack as a whole.
    security,            // encrypted, and the peer is who it says
    reliability,         // all arrives, whatever is lost on the way
    order,               // and in the order of sending; "preserveOrder"
    congestion_control,  // yields to others where the network is full; "congestionControl"
    early_data,          // a message in the first packet of a connection; "zeroRttMsg"
    checksum_sent,       // every byte that we send is protected; "fullChecksumSend"
    checksum_received,   // every byte that we get was; "fullChecksumRecv"
    keep_alive,          // Bounds::keep_alive; "keepAlive"
    soft_errors,         // ICMP errors that end nothing are told; "softErrorNotify"
    read_first,          // who opens a Carrier may wait for the peer; "activeReadBeforeSend"
    multipath,           // several paths at once
    temporary_address,   // "useTemporaryLocalAddress"
    advertises_altaddr,  // our other addresses are told to the peer; "advertisesAltaddr"
    migration,           // Association::migrate, and moving when an address goes away
};
inline constexpr std::uint8_t feature_count = 30;

const char* to_string(Feature feature) noexcept;
std::optional<Feature> feature_of(std::string_view name) noexcept;

// How a stack gives a feature: by itself, by work of the library's, or not at all; and why.
struct Support {
    enum class Level : std::uint8_t { native, emulated, unsupported };
    Level level = Level::unsupported;
    const char* reason = "";
};
const char* to_string(Support::Level level) noexcept;
// All features in the order of Feature, and how each is given.
using FeatureTable = std::vector<std::pair<Feature, Support>>;
// One line each: "lifetime: emulated: unsent bytes are dropped and announced as such".
std::string to_string(const FeatureTable& table);

// What is thought of a feature, a stack or an interface (RFC 9622, 6.2).
enum class Preference : std::uint8_t {
    prohibit,  // never with it
    avoid,     // rather without
    none,
    prefer,   // rather with it
    require,  // never without
};
const char* to_string(Preference preference) noexcept;
std::optional<Preference> preference_of(std::string_view name) noexcept;

}  // namespace post
