// DCEP (RFC 8832): the two messages with which a data channel is opened over SCTP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mappings/values.hpp"

namespace post::sctp {

// Payload protocol identifiers (RFC 8831, 8) and ours (FORMAT.md, 8.2).
namespace ppid {
inline constexpr std::uint32_t none = 0;
inline constexpr std::uint32_t dcep = 50;
inline constexpr std::uint32_t text = 51;
inline constexpr std::uint32_t part_of_binary = 52;  // these two are deprecated: only received
inline constexpr std::uint32_t binary = 53;
inline constexpr std::uint32_t part_of_text = 54;
inline constexpr std::uint32_t empty_text = 56;
inline constexpr std::uint32_t empty_binary = 57;
inline constexpr std::uint32_t post = 0x706f7374;         // "post": a frame of a Carrier
inline constexpr std::uint32_t association = 0x706f7361;  // "posa": one of the association
inline constexpr std::uint32_t alone = 0x706f7364;        // "posd": a message that travels alone
}  // namespace ppid

// How the messages of a channel travel.
struct ChannelTerms {
    enum class Reliability : std::uint8_t { reliable = 0, retransmissions = 1, lifetime = 2 };
    Reliability reliability = Reliability::reliable;
    bool unordered = false;
    std::uint32_t parameter = 0;  // retransmissions, or milliseconds
};

// RFC 8831, 6.4.
inline constexpr std::uint16_t below_normal_priority = 128;
inline constexpr std::uint16_t normal_priority = 256;

// DATA_CHANNEL_OPEN (RFC 8832, 5.1).
struct ChannelOpen : ChannelTerms {
    std::uint16_t priority = normal_priority;
    std::string label;
    std::string protocol;

    ChannelOpen() = default;
    // As it is said of a Carrier of ours.
    explicit ChannelOpen(const Open& open);
    // As the layer above hears of it; nothing when there is nothing that is out of the common.
    core::Boxed<ChannelInfo> info() const;
};
std::vector<std::byte> write(const ChannelOpen& open);
// As RFC 7496 and RFC 8832 count them.
std::uint32_t milliseconds_of(Duration lifetime);

enum class Dcep : std::uint8_t { ack = 2, open = 3 };
// Nothing when it is neither, or its lengths do not fit.
std::optional<Dcep> dcep_type(std::span<const std::byte> message);
std::optional<ChannelOpen> read_open(std::span<const std::byte> message);

}  // namespace post::sctp
