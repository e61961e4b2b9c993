// TcpSockets: the TCP half of EpollIo: the connections, the ports that take them, and those that
// are closed but not done. Each is registered with epoll once, edge-triggered and for everything,
// and never touched again: an idle connection costs nothing, and whoever is held, or has more than
// its share of a turn, is remembered here.
//
// All input of a turn lands in one arena, as with UDP.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "lib/io/tcp_socket.hpp"

namespace post::io {

class TcpSockets {
public:
    explicit TcpSockets(int epoll) : epoll_(epoll) {}
    TcpSockets(const TcpSockets&) = delete;
    TcpSockets& operator=(const TcpSockets&) = delete;
    // What is kept gets one chance; the system delivers what it has taken.
    ~TcpSockets();

    // Our ids are told from those of others by themselves. They are also the events' data.
    static bool has(SocketId id) { return (id.value() & id_bit) != 0; }

    Result<SocketId> connect(const Io::TcpOptions& options, const Address& remote);
    Result<SocketId> listen(const Io::TcpOptions& options);
    void close(SocketId id, Instant now);
    void abort(SocketId id);
    Result<int> release(SocketId id);
    Result<Io::Handed> open_pair();
    bool send(SocketId id, std::span<const std::byte> bytes);
    void end_sending(SocketId id);
    void hold(SocketId id, bool held);
    void take_at_most(SocketId id, std::size_t bytes);

    void handle_event(SocketId id, std::uint32_t events);
    // A turn's input, appended; the bytes stay valid until the next call.
    void receive(Instant now, std::vector<Io::Received>& received);
    bool more_input() const { return !ready_.empty() || !troubles_.empty(); }
    std::vector<Io::Taken> poll_taken() { return std::exchange(taken_, {}); }
    void poll_troubles(std::vector<Io::Trouble>& troubles);
    // Those that turned writable by the events so far, appended.
    void poll_writable(std::vector<SocketId>& turned);

    Instant deadline() const;
    Address local_address(SocketId id) const;
    bool bound(SocketId id) const;
    void measure(SocketId id, Path& path) const;
    std::uint64_t unacknowledged(SocketId id) const;
    std::size_t run(SocketId id) const;
    bool writable(SocketId id) const;

private:
    static constexpr std::uint32_t id_bit = std::uint32_t{1} << 31;

    // What one turn takes from one connection: 16 records of TLS.
    static constexpr std::size_t most_a_turn = 256 * 1024;

    struct Connection {
        TcpSocket socket;
        std::size_t most = most_a_turn;
        bool listed = false;    // stands in ready_
        bool readable = false;  // there may be input, or an error
        bool thorough = false;  // a short read does not mean that nothing is left
        bool held = false;
        bool finished = false;  // the peer's FIN was seen
        bool closing = false;   // by our user; stands in lingering_
        bool told = false;      // its trouble
    };
    struct Listener {
        TcpListener socket;
        bool listed = false;
        bool waiting = false;  // for accept_at_
        bool held = false;     // nobody is taken
        bool left = false;     // somebody may wait
    };
    struct Lingering {
        SocketId id;
        Instant until;
    };

    SocketId next_id() { return SocketId{++last_id_ | id_bit}; }
    bool watch(int fd, SocketId id, std::uint32_t events);
    template <class Entry> void list(SocketId id, Entry& entry);
    // True when there may be more.
    bool take(SocketId id, Connection& connection, std::vector<Io::Received>& received);
    bool take(SocketId id, Listener& listener, Instant now);
    bool linger(SocketId id, Connection& connection);
    void pause(Listener& listener, std::error_code error, Instant now);
    // The error, or that nothing is left to do for one that is closing. It may be gone afterwards.
    void settle(SocketId id, Connection& connection);
    void erase(SocketId id);
    Connection* find(SocketId id);
    const Connection* find(SocketId id) const;

    int epoll_;
    std::uint32_t last_id_ = 0;
    std::unordered_map<SocketId, Connection> connections_;
    std::unordered_map<SocketId, Listener> listeners_;
    std::deque<Lingering> lingering_;  // the first to go in front; some may have gone earlier
    Descriptor spare_;                 // to be given up when there is none for a new connection
    Instant accept_at_ = never;        // accepting pauses until then

    std::unique_ptr<std::byte[]> arena_;  // made with the first connection
    std::size_t used_ = 0;
    std::vector<SocketId> ready_;  // may have input, in the order in which they get their chance
    std::vector<SocketId> turn_;   // ready_ while receive() works on it; empty otherwise
    std::vector<Io::Taken> taken_;
    std::vector<Io::Trouble> troubles_;
    std::vector<SocketId> turned_;
};

}  // namespace post::io
