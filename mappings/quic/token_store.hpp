// TokenStore: the address tokens that servers gave us (NEW_TOKEN, RFC 9000, 8.1.3), in memory, each
// to be used once. Bounded in every direction, since servers decide what comes (ATTACKS A17): two
// tokens of a kilobyte a peer, 1024 peers, those whom we did not hear of for longest go first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace post::quic {

class TokenStore {
public:
    using Token = std::vector<std::uint8_t>;
    // Whom a token is for: the server's name and its address.
    using Peer = std::string;

    static constexpr std::size_t largest = 1024;
    static constexpr std::size_t most_a_peer = 2;
    static constexpr std::size_t most_peers = 1024;

    void keep(const Peer& peer, std::span<const std::uint8_t> token) {
        if (token.empty() || token.size() > largest) return;
        auto found = by_peer_.find(peer);
        if (found == by_peer_.end()) {
            if (rows_.size() == most_peers) {
                by_peer_.erase(rows_.back().peer);
                rows_.pop_back();
            }
            rows_.push_front({peer, {}});
            found = by_peer_.emplace(peer, rows_.begin()).first;
        } else {
            rows_.splice(rows_.begin(), rows_, found->second);
        }
        auto& tokens = found->second->tokens;
        if (tokens.size() == most_a_peer) tokens.erase(tokens.begin());
        tokens.emplace_back(token.begin(), token.end());
    }

    // The newest, which is not kept any longer; empty when there is none.
    Token take(const Peer& peer) {
        auto found = by_peer_.find(peer);
        if (found == by_peer_.end()) return {};
        auto& tokens = found->second->tokens;
        Token token = std::move(tokens.back());
        tokens.pop_back();
        if (tokens.empty()) {
            rows_.erase(found->second);
            by_peer_.erase(found);
        }
        return token;
    }

    std::size_t peers() const { return rows_.size(); }

private:
    struct Row {
        Peer peer;
        std::vector<Token> tokens;  // the newest last; never empty
    };
    std::list<Row> rows_;  // the one used last first
    std::unordered_map<Peer, std::list<Row>::iterator> by_peer_;
};

}  // namespace post::quic
