// Connection: TLS 1.3 over TCP with QMux in it, as a Mapping. What the Mapping calls a run of
// datagrams is here a piece of the byte stream: handle_input takes any, and poll_transmit gives the
// next bytes, a few records at a time.
//
//           connect/accept             handshake and                 close, violation
//   (made) ---------------> handshaking  parameters ---> established --------------> closing
//                                |                             |                         |
//                                +---- lost, refused ----------+-- lost, peer closed     | last
//                                                     |                                  | flight
//                                                     v                                  v
//                                                   over <-------------------------------+
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mappings/crypto/record_size.hpp"
#include "mappings/crypto/tls_stream.hpp"
#include "mappings/mapping.hpp"
#include "mappings/streams/streams.hpp"
#include "mappings/tls/endpoint.hpp"
#include "mappings/tls/qmux.hpp"
#include "mappings/wire/rate_meter.hpp"

namespace post::tls {

class Connection final : public Mapping {
public:
    // `endpoint` outlives the connection.
    Connection(Endpoint& endpoint, Instant now, const ConnectOptions& options);
    Connection(Endpoint& endpoint, Instant now, const AcceptOptions& options, const Address& local,
               const Address& remote);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() override;

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId carrier, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;
    void keep_alive(bool wanted) override { keep_alive_ = wanted; }
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& bytes) override;
    void handle_end(Instant now) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant now, const Address& remote, std::error_code code) override;

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    std::unique_ptr<Mapping> poll_successor() override { return std::move(successor_); }
    Instant deadline() const override;
    std::vector<Begun> poll_begun() override { return streams_.poll_begun(); }
    bool any_begun() const override { return streams_.any_begun(); }

    Stack stack() const override { return Stack::tls; }
    bool sends_early() const override {
        return early_ && role_ == Role::client && state_ == State::handshaking;
    }
    std::uint64_t send_window(CarrierId carrier) const override;
    std::uint64_t window_beyond(CarrierId carrier, std::uint64_t reserve) override {
        return streams_.window_beyond(carrier, reserve);
    }
    Path path() const override;
    bool quiet() const override;
    Instant heard() const override { return heard_; }
    Instant doubt() const override;
    std::optional<ContinuityKey> continuity_key(const AssociationName& association) const override;
    std::optional<ContinuityProof> prove(const ContinuityKey& key, Role role,
                                         std::uint64_t epoch) const override;
    std::optional<ContinuityProof> prove_early(const ContinuityKey& key,
                                               std::uint64_t epoch) const override;
    bool over() const override { return state_ == State::over; }

private:
    enum class State : std::uint8_t { handshaking, established, closing, over };

    Connection(Endpoint& endpoint, Instant now, Role role, const TransportOptions& transport,
               const Address& local, const Address& remote);

    // What it is when the peer goes in the handshake: a client may have found a better connection.
    Errc left() const {
        return role_ == Role::server ? Errc::connection_closed : Errc::handshake_failed;
    }
    bool alive() const { return state_ == State::handshaking || state_ == State::established; }
    Instant advance(Instant now) { return now_ = std::max(now_, now); }
    void follow(crypto::TlsStream::Progress progress);
    void hand_over();
    // early.cpp
    void offer_early(const ConnectOptions& options);
    void note_early();
    std::size_t write_early(Supply& supply, std::span<std::byte> space);
    void take_tickets();
    void establish();
    void end_by_peer(const Qmux::PeerClose& close);
    // The peer is told, and hears nothing more; with an application's code, or the transport's.
    void end(Error error);
    void lose(Error error);
    std::size_t write_records(Supply& supply, std::span<std::byte> space);
    std::size_t write_record(std::span<std::byte> space, std::size_t content);
    std::size_t write_last(std::span<std::byte> space);
    std::optional<Duration> keep_alive_every() const;
    Instant idle_at() const;
    Instant ask_at() const;
    Duration probe_timeout(Duration least_variance) const;

    Endpoint& endpoint_;
    const Role role_;
    State state_ = State::handshaking;
    const TransportOptions transport_;
    streams::Streams streams_;
    Qmux qmux_;
    std::unique_ptr<crypto::TlsStream> tls_;  // none: handed over
    const Address local_;
    const Address remote_;
    Instant now_;
    const Instant began_;
    Instant heard_{};                                // a record came
    Instant active_{};                               // or one was sent
    std::optional<event::Established> established_;  // goes before what is in the inbox
    std::optional<frame::ConnectionClose> close_;
    std::string close_reason_;
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_received_ = 0;
    std::uint64_t bytes_asked_ = 0;  // sent when the peer was asked last
    wire::RateMeter rate_;
    crypto::RecordSize record_size_;
    std::unique_ptr<Mapping> successor_;
    bool half_open_ = true;
    bool early_ = false;            // early data goes, or came
    std::uint64_t early_left_ = 0;  // bytes that may go so
    event::Established::Early outcome_ = event::Established::Early::none;
    bool keep_alive_ = false;
    bool mute_ = false;           // after close(): no event follows
    bool asked_ = false;          // a ping of ours waits for its answer
    Instant unanswered_ = never;  // since when something of ours has had no answer
};

}  // namespace post::tls
