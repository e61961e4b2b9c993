// Endpoint: what the SCTP connections of one UDP port share, whatever is between SCTP and UDP. It
// owns no connection, and outlives them all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <post/result.hpp>

#include "mappings/mapping.hpp"
#include "mappings/sctp/engine.hpp"
#include "mappings/sctp/options.hpp"
#include "mappings/wire/inbox.hpp"

namespace post::sctp {

class Endpoint {
public:
    // The engine outlives the endpoint.
    explicit Endpoint(Engine& engine) : engine_(engine) {}
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;
    virtual ~Endpoint() = default;

    std::size_t half_open() const { return half_open_; }

    // For the connections.

    // Its handshake is over: a peer that greets anew from the same address has begun anew.
    virtual void settled(const Address& remote) = 0;
    // It goes.
    virtual void forget(Line& line, const Address& remote) = 0;

    Engine& engine() { return engine_; }
    wire::ReceiveBlocks& blocks() { return blocks_; }
    // Memory for a datagram, and for a user message, until the next call.
    std::span<std::byte> room(std::size_t size) { return at_least(room_, size); }
    std::span<std::byte> read_space(std::size_t size) { return at_least(read_space_, size); }
    void opened_half() { ++half_open_; }
    void closed_half() { --half_open_; }

private:
    static std::span<std::byte> at_least(std::vector<std::byte>& space, std::size_t size) {
        if (space.size() < size) space.resize(size);
        return std::span(space).first(size);
    }

    Engine& engine_;
    wire::ReceiveBlocks blocks_;
    std::vector<std::byte> room_;
    std::vector<std::byte> read_space_;
    std::size_t half_open_ = 0;
};

}  // namespace post::sctp
