// Io: everything that the library wants of the world outside: the time, randomness, datagram
// sockets, TCP connections, names, and sleep. One of the library's two seams: lib/io/epoll_io is
// the real one, the tests have a simulated network with a virtual clock. One thread; only wake()
// may be called from other threads and from signal handlers.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/error.hpp>
#include <post/ids.hpp>
#include <post/interface.hpp>
#include <post/local.hpp>
#include <post/path.hpp>
#include <post/records.hpp>
#include <post/result.hpp>
#include <post/time.hpp>
#include <post/udp.hpp>

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
    // A socket for applications' datagrams: it sends and tells what their headers say, takes
    // datagrams without a byte, and lets the system fragment where nobody says no.
    struct DatagramSocket {
        bool lite = false;  // UDP-Lite
        // Nothing comes but from there. Of a group: that is where it sends to, and nothing comes.
        Address remote{};
        bool joins = false;  // the local address is a group, which it joins
        post::UdpOptions udp{};
    };
    // Which way out a socket keeps to.
    struct Outlet {
        std::uint32_t interface = 0;  // its index; 0: as the system routes
        // It is an error when the system does not bind to the interface; else the socket's address
        // has to do, and bound() is false.
        bool strict = false;
        // Of several addresses, where the socket has none.
        SourceChoice source = SourceChoice::automatic;
        std::uint8_t dscp = 0;  // of packets that say nothing else (RFC 2474)
    };
    struct UdpOptions {
        Address local;  // port 0: the system chooses
        Share share{};
        std::optional<DatagramSocket> datagrams{};
        Outlet outlet{};
    };
    // A TCP connection, or a port that takes them.
    struct TcpOptions {
        Address local{};         // of a connection: family none, and the system chooses
        bool shared = false;     // of a port: others of the same user may take from it, too
        bool multipath = false;  // MPTCP (RFC 8684), where the system has it
        bool fast_open = false;  // the first bytes go with the SYN where the peer gave a cookie
        Duration keep_alive{};   // of silence, before TCP asks whether the peer is there; 0: never
        // How long bytes may be unacknowledged, or held back by a peer that does not read; 0: as
        // the system has it.
        Duration user_timeout{};
        Outlet outlet{};
    };
    // What came. Of a TCP connection: one segment, the next bytes of its stream.
    struct Received {
        SocketId socket;
        Datagrams datagrams;  // the bytes stay valid until the next receive()
        // TCP: nothing follows, since the peer has closed its direction. With the last bytes, or
        // without any.
        bool end = false;
    };
    // A connection that a listening socket took.
    struct Taken {
        SocketId listener;
        SocketId socket;
        Address local;
        Address remote;
    };
    // What the network said of a datagram that was sent: an ICMP error, as errno. Of a TCP
    // connection: it could not be made or is broken, and nothing follows.
    struct Trouble {
        SocketId socket;
        Address remote;
        std::error_code code;
    };
    struct Lookup {
        LookupId id;
        // A name; of records, the whole one ("_4433._post.example.net"). An IPv6 address whose zone
        // is the name of an interface is found, too.
        std::string host;
        std::uint16_t port;  // put into the addresses that are found
        Question question = Question::addresses;
        std::string service{};  // takes its port from the system's list, in place of `port`
    };
    // One answer of a lookup: records of one kind, or the reason why there are none. Addresses have
    // an answer a family, in the order in which they came; `complete` with the last.
    struct Resolved : Answer {
        LookupId id{};
        bool complete = false;
    };

    virtual ~Io() = default;

    // The time. Called once a turn.
    virtual Instant now() = 0;
    // The time of the calendar, which may jump.
    virtual std::chrono::sys_seconds wall_time() = 0;
    virtual void random(std::span<std::byte> bytes) = 0;

    virtual Result<SocketId> open_udp(const UdpOptions& options) = 0;
    // Begins to connect. What comes of it: the socket turns writable, or there is trouble.
    virtual Result<SocketId> connect_tcp(const TcpOptions& options, const Address& remote) = 0;
    virtual Result<SocketId> listen_tcp(const TcpOptions& options) = 0;
    // The connections that came since the last call. They have to be closed, too.
    virtual std::vector<Taken> poll_taken() = 0;
    virtual Address local_address(SocketId socket) const = 0;
    // False of a socket whose outlet the system did not grant.
    virtual bool bound(SocketId socket) const = 0;
    // Of a TCP connection: what was sent is still delivered, then its direction is closed; what
    // comes meanwhile is discarded. After 5 s at most nothing of it is left.
    virtual void close(SocketId socket) = 0;
    // TCP: ends the connection at once; the peer hears so by a reset (RFC 9293, 3.10.5), and what
    // was sent may be lost. Of a stream inside this system: who reads at the other end comes to
    // ECONNRESET behind what was sent, in place of its end.
    virtual void abort(SocketId socket) = 0;
    // TCP: gives the connection away, in blocking mode; it is the caller's to close. Nothing that
    // was sent waits here, and nothing that came is lost but what was received.
    virtual Result<int> release(SocketId socket) = 0;
    // A byte stream inside this system. Our end is as a TCP connection that was taken; the other is
    // a file descriptor in blocking mode, and the caller's to close. Both have errors: unsupported
    // where there are no descriptors, too_many.
    struct Handed {
        SocketId ours;
        int descriptor = -1;
    };
    virtual Result<Handed> open_pair() = 0;
    // TCP: closes our direction behind what was sent; receiving goes on.
    virtual void end_sending(SocketId socket) = 0;
    // TCP: leaves what comes in the system's buffers, so that the peer is held back. An end that
    // nothing stands before any more is received all the same. A port that is held takes nobody:
    // who wants to be taken waits in the system.
    virtual void hold(SocketId socket, bool held) = 0;
    // TCP: puts what the system measures of it into the path, and leaves the rest.
    virtual void measure(SocketId socket, Path& path) const = 0;
    // TCP: one receive() takes so many bytes at most, from 1 on; what no turn takes at all needs no
    // such bound. Whoever holds it is not asked.
    virtual void take_at_most(SocketId socket, std::size_t bytes) = 0;
    // TCP: how many of the bytes that were sent the peer's system has not acknowledged.
    virtual std::uint64_t unacknowledged(SocketId socket) const = 0;

    // What came in, up to a bound that keeps a turn short; empty when there is nothing.
    // more_input() says that the bound was reached: do not sleep.
    virtual std::span<const Received> receive() = 0;
    virtual bool more_input() const = 0;
    virtual std::vector<Trouble> poll_troubles() = 0;

    // Sends a run, or keeps a copy in a bounded queue when the system has no room now. False when
    // the queue is full and the run was dropped (a lost packet to the protocols above). Of a TCP
    // connection: the next bytes of its stream; nothing is dropped, so ask writable() before.
    virtual bool send(SocketId socket, const Datagrams& datagrams) = 0;
    // Hands what came to `socket` to the Context that shares its port as number `index`; there it
    // is received as if it had come to its own socket. It may be lost, as in the network.
    virtual void pass(SocketId socket, std::uint16_t index, const Datagrams& datagrams) = 0;
    // False while something waits in the socket's queue: filling more packets would be early. Of a
    // TCP connection also until it is made, and while the system holds more unsent bytes than keep
    // the wire busy (TCP_NOTSENT_LOWAT).
    virtual bool writable(SocketId socket) const = 0;
    // The sockets that were not writable and have become it, as the last receive() found; valid
    // until the next one. A TCP connection is among them when it is made. Some may have been closed
    // since, or filled again.
    virtual std::span<const SocketId> poll_writable() = 0;
    // TCP: how many bytes one send() should have at most, so that no more than the wire needs is
    // decided before its time.
    virtual std::size_t stream_run(SocketId socket) const = 0;
    // The largest run that one send() of this socket should get, in datagrams. It shrinks when the
    // system turns out not to cut runs there.
    virtual std::size_t run_limit(SocketId socket) const = 0;
    // The largest UDP payload that the interface on the way to `remote` takes in one packet, in
    // bytes; 0 when there is no way. What lies behind the interface may take less.
    virtual std::size_t payload_limit(const Address& remote) = 0;

    // The interfaces that are up, with the addresses that can be used (neither tentative nor
    // duplicates): those that the system would rather use first, the loopback interface last. At
    // most 256. An error where the system does not tell.
    virtual Result<std::vector<Interface>> interfaces() = 0;
    // Whether interfaces, addresses or routes may have changed since interfaces() was called; once
    // for each change. A change ends a wait().
    virtual bool poll_interfaces_changed() = 0;

    virtual void lookup(const Lookup& lookup) = 0;
    virtual void cancel(LookupId lookup) = 0;
    // Whether what the name servers say of certificates can count: they validate, and the way to
    // them is safe. Else no answer is ever `authenticated`.
    virtual bool trusts_names() const { return false; }
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
    std::vector<std::string> name_servers{};  // as in ContextOptions, these five
    std::vector<std::string> name_domains{};
    Duration name_timeout = std::chrono::seconds(5);
    bool trust_name_servers = false;
    bool public_names_only = false;
    std::string hosts_file{};  // empty: the system's
    Duration spin{};           // how long wait() looks for input before it sleeps
    // Asked of the system for each socket, in bytes; what it gives may be less.
    std::size_t send_buffer = 4 * 1024 * 1024;
    std::size_t receive_buffer = 4 * 1024 * 1024;
};
std::unique_ptr<Io> make_epoll_io(const EpollOptions& options);  // throws Failure with errno

}  // namespace post
