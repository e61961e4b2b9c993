// UdpSocket: one UDP port of one address family, with everything that Linux gives for QUIC: runs
// (UDP_SEGMENT, UDP_GRO), the address and the ECN mark of every packet in both directions, ICMP
// errors, and packets that are never fragmented. For applications' datagrams it does what their
// headers say, and the system fragments where they do not forbid it. It never blocks and knows
// neither epoll nor the clock: its owner says when to go on.
//
// An error of the path drops the run as if the network had lost it; the socket lives on.
#pragma once

#include <optional>
#include <vector>

#include "lib/io/datagram_headers.hpp"
#include "lib/io/io.hpp"
#include "lib/io/send_queue.hpp"

namespace post::io {

class UdpSocket final {
public:
    struct Options {
        Address local;
        bool reuse_port = false;
        bool gso = true;
        bool gro = true;
        bool ecn = true;
        std::size_t send_buffer = 0;  // bytes; what the system gives may be less
        std::size_t receive_buffer = 0;
        std::optional<Io::DatagramSocket> datagrams{};
        Io::Outlet outlet{};
    };
    // What one receive() came to: `skipped` took something from the socket that is nothing for the
    // protocols (an empty datagram, a cut one, a pending error).
    enum class Receipt { run, skipped, nothing };
    // Why the queue waits: until epoll says that there is room, or, where the lack is deeper down
    // (ENOBUFS) and nobody will say, for a moment.
    enum class Waiting { no, for_room, for_memory };

    static Result<UdpSocket> open(SocketId id, const Options& options);
    UdpSocket(UdpSocket&& other) noexcept;
    UdpSocket& operator=(UdpSocket&&) = delete;
    ~UdpSocket();

    // One run into the front of `space`, which holds at least receive_space bytes.
    Receipt receive(std::span<std::byte> space, Datagrams& run);
    static constexpr std::size_t receive_space = 65535;
    // The best runs for send(), in datagrams: cut by the system, what fits into 64 KiB at 1452
    // bytes each; without, what goes into one sendmmsg.
    static constexpr std::size_t most_cut = 45;
    static constexpr std::size_t most_messages = 16;

    // As Io::send. What the network refuses is appended to `troubles`.
    bool send(const Datagrams& run, std::vector<Io::Trouble>& troubles);
    // Sends what waits, as far as there is room.
    void flush(std::vector<Io::Trouble>& troubles);
    // Appends what ICMP said, at most `most`; clears the socket's pending error.
    void drain_errors(std::vector<Io::Trouble>& troubles, std::size_t most);

    int fd() const { return fd_; }
    SocketId id() const { return id_; }
    const Address& local() const { return local_; }
    // As Io::bound.
    bool bound() const { return bound_; }
    // False where the system does not cut runs, as far as is known now.
    bool gso() const { return gso_; }
    Waiting waiting() const { return waiting_; }

    // The system can cut runs on sending (UDP_SEGMENT, Linux 4.18).
    static bool has_gso();

private:
    UdpSocket(SocketId id, int fd, const Options& options);

    std::error_code configure(const Options& options);
    std::error_code never_fragment(int level) const;
    // How many datagrams of the run are done with: sent, or given up. Fewer than there are: the
    // system has no room, and `waiting_` says of which kind.
    std::size_t transmit(Datagrams run, std::vector<Io::Trouble>& troubles);
    std::optional<std::size_t> transmit_run(const Datagrams& run,
                                            std::vector<Io::Trouble>& troubles);
    std::size_t transmit_each(const Datagrams& run, std::vector<Io::Trouble>& troubles,
                              std::size_t& refused);
    bool no_room(int error);
    void report(const Address& remote, int error, std::vector<Io::Trouble>& troubles) const;

    SocketId id_;
    int fd_;
    Address local_;
    bool v6_;
    bool gso_;
    bool ecn_;
    int mark_ = 0;       // what the kernel puts on packets of which we say nothing: DSCP and ECN
    std::uint8_t dscp_;  // of runs that have none of their own
    std::optional<DatagramHeaders> headers_;  // of applications' datagrams
    bool connected_ = false;
    bool one_address_ = false;  // it is bound to one, so that no packet says which
    bool bound_ = true;
    Waiting waiting_ = Waiting::no;
    SendQueue queue_;
};

}  // namespace post::io
