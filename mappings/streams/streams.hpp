// Streams: all streams of a connection: Carriers to streams and back, credit in both directions,
// frames in and frames out. The news of the transport end here (on_*); the packet filler asks here
// for the next bytes. It writes no packet and knows no time but the one it is told.
//
// With Post's ALPN every Carrier stream begins with OPEN and ends with FIN, and a unidirectional
// stream of each side carries what concerns the whole association. With any other ALPN nothing of
// ours is on the wire: a stream is a Carrier, its bytes are the messages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "mappings/mapping.hpp"
#include "mappings/streams/alone.hpp"
#include "mappings/streams/stream_table.hpp"
#include "mappings/streams/transport.hpp"
#include "mappings/wire/inbox.hpp"
#include "mappings/wire/rate_limit.hpp"
#include "mappings/wire/ring.hpp"

namespace post::streams {

// What the connections of an endpoint lend each other, so that a connection at rest holds nothing.
struct Pools {
    SendPool send;
    SpareStreams streams;
    wire::ReceiveBlocks received;
};

class Streams {
public:
    // `pools` outlives the streams.
    Streams(Role role, const Limits& limits, std::uint64_t hash_key, Pools& pools);
    Streams(const Streams&) = delete;
    Streams& operator=(const Streams&) = delete;

    // The connection on which streams are opened; it outlives the calls.
    void attach(Transport& transport) { transport_ = &transport; }
    // Streams may be used: the handshake is complete, or early data comes or goes.
    void establish(bool post);
    // What comes is early data, or is not any more.
    void take_early(bool early) { early_ = early; }
    // What is to travel alone has no place on its stream, whose bytes are another protocol's: what
    // cannot go alone is refused.
    void keep_apart() { apart_ = true; }
    // Early data was rejected: nothing of it was ever there.
    void begin_again();

    // Commands.

    void reset(CarrierId carrier, const Error& reason);
    void stop(CarrierId carrier, const Error& reason, Instant now);
    void extend_window(CarrierId carrier, std::uint64_t bytes);
    void extend_budget(std::uint64_t bytes) { budget_credit_ += bytes; }

    // Input. False: the peer broke a rule, violation() says which, and the connection must end.

    bool on_opened(std::int64_t id);
    bool on_data(Stream& stream, std::span<const std::byte> bytes, bool finish);
    bool on_reset(Stream& stream, std::uint64_t code, Instant now);
    bool on_stopped(Stream& stream, std::uint64_t code);
    void on_closed(Stream& stream);
    void on_acked(Stream& stream, std::uint64_t offset, std::uint64_t bytes);
    void on_window(Stream& stream);
    void on_stream_limit(bool one_way);
    // Forgets Carriers whose streams will not end by themselves. Up to 1.24 ngtcp2 loses track of
    // what arrives out of order on a stream that we stopped. When the peer's last bytes are
    // acknowledged before it hears of that, it has no reason to reset the stream (RFC 9000, 3.5),
    // and ngtcp2 waits until the connection ends.
    void handle_timeout(Instant now);
    // A DATAGRAM frame of the peer's, and what became of one of ours.
    void on_alone(std::span<const std::byte> bytes);
    void on_alone_settled(std::uint64_t id, bool lost);
    const Error& violation() const { return violation_; }
    // As Mapping's.
    std::vector<Mapping::Begun> poll_begun();
    bool any_begun() const { return !begun_.empty(); }

    // Output.

    // Tells the transport what the peer may send more.
    void apply_credit();
    // The stream to write next: what was begun first, else what the supply has, pulled until about
    // `room` bytes wait. Nothing when there is nothing.
    struct Allowance {
        std::uint64_t room = 0;  // bytes left in this packet
        std::size_t packet = 0;  // how large it may be
        bool pull = false;       // more may be begun
        bool carriers = false;   // the connection's window has room for Carriers
    };
    Stream* next(Supply& supply, const Allowance& allowance);
    void wrote(Stream& stream, std::uint64_t bytes, bool finish, Supply& supply);
    void write_blocked(Stream& stream, Supply& supply);
    // Nothing more can be written on it, whatever the reason.
    void write_closed(Stream& stream);
    // The message that waits to go alone, when no stream has anything for the packet.
    const Alone* waits_alone() const {
        return alone_ && alone_->waiting() ? alone_.get() : nullptr;
    }
    void wrote_alone(Instant now, Supply& supply);
    // The supply's call is over.
    void hold_alone() {
        if (alone_) alone_->hold();
    }

    // Views.

    // How many bidirectional streams the peer could have opened by now.
    std::uint64_t allowed() const { return grant_.granted + grant_.closed; }
    // Of the stream that a Carrier is; negative: it has none (yet).
    std::int64_t stream_id(CarrierId carrier) const {
        const Stream* stream = find(carrier);
        return stream ? stream->id : -1;
    }
    std::uint64_t send_window(CarrierId carrier) const;
    std::uint64_t window_beyond(CarrierId carrier, std::uint64_t reserve);
    // Nothing is begun and unsent, and all bytes are acknowledged.
    bool bytes_settled() const { return unacked_ == 0 && !flying_alone(); }
    bool settled() const { return unsettled_ == 0 && !flying_alone(); }
    bool something_ready() const { return !ready_.empty(); }
    Instant deadline() const {
        const auto first = stopped_.empty() ? never : stopped_[0].due;
        return alone_ ? std::min(first, alone_->due()) : first;
    }

