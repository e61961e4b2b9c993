// Connection: an SCTP association as a Mapping, over DTLS (RFC 8261) or right over UDP (RFC 6951).
// Datagrams go through DTLS to usrsctp, what usrsctp sends goes back the same way, in runs.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mappings/crypto/dtls_session.hpp"
#include "mappings/mapping.hpp"
#include "mappings/sctp/channels.hpp"
#include "mappings/sctp/engine.hpp"
#include "mappings/sctp/options.hpp"
#include "mappings/sctp/packet.hpp"
#include "mappings/sctp/path_search.hpp"
#include "mappings/sctp/socket.hpp"

namespace post::sctp {

class Endpoint;

class Connection final : public Mapping {
public:
    // `dtls`: none for SCTP right over UDP. The endpoint outlives the connection.
    Connection(Endpoint& endpoint, Line& line, const ConnectionOptions& options, Instant now,
               std::unique_ptr<crypto::DtlsSession> dtls);
    // An association that a listening socket brought.
    Connection(Endpoint& endpoint, Line& line, const ConnectionOptions& options, Instant now,
               std::unique_ptr<Socket> accepted);
    ~Connection() override;

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId carrier, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;
    void keep_alive(bool wanted) override;
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& datagrams) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant now, const Address& remote, std::error_code code) override;

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    Instant deadline() const override;

    std::uint64_t send_window(CarrierId carrier) const override;
    std::uint64_t window_beyond(CarrierId carrier, std::uint64_t reserve) override {
        return channels_.window_beyond(carrier, reserve);
    }
    Path path() const override;
    bool quiet() const override;
    Stack stack() const override { return dtls_ ? Stack::sctp_dtls : Stack::sctp_udp; }
    Instant heard() const override { return heard_; }
    Instant doubt() const override;
    std::optional<ContinuityKey> continuity_key(const AssociationName& association) const override;
    std::optional<ContinuityProof> prove(const ContinuityKey& key, Role role,
                                         std::uint64_t epoch) const override;
    bool over() const override { return state_ == State::over; }

    // The endpoint's, on the way in.
    std::uint16_t local_port() const { return options_.socket.local_port; }

private:
    enum class State : std::uint8_t { handshaking, associating, established, closing, over };

    bool ending() const { return state_ == State::closing || state_ == State::over; }
    Duration ping_every() const;
    Instant ping_at() const;
    void watch_silence(bool heard);
    bool waits() const { return state_ == State::handshaking || state_ == State::associating; }
    void take_packet(std::span<std::byte> packet, Ecn ecn);
    void on_dtls(crypto::DtlsSession::Progress progress);
    void associate();
    void accept();
    void establish();
    void read();
    bool take(Notice& notice);
    void down(const notice::Down& down);
    void lose(Error error);
    void fail(Error error);
    void tell(Error error);
    void end_wait();
    Datagrams run_of(std::span<const std::byte> bytes, std::size_t segment, Ecn ecn);
    Datagrams flush(std::span<std::byte> space);
    std::size_t largest_packet() const;
    std::size_t packet_of(std::size_t payload) const {
        return (payload - overhead_) & ~std::size_t{3};
    }
    void inspect(std::span<std::byte> packet);
    void limit_added(std::span<std::byte> packet, const Chunk& chunk);
    void search_path();
    Datagrams probe(std::size_t payload, std::span<std::byte> space);
    std::size_t put(std::span<std::byte> packet, std::span<std::byte> space);

    Endpoint& endpoint_;
    Engine& engine_;
    Line& line_;
    ConnectionOptions options_;
    std::unique_ptr<crypto::DtlsSession> dtls_;
    std::unique_ptr<Socket> socket_;
    struct socket* listening_ = nullptr;  // a server's, until its client has begun
    Channels channels_;
    State state_ = State::handshaking;
    Instant now_;
    const Instant started_;
    Instant heard_;
    Instant pinged_ = Instant::min();
    Instant awaited_ = never;  // since when what is on its way brought nothing back
    Duration rtt_{};           // smoothed, as it was then
    bool authentic_ = false;   // the peer has spoken
    bool post_ = false;
    bool half_open_ = true;  // counted by the endpoint
    bool said_ = false;      // why it ends
    bool dtls_closed_ = false;
    bool unread_ = false;  // usrsctp has more than there was room for
    bool keep_alive_ = false;
    bool marked_ = false;  // for ECN, as both ends want it
    std::optional<notice::Up> up_;
    Error close_reason_;
    std::size_t overhead_ = 0;  // of DTLS, a packet
    PathSearch search_;
    std::array<std::byte, 8> header_{};  // ports and verification tag of what leaves
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_received_ = 0;
    std::uint64_t packets_sent_ = 0;
};

}  // namespace post::sctp
