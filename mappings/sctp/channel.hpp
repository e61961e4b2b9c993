// Channel: one Carrier on SCTP: the two halves of one stream id (RFC 8831), and what waits to be
// said on it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mappings/framing/post_framing.hpp"
#include "mappings/sctp/dcep.hpp"
#include "mappings/sctp/socket.hpp"
#include "mappings/values.hpp"

namespace post::sctp {

struct Channel {
    // Plain peers: the parts of a message of ours that is made while it is sent.
    struct Parts {
        NicenessClass niceness;
        Sequence sequence;
        std::uint64_t pieces = 0;
        std::vector<std::byte> bytes{};
    };

    Channel(CarrierId id, CarrierKind of_kind, bool is_ours)
        : carrier(id),
          kind(of_kind),
          decoder(is_ours ? std::optional(id) : std::nullopt),
          ours(is_ours) {
        receive_over = is_ours && of_kind == CarrierKind::one_way;
        send_over = !is_ours && of_kind == CarrierKind::one_way;
    }

    bool may_send() const { return !send_over && !send_closed; }
    bool over() const { return receive_over && send_over && !unexplained; }
    std::uint64_t window() const { return limit > sent ? limit - sent : 0; }
    bool watched = false;  // somebody wants to hear that it has grown

    const CarrierId carrier;
    const CarrierKind kind;
    framing::Decoder decoder;
    framing::Encoder encoder;
    std::optional<StreamId> stream;  // none: waits for a free one
    std::vector<Outgoing> begun;     // pulled and not said, for want of window, room or stream

    std::uint64_t sent = 0;       // bytes of content
    std::uint64_t limit = 0;      // what the peer takes
    std::uint64_t received = 0;   // bytes of content
    std::uint64_t allowed = 0;    // what we take
    std::uint64_t told = 0;       // and what of it the peer knows
    std::uint64_t arrivals = 0;   // plain peers: the next message's sequence number
    std::uint64_t unacked = 0;    // plain peers: pieces said since all was acknowledged
    std::uint64_t stop_code = 0;  // of a STOP that follows OPEN
    std::vector<Parts> parts;
    ChannelTerms terms{};         // plain peers
    std::uint32_t name_size = 0;  // of what the peer called it

    const bool ours;
    bool said = false;             // the peer may know of it
    bool acknowledged = false;     // it does
    bool reported = false;         // the supply was told that it is blocked
    bool credited = false;         // in the list of those that wait for CREDIT
    bool waits = false;            // in the list of those that have something begun
    bool finishing = false;        // our last word is begun
    bool send_closed = false;      // nothing more is said
    bool send_over = false;        // our half is reset, and the peer knows
    bool receive_dropped = false;  // what still comes is for nobody
    bool finished = false;         // FIN came
    bool receive_over = false;     // the peer's half is reset
    bool end_told = false;         // Finished or Reset went up
    bool unexplained = false;      // the peer's half is reset, and its RESET on its way
    bool brought_message = false;  // something whole came
};

}  // namespace post::sctp
