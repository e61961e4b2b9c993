// Filling packets: what Connection sends, and in which order it asks for it.

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "mappings/quic/connection.hpp"

namespace post::quic {

using streams::SendStream;
using streams::Stream;
using streams::Streams;

namespace {

// How many pieces of memory go into one call of ngtcp2. Small messages lie in one piece.
constexpr std::size_t most_vectors = 16;
// Kept free of the connection's window for the association's stream, so that DELIVERED gets through
// when the Carriers have used up everything: without it both sides could wait for each other.
constexpr std::uint64_t reserved_window = 4096;
// Up to this round trip acknowledgements go with the answer (join_acknowledgement).
constexpr Duration most_joined = std::chrono::microseconds(256);

// ngtcp2 reads through the pointer only.
ngtcp2_vec to_vector(std::span<const std::byte> bytes) {
    auto* base = const_cast<std::byte*>(bytes.data());
    return {reinterpret_cast<std::uint8_t*>(base), bytes.size()};
}

}  // namespace

// One call of write_run; the supply is never kept longer.
struct Connection::Filling {
    Connection& self;
    Supply& supply;
    std::uint64_t reserve = 0;

    Filling(Connection& connection, Supply& from) : self(connection), supply(from) {
        self.filling_ = this;
    }
    Filling(const Filling&) = delete;
    ~Filling() { self.filling_ = nullptr; }
};

Datagrams Connection::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    advance(now);
    if (state_ == State::over) return {};
    if (state_ == State::closing) return write_close(space);
    streams_.apply_credit();
    if (moving_.wanted) try_move();
    note_quiet();
    join_acknowledgement();
    auto run = write_run(supply, space);
    streams_.hold_alone();
    count_sent(run);
    if (alive()) note_path();
    rethrow();
    if (run.empty() && state_ == State::closing) return write_close(space);
    return run;
}

// ngtcp2 holds an acknowledgement back for an eighth of the round trip, and what is written before
// goes without it. Where that is hardly longer than a turn takes, the answer to a message would
// leave alone, and the acknowledgement right behind it in a packet of its own: twice the packets of
// every request. What is sent in answer to something leaves later than that was read, anyway, so
// we say so.
void Connection::join_acknowledgement() {
    if (!std::exchange(read_, false)) return;
    ngtcp2_conn_info numbers;
    ngtcp2_conn_get_conn_info(native_.get(), &numbers);
    const auto trip = Duration(static_cast<Duration::rep>(numbers.smoothed_rtt));
    if (trip <= most_joined) now_ += std::max(trip / 8, Duration(1));
}

Datagrams Connection::write_run(Supply& supply, std::span<std::byte> space) {
    auto* native = native_.get();
    auto largest = ngtcp2_conn_get_max_tx_udp_payload_size(native);
    auto limit = std::min(
        {space.size(), largest_run, std::max(ngtcp2_conn_get_send_quantum(native), largest)});
    if (limit < largest) return {};
    Filling filling(*this, supply);
    if (post_)
        filling.reserve = std::min<std::uint64_t>(
            reserved_window,
            ngtcp2_conn_get_remote_transport_params(native)
                ? ngtcp2_conn_get_remote_transport_params(native)->initial_max_data / 4
                : 0);

    PathStorage path;
    ngtcp2_pkt_info info{};
    std::size_t segment = 0;
    auto* out = reinterpret_cast<std::uint8_t*>(space.data());
    auto stamp = to_timestamp(now_);
#if NGTCP2_VERSION_NUM >= 0x011100
    auto written = ngtcp2_conn_write_aggregate_pkt2(
        native, path.path(), &info, out, limit, &segment,
        [](ngtcp2_conn*, ngtcp2_path* packet_path, ngtcp2_pkt_info* packet_info, std::uint8_t* dest,
           std::size_t size, ngtcp2_tstamp at, void* user_data) {
            auto& self = *static_cast<Connection*>(user_data);
            return self.fill_allowed(*self.filling_, packet_path, packet_info, dest, size, at);
        },
        run_limit_, stamp);
#else
    // Older ngtcp2 cannot say which packets may share a run: each is one of its own.
    auto written = fill_allowed(filling, path.path(), &info, out, largest, stamp);
    segment = written > 0 ? static_cast<std::size_t>(written) : 0;
#endif
    if (written < 0) {
        fail(static_cast<int>(written));
        return {};
    }
    ngtcp2_conn_info numbers;
    ngtcp2_conn_get_conn_info(native, &numbers);
    // BBR has a rate of its own, and is nothing without it.
    if (bbr_) ngtcp2_conn_update_pkt_tx_time(native, stamp);
    if (written == 0) return {};
    if (pacing_) {
        const bool measured = numbers.min_rtt != std::numeric_limits<ngtcp2_duration>::max();
        const auto trip = static_cast<Duration::rep>(measured ? numbers.smoothed_rtt : 0);
        pacer_.sent(now_, static_cast<std::size_t>(written), numbers.cwnd, Duration(trip));
    }
    // RFC 9000, 9.3: what is said first on a new path is the question whether the peer is there.
    // While ngtcp2's pacing or congestion control holds that back it writes acknowledgements alone;
    // they are not lost, since the next ones say the same.
    if (role_ == Role::server && now_ < ask_first_until_ &&
        path.remote() == to_address(ngtcp2_conn_get_path(native)->remote))
        return {};
    return outgoing(path, info, segment, space.first(static_cast<std::size_t>(written)));
}

