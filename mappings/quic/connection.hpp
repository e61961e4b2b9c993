// Connection: one QUIC connection as a Mapping. It owns the ngtcp2 connection and the TLS session
// and brings them together with the streams; the protocol itself is ngtcp2's.
//
//           connect/accept             handshake complete            close, violation
//   (made) ---------------> handshaking ----------------> established --------------> closing
//                                |                             |                         |
//                                +---- lost, refused ----------+-- lost, peer closed     | last
//                                                     |                                  | flight
//                                                     v                                  v
//                                                   over <-------------------------------+
//
// C++ exceptions do not cross ngtcp2: what a callback throws waits until ngtcp2 has returned.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "mappings/crypto/tls_session.hpp"
#include "mappings/mapping.hpp"
#include "mappings/quic/convert.hpp"
#include "mappings/quic/endpoint.hpp"
#include "mappings/quic/errors.hpp"
#include "mappings/quic/memory.hpp"
#include "mappings/quic/moving.hpp"
#include "mappings/quic/native_streams.hpp"
#include "mappings/quic/pacer.hpp"
#include "mappings/quic/path_mtu.hpp"
#include "mappings/streams/streams.hpp"

namespace post::quic {

class Connection final : public Mapping {
public:
    // `endpoint` outlives the connection. Followed by connect() or accept().
    Connection(Endpoint& endpoint, TransientId transient, Role role,
               const TransportOptions& options, Instant now);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() override;

    Result<void> connect(const ConnectOptions& options);
    Result<void> accept(const AcceptOptions& options, const Datagrams& first,
                        const AddressProof& proof);

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId carrier, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;
    void keep_alive(bool wanted) override;
    void move(Instant now, const Move& move) override;
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& datagrams) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant now, const Address& remote, std::error_code code) override;

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    Instant deadline() const override;
    std::vector<Begun> poll_begun() override { return streams_.poll_begun(); }
    bool any_begun() const override { return streams_.any_begun(); }

    std::uint64_t send_window(CarrierId carrier) const override;
    std::uint64_t window_beyond(CarrierId carrier, std::uint64_t reserve) override {
        return streams_.window_beyond(carrier, reserve);
    }
    Path path() const override;
    bool moves() const override { return role_ == Role::client; }
    std::string log() const override { return log_; }
    bool quiet() const override;
    Stack stack() const override { return Stack::quic; }
    bool sends_early() const override { return early_ && role_ == Role::client; }
    Instant heard() const override { return heard_; }
    std::optional<ContinuityKey> continuity_key(const AssociationName& association) const override;
    std::optional<ContinuityProof> prove(const ContinuityKey& key, Role role,
                                         std::uint64_t epoch) const override;
    std::optional<ContinuityProof> prove_early(const ContinuityKey& key,
                                               std::uint64_t epoch) const override;
    Instant doubt() const override;
    bool over() const override { return state_ == State::over; }

    // Of the stream that a Carrier is; negative: it has none (yet).
    std::int64_t stream_id(CarrierId carrier) const { return streams_.stream_id(carrier); }
    // As of the Streams: for whom is on top.
    void keep_datagrams_apart() { streams_.keep_apart(); }
    std::uint64_t allowed_streams() const { return streams_.allowed(); }
    // Some packet of the peer's could be opened.
    bool heard_peer() const;
    // What came first from the client is not the beginning of its ClientHello, and its address is
    // not proved: this is over, and it should be asked to say all of it again (Retry).
    bool begun_amid() const { return begun_amid_; }
    // New keys from the next packet on (RFC 9001, 6). False: too early after the last time.
    bool update_keys();
    // How many generations of keys there have been, the next one, which is made ahead, included.
    std::uint64_t key_generations() const { return key_generations_; }

private:
    void note_heard();
    friend struct Callbacks;
    friend struct Keys;

    enum class State : std::uint8_t { handshaking, established, closing, over };

    // connection.cpp
    Result<void> begin(std::uint32_t version);
    void choose_version(std::span<const std::uint32_t> offered);
    bool alive() const { return state_ == State::handshaking || state_ == State::established; }
    Instant advance(Instant now);
    void start_tls(std::unique_ptr<crypto::TlsSession> tls);
    ConnectionId issue_id();
    void left_handshake();
    bool follows(const Address& remote);
    bool read(ngtcp2_path* path, const ngtcp2_pkt_info& info, std::span<const std::byte> datagram);
    void fail(int code);
    void end(Error error);
    void lose(Error error);
    void peer_closed();
    void rethrow();
    void remember_last_word(std::span<const std::byte> packet);
    Circumstances circumstances() const;

    // early.cpp
    void offer_early(const ConnectOptions& options);
    void begin_early();
    event::Established::Early end_early();
    bool may_write() const {
        return state_ == State::established || (early_ && state_ == State::handshaking);
    }

    // upkeep.cpp
    void start_log(ngtcp2_settings& settings, const ConnectionId& original);
    void set_keep_alive();
    void watch_silence(bool heard);
    void give_token();
    void keep_token(std::span<const std::uint8_t> token);
    void take_tickets();
    void note_quiet();
    void check_mtu();
    void count_sent(const Datagrams& run);

    // paths.cpp
    void try_move();
    void settle_move(std::optional<Move>& move, Error error);
    void check_moves();
    void on_validated(const Address& local, const Address& remote,
                      ngtcp2_path_validation_result result, bool new_token);
    bool select_preferred(const ngtcp2_preferred_addr& offered, ngtcp2_path* path) const;
    void offer_preferred(ngtcp2_transport_params& parameters, const AcceptOptions& options);
    Address near_end(const Datagrams& datagrams) const;
    void note_path();
    bool marks_get_through() const;
