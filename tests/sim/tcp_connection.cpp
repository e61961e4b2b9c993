// A small real TCP, with the numbers that Linux has: what is received, the timers, and the wire's
// numbers. How it sends is in tcp_connection_send.cpp.
#include "tests/sim/tcp_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/io/tcp_socket.hpp"

namespace post::sim {

namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

constexpr Duration first_rto = 1s;  // RFC 6298, 2.1
constexpr Duration most_rto = 60s;
constexpr unsigned most_retries = 15;   // tcp_retries2
constexpr unsigned orphan_retries = 8;  // tcp_orphan_retries
constexpr unsigned syn_retries = 6;     // tcp_syn_retries
constexpr unsigned answer_retries = 5;  // tcp_synack_retries
constexpr unsigned most_probes = 5;     // as the real edge asks for them
constexpr Duration probe_interval = 15s;
constexpr Duration afterlife = 60s;  // TIME_WAIT, and FIN_WAIT_2 of nobody's connections

}  // namespace

TcpConnection::TcpConnection(const Options& options) : options_(options), rto_(first_rto) {
    mss_ = options.mtu - headers();
}

void TcpConnection::connect(Instant now, bool ask_cookie) {
    asks_cookie_ = ask_cookie;
    state_ = State::connecting;
    send_syn(now, 0);
}

void TcpConnection::connect_with(std::uint64_t cookie) { cookie_ = cookie; }

void TcpConnection::accept(Instant now, const Packet& syn, bool take_data, std::uint64_t cookie) {
    state_ = State::asked;
    irs_ = syn.segment.seq;
    cookie_ = cookie;
    mss_ = std::min<std::size_t>(mss_, syn.segment.mss);
    wnd_ = syn.segment.window;
    cwnd_ = static_cast<double>(initial_window * mss_);
    heard_ = now;
    fast_ = take_data;
    if (take_data) store(0, syn.bytes.span());
    send_syn(now, 0);
}

void TcpConnection::write(Instant now, std::span<const std::byte> bytes) {
    if (state_ == State::dead || ending_ || bytes.empty()) return;
    out_.push(bytes);
    end_ += bytes.size();
    if (state_ == State::first) {
        state_ = State::connecting;
        fast_ = true;
        // The SYN has less room by its options.
        send_syn(now, std::min(bytes.size(), mss_ - 24));
    }
    transmit(now);
}

void TcpConnection::end(Instant now) {
    ending_ = true;
    transmit(now);
    finish(now);
}

void TcpConnection::reset() {
    if (state_ == State::asked || state_ == State::open) {
        Packet reset = packet(max_);
        reset.segment.rst = true;
        packets_.push_back(std::move(reset));
    }
    if (state_ != State::dead) fail(ECONNRESET);
}

void TcpConnection::take(std::size_t count) {
    in_.drop(count);
    if (!usable()) return;
    // RFC 9293, 3.8.6.2.2: small steps of the window are not told.
    const std::uint64_t more = rcv_ + window() - edge_;
    const bool shut = edge_ < rcv_ + mss_ && more >= std::min(mss_, options_.receive_buffer);
    if (!ended_ && (shut || more >= options_.receive_buffer / 2)) emit_ack(max_);
}

void TcpConnection::orphan(Instant now) {
    orphan_ = true;
    in_ = {};
    finish(now);
}

void TcpConnection::handle(Instant now, const Packet& packet) {
    const Segment& segment = packet.segment;
    if (state_ == State::first || state_ == State::dead) return;
    if (state_ == State::connecting) return handle_answer(now, packet);
    heard_ = now;
    probes_ = 0;
    const std::uint64_t at = seq_offset(segment);
    if (segment.rst) {
        // RFC 9293, 3.5.2: in the window; anything else is an attempt of somebody's.
        if (at >= rcv_ && at <= edge_) fail(ECONNRESET);
        return;
    }
    if (segment.syn) {
        // It comes again: our answer was lost.
        if (state_ == State::asked) return send_syn(now, 0);
        return emit_ack(max_);
    }
    if (!segment.acks) return;
    if (state_ == State::asked && ack_offset(segment) <= max_) opened(now, segment);
    if (state_ != State::open) return;
    handle_ack(now, packet);
    if (orphan_ && !packet.bytes.empty() && at >= rcv_) {
        // Nobody will ever read it.
        Packet reset = this->packet(max_);
        reset.segment.rst = true;
        packets_.push_back(reset);
        return fail(ECONNRESET);
    }
    handle_data(packet);
    transmit(now);
    if (std::exchange(must_ack_, false)) emit_ack(max_);
    finish(now);
}

