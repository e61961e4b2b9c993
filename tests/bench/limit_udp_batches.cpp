// As many datagrams as the kernel takes by sendmmsg and gives by recvmmsg.
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <vector>

#include "datagram_window.hpp"
#include "datagrams.hpp"
#include "descriptor.hpp"

namespace post::bench {

namespace {

Descriptor open_udp() {
    Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    const auto address = loopback(0);
    check(::bind(socket.get(), generic(address), sizeof address) == 0, "bind");
    constexpr int buffer = 4 << 20;
    for (const auto& [force, plain] :
         {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}})
        if (::setsockopt(socket.get(), SOL_SOCKET, force, &buffer, sizeof buffer) != 0)
            check(::setsockopt(socket.get(), SOL_SOCKET, plain, &buffer, sizeof buffer) == 0,
                  "buffer");
    const timeval limit{1, 0};
    check(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0,
          "SO_RCVTIMEO");
    return socket;
}

// Room for a batch.
struct Batch {
    Batch() {
        for (std::size_t i = 0; i < datagram_batch; ++i) {
            vectors[i] = {bytes.data() + i * datagram_size, datagram_size};
            messages[i] = {};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
    }
    std::vector<char> bytes = std::vector<char>(datagram_batch * datagram_size, 'x');
    std::array<iovec, datagram_batch> vectors;
    std::array<mmsghdr, datagram_batch> messages;
};

}  // namespace

void serve_udp_batches(const ServerEnd& end) {
    const Descriptor socket = open_udp();
    end.announce(bound_port(socket.get()));
    sockaddr_in peer{};
    socklen_t peer_size = sizeof peer;
    std::uint64_t acked = 0;
    while (::recvfrom(socket.get(), &acked, sizeof acked, 0, reinterpret_cast<sockaddr*>(&peer),
                      &peer_size) < 0)
        check(errno == EAGAIN, "recvfrom");
    check(::connect(socket.get(), generic(peer), sizeof peer) == 0, "connect");
    Batch batch;
    std::uint64_t sent = 0;
    for (;;) {
        const bool full = sent - acked + datagram_batch > datagram_window;
        const ssize_t got = ::recv(socket.get(), &acked, sizeof acked, full ? 0 : MSG_DONTWAIT);
        if (got < 0 && errno == ECONNREFUSED) return;  // the client is done
        if (full) continue;
        for (std::size_t i = 0; i < datagram_batch; ++i) {
            ++sent;
            std::memcpy(batch.bytes.data() + i * datagram_size, &sent, sizeof sent);
        }
        const int put = ::sendmmsg(socket.get(), batch.messages.data(), datagram_batch, 0);
        if (put < 0 && errno == ECONNREFUSED) return;
        check(put >= 0, "sendmmsg");
        sent -= datagram_batch - static_cast<std::size_t>(put);  // the next call says why
    }
}

void measure_udp_batches(const ClientEnd& end) {
    const Descriptor socket = open_udp();
    const auto server = loopback(end.settings.port);
    check(::connect(socket.get(), generic(server), sizeof server) == 0, "connect");
    std::uint64_t highest = 0;
    check(::send(socket.get(), &highest, sizeof highest, 0) > 0, "send");
    Batch batch;
    const auto receive_for = [&](double seconds) {
        const auto limit = std::chrono::duration<double>(seconds);
        const auto start = std::chrono::steady_clock::now();
        double messages = 0;
        while (std::chrono::steady_clock::now() - start < limit) {
            const int got = ::recvmmsg(socket.get(), batch.messages.data(), datagram_batch,
                                       MSG_WAITFORONE, nullptr);
            if (got <= 0) throw std::runtime_error("the sender fell silent");
            messages += got;
            std::memcpy(&highest,
                        batch.bytes.data() + static_cast<std::size_t>(got - 1) * datagram_size,
                        sizeof highest);
            check(::send(socket.get(), &highest, sizeof highest, 0) > 0, "send");
        }
        return messages;
    };
    receive_for(end.settings.warm_up);
    const Meter meter(end);
    const double messages = receive_for(end.settings.seconds);
    report_datagrams(end, messages, meter.used());
}

}  // namespace post::bench
