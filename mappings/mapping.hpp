// Mapping: one transport connection that carries the Carriers of one association, whatever the
// protocol. Sans-I/O: datagrams and the time go in, datagrams, events and a deadline come out; it
// knows no socket and no clock, and holds no pointer upwards. Where it runs on a byte stream, a run
// of datagrams is the next bytes of that.
//
// The contract, tested for every mapping by the same list (tests/contract):
//   * handle_input, handle_timeout and the commands only change state; what they cause is seen by
//     poll_event and poll_transmit. No command fails late: what cannot be done any more is ignored,
//     and an event says why.
//   * A Carrier that we open begins with an Open from the supply; the peer's begin with
//     event::Opened. A command for a Carrier that the mapping does not know does nothing.
//   * Bytes handed over in a Piece are held by the mapping (by count, or copied) until the
//     transport has acknowledged them or the Carrier is gone. Those of less than small_content
//     bytes are lent until the next call of next(): it copies them.
//   * In the same way bytes of less than small_content in an event may be lent until the next call
//     of poll_events, which comes in the same turn.
//   * A whole message whose mark `reliable` is off may travel alone: in a datagram of its own, past
//     its Carrier's stream and its windows, and never a second time. The mapping decides that with
//     the message in hand, and only when the peer is sure to know the Carrier; else it goes on the
//     stream like any other. One that waits for its packet keeps the mapping from pulling anything
//     behind it, so there is never more than one.
//   * Time never goes back between two calls.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <post/policy.hpp>

#include "mappings/links.hpp"
#include "mappings/values.hpp"
#include "mappings/wire/datagrams.hpp"

namespace post {

// The outbox as a mapping sees it while it fills packets: it pulls the next thing when there is
// room, so that what is urgent is decided at the last moment. Handed to poll_transmit, never kept.
class Supply {
public:
    virtual ~Supply() = default;
    // The most urgent thing that nothing blocks, or nullptr. It counts as begun: the mapping will
    // write it all, in this order within the Carrier. Valid until the next call of next().
    virtual Outgoing* next() = 0;
    // More of the Carrier and class whose whole message next() gave last: the contents of those
    // right behind it, as long as they need nothing but that (no marks, no extras, no chunks), each
    // of less than small_content bytes; with one byte for each not much more than `room`. They
    // count as pulled, piece by piece, and are lent as a Piece's. A mapping may do without.
    using Run = std::span<const std::span<const std::byte>>;
    virtual Run more(std::uint64_t room) {
        static_cast<void>(room);
        return {};
    }
    // The next `pieces` pieces of this Carrier, in the order in which they were pulled, are in
    // packets to their last byte.
    virtual void packed(CarrierId carrier, std::uint64_t pieces) = 0;
    // The message that was pulled last travels alone and is in a packet. packed() never counts it,
    // event::SettledAlone tells what becomes of it.
    virtual void packed_alone(CarrierId carrier, NicenessClass niceness, Sequence sequence) = 0;
    // The message that was pulled last cannot be carried, and nothing of it was: it fails.
    virtual void refused(CarrierId carrier, NicenessClass niceness, Sequence sequence,
                         const Error& reason) {
        static_cast<void>(carrier), static_cast<void>(niceness), static_cast<void>(sequence);
        static_cast<void>(reason);
    }
    // The Carrier can take no more now (its flow control window is used up, or no stream may be
    // opened): offer nothing of it until event::Unblocked, nor what could travel alone. What was
    // pulled is kept.
    virtual void blocked(CarrierId carrier) = 0;
};

// How far a mapping may go; every number can be set by the application.
struct Limits {
    std::uint64_t carrier_window = 32 * 1024;  // receive window of a fresh Carrier, bytes
    std::uint64_t budget = 64 * 1024 * 1024;   // received and untaken bytes, all Carriers
    std::uint64_t carriers = 100;              // Carriers the peer may open at once, at first
    std::uint64_t most_carriers = 65536;       // and at most, as it uses them
    std::uint64_t largest_message = 16 * 1024 * 1024;
    Duration handshake_timeout = std::chrono::seconds(10);
    Duration idle_timeout = std::chrono::seconds(30);
    std::optional<Duration> keep_alive{};  // none: a third of the idle timeout; zero: never
};

class Mapping {
public:
    virtual ~Mapping() = default;

    // Commands.

    // Our direction is given up at once: what is not acknowledged is dropped.
    virtual void reset(CarrierId carrier, Error reason) = 0;
    // We want nothing more of what the peer sends on this Carrier.
    virtual void stop(CarrierId carrier, Error reason) = 0;
    // The peer may send `bytes` more content on this Carrier. A mapping adds what its own framing
    // needs by itself.
    virtual void extend_window(CarrierId carrier, std::uint64_t bytes) = 0;
    // The peer may send `bytes` more content on all Carriers together.
    virtual void extend_budget(std::uint64_t bytes) = 0;
    // Whether silence may end the connection (its idle timeout), or something is said from time to
    // time (Limits::keep_alive). It may, at first.
    virtual void keep_alive(bool wanted) = 0;
    // Gives away the byte stream that a Carrier is: it has ended, and the caller has its
    // connection. None: it is no such stream, or something of it is in our hands.
    virtual std::optional<LinkId> release(CarrierId carrier) {
        static_cast<void>(carrier);
        return std::nullopt;
    }
    // The peer is told to open no further Carriers, where the protocol has a word for it (GOAWAY);
    // those that are open go on.
    virtual void retire() {}
    // Goes to another path. At most one is under way: an earlier one is cancelled. Only where
    // moves() is true.
    virtual void move(Instant now, const Move& move) {
        static_cast<void>(now);
        static_cast<void>(move);
    }
    // Ends the connection: poll_transmit writes one last flight, no event follows but Lost.
    virtual void close(Error reason) = 0;

