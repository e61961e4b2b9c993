// ControlRules: what the frames of a peer's control stream may not say, and nghttp3 does not find,
// or calls by another name than RFC 9114 does: an id and nothing behind it (7.1), push ids (7.2.3,
// 7.2.7), settings that are 0 or 1 (RFC 9220, 3; RFC 9297, 2.1.1). It reads beside nghttp3, a byte
// at a time, and keeps no more than one number. The control stream is that one of the peer's first
// eight one-way streams whose type is written as one byte, as everybody does; any other is
// nghttp3's alone.
//
//   0x00 { type (i), length (i), payload (length) }...
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace post::http3 {

class ControlRules {
public:
    // Of each of the peer's one-way streams from its beginning, in order. The error code of the
    // first rule that is broken; 0: none, so far.
    std::uint64_t read(std::int64_t stream, std::span<const std::byte> bytes);

private:
    enum class State : std::uint8_t { stream_type, type, length, identifier, name, value, rest };

    // One variable-length integer (RFC 9000, 16), over several calls. True: it is whole.
    struct Number {
        std::uint64_t value = 0;
        std::uint8_t left = 0;
        bool begun = false;
        bool add(std::byte byte);
    };

    std::uint64_t read(std::span<const std::byte> bytes);
    std::uint64_t on_number();
    std::uint64_t on_payload_end() const;
    std::uint64_t check_id(std::uint64_t id);
    std::uint64_t check_setting(std::uint64_t value) const;
    void begin_payload();

    static constexpr std::int64_t looked_at = 8;

    std::int64_t control_ = -1;
    std::uint8_t begun_ = 0;  // a bit for each stream that is looked at
    State state_ = State::stream_type;
    Number number_;
    std::uint64_t type_ = 0;
    std::uint64_t left_ = 0;     // of the payload
    std::uint64_t setting_ = 0;  // whose value comes
    std::uint64_t allowed_ = 0;  // push ids, of a client's MAX_PUSH_ID; one more than the largest
};

}  // namespace post::http3