// To our SYN.
void TcpConnection::handle_answer(Instant now, const Packet& packet) {
    const Segment& segment = packet.segment;
    if (!segment.acks || ack_offset(segment) > max_) return;
    if (segment.rst) return fail(ECONNREFUSED);
    if (!segment.syn) return;
    irs_ = segment.seq;
    mss_ = std::min<std::size_t>(mss_, segment.mss);
    if (segment.cookie != 0) cookie_ = segment.cookie;
    heard_ = now;
    const std::uint64_t ack = ack_offset(segment);
    opened(now, segment);
    cwnd_ = static_cast<double>(initial_window * mss_);
    if (ack > una_) handle_new_ack(now, ack);
    nxt_ = una_;  // data of the SYN that was not taken goes again
    edge_ = rcv_ + window();
    must_ack_ = true;
    transmit(now);
    if (std::exchange(must_ack_, false)) emit_ack(max_);
}

void TcpConnection::opened(Instant now, const Segment& segment) {
    state_ = State::open;
    wnd_ = segment.window;
    if (retries_ == 0) rtt_ = now - since_;
    rto_ = std::max(least_rto, 2 * rtt_);
    retries_ = 0;
    rto_at_ = never;
    since_ = now;
    if (una_ < max_) rto_at_ = now + rto_;
}

void TcpConnection::handle_data(const Packet& packet) {
    const std::uint64_t at = seq_offset(packet.segment);
    const auto bytes = packet.bytes.span();
    if (bytes.empty() && !packet.segment.fin) {
        // A keep-alive: it wants to hear something.
        if (static_cast<std::int64_t>(at - rcv_) < 0) must_ack_ = true;
        return;
    }
    must_ack_ = true;
    if (ended_) return;
    const std::uint64_t limit = rcv_ + window();
    if (packet.segment.fin && at + bytes.size() <= limit) fin_at_ = at + bytes.size();
    if (at < limit)
        store(at, bytes.first(
                      static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), limit - at))));
    if (rcv_ == fin_at_) {
        ++rcv_;
        ended_ = true;
    }
}

void TcpConnection::store(std::uint64_t at, std::span<const std::byte> bytes) {
    if (at > rcv_) {
        newest_ = at;
        auto& place = early_[at];
        if (place.size() < bytes.size()) place.assign(bytes.begin(), bytes.end());
        return;
    }
    if (at + bytes.size() <= rcv_) return;
    in_.push(bytes.subspan(static_cast<std::size_t>(rcv_ - at)));
    rcv_ = at + bytes.size();
    while (!early_.empty() && early_.begin()->first <= rcv_) {
        const auto next = early_.extract(early_.begin());
        store(next.key(), next.mapped());
    }
}

void TcpConnection::handle_unreachable(Instant, int error) {
    // RFC 1122, 4.2.3.9: a soft error, of which only an attempt dies.
    if (state_ == State::connecting || state_ == State::asked) fail(error);
}

void TcpConnection::handle_new_mtu(Instant now, std::size_t mtu) {
    if (mtu <= headers() || mtu - headers() >= mss_) return;
    mss_ = mtu - headers();
    nxt_ = una_;
    transmit(now);
}

void TcpConnection::handle_timeout(Instant now) {
    if (now < deadline()) return;
    if (now < retransmit_at()) return handle_silence(now);
    const bool late = options_.user_timeout > Duration::zero() &&
                      now >= since_ + options_.user_timeout;
    const bool probing = state_ == State::open && wnd_ == 0 && nxt_ == una_;
    const unsigned most = state_ == State::connecting ? syn_retries
                          : state_ == State::asked    ? answer_retries
                          : orphan_                   ? orphan_retries
                                                      : most_retries;
    if (late || retries_ >= most) return fail(ETIMEDOUT);
    ++retries_;
    timed_ = 0;
    rto_ = std::min(2 * rto_, most_rto);
    rto_at_ = now + rto_;
    // Data that went with a SYN is not sent with the next one: it may be what is refused.
    if (state_ != State::open) return send_syn(now, 0);
    if (probing) return emit(now, una_, 1);
    lose();
    cwnd_ = static_cast<double>(mss_);
    nxt_ = una_;
    recovering_ = false;
    transmit(now);
}

