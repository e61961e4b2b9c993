// The edge on real sockets of the loopback: runs, addresses, marks, sizes, sleep and wake.
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include <doctest/doctest.h>

#include "tests/live/allocations.hpp"
#include "tests/live/edge.hpp"

using namespace post;
using namespace post::test;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

namespace {

Io* woken_by_signal = nullptr;

void on_signal(int) { woken_by_signal->wake(); }

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("runs carry the same bytes with and without offload, in both families") {
        for (const auto family : {Address::Family::v4, Address::Family::v6}) {
            if (family == Address::Family::v6 && !has_v6()) {
                MESSAGE("no IPv6 here");
                continue;
            }
            for (const bool gso : {false, true}) {
                for (const bool gro : {false, true}) {
                    CAPTURE(static_cast<int>(family));
                    CAPTURE(gso);
                    CAPTURE(gro);
                    Edge a({.gso = gso}, loopback(family));
                    Edge b({.gro = gro}, loopback(family));
                    CHECK(a.io->run_limit(a.socket) >= 16);
                    // 45 of one size, and a shorter one at the end.
                    const Content content = random_content(44 * 1200 + 700);
                    CHECK(a.send(b.address, content, 1200));
                    const auto all = b.receive(45);
                    REQUIRE(all.size() == 45);
                    CHECK(all[0].content.size() == 1200);
                    CHECK(all[44].content.size() == 700);
                    CHECK(all[7].remote == a.address);
                    CHECK(all[7].local == b.address);
                    CHECK((joined(all) == content));
                    if (gso && gro && a.io->run_limit(a.socket) > 16) CHECK(b.runs < 5);
                    if (!gro) CHECK(b.runs == 45);
                }
            }
        }
    }

