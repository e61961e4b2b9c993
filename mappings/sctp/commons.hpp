// Commons: what all SCTP of a Context needs only once, however many ports and associations it has:
// a client over DTLS has a port for each, since addresses are all that tells them apart there.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mappings/crypto/credentials.hpp"
#include "mappings/wire/inbox.hpp"

namespace post::sctp {

class Commons {
public:
    wire::ReceiveBlocks& blocks() { return blocks_; }
    crypto::CredentialStore& credentials() { return credentials_; }
    // Memory for a datagram, and for a user message, until the next call.
    std::span<std::byte> room(std::size_t size) { return at_least(room_, size); }
    std::span<std::byte> read_space(std::size_t size) { return at_least(read_space_, size); }

private:
    static std::span<std::byte> at_least(std::vector<std::byte>& space, std::size_t size) {
        if (space.size() < size) space.resize(size);
        return std::span(space).first(size);
    }

    wire::ReceiveBlocks blocks_;
    crypto::CredentialStore credentials_;
    std::vector<std::byte> room_;
    std::vector<std::byte> read_space_;
};

}  // namespace post::sctp