ngtcp2_ssize Connection::fill_allowed(Filling& filling, ngtcp2_path* path, ngtcp2_pkt_info* info,
                                      std::uint8_t* out, std::size_t size, ngtcp2_tstamp now) {
    auto& unvalidated = moving_.unvalidated;
    if (unvalidated.none()) return fill_packet(filling, path, info, out, size, now);
    const auto left = unvalidated.left(to_address(ngtcp2_conn_get_path(native_.get())->remote));
    if (left == 0) return 0;
    const auto written = fill_packet(filling, path, info, out, std::min(left, std::uint64_t{size}),
                                     now);
    if (written > 0) unvalidated.sent(static_cast<std::size_t>(written));
    return written;
}

ngtcp2_ssize Connection::fill_packet(Filling& filling, ngtcp2_path* path, ngtcp2_pkt_info* info,
                                     std::uint8_t* out, std::size_t size, ngtcp2_tstamp now) {
    auto* native = native_.get();
    const bool held = pacer_.holds(now_);
    size = std::min(size, mtu_.most());
    std::array<std::span<const std::byte>, most_vectors> views;
    std::array<ngtcp2_vec, most_vectors> vectors;
    std::uint64_t used = 0;
    for (;;) {
        Stream* stream = nullptr;
        std::uint64_t window = 0;
        if (may_write()) {
            window = ngtcp2_conn_get_max_data_left(native);
            Streams::Allowance allowance;
            allowance.room = size - std::min<std::uint64_t>(size, used);
            allowance.packet = size;
            allowance.carriers = window > filling.reserve && !held;
            allowance.pull = allowance.carriers && ngtcp2_conn_get_cwnd_left(native) > 0;
            try {
                stream = streams_.next(filling.supply, allowance);
            } catch (...) {
                thrown_ = std::current_exception();
                return NGTCP2_ERR_CALLBACK_FAILURE;
            }
        }
        if (stream == nullptr && !held) {
            if (const auto* alone = streams_.waits_alone()) {
                used += alone->piece().bytes.size();
                const auto written = fill_alone(filling, *alone, path, info, out, size, now);
                if (written == NGTCP2_ERR_WRITE_MORE) continue;
                return written;
            }
        }
        std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
        SendStream::Gathered gathered;
        if (stream != nullptr) {
            bool carrier = stream->purpose == Stream::Purpose::carrier;
            auto most = carrier ? window - filling.reserve : window;
            gathered = stream->send.gather(views, std::min<std::uint64_t>(most, size));
            for (std::size_t i = 0; i < gathered.count; ++i) vectors[i] = to_vector(views[i]);
            flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
            if (gathered.finish) flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
        }
        ngtcp2_ssize taken = -1;
        auto written = ngtcp2_conn_writev_stream(native, path, info, out, size, &taken, flags,
                                                 stream ? stream->id : -1, vectors.data(),
                                                 gathered.count, now);
        if (stream != nullptr && taken >= 0) {
            auto bytes = static_cast<std::uint64_t>(taken);
            used += bytes;
            try {
                streams_.wrote(*stream, bytes, gathered.finish && bytes == gathered.bytes,
                               filling.supply);
            } catch (...) {
                thrown_ = std::current_exception();
                return NGTCP2_ERR_CALLBACK_FAILURE;
            }
        }
        switch (written) {
            case NGTCP2_ERR_WRITE_MORE: break;
            case NGTCP2_ERR_STREAM_DATA_BLOCKED:
                streams_.write_blocked(*stream, filling.supply);
                break;
            case NGTCP2_ERR_STREAM_SHUT_WR:
            case NGTCP2_ERR_STREAM_NOT_FOUND: streams_.write_closed(*stream); break;
            default: return written;
        }
    }
}

