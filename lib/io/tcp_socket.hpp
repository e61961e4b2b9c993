// TcpSocket and TcpListener: one TCP connection, and one port that takes them, with what Linux
// gives for them: late output (TCP_NOTSENT_LOWAT), keep-alive, user timeout, Fast Open, MPTCP.
// They never block and know neither epoll nor the clock: their owner says when to go on. The
// buffers are left to the system, which fits them to each connection; asking for a size would end
// that.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "lib/io/descriptor.hpp"
#include "lib/io/io.hpp"

namespace post::io {

class TcpSocket final {
public:
    // What one receive() came to. `drained`: there were bytes, and nothing is left behind them.
    enum class Receipt : std::uint8_t { bytes, drained, end, nothing, broken };
    // Until there is room in the system: while it is being made; with Fast Open the first bytes go
    // with the SYN, so that `first` has room; `broken` has had its error.
    enum class State : std::uint8_t { connecting, first, open, broken };

    // How many unsent bytes the system takes at most; it has room when half of them are gone, so
    // that a run of 64 KiB then fits whole. 64 KiB are 0.5 ms of 1 Gbit/s, several times what it
    // takes to be woken and to fill the next run. A slower way has less: what is decided about a
    // message's turn is to be some milliseconds old, and not a tenth of a second.
    static constexpr std::size_t most_unsent = 128 * 1024;
    static constexpr std::size_t least_unsent = 6 * 1024;    // two segments of an Ethernet a run
    static constexpr std::uint64_t unsent_per_second = 200;  // 5 ms
    // For a way that takes so many bytes a second.
    static std::size_t unsent_for(std::uint64_t rate) {
        return std::clamp<std::uint64_t>(rate / unsent_per_second, least_unsent, most_unsent);
    }

    // A refusal of the network is no error here, but what the first event of the socket tells.
    static Result<TcpSocket> connect(const Io::TcpOptions& options, const Address& remote);

    // The next bytes into the front of `space`; `size` says how many.
    Receipt receive(std::span<std::byte> space, std::size_t& size);
    // Takes nothing, and sees what would be next: an end, or an error.
    Receipt peek();
    // Takes up to `most` bytes and forgets them.
    Receipt discard(std::size_t most);

    // Writes what the system takes and keeps the rest. An error is kept for receive(), which comes
    // to it behind the bytes that arrived before.
    void send(std::span<const std::byte> bytes);
    // The system has room: what is kept goes on its way. True when there is room for more now.
    bool flush();
    void end_sending();
    // Closing it becomes a reset.
    void reset();
    // The descriptor itself, in blocking mode.
    int release() &&;
    // A stream inside the system: our end, and one in blocking mode for somebody else.
    struct Pair;
    static Result<Pair> pair();
    // Of such a pair: whether the other end is gone, and not only its direction; then it is broken.
    void look_for_hangup();
    std::uint64_t unacknowledged() const;
    // How many bytes one send() should have: half of what the system takes, which has room for so
    // many whenever it has room.
    std::size_t run() const { return unsent_limit_ / 2; }
    // What epoll says is wrong with it; asked once, since that clears it.
    void take_error();
    void set_connected() { state_ = State::open; }

    bool writable() const;
    bool flushed() const { return kept_.size() == begin_; }
    State state() const { return state_; }
    std::error_code error() const { return error_; }
    int fd() const { return fd_.get(); }
    const Address& local() const { return local_; }
    const Address& remote() const { return remote_; }
    bool multipath() const { return multipath_; }
    // As Io::bound.
    bool bound() const { return bound_; }

private:
    friend class TcpListener;
    TcpSocket(Descriptor fd, const Address& local, const Address& remote, bool multipath)
        : fd_(std::move(fd)), local_(local), remote_(remote), multipath_(multipath) {}

    // How many bytes the system took.
    std::size_t write(std::span<const std::byte> bytes);
    void look_for_room();
    void follow_rate();
    void fail(std::error_code error);
    void finish_sending();

    Descriptor fd_;
    Address local_;
    Address remote_;
    bool multipath_;
    bool bound_ = true;
    bool local_stream_ = false;  // no TCP, but one end of a pair
    State state_ = State::open;
    bool room_ = true;     // as far as is known: epoll or look_for_room() said so
    bool ending_ = false;  // nothing follows what is kept
    bool ended_ = false;   // the FIN is behind all of it, in the system
    std::size_t unsent_limit_ = most_unsent;
    std::size_t unsent_ = 0;  // at most so many bytes wait in the system, while room_
    std::size_t until_asked_ = most_unsent / 2;  // bytes to send until the rate is asked for
    std::size_t in_syn_ = 0;                     // bytes that went with the SYN
    std::error_code error_;
    std::vector<std::byte> kept_;
    std::size_t begin_ = 0;  // of what is kept
};

struct TcpSocket::Pair {
    TcpSocket ours;
    Descriptor other;
};

class TcpListener final {
public:
    static Result<TcpListener> open(const Io::TcpOptions& options);

    // The next connection; else why there is none: resource_unavailable_try_again when nobody
    // waits. What a connection that has gone again says is passed over.
    struct Accepted {
        std::optional<TcpSocket> socket;
        std::error_code error;
    };
    Accepted accept();
    // Takes the next connection only to end it, with a reset.
    void turn_away();

    int fd() const { return fd_.get(); }
    const Address& local() const { return local_; }

private:
    TcpListener(Descriptor fd, const Address& local, bool multipath)
        : fd_(std::move(fd)), local_(local), multipath_(multipath) {}

    Descriptor fd_;
    Address local_;
    bool multipath_;
};

}  // namespace post::io
