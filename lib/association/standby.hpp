// Hot standby (Policy::standby; FORMAT.md, 7.3): a client's connection of TLS beside the one in
// use, whose server knows by a proof whose it is. When the one in use is lost or doubted, ATTACH on
// this one takes its place, without a race.
//
//             poll               established              lost, doubted: attached
//   waits ------------> coming -----------------> ready --------------------------> waits, until
//     ^                    |                        |                               it is wanted
//     +---- after a pause -+----- lost, silent -----+
//
// Redundancy (Policy::redundant_below): meanwhile it takes copies of short messages. A copy is
// nobody's but its message's: the outbox knows that it may have come, and DELIVERED settles it.
#pragma once

#include <deque>
#include <unordered_map>

#include "lib/association/association.hpp"

namespace post::core {

// A client's.
class Association::Standby final : private Supply {
public:
    static constexpr Duration first_pause = std::chrono::seconds(1);
    static constexpr Duration longest_pause = std::chrono::seconds(64);
    // Its numbers are none of a race's. A connection of TCP is found by its socket, so that they
    // need not fit into a TransientId.
    static constexpr std::uint8_t first_attempt = 32;
    // What a server says before it is attached: SETTINGS, and tickets.
    static constexpr std::size_t most_events = 32;
    static constexpr std::size_t most_copies = 64;      // that wait for room
    static constexpr std::size_t largest_copy = 1200;   // bytes of content
    static constexpr std::size_t most_carriers = 1024;  // that are open on it

    Standby(Association& owner, Duration redundant_below)
        : self_(owner), redundant_below_(redundant_below) {}

    // Once a turn: it ends when nobody wants it any more.
    void tend();
    // A connection is wanted now.
    std::optional<Connect> poll(Instant now);
    bool is(AttemptId attempt) const { return asked_ && attempt == attempt_; }
    void handle_failure(Instant now, const Error& error);
    void drain(Instant now, Leaf& leaf);
    void handle_timeout(Instant now);
    Instant deadline() const;
    Datagrams poll_transmit(Instant now, Mapping& mapping, std::span<std::byte> space);
    // The connection in use is gone, or may as well be: this one takes its place. False: there is
    // none that is ready.
    bool take_over(Instant now, const Error& cause);

    // Whether a message shall go over both; and its copy.
    bool wants_copy(const Lane& lane, const SendOptions& options, std::size_t size) const;
    void copy(Lane& lane, const SendOptions& options, Sequence sequence, Bytes bytes);
    // The Carrier is over.
    void forget(CarrierId carrier);
    // How many of these packed pieces are no copies from before this connection was in use.
    std::uint64_t without_copies(CarrierId carrier, std::uint64_t pieces);
    void forget_copies() { owed_.clear(); }

    // Ready to be taken; nullptr: none is.
    const Mapping* ready() const;
    // "standby: tls to 10.0.0.2:4433", or why there is none.
    std::string string() const;

private:
    // Supply.
    Outgoing* next() override;
    void packed(CarrierId carrier, std::uint64_t pieces) override;
    void packed_alone(CarrierId, NicenessClass, Sequence) override {}
    void blocked(CarrierId carrier) override;

    // Whether one that is there stays, and whether one that is not is looked for; or why not.
    bool may_stay() const;
    const char* why_not() const;
    Leaf* leaf() const { return asked_ ? self_.leaf(attempt_) : nullptr; }
    void establish(Instant now, Leaf& leaf, event::Established&& event);
    void handle(Instant now, Leaf& leaf, Event& event);
    void drop(Leaf& leaf, const Error& reason);
    void lose(Instant now, const Error& why);
    void reopen(const std::vector<CarrierId>& carriers);

    Association& self_;
    const Duration redundant_below_;
    bool asked_ = false;  // for a connection: it comes, or is there
    AttemptId attempt_{};
    std::optional<event::Established> established_;  // it is ready
    Instant ready_{};                                // since then
    std::deque<Outgoing> unsaid_;                    // SETTINGS, and ATTACH
    std::vector<Event> events_;                      // for when it is attached
    Error cause_;                                    // why there is none
    Instant retry_{};                                // the next one
    Duration pause_ = first_pause;
    std::deque<Piece> copies_;
    // The Carriers that are open on it, with the copies that were pulled and are in no packet yet;
    // and these, of the connection that was attached last.
    std::unordered_map<CarrierId, std::uint64_t> opened_;
    std::unordered_map<CarrierId, std::uint64_t> owed_;
    std::vector<CarrierId> blocked_;
    Outgoing out_;
};

// A server's connection that stands by for an association there is. It is an association of its
// own, until it is attached.
class Association::Standing final {
public:
    // How often it looks whether it still is wanted.
    static constexpr Duration look_every = std::chrono::seconds(10);
    static constexpr std::size_t most_copies = 256;     // in one turn
    static constexpr std::size_t most_answers = 16384;  // that the client has not taken

    explicit Standing(Association& fresh) : self_(fresh) {}
    ~Standing() { self_.shared_.standbys.forget(owner_, self_.id()); }
    Standing(const Standing&) = delete;
    Standing& operator=(const Standing&) = delete;

    void believe(AssociationId owner);
    // It still stands by, and is to look again.
    bool look(Instant now);
    // What comes before it is attached.
    void handle(Event&& event);
    AssociationId owner() const { return owner_; }
    std::vector<Piece> take_copies() { return std::exchange(copies_, {}); }
    void answered(std::size_t count) { answers_ += count; }
    // What the association has to hear of when it is attached.
    std::vector<Event> opened() const;

private:
    void take(Piece&& piece);

    Association& self_;
    AssociationId owner_{};  // none: its proof was not looked at yet
    bool believed_ = false;
    std::size_t answers_ = 0;  // since all that was said had arrived
    std::vector<Piece> copies_;
    std::vector<Open> opened_;
};

}  // namespace post::core
