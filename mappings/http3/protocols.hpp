// The protocols of extended CONNECT that a server takes (HttpOptions::connect), and the tokens that
// they are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace post::http3 {

// RFC 9110, 5.6.2.
bool is_token(std::string_view text);
// At most 16 tokens of 1 to 64 bytes.
bool good_protocols(const std::vector<std::string>& protocols);
// Whether `protocol` is one of them, whatever its capitals (RFC 9110, 7.8).
bool takes(const std::vector<std::string>& protocols, std::string_view protocol);

}  // namespace post::http3
