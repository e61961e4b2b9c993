// What the live tests of the edge share: an Io with one socket, and what arrives there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/io/io.hpp"
#include "tests/seed.hpp"

namespace post::test {

using Content = std::vector<std::byte>;

inline Address loopback(Address::Family family = Address::Family::v4) {
    return *Address::parse(family == Address::Family::v4 ? "127.0.0.1" : "::1");
}

inline Content random_content(std::size_t size) {
    static std::mt19937_64 generator(seed());
    Content content(size);
    for (std::byte& byte : content) byte = static_cast<std::byte>(generator());
    return content;
}

// One datagram that arrived.
struct Got {
    Address local;
    Address remote;
    Ecn ecn = Ecn::not_ect;
    Content content;
};

struct Edge {
    std::unique_ptr<Io> io;
    SocketId socket;
    Address address;
    std::size_t runs = 0;  // received so far

    explicit Edge(const EpollOptions& options = {}, const Address& local = loopback())
        : io(make_epoll_io(options)),
          socket(*io->open_udp({.local = local})),
          address(io->local_address(socket)) {}

    bool send(const Address& to, std::span<const std::byte> bytes, std::size_t segment,
              Ecn ecn = Ecn::not_ect, const Address& from = {}) {
        Datagrams run;
        run.local = from;
        run.remote = to;
        run.ecn = ecn;
        run.segment = segment;
        run.bytes = bytes;
        return io->send(socket, run);
    }

    // One turn's input, appended datagram by datagram.
    void receive(std::vector<Got>& all) {
        io->now();
        for (const Io::Received& received : io->receive()) {
            ++runs;
            CHECK(received.socket == socket);
            Datagrams rest = received.datagrams;
            for (; !rest.empty(); rest = rest.after(1))
                all.push_back({rest.local, rest.remote, rest.ecn,
                               Content(rest.front().begin(), rest.front().end())});
        }
    }

    // Turns until `count` datagrams are there, or two seconds are over.
    std::vector<Got> receive(std::size_t count) {
        std::vector<Got> all;
        const Instant end = io->now() + std::chrono::seconds(2);
        receive(all);
        while (all.size() < count && io->now() < end) {
            io->wait(end);
            receive(all);
        }
        return all;
    }

    std::vector<Io::Trouble> troubles() {
        std::vector<Io::Trouble> all;
        const Instant end = io->now() + std::chrono::seconds(2);
        while (all.empty() && io->now() < end) {
            io->wait(io->now() + std::chrono::milliseconds(20));
            io->receive();
            all = io->poll_troubles();
        }
        return all;
    }
};

// The datagrams' bytes, one after the other.
inline Content joined(const std::vector<Got>& all) {
    Content bytes;
    for (const Got& got : all) bytes.insert(bytes.end(), got.content.begin(), got.content.end());
    return bytes;
}

inline bool has_v6() {
    auto io = make_epoll_io({});
    return io->open_udp({.local = loopback(Address::Family::v6)}).has_value();
}

}  // namespace post::test
