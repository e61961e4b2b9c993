// What the live tests of TCP share: an Io with a port that takes connections, and what comes to it.
// Both ends of a connection are sockets of the same Io.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "tests/live/edge.hpp"

namespace post::test {

struct TcpEdge {
    std::unique_ptr<Io> io;
    SocketId port;
    Address address;
    std::vector<Io::Taken> taken;
    std::map<SocketId, Content> got;
    std::set<SocketId> ended;
    std::map<SocketId, std::vector<std::error_code>> troubles;
    std::vector<SocketId> turned;
    std::size_t turns = 0;

    explicit TcpEdge(const Io::TcpOptions& options = {.local = loopback()})
        : io(make_epoll_io({})), port(*io->listen_tcp(options)), address(io->local_address(port)) {}

    struct Pair {
        SocketId client;
        SocketId server;
    };
    Pair connect(const Io::TcpOptions& options = {}) {
        const SocketId client = *io->connect_tcp(options, address);
        const std::size_t before = taken.size();
        REQUIRE(until([&] { return taken.size() > before && io->writable(client); }));
        return {client, taken.back().socket};
    }

    bool send(SocketId socket, std::span<const std::byte> bytes) {
        Datagrams run;
        run.segment = bytes.size();
        run.bytes = bytes;
        return io->send(socket, run);
    }

    void turn() {
        ++turns;
        io->now();
        for (const Io::Received& received : io->receive()) {
            const auto& bytes = received.datagrams.bytes;
            CHECK_FALSE(ended.contains(received.socket));
            CHECK_FALSE(troubles.contains(received.socket));
            Content& content = got[received.socket];
            content.insert(content.end(), bytes.begin(), bytes.end());
            if (received.end) ended.insert(received.socket);
        }
        for (const Io::Taken& one : io->poll_taken()) taken.push_back(one);
        for (const Io::Trouble& one : io->poll_troubles()) troubles[one.socket].push_back(one.code);
        for (const SocketId id : io->poll_writable()) turned.push_back(id);
    }

    bool until(const std::function<bool()>& done, Duration limit = std::chrono::seconds(2)) {
        const Instant end = io->now() + limit;
        turn();
        while (!done() && io->now() < end) {
            io->wait(io->more_input() ? Instant::min() : end);
            turn();
        }
        return done();
    }

    // True when nothing happens for a while: the loop sleeps.
    bool quiet() {
        turn();
        const Instant begin = io->now();
        const std::size_t before = turns;
        until([] { return false; }, std::chrono::milliseconds(20));
        return turns - before <= 3 && io->now() - begin >= std::chrono::milliseconds(20);
    }
};

}  // namespace post::test
