// EpollIo: the real Io. One epoll descriptor watches the UDP sockets, the resolver's sockets and an
// eventfd for wake(), level-triggered, so that what a turn leaves behind is reported again; and the
// TCP sockets in a way of their own (tcp_sockets.hpp). It is also what somebody else's loop polls.
//
// All input of a turn lands in one arena that is allocated once: in steady state nothing here
// allocates.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "lib/io/descriptor.hpp"
#include "lib/io/interfaces.hpp"
#include "lib/io/io.hpp"
#include "lib/io/neighbours.hpp"
#include "lib/io/resolver.hpp"
#include "lib/io/route_mtu.hpp"
#include "lib/io/tcp_sockets.hpp"
#include "lib/io/udp_socket.hpp"

namespace post::io {

class EpollIo final : public Io {
public:
    explicit EpollIo(const EpollOptions& options);

    Instant now() override;
    std::chrono::sys_seconds wall_time() override;
    void random(std::span<std::byte> bytes) override;

    Result<SocketId> open_udp(const UdpOptions& options) override;
    Result<SocketId> connect_tcp(const TcpOptions& options, const Address& remote) override;
    Result<SocketId> listen_tcp(const TcpOptions& options) override;
    std::vector<Taken> poll_taken() override { return tcp_.poll_taken(); }
    Address local_address(SocketId socket) const override;
    bool bound(SocketId socket) const override;
    void close(SocketId socket) override;
    void abort(SocketId socket) override { tcp_.abort(socket); }
    Result<int> release(SocketId socket) override { return tcp_.release(socket); }
    Result<Handed> open_pair() override { return tcp_.open_pair(); }
    void end_sending(SocketId socket) override { tcp_.end_sending(socket); }
    void hold(SocketId socket, bool held) override { tcp_.hold(socket, held); }
    void take_at_most(SocketId socket, std::size_t bytes) override {
        tcp_.take_at_most(socket, bytes);
    }
    std::uint64_t unacknowledged(SocketId socket) const override {
        return tcp_.unacknowledged(socket);
    }
    void measure(SocketId socket, Path& path) const override { tcp_.measure(socket, path); }
    std::size_t stream_run(SocketId socket) const override { return tcp_.run(socket); }

    std::span<const Received> receive() override;
    bool more_input() const override { return !ready_.empty() || tcp_.more_input(); }
    std::vector<Trouble> poll_troubles() override;

    bool send(SocketId socket, const Datagrams& datagrams) override;
    void pass(SocketId socket, std::uint16_t index, const Datagrams& datagrams) override;
    bool writable(SocketId socket) const override;
    std::span<const SocketId> poll_writable() override { return writable_; }
    std::size_t run_limit(SocketId socket) const override;
    std::size_t payload_limit(const Address& remote) override { return routes_.limit(remote); }

    Result<std::vector<Interface>> interfaces() override { return interfaces_.gather(); }
    bool poll_interfaces_changed() override { return interfaces_.poll_changed(); }

    void lookup(const Lookup& lookup) override;
    void cancel(LookupId lookup) override;
    bool trusts_names() const override { return resolver_.trusted(); }
    std::vector<Resolved> poll_resolved() override;
    Instant deadline() const override;

    void wait(Instant until) override;
    void wake() noexcept override;
    int fd() const override { return epoll_.get(); }

private:
    struct Entry {
        UdpSocket socket;
        std::optional<Neighbours> neighbours{};  // of a port that is shared
        unsigned lonely = 0;                     // runs with nothing behind them, in a row
        bool ready = false;                      // stands in ready_
        bool armed = false;                      // epoll watches for room to send
        bool paused = false;                     // stands in paused_
    };

    // Sleeps at most `timeout`; negative: without end. Takes what epoll has into the state here;
    // true when there was something.
    bool harvest(Duration timeout);
    void look();
    static void fill(std::span<std::byte> random);
    bool spin(Instant until);
    void handle_socket(SocketId id, std::uint32_t events);
    void resume_paused();
    // Watches for what the socket waits for, after each send or flush.
    void watch(Entry& entry);
    // What waits is sent as far as it goes.
    void flush(Entry& entry);
    bool take(Entry& entry);
    bool take_passed(Entry& entry);
    Entry* find(SocketId id);

    EpollOptions options_;
    Descriptor epoll_;
    Descriptor wake_;
    Resolver resolver_;
    TcpSockets tcp_;
    Interfaces interfaces_;
    bool gso_;
    std::uint32_t last_id_ = 0;
    RouteMtu routes_;
    std::array<std::byte, 256> noise_;  // random bytes, so that a few cost no system call
    std::size_t used_noise_ = sizeof noise_;
    std::unordered_map<SocketId, Entry> sockets_;

    Instant now_{};
    bool precise_ = true;     // epoll_pwait2 has not failed yet
    bool harvested_ = false;  // wait() has asked epoll, nobody has used it yet
    Instant asked_{};         // when epoll was asked last
    SocketId lonely_{};       // whose datagrams come one at a time
    bool woken_ = false;      // a wake() that was taken in passing: the next wait() does not sleep

    std::unique_ptr<std::byte[]> arena_;
    std::size_t used_ = 0;
    std::vector<Received> received_;
    std::vector<SocketId> ready_;   // may have input, in the order in which they get their chance
    std::vector<SocketId> turn_;    // ready_ while receive() works on it; empty otherwise
    std::vector<SocketId> paused_;  // wait for memory (ENOBUFS), until resume_at_
    Instant resume_at_ = never;
    std::vector<Trouble> troubles_;
    std::vector<SocketId> turned_;    // have become writable since the last receive()
    std::vector<SocketId> writable_;  // had become it then
};

}  // namespace post::io
