// Connection: HTTP/3 (RFC 9114) as a Mapping, on a connection of QUIC, which is a Mapping too: it
// has streams for Carriers, and nothing of Post on them. A Carrier is a request: one message each
// way, whose properties are the fields and whose content is the body.
//
//   above   Carrier        message: fields, content          message (1xx), ..., message, trailers
//             |                     |                                       ^
//   here    Request ----> nghttp3 (frames, QPACK, rules of HTTP) ----> fields, body, end
//             |                     |                                       ^
//   below   Carrier of    bytes of request, control and QPACK streams ------+
//           raw streams
//
// nghttp3 knows no socket and no clock either: bytes go in, bytes and callbacks come out. All that
// it has to send is taken from it at once and waits below, where the windows are; so it never holds
// more than what was pulled last. Requests have the same id above and below; the streams of the
// connection itself have ids that no Carrier reaches.
//
// A server's connection may turn out to speak another protocol (ALPN): then this passes everything
// through.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <post/function.hpp>

#include "mappings/http3/control_rules.hpp"
#include "mappings/http3/remembered.hpp"
#include "mappings/http3/request.hpp"
#include "mappings/mapping.hpp"
#include "mappings/wire/rate_limit.hpp"
#include "mappings/wire/ring.hpp"

struct nghttp3_conn;

namespace post::http3 {

inline constexpr std::string_view alpn = "h3";

// Limits of ATTACKS A20: of a field section as it is counted in RFC 9114, 4.2.2, of the dynamic
// table of QPACK, and of streams that wait for it.
inline constexpr std::uint64_t largest_section = Properties::largest_fields;
inline constexpr std::size_t dynamic_table = 4096;
inline constexpr std::size_t blocked_streams = 16;

struct Options {
    // What requests are made to where they do not say it (`:authority`); of a client.
    std::string authority;
    // The protocols of extended CONNECT that are taken (HttpOptions::connect); of a server.
    std::vector<std::string> connect{};
    // Of a client that resumes: what the server's SETTINGS were, without which nothing goes early.
    std::optional<Remembered> remembered{};
};

class Connection final : public Mapping {
public:
    // `below`: what quic::Endpoint made, just begun.
    Connection(std::unique_ptr<Mapping> below, Role role, Options options);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() override;

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId carrier, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override { below_->extend_budget(bytes); }
    void keep_alive(bool wanted) override { below_->keep_alive(wanted); }
    void move(Instant now, const Move& move) override { below_->move(now, move); }
    void retire() override;
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& datagrams) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant now, const Address& remote, std::error_code code) override;

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    Instant deadline() const override;

    Stack stack() const override {
        return role_ == Role::client || native_ ? Stack::http3 : below_->stack();
    }
    std::uint64_t send_window(CarrierId carrier) const override;
    Path path() const override { return below_->path(); }
    std::string log() const override { return below_->log(); }
    bool quiet() const override { return ready_.empty() && below_->quiet(); }
    Instant heard() const override { return below_->heard(); }
    bool moves() const override { return below_->moves(); }
    bool over() const override { return below_->over(); }
    bool sends_early() const override { return early_ && role_ == Role::client; }

    std::size_t requests() const { return requests_.size(); }

