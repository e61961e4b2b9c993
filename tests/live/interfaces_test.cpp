// The system's interfaces: what it tells of them, and that changes are heard. What is changed is in
// a namespace of a process of its own.
#include <linux/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <post/context.hpp>

#include "lib/io/outlet.hpp"
#include "tests/live/edge.hpp"

namespace post::test {

namespace {

const Interface* find(const std::vector<Interface>& all, std::string_view name) {
    const auto at = std::find_if(all.begin(), all.end(),
                                 [&](const Interface& each) { return each.name == name; });
    return at == all.end() ? nullptr : &*at;
}

bool turn_on(const char* name) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq wanted{};
    std::strncpy(wanted.ifr_name, name, sizeof(wanted.ifr_name) - 1);
    wanted.ifr_flags = IFF_UP;
    const bool done = ioctl(fd, SIOCSIFFLAGS, &wanted) == 0;
    close(fd);
    return done;
}

// What the child found: 0 when all was as it should be, 77 when no namespace may be made.
int watch_a_change() {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return 77;
    const auto io = make_epoll_io({});
    const auto before = io->interfaces();
    if (!before || !before->empty()) return 1;  // lo is down
    if (io->poll_interfaces_changed()) return 2;
    if (!turn_on("lo")) return 77;
    io->wait(io->now() + std::chrono::seconds(5));
    (void)io->receive();
    if (!io->poll_interfaces_changed()) return 3;
    const auto after = io->interfaces();
    if (!after || after->size() != 1) return 4;
    const Interface& lo = after->front();
    if (lo.name != "lo" || lo.type != InterfaceType::loopback || lo.sources.empty()) return 5;
    io->wait(io->now() + std::chrono::milliseconds(50));
    (void)io->receive();
    io->poll_interfaces_changed();  // of IPv6, which may be a moment later
    return io->poll_interfaces_changed() ? 6 : 0;
}

// Nobody without a privilege may bind a socket again; older systems do not let them bind it at all.
int bind_twice() {
    if (setresuid(65534, 65534, 65534) != 0) return 77;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool bound = false;
    if (io::apply({.interface = 1}, fd, false, bound)) return 1;
    if (io::apply({.interface = 1}, fd, false, bound) || bound) return 2;
    const auto refused = io::apply({.interface = 1, .strict = true}, fd, false, bound);
    return refused == std::errc::operation_not_permitted ? 0 : 3;
}

// Its exit status.
int in_child(int (*work)()) {
    const pid_t child = fork();
    if (child == 0) _exit(work());
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("interfaces: the loopback interface is as everywhere, and the last") {
        Context context;
        const auto all = context.interfaces();
        REQUIRE(all);
        const Interface* lo = find(*all, "lo");
        if (!lo) {
            MESSAGE("lo is down here");
            return;
        }
        CHECK(lo == &all->back());
        CHECK(lo->type == InterfaceType::loopback);
        CHECK(lo->index > 0);
        CHECK(lo->mtu >= 1500);
        REQUIRE_FALSE(lo->sources.empty());
        CHECK(lo->sources[0].address.is_loopback());
    }

    TEST_CASE("interfaces: a change is heard, and ends a wait") {
        const int status = in_child(watch_a_change);
        if (status == 77)
            MESSAGE("no network namespace may be made");
        else
            CHECK(status == 0);
    }

    TEST_CASE("interfaces: where the system does not bind, only who insists hears an error") {
        const int status = in_child(bind_twice);
        if (status == 77)
            MESSAGE("nobody else may be become");
        else
            CHECK(status == 0);
    }

    TEST_CASE("interfaces: the system hears which kind of IPv6 address is wanted") {
        constexpr int prefer_temporary = 0x0001;
        constexpr int prefer_public = 0x0002;
        const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            MESSAGE("there is no IPv6");
            return;
        }
        const auto preferred = [&] {
            int value = 0;
            socklen_t size = sizeof(value);
            CHECK(getsockopt(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, &value, &size) == 0);
            return value & (prefer_temporary | prefer_public);
        };
        bool bound = false;
        CHECK_FALSE(io::apply({.source = SourceChoice::temporary}, fd, true, bound));
        CHECK(preferred() == prefer_temporary);
        CHECK_FALSE(io::apply({.source = SourceChoice::stable}, fd, true, bound));
        CHECK(preferred() == prefer_public);
        CHECK(bound);
        close(fd);
    }

    TEST_CASE("interfaces: a Carrier over the loopback interface is bound to it") {
        const Identity identity = Identity::self_signed("localhost");
        Context server;
        Listener listener = server.listen(
            {.address = *Address::parse("127.0.0.1"), .identity = identity, .interfaces = {"lo"}});
        listener.accept([](Carrier) { return true; });
        for (const Stack stack : {Stack::quic, Stack::tls}) {
            CAPTURE(to_string(stack));
            Context client;
            Carrier carrier = client.initiate(Remote(*Address::parse("127.0.0.1", listener.port())),
                                              {.policy = {.stacks = {stack}},
                                               .trust = Trust::pinned(identity.pin()),
                                               .local = {.interfaces = {"127.0.0.1"}}});
            auto active = carrier.activate();
            const Instant end = client.now() + std::chrono::seconds(10);
            while (!active.ready() && client.now() < end) {
                client.turn();
                server.turn();
            }
            REQUIRE(active.ready());
            const auto made = active.get();
            REQUIRE_MESSAGE(made, made.error().detail.string());
            const auto report = carrier.association().establishment();
            REQUIRE(report);
            REQUIRE(report->winner());
            CHECK(report->winner()->path == "lo");
            CHECK(report->winner()->reason.find("does not bind") == std::string::npos);
        }
    }
}

}  // namespace post::test
