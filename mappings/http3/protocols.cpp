// Tokens.
#include "mappings/http3/protocols.hpp"

#include <algorithm>

namespace post::http3 {

namespace {

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool is_token(std::string_view text) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (small(c) >= 'a' && small(c) <= 'z') || (c >= '0' && c <= '9') ||
               others.find(c) != std::string_view::npos;
    });
}

bool good_protocols(const std::vector<std::string>& protocols) {
    constexpr std::size_t most = 16;
    constexpr std::size_t longest = 64;
    return protocols.size() <= most &&
           std::all_of(protocols.begin(), protocols.end(), [](const std::string& one) {
               return one.size() <= longest && is_token(one);
           });
}

bool takes(const std::vector<std::string>& protocols, std::string_view protocol) {
    return std::any_of(protocols.begin(), protocols.end(), [&](const std::string& one) {
        return std::equal(one.begin(), one.end(), protocol.begin(), protocol.end(),
                          [](char a, char b) { return small(a) == small(b); });
    });
}

}  // namespace post::http3
