// The edge when the network or the kernel refuses: ICMP, no room, no offload, no permission.
#include <cerrno>

#include <doctest/doctest.h>

#include "tests/live/allocations.hpp"
#include "tests/live/edge.hpp"
#include "tests/live/refusals.hpp"

using namespace post;
using namespace post::test;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

// A port of the loopback where nobody listens.
Address closed_port(Address::Family family) {
    Edge edge({}, loopback(family));
    return edge.address;
}

constexpr std::size_t burst = 1024 * 1024;

// What Linux gives without privileges (net.core.rmem_max, by default).
constexpr std::size_t common_buffer = 212992;

// Sends `content` in runs of 45 from a to b, each turn as many as the socket takes, and gives back
// what arrived.
Content carry(Edge& a, Edge& b, const Content& content) {
    const std::size_t run = a.io->run_limit(a.socket) * 1200;
    std::vector<Got> all;
    std::size_t sent = 0;
    std::size_t arrived = 0;
    const Instant end = a.io->now() + 10s;
    while (arrived < content.size() && a.io->now() < end) {
        a.io->receive();
        while (sent < content.size() && a.io->writable(a.socket)) {
            const std::size_t size = std::min(run, content.size() - sent);
            REQUIRE(a.send(b.address, std::span(content).subspan(sent, size), 1200));
            sent += size;
            if (sent % (2 * run) == 0) break;
        }
        const std::size_t before = all.size();
        b.receive(all);
        for (std::size_t i = before; i < all.size(); ++i) arrived += all[i].content.size();
        a.io->wait(a.io->now() + (a.io->writable(a.socket) ? 0ms : 5ms));
    }
    return joined(all);
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("an unreachable port becomes a trouble with the address that failed") {
        for (const auto family : {Address::Family::v4, Address::Family::v6}) {
            if (family == Address::Family::v6 && !has_v6()) continue;
            const Address nobody = closed_port(family);
            Edge a({}, loopback(family));
            Edge b({}, loopback(family));
            CHECK(a.send(nobody, random_content(100), 100));
            // The pending error belongs to nobody else: this one goes out.
            CHECK(a.send(b.address, random_content(100), 100));
            CHECK(b.receive(1).size() == 1);
            const auto troubles = a.troubles();
            REQUIRE_FALSE(troubles.empty());
            CHECK(troubles[0].socket == a.socket);
            CHECK(troubles[0].remote == nobody);
            CHECK(troubles[0].code == std::errc::connection_refused);
            // Told once; then the loop may sleep.
            CHECK(a.io->poll_troubles().empty());
            const Instant begin = a.io->now();
            a.io->wait(begin + 5ms);
            CHECK(a.io->now() >= begin + 5ms);
            CHECK(b.send(a.address, random_content(10), 10));
            CHECK(a.receive(1).size() == 1);
        }
    }

    TEST_CASE("many unreachable datagrams leave a bounded number of troubles") {
        const Address nobody[] = {closed_port(Address::Family::v4),
                                  closed_port(Address::Family::v4)};
        Edge a;
        for (std::size_t i = 0; i < 2000; ++i) a.send(nobody[i % 2], random_content(10), 10);
        for (int i = 0; i < 100; ++i) a.io->receive();
        const auto troubles = a.io->poll_troubles();
        CHECK(troubles.size() > 10);
        CHECK(troubles.size() <= 256);
    }

    TEST_CASE("a network that cannot be reached is a trouble at once") {
        Edge a;
        // Bound to the loopback, towards a network that no route of the loopback has.
        CHECK(a.send(*Address::parse("192.0.2.1", 9), random_content(10), 10));
        CHECK(a.send(*Address::parse("::1", 9), random_content(10), 10));
        const auto troubles = a.io->poll_troubles();
        REQUIRE(troubles.size() == 2);
        CHECK(troubles[0].remote.ip_string() == "192.0.2.1");
        CHECK(troubles[0].code);
        CHECK(troubles[1].code == std::errc::address_family_not_supported);
    }

    TEST_CASE("a burst of 1 MiB survives tiny buffers") {
        for (const bool gso : {true, false}) {
            Edge a({.gso = gso, .send_buffer = 4608});
            Edge b({.receive_buffer = common_buffer});
            const Content content = random_content(burst);
            CHECK((carry(a, b, content) == content));
        }
    }

    TEST_CASE("a burst of 1 MiB survives a socket that is full again and again") {
        for (const int error : {EAGAIN, ENOBUFS}) {
            for (const bool gso : {true, false}) {
                CAPTURE(error);
                CAPTURE(gso);
                Edge a({.gso = gso});
                Edge b({.receive_buffer = common_buffer});
                const Content content = random_content(burst);
                int calls = 0;
                int refused = 0;
                const Refusals refusals([&](const msghdr&) {
                    if (++calls % 7 < 4) return 0;
                    ++refused;
                    return error;
                });
                CHECK((carry(a, b, content) == content));
                CHECK(refused > 5);
                CHECK(a.io->writable(a.socket));
            }
        }
    }

    TEST_CASE("a full socket keeps 1 MiB, says so, and loses the rest") {
        Edge a;
        Edge b({.receive_buffer = common_buffer});
        int room = 0;
        const Refusals refusals([&](const msghdr&) { return room-- > 0 ? 0 : EAGAIN; });
        const Content content = random_content(64 * 1024);
        CHECK(a.io->writable(a.socket));
        for (int i = 0; i < 16; ++i) CHECK(a.send(b.address, content, 1024));
        CHECK_FALSE(a.io->writable(a.socket));
        CHECK_FALSE(a.send(b.address, content, 1024));
        std::vector<Got> all;
        std::vector<SocketId> turned;
        for (int i = 0; i < 1000 && all.size() < 1024; ++i) {
            room = 2;
            a.io->wait(a.io->now() + 1ms);
            a.io->receive();
            for (const SocketId id : a.io->poll_writable()) turned.push_back(id);
            b.receive(all);
        }
        CHECK(turned == std::vector{a.socket});
        CHECK(a.io->writable(a.socket));
        CHECK(all.size() == 1024);
    }

    TEST_CASE("a socket without memory below it is tried again in a moment, not at once") {
        Edge a;
        Edge b;
        int calls = 0;
        const Refusals refusals([&](const msghdr&) { return ++calls < 4 ? ENOBUFS : 0; });
        const Content content = random_content(3600);
        a.io->now();
        CHECK(a.send(b.address, content, 1200));
        CHECK_FALSE(a.io->writable(a.socket));
        CHECK(a.io->deadline() < never);
        int turns = 0;
        while (!a.io->writable(a.socket) && ++turns < 100) {
            a.io->wait(never);
            a.io->now();
            a.io->receive();
        }
        CHECK(turns < 10);
        CHECK(a.io->deadline() == never);
        CHECK((joined(b.receive(3)) == content));
    }

    TEST_CASE("closing a socket with queued runs sends what still goes") {
        Edge a;
        Edge b;
        bool full = true;
        const Refusals refusals([&](const msghdr&) { return full ? EAGAIN : 0; });
        const Content content = random_content(2400);
        CHECK(a.send(b.address, content, 1200));
        full = false;
        a.io->close(a.socket);
        CHECK((joined(b.receive(2)) == content));
        a.io->receive();

        const SocketId again = *a.io->open_udp({.local = loopback()});
        full = true;
        a.socket = again;
        CHECK(a.send(b.address, content, 1200));
        a.io->close(again);  // does not go, and nothing is left behind
        const Instant begin = a.io->now();
        a.io->wait(begin + 5ms);
        CHECK(a.io->now() >= begin + 5ms);
    }

    TEST_CASE("offload that the kernel refuses is done without, with the same result") {
        for (const int error : {EIO, EINVAL, EOPNOTSUPP}) {
            CAPTURE(error);
            Edge a;
            Edge b;
            if (a.io->run_limit(a.socket) == 16) return;
            int asked = 0;
            const Refusals refusals([&](const msghdr& message) {
                if (segment_of(message) == 0) return 0;
                ++asked;
                return error;
            });
            const Content content = random_content(45 * 1200 - 11);
            for (int i = 0; i < 5; ++i) {
                CHECK(a.send(b.address, content, 1200));
                CHECK((joined(b.receive(45)) == content));
            }
            // Asked once, twice because an error may be somebody else's; then never again.
            CHECK(asked == 2);
            // And who fills runs hears of it; another socket may have another interface.
            CHECK(a.io->run_limit(a.socket) == 16);
            CHECK(a.io->run_limit(*a.io->open_udp({.local = loopback()})) == 45);
            CHECK(a.io->poll_troubles().empty());
        }
    }

    TEST_CASE("a kernel without precise sleep is asked for it once") {
        const CoarseSleep coarse;
        auto io = make_epoll_io({});
        for (int i = 0; i < 5; ++i) {
            const Instant begin = io->now();
            io->wait(begin + 3ms);
            CHECK(io->now() >= begin + 3ms);
            CHECK(io->receive().empty());
        }
        CHECK(coarse.asked() == 1);
    }

    TEST_CASE("a probe that is too large for the link is lost and costs nothing else") {
        Edge a;
        Edge b;
        // The kernel refuses what is above the link's MTU, joined or single.
        int joined_runs = 0;
        const Refusals refusals([&](const msghdr& message) {
            const std::size_t segment = segment_of(message);
            if (segment > 0) ++joined_runs;
            const std::size_t size = segment > 0 ? segment : message.msg_iov[0].iov_len;
            if (size <= 1452) return 0;
            return segment > 0 ? EINVAL : EMSGSIZE;
        });
        CHECK(a.send(b.address, random_content(2000), 2000));
        CHECK(a.send(b.address, random_content(4000), 2000));
        CHECK(a.io->poll_troubles().empty());
        joined_runs = 0;
        const Content content = random_content(4000);
        CHECK(a.send(b.address, content, 1000));
        CHECK((joined(b.receive(4)) == content));
        if (a.io->run_limit(a.socket) > 16) CHECK(joined_runs == 1);
    }

    TEST_CASE("a forbidden send is a lost run and a trouble") {
        for (const int error : {EPERM, ENETUNREACH, EHOSTUNREACH}) {
            for (const bool gso : {true, false}) {
                Edge a({.gso = gso});
                Edge b;
                bool forbidden = true;
                const Refusals refusals([&](const msghdr&) { return forbidden ? error : 0; });
                CHECK(a.send(b.address, random_content(45 * 100), 100));
                CHECK(a.io->writable(a.socket));
                const auto troubles = a.io->poll_troubles();
                REQUIRE(troubles.size() == 1);
                CHECK(troubles[0].code.value() == error);
                CHECK(troubles[0].remote == b.address);
                forbidden = false;
                CHECK(a.send(b.address, random_content(100), 100));
                CHECK(b.receive(1).size() == 1);
            }
        }
    }

    TEST_CASE("an interrupted send goes on") {
        for (const bool gso : {true, false}) {
            Edge a({.gso = gso});
            Edge b;
            int calls = 0;
            const Refusals refusals([&](const msghdr&) { return ++calls % 3 == 1 ? EINTR : 0; });
            const Content content = random_content(30 * 100);
            CHECK(a.send(b.address, content, 100));
            CHECK((joined(b.receive(30)) == content));
        }
    }

    TEST_CASE("a queue that fills and empties allocates nothing in steady state") {
        Edge a;
        Edge b;
        int calls = 0;
        const Refusals refusals([&](const msghdr&) { return ++calls % 2 == 1 ? EAGAIN : 0; });
        const Content content = random_content(45 * 1200);
        std::size_t bytes = 0;
        const auto round = [&] {
            a.send(b.address, content, 1200);
            while (!a.io->writable(a.socket)) {
                a.io->wait(a.io->now() + 5ms);
                a.io->receive();
            }
            b.io->wait(b.io->now() + 1s);
            for (const auto& received : b.io->receive()) bytes += received.datagrams.bytes.size();
        };
        for (int i = 0; i < 20; ++i) round();
        const auto before = allocations();
        for (int i = 0; i < 200; ++i) round();
        CHECK(allocations() - before == 0);
        CHECK(bytes >= 200 * content.size());
    }
}
