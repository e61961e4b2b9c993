// What a peer is remembered by: its URL, without the path and query of https, which say what is
// asked there and not who is asked.
#pragma once

#include <string>

#include <post/remote.hpp>

namespace post::core {

inline std::string peer_text(const Remote& remote) {
    std::string text = remote.string();
    const std::string& target = remote.target();
    const std::size_t host = text.find("://");
    if (target.size() < 2 || host == std::string::npos) return text;
    const std::size_t at = text.find(target, host + 3);
    return at == std::string::npos ? text : text.erase(at, target.size());
}

}  // namespace post::core