// A message that travels alone. Where there is no room left for it, the packet goes without it, and
// it is the first in the next.
ngtcp2_ssize Connection::fill_alone(Filling& filling, const streams::Alone& alone,
                                    ngtcp2_path* path, ngtcp2_pkt_info* info, std::uint8_t* out,
                                    std::size_t size, ngtcp2_tstamp now) {
    const auto& piece = alone.piece();
    std::array<std::byte, framing::largest_frame> header;
    std::array<ngtcp2_vec, 2> vectors;
    std::size_t count = 0;
    // ngtcp2 takes no vectors without bytes.
    const auto add = [&](std::span<const std::byte> bytes) {
        if (!bytes.empty()) vectors[count++] = to_vector(bytes);
    };
    add(std::span(header).first(post_ ? framing::write_alone(header, piece) : 0));
    add(piece.bytes.span());
    int accepted = 0;
    const auto written = ngtcp2_conn_writev_datagram(native_.get(), path, info, out, size,
                                                     &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_MORE,
                                                     alone.next_id(), vectors.data(), count, now);
    if (accepted == 0) return written;
    try {
        streams_.wrote_alone(now_, filling.supply);
    } catch (...) {
        thrown_ = std::current_exception();
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return written;
}

Datagrams Connection::write_close(std::span<std::byte> space) {
    state_ = State::over;
    auto* native = native_.get();
    PathStorage path;
    ngtcp2_pkt_info info{};
    std::string text;
    auto close = close_of(close_reason_, close_alert_, circumstances(), text);
    auto written = ngtcp2_conn_write_connection_close(native, path.path(), &info,
                                                      reinterpret_cast<std::uint8_t*>(space.data()),
                                                      space.size(), &close, to_timestamp(now_));
    if (written <= 0) return {};
    auto size = static_cast<std::size_t>(written);
    auto packet = space.first(size);
    remember_last_word(packet);
    bytes_sent_ += size;
    return outgoing(path, info, size, packet);
}

// RFC 9000, 10.2.1: for three PTO late packets are answered with the last one. The endpoint does
// it, so that the connection and its memory can go.
void Connection::remember_last_word(std::span<const std::byte> packet) {
    if (!authentic_) return;
    auto pto = Duration(static_cast<Duration::rep>(ngtcp2_conn_get_pto(native_.get())));
    for (const auto& id : ids_) endpoint_.remove_route(id);
    endpoint_.remember({std::move(ids_), {packet.begin(), packet.end()}, now_ + 3 * pto});
    ids_.clear();
}

Datagrams Connection::outgoing(const PathStorage& path, const ngtcp2_pkt_info& info,
                               std::size_t segment, std::span<const std::byte> bytes) const {
    Datagrams run;
    run.local = path.local();
    run.remote = path.remote();
    run.ecn = static_cast<Ecn>(info.ecn & 3);
    run.segment = segment;
    run.bytes = bytes;
    return run;
}

}  // namespace post::quic
