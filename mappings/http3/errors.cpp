// The table behind errors.hpp, and the category.
#include "mappings/http3/errors.hpp"

#include <algorithm>
#include <string>

#include <post/ids.hpp>

#include "mappings/framing/error_codes.hpp"

namespace post {

namespace {

const char* text_of(int code) noexcept {
    switch (code) {
        case 0x33: return "H3_DATAGRAM_ERROR: a datagram that cannot be read";
        case 0x100: return "H3_NO_ERROR: nothing is wrong";
        case 0x101: return "H3_GENERAL_PROTOCOL_ERROR: a rule was broken";
        case 0x102: return "H3_INTERNAL_ERROR: an error of its own";
        case 0x103: return "H3_STREAM_CREATION_ERROR: a stream that nobody may open";
        case 0x104: return "H3_CLOSED_CRITICAL_STREAM: a stream ended that the connection needs";
        case 0x105: return "H3_FRAME_UNEXPECTED: a frame where none may stand";
        case 0x106: return "H3_FRAME_ERROR: a frame that cannot be read";
        case 0x107: return "H3_EXCESSIVE_LOAD: too much work";
        case 0x108: return "H3_ID_ERROR: an id that may not be used";
        case 0x109: return "H3_SETTINGS_ERROR: wrong SETTINGS";
        case 0x10a: return "H3_MISSING_SETTINGS: no SETTINGS at the beginning";
        case 0x10b: return "H3_REQUEST_REJECTED: not processed, and may be asked again";
        case 0x10c: return "H3_REQUEST_CANCELLED: the request is not wanted any more";
        case 0x10d: return "H3_REQUEST_INCOMPLETE: the request ended too soon";
        case 0x10e: return "H3_MESSAGE_ERROR: a malformed message";
        case 0x10f: return "H3_CONNECT_ERROR: the connection behind a CONNECT broke";
        case 0x110: return "H3_VERSION_FALLBACK: to be asked by HTTP/1.1";
        case 0x200: return "QPACK_DECOMPRESSION_FAILED: fields that cannot be decoded";
        case 0x201: return "QPACK_ENCODER_STREAM_ERROR: wrong instructions of the encoder";
        case 0x202: return "QPACK_DECODER_STREAM_ERROR: wrong instructions of the decoder";
        default: return nullptr;
    }
}

class Http3Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "http3"; }
    std::string message(int code) const override {
        if (const char* text = text_of(code)) return text;
        return "unknown code " + std::to_string(code);
    }
};

}  // namespace

const std::error_category& http3_category() noexcept {
    static const Http3Category category;
    return category;
}

}  // namespace post

namespace post::http3 {

namespace {

// RFC 9114, 8.1: codes that say nothing.
bool is_grease(std::uint64_t code) { return code >= 0x21 && (code - 0x21) % 0x1f == 0; }

std::error_code to_code(std::uint64_t code) {
    return {static_cast<int>(std::min<std::uint64_t>(code, 0x7fffffff)), http3_category()};
}

// What the connection below heard, as a number. (A 32-bit AbortCode, kept in an int.)
std::uint64_t number_of(const Error& heard) {
    if (heard.cause.category() != application_category()) return code::no_error;
    return static_cast<std::uint32_t>(heard.cause.value());
}

}  // namespace

std::uint64_t to_wire(const Error& reason) {
    if (reason.cause.category() == http3_category())
        return static_cast<std::uint64_t>(reason.cause.value());
    if (reason.cause.category() == application_category() && reason.cause.value() != 0)
        return static_cast<std::uint32_t>(reason.cause.value());
    if (!reason) return code::no_error;
    if (reason == Errc::carrier_closed || reason == Errc::connection_closed ||
        reason == Errc::context_closed || reason == Errc::lost_the_race)
        return code::no_error;
    if (reason == Errc::carrier_refused) return code::request_rejected;
    if (reason == Errc::too_slow || reason == Errc::stalled || reason == Errc::excessive_load ||
        reason == Errc::too_many || reason == Errc::message_too_large)
        return code::excessive_load;
    if (reason == Errc::protocol_violation) return code::general_protocol_error;
    if (reason == Errc::cancelled || reason == Errc::expired || reason == Errc::carrier_reset)
        return code::request_cancelled;
    return code::internal_error;
}

Error below(std::uint64_t code, Bytes detail) {
    return Error(Errc::cancelled,
                 framing::application_code(AbortCode{static_cast<std::uint32_t>(code)}),
                 Stage::established, std::move(detail));
}

Error error_of(Errc errc, std::uint64_t code, Bytes detail) {
    return Error(errc, to_code(code), Stage::established, std::move(detail));
}

Error of_stream(Error heard) {
    if (heard.cause.category() != application_category()) return heard;
    const std::uint64_t number = number_of(heard);
    heard.cause = to_code(number);
    heard.code = make_error_code(number == code::request_rejected ? Errc::carrier_refused
                                                                  : Errc::carrier_reset);
    return heard;
}

Error of_connection(Error heard) {
    if (heard.cause.category() != application_category()) return heard;
    const std::uint64_t number = number_of(heard);
    heard.cause = is_grease(number) ? to_code(code::no_error) : to_code(number);
    return heard;
}

}  // namespace post::http3
