// SCTP over sockets whose system refuses to send: a route that is gone, and a filter that forbids.
// In a namespace of the test's own.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <post/post.hpp>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "lib/io/sockaddr.hpp"
#include "tests/live/edge.hpp"
#include "tests/live/namespace.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr const char* here = "10.8.0.1";

// A way in which sends come to nothing, what the system says then, and its end.
struct Refusal {
    const char* begin;
    const char* end;
    int error;
};
const std::vector<Refusal> refusals{
    {"ip route del table local local 10.8.0.1 dev lo",
     "ip route add table local local 10.8.0.1 dev lo proto kernel scope host src 10.8.0.1",
     ENETUNREACH},
    {"nft add table inet post && "
     "nft 'add chain inet post out { type filter hook output priority 0; }' && "
     "nft add rule inet post out meta l4proto udp drop",
     "nft delete table inet post", EPERM},
};

bool run(const char* command) {
    return std::system((std::string("PATH=$PATH:/usr/sbin:/sbin; (") + command + ") 2>/dev/null")
                           .c_str()) == 0;
}

// What the system says to any other socket.
int error_of_send() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const io::SocketAddress to(*Address::parse(here, 9));
    const ssize_t sent = sendto(fd, "x", 1, 0, &to.any, to.size);
    const int error = sent < 0 ? errno : 0;
    close(fd);
    return error;
}

struct Talk {
    Context server;
    Context client;
    Listener listener;
    Carrier carrier;
    std::size_t echoes = 0;
    std::size_t unhandled = 0;

    Talk(Stack stack, const Identity& identity) {
        for (Context* context : {&server, &client})
            context->on_unhandled([this](const Error&) { ++unhandled; });
        const Policy policy{stack == Stack::sctp_udp ? Security::none : Security::required,
                            {stack}};
        listener = server.listen({.address = *Address::parse(here), .identity = identity},
                                 {.policy = policy, .sctp = {.udp_port = 0}});
        listener.accept([](Carrier accepted) {
            accepted.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content());
                return true;
            });
            return true;
        });
        InitiateOptions options;
        options.policy = policy;
        options.trust = Trust::pinned(identity.pin());
        options.sctp.udp_port = listener.addresses().front().port;
        carrier = client.initiate(Remote(listener.addresses().front()), options);
        carrier.ready([this](Carrier&, const InMessage&) {
            ++echoes;
            return true;
        });
    }

    // Lets time pass until so many echoes are here; false: never.
    bool run(std::size_t wanted, Duration most) {
        const auto end = client.now() + most;
        while (echoes < wanted) {
            if (client.now() > end) return false;
            const bool more = client.turn();
            if (!server.turn() && !more) std::this_thread::sleep_for(1ms);
        }
        return true;
    }
};

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("a socket that may not send stalls an association of SCTP for one RTO at most") {
        const auto identity = Identity::self_signed(here);
        const bool there = in_namespace([&] {
            REQUIRE(run("ip addr add 10.8.0.1/32 dev lo"));
            for (const Stack stack : {Stack::sctp_dtls, Stack::sctp_udp})
                for (const Refusal& refusal : refusals)
                    for (const Duration gone : {50ms, 500ms}) {
                        CAPTURE(std::string(to_string(stack)));
                        CAPTURE(refusal.begin);
                        CAPTURE(gone.count());
                        Talk talk(stack, identity);
                        talk.carrier.send("before");
                        REQUIRE(talk.run(1, 5s));
                        if (!run(refusal.begin)) {
                            MESSAGE("not here: " << refusal.begin);
                            continue;
                        }
                        CHECK(error_of_send() == refusal.error);
                        for (int i = 0; i < 20; ++i) talk.carrier.send(std::string(1000, 'x'));
                        CHECK_FALSE(talk.run(2, gone));
                        REQUIRE(run(refusal.end));
                        // RFC 9260, 6.3.3: it doubles, and is a second at most; and some time for
                        // a machine that does other things as well.
                        CHECK(talk.run(21, 1s + 500ms));
                        CHECK(talk.unhandled == 0);
                    }
        });
        if (!there) MESSAGE("there can be no network namespace");
    }
}

}  // namespace post::test