void TcpConnection::handle_silence(Instant now) {
    if (probes_ == most_probes || (probes_ > 0 && options_.user_timeout > Duration::zero() &&
                                   now >= heard_ + options_.user_timeout))
        return fail(ETIMEDOUT);
    ++probes_;
    // A byte that the peer has already: it answers with where it is.
    emit_ack(max_ - 1);
}

Instant TcpConnection::deadline() const {
    if (state_ == State::dead || state_ == State::first) return never;
    if (rto_at_ != never) return retransmit_at();
    if (options_.keep_alive <= Duration::zero() || state_ != State::open || done()) return never;
    return heard_ + options_.keep_alive +
           probes_ * std::min<Duration>(options_.keep_alive, probe_interval);
}

Instant TcpConnection::retransmit_at() const {
    if (rto_at_ == never || options_.user_timeout <= Duration::zero()) return rto_at_;
    return std::min(rto_at_, since_ + options_.user_timeout);
}

std::size_t TcpConnection::run() const {
    if (rtt_ == Duration::zero()) return io::TcpSocket::most_unsent / 2;
    const double rate = cwnd_ / std::chrono::duration<double>(rtt_).count();
    return io::TcpSocket::unsent_for(static_cast<std::uint64_t>(rate)) / 2;
}

bool TcpConnection::writable() const {
    if (ending_ || state_ == State::dead) return false;
    return state_ == State::first || (usable() && room_);
}

void TcpConnection::emit_ack(std::uint64_t at) {
    edge_ = std::max(edge_, rcv_ + window());
    packets_.push_back(packet(at));
}

Packet TcpConnection::packet(std::uint64_t at) const {
    Packet out;
    out.from = options_.local;
    out.to = options_.remote;
    out.protocol = Protocol::tcp;
    out.segment.acks = true;
    out.segment.seq = options_.isn + 1 + static_cast<std::uint32_t>(at);
    out.segment.ack = irs_ + 1 + static_cast<std::uint32_t>(rcv_);
    if (state_ == State::connecting) out.segment.ack = 0;
    out.segment.window = static_cast<std::uint32_t>(window());
    append_blocks(out.segment);
    return out;
}

// What came early, as few blocks as it makes; four fit into a header (RFC 2018, 3 and 4).
void TcpConnection::append_blocks(Segment& segment) const {
    constexpr std::size_t most_blocks = 4;
    std::vector<Segment::Block> all;
    std::size_t newest = 0;
    for (std::uint64_t end = 0; const auto& [at, bytes] : early_) {
        const std::uint32_t behind = irs_ + 1 + static_cast<std::uint32_t>(at + bytes.size());
        if (all.empty() || at > end)
            all.push_back({irs_ + 1 + static_cast<std::uint32_t>(at), behind});
        else if (at + bytes.size() > end)
            all.back().end = behind;
        end = std::max<std::uint64_t>(end, at + bytes.size());
        if (at <= newest_) newest = all.size() - 1;
    }
    if (all.empty()) return;
    std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(newest), all.end());
    all.resize(std::min(all.size(), most_blocks));
    segment.blocks = std::move(all);
}

// A done connection lives on a little: what comes again is answered.
void TcpConnection::finish(Instant now) {
    const bool waits_alone = orphan_ && end_acknowledged();
    if ((done() || waits_alone) && expires_ == never) expires_ = now + afterlife;
}

void TcpConnection::fail(int error) {
    error_ = std::error_code(error, std::generic_category());
    state_ = State::dead;
    rto_at_ = never;
    expires_ = Instant::min();
}

// The 32 bits of the wire, next to where we are.
std::uint64_t TcpConnection::sent_offset(std::uint32_t number) const {
    const std::uint32_t here = options_.isn + 1 + static_cast<std::uint32_t>(una_);
    return una_ +
           static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(number - here)});
}

std::uint64_t TcpConnection::seq_offset(const Segment& segment) const {
    const std::uint32_t here = irs_ + 1 + static_cast<std::uint32_t>(rcv_);
    return rcv_ +
           static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(segment.seq - here)});
}

}  // namespace post::sim
