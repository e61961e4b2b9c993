// Bulk over UDP without a protocol. The receiver says how much it has got; the sender stays far
// enough below the size of the receiver's buffer that nothing is lost.
#include "limit_udp.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "descriptor.hpp"
#include "meter.hpp"
#include "seal.hpp"

namespace post::bench {

namespace {

// Of one GSO call: as many datagrams as fit (65535 - 20 (IPv4) - 8 (UDP)), 64 at most (Linux).
constexpr std::size_t largest_batch = 65507;
constexpr std::size_t most_segments = 64;
constexpr std::uint64_t window = 1 << 20;

struct Shape {
    bool batched = true;
    bool sealed = false;
};

void set(int fd, int level, int name, int value, const char* what) {
    check(::setsockopt(fd, level, name, &value, sizeof value) == 0, what);
}

Descriptor open_udp() {
    Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    const auto address = loopback(0);
    check(::bind(socket.get(), generic(address), sizeof address) == 0, "bind");
    // Forced beyond the system's limit where we may, else up to it.
    constexpr int buffer = 8 << 20;
    for (const auto& [force, plain] :
         {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}})
        if (::setsockopt(socket.get(), SOL_SOCKET, force, &buffer, sizeof buffer) != 0)
            set(socket.get(), SOL_SOCKET, plain, buffer, "buffer");
    return socket;
}

void connect_to(int fd, const sockaddr_in& address) {
    check(::connect(fd, generic(address), sizeof address) == 0, "connect");
}

// A wait that ends: a lost datagram stops nobody for ever.
void set_timeout(int fd, int milliseconds) {
    const timeval limit{milliseconds / 1000, milliseconds % 1000 * 1000};
    check(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0, "SO_RCVTIMEO");
}

void serve(const ServerEnd& end, Shape shape) {
    const std::size_t payload = end.payload;
    const std::size_t segments = shape.batched ? std::min(most_segments, largest_batch / payload)
                                               : 1;
    std::vector<std::uint8_t> batch(segments * payload, 1);
    const std::vector<std::uint8_t> source(1 << 20, 2);
    std::size_t at = 0;
    Seal seal;

    const Descriptor socket = open_udp();
    end.announce(bound_port(socket.get()));
    sockaddr_in peer{};
    socklen_t peer_size = sizeof peer;
    std::uint64_t acked = 0;
    check(::recvfrom(socket.get(), &acked, sizeof acked, 0, reinterpret_cast<sockaddr*>(&peer),
                     &peer_size) > 0,
          "recvfrom");
    connect_to(socket.get(), peer);
    set_timeout(socket.get(), 20);
    if (shape.batched)
        set(socket.get(), SOL_UDP, UDP_SEGMENT, static_cast<int>(payload), "UDP_SEGMENT");
    std::uint64_t sent = acked = 0;
    std::uint64_t lost = 0;
    for (;;) {
        const bool full = sent - acked - lost + batch.size() > window;
        const ssize_t got = ::recv(socket.get(), &acked, sizeof acked, full ? 0 : MSG_DONTWAIT);
        if (got < 0 && errno == ECONNREFUSED) return;  // the client is done
        if (full && got < 0) lost = sent - acked;
        if (full) continue;
        for (std::size_t i = 0; shape.sealed && i < segments; ++i) {
            if (at + payload > source.size()) at = 0;
            seal.protect({batch.data() + i * payload, payload}, source.data() + at);
            at += payload - Seal::overhead;
        }
        const ssize_t put = ::send(socket.get(), batch.data(), batch.size(), 0);
        if (put < 0 && errno == ECONNREFUSED) return;
        check(put > 0, "send");
        sent += static_cast<std::uint64_t>(put);
    }
}

class Receiver {
public:
    Receiver(const ClientEnd& end, Shape shape)
        : shape_(shape), payload_(end.payload), socket_(open_udp()) {
        connect_to(socket_.get(), loopback(end.settings.port));
        if (shape.batched) set(socket_.get(), SOL_UDP, UDP_GRO, 1, "UDP_GRO");
        set_timeout(socket_.get(), 1000);
        acknowledge();
    }

    // Receives for `seconds`; the answer is the bytes that a protocol above would have got.
    double receive(double seconds) {
        const auto limit = std::chrono::duration<double>(seconds);
        const auto start = std::chrono::steady_clock::now();
        const std::uint64_t before = useful_;
        while (std::chrono::steady_clock::now() - start < limit) {
            take(0);
            for (int i = 0; i < 3; ++i)
                if (!take(MSG_DONTWAIT)) break;
            acknowledge();
        }
        return static_cast<double>(useful_ - before);
    }

private:
    bool take(int flags) {
        const ssize_t got = ::recv(socket_.get(), buffer_.data(), buffer_.size(), flags);
        if (got < 0 && flags == 0) throw std::runtime_error("the sender fell silent");
        if (got <= 0) return false;
        const auto size = static_cast<std::size_t>(got);
        total_ += size;
        if (!shape_.sealed) {
            useful_ += size;
            return true;
        }
        for (std::size_t at = 0; at + payload_ <= size; at += payload_) {
            seal_.unprotect({buffer_.data() + at, payload_}, plain_.data());
            useful_ += payload_ - Seal::overhead;
        }
        return true;
    }
    void acknowledge() { check(::send(socket_.get(), &total_, sizeof total_, 0) > 0, "send"); }

    Shape shape_;
    std::size_t payload_;
    Descriptor socket_;
    Seal seal_;
    std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(65536);
    std::vector<std::uint8_t> plain_ = std::vector<std::uint8_t>(65536);
    std::uint64_t total_ = 0;
    std::uint64_t useful_ = 0;
};

void measure(const ClientEnd& end, Shape shape) {
    Receiver receiver(end, shape);
    receiver.receive(end.settings.warm_up);
    const Meter meter(end);
    const double bytes = receiver.receive(end.settings.seconds);
    report_bulk(end, bytes, meter.used());
}

constexpr Shape gso{};
constexpr Shape sealed{.sealed = true};
constexpr Shape single{.batched = false};

}  // namespace

void serve_udp_gso(const ServerEnd& end) { serve(end, gso); }
void measure_udp_gso(const ClientEnd& end) { measure(end, gso); }
void serve_udp_sealed(const ServerEnd& end) { serve(end, sealed); }
void measure_udp_sealed(const ClientEnd& end) { measure(end, sealed); }
void serve_udp_single(const ServerEnd& end) { serve(end, single); }
void measure_udp_single(const ClientEnd& end) { measure(end, single); }

}  // namespace post::bench
