// The bytes of RFC 8832, 5.
#include "mappings/sctp/dcep.hpp"

#include <algorithm>
#include <chrono>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::sctp {

namespace {

constexpr std::size_t open_header = 12;
constexpr std::uint8_t unordered_bit = 0x80;

std::string text_of(std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

ChannelOpen::ChannelOpen(const Open& open) {
    if (open.priority > Priority{}) priority = below_normal_priority;
    if (!open.channel) return;
    const ChannelOptions& options = open.channel->options;
    label = open.channel->label;
    protocol = open.channel->protocol;
    unordered = !options.ordered;
    if (options.priority) priority = *options.priority;
    if (options.retransmissions) {
        reliability = Reliability::retransmissions;
        parameter = *options.retransmissions;
    } else if (options.lifetime) {
        reliability = Reliability::lifetime;
        parameter = milliseconds_of(*options.lifetime);
    }
}

core::Boxed<ChannelInfo> ChannelOpen::info() const {
    ChannelInfo info{label, protocol};
    info.options.ordered = !unordered;
    if (priority != normal_priority) info.options.priority = priority;
    if (reliability == Reliability::retransmissions) info.options.retransmissions = parameter;
    if (reliability == Reliability::lifetime)
        info.options.lifetime = std::chrono::milliseconds(parameter);
    if (info == ChannelInfo{}) return {};
    return info;
}

std::uint32_t milliseconds_of(Duration lifetime) {
    constexpr std::int64_t most = 0xffff'ffff;
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(lifetime).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(whole, 0, most));
}

std::vector<std::byte> write(const ChannelOpen& open) {
    const std::string label = open.label.substr(0, 0xffff);
    const std::string protocol = open.protocol.substr(0, 0xffff);
    std::vector<std::byte> bytes(open_header + label.size() + protocol.size());
    wire::Writer writer(bytes);
    const auto type = static_cast<std::uint8_t>(open.reliability);
    writer.u8(static_cast<std::uint8_t>(Dcep::open));
    writer.u8(static_cast<std::uint8_t>(type | (open.unordered ? unordered_bit : 0)));
    writer.u16(open.priority).u32(open.parameter);
    writer.u16(static_cast<std::uint16_t>(label.size()));
    writer.u16(static_cast<std::uint16_t>(protocol.size()));
    writer.bytes(std::as_bytes(std::span(label))).bytes(std::as_bytes(std::span(protocol)));
    return bytes;
}

std::optional<Dcep> dcep_type(std::span<const std::byte> message) {
    if (message.empty()) return std::nullopt;
    const auto type = static_cast<Dcep>(message[0]);
    if (type == Dcep::ack && message.size() == 1) return type;
    if (type == Dcep::open && message.size() >= open_header) return type;
    return std::nullopt;
}

std::optional<ChannelOpen> read_open(std::span<const std::byte> message) {
    if (dcep_type(message) != Dcep::open) return std::nullopt;
    wire::Reader reader(message.subspan(1));
    const std::uint8_t type = *reader.u8();
    ChannelOpen open;
    open.unordered = (type & unordered_bit) != 0;
    const unsigned reliability = type & ~unordered_bit & 0xffu;
    if (reliability > static_cast<unsigned>(ChannelOpen::Reliability::lifetime))
        return std::nullopt;
    open.reliability = static_cast<ChannelOpen::Reliability>(reliability);
    open.priority = *reader.u16();
    open.parameter = *reader.u32();
    const std::size_t label = *reader.u16();
    const std::size_t protocol = *reader.u16();
    if (message.size() != open_header + label + protocol) return std::nullopt;
    open.label = text_of(*reader.bytes(label));
    open.protocol = text_of(*reader.bytes(protocol));
    return open;
}

}  // namespace post::sctp
