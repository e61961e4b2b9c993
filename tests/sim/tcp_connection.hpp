// TcpConnection: one end of a simulated TCP connection, as the system has it: a small real TCP
// (RFC 9293) with slow start from ten segments (RFC 6928), selective acknowledgements and the
// recovery by them (RFC 2018, RFC 6675), a retransmission timer, flow control, keep-alive, user
// timeout and Fast Open (RFC 7413). Sans-I/O: segments and the time in, segments and a deadline
// out. What the socket of it looks like to a program is tests/sim/tcp_sockets.hpp.
//
// Left out: delayed acknowledgements, ECN, urgent data, simultaneous open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <system_error>
#include <vector>

#include <post/time.hpp>

#include "tests/sim/packet.hpp"

namespace post::sim {

// Bytes that come at the end and leave in front.
class ByteQueue {
public:
    std::size_t size() const { return bytes_.size() - begin_; }
    std::span<const std::byte> view() const { return std::span(bytes_).subspan(begin_); }
    void push(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    void drop(std::size_t count) {
        begin_ += count;
        if (2 * begin_ < bytes_.size()) return;
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
        begin_ = 0;
    }

private:
    std::vector<std::byte> bytes_;
    std::size_t begin_ = 0;
};

class TcpConnection {
public:
    // `first`: nothing was sent yet, the SYN goes with the first bytes. `asked`: a SYN came and is
    // answered. `dead`: broken, or given up.
    enum class State : std::uint8_t { first, connecting, asked, open, dead };

    struct Options {
        Address local;
        Address remote;
        std::uint32_t isn = 0;
        std::size_t mtu = 1500;
        std::size_t receive_buffer = 0;
        Duration keep_alive{};
        Duration user_timeout{};
    };
    explicit TcpConnection(const Options& options);

    // Commands.

    void connect(Instant now, bool ask_cookie);
    void connect_with(std::uint64_t cookie);
    // Answers a SYN; with `take_data` what it carries is taken and the connection can be used.
    void accept(Instant now, const Packet& syn, bool take_data, std::uint64_t cookie);
    void write(Instant now, std::span<const std::byte> bytes);
    void end(Instant now);         // our direction, behind what was written
    void reset();                  // all is given up, and the peer hears so
    void take(std::size_t count);  // was read
    Duration rtt() const { return rtt_; }
    void discard() { take(readable().size()); }
    // No program has it any more; it goes on by itself until all has been delivered.
    void orphan(Instant now);

    // Input.

    void handle(Instant now, const Packet& packet);
    void handle_unreachable(Instant now, int error);
    void handle_new_mtu(Instant now, std::size_t mtu);
    void handle_timeout(Instant now);

    // Output.

    std::vector<Packet> poll_packets() { return std::exchange(packets_, {}); }
    Instant deadline() const;

    // Views.

    State state() const { return state_; }
    bool usable() const { return state_ == State::open || (state_ == State::asked && fast_); }
    bool writable() const;
    std::size_t run() const;
    std::span<const std::byte> readable() const { return in_.view(); }
    bool ended() const { return ended_; }  // the peer's direction, behind what is readable
    std::error_code error() const { return error_; }
    std::uint64_t unacknowledged() const { return out_.size(); }
    std::uint64_t cookie() const { return cookie_; }  // that the peer gave
    // Both directions are done: it only answers what comes again, until then.
    bool done() const { return ended_ && end_acknowledged(); }
    bool expired(Instant now) const { return orphan_ && now >= expires_; }
    const Options& options() const { return options_; }

private:
    static constexpr unsigned initial_window = 10;  // segments, RFC 6928
    static constexpr Duration least_rto = std::chrono::milliseconds(200);

    bool end_acknowledged() const { return ending_ && una_ == end_ + 1; }
    std::uint64_t window() const { return options_.receive_buffer - in_.size(); }
    std::size_t unsent() const {
        return static_cast<std::size_t>(end_ - std::min(end_, std::max(nxt_, base_)));
    }

    void handle_answer(Instant now, const Packet& packet);
    void handle_ack(Instant now, const Packet& packet);
    void handle_new_ack(Instant now, std::uint64_t ack);
    void handle_data(const Packet& packet);
    void store(std::uint64_t at, std::span<const std::byte> bytes);
    void handle_silence(Instant now);
    void handle_window(Instant now, std::uint64_t window);
    void opened(Instant now, const Segment& segment);
    void handle_blocks(const Segment& segment);
    void measure(Instant now, std::uint64_t ack);
    void lose();
    bool retransmit_hole(Instant now);
    std::uint64_t in_flight() const;
    void transmit(Instant now);
    void send_syn(Instant now, std::size_t bytes);
    void emit(Instant now, std::uint64_t at, std::size_t size);
    void emit_ack(std::uint64_t at);
    void finish(Instant now);
    void fail(int error);
    Instant retransmit_at() const;
    std::size_t headers() const {
        return (options_.remote.family == Address::Family::v6 ? 40 : 20) + Segment{}.size();
    }
    Packet packet(std::uint64_t at) const;
    void append_blocks(Segment& segment) const;
    std::uint64_t sent_offset(std::uint32_t number) const;
    std::uint64_t ack_offset(const Segment& segment) const { return sent_offset(segment.ack); }
    std::uint64_t seq_offset(const Segment& segment) const;

    Options options_;
    State state_ = State::first;
    std::error_code error_;
    std::size_t mss_;
    bool fast_ = false;  // data came with the SYN, or went with it
    bool asks_cookie_ = false;
    std::uint64_t cookie_ = 0;
    bool orphan_ = false;
    Instant expires_ = never;

    // Sending. Offsets count from the first byte of the stream; a FIN is one more behind the last.
    ByteQueue out_;  // from base_ on
    std::uint64_t base_ = 0;
    std::uint64_t una_ = 0;  // the first that is not acknowledged
    std::uint64_t nxt_ = 0;  // to be sent next; goes back when the timer expires
    std::uint64_t max_ = 0;  // behind all that were ever sent
    std::uint64_t end_ = 0;  // behind all that were written
    bool ending_ = false;
    std::uint64_t wnd_ = 0;  // the peer's
    double cwnd_ = 0;
    double threshold_ = 1e18;
    unsigned duplicates_ = 0;
    bool recovering_ = false;
    std::uint64_t recover_ = 0;  // acknowledged, it ends the recovery
    std::uint64_t resent_ = 0;   // gaps before it have been filled in this recovery
    std::map<std::uint64_t, std::uint64_t> sacked_;  // from, to; apart from each other
    bool room_ = true;

    Duration rtt_{};  // smoothed; 0: none was measured
    Duration rto_;
    Instant rto_at_ = never;
    unsigned retries_ = 0;
    Instant since_{};          // when there last was progress, or something to wait for
    std::uint64_t timed_ = 0;  // acknowledged, it gives a round trip; 0: none
    Instant timed_at_{};
    Instant heard_{};
    unsigned probes_ = 0;  // of keep-alive

    // Receiving.
    std::uint32_t irs_ = 0;
    ByteQueue in_;
    std::uint64_t rcv_ = 0;   // expected next
    std::uint64_t edge_ = 0;  // of the window that the peer knows
    std::map<std::uint64_t, std::vector<std::byte>> early_;
    std::uint64_t newest_ = 0;  // among them
    std::uint64_t fin_at_ = ~std::uint64_t{0};
    bool ended_ = false;
    bool must_ack_ = false;

    std::vector<Packet> packets_;
};

}  // namespace post::sim
