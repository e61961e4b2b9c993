// Errors on the wire (FORMAT.md, 9): the number in RESET_STREAM, STOP_SENDING, CONNECTION_CLOSE and
// REFUSE between two Post peers, and what a number means to us. With a plain peer the application's
// codes travel as they are, and nothing of ours does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <post/error.hpp>
#include <post/ids.hpp>

namespace post::framing {

namespace wire_code {
inline constexpr std::uint64_t no_error = 0x100;
inline constexpr std::uint64_t internal = 0x10f;
inline constexpr std::uint64_t replaced = 0x110;
inline constexpr std::uint64_t connection_refused = 0x112;
// The application's AbortCode n is 0x1'0000'0000 + n.
inline constexpr std::uint64_t application = 0x1'0000'0000;
}  // namespace wire_code

// An AbortCode as an Error's cause, and back. std::error_code holds an int: the bits are kept.
inline std::error_code application_code(AbortCode code) {
    return {static_cast<int>(code.value()), application_category()};
}

// Between Post peers. A cause in application_category() is the application's AbortCode; an error
// without a number of its own is `internal`.
std::uint64_t to_wire(const Error& error);
// What we make of the peer's number on a Carrier: never an empty Error.
Error from_wire(std::uint64_t code);
// The same where it came with the end of the connection: connection_closed for carrier_reset.
Error closed_from_wire(std::uint64_t code);
// The code of REFUSE; what cannot be a reason to refuse is carrier_refused.
Errc refusal_from_wire(std::uint64_t code);

// What an ICMP message means for an attempt to connect, by its errno; Errc{}: nothing.
Errc errc_of_trouble(std::error_code code);

// The peer's text as we may print it: enough of it to say what happened, and small enough for any
// packet.
std::string printable(std::string_view text);
// Adds what the peer says about its reason to close, if it says something.
void add_reason(Error& error, std::string_view text);

// With plain peers: the AbortCode alone, and 0 for whatever is ours.
std::uint64_t to_foreign(const Error& error);
// carrier_reset with the code as AbortCode; one above 2^32 - 1 is 2^32 - 1 and named in the detail.
Error from_foreign(std::uint64_t code);

}  // namespace post::framing