    // Input. All datagrams of a run belong to this connection.

    virtual void handle_input(Instant now, const Datagrams& datagrams) = 0;
    // The peer has closed its direction of the byte stream that the connection runs on.
    virtual void handle_end(Instant now) { static_cast<void>(now); }
    // Where each Carrier is a byte stream of its own: something happened to one of them.
    virtual void handle_link(Instant now, const LinkNews& news) {
        static_cast<void>(now);
        static_cast<void>(news);
    }
    virtual void handle_timeout(Instant now) = 0;
    // The network reports trouble on the way to `remote` (ICMP; the code is an errno). It can end
    // an attempt; an established connection takes it as a hint.
    virtual void handle_trouble(Instant now, const Address& remote, std::error_code code) = 0;

    // Output.

    // Fills `space` with a run of datagrams; empty when there is nothing to send or nothing may be
    // sent now. Call until it is empty. `space` should hold largest_run bytes.
    virtual Datagrams poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) = 0;
    // Moves all events out, in order, to the end of `events`.
    virtual void poll_events(std::vector<Event>& events) = 0;
    // What shall become of the byte streams, one thing at a time. To be asked before poll_transmit
    // and after it.
    virtual std::optional<LinkWant> poll_link() { return std::nullopt; }
    // The handshake has chosen another mapping, which takes the place of this one with all that it
    // was told; ask after each input.
    virtual std::unique_ptr<Mapping> poll_successor() { return nullptr; }
    // When handle_timeout wants to be called; `never` when it does not.
    virtual Instant deadline() const = 0;
    // Carriers on which the peer has begun something of which nothing could be handed up yet, as
    // the header of a message is; and whether more of it came since this was last asked. To be
    // asked from time to time while there may be any.
    struct Begun {
        CarrierId carrier;
        bool grew = false;
    };
    virtual std::vector<Begun> poll_begun() { return {}; }
    virtual bool any_begun() const { return false; }

    // Views.

    virtual Stack stack() const = 0;
    // A client's: it pulls from the supply before Established, for early data (0-RTT).
    virtual bool sends_early() const { return false; }
    // Whether it runs on byte streams that it numbers itself (mappings/links.hpp).
    virtual bool links() const { return false; }
    // Whether it is a client's connection that can go to another path.
    virtual bool moves() const { return false; }
    // How many bytes of content this Carrier could send now, as far as the peer's windows go.
    virtual std::uint64_t send_window(CarrierId carrier) const = 0;
    // How much of the Carrier's own window is left beyond `reserve` bytes, whatever all together
    // have. Where that is nothing, event::Unblocked comes when the window has grown.
    virtual std::uint64_t window_beyond(CarrierId carrier, std::uint64_t reserve) {
        static_cast<void>(carrier), static_cast<void>(reserve);
        return unlimited;
    }
    virtual Path path() const = 0;
    // The name of the file of its own log, where it writes one.
    virtual std::string log() const { return {}; }
    // True when nothing is left to be sent again: all that was packed is acknowledged.
    virtual bool quiet() const = 0;
    // When the peer was last heard: something of its came, and it was genuine.
    virtual Instant heard() const = 0;
    // Continuity (FORMAT.md, 7.2), once established: the key by which the ends of this handshake
    // know each other again; and the proof, for this very connection, that an end has a key. None
    // where the connection is not secured, or its handshake has no such secret.
    virtual std::optional<ContinuityKey> continuity_key(const AssociationName& association) const {
        static_cast<void>(association);
        return std::nullopt;
    }
    virtual std::optional<ContinuityProof> prove(const ContinuityKey& key, Role role,
                                                 std::uint64_t epoch) const {
        static_cast<void>(key), static_cast<void>(role), static_cast<void>(epoch);
        return std::nullopt;
    }
    // The same of a client, for its early data: of one that sends_early(), and at a server that
    // takes some. Neither kind of proof is one of the other.
    virtual std::optional<ContinuityProof> prove_early(const ContinuityKey& key,
                                                       std::uint64_t epoch) const {
        static_cast<void>(key), static_cast<void>(epoch);
        return std::nullopt;
    }
    // When it will be likely that the path is broken, if nothing is heard until then: something
    // is on its way, and three probe timeouts have passed. `never`: nothing is awaited.
    virtual Instant doubt() const { return never; }
    // True after the last flight of close() was written, or the connection was lost: the mapping
    // may be destroyed.
    virtual bool over() const = 0;
};

}  // namespace post
