// TCP over real sockets: closing with bytes under way, descriptors that run out, and what of the
// system's options a connection gets.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <doctest/doctest.h>

#include "tests/live/allocations.hpp"
#include "tests/live/refusals.hpp"
#include "tests/live/tcp_edge.hpp"

using namespace post;
using namespace post::test;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

// The socket that has this local and remote port; -1: there is none.
int descriptor_of(std::uint16_t local, std::uint16_t remote) {
    const auto port = [](auto ask, int fd) {
        sockaddr_in address{};
        socklen_t size = sizeof(address);
        const int said = ask(fd, reinterpret_cast<sockaddr*>(&address), &size);
        return said == 0 && address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
    };
    for (int fd = 3; fd < 1000; ++fd)
        if (port(getsockname, fd) == local && port(getpeername, fd) == remote) return fd;
    return -1;
}

int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    getsockopt(fd, level, name, &value, &size);
    return value;
}

// No more descriptors than there are now, and `more`.
class FewDescriptors {
public:
    explicit FewDescriptors(rlim_t more) {
        getrlimit(RLIMIT_NOFILE, &before_);
        const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        close(next);
        rlimit limit = before_;
        limit.rlim_cur = static_cast<rlim_t>(next) + more;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

private:
    rlimit before_{};
};

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("closing a TCP connection delivers what was sent, though input was left unread") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        edge.io->hold(server, true);
        CHECK(edge.send(server, random_content(10'000)));  // never read
        const Content content = random_content(8'000'000);
        std::size_t sent = 0;
        edge.io->hold(client, true);
        edge.until(
            [&] {
                while (edge.io->writable(client) && sent < content.size()) {
                    edge.send(client, std::span(content).subspan(sent, 50'000));
                    sent += 50'000;
                }
                return false;
            },
            100ms);
        CHECK(sent > 100'000);
        edge.io->close(client);
        CHECK(edge.io->deadline() < never);
        CHECK_FALSE(edge.io->writable(client));
        CHECK_FALSE(edge.send(client, content));
        edge.io->hold(server, false);
        CHECK(edge.until([&] { return edge.ended.contains(server); }, 4s));
        CHECK(edge.got[server].size() == sent);
        CHECK((edge.got[server] ==
               Content(content.begin(), content.begin() + static_cast<long>(sent))));
        // What the peer says meanwhile is discarded; when it is done, too, nothing is left.
        CHECK(edge.send(server, random_content(1000)));
        edge.io->close(server);
        CHECK(edge.until([&] { return edge.io->deadline() == never; }));
        CHECK_FALSE(edge.got.contains(client));
        CHECK(edge.troubles.empty());
    }

    TEST_CASE("a closed TCP connection whose peer goes on is cut after five seconds") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        edge.io->close(client);
        const Instant end = edge.io->deadline();
        CHECK(end > edge.io->now() + 4900ms);
        CHECK(end <= edge.io->now() + 5s);
        REQUIRE(edge.until([&] { return edge.ended.contains(server); }));
        CHECK(edge.until(
            [&] {
                edge.send(server, random_content(10));
                return edge.troubles.contains(server);
            },
            6s));
        CHECK(edge.io->now() >= end);
        CHECK(edge.io->deadline() == never);
    }

    TEST_CASE("an edge that goes leaves what the system has taken to be delivered") {
        TcpEdge edge;
        Content content;
        {
            TcpEdge other;
            const SocketId client = *other.io->connect_tcp({}, edge.address);
            REQUIRE(other.until([&] { return other.io->writable(client); }));
            REQUIRE(edge.until([&] { return !edge.taken.empty(); }));
            edge.send(edge.taken[0].socket, random_content(100));
            content = random_content(60'000);
            CHECK(other.send(client, content));
        }
        const SocketId server = edge.taken[0].socket;
        CHECK(edge.until([&] { return edge.ended.contains(server); }));
        CHECK((edge.got[server] == content));
        CHECK(edge.troubles.empty());
    }

    TEST_CASE("without descriptors connections are turned away, a few a second, without spinning") {
        TcpEdge edge;
        TcpEdge other;
        std::vector<SocketId> clients;
        for (int i = 0; i < 6; ++i) clients.push_back(*other.io->connect_tcp({}, edge.address));
        {
            const FewDescriptors few(2);
            const std::size_t before = edge.turns;
            rusage begin{};
            getrusage(RUSAGE_SELF, &begin);
            edge.until([&] { return false; }, 350ms);
            rusage end{};
            getrusage(RUSAGE_SELF, &end);
            CHECK(edge.taken.size() == 2);
            CHECK(edge.turns - before < 12);
            const auto used = [](const rusage& usage) {
                return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
                       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
            };
            // Below 5 % of 350 ms.
            CHECK(used(end) - used(begin) < 17'500);
            // Turned away at 0, 100, 200 and 300 ms (a busy machine may be late for the last).
            other.until([&] { return other.troubles.size() >= 4; }, 100ms);
            CHECK(other.troubles.size() >= 3);
            CHECK(other.troubles.size() <= 4);
            CHECK(edge.io->connect_tcp({}, edge.address).error() == Errc::too_many);
        }
        clients.push_back(*other.io->connect_tcp({}, edge.address));
        CHECK(edge.until([&] { return edge.taken.size() >= 3; }));
        CHECK(edge.io->deadline() == never);
    }

    TEST_CASE("what is asked of TCP is set, and what a port has, its connections have") {
        const Io::TcpOptions options{
            .local = loopback(), .keep_alive = 40s, .user_timeout = 12'345ms};
        TcpEdge edge(options);
        const TcpEdge::Pair pair = edge.connect(options);
        const SocketId client = pair.client;
        const std::uint16_t far = edge.io->local_address(client).port;
        for (const bool ours : {true, false}) {
            const int fd = ours ? descriptor_of(far, edge.address.port)
                                : descriptor_of(edge.address.port, far);
            REQUIRE(fd >= 0);
            CHECK(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 12'345);
            CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
            CHECK(option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 40);
            CHECK(option(fd, IPPROTO_TCP, TCP_KEEPINTVL) == 15);
            CHECK(option(fd, IPPROTO_TCP, TCP_KEEPCNT) == 5);
            CHECK(option(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
            CHECK(option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT) == 128 * 1024);
            CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
            CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        }
        const auto plain = edge.connect();
        const int fd = descriptor_of(edge.io->local_address(plain.client).port, edge.address.port);
        CHECK(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
        CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    }

    TEST_CASE("multipath where the system has it, else without") {
        const Io::TcpOptions options{.local = loopback(), .multipath = true};
        TcpEdge edge(options);
        const TcpEdge::Pair pair = edge.connect(options);
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        const int fd = descriptor_of(edge.io->local_address(client).port, edge.address.port);
        if (option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_MPTCP)
            MESSAGE("skipped in part: the system has no MPTCP");
        const Content content = random_content(3'000'000);
        std::size_t sent = 0;
        CHECK(edge.until([&] {
            while (edge.io->writable(client) && sent < content.size()) {
                edge.send(client, std::span(content).subspan(sent, 50'000));
                sent += 50'000;
            }
            return edge.got[server].size() == content.size();
        }));
        CHECK((edge.got[server] == content));
        CHECK(edge.until([&] { return edge.io->unacknowledged(client) == 0; }));
        edge.io->close(client);
        CHECK(edge.until([&] { return edge.ended.contains(server); }));
        edge.io->close(server);
        CHECK(edge.until([&] { return edge.io->deadline() == never; }));
        CHECK(edge.quiet());
    }

    TEST_CASE("with fast open the first bytes go with the SYN, where there is a cookie") {
        const Io::TcpOptions options{.local = loopback(), .fast_open = true};
        TcpEdge edge(options);
        // The first connection brings the cookie.
        const auto first = edge.connect(options);
        CHECK(edge.send(first.client, random_content(10)));
        CHECK(edge.until([&] { return edge.got[first.server].size() == 10; }));

        const SocketId client = *edge.io->connect_tcp(options, edge.address);
        if (!edge.io->writable(client)) {
            MESSAGE("skipped: the system gives no Fast Open cookies (net.ipv4.tcp_fastopen)");
            return;
        }
        const Content content = random_content(60'000);
        CHECK(edge.send(client, content));
        CHECK_FALSE(edge.io->writable(client));
        CHECK(edge.io->unacknowledged(client) == content.size());
        CHECK(edge.until([&] { return edge.taken.size() == 2 && edge.io->writable(client); }));
        CHECK(edge.until([&] { return edge.got[edge.taken[1].socket].size() == 60'000; }));
        CHECK((edge.got[edge.taken[1].socket] == content));
        CHECK(edge.until([&] { return edge.io->unacknowledged(client) == 0; }));

        // Closed while it is being made: the bytes and the end still come.
        const SocketId brief = *edge.io->connect_tcp(options, edge.address);
        REQUIRE(edge.io->writable(brief));
        CHECK(edge.send(brief, content));
        edge.io->close(brief);
        CHECK(edge.until(
            [&] { return edge.taken.size() == 3 && edge.ended.contains(edge.taken[2].socket); }));
        CHECK((edge.got[edge.taken[2].socket] == content));
    }

    TEST_CASE("a TCP socket that is full again and again loses nothing and says when it has room") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        int calls = 0;
        const Refusals refusals([&](const msghdr&) { return ++calls % 3 == 0 ? EINTR : 0; });
        const Content content = random_content(1'000'000);
        std::size_t sent = 0;
        CHECK(edge.until([&] {
            while (edge.io->writable(client) && sent < content.size()) {
                edge.send(client, std::span(content).subspan(sent, 40'000));
                sent += 40'000;
            }
            return edge.got[server].size() == content.size();
        }));
        CHECK((edge.got[server] == content));
    }

    TEST_CASE("urgent data of a peer does not stop what comes behind them") {
        TcpEdge edge;
        const TcpEdge::Pair pair = edge.connect();
        const SocketId client = pair.client;
        const SocketId server = pair.server;
        const int fd = descriptor_of(edge.io->local_address(client).port, edge.address.port);
        REQUIRE(fd >= 0);
        std::size_t sent = 0;
        for (int i = 0; i < 50; ++i) {
            CHECK(send(fd, "before", 6, 0) == 6);
            CHECK(send(fd, "!", 1, MSG_OOB) == 1);
            CHECK(send(fd, "behind", 6, 0) == 6);
            sent += 12;
            if (i % 10 == 0) edge.turn();
        }
        edge.io->end_sending(client);
        CHECK(edge.until([&] { return edge.ended.contains(server); }));
        // The urgent bytes themselves are nothing for us; one may have become an ordinary one.
        CHECK(edge.got[server].size() >= sent);
        CHECK(edge.quiet());
    }

    TEST_CASE("many idle TCP connections cost a turn nothing") {
        TcpEdge edge;
        std::vector<TcpEdge::Pair> pairs;
        for (int i = 0; i < 400; ++i) pairs.push_back(edge.connect());
        CHECK(edge.quiet());
        const Content word = random_content(64);
        const auto rounds = [&] {
            for (int i = 0; i < 100; ++i) {
                edge.send(pairs[0].client, word);
                edge.io->wait(never);
                edge.io->now();
                CHECK(edge.io->receive().size() == 1);
            }
        };
        rounds();
        const auto before = allocations();
        rounds();
        CHECK(allocations() - before == 0);
    }
}
