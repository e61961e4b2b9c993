// Request: one request stream, both directions. What was pulled from above and is not yet taken by
// nghttp3, how the pieces above and below correspond, and the message that arrives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <post/properties.hpp>

#include "mappings/values.hpp"
#include "mappings/wire/ring.hpp"

namespace post::http3 {

struct Request {
    explicit Request(CarrierId id_of_carrier) : carrier(id_of_carrier) {}

    CarrierId carrier;
    std::int64_t id = -1;  // of the stream; negative: it is not open yet

    // What we send.
    //
    //   nothing --> body --> ended
    //      |  ^       \__ trailers --> ended
    //      \__/ interim responses
    enum class Out : std::uint8_t { nothing, body, trailers, ended };
    Out out = Out::nothing;
    bool opening = false;   // below was asked for a stream
    bool trailers = false;  // the message announced some (`trailer`)
    bool no_body = false;   // what is sent for it is dropped: the answer to HEAD
    bool last = false;      // the chunk is the last one
    bool waits = false;     // for the server's leave to send the body
    bool held = false;      // it may not go early, and waits for the handshake
    bool unsure = false;    // it waits for SETTINGS: the server may not take such requests
    // Extended CONNECT (RFC 9220): asked for, and what flows in the tunnel has no more bounds than
    // bytes have. `within`: a message of ours is in it, and not to its end.
    bool connect = false;
    bool flows_out = false;
    bool flows_in = false;
    bool within = false;
    Instant waits_until = never;
    NicenessClass niceness{};  // of the message that is being sent
    Sequence sequence{};
    core::Boxed<std::string> target{};
    std::optional<Piece> pulled;  // waits for the stream, or for leave
    bool finish_pulled = false;   // so does a Finish
    Bytes chunk;                  // of the body, for nghttp3
    Bytes feeding;                // that it has, until it is taken back
    // So many pieces were given below, are in packets, and acknowledged there; and where ours end
    // among them.
    std::uint64_t given = 0;
    std::uint64_t packed = 0;
    std::uint64_t acked = 0;
    wire::Ring<std::uint64_t> ends;
    std::size_t reported = 0;  // of `ends`, those that are packed

    // What we receive.
    Properties fields;
    std::uint64_t fields_size = 0;
    std::uint64_t total = 0;  // of the message that arrives, `unlimited` when it is not known
    std::uint64_t received = 0;
    std::uint64_t arrivals = 0;  // messages so far
    std::uint8_t urgency = 0;    // niceness of what comes
    bool arriving = false;       // a message has begun
    bool opened = false;         // told above; ours always are
    bool ours = false;
    bool head = false;       // it asks for fields alone
    bool refused = false;    // nothing more of it is wanted
    bool peer_done = false;  // the peer's direction has ended
    std::string answer{};    // `:status` of one of our own, which waits for our streams
    bool counted = false;    // as one that the peer gave up
};

}  // namespace post::http3
