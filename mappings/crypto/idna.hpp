// Names in other scripts than ASCII, as DNS and certificates have them (IDNA 2008, RFC 5891).
// GnuTLS maps them, with the tables of the libidn2 that it is linked with, so that the library
// needs no dependency more, and certificates are matched with the very names that were asked for.
#pragma once

#include <string>
#include <string_view>

#include <post/result.hpp>

namespace post::crypto {

// "münchen.example" becomes "xn--mnchen-3ya.example" (UTS 46, non-transitional). invalid_argument,
// with GnuTLS's code, for what is no such name; unsupported where GnuTLS was built without it.
Result<std::string> ascii_name(std::string_view utf8);

}  // namespace post::crypto
