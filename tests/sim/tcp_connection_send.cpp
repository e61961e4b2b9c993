// What a TcpConnection sends, and when: the congestion window, what acknowledgements say, and what
// goes again.
#include <algorithm>
#include <utility>

#include "lib/io/tcp_socket.hpp"
#include "tests/sim/tcp_connection.hpp"

namespace post::sim {

void TcpConnection::handle_ack(Instant now, const Packet& packet) {
    const std::uint64_t ack = ack_offset(packet.segment);
    if (ack > max_) {
        must_ack_ = true;
        return;
    }
    if (ack < una_) return;
    handle_window(now, packet.segment.window);
    handle_blocks(packet.segment);
    if (ack > una_) handle_new_ack(now, ack);
    const bool again = ack == una_ && una_ < max_ && packet.bytes.empty() && !packet.segment.fin;
    if (again && wnd_ > 0 && !packet.segment.blocks.empty()) ++duplicates_;
    if (duplicates_ < 3 || recovering_ || una_ < recover_) return;
    lose();
    recovering_ = true;
    cwnd_ = threshold_;
    resent_ = una_;
    retransmit_hole(now);
}

void TcpConnection::handle_blocks(const Segment& segment) {
    for (const Segment::Block& block : segment.blocks) {
        std::uint64_t begin = sent_offset(block.begin);
        std::uint64_t end = sent_offset(block.end);
        if (begin >= end || end > max_ || begin < una_) continue;
        // Those that it touches become one with it.
        auto at = sacked_.upper_bound(begin);
        if (at != sacked_.begin() && std::prev(at)->second >= begin) --at;
        while (at != sacked_.end() && at->first <= end) {
            begin = std::min(begin, at->first);
            end = std::max(end, at->second);
            at = sacked_.erase(at);
        }
        sacked_[begin] = end;
    }
}

// RFC 5681, 3.1.
void TcpConnection::lose() {
    const auto mss = static_cast<double>(mss_);
    threshold_ = std::max(static_cast<double>(max_ - una_) / 2, 2 * mss);
    recover_ = max_;
    duplicates_ = 0;
}

// The first gap that was not filled yet in this recovery. False when there is none.
bool TcpConnection::retransmit_hole(Instant now) {
    std::uint64_t at = std::max(resent_, una_);
    for (const auto& [begin, end] : sacked_) {
        if (at < begin) {
            const std::uint64_t size = std::min<std::uint64_t>(mss_, begin - at);
            emit(now, at, static_cast<std::size_t>(size));
            resent_ = at + size;
            return true;
        }
        at = std::max(at, end);
    }
    return false;
}

// RFC 6675's pipe: what was sent and is neither there nor lost.
std::uint64_t TcpConnection::in_flight() const {
    std::uint64_t flight = nxt_ - una_;
    std::uint64_t at = std::max(resent_, una_);
    for (const auto& [begin, end] : sacked_) {
        if (begin >= nxt_) break;
        flight -= std::min(end, nxt_) - begin;
        if (recovering_ && at < begin) flight -= begin - at;
        at = std::max(at, end);
    }
    return flight;
}

void TcpConnection::handle_window(Instant now, std::uint64_t window) {
    const bool opens = std::exchange(wnd_, window) == 0 && window > 0;
    if (window == 0) retries_ = 0;  // the peer is there and answers; only a user timeout counts on
    if (!opens) return;
    rto_ = std::max(least_rto, 2 * rtt_);
    rto_at_ = never;
    retries_ = 0;
    since_ = now;
    if (una_ < max_) rto_at_ = now + rto_;
}

void TcpConnection::handle_new_ack(Instant now, std::uint64_t ack) {
    const auto mss = static_cast<double>(mss_);
    const auto acked = static_cast<double>(ack - una_);
    una_ = ack;
    nxt_ = std::max(nxt_, una_);
    while (!sacked_.empty() && sacked_.begin()->first <= una_) sacked_.erase(sacked_.begin());
    const std::uint64_t data = std::min(una_, end_);
    out_.drop(static_cast<std::size_t>(data - base_));
    base_ = data;
    measure(now, ack);
    retries_ = 0;
    duplicates_ = 0;
    since_ = now;
    rto_ = std::max(least_rto, 2 * rtt_);
    rto_at_ = una_ < max_ ? now + rto_ : never;
    if (recovering_ && ack < recover_) {
        // RFC 6582, 3.2: the next one is missing, too, though nothing behind it says so.
        if (sacked_.empty()) emit(now, una_, mss_);
    } else if (std::exchange(recovering_, false)) {
        cwnd_ = threshold_;
    } else {
        cwnd_ += cwnd_ < threshold_ ? std::min(acked, 2 * mss) : mss * mss / cwnd_;
    }
}

// Karn's rule: what was sent twice measures nothing.
void TcpConnection::measure(Instant now, std::uint64_t ack) {
    if (timed_ == 0 || ack < timed_) return;
    timed_ = 0;
    const Duration sample = now - timed_at_;
    rtt_ = rtt_ == Duration::zero() ? sample : rtt_ + (sample - rtt_) / 8;
}

void TcpConnection::transmit(Instant now) {
    if (usable()) {
        const std::uint64_t all = end_ + (ending_ ? 1 : 0);
        const auto congestion = static_cast<std::uint64_t>(cwnd_);
        while (recovering_ && in_flight() + mss_ <= congestion && retransmit_hole(now)) {}
        while (nxt_ < all && wnd_ > 0) {
            // After a timeout: what has arrived does not go again.
            if (const auto next = sacked_.upper_bound(nxt_);
                next != sacked_.begin() && std::prev(next)->second > nxt_)
                nxt_ = std::prev(next)->second;
            const std::uint64_t flight = std::min(in_flight(), congestion);
            const std::uint64_t limit = std::min(nxt_ + congestion - flight, una_ + wnd_);
            const auto size = static_cast<std::size_t>(
                std::min<std::uint64_t>(mss_, end_ - std::min(nxt_, end_)));
            // Less than a segment goes when nothing is under way only (RFC 9293, 3.8.6.2.1).
            const std::uint64_t open = limit - std::min(limit, nxt_);
            if (open < size && (open == 0 || nxt_ > una_)) break;
            emit(now, nxt_, std::min(size, static_cast<std::size_t>(open)));
        }
        // The window is shut: the timer asks whether it still is.
        if (nxt_ < all && nxt_ == una_ && rto_at_ == never) {
            since_ = now;
            rto_at_ = now + rto_;
        }
    }
    room_ = unsent() <= run();
}

// The SYN or our answer to it.
void TcpConnection::send_syn(Instant now, std::size_t bytes) {
    Packet out = packet(0);
    out.segment.seq = options_.isn;
    out.segment.syn = true;
    out.segment.acks = state_ == State::asked;
    out.segment.mss = static_cast<std::uint16_t>(std::min<std::size_t>(mss_, 65535));
    out.segment.cookie = state_ == State::asked || bytes > 0 ? cookie_ : 0;
    out.segment.asks_cookie = asks_cookie_;
    out.bytes = Bytes(out_.view().first(bytes));
    max_ = nxt_ = std::max<std::uint64_t>(max_, bytes);
    edge_ = rcv_ + window();
    if (retries_ == 0) since_ = now;
    if (rto_at_ == never) rto_at_ = now + rto_;
    packets_.push_back(std::move(out));
}

// At most `size` bytes of the stream from `at` on, and the FIN where it is next.
void TcpConnection::emit(Instant now, std::uint64_t at, std::size_t size) {
    const std::uint64_t left = end_ - std::min(at, end_);
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, left));
    Packet out = packet(at);
    out.bytes = Bytes(
        out_.view().subspan(static_cast<std::size_t>(std::min(at, end_) - base_), size));
    out.segment.fin = ending_ && at + size == end_;
    // Blocks that do not fit beside the data have a segment of their own.
    const bool told = size + out.segment.size() - Segment{}.size() <= mss_;
    if (!told) out.segment.blocks.clear();
    const std::uint64_t behind = at + size + (out.segment.fin ? 1 : 0);
    if (una_ == max_) since_ = now;
    if (timed_ == 0 && at >= max_) timed_ = behind, timed_at_ = now;
    // A probe of a shut window is no part of what is under way.
    if (at == nxt_ && wnd_ > 0) nxt_ = behind;
    max_ = std::max(max_, behind);
    if (rto_at_ == never) rto_at_ = now + rto_;
    edge_ = std::max(edge_, rcv_ + window());
    must_ack_ = must_ack_ && !told;
    packets_.push_back(std::move(out));
}

}  // namespace post::sim