    TEST_CASE("a run longer than one system call takes is split") {
        for (const bool gso : {true, false}) {
            CAPTURE(gso);
            Edge a({.gso = gso});
            Edge b;
            const Content many = random_content(200 * 40 - 3);
            CHECK(a.send(b.address, many, 40));
            CHECK((joined(b.receive(200)) == many));
            const Content large = random_content(100'000);
            CHECK(a.send(b.address, large, 1452));
            const auto all = b.receive(69);
            CHECK(all.size() == 69);
            CHECK((joined(all) == large));
        }
    }

    TEST_CASE("datagrams of 1 to 65507 bytes arrive whole") {
        Edge a;
        Edge b;
        static constexpr std::size_t sizes[] = {
            1, 2, 3, 16, 63, 64, 65, 1199, 1200, 1452, 1500, 1501, 4096, 9000, 32768, 65506, 65507};
        for (const std::size_t size : sizes) {
            CAPTURE(size);
            const Content content = random_content(size);
            CHECK(a.send(b.address, content, size));
            const auto all = b.receive(1);
            REQUIRE(all.size() == 1);
            CHECK((all[0].content == content));
        }
        // One more is not a datagram: lost, silently, and the socket lives on.
        CHECK(a.send(b.address, random_content(65508), 65508));
        CHECK(a.send(b.address, random_content(5), 5));
        CHECK(b.receive(1).size() == 1);
        CHECK(a.io->poll_troubles().empty());
    }

    TEST_CASE("the interface's MTU bounds a datagram, and no way is none") {
        const auto io = make_epoll_io({});
        // The loopback's is 65536 unless somebody changed it; 65507 is the most for IPv4.
        const auto v4 = io->payload_limit(*Address::parse("127.0.0.1", 1));
        CHECK(v4 >= 1200);
        CHECK(v4 <= 65507);
        if (has_v6()) CHECK(io->payload_limit(*Address::parse("::1", 1)) <= v4);
        CHECK(io->payload_limit(Address{}) == 0);
        CHECK(io->payload_limit(*Address::parse("255.255.255.255", 1)) == 0);  // not permitted
        CHECK(io->payload_limit(*Address::parse("127.0.0.1", 1)) == v4);
    }

    TEST_CASE("empty datagrams confuse nobody") {
        Edge a;
        Edge b;
        CHECK(a.send(b.address, {}, 0));
        CHECK(a.send(b.address, {}, 100));
        const int raw = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(b.address.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int i = 0; i < 100; ++i)
            sendto(raw, "", 0, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
        close(raw);
        CHECK(a.send(b.address, random_content(7), 7));
        const auto all = b.receive(1);
        REQUIRE(all.size() == 1);
        CHECK(all[0].content.size() == 7);
    }

    TEST_CASE("ECN marks arrive as they were sent, unless masked") {
        for (const auto family : {Address::Family::v4, Address::Family::v6}) {
            if (family == Address::Family::v6 && !has_v6()) continue;
            Edge a({}, loopback(family));
            Edge b({}, loopback(family));
            Edge blind({.ecn = false}, loopback(family));
            const Content content = random_content(2500);
            for (const Ecn mark : {Ecn::not_ect, Ecn::ect1, Ecn::ect0, Ecn::ce}) {
                CHECK(a.send(b.address, content, 1200, mark));
                const auto all = b.receive(3);
                REQUIRE(all.size() == 3);
                CHECK(all[0].ecn == mark);
                CHECK(all[2].ecn == mark);
            }
            CHECK(a.send(blind.address, content, 1200, Ecn::ce));
            CHECK(blind.receive(3).at(0).ecn == Ecn::not_ect);
            CHECK(blind.send(b.address, content, 1200, Ecn::ce));
            CHECK(b.receive(3).at(0).ecn == Ecn::not_ect);
        }
    }

    TEST_CASE("a socket of all addresses says which one was meant, and answers from it") {
        Edge a;
        Edge b({}, Address::any_v4());
        const Address meant = *Address::parse("127.0.0.2", b.address.port);
        CHECK(a.send(meant, random_content(3000), 1200));
        const auto all = b.receive(3);
        REQUIRE(all.size() == 3);
        CHECK(all[0].local == meant);

        CHECK(b.send(a.address, random_content(3000), 1200, Ecn::ect0, all[0].local));
        const auto answer = a.receive(3);
        REQUIRE(answer.size() == 3);
        CHECK(answer[0].remote == meant);
        CHECK(answer[0].local == a.address);
        // No source, any source, and a group as source: the system chooses.
        for (const Address& from : {Address{}, Address::any_v4(), *Address::parse("224.0.0.1")}) {
            CHECK(b.send(a.address, random_content(10), 10, Ecn::not_ect, from));
            CHECK(a.receive(1).at(0).remote.ip_string() == "127.0.0.1");
        }
    }

    TEST_CASE("a socket of all IPv6 addresses takes no IPv4") {
        if (!has_v6()) return;
        Edge a({}, Address::any_v6());
        auto io = make_epoll_io({});
        CHECK(io->open_udp({.local = Address::any_v4(a.address.port)}).has_value());
        Edge b({}, loopback(Address::Family::v6));
        auto to = loopback(Address::Family::v6);
        to.port = a.address.port;
        CHECK(b.send(to, random_content(10), 10));
        const auto all = a.receive(1);
        REQUIRE(all.size() == 1);
        CHECK(all[0].local == to);
        CHECK(all[0].remote == b.address);
    }

    TEST_CASE("a taken port is an error with its cause, unless it is shared") {
        Edge a;
        const auto again = a.io->open_udp({.local = a.address});
        REQUIRE_FALSE(again);
        CHECK(again.error() == Errc::address_in_use);
        CHECK(again.error().cause == std::errc::address_in_use);
        CHECK(again.error().detail.view().find(a.address.string()) != std::string_view::npos);
        const auto foreign = a.io->open_udp({.local = *Address::parse("192.0.2.77")});
        CHECK(foreign.error().cause == std::errc::address_not_available);
        CHECK_FALSE(a.io->open_udp({}));

        const auto first = a.io->open_udp({.local = loopback(), .share = {0, 2}});
        REQUIRE(first);
        const Address shared = a.io->local_address(*first);
        CHECK(a.io->open_udp({.local = shared, .share = {1, 2}}));
        CHECK(a.io->open_udp({.local = shared, .share = {1, 2}}).error() == Errc::address_in_use);
    }

    TEST_CASE("a closed socket is gone for good, and its id with it") {
        Edge a;
        const SocketId old = a.socket;
        a.io->close(old);
        a.io->close(old);
        CHECK_FALSE(a.io->writable(old));
        CHECK_FALSE(a.send(a.address, random_content(3), 3));
        CHECK(a.io->local_address(old).family == Address::Family::none);
        std::set<std::uint32_t> ids{old.value()};
        for (int i = 0; i < 20; ++i) {
            const SocketId id = *a.io->open_udp({.local = loopback()});
            CHECK(ids.insert(id.value()).second);
            a.io->close(id);
        }
    }

    TEST_CASE("a turn takes a bounded part of a flood and says that there is more") {
        Edge a;
        Edge b({.gro = false});
        const Content content = random_content(100);
        for (int i = 0; i < 200; ++i) CHECK(a.send(b.address, content, 100));
        std::size_t turns = 0;
        std::size_t count = 0;
        b.io->wait(b.io->now() + 1s);
        while (true) {
            const auto input = b.io->receive();
            CHECK(input.size() <= 64);
            count += input.size();
            ++turns;
            if (!b.io->more_input()) break;
            b.io->wait(never);  // does not sleep while there is more
        }
        CHECK(count == 200);
        CHECK(turns >= 3);
    }

    TEST_CASE("a flood on one socket does not keep the others waiting") {
        Edge a;
        Edge b({.gro = false});
        const SocketId other = *b.io->open_udp({.local = loopback()});
        for (int i = 0; i < 200; ++i) CHECK(a.send(b.address, random_content(100), 100));
        CHECK(a.send(b.io->local_address(other), random_content(9), 9));
        b.io->wait(b.io->now() + 1s);
        bool heard = false;
        for (const auto& received : b.io->receive()) heard |= received.socket == other;
        CHECK(heard);
    }

    TEST_CASE("beside a socket that brings one datagram at a time the others are heard soon") {
        Edge a;
        Edge b;
        const SocketId other = *b.io->open_udp({.local = loopback()});
        for (int i = 0; i < 50; ++i) {
            CHECK(a.send(b.address, random_content(9), 9));
            CHECK(b.receive(1).size() == 1);
        }
        CHECK(a.send(b.io->local_address(other), random_content(9), 9));
        bool heard = false;
        const Instant end = b.io->now() + 100ms;
        while (!heard && b.io->now() < end)
            for (const auto& received : b.io->receive()) heard |= received.socket == other;
        CHECK(heard);
    }

    TEST_CASE("wait sleeps until the time, to less than a millisecond") {
        auto io = make_epoll_io({});
        const Instant begin = io->now();
        io->wait(begin + 3ms);
        CHECK(io->now() >= begin + 3ms);
        io->wait(begin);  // past
        io->wait(Instant::min());
        CHECK(io->now() < begin + 1s);
    }

    TEST_CASE("wake ends the sleep, from another thread and from a signal handler") {
        auto io = make_epoll_io({});
        std::thread waker([&io] {
            std::this_thread::sleep_for(20ms);
            io->wake();
        });
        io->wait(never);
        waker.join();

        woken_by_signal = io.get();
        struct sigaction action {};
        action.sa_handler = on_signal;
        struct sigaction before {};
        sigaction(SIGUSR1, &action, &before);
        errno = 1234;
        raise(SIGUSR1);
        CHECK(errno == 1234);
        io->wait(never);
        // Taken once: the next wait sleeps.
        io->receive();
        const Instant begin = io->now();
        io->wait(begin + 5ms);
        CHECK(io->now() >= begin + 5ms);
        // Many are one, and one that is taken by receive() still keeps the next wait short.
        for (int i = 0; i < 1000; ++i) raise(SIGUSR1);
        io->receive();
        io->receive();
        io->wait(never);
        sigaction(SIGUSR1, &before, nullptr);
    }

    TEST_CASE("the descriptor is readable for input and for wake, and only until the turn") {
        Edge a;
        Edge b;
        const auto readable = [&b] {
            pollfd one{b.io->fd(), POLLIN, 0};
            return poll(&one, 1, 0) == 1;
        };
        CHECK_FALSE(readable());
        CHECK(a.send(b.address, random_content(5), 5));
        CHECK(readable());
        CHECK(b.io->receive().size() == 1);
        CHECK_FALSE(readable());
        b.io->wake();
        CHECK(readable());
        CHECK(b.io->receive().empty());
        CHECK_FALSE(readable());
    }

    TEST_CASE("random bytes differ, in any number") {
        auto io = make_epoll_io({});
        Content a(100'000);
        Content b(100'000);
        io->random(a);
        io->random(b);
        CHECK((a != b));
        CHECK(std::count(a.begin(), a.end(), std::byte{0}) < 1000);
        io->random({});
    }

    TEST_CASE("nothing is allocated in steady state") {
        for (const bool offload : {true, false}) {
            CAPTURE(offload);
            Edge a({.gso = offload, .gro = offload});
            Edge b({.gso = offload, .gro = offload});
            const Content content = random_content(20 * 1200);
            std::size_t bytes = 0;
            const auto round = [&] {
                a.io->now();
                a.send(b.address, content, 1200, Ecn::ect0, a.address);
                a.io->receive();
                a.io->poll_troubles();
                b.io->wait(b.io->now() + 1s);
                b.io->now();
                for (const auto& received : b.io->receive())
                    bytes += received.datagrams.bytes.size();
                b.io->poll_troubles();
                b.io->poll_resolved();
            };
            for (int i = 0; i < 20; ++i) round();
            const auto before = allocations();
            for (int i = 0; i < 1000; ++i) round();
            CHECK(allocations() - before == 0);
            CHECK(bytes > 900 * content.size());
        }
    }
}
