// Node: a Context that lives on a simulated host and is driven by its World. It goes before the
// World does.
//
//     sim::Node server{world, world.host("10.0.0.2")};
//     auto listener = server->listen({.port = 443, .identity = identity});
#pragma once

#include <memory>
#include <optional>

#include <post/context.hpp>

#include "tests/sim/host.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

class Node {
public:
    Node(World& world, Host& host, ContextOptions options = {}, const IoOptions& io_options = {})
        : world_(world), io_(host.make_io(io_options)) {
        options.io = io_;
        context_.emplace(std::move(options));
        driver_ = world_.drive(*context_, *io_);
    }
    ~Node() { end(); }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    Context& operator*() { return *context_; }
    Context* operator->() { return &*context_; }
    Io& io() { return *io_; }
    // The process ends: the Context goes, and with it its sockets.
    void end() {
        if (!context_) return;
        world_.remove(driver_);
        context_.reset();
        io_.reset();
    }

private:
    World& world_;
    std::shared_ptr<Io> io_;
    std::optional<Context> context_;
    DriverId driver_;
};

}  // namespace post::sim
