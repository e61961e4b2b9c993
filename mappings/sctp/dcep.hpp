// DCEP (RFC 8832): the two messages with which a data channel is opened over SCTP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace post::sctp {

// Payload protocol identifiers (RFC 8831, 8) and ours (FORMAT.md, 8.2).
namespace ppid {
inline constexpr std::uint32_t none = 0;
inline constexpr std::uint32_t dcep = 50;
inline constexpr std::uint32_t text = 51;
inline constexpr std::uint32_t binary = 53;
inline constexpr std::uint32_t empty_text = 56;
inline constexpr std::uint32_t empty_binary = 57;
inline constexpr std::uint32_t post = 0x706f7374;         // "post": a frame of a Carrier
inline constexpr std::uint32_t association = 0x706f7361;  // "posa": one of the association
inline constexpr std::uint32_t alone = 0x706f7364;        // "posd": a message that travels alone
}  // namespace ppid

// DATA_CHANNEL_OPEN (RFC 8832, 5.1).
struct ChannelOpen {
    enum class Reliability : std::uint8_t { reliable = 0, retransmissions = 1, lifetime = 2 };
    Reliability reliability = Reliability::reliable;
    bool unordered = false;
    std::uint16_t priority = 256;  // RFC 8831, 6.4: normal
    std::uint32_t parameter = 0;   // retransmissions, or milliseconds
    std::string label;
    std::string protocol;
};
std::vector<std::byte> write(const ChannelOpen& open);

enum class Dcep : std::uint8_t { ack = 2, open = 3 };
// Nothing when it is neither, or its lengths do not fit.
std::optional<Dcep> dcep_type(std::span<const std::byte> message);
std::optional<ChannelOpen> read_open(std::span<const std::byte> message);

}  // namespace post::sctp
