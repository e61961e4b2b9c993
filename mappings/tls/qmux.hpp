// Qmux: QMux version 1 (draft-ietf-quic-qmux): QUIC's streams over an ordered and reliable byte
// stream. It knows frames, states and flow control, and nothing of TLS, sockets or Carriers: the
// content of the byte stream goes in, records of frames come out, and what it means for streams is
// told to Streams, which tells Qmux in turn what to open, to reset and to grant (Transport).
//
// What is in a record counts as acknowledged: the byte stream repairs its losses itself (QMux,
// QUIC Frames).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "mappings/streams/streams.hpp"
#include "mappings/tls/frames.hpp"
#include "mappings/tls/parameters.hpp"

namespace post::tls {

class Qmux final : public streams::Transport {
public:
    // `streams` outlives the calls.
    Qmux(Role role, const Limits& limits, streams::Streams& streams);

    // Input. False: the connection must end, and violation() or peer_close() has the reason.

    // Any part of the byte stream, however it is cut.
    bool handle_input(Instant now, std::span<const std::byte> bytes);
    struct Violation {
        TransportError code = TransportError::no_error;
        Error error;
    };
    const std::optional<Violation>& violation() const { return violation_; }
    struct PeerClose {
        bool application = false;
        std::uint64_t code = 0;
        std::string reason;
    };
    const std::optional<PeerClose>& peer_close() const { return peer_close_; }
    // The peer's parameters have come: streams may be used.
    bool ready() const { return told_; }
    // Instead of them, until they come: what the peer said the last time, for early data (QMux,
    // Using 0-RTT).
    void remember(const Parameters& theirs);
    // Early data was rejected: nothing of it was ever there.
    void begin_again();
    // The peer's parameters.
    const std::optional<Parameters>& theirs() const { return theirs_; }

    // Output: each writes one record to `space` and says how long it is; 0 for nothing.

    std::size_t fill(Instant now, Supply& supply, std::span<std::byte> space);
    std::size_t write_close(const frame::ConnectionClose& close, std::span<std::byte> space);
    // Asks the peer whether it is there.
    void ping(Instant now);

    // Views.

    // The lesser of both ends' (QMux, Idle Timeout); `never` where neither has one.
    Duration idle_timeout() const;
    // All that was said of streams the peer has answered: a ping that came behind it.
    bool confirmed() const { return !unasked_ && !asked_after_; }
    // A ping waits for its answer, or to be sent; since when it waits for it.
    bool asking() const { return ping_due_ || ping_sent_at_ != never; }
    Instant asked_at() const { return ping_sent_at_; }
    // Of the last ping, and of all; zero before there was one.
    Duration smoothed_rtt() const { return smoothed_rtt_; }
    Duration minimum_rtt() const { return minimum_rtt_; }
    Duration rtt_variance() const { return rtt_variance_; }
    std::uint64_t records_received() const { return records_received_; }
    // The last record that was filled had something of streams in it, and not only what answers.
    bool carried() const { return carried_; }

    // For Streams.

