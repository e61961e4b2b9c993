// Io: everything that the library wants of the world outside: the time, randomness, datagram
// sockets, names, and sleep. One of the library's two seams: lib/io/epoll_io is the real one, the
// tests have a simulated network with a virtual clock. One thread; only wake() may be called from
// other threads and from signal handlers.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/error.hpp>
#include <post/ids.hpp>
#include <post/result.hpp>
#include <post/time.hpp>

#include "mappings/wire/datagrams.hpp"

namespace post {

using SocketId = Strong<struct SocketTag, std::uint32_t>;
using LookupId = Strong<struct LookupTag, std::uint64_t>;

class Io {
public:
    // Which of the Contexts that share a port this is.
    struct Share {
        std::uint16_t index = 0;
        std::uint16_t of = 1;  // 1: nobody shares it
    };
    struct UdpOptions {
        Address local;  // port 0: the system chooses
        Share share{};
    };
    struct Received {
        SocketId socket;
        Datagrams datagrams;  // the bytes stay valid until the next receive()
    };
    // What the network said of a datagram that was sent: an ICMP error, as errno.
    struct Trouble {
        SocketId socket;
        Address remote;
        std::error_code code;
    };
    struct Lookup {
        LookupId id;
        std::string host;    // a name; addresses are parsed before anybody asks
        std::uint16_t port;  // put into the answers
    };
    // One answer of a lookup: addresses of one family, or the reason why there are none.
    // A lookup has one answer a family, in the order in which they came; `complete` with the last.
    struct Resolved {
        LookupId id;
        std::vector<Address> addresses;
        Error error;  // set when this family brought nothing
        bool complete = false;
    };

    virtual ~Io() = default;

    // The time. Called once a turn.
    virtual Instant now() = 0;
    virtual void random(std::span<std::byte> bytes) = 0;

    virtual Result<SocketId> open_udp(const UdpOptions& options) = 0;
    virtual Address local_address(SocketId socket) const = 0;
    virtual void close(SocketId socket) = 0;

    // What came in, up to a bound that keeps a turn short; empty when there is nothing.
    // more_input() says that the bound was reached: do not sleep.
    virtual std::span<const Received> receive() = 0;
    virtual bool more_input() const = 0;
    virtual std::vector<Trouble> poll_troubles() = 0;

    // Sends a run, or keeps a copy in a bounded queue when the system has no room now. False when
    // the queue is full and the run was dropped (a lost packet to the protocols above).
    virtual bool send(SocketId socket, const Datagrams& datagrams) = 0;
    // Hands what came to `socket` to the Context that shares its port as number `index`; there it
    // is received as if it had come to its own socket. It may be lost, as in the network.
    virtual void pass(SocketId socket, std::uint16_t index, const Datagrams& datagrams) = 0;
    // False while something waits in the socket's queue: filling more packets would be early.
    virtual bool writable(SocketId socket) const = 0;
    // The largest run that one send() of this socket should get, in datagrams. It shrinks when the
    // system turns out not to cut runs there.
    virtual std::size_t run_limit(SocketId socket) const = 0;
    // The largest UDP payload that the interface on the way to `remote` takes in one packet, in
    // bytes; 0 when there is no way. What lies behind the interface may take less.
    virtual std::size_t payload_limit(const Address& remote) = 0;

    virtual void lookup(const Lookup& lookup) = 0;
    virtual void cancel(LookupId lookup) = 0;
    virtual std::vector<Resolved> poll_resolved() = 0;
    // When the resolver wants a turn; `never` when it does not.
    virtual Instant deadline() const = 0;

    // Sleeps until there is input, a wake() or `until`.
    virtual void wait(Instant until) = 0;
    virtual void wake() noexcept = 0;
    // Readable when a turn has something to do; for somebody else's loop. -1: there is none.
    virtual int fd() const = 0;
};

// The real one, on epoll. `gso`, `gro`, `ecn`: false masks what the system has, for tests.
struct EpollOptions {
    bool gso = true;
    bool gro = true;
    bool ecn = true;
    std::vector<std::string> name_servers{};  // "address" or "address:port"; empty: the system's
    Duration name_timeout = std::chrono::seconds(5);
    Duration spin{};  // how long wait() looks for input before it sleeps
    // Asked of the system for each socket, in bytes; what it gives may be less.
    std::size_t send_buffer = 4 * 1024 * 1024;
    std::size_t receive_buffer = 4 * 1024 * 1024;
};
std::unique_ptr<Io> make_epoll_io(const EpollOptions& options);  // throws Failure with errno

}  // namespace post
