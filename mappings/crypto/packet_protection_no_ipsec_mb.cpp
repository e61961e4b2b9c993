// Stands in for packet_protection_ipsec_mb.cpp in a build without libipsec-mb.
#include "mappings/crypto/packet_protection.hpp"

namespace post::crypto {

IpsecMb ipsec_mb_protection() { return {nullptr, "this build of post has none"}; }

}  // namespace post::crypto
