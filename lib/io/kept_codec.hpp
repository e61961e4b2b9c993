// How what is kept of an association stands in a file:
//
//   value { checksum (64), version (8) = 1, used (64), rtt in ns (64), mtu (32), rate (64),
//           winner (8) [leaf], failed (8) leaf..., tickets (8) ticket..., tokens (8) token... }
//   leaf { stack (8), address, at (64) }
//   ticket { stack (8), issued (64), expires (64), early data (32), session, parameters }
//   token { address, issued (64), bytes }
//   address { family (8), port (16), scope (32), ip (128) }; bytes { size (32), ... }
//
// Times are seconds since 1970, all numbers in network order. The checksum covers the key, too, and
// finds what a disk damages; it keeps out nobody who can write to the file.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <post/association_store.hpp>

namespace post::io {

std::vector<std::byte> encode(const AssociationKey& key, const KeptAssociation& kept);
// Nothing, when it is not what encode() makes for this key.
std::optional<KeptAssociation> decode(const AssociationKey& key, std::span<const std::byte> value);

}  // namespace post::io
