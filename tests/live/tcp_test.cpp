// TCP over real sockets: connections are made, talk, end and break.
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <doctest/doctest.h>

#include "tests/live/tcp_edge.hpp"

using namespace post;
using namespace post::test;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

// A port where nobody listens.
Address closed_port() {
    TcpEdge edge;
    return edge.address;
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("a TCP connection is made and carries bytes both ways") {
        for (const auto family : {Address::Family::v4, Address::Family::v6}) {
            if (family == Address::Family::v6 && !has_v6()) continue;
            TcpEdge edge({.local = loopback(family)});
            const SocketId client = *edge.io->connect_tcp({}, edge.address);
            CHECK_FALSE(edge.io->writable(client));
            REQUIRE(edge.until([&] { return !edge.taken.empty() && edge.io->writable(client); }));
            CHECK(edge.turned == std::vector{client});
            const Io::Taken& taken = edge.taken[0];
            CHECK(taken.listener == edge.port);
            CHECK(taken.local == edge.address);
            CHECK(taken.remote == edge.io->local_address(client));
            CHECK(edge.io->local_address(taken.socket) == edge.address);
            CHECK(edge.io->writable(taken.socket));

            const Content question = random_content(1000);
            const Content answer = random_content(100'000);
            CHECK(edge.send(client, question));
            REQUIRE(edge.until([&] { return edge.got[taken.socket].size() >= 1000; }));
            CHECK((edge.got[taken.socket] == question));
            CHECK(edge.send(taken.socket, answer));
            REQUIRE(edge.until([&] { return edge.got[client].size() >= answer.size(); }));
            CHECK((edge.got[client] == answer));
            CHECK(edge.until([&] { return edge.io->unacknowledged(taken.socket) == 0; }));
            CHECK(edge.troubles.empty());
            CHECK(edge.quiet());
        }
    }

    TEST_CASE("a TCP connection leaves from the address that is asked for") {
        TcpEdge edge;
        const Address from = *Address::parse("127.0.0.2");
        const auto pair = edge.connect({.local = from});
        CHECK(edge.taken[0].remote.ip_string() == "127.0.0.2");
        CHECK(edge.io->local_address(pair.client) == edge.taken[0].remote);
        CHECK(edge.io->listen_tcp({.local = edge.address}).error() == Errc::address_in_use);
    }

    TEST_CASE("ports that several share take connections each") {
        TcpEdge one({.local = loopback(), .shared = true});
        TcpEdge other({.local = one.address, .shared = true});
        for (int i = 0; i < 100; ++i) {
            CHECK(one.io->connect_tcp({}, one.address));
            one.turn();
            other.turn();
            if (!one.taken.empty() && !other.taken.empty()) break;
        }
        CHECK_FALSE(one.taken.empty());
        CHECK_FALSE(other.taken.empty());
    }

    TEST_CASE("each direction of a TCP connection ends by itself") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        CHECK(edge.send(client, random_content(10)));
        edge.io->end_sending(client);
        CHECK_FALSE(edge.io->writable(client));
        REQUIRE(edge.until([&] { return edge.ended.contains(server); }));
        CHECK(edge.got[server].size() == 10);
        CHECK(edge.until([&] { return edge.io->unacknowledged(client) == 0; }));
        CHECK(edge.quiet());

        const Content answer = random_content(500'000);
        std::size_t sent = 0;
        REQUIRE(edge.until([&] {
            while (sent < answer.size() && edge.io->writable(server)) {
                CHECK(edge.send(server, std::span(answer).subspan(sent, 50'000)));
                sent += 50'000;
            }
            return edge.got[client].size() == answer.size();
        }));
        edge.io->end_sending(server);
        REQUIRE(edge.until([&] { return edge.ended.contains(client); }));
        CHECK((edge.got[client] == answer));
        // Both have ended: told once, and nothing spins.
        CHECK(edge.quiet());
        CHECK(edge.troubles.empty());
    }

    TEST_CASE("a refused TCP connection is a trouble") {
        const Address nobody = closed_port();
        TcpEdge edge;
        const SocketId client = *edge.io->connect_tcp({}, nobody);
        REQUIRE(edge.until([&] { return edge.troubles.contains(client); }));
        CHECK(edge.troubles[client] ==
              std::vector<std::error_code>{{ECONNREFUSED, std::system_category()}});
        CHECK_FALSE(edge.io->writable(client));
        CHECK_FALSE(edge.send(client, random_content(10)));
        CHECK(edge.quiet());
        CHECK(edge.troubles[client].size() == 1);
        edge.io->close(client);
    }

    TEST_CASE("a destination without a route is a trouble, too") {
        TcpEdge edge;
        // Class E: the system has no way there (ENETUNREACH or EINVAL, at once).
        const auto client = edge.io->connect_tcp({.local = loopback()},
                                                 *Address::parse("240.0.0.1", 9));
        REQUIRE(client);
        REQUIRE(edge.until([&] { return edge.troubles.contains(*client); }));
        CHECK(edge.troubles[*client].size() == 1);
        CHECK(edge.io->connect_tcp({}, Address{}).error() == Errc::invalid_argument);
        CHECK(edge.io->listen_tcp({}).error() == Errc::invalid_argument);
        CHECK(edge.io->listen_tcp({.local = *Address::parse("192.0.2.1", 9)}).error() ==
              Errc::no_route);
    }

    TEST_CASE("a reset in mid-stream comes behind the bytes before it, once") {
        for (const bool writing : {false, true}) {
            TcpEdge edge;
            auto other = std::make_unique<TcpEdge>();
            const SocketId client = *edge.io->connect_tcp({}, other->address);
            REQUIRE(other->until([&] { return !other->taken.empty(); }));
            REQUIRE(edge.until([&] { return edge.io->writable(client); }));
            CHECK(other->send(other->taken[0].socket, random_content(100)));
            // What nobody has read when it is closed turns the close into a reset; so does what
            // comes to it later.
            CHECK(edge.send(client, random_content(100)));
            other->io->close(other->taken[0].socket);
            other.reset();
            if (writing) edge.until([&] { return edge.io->now(), false; }, 5ms);
            CHECK(edge.until([&] {
                edge.send(client, random_content(100));
                return edge.troubles.contains(client);
            }));
            CHECK(edge.got[client].size() == 100);
            CHECK(edge.troubles[client].size() == 1);
            const bool reset = edge.troubles[client][0] == std::errc::connection_reset ||
                               edge.troubles[client][0] == std::errc::broken_pipe;
            CHECK(reset);
            CHECK(edge.quiet());
        }
    }

    TEST_CASE("a large transfer with backpressure arrives whole, both ways at once") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        const Content content = random_content(20'000'000);
        std::size_t sent[2] = {0, 0};
        std::size_t kept_back = 0;
        const SocketId ends[2] = {client, server};
        bool held = false;
        const bool all = edge.until(
            [&] {
                for (int i = 0; i < 2; ++i) {
                    while (sent[i] < content.size() && edge.io->writable(ends[i])) {
                        const auto part = std::span(content).subspan(
                            sent[i], std::min<std::size_t>(60'000, content.size() - sent[i]));
                        CHECK(edge.send(ends[i], part));
                        sent[i] += part.size();
                    }
                    kept_back += sent[i] < content.size();
                }
                // The reader stops now and then, for some turns.
                if (edge.turns % 16 == 0) edge.io->hold(server, held = !held);
                if (held) edge.io->wake();
                return edge.got[client].size() == content.size() &&
                       edge.got[server].size() == content.size();
            },
            10s);
        CHECK(all);
        CHECK(kept_back > 0);
        CHECK((edge.got[client] == content));
        CHECK((edge.got[server] == content));
        CHECK(edge.until([&] { return edge.io->unacknowledged(client) == 0; }));
    }

    TEST_CASE("who is held is not read, and the sender stops, asleep") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        edge.io->hold(server, true);
        const Content part = random_content(60'000);
        std::size_t sent = 0;
        // Until the buffers on both sides are full.
        edge.until(
            [&] {
                while (edge.io->writable(client)) {
                    edge.send(client, part);
                    sent += part.size();
                }
                return false;
            },
            500ms);
        CHECK(edge.got[server].empty());
        CHECK_FALSE(edge.io->writable(client));
        CHECK(edge.io->unacknowledged(client) > 0);
        CHECK(edge.quiet());
        edge.turned.clear();
        edge.io->hold(server, false);
        CHECK(edge.until([&] { return edge.got[server].size() == sent; }, 5s));
        // The room that came was an event, and told.
        CHECK(edge.turned == std::vector{client});
        CHECK(edge.io->writable(client));

        // An end that came meanwhile is told when it is let go, behind the bytes.
        edge.io->hold(server, true);
        edge.send(client, part);
        edge.io->end_sending(client);
        CHECK(edge.quiet());
        CHECK_FALSE(edge.ended.contains(server));
        edge.io->hold(server, false);
        CHECK(edge.until([&] { return edge.ended.contains(server); }));
        CHECK(edge.got[server].size() == sent + part.size());
    }

    TEST_CASE("an end that nothing stands before is told to who is held, before it and behind it") {
        TcpEdge edge;
        // The end comes to one that is held already.
        const TcpEdge::Pair first = edge.connect();
        edge.io->hold(first.server, true);
        CHECK(edge.quiet());
        edge.io->end_sending(first.client);
        CHECK(edge.until([&] { return edge.ended.contains(first.server); }));
        CHECK(edge.quiet());
        // It was there before, behind bytes that were just taken.
        const TcpEdge::Pair second = edge.connect();
        edge.io->take_at_most(second.server, 1000);
        edge.io->hold(second.server, true);
        edge.send(second.client, random_content(1000));
        edge.io->end_sending(second.client);
        CHECK(edge.quiet());
        CHECK_FALSE(edge.ended.contains(second.server));
        edge.io->hold(second.server, false);
        edge.turn();
        edge.io->hold(second.server, true);
        CHECK(edge.until([&] { return edge.ended.contains(second.server); }));
        CHECK(edge.got[second.server].size() == 1000);
        CHECK(edge.quiet());
    }

    TEST_CASE("what is not acknowledged is known to the byte, with a FIN behind it, too") {
        // A reader that is no part of the library, with little room.
        const int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(door >= 0);
        const int room = 8192;
        setsockopt(door, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
        sockaddr_in native{};
        native.sin_family = AF_INET;
        native.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(native);
        REQUIRE(bind(door, reinterpret_cast<sockaddr*>(&native), size) == 0);
        REQUIRE(listen(door, 1) == 0);
        REQUIRE(getsockname(door, reinterpret_cast<sockaddr*>(&native), &size) == 0);

        TcpEdge edge;
        const auto address = Address::parse("127.0.0.1", ntohs(native.sin_port));
        const SocketId client = *edge.io->connect_tcp({}, *address);
        REQUIRE(edge.until([&] { return edge.io->writable(client); }));
        const int reader = accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
        REQUIRE(reader >= 0);
        std::uint64_t sent = 0;
        std::uint64_t read = 0;
        const auto exact = [&] {
            return edge.until([&] {
                int there = 0;
                ioctl(reader, FIONREAD, &there);
                return edge.io->unacknowledged(client) + static_cast<std::uint64_t>(there) + read ==
                       sent;
            });
        };
        const Content part = random_content(30'011);
        edge.until(
            [&] {
                while (edge.io->writable(client)) {
                    edge.send(client, part);
                    sent += part.size();
                }
                return false;
            },
            200ms);
        CHECK(exact());
        CHECK(edge.io->unacknowledged(client) > 100'000);
        edge.io->end_sending(client);
        CHECK(exact());
        Content space(7001);
        for (int i = 0; i < 5; ++i) {
            const ssize_t got = recv(reader, space.data(), space.size(), MSG_WAITALL);
            REQUIRE(got > 0);
            read += static_cast<std::uint64_t>(got);
            CHECK(exact());
        }
        for (;;) {
            const ssize_t got = recv(reader, space.data(), space.size(), MSG_DONTWAIT);
            if (got == 0) break;
            if (got > 0)
                read += static_cast<std::uint64_t>(got);
            else
                edge.turn();
        }
        CHECK(read == sent);
        CHECK(edge.until([&] { return edge.io->unacknowledged(client) == 0; }));
        ::close(reader);
        ::close(door);
    }

    TEST_CASE("a port that is held takes nobody, and those who came when it is let go") {
        TcpEdge edge;
        edge.io->hold(edge.port, true);
        std::vector<SocketId> clients;
        for (int i = 0; i < 40; ++i) clients.push_back(*edge.io->connect_tcp({}, edge.address));
        CHECK(edge.until([&] {
            return std::all_of(clients.begin(), clients.end(),
                               [&](SocketId one) { return edge.io->writable(one); });
        }));
        CHECK(edge.taken.empty());
        CHECK(edge.quiet());
        edge.io->hold(edge.port, false);
        CHECK(edge.until([&] { return edge.taken.size() == 40; }));
        edge.connect();
    }

    TEST_CASE("a reset ends even who is held") {
        TcpEdge edge;
        auto other = std::make_unique<TcpEdge>();
        const SocketId client = *edge.io->connect_tcp({}, other->address);
        REQUIRE(other->until([&] { return !other->taken.empty(); }));
        REQUIRE(edge.until([&] { return edge.io->writable(client); }));
        edge.io->hold(client, true);
        CHECK(edge.send(client, random_content(100)));
        other.reset();
        // Closed by its end, which nobody reads; our next bytes are answered by a reset.
        CHECK(edge.until([&] {
            edge.send(client, random_content(100));
            return edge.troubles.contains(client);
        }));
        CHECK(edge.quiet());
    }
}
