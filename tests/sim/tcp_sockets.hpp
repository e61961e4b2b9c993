// TcpSockets: the TCP sockets of one Io on a simulated host, with the behaviour that the real edge
// has (lib/io/tcp_sockets.hpp): what is held is not read, a closed one lingers for up to 5 s, an
// error is told once and behind the bytes before it.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "lib/io/io.hpp"
#include "tests/sim/tcp_stack.hpp"

namespace post::sim {

class Host;
class HostIo;
class World;

class TcpSockets {
public:
    TcpSockets(HostIo& io, World& world, Host& host, std::size_t receive_buffer)
        : io_(io), world_(world), host_(host), receive_buffer_(receive_buffer) {}
    // The program has ended: its connections say so, and deliver what was sent.
    ~TcpSockets();
    TcpSockets(const TcpSockets&) = delete;
    TcpSockets& operator=(const TcpSockets&) = delete;

    static bool has(SocketId id) { return (id.value() & id_bit) != 0; }

    Result<SocketId> connect(const Io::TcpOptions& options, const Address& remote);
    Result<SocketId> listen(const Io::TcpOptions& options);
    void close(SocketId id);
    void abort(SocketId id);
    bool send(SocketId id, std::span<const std::byte> bytes);
    void end_sending(SocketId id);
    void hold(SocketId id, bool held);
    void take_at_most(SocketId id, std::size_t bytes);

    // From the stack: a connection was taken, or something about one has changed.
    // Too many wait to be polled: who comes now is not heard.
    bool full() const { return taken_.size() + waiting_.size() >= backlog; }
    SocketId handle_taken(SocketId listener, const TcpStack::Key& key);
    void handle_change(SocketId id);

    void receive(std::vector<Io::Received>& received);
    bool more_input() const { return !ready_.empty() || !troubles_.empty(); }
    bool ready() const { return more_input() || !taken_.empty() || !turned_.empty(); }
    std::vector<Io::Taken> poll_taken();
    void poll_troubles(std::vector<Io::Trouble>& troubles);
    std::span<const SocketId> poll_writable() const { return writable_; }

    Instant deadline() const;
    Address local_address(SocketId id) const;
    std::uint64_t unacknowledged(SocketId id) const;
    void measure(SocketId id, Path& path) const;
    std::size_t run(SocketId id) const;
    bool writable(SocketId id) const;

private:
    static constexpr std::uint32_t id_bit = std::uint32_t{1} << 31;
    static constexpr std::size_t backlog = 1024;
    static constexpr std::size_t most_taken = 32;  // in a turn, as at the real edge

    struct Socket {
        TcpStack::Key key;
        bool writable = false;  // when somebody last looked
        bool held = false;
        bool waits = false;             // in the system, to be taken
        std::size_t most = 256 * 1024;  // as the real edge has it
        bool finished = false;          // the peer's end was told
        bool told = false;              // its trouble was
        Instant until = never;          // closed, and cut then
        std::vector<std::byte> buffer{};
    };

    SocketId next_id() { return SocketId{++last_id_ | id_bit}; }
    TcpConnection& connection(const Socket& socket) const;
    void take(SocketId id, Socket& socket, std::vector<Io::Received>& received);
    void tell(SocketId id, Socket& socket);
    void take_waiting();
    void settle_closing(SocketId id, Socket& socket);
    void let_go(SocketId id);
    Socket* find(SocketId id);
    const Socket* find(SocketId id) const;

    HostIo& io_;
    World& world_;
    Host& host_;
    std::size_t receive_buffer_;
    std::uint32_t last_id_ = 0;
    std::map<SocketId, Socket> sockets_;
    std::map<SocketId, Address> listeners_;
    std::set<std::pair<Instant, SocketId>> closing_;
    std::set<SocketId> ready_;
    std::vector<Io::Taken> taken_;
    std::set<SocketId> shut_;         // ports that are held, and
    std::vector<Io::Taken> waiting_;  // who waits there
    std::vector<Io::Trouble> troubles_;
    std::vector<SocketId> turned_;
    std::vector<SocketId> writable_;
};

}  // namespace post::sim
