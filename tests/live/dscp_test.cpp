// What a Local says of DSCP, as sockets see it that know nothing of us: a relay between two
// Contexts for what goes over UDP, and a listening socket for TLS, in both families.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <post/post.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "lib/io/packet_info.hpp"
#include "lib/io/sockaddr.hpp"
#include "lib/io/system.hpp"
#include "tests/live/edge.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint8_t voice = 46;
constexpr std::uint8_t bulk = 10;

Policy policy_of(Stack stack) {
    const bool clear = stack == Stack::sctp_udp || stack == Stack::udp;
    return {clear ? Security::none : Security::required, {stack}};
}

std::vector<Address::Family> families() {
    std::vector<Address::Family> all{Address::Family::v4};
    if (has_v6()) all.push_back(Address::Family::v6);
    return all;
}

// A socket of the system's, on the loopback.
class Raw {
public:
    Raw(Address::Family family, int type)
        : v6(family == Address::Family::v6),
          fd(socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        const io::SocketAddress address(loopback(family));
        REQUIRE(bind(fd, &address.any, address.size) == 0);
    }
    ~Raw() { close(fd); }
    Raw(const Raw&) = delete;
    Raw& operator=(const Raw&) = delete;

    Address address() const { return io::bound_address(fd); }

    const bool v6;
    const int fd;
};

// Passes datagrams on between a client and a server, and looks at their headers.
class Relay {
public:
    struct Side {
        explicit Side(Address::Family family) : raw(family, SOCK_DGRAM) {
            const int on = 1;
            const int level = raw.v6 ? IPPROTO_IPV6 : IPPROTO_IP;
            const int option = raw.v6 ? IPV6_RECVTCLASS : IP_RECVTOS;
            REQUIRE(setsockopt(raw.fd, level, option, &on, sizeof on) == 0);
        }
        Raw raw;
        Address peer{};
        std::set<int> dscp{};
        bool marked = false;  // by ECN, at least once
    };

    Relay(Address::Family family, const Address& target) : client(family), server(family) {
        server.peer = target;
    }

    bool turn() {
        bool more = false;
        while (pass(client, server) || pass(server, client)) more = true;
        return more;
    }

    Side client;
    Side server;

private:
    static bool pass(Side& from, const Side& to) {
        std::array<std::byte, 65536> space;
        alignas(cmsghdr) char control[256];
        io::SocketAddress remote;
        iovec vector{space.data(), space.size()};
        msghdr message{};
        message.msg_name = &remote.any;
        message.msg_namelen = sizeof(remote.v6);
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t size = recvmsg(from.raw.fd, &message, 0);
        if (size < 0) return false;
        const io::ReceivedControl info(message, 0);
        from.dscp.insert(info.header.dscp ? *info.header.dscp : -1);
        from.marked |= info.ecn != Ecn::not_ect;
        from.peer = io::address_of(remote.any, message.msg_namelen);
        const io::SocketAddress next(to.peer);
        sendto(to.raw.fd, space.data(), static_cast<std::size_t>(size), 0, &next.any, next.size);
        return true;
    }
};

template <class Done> bool until(std::vector<Context*> contexts, Relay* relay, Done done) {
    const auto end = contexts.front()->now() + 5s;
    while (!done()) {
        if (contexts.front()->now() > end) return false;
        bool more = relay && relay->turn();
        for (Context* context : contexts) more |= context->turn();
        if (!more) std::this_thread::sleep_for(1ms);
    }
    return true;
}

struct Echo {
    Context context;
    Listener listener;

    Echo(Stack stack, Address::Family family, const Identity& identity, std::uint8_t dscp)
        : listener(context.listen({.address = loopback(family), .identity = identity, .dscp = dscp},
                                  {.policy = policy_of(stack), .sctp = {.udp_port = 0}})) {
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content());
                return true;
            });
            return true;
        });
    }
};

// The traffic class that the first segment of a connection bore.
int class_of_syn(int fd) {
    std::array<unsigned char, 256> header{};
    socklen_t size = header.size();
    REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, header.data(), &size) == 0);
    REQUIRE(size >= 20);
    return header[0] >> 4 == 4 ? header[1] : (header[0] << 4 | header[1] >> 4) & 0xff;
}

