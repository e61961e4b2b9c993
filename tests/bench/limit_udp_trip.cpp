// The round trip over UDP without a protocol. Who sleeps does so in epoll_wait, as an event loop
// does.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

#include "descriptor.hpp"
#include "limit_udp.hpp"
#include "trips.hpp"

namespace post::bench {

namespace {

using Message = std::array<char, 64>;

class Waiter {
public:
    Waiter(int fd, Waiting waiting)
        : fd_(fd), waiting_(waiting), epoll_(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1") {
        epoll_event event{};
        event.events = EPOLLIN;
        check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }

    // False when there was nothing for a second.
    bool receive(Message& message, sockaddr_in& from) {
        const auto start = std::chrono::steady_clock::now();
        for (;;) {
            if (waiting_ == Waiting::sleeping) {
                epoll_event event{};
                if (::epoll_wait(epoll_.get(), &event, 1, 1000) == 0) return false;
            } else if (std::chrono::steady_clock::now() - start > std::chrono::seconds(1)) {
                return false;
            }
            socklen_t size = sizeof from;
            if (::recvfrom(fd_, message.data(), message.size(), MSG_DONTWAIT,
                           reinterpret_cast<sockaddr*>(&from), &size) > 0)
                return true;
        }
    }

private:
    int fd_;
    Waiting waiting_;
    Descriptor epoll_;
};

Descriptor open_udp() {
    Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    const auto address = loopback(0);
    check(::bind(socket.get(), generic(address), sizeof address) == 0, "bind");
    return socket;
}

}  // namespace

void serve_udp_echo(const ServerEnd& end) {
    const Descriptor socket = open_udp();
    end.announce(bound_port(socket.get()));
    Waiter waiter(socket.get(), end.waiting);
    Message message{};
    sockaddr_in from{};
    for (;;)
        if (waiter.receive(message, from))
            ::sendto(socket.get(), message.data(), message.size(), 0, generic(from), sizeof from);
}

void measure_udp_trip(const ClientEnd& end) {
    const Descriptor socket = open_udp();
    const auto server = loopback(end.settings.port);
    Waiter waiter(socket.get(), end.waiting);
    Message message{};
    sockaddr_in from{};
    Trips trips;
    const auto run_for = [&](double seconds) {
        const auto limit = std::chrono::duration<double>(seconds);
        const auto start = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - start < limit) {
            trips.begin();
            ::sendto(socket.get(), message.data(), message.size(), 0, generic(server),
                     sizeof server);
            if (waiter.receive(message, from)) trips.end();
        }
    };
    run_for(end.settings.warm_up);
    trips.clear();
    const Meter meter(end);
    run_for(end.settings.seconds);
    trips.report(end, meter.used());
}

}  // namespace post::bench
