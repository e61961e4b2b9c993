// HostIo: the Io of one Context on a simulated host. Everything happens in the World's virtual
// time and in its one thread; only wake() may come from elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "lib/io/io.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/packet.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/tcp_sockets.hpp"

namespace post::sim {

class HostIo final : public Io {
public:
    HostIo(World& world, Host& host, std::uint64_t index, const IoOptions& options);
    ~HostIo() override;
    HostIo(const HostIo&) = delete;
    HostIo& operator=(const HostIo&) = delete;

    Instant now() override;
    std::chrono::sys_seconds wall_time() override;
    void random(std::span<std::byte> bytes) override { random_.fill(bytes); }

    Result<SocketId> open_udp(const UdpOptions& options) override;
    Result<SocketId> connect_tcp(const TcpOptions& options, const Address& remote) override {
        return tcp_.connect(options, remote);
    }
    Result<SocketId> listen_tcp(const TcpOptions& options) override { return tcp_.listen(options); }
    std::vector<Taken> poll_taken() override { return tcp_.poll_taken(); }
    Address local_address(SocketId socket) const override;
    bool bound(SocketId) const override { return true; }
    void close(SocketId socket) override;
    void abort(SocketId socket) override { tcp_.abort(socket); }
    Result<int> release(SocketId) override { return no_descriptors(); }
    Result<Handed> open_pair() override { return no_descriptors(); }
    void end_sending(SocketId socket) override { tcp_.end_sending(socket); }
    void hold(SocketId socket, bool held) override { tcp_.hold(socket, held); }
    void take_at_most(SocketId socket, std::size_t bytes) override {
        tcp_.take_at_most(socket, bytes);
    }
    void measure(SocketId socket, Path& path) const override { tcp_.measure(socket, path); }
    std::uint64_t unacknowledged(SocketId socket) const override {
        return tcp_.unacknowledged(socket);
    }
    std::size_t stream_run(SocketId socket) const override { return tcp_.run(socket); }

    std::span<const Received> receive() override;
    bool more_input() const override { return more_input_ || tcp_.more_input(); }
    std::vector<Trouble> poll_troubles() override;

    bool send(SocketId socket, const Datagrams& datagrams) override;
    void pass(SocketId socket, std::uint16_t index, const Datagrams& datagrams) override;
    bool writable(SocketId socket) const override {
        return !TcpSockets::has(socket) || tcp_.writable(socket);
    }
    std::span<const SocketId> poll_writable() override { return tcp_.poll_writable(); }
    std::size_t run_limit(SocketId) const override { return options_.run_limit; }
    std::size_t payload_limit(const Address& remote) override;

    Result<std::vector<Interface>> interfaces() override {
        changes_ = host_.interface_changes();
        watches_ = true;
        return host_.interfaces();
    }
    bool poll_interfaces_changed() override {
        const std::uint64_t before = std::exchange(changes_, host_.interface_changes());
        return before != changes_;
    }

    void lookup(const Lookup& lookup) override;
    void cancel(LookupId lookup) override;
    bool trusts_names() const override;
    std::vector<Resolved> poll_resolved() override { return std::exchange(resolved_, {}); }
    Instant deadline() const override { return tcp_.deadline(); }

    // Lets the rest of the World go on until there is something here: this is how a Context that
    // is driven by its own run() lives in a simulation.
    void wait(Instant until) override;
    void wake() noexcept override { woken_.store(true, std::memory_order_release); }
    int fd() const override { return -1; }

    // What the network and the names bring.
    void handle_packet(SocketId socket, Packet packet);
    void handle_trouble(SocketId socket, const Address& remote, int error);
    void handle_resolved(Resolved resolved);

    std::uint64_t id() const { return id_; }
    Host& host() const { return host_; }
    TcpSockets& tcp() { return tcp_; }
    // True when a turn has something to do.
    bool ready() const;
    void clear_wake() { woken_.store(false, std::memory_order_relaxed); }
    // Datagrams that found the receive buffer full.
    std::uint64_t overflowed() const { return overflowed_; }

private:
    struct Socket {
        Address local;
        std::deque<Packet> queue{};
        std::size_t queued = 0;  // bytes
        std::optional<DatagramSocket> datagrams{};
        std::uint8_t dscp = 0;
    };
    static Error no_descriptors() {
        return Error(Errc::unsupported, {}, Stage::call,
                     "a simulated network has no file descriptors");
    }
    // Takes the next run from a socket's queue and puts it into `buffer`.
    Received take_run(SocketId id, Socket& socket, std::vector<std::byte>& buffer);

    World& world_;
    Host& host_;
    std::uint64_t id_;
    IoOptions options_;
    Random random_;
    std::uint32_t next_socket_ = 1;
    std::map<SocketId, Socket> sockets_;
    TcpSockets tcp_;
    std::vector<std::vector<std::byte>> buffers_;  // reused; one for each run of a receive()
    std::vector<Received> received_;
    bool more_input_ = false;
    std::vector<Trouble> troubles_;
    std::set<LookupId> lookups_;
    std::vector<Resolved> resolved_;
    std::uint64_t overflowed_ = 0;
    std::uint64_t changes_ = 0;  // of the host's interfaces, as far as they are known here
    bool watches_ = false;
    std::atomic<bool> woken_{false};
};

}  // namespace post::sim
