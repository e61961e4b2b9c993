// TcpPair: a World with a client and a server on a link, and TCP between them. For the tests of the
// simulator's TCP.
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/sim/tcp_probe.hpp"

namespace post::sim {

// A client and a server with 50 ms between them, each way.
struct TcpPair {
    World world{test::seed()};
    Host& client_host = world.host("10.0.0.1");
    Host& server_host = world.host("10.0.0.2");
    Link& link;
    TcpProbe client;
    TcpProbe server;
    Address address;

    explicit TcpPair(const LinkOptions& options = {.delay = std::chrono::milliseconds(50)},
                     const Io::TcpOptions& listening = {}, const IoOptions& io = {})
        : link(world.link(client_host, server_host, options)),
          client(world, client_host, io),
          server(world, server_host, io),
          address(server.listen(443, listening)) {}

    SocketId connect(const Io::TcpOptions& options = {}) {
        const SocketId id = client.connect(address, options);
        REQUIRE(world.run_until([&] { return client.io().writable(id) && !server.taken.empty(); },
                                std::chrono::minutes(1)));
        return id;
    }
    SocketId accepted() const { return server.taken.back().socket; }
    std::string& at_server() { return server.got[accepted()].bytes; }
};

// Different at every place.
inline std::string text(std::size_t size) {
    std::string all(size, ' ');
    for (std::size_t i = 0; i < size; ++i)
        all[i] = static_cast<char>('!' + (i * 31 + i / 251) % 90);
    return all;
}

}  // namespace post::sim