private:
    friend struct Callbacks;
    class Filling;

    // The streams of the connection itself (RFC 9114, 6.2.1; RFC 9204, 4.2).
    enum class Own : std::uint8_t { control, encoder, decoder };
    static constexpr std::size_t own_streams = 3;
    // Resets of requests that were not answered (ATTACKS A8).
    static constexpr std::uint32_t reset_burst = 1000;
    static constexpr std::uint32_t resets_per_second = 100;
    // How far ahead of what is open a client may speak of streams (PRIORITY_UPDATE); each costs
    // about a KiB.
    static constexpr std::uint64_t most_ahead = 1024;
    // A client's body waits so long for the server's leave (RFC 9110, 10.1.1).
    static constexpr Duration leave_patience = std::chrono::seconds(1);

    // Tickets that wait for the SETTINGS (ATTACKS A17).
    static constexpr std::size_t most_tickets = 16;

    // connection.cpp
    CarrierId own(Own which) const;
    void start();
    bool bind();
    std::int64_t stream_id(CarrierId carrier) const;
    Request* find(CarrierId carrier);
    Request* find_stream(std::int64_t id);
    Request& make(CarrierId carrier);
    void forget(CarrierId carrier);
    void fail(int native_code);
    void end(Error error);
    void lose(const Error& error);
    void end_if_retired();

    // early.cpp
    void begin_early();
    bool hold_early(Request& request, const Piece& piece);
    void end_early(event::Established::Early outcome);
    void begin_again();
    bool keep_settings(const Remembered& settings);
    void handle(event::Early& event);
    void handle(event::Ticket& event);

    // connection_receive.cpp: what comes up.
    template <class Value> void handle(Value& event) { events_.push_back(std::move(event)); }
    void handle(event::Established& event);
    void handle(event::Opened& event);
    void handle(event::Arrived& event);
    void handle(event::ArrivedRun& event);
    void handle(event::ArrivedAlone& event);
    void handle(event::Finished& event);
    void handle(event::Reset& event);
    void handle(event::Stopped& event);
    void handle(event::Acked& event);
    void handle(event::Unblocked& event);
    void handle(event::Ended& event);
    void handle(event::Lost& event);
    void read(CarrierId carrier, const Bytes& bytes, bool finish);
    bool cancelled_too_often(Request& request);
    // And what nghttp3 says of it. False: the connection must end.
    void on_begin(std::int64_t id);
    bool on_field(std::int64_t id, std::string_view name, std::string_view value);
    void on_fields(std::int64_t id);
    void on_trailers(std::int64_t id);
    void on_body(std::int64_t id, std::span<const std::byte> bytes);
    void on_end(std::int64_t id);
    void on_retired(std::int64_t id);
    void on_unwanted(std::int64_t id, std::uint64_t code);
    void on_given_up(std::int64_t id, std::uint64_t code);
    void give_back(std::int64_t id, std::uint64_t bytes);
    Piece part(const Request& request, Bytes bytes) const;
    Bytes slice(std::span<const std::byte> bytes) const;
    void begin_message(Request& request, std::uint64_t total);
    void end_message(Request& request);
    void begin_request(Request& request);
    void begin_response(Request& request);
    void too_large(Request& request);
    void refuse(Request& request, std::uint64_t code);

    // tunnels.cpp: extended CONNECT, and HTTP Datagrams.
    bool offers_datagrams() const { return role_ == Role::client || !options_.connect.empty(); }
    bool on_settings(const Remembered& settings);
    bool may_ask(Request& request, const Piece& piece, Supply& supply);
    void flow(Request& request, std::span<const std::byte> bytes);
    void begin_datagram(const Request& request, const Piece& piece, Supply& supply);
    void read_datagram(const Piece& piece);

    // connection_send.cpp: what goes down.
    void begin(Outgoing& outgoing, Supply& supply);
    void begin_open(const Open& open);
    void begin_piece(Piece& piece, Supply& supply);
    void begin_finish(CarrierId carrier);
    void open_stream(Request& request);
    Error wrong(const Request& request, const Piece& piece) const;
    Error submit(Request& request, const Piece& piece);
    void feed(Request& request, const Piece& piece);
    void write(Request& request, const Piece& piece, Supply& supply);
    void answer(Request& request, std::string_view status);
    void answer_all();
    void wait_for_leave(Request& request, const Piece& piece, Supply& supply);
    void go_on(Request& request);
    void take_all();
    void take(CarrierId carrier, std::span<const std::span<const std::byte>> parts);
    // Of both, one behind the other.
    Bytes copy(std::span<const std::byte> bytes, std::span<const std::byte> behind = {});
    void settle_packed(Request& request, Supply& supply);
    void settle_acked(Request& request);
    void serve_resumed(Supply& supply);

    struct Deleter {
        void operator()(nghttp3_conn* native) const noexcept;
    };

    std::unique_ptr<Mapping> below_;
    const Role role_;
    Options options_;
    std::unique_ptr<nghttp3_conn, Deleter> native_;  // of one that speaks HTTP/3
    bool bound_ = false;                             // the connection's own streams are open
    bool ended_ = false;                             // Lost was said, or close() called
    bool retired_ = false;                           // the peer takes no further requests (GOAWAY)
    bool retiring_ = false;                          // nor do we
    bool settled_ = false;                           // the peer's SETTINGS came, and say
    bool takes_connect_ = false;                     // that it takes extended CONNECT
    bool takes_datagrams_ = false;                   // and HTTP Datagrams
    bool early_ = false;          // requests go, or come, before the handshake is complete
    bool keeps_promise_ = false;  // the server took them, by what is remembered of it
    bool reading_early_ = false;  // what is read came so
    Remembered settings_;
    std::vector<event::Ticket> tickets_;
    Instant now_{};
    Error end_;  // that nghttp3's callbacks want
    std::unordered_map<CarrierId, Request> requests_;
    std::unordered_map<std::int64_t, CarrierId> streams_;
    std::vector<CarrierId> resumed_;  // those whose stream was opened, or whose body may go
    std::vector<Event> heard_events_;
    std::vector<Event> events_;
    wire::Ring<Outgoing> ready_;  // for below
    Block block_;
    const Bytes* reading_ = nullptr;  // while nghttp3 reads it
    std::size_t given_ = 0;           // above, of what is read
    std::exception_ptr thrown_;       // out of one of its callbacks
    std::size_t waiting_for_leave_ = 0;
    std::int64_t highest_ = -1;  // of the streams of a client's requests
    ControlRules control_rules_;
    wire::RateLimit resets_{reset_burst, resets_per_second};
    Outgoing out_;
};

}  // namespace post::http3