    std::int64_t open_stream(bool one_way, streams::Stream& stream) override;
    void adopt(std::int64_t id, streams::Stream& stream) override;
    void reset_stream(std::int64_t id, std::uint64_t code) override;
    void stop_sending(std::int64_t id, std::uint64_t code) override;
    void extend_streams(bool one_way, std::uint64_t count) override;
    void extend_window(std::int64_t id, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;
    std::uint64_t data_left() const override { return send_.left(); }
    std::uint64_t stream_data_left(std::int64_t id) const override;
    std::uint64_t fresh_data_left() const override;
    // What is in a DATAGRAM frame arrives as surely as anything here, so we send none.
    std::size_t largest_alone(std::size_t) const override { return 0; }
    Duration alone_patience() const override { return Duration{}; }

private:
    // What may be sent, on a stream or on all.
    struct SendWindow {
        std::uint64_t used = 0;
        std::uint64_t most = 0;
        std::uint64_t blocked_at = ~std::uint64_t{0};  // what the peer was told
        std::uint64_t left() const { return most - used; }
    };
    // What may come.
    struct ReceiveWindow {
        std::uint64_t used = 0;
        std::uint64_t most = 0;     // the peer knows
        std::uint64_t granted = 0;  // it shall know
        bool wanted = false;        // it said that it waits for more
        // Worth a frame: a quarter of what it may send by then, or all that it can have.
        bool due() const {
            return granted > most && (wanted || (granted - most) * 4 >= granted - used);
        }
        std::uint64_t announce() {
            wanted = false;
            return most = granted;
        }
    };
    // One stream.
    struct Link {
        streams::Stream* stream = nullptr;
        SendWindow send;
        ReceiveWindow receive;
        std::uint64_t reset_code = 0;
        std::uint64_t stop_code = 0;
        bool one_way = false;
        bool may_send = true;
        bool reset_due = false;
        bool stop_due = false;
        bool stopped = false;  // what comes is thrown away
        bool listed = false;   // in due_
        bool send_done = false;
        bool receive_done = false;
    };
    // Streams of one kind that one end opens.
    struct Count {
        std::uint64_t opened = 0;
        std::uint64_t most = 0;     // that may be
        std::uint64_t granted = 0;  // the peer shall know
        std::uint64_t blocked_at = ~std::uint64_t{0};
    };

    // qmux.cpp
    std::int64_t id_of(std::uint64_t index, bool ours, bool one_way) const;
    bool is_ours(std::uint64_t stream) const;
    Link& add(std::int64_t id, streams::Stream& stream);
    Link* find(std::int64_t id);
    const Link* find(std::int64_t id) const;
    void list(std::int64_t id, Link& link);
    void close_if_done(std::int64_t id, Link& link);
    bool violate(TransportError code, std::string text);

    // qmux_receive.cpp
    bool handle_record(std::span<const std::byte> record);
    bool handle(const frame::Padding&) { return true; }
    bool handle(const frame::ResetStream& frame);
    bool handle(const frame::StopSending& frame);
    bool handle(const frame::Stream& frame);
    bool handle(const frame::MaxData& frame);
    bool handle(const frame::MaxStreamData& frame);
    bool handle(const frame::MaxStreams& frame);
    bool handle(const frame::DataBlocked&) { return receive_.wanted = true; }
    bool handle(const frame::StreamDataBlocked& frame);
    bool handle(const frame::StreamsBlocked&) { return true; }
    bool handle(const frame::ConnectionClose& frame);
    bool handle(const frame::TransportParameters& frame);
    bool handle(const frame::Ping& frame);
    bool handle(const frame::Datagram& frame);
    // The stream that a frame names; null when it has ended, or when the frame broke a rule.
    Link* named(std::uint64_t stream, bool receiving, const char* what);
    bool open_theirs(std::uint64_t index, bool one_way);
    bool charge(Link& link, std::uint64_t bytes);
    void sample(Duration rtt);

    void grant(const Parameters& theirs);

    // qmux_send.cpp
    void write_control(wire::Writer& out);
    void write_due(wire::Writer& out, std::int64_t id);
    void write_streams(Supply& supply, std::span<std::byte> space, std::size_t& used);
    bool write_stream(streams::Stream& stream, Supply& supply, std::uint64_t window,
                      std::span<std::byte> space, std::size_t& used);

    const Role role_;
    const Parameters ours_;
    std::optional<Parameters> theirs_;  // or what is remembered of them
    streams::Streams& streams_;
    std::unordered_map<std::int64_t, Link> links_;
    std::vector<std::int64_t> due_;  // streams with a word to say
    SendWindow send_;
    ReceiveWindow receive_;
    std::array<Count, 2> own_{};  // bidirectional, unidirectional
    std::array<Count, 2> their_{};
    std::vector<std::byte> partial_;  // of a record
    std::optional<Violation> violation_;
    std::optional<PeerClose> peer_close_;
    std::uint64_t pings_sent_ = 0;            // also the sequence number of the last
    std::optional<std::uint64_t> last_ping_;  // of the peer's
    std::optional<std::uint64_t> answer_due_;
    Instant ping_sent_at_ = never;
    Duration smoothed_rtt_{};
    Duration minimum_rtt_{};
    Duration rtt_variance_{};
    Instant now_{};
    std::uint64_t records_received_ = 0;
    bool told_ = false;      // the peer's parameters have come
    bool declared_ = false;  // our parameters are sent
    bool ping_due_ = false;
    bool carried_ = false;
    bool unasked_ = false;      // something was said of streams behind the last ping
    bool asked_after_ = false;  // or in front of it, and nothing is answered yet
};

}  // namespace post::tls
