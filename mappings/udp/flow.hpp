// Flow: datagrams between two addresses as a mapping (RFC 768, RFC 3828), or to or from a multicast
// group: a message is a datagram, and the one Carrier is the flow. There is no connection, window
// or acknowledgement: it is established when it is made, what comes is an ArrivedAlone and may be
// dropped, and what is sent counts as acknowledged when it was handed to the network. It ends when
// its Carrier ends, and at a Listener when it was silent for the idle timeout.
#pragma once

#include <optional>
#include <vector>

#include "mappings/mapping.hpp"
#include "mappings/wire/ring.hpp"

namespace post::udp {

class Endpoint;

struct FlowOptions {
    Stack stack = Stack::udp;
    Role role = Role::client;
    Address local;
    Address remote;  // of a Sink its group, from where nothing comes
    Limits limits;
    DatagramOptions datagrams;     // of messages that say nothing else
    std::size_t unfragmented = 0;  // bytes of payload that the interface takes in one packet
    std::size_t run_limit = 1;     // datagrams
};

class Flow final : public Mapping {
public:
    // `door`: the port's, which has to outlive it; none: it has a port of its own.
    Flow(Endpoint* door, TransientId transient, const FlowOptions& options, Instant now);
    ~Flow() override;

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId, std::uint64_t) override {}
    void extend_budget(std::uint64_t) override {}
    void keep_alive(bool) override {}
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& datagrams) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant now, const Address& remote, std::error_code code) override;

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    Instant deadline() const override;

    Stack stack() const override { return options_.stack; }
    std::uint64_t send_window(CarrierId carrier) const override;
    Path path() const override;
    bool quiet() const override { return true; }
    Instant heard() const override { return heard_; }
    bool over() const override { return over_; }

private:
    // What was pulled and is in no datagram yet.
    struct Waiting {
        Bytes bytes;
        DatagramOptions options;
        std::uint64_t pieces = 1;
    };
    // A run that is being filled.
    struct Filling {
        std::span<std::byte> space;
        Datagrams run{};
        std::size_t used = 0;
        std::size_t count = 0;
        std::uint64_t pieces = 0;
        bool full = false;  // nothing can be added any more
    };

    // False: it goes with the next run.
    bool add(Filling& filling, std::span<const std::byte> bytes, const DatagramOptions& options);
    void begin(Filling& filling, std::span<const std::byte> bytes, const DatagramOptions& options);
    void add_waiting(Filling& filling);
    void add_more(Filling& filling, Supply& supply);
    void take(Filling& filling, Supply& supply, Outgoing& outgoing);
    void take(Filling& filling, Supply& supply, Piece& piece);
    bool put_together(Piece& piece, std::uint64_t& pieces);
    void open(const Open& open);
    void end_sending();
    void end_receiving();
    void maybe_end();
    std::size_t limit(const DatagramOptions& options) const;
    std::size_t options_size(const DatagramOptions& options) const;
    Error fault(const DatagramOptions& options, std::size_t size) const;
    DatagramOptions options_of(const Piece& piece) const;

    Endpoint* door_;
    TransientId transient_;
    FlowOptions options_;
    std::optional<CarrierId> carrier_;
    std::vector<Event> events_;
    wire::Ring<Waiting> waiting_;
    // Of messages that are made while they are sent: what has come. They interleave by class only.
    struct Parts {
        NicenessClass niceness;
        Sequence sequence;
        std::vector<std::byte> bytes;
        std::uint64_t pieces = 0;
    };
    std::vector<Parts> parts_;
    Bytes alone_;              // the bytes of a datagram that was not copied, until the next call
    std::uint64_t acked_ = 0;  // pieces that events have not told of
    Sequence next_arrival_{};
    Instant heard_;
    Instant used_;  // heard, or spoken
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_received_ = 0;
    std::uint64_t packets_sent_ = 0;
    bool receives_ = true;
    bool sends_ = true;
    bool spoke_ = false;
    bool said_options_ = false;  // of IP, with some datagram
    bool lost_ = false;          // Lost was said, and is over when it was taken
    bool over_ = false;
};

}  // namespace post::udp
