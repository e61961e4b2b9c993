// The table of FORMAT.md, 9, in both directions.
#include "mappings/framing/error_codes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <string>

#include "mappings/wire/varint.hpp"

namespace post::framing {

namespace {

// `meant` is what the sender had, `understood` what the receiver makes of it: what the peer
// cancelled is reset to us, and the rule was broken by us. Where they differ the receiver keeps
// `meant` as the cause.
struct Row {
    std::uint64_t code;
    Errc meant;
    Errc understood;
};

constexpr std::array<Row, 19> table = {{
    {wire_code::no_error, Errc::connection_closed, Errc::connection_closed},
    {0x101, Errc::protocol_violation, Errc::carrier_reset},
    {0x102, Errc::cancelled, Errc::carrier_reset},
    {0x103, Errc::carrier_closed, Errc::carrier_closed},
    {0x104, Errc::carrier_refused, Errc::carrier_refused},
    {0x105, Errc::context_closed, Errc::connection_closed},
    {0x106, Errc::too_slow, Errc::too_slow},
    {0x107, Errc::stalled, Errc::stalled},
    {0x108, Errc::delivered_missing, Errc::delivered_missing},
    {0x109, Errc::excessive_load, Errc::excessive_load},
    {0x10a, Errc::message_too_large, Errc::message_too_large},
    {0x10b, Errc::too_many, Errc::too_many},
    {0x10c, Errc::expired, Errc::expired},
    {0x10d, Errc::lost_the_race, Errc::connection_closed},
    {0x10e, Errc::unsupported, Errc::unsupported},
    {wire_code::replaced, Errc::replaced, Errc::connection_closed},
    {0x111, Errc::never_chosen, Errc::connection_closed},
    {wire_code::connection_refused, Errc::not_attached, Errc::connection_closed},
    {0x113, Errc::dormant, Errc::connection_closed},
}};

// The numbers that no Errc of the sender stands behind.
const char* text_of(std::uint64_t code) {
    switch (code) {
        case wire_code::internal: return "the peer had an error of its own";
        default: return nullptr;
    }
}

// Ours or nothing: the Errc that an error_code of post_category() holds.
const Row* row_of(std::error_code code) {
    if (!code || code.category() != post_category()) return nullptr;
    const auto found = std::find_if(table.begin(), table.end(), [&](const Row& row) {
        return static_cast<int>(row.meant) == code.value();
    });
    return found == table.end() ? nullptr : &*found;
}

std::uint32_t abort_code(const Error& error) {
    return static_cast<std::uint32_t>(error.cause.value());
}

bool from_application(const Error& error) {
    return error.cause.category() == application_category();
}

}  // namespace

std::uint64_t to_wire(const Error& error) {
    if (from_application(error)) return wire_code::application + abort_code(error);
    if (!error) return wire_code::no_error;
    if (const Row* row = row_of(error.cause)) return row->code;
    if (const Row* row = row_of(error.code)) return row->code;
    return wire_code::internal;
}

Error from_wire(std::uint64_t code) {
    if (code >= wire_code::application && code - wire_code::application <= 0xffff'ffff) {
        const AbortCode abort{static_cast<std::uint32_t>(code - wire_code::application)};
        return Error(Errc::carrier_reset, application_code(abort), Stage::established);
    }
    for (const Row& row : table) {
        if (row.code != code) continue;
        const bool same = row.meant == row.understood;
        return Error(row.understood, same ? std::error_code{} : make_error_code(row.meant),
                     Stage::established);
    }
    if (const char* text = text_of(code))
        return Error(Errc::connection_closed, {}, Stage::established, text);
    return Error(Errc::carrier_reset, {}, Stage::established,
                 "the peer's error code " + std::to_string(code) + " is unknown");
}

Error closed_from_wire(std::uint64_t code) {
    Error error = from_wire(code);
    if (error == Errc::carrier_reset) error.code = make_error_code(Errc::connection_closed);
    return error;
}

Errc refusal_from_wire(std::uint64_t code) {
    const auto row = std::find_if(table.begin(), table.end(),
                                  [&](const Row& candidate) { return candidate.code == code; });
    if (row == table.end()) return Errc::carrier_refused;
    switch (row->understood) {
        case Errc::too_many:
        case Errc::excessive_load:
        case Errc::unsupported: return row->understood;
        default: return Errc::carrier_refused;
    }
}

std::uint64_t to_foreign(const Error& error) {
    return from_application(error) ? abort_code(error) : 0;
}

Error from_foreign(std::uint64_t code) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    const AbortCode abort{static_cast<std::uint32_t>(std::min(code, most))};
    Error error(Errc::carrier_reset, application_code(abort), Stage::established);
    if (code > most) error.detail = "the peer's error code is " + std::to_string(code);
    return error;
}

Errc errc_of_trouble(std::error_code code) {
    switch (code.value()) {
        case ECONNREFUSED: return Errc::refused_port;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EACCES: return Errc::unreachable;
        default: return Errc{};
    }
}

std::string printable(std::string_view text) {
    constexpr std::size_t longest = 200;
    std::string clean(text.substr(0, longest));
    for (char& letter : clean)
        if (letter < 0x20 || letter >= 0x7f) letter = '?';
    return clean;
}

void add_reason(Error& error, std::string_view text) {
    if (text.empty()) return;
    const auto detail = error.detail.string();
    error.detail = Bytes((detail.empty() ? "" : detail + "; ") +
                         "the peer says: " + printable(text));
}

}  // namespace post::framing
