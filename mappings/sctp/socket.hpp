// Socket: one SCTP association as usrsctp has it. Messages go in and come out; what else happens
// comes as notices, in order with the messages. It knows no Carrier.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "mappings/sctp/engine.hpp"

struct socket;

namespace post::sctp {

using StreamId = std::uint16_t;

struct SocketOptions {
    std::uint16_t local_port = 5000;
    std::uint16_t remote_port = 5000;
    std::uint16_t out_streams = 1024;
    std::uint16_t in_streams = 1024;
    std::uint32_t adaptation = 0;  // said in INIT and INIT ACK; 0: nothing
    std::size_t packet = 1200;     // the largest SCTP packet
    std::size_t buffer = 1024 * 1024;
};

namespace notice {

struct Up {
    std::uint16_t out_streams = 0;
    std::uint16_t in_streams = 0;
};
// The association is gone. `abort`: what the peer's ABORT said of the reason.
struct Down {
    bool by_peer = false;
    bool in_order = false;
    std::vector<std::byte> reason;
};
struct Adaptation {
    std::uint32_t value = 0;
};
// Streams were reset: the peer's outgoing ones, or ours.
struct Reset {
    bool incoming = false;
    bool failed = false;
    std::vector<StreamId> streams;
};
struct Streams {
    std::uint16_t out_streams = 0;
    std::uint16_t in_streams = 0;
    bool failed = false;
};
// Everything sent is acknowledged.
struct Dry {};
// A message was given up.
struct Failed {
    std::uint32_t context = 0;
};
// Of a begun message nothing more comes.
struct Cut {
    StreamId stream = 0;
};

}  // namespace notice

using Notice = std::variant<notice::Up, notice::Down, notice::Adaptation, notice::Reset,
                            notice::Streams, notice::Dry, notice::Failed, notice::Cut>;

// A message, or a part of one, and how it travels.
struct Label {
    StreamId stream = 0;
    std::uint32_t ppid = 0;
    bool unordered = false;
    std::optional<std::uint32_t> retransmissions{};  // at most so many (RFC 7496)
    std::optional<std::uint32_t> lifetime{};         // milliseconds
    std::uint32_t context = 0;                       // in notice::Failed
};
struct Message {
    Label label;
    std::span<const std::byte> bytes;  // valid until the next receive()
    bool last = true;                  // a part of a message: this is its end
};

class Socket {
public:
    // Bound to the line, not yet connected. Throws Failure when there is no memory.
    Socket(Engine& engine, Line& line, const SocketOptions& options);
    // What listen() brought: an association that is up.
    Socket(Engine& engine, Line& line, const SocketOptions& options, struct socket* accepted);
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    // Says nothing to the peer.
    ~Socket();

    // A socket that takes associations on a port, from one line or (none) from any; and the next
    // one that it took.
    static struct socket* listening(Engine& engine, const Line* line, const SocketOptions& options,
                                    int backlog);
    static struct socket* accept(Engine& engine, struct socket* listening);
    static void close(Engine& engine, struct socket* native);

    void connect();

    // How many of the bytes were taken; 0: there is no room now. A message is taken as a whole,
    // unless it may be taken in parts: then what is left of it has to come before anything else.
    std::size_t send(const Label& label, std::span<const std::byte> bytes);
    void take_parts();  // and gives them out
    // The next thing that came; nothing when there is nothing.
    using Received = std::variant<std::monostate, Message, Notice>;
    Received receive(std::span<std::byte> space);

    // These are asked for again when they could not be, since only one may be under way.
    bool reset_streams(std::span<const StreamId> streams);
    bool add_streams(std::uint16_t count);
    void abort(std::span<const std::byte> reason);
    // The largest SCTP packet.
    void packet_size(std::size_t size);
    std::size_t packet_size() const { return line_.joined_again; }
    // The path carries more than that: packets join up to this, which SCTP knows nothing of, and
    // chunks are cut so that they fill it.
    void join_up_to(std::size_t size);
    // The largest packet with one chunk.
    std::size_t chunk_packet() const { return chunk_packet_; }
    // Asks the peer for a sign of life.
    void ping();

    struct Status {
        std::size_t unacked = 0;  // chunks
        std::size_t window = 0;   // of the peer, bytes
        std::size_t congestion_window = 0;
        Duration smoothed_rtt{};
        Duration retransmission{};
    };
    Status status() const;
    // Bytes that were given to send() and are in no packet yet.
    std::uint64_t unsent() const { return given_ - std::min(given_, line_.sent.bytes()); }

private:
    void hear();
    std::optional<Notice> decode(std::span<const std::byte> bytes);

    Engine& engine_;
    Line& line_;
    SocketOptions options_;
    struct socket* native_ = nullptr;
    std::size_t chunk_packet_ = 0;
    std::uint64_t given_ = 0;
    bool closed_ = false;  // usrsctp has no more of it
};

}  // namespace post::sctp