// The DSCP of this process's TCP connections to a port (`from` it: of their other ends).
std::set<int> dscp_of_connections(std::uint16_t port, bool from) {
    std::set<int> found;
    for (int fd = 3; fd < 1024; ++fd) {
        int type = 0;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) continue;
        io::SocketAddress remote;
        socklen_t length = sizeof(remote.v6);
        if (getpeername(fd, &remote.any, &length) != 0) continue;
        const Address far = io::address_of(remote.any, length);
        if (far.family == Address::Family::none) continue;
        if ((from ? io::bound_address(fd) : far).port != port) continue;
        const bool v6 = far.family == Address::Family::v6;
        int mark = 0;
        size = sizeof mark;
        getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &mark, &size);
        found.insert(mark >> 2);
    }
    return found;
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("a receiving socket sees the DSCP that the Local says, whatever the stack") {
        const auto identity = Identity::self_signed("127.0.0.1");
        for (const Stack stack : {Stack::quic, Stack::sctp_dtls, Stack::sctp_udp, Stack::udp})
            for (const auto family : families()) {
                CAPTURE(std::string(to_string(stack)));
                CAPTURE(static_cast<int>(family));
                Echo server(stack, family, identity, bulk);
                Relay relay(family, server.listener.addresses().front());
                Context context;
                const Address to = relay.client.raw.address();
                InitiateOptions options;
                options.policy = policy_of(stack);
                options.local.dscp = voice;
                options.trust = Trust::pinned(identity.pin());
                options.sctp.udp_port = to.port;
                // RFC 6951: the Remote's is SCTP's own port.
                auto carrier = context.initiate(
                    Remote(stack == Stack::sctp_udp ? relay.server.peer : to), options);
                std::size_t echoed = 0;
                carrier.ready([&](Carrier&, const InMessage& message) {
                    echoed += message.size();
                    return true;
                });
                carrier.send("hello");
                carrier.send(std::string(20'000, 'x'));
                REQUIRE(
                    until({&context, &server.context}, &relay, [&] { return echoed == 20'005; }));
                CHECK(relay.client.dscp == std::set<int>{voice});
                CHECK(relay.server.dscp == std::set<int>{bulk});
                // Both parts of the octet are there.
                CHECK(relay.client.marked == (stack != Stack::udp));
            }
    }

    TEST_CASE("what is said of a datagram counts before what the Local says of all") {
        Echo server(Stack::udp, Address::Family::v4, {}, 0);
        Relay relay(Address::Family::v4, server.listener.addresses().front());
        Context context;
        auto carrier = context.initiate(
            Remote(relay.client.raw.address()),
            {.policy = policy_of(Stack::udp), .local = {.dscp = voice}});
        carrier.send("said", {.datagram = DatagramOptions{.dscp = 8}});
        carrier.send("marked", {.datagram = DatagramOptions{.ecn = Ecn::ect0}});
        carrier.send("none", {.datagram = DatagramOptions{.dscp = 0}});
        REQUIRE(until({&context, &server.context}, &relay,
                      [&] { return relay.client.dscp.size() == 3; }));
        CHECK(relay.client.dscp == std::set<int>{0, 8, voice});
        CHECK(relay.client.marked);
    }

    TEST_CASE("TLS bears the DSCP of its Local from the first segment on, at either end") {
        const auto identity = Identity::self_signed("127.0.0.1");
        for (const auto family : families()) {
            CAPTURE(static_cast<int>(family));
            InitiateOptions options;
            options.policy = policy_of(Stack::tls);
            options.local.dscp = voice;
            options.trust = Trust::pinned(identity.pin());
            {
                Raw listening(family, SOCK_STREAM);
                const int on = 1;
                REQUIRE(setsockopt(listening.fd, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof on) == 0);
                REQUIRE(::listen(listening.fd, 1) == 0);
                Context context;
                auto carrier = context.initiate(Remote(listening.address()), options);
                carrier.send("hello");
                int accepted = -1;
                REQUIRE(until({&context}, nullptr, [&] {
                    accepted = accept4(listening.fd, nullptr, nullptr, SOCK_CLOEXEC);
                    return accepted >= 0;
                }));
                CHECK(class_of_syn(accepted) / 4 == voice);
                close(accepted);
            }
            Echo server(Stack::tls, family, identity, bulk);
            Context context;
            auto carrier = context.initiate(Remote(server.listener.addresses().front()), options);
            bool echoed = false;
            carrier.ready([&](Carrier&, const InMessage&) { return echoed = true; });
            carrier.send("hello");
            REQUIRE(until({&context, &server.context}, nullptr, [&] { return echoed; }));
            const std::uint16_t port = server.listener.port();
            CHECK(dscp_of_connections(port, false) == std::set<int>{voice});
            CHECK(dscp_of_connections(port, true) == std::set<int>{bulk});
        }
    }
}

}  // namespace post::test
