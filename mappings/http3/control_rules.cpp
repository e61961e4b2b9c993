// The rules.
#include "mappings/http3/control_rules.hpp"

#include <algorithm>

#include "mappings/http3/errors.hpp"

namespace post::http3 {

namespace {

// RFC 9114, 7.2.
namespace frame {
constexpr std::uint64_t cancel_push = 0x3;
constexpr std::uint64_t settings = 0x4;
constexpr std::uint64_t goaway = 0x7;
constexpr std::uint64_t max_push_id = 0xd;
}  // namespace frame

// RFC 8441, 3, by RFC 9220, 3; RFC 9297, 2.1.1.
constexpr std::uint64_t enable_connect_protocol = 0x8;
constexpr std::uint64_t h3_datagram = 0x33;

}  // namespace

bool ControlRules::Number::add(std::byte byte) {
    const auto bits = std::to_integer<std::uint8_t>(byte);
    if (!begun) {
        begun = true;
        left = static_cast<std::uint8_t>((1u << (bits >> 6)) - 1);
        value = bits & 0x3f;
    } else {
        value = value << 8 | bits;
        --left;
    }
    return left == 0;
}

std::uint64_t ControlRules::read(std::int64_t stream, std::span<const std::byte> bytes) {
    const std::int64_t number = stream / 4;
    if (!bytes.empty() && number < looked_at && (begun_ >> number & 1) == 0) {
        begun_ = static_cast<std::uint8_t>(begun_ | 1u << number);
        if (control_ < 0 && bytes.front() == std::byte{}) control_ = stream;
    }
    return stream == control_ ? read(bytes) : 0;
}

std::uint64_t ControlRules::read(std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size();) {
        const bool payload = state_ >= State::identifier;
        if (state_ == State::rest) {
            const std::uint64_t skipped = std::min<std::uint64_t>(left_, bytes.size() - i);
            left_ -= skipped;
            i += static_cast<std::size_t>(skipped);
        } else {
            if (payload) --left_;
            if (number_.add(bytes[i++])) {
                const std::uint64_t wrong = on_number();
                number_ = {};
                if (wrong != 0) return wrong;
            }
        }
        if (state_ >= State::identifier && left_ == 0) {
            if (const std::uint64_t wrong = on_payload_end()) return wrong;
            number_ = {};
            state_ = State::type;
        }
    }
    return 0;
}

std::uint64_t ControlRules::on_number() {
    switch (state_) {
        case State::stream_type: state_ = State::type; return 0;
        case State::type:
            type_ = number_.value;
            state_ = State::length;
            return 0;
        case State::length:
            left_ = number_.value;
            begin_payload();
            return 0;
        case State::identifier:
            state_ = State::rest;
            return left_ > 0 ? code::frame_error : check_id(number_.value);
        case State::name:
            setting_ = number_.value;
            state_ = State::value;
            return 0;
        case State::value: state_ = State::name; return check_setting(number_.value);
        case State::rest: break;
    }
    return 0;
}

void ControlRules::begin_payload() {
    switch (type_) {
        case frame::cancel_push:
        case frame::goaway:
        case frame::max_push_id: state_ = State::identifier; return;
        case frame::settings: state_ = State::name; return;
        default: state_ = State::rest;
    }
}

// Without the id, or inside of a setting.
std::uint64_t ControlRules::on_payload_end() const {
    const bool cut = state_ == State::identifier || state_ == State::value || number_.begun;
    return cut ? code::frame_error : 0;
}

std::uint64_t ControlRules::check_id(std::uint64_t id) {
    if (type_ == frame::max_push_id) {
        if (id + 1 < allowed_) return code::id_error;
        allowed_ = id + 1;
    }
    // Nothing was ever promised, by either side.
    return type_ == frame::cancel_push ? code::id_error : 0;
}

std::uint64_t ControlRules::check_setting(std::uint64_t value) const {
    const bool is_flag = setting_ == enable_connect_protocol || setting_ == h3_datagram;
    return is_flag && value > 1 ? code::settings_error : 0;
}

}  // namespace post::http3
