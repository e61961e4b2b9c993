// Why a name server gives no answer, in its own words: Extended DNS Errors (RFC 8914).
#pragma once

#include <string>

struct ares_dns_record;

namespace post::io {

// "DNSSEC bogus (6)", and what it adds in a text of its own, at most 128 characters of ASCII; empty
// where the message says nothing of that kind.
std::string extended_error(const ares_dns_record& message);

}  // namespace post::io
