// DANE: what the name service says of a peer's certificate (TLSA, RFC 6698, RFC 7671), against the
// chain that the peer shows. Whether the records are authentic is not asked here.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <post/identity.hpp>
#include <post/records.hpp>

namespace post::crypto {

// RFC 6698, 7.2 to 7.4, in their acronyms (RFC 7218).
enum class TlsaUsage : std::uint8_t { pkix_ta, pkix_ee, dane_ta, dane_ee };

// The records that count: those with known numbers and data of the right length (RFC 6698, 4.1),
// and beside chosen authorities only those that need an authority anyway.
std::vector<Tlsa> usable_records(const std::vector<Tlsa>& records, Trust::Kind trust);

// Whether `certificate` (DER) is the one that the record names, or has the key that it names.
bool names_certificate(const Tlsa& record, std::span<const std::byte> certificate);

// "3 1 1", as zone files begin one, for people.
std::string text_of(const Tlsa& record);

}  // namespace post::crypto
