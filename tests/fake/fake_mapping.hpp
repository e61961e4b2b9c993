// FakeMapping: a Mapping without a protocol, for tests of what stands above. Two of them share a
// FakeWire: a datagram holds the number of an entry there and nothing else, so bytes are passed by
// reference and a test can still delay datagrams, or drop them all (there is no retransmission:
// what follows a lost datagram never arrives, and silence ends the connection).
//
// It keeps the promises of mappings/mapping.hpp: windows, the limit of Carriers, resets, endings,
// timeouts. With `post` false it behaves like a plain peer: every arrival is a message, pieces are
// acknowledged by events, and nothing private is passed on.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "mappings/mapping.hpp"

namespace post::test {

class FakeWire;

struct FakeOptions {
    Role role = Role::client;
    Limits limits;
    Address local;
    Address remote;
    bool post = true;
    std::size_t datagrams_in_flight = 64;  // the congestion window
    Bytes peer_identity;                   // what Established shows of the peer
    bool alone = true;                     // messages may travel alone
    std::uint64_t lost_alone = 0;          // each so manieth of those is lost; 0: none
};

class FakeMapping final : public Mapping {
public:
    FakeMapping(std::shared_ptr<FakeWire> wire, const FakeOptions& options, Instant now);
    ~FakeMapping() override;

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId carrier, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;
    void keep_alive(bool wanted) override { keep_alive_ = wanted; }
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& datagrams) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant now, const Address& remote, std::error_code code) override;

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    Instant deadline() const override;

    std::uint64_t send_window(CarrierId carrier) const override;
    Path path() const override;
    bool quiet() const override;
    Stack stack() const override { return Stack::quic; }
    Instant heard() const override { return heard_at_; }
    bool over() const override { return state_ == State::over; }

private:
    friend class FakeWire;
    static constexpr std::size_t datagram_content = 1200;  // bytes of content in one datagram
    enum class State : std::uint8_t { handshaking, established, closing, over };

    // What an entry of the wire says.
    struct Hello {
        Limits limits;
        bool answer;
    };
    struct Confirm {};
    struct Say {
        Outgoing value;
    };
    struct SayAlone {
        Piece piece;
    };
    struct GiveUp {
        CarrierId carrier;
        std::uint64_t code;
    };
    struct WantNoMore {
        CarrierId carrier;
        std::uint64_t code;
    };
    struct Window {
        CarrierId carrier;
        std::uint64_t more;
    };
    struct Budget {
        std::uint64_t more;
    };
    struct Carriers {
        bool one_way;
        std::uint64_t more;
    };
    struct Ack {
        std::uint64_t entry;
    };
    struct Ping {};
    struct Close {
        std::uint64_t code;
        Bytes text;
    };
    using Word = std::variant<Hello, Confirm, Say, SayAlone, GiveUp, WantNoMore, Window, Budget,
                              Carriers, Ack, Ping, Close>;

    struct Carrier {
        CarrierKind kind = CarrierKind::messages;
        bool ours = false;
        bool opened = false;  // within the peer's limit
        bool known = false;   // to the peer
        std::deque<Outgoing> begun;
        std::uint64_t piece_sent = 0;      // bytes of the front piece that are on the wire
        std::uint64_t window = 0;          // what the peer takes
        std::uint64_t receive_window = 0;  // what we take
        std::uint64_t arrivals = 0;
        bool blocked = false;
        bool send_done = false;  // finished or reset, and acknowledged
        bool send_over = false;  // nothing more is written
        bool receive_done = false;
        bool may_send() const { return (ours || kind != CarrierKind::one_way) && !send_over; }
    };
    // What an entry of ours settles when the peer has it.
    struct Sent {
        std::map<CarrierId, std::uint64_t> pieces;
        std::vector<CarrierId> ended;
        std::vector<CarrierId> opened;
        std::vector<event::SettledAlone> alone;
    };

    void apply(const Word& word);
    void established();
    void say(const Outgoing& value);
    void arrive(Piece piece);
    void acknowledge(std::uint64_t entry);
    void begin(Outgoing outgoing, Supply& supply);
    bool wait_alone(Piece& piece);
    bool fill_alone(Supply& supply, std::vector<Word>& words, Sent& sent, std::size_t& size);
    void arrive_alone(Piece piece);
    void settle_alone(const Sent& sent);
    bool take_stream(bool one_way);
    void open_waiting();
    bool fill(Supply& supply, std::vector<Word>& words, Sent& sent);
    bool fill_carrier(CarrierId id, Supply& supply, std::vector<Word>& words, Sent& sent,
                      std::size_t& size);
    void maybe_end(CarrierId id);
    void lose(Error error);
    Instant ping_at() const;

    std::shared_ptr<FakeWire> wire_;
    const FakeOptions options_;
    State state_ = State::handshaking;
    Instant started_;
    Instant now_;
    Instant heard_at_;
    Instant last_heard_;
    Instant pinged_{};
    bool greeted_ = false;
    bool heard_ = false;
    bool mute_ = false;
    bool keep_alive_ = false;
    std::vector<Event> events_;
    std::deque<Word> control_;  // to be said before anything else
    std::deque<Outgoing> association_;
    std::map<CarrierId, Carrier> carriers_;
    std::optional<Piece> alone_;  // waits for a datagram
    std::uint64_t sent_alone_ = 0;
    std::deque<CarrierId> waiting_;  // for the peer's limit
    std::map<std::uint64_t, Sent> in_flight_;
    std::uint64_t next_expected_ = 0;  // of the peer's entries
    std::set<std::uint64_t> early_;
    std::uint64_t budget_ = 0;
    std::uint64_t streams_left_ = 0;
    std::uint64_t streams_left_one_way_ = 0;
    std::uint64_t peer_window_ = 0;  // of a Carrier that is opened
    std::uint64_t granted_[2]{};
    std::uint64_t open_[2]{};
};

// What is between the two.
class FakeWire {
public:
    FakeWire();
    ~FakeWire();

private:
    friend class FakeMapping;
    struct Entry;
    std::uint64_t next_[2]{};  // by the sender's role
    std::map<std::uint64_t, Entry> entries_[2];
};

}  // namespace post::test
