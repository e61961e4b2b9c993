// The values that cross between an association and a mapping. Never framed bytes: the association
// knows ids, chunk sizes and assembly; mappings/framing knows how they look on the wire
// (FORMAT.md), and a mapping brings the two together.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <post/bytes.hpp>
#include <post/error.hpp>
#include <post/ids.hpp>
#include <post/path.hpp>
#include <post/properties.hpp>
#include <post/sctp.hpp>
#include <post/time.hpp>
#include <post/udp.hpp>

#include "mappings/moves.hpp"

namespace post {

// A transport connection inside its Context: what a route leads to. Never on the wire.
using TransientId = Strong<struct TransientTag, std::uint64_t>;

enum class Role : std::uint8_t { client, server };

// What a Carrier is for. one_way: a Source at the opener, a Sink at the other end.
enum class CarrierKind : std::uint8_t { messages = 0, stream = 1, one_way = 2 };

// A niceness class as it is on the wire: 0 to 63.
using NicenessClass = Strong<struct NicenessClassTag, std::uint8_t>;
inline constexpr std::uint8_t niceness_classes = 64;
inline NicenessClass class_of(Niceness niceness) {
    return NicenessClass{static_cast<std::uint8_t>(niceness.value() < 63 ? niceness.value() : 63)};
}

// What a message's sender says of it to the receiving library, beside its bytes.
struct Marks {
    bool ordered = true;
    bool reliable = true;  // not: it may travel alone, outside of its Carrier's stream
    bool idempotent = false;
    bool final = false;  // the last message of its direction
    bool ask = false;    // the sender's outbox is empty: answer with DELIVERED this turn
    bool text = false;   // it is a string
    // Not said to anybody: it is bytes of a Stream, and each of its pieces may travel as a message.
    bool stream = false;
    // The same: it came before the handshake was complete (0-RTT), and may be a replay.
    bool early = false;
    bool operator==(const Marks&) const = default;
};

// By which the two ends of an association know each other again on another connection, and what
// shows that an end has it (FORMAT.md, 7.2).
using AssociationName = std::array<std::uint8_t, 16>;
using ContinuityKey = std::array<std::uint8_t, 32>;
using ContinuityProof = std::array<std::uint8_t, 32>;

// What few messages have beside: for the receiving library and application. Of a message in several
// pieces the first has it.
struct Extras {
    struct Antecedent {
        CarrierId carrier;
        NicenessClass niceness;
        Sequence sequence;
        auto operator<=>(const Antecedent&) const = default;
    };
    std::optional<Duration> lifetime{};  // what was left of it when it was packed
    std::vector<Antecedent> antecedents{};
    Properties properties{};
    core::Boxed<DatagramOptions> datagram{};  // for a transport whose messages are datagrams
};
// What properties take beside a message (FORMAT.md, 4.1), of at most Properties::largest bytes.
std::size_t properties_size(const Properties& properties);
// The same as HTTP counts them (RFC 9114, 4.2.2).
std::size_t fields_size(const Properties& properties);

// The features of a Post peer (FORMAT.md, 6.1): what it understands.
namespace feature {
inline constexpr std::uint64_t lifetime = 0x01;
inline constexpr std::uint64_t antecedents = 0x02;
inline constexpr std::uint64_t properties = 0x04;
inline constexpr std::uint64_t early = 0x08;
inline constexpr std::uint64_t attach = 0x10;
inline constexpr std::uint64_t dropped = 0x20;
inline constexpr std::uint64_t datagrams = 0x40;
inline constexpr std::uint64_t dormant = 0x200;
inline constexpr std::uint64_t standby = 0x400;
// Messages may leave before those that they come after have come.
inline constexpr std::uint64_t waits = lifetime | antecedents | dropped;
}  // namespace feature

// The end of a wait, however long.
inline Instant later(Instant now, Duration wait) { return wait < never - now ? now + wait : never; }

// No message is longer: numbers on the wire have 62 bits.
inline constexpr std::uint64_t unlimited = (std::uint64_t{1} << 62) - 1;

// Shorter content is copied wherever it has to be kept.
inline constexpr std::size_t small_content = 2048;

// A part of a message: bytes [offset, offset + bytes.size()) of `total`. A message travels as one
// piece or as several; those of one message come in order, those of different messages interleave.
struct Piece {
    CarrierId carrier;
    NicenessClass niceness;
    Sequence sequence;
    std::uint64_t offset = 0;
    std::uint64_t total = 0;
    Bytes bytes;
    Marks marks;
    core::Boxed<Extras> extras{};
    bool first() const { return offset == 0; }
    bool last() const { return offset + bytes.size() == total; }
};

// What a data channel is called and opened with (RFC 8832). Few Carriers have it.
struct ChannelInfo {
    // Of the label, and of the protocol: bytes.
    static constexpr std::size_t largest = 65535;
    std::string label;
    std::string protocol;
    ChannelOptions options{};
    bool operator==(const ChannelInfo&) const = default;
};

// The Carrier's first word (FORMAT.md, OPEN). A Carrier forked from nobody has no parent.
struct Open {
    CarrierId carrier;
    std::optional<CarrierId> parent;
    CarrierKind kind = CarrierKind::messages;
    Priority priority{};                 // of ours, for whom the transport has a word for it
    core::Boxed<ChannelInfo> channel{};  // the same
    core::Boxed<std::string> target{};   // the same: the path and query of its URL
    // Of ours, when it goes as early data: what race it is of (FORMAT.md, 5.2).
    std::optional<std::uint64_t> race{};
    // The same, where the Carrier goes on: of which association it is.
    core::Boxed<AssociationName> association{};
    // Known from an earlier connection, to a peer that has forgotten that.
    bool resumed = false;
};

// Of a Carrier of the peer's, whose first messages came as early data in this race, or as a
// connection that goes on where others of the association were.
struct EarlyKey {
    CarrierId carrier;
    std::uint64_t race = 0;
    std::optional<AssociationName> association{};  // instead of the race
};

// Our direction ends here, in good order.
struct Finish {
    CarrierId carrier;
};

// Sequence numbers [first, first + count) of a class will never be sent.
struct Skip {
    CarrierId carrier;
    NicenessClass niceness;
    Sequence first;
    std::uint64_t count = 1;
};

// The rest of a begun message will never be sent.
struct Abandon {
    CarrierId carrier;
    NicenessClass niceness;
    Sequence sequence;
};

// The first word of each side on the association's stream.
struct Settings {
    std::array<std::uint8_t, 16> association{};  // random; the client's counts
    std::optional<std::uint64_t> race;           // none: this transient is the only leaf
    std::uint64_t largest_message = 0;           // bytes; longer ones are refused at their header
    std::uint64_t carriers = 0;                  // how many Carriers the peer may have open at most
    std::uint64_t features = 0;                  // bits of FORMAT.md; unknown ones are ignored
};

// The client's word that this connection won its race (FORMAT.md, 7.1).
struct Chosen {
    std::uint64_t race = 0;  // as in its SETTINGS
};

// The connection belongs to an association that there is already (FORMAT.md, 7.2).
struct Attach {
    AssociationName association{};
    std::uint64_t epoch = 0;
    ContinuityProof proof{};
    bool early = false;
    bool standby = false;  // not yet: it stands by until it is said once more
};

// A fork was not taken; or, behind ATTACH, a Carrier is over here, which the peer may not know.
struct Refuse {
    CarrierId carrier;
    Errc reason = Errc::carrier_refused;
    Error error{};  // why it is over; none: `reason`
};

// What the peer's library holds whole (FORMAT.md, DELIVERED): every sequence number below
// `watermark`, and those in `ranges` [first, first + count); of the message `partial` the first
// `progress` bytes.
struct Delivered {
    struct Range {
        Sequence first;
        std::uint64_t count = 0;
    };
    CarrierId carrier;
    NicenessClass niceness;
    Sequence watermark;
    std::vector<Range> ranges;  // at most 32
    std::optional<Sequence> partial;
    std::uint64_t progress = 0;
    // Of those that are settled, which were dropped; at most 32.
    core::Boxed<std::vector<Range>> dropped{};
};

// What an association hands down to be written, in the order of sending.
using Outgoing =
    std::variant<Piece, Open, Finish, Skip, Abandon, Settings, Chosen, Refuse, Delivered, Attach>;

// What a mapping hands up. The order is the order in which things happened.
namespace event {

// The handshake is complete and the peer is who it must be. Always the first event but Lost, and
// Early.
struct Established {
    std::string alpn;
    bool post = false;    // the peer speaks Post frames; else the ALPN's own framing, no marks
    Bytes peer_identity;  // the peer's own certificate, DER; empty where it showed none
    bool alone = false;   // the transport takes messages that travel alone
    // Plain peers: the transport has messages itself, with bounds, order and reliability of their
    // own. So a Piece is a whole message as far as it is there, and its marks `ordered` and
    // `reliable`, and a lifetime among its extras, are the transport's business. What it may give
    // up is said to be packed_alone.
    bool messages = false;
    // Each message is a datagram: it comes by ArrivedAlone, nothing has a window, and what is sent
    // is acknowledged when the network has it.
    bool datagrams = false;
    std::uint64_t largest_message = 0;  // bytes that the transport takes in one; 0: any number
    // Each Carrier is a connection of its own, which only the client opens.
    bool connections = false;
    // Plain peers: the transport has messages with properties and bounds of their own, one a
    // direction. What comes may have no known length: then `total` is `unlimited` in all pieces but
    // the last, which says what it is.
    bool fields = false;
    bool resumed = false;  // an earlier session with the peer goes on: no certificates were shown
    // What became of our early data. `rejected`: nothing of what was pulled counts, and the mapping
    // has forgotten every Carrier.
    enum class Early : std::uint8_t { none, accepted, rejected } early = Early::none;
};
// Only to servers, before Established: what follows is early data, of a peer that has not yet
// proved that it is there, and of which each piece has Marks::early. The peer may be answered.
struct Early {
    std::string alpn;
    bool post = false;
};
// A session that a later connection of the same stack to the same peer can resume, once. Only to
// clients.
struct Ticket {
    Bytes session;     // crypto::ClientSecurity::session
    Bytes parameters;  // the peer's transport parameters that early data would go by, or empty
    std::chrono::seconds lifetime{};
    std::uint32_t early_data = 0;  // bytes that may go before the handshake; 0: none
};
// With it a later connection from the same address needs no proof of it (RFC 9000, 8.1.3), once.
struct Token {
    Bytes token;
};
// The peer opened a Carrier.
struct Opened {
    Open open;
};
// Bytes of a message. Of one message in order and without gaps; the first says `total`. With raw
// framing every piece is a whole message: what came in one go.
struct Arrived {
    Piece piece;
};
// Whole messages of class 0, one behind the other, each of less than small_content bytes, without
// marks but for `ask` on the last: what many an Arrived would say. The list is lent as bytes are.
struct ArrivedRun {
    CarrierId carrier;
    Sequence first;
    std::span<const std::span<const std::byte>> contents;
    std::uint64_t bytes = 0;  // of all of them
    bool ask = false;
    Piece piece(std::size_t at) const {
        Piece piece;
        piece.carrier = carrier;
        piece.sequence = Sequence{first.value() + at};
        piece.total = contents[at].size();
        piece.bytes = Bytes::lent(contents[at].data(), contents[at].size());
        piece.marks.ask = ask && at + 1 == contents.size();
        return piece;
    }
};
// A whole message that came alone. It used up nothing of the windows. With raw framing it is of the
// open Carrier with the lowest id.
struct ArrivedAlone {
    Piece piece;
    core::Boxed<DatagramInfo> datagram{};  // where messages are datagrams
};
// The peer ended its direction in good order: every message that it sent has arrived whole.
struct Finished {
    CarrierId carrier;
};
// The peer gave up its direction (RESET_STREAM); unfinished messages will not be finished.
struct Reset {
    CarrierId carrier;
    Error error;
};
// The peer does not want what we send on this Carrier (STOP_SENDING).
struct Stopped {
    CarrierId carrier;
    Error error;
};
// Plain peers only: the transport acknowledged the next `pieces` pieces of this Carrier.
struct Acked {
    CarrierId carrier;
    std::uint64_t pieces = 0;
};
// What became of a message that Supply::packed_alone named: the transport acknowledged it, which a
// Post peer's library need not have seen yet, or lost it, and will not send it again. Once for
// each, unless its Carrier has ended.
struct SettledAlone {
    CarrierId carrier;
    NicenessClass niceness;
    Sequence sequence;
    bool lost = false;
};
// What was reported as blocked can go on; no carrier: all that waited for a stream.
struct Unblocked {
    std::optional<CarrierId> carrier;
};
// Both directions of the Carrier are over, or nothing comes of it any more; the mapping has
// forgotten it.
struct Ended {
    CarrierId carrier;
};
// The network said something that ends nothing (RFC 9622, 8.3.1: a soft error).
struct Soft {
    CarrierId carrier;
    Error error;
};
// The transport is gone. Always the last event.
struct Lost {
    Error error;
};

}  // namespace event

using Event =
    std::variant<event::Arrived, event::ArrivedRun, event::Established, event::Opened,
                 event::Finished, event::Reset, event::Stopped, event::Acked, event::Unblocked,
                 event::Ended, event::Lost, event::ArrivedAlone, event::SettledAlone, event::Soft,
                 event::Ticket, event::Token, event::Moved, event::PathChanged, event::Early,
                 EarlyKey, Skip, Abandon, Settings, Chosen, Refuse, Delivered, Attach>;

}  // namespace post
