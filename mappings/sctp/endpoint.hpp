// Endpoint: what the SCTP connections of one UDP port share, whatever is between SCTP and UDP. It
// owns no connection, and outlives them all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <post/result.hpp>

#include "mappings/mapping.hpp"
#include "mappings/sctp/engine.hpp"
#include "mappings/sctp/options.hpp"

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
    wire::ReceiveBlocks& blocks() { return engine_.commons().blocks(); }
    std::span<std::byte> room(std::size_t size) { return engine_.commons().room(size); }
    std::span<std::byte> read_space(std::size_t size) { return engine_.commons().read_space(size); }
    void opened_half() { ++half_open_; }
    void closed_half() { --half_open_; }

private:
    Engine& engine_;
    std::size_t half_open_ = 0;
};

}  // namespace post::sctp
