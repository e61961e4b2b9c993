// Connections: byte streams of a foreign protocol, over TCP with TLS 1.3 in it or without, as a
// Mapping: each Carrier is a connection of its own (a Link). A client opens one for each Carrier,
// to the same remote address; the first is made before there is a Carrier, as the mapping's
// handshake. On a server each connection that is taken is a mapping with one Carrier. Nothing of
// ours is on the wire: what is sent goes as it is, and what comes in one go is one message.
//
// A Carrier's end is its connection's. Finish is close_notify and FIN, and a reset is TCP's; what
// one connection meets ends no other.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mappings/mapping.hpp"
#include "mappings/tcp/endpoint.hpp"
#include "mappings/tcp/link.hpp"
#include "mappings/wire/inbox.hpp"
#include "mappings/wire/rate_meter.hpp"

namespace post::tcp {

class Connections final : public Mapping {
public:
    // `endpoint` outlives it.
    Connections(Endpoint& endpoint, Instant now, const ConnectOptions& options);
    Connections(Endpoint& endpoint, Instant now, const TransportOptions& options,
                const Address& local, const Address& remote,
                std::unique_ptr<crypto::TlsStream> tls);
    Connections(const Connections&) = delete;
    Connections& operator=(const Connections&) = delete;
    ~Connections() override;

    void reset(CarrierId carrier, Error reason) override;
    void stop(CarrierId carrier, Error reason) override;
    void extend_window(CarrierId carrier, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;
    // TCP ends no connection for its silence.
    void keep_alive(bool) override {}
    std::optional<LinkId> release(CarrierId carrier) override;
    void close(Error reason) override;

    void handle_input(Instant now, const Datagrams& bytes) override;
    void handle_link(Instant now, const LinkNews& news) override;
    void handle_timeout(Instant now) override;
    void handle_trouble(Instant, const Address&, std::error_code) override {}

    Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) override;
    void poll_events(std::vector<Event>& events) override;
    std::optional<LinkWant> poll_link() override;
    Instant deadline() const override;

    Stack stack() const override { return stack_; }
    bool links() const override { return true; }
    std::uint64_t send_window(CarrierId carrier) const override;
    Path path() const override;
    bool quiet() const override;
    Instant heard() const override { return heard_; }
    bool over() const override;

private:
    enum class State : std::uint8_t { handshaking, established, over };

    Connections(Endpoint& endpoint, Instant now, Role role, const TransportOptions& transport,
                const Address& local, const Address& remote);

    void advance(Instant now) { now_ = std::max(now_, now); }
    Link* find(LinkId id);
    Link* find(CarrierId carrier);
    std::vector<LinkId> all_links() const;

    // The life of a link.
    Link& make_link();
    void give(Link& link, CarrierId carrier);
    void begin_session(Link& link);
    void open(Link& link);
    void follow(Link& link, crypto::TlsStream::Progress progress);
    void establish(const Link& link);
    void end_if_over(Link& link);
    void fail(Link& link, Error error);
    void forget(Link& link, bool reset, const Error& last);
    void remove(Link& link, bool reset);
    void connect_waiting();
    void lose(Error error);

    void handle(Link& link, const link::Begun& news);
    void handle(Link& link, const link::Failed& news);
    void handle(Link& link, const link::Writable& news);
    void handle(Link& link, const link::Full& news);
    void handle(Link& link, const link::Ended& news);
    void handle(Link& link, const link::Broken& news);
    void handle(Link& link, const link::Unacknowledged& news);
    void measure(Duration round_trip);

    // Receiving.
    void end_reading(Link& link);
    void receive(Link& link, std::span<const std::byte> content);
    void hand_up(Link& link, std::span<const std::byte> content);
    void hand_up_early(Link& link);
    std::uint64_t window(const Link& link) const;
    std::uint64_t room(const Link& link) const;
    bool shut(const Link& link) const {
        return link.state == Link::State::open && !link.discarding &&
               room(link) <= link.early.size();
    }
    std::size_t most_to_take(const Link& link) const;
    void hold_back(Link& link);

    // Sending.
    bool can_send(const Link& link) const;
    Link* pull(Supply& supply);
    Link* take(Outgoing& outgoing, Supply& supply);
    void take_open(const Open& open, Supply& supply);
    Datagrams write(Link& link, Supply& supply, std::span<std::byte> space);
    void tell_blocked(Supply& supply);
    void unblock(Link& link);
    void list(Link& link);

    void want(const Link& link, decltype(LinkWant::what) what) {
        wants_.push_back({link.id(), what});
    }
    void arm(Link& link);
    Instant due(const Link& link) const;

    Endpoint& endpoint_;
    const Role role_;
    const Stack stack_;
    State state_ = State::handshaking;
    const TransportOptions transport_;
    std::optional<ConnectOptions> connect_;
    Address local_;
    const Address remote_;
    Instant now_;
    Instant heard_{};
    std::unordered_map<LinkId, std::unique_ptr<Link>> links_;
    std::unordered_map<CarrierId, LinkId> by_carrier_;
    LinkId spare_{0};  // the first one, until a Carrier takes it
    std::uint32_t next_link_ = 0;
    std::deque<LinkId> ready_;       // may have something to write
    std::vector<LinkId> full_;       // of which the supply is to hear
    std::deque<CarrierId> waiting_;  // opened, with more links than may be
    std::set<std::pair<Instant, LinkId>> timers_;
    std::deque<LinkWant> wants_;
    wire::Inbox inbox_;
    wire::RateMeter rate_;
    std::string alpn_;
    std::uint64_t received_ = 0;  // bytes of content on all links
    std::uint64_t allowed_ = 0;
    bool budget_spent_ = false;  // somebody waits for it
    Duration round_trip_{};      // as last measured, and the shortest
    Duration shortest_round_trip_{};
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_received_ = 0;
    bool half_open_ = false;  // counted by the endpoint
    bool mute_ = false;       // after close(): no event follows
};

}  // namespace post::tcp