    wire::Inbox& inbox() { return inbox_; }

private:
    // How many streams of one kind the peer may have open, has, and had.
    struct Grant {
        std::uint64_t granted = 0;
        std::uint64_t open = 0;
        std::uint64_t closed = 0;
    };

    // A Carrier that we stopped, and when to see whether its stream has ended.
    struct Stopped {
        Instant due;
        CarrierId carrier;
    };

    // streams.cpp
    Stream* find(CarrierId carrier) const { return table_.find(carrier); }
    void erase(Stream& stream);
    void grow_grant(Grant& grant, bool one_way);
    void add_credit(Stream& stream, std::uint64_t bytes);
    bool violate(const Error& error);
    std::uint64_t wire_code(const Error& reason) const;
    Error error_of(std::uint64_t code) const;
    std::uint64_t take_stop_code(Stream& stream);
    void drop_sending(Stream& stream);
    // Keeps the counts of what is not settled right around a change of stream.send.
    template <class Change> void change_send(Stream& stream, Change change);

    // streams_receive.cpp
    bool on_frames(Stream& stream, std::span<const std::byte> bytes);
    bool on_raw(Stream& stream, std::span<const std::byte> bytes);
    bool on_finish(Stream& stream);
    bool deliver(Stream& stream, Piece&& piece);
    bool mark_early(const Stream& stream, Piece& piece);
    bool on_frame(Stream& stream, framing::Frame&& frame);
    bool on_open_frame(Stream& stream, const Open& open);
    bool on_settings(Stream& stream, const Settings& settings);

    // streams_send.cpp
    void begin(Outgoing& outgoing, Supply& supply);
    void begin_carrier(const Open& open, Supply& supply);
    void begin_piece(Piece& piece, Supply& supply, std::size_t packet);
    std::uint64_t begin_run(const Piece& first, Supply& supply, std::uint64_t room);
    void write_piece(Stream& stream, const Piece& piece);
    template <class Value> void write_frame(Stream& stream, const Value& value);
    template <class Value> void write_association(const Value& value);
    bool open_native(Stream& stream);
    void make_ready(Stream& stream);

    // streams_alone.cpp
    Alone& alone();
    bool flying_alone() const { return alone_ && alone_->flying(); }
    bool goes_alone(const Stream& stream, const Piece& piece, std::size_t packet) const;
    bool fits_alone(const Piece& piece, std::size_t packet) const;
    void put_on_stream(Supply& supply, std::size_t packet);
    void refuse_alone(const Piece& piece, Supply& supply, std::size_t packet) const;
    void give_up_alone(Instant now);
    void on_alone_raw(std::span<const std::byte> bytes);
    void name(Stream& stream);

    // Resets of streams that brought nothing whole (ATTACKS A8).
    static constexpr std::uint32_t reset_burst = 1000;
    static constexpr std::uint32_t resets_per_second = 100;
    // Some round trips, so that the peer has heard of STOP_SENDING and RESET_STREAM.
    static constexpr Duration stopped_patience = std::chrono::seconds(10);

    const Limits limits_;
    Transport* transport_ = nullptr;
    wire::Inbox inbox_;
    SendPool& pool_;
    StreamTable table_;
    ReadyList ready_;
    std::list<Stream*> waiting_;          // for a bidirectional stream
    std::list<Stream*> waiting_one_way_;  // for a unidirectional one
    std::vector<Stream*> credited_;
    // Of streams with stop_pending, the peer's, or stop_read_pending, ours.
    std::map<const Stream*, std::uint64_t> stop_codes_;
    std::vector<CarrierId> begun_;  // each once, and some are it no more
    wire::Ring<Stopped> stopped_;   // the first to be due first
    std::uint64_t budget_credit_ = 0;
    std::unique_ptr<Alone> alone_;
    Stream* association_ = nullptr;  // ours
    bool peer_association_ = false;
    Grant grant_;
    Grant grant_one_way_;
    wire::RateLimit resets_{reset_burst, resets_per_second};
    std::uint64_t unsettled_ = 0;
    std::uint64_t unacked_ = 0;
    Error violation_;
    const Role role_;
    bool post_ = false;
    bool early_ = false;
    bool apart_ = false;
};

template <class Change> void Streams::change_send(Stream& stream, Change change) {
    unsettled_ -= stream.send.unsettled();
    unacked_ -= stream.send.bytes_unacked();
    change(stream.send);
    unsettled_ += stream.send.unsettled();
    unacked_ += stream.send.bytes_unacked();
}

}  // namespace post::streams