#if NGTCP2_VERSION_NUM >= 0x011000
    // Bytes that the peer has acknowledged.
    static std::uint64_t delivered(const ngtcp2_conn_info& info);
#endif

    // transmit.cpp
    struct Filling;
    void join_acknowledgement();
    Datagrams write_run(Supply& supply, std::span<std::byte> space);
    Datagrams write_close(std::span<std::byte> space);
    ngtcp2_ssize fill_allowed(Filling& filling, ngtcp2_path* path, ngtcp2_pkt_info* info,
                              std::uint8_t* out, std::size_t size, ngtcp2_tstamp now);
    ngtcp2_ssize fill_packet(Filling& filling, ngtcp2_path* path, ngtcp2_pkt_info* info,
                             std::uint8_t* out, std::size_t size, ngtcp2_tstamp now);
    ngtcp2_ssize fill_alone(Filling& filling, const streams::Alone& alone, ngtcp2_path* path,
                            ngtcp2_pkt_info* info, std::uint8_t* out, std::size_t size,
                            ngtcp2_tstamp now);
    Datagrams outgoing(const PathStorage& path, const ngtcp2_pkt_info& info, std::size_t segment,
                       std::span<const std::byte> bytes) const;

    // For the callbacks.
    // `body` says whether the connection may go on.
    template <class Body> int guarded(Body body) noexcept {
        try {
            return body(*this) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
        } catch (...) {
            thrown_ = std::current_exception();
            return NGTCP2_ERR_CALLBACK_FAILURE;
        }
    }
    int advance_tls(ngtcp2_encryption_level level, std::span<const std::byte> bytes);
    void on_handshake_completed();

    struct Deleter {
        void operator()(ngtcp2_conn* native) const noexcept { ngtcp2_conn_del(native); }
    };

    Endpoint& endpoint_;
    const TransientId transient_;
    const Role role_;
    State state_ = State::handshaking;
    bool begun_amid_ = false;
    bool half_open_ = true;       // counted by the endpoint
    bool authentic_ = false;      // something came that only the peer can have sent
    bool reset_by_peer_ = false;  // a stateless reset
    bool established_ = false;    // it was, even if it is closing now
    bool post_ = false;
    bool mute_ = false;   // after close(): no event follows
    bool pacing_ = true;  // ours
    bool bbr_ = false;    // and ngtcp2's pacing
    bool raw_ = false;
    bool early_ = false;        // early data goes, or comes, until the handshake is complete
    bool early_tried_ = false;  // a client's
    bool keep_alive_ = false;
    bool marked_ = false;  // what was sent last carries a congestion mark
    bool read_ = false;    // something came since the last poll_transmit
    std::size_t run_limit_ = 1;
    std::uint64_t budget_;
    std::uint64_t most_memory_;  // of memory_
    Memory memory_;              // of native_
    Instant now_;
    Address local_;
    Address seen_local_;  // of the packet that came last
    Address remote_;
    std::vector<ConnectionId> ids_;           // that lead here
    std::vector<ConnectionId> reset_tokens_;  // that end us
    PathMtu mtu_;
    Pacer pacer_;
    std::uint64_t key_update_after_;  // packets
    std::uint64_t under_key_ = 0;     // packets
    std::uint64_t packets_received_ = 0;
    Instant heard_{};          // when that last grew
    Instant awaited_ = never;  // since when something is on its way, and nothing was heard
    std::uint64_t key_generations_ = 0;
    std::uint64_t marks_ = 0;  // datagrams
    // How often the peer may move (ATTACKS A7): a few times in a row, as between two networks at
    // the edge of both, and then once a second.
    wire::RateLimit moves_{4, 1};
    Address followed_;  // where it moved to last
    Moving moving_;
    bool take_preferred_ = true;  // go where the server would rather have us
    // A new path is to be asked first, before this time (transmit.cpp); zero: no question waits.
    static constexpr Duration longest_question = std::chrono::milliseconds(25);
    Instant ask_first_until_{};
    std::optional<Duration> keep_alive_every_;
    // A client's, until it is established; what it began with, and what the server wants instead.
    std::unique_ptr<ConnectOptions> connect_;
    std::uint32_t first_version_ = 0;
    std::uint32_t next_version_ = 0;
    std::size_t tokens_ = 0;  // that the server gave
    std::string log_;         // the file; empty: none is written
    std::unique_ptr<crypto::TlsSession> tls_;
    ngtcp2_crypto_conn_ref reference_{};  // how ngtcp2's TLS hooks find us
    NativeStreams native_streams_;
    streams::Streams streams_;
    std::unique_ptr<ngtcp2_conn, Deleter> native_;
    Filling* filling_ = nullptr;  // while write_run is on the stack
    Error close_reason_;
    std::optional<std::uint8_t> close_alert_;  // when TLS found the reason
    std::exception_ptr thrown_;
    std::uint64_t bytes_received_ = 0;
    std::uint64_t bytes_sent_ = 0;
};

}  // namespace post::quic
