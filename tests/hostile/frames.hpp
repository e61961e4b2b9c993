// Frames of QUIC and QMux by hand (RFC 9000, 19), as text for Forge::seal and QmuxSiege: what no
// honest endpoint would write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace post::test::frame {

// RFC 9000, 16.
inline std::string number(std::uint64_t value) {
    const unsigned bytes = value < 1u << 6 ? 1 : value < 1u << 14 ? 2 : value < 1u << 30 ? 4 : 8;
    const unsigned lengths = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    std::string text;
    for (unsigned i = bytes; i-- > 0;) text += static_cast<char>(value >> 8 * i & 0xff);
    text[0] = static_cast<char>(static_cast<unsigned char>(text[0]) | lengths << 6);
    return text;
}

inline std::string ping() { return "\x01"; }
inline std::string padding(std::size_t size) { return std::string(size, '\0'); }

// `ranges`: of the gap and the length of each further range, as they stand in the frame.
inline std::string ack(std::uint64_t largest, std::uint64_t first_range,
                       const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges = {}) {
    std::string text = "\x02" + number(largest) + number(0) + number(ranges.size()) +
                       number(first_range);
    for (const auto& [gap, length] : ranges) text += number(gap) + number(length);
    return text;
}
inline std::string reset_stream(std::uint64_t stream, std::uint64_t code, std::uint64_t size) {
    return "\x04" + number(stream) + number(code) + number(size);
}
inline std::string stop_sending(std::uint64_t stream, std::uint64_t code) {
    return "\x05" + number(stream) + number(code);
}
inline std::string crypto(std::uint64_t offset, std::string_view data) {
    return "\x06" + number(offset) + number(data.size()) + std::string(data);
}
inline std::string new_token(std::string_view token) {
    return "\x07" + number(token.size()) + std::string(token);
}
inline std::string stream(std::uint64_t id, std::uint64_t offset, std::string_view data,
                          bool finish = false) {
    return (finish ? "\x0f" : "\x0e") + number(id) + number(offset) + number(data.size()) +
           std::string(data);
}
inline std::string datagram(std::string_view data) {
    return "\x31" + number(data.size()) + std::string(data);
}
inline std::string max_data(std::uint64_t most) { return "\x10" + number(most); }
inline std::string max_stream_data(std::uint64_t id, std::uint64_t most) {
    return "\x11" + number(id) + number(most);
}
// The id is made of the sequence number.
inline std::string new_connection_id(std::uint64_t sequence, std::uint64_t retire_prior_to) {
    std::string id(8, 'i'), token(16, 't');
    for (unsigned i = 0; i < 8; ++i) id[i] = token[i] = static_cast<char>(sequence >> 8 * i & 0xff);
    return "\x18" + number(sequence) + number(retire_prior_to) + "\x08" + id + token;
}
inline std::string retire_connection_id(std::uint64_t sequence) {
    return "\x19" + number(sequence);
}
inline std::string path_challenge(std::uint64_t data) {
    std::string text = "\x1a";
    for (unsigned i = 0; i < 8; ++i) text += static_cast<char>(data >> 8 * i & 0xff);
    return text;
}
inline std::string handshake_done() { return "\x1e"; }

// OPEN of a Carrier for messages, without a parent (FORMAT.md, 5.1): what its stream begins with.
inline std::string open(std::uint64_t carrier) {
    return "\x35" + number(carrier) + std::string(1, '\0');
}

// What QMux adds to the frames of QUIC, and its records.
inline std::string parameter(std::uint64_t id, std::uint64_t value) {
    return number(id) + number(number(value).size()) + number(value);
}
inline std::string qx_parameters(std::string_view content) {
    return number(0x3f5153300d0a0d0a) + number(content.size()) + std::string(content);
}
inline std::string qx_ping(std::uint64_t sequence) {
    return number(0x348c67529ef8c7bd) + number(sequence);
}
inline std::string qx_answer(std::uint64_t sequence) {
    return number(0x348c67529ef8c7be) + number(sequence);
}
inline std::string record(std::string_view frames) {
    return number(frames.size()) + std::string(frames);
}
}  // namespace post::test::frame
