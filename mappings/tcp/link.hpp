// Link: one TCP connection, with TLS in it or without, and the bytes of the one Carrier that is on
// it. It writes runs and counts what comes; what all of it means is decided by Connections.
//
//   connecting -> handshaking (with TLS) -> open
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mappings/crypto/record_size.hpp"
#include "mappings/crypto/tls_stream.hpp"
#include "mappings/framing/raw_framing.hpp"
#include "mappings/links.hpp"
#include "mappings/tcp/flight.hpp"
#include "mappings/values.hpp"
#include "mappings/wire/datagrams.hpp"
#include "mappings/wire/ring.hpp"

namespace post::tcp {

class Link {
public:
    enum class State : std::uint8_t { connecting, handshaking, open };

    // A run for the system, and how many pieces of the Carrier end in it.
    struct Written {
        std::span<const std::byte> bytes;
        bool end = false;  // nothing follows
        std::uint64_t pieces = 0;
        std::uint64_t content = 0;
        bool empty() const { return bytes.empty() && !end; }
    };

    Link(LinkId id, Instant now, std::size_t segment) : id_(id), began_(now), size_(segment) {}

    // Sending.

    // The next of what the Carrier sends. Its bytes are held until they are written.
    void push(const Piece& piece);
    // Our direction ends behind all that was pushed.
    void finish() { finishing_ = true; }
    bool finishing() const { return finishing_; }
    // There is something to be written, and the session allows it.
    bool has_output() const;
    std::uint64_t queued() const { return queued_; }
    // All that was begun is pushed and written.
    bool at_rest() const { return queue_.empty() && !inside_; }
    // The end of our direction was written, and all of it is acknowledged.
    bool sent_all() const { return ended_ && flight.settled(); }
    // The next run; `space` takes what is not written where it lies. The bytes are valid until the
    // next call.
    Written write(Instant now, std::span<std::byte> space);

    // What Connections keeps here.

    LinkId id() const { return id_; }
    Instant began() const { return began_; }

    State state = State::connecting;
    std::unique_ptr<crypto::TlsStream> tls;  // none: no TLS, or not yet
    std::optional<framing::RawDecoder> reader;
    std::optional<CarrierId> carrier;
    Flight flight;
    std::size_t run = link::Writable{}.run;  // how many bytes one run should have
    bool room = false;                       // in the system
    bool listed = false;                     // among those that may have something to write
    bool blocked = false;     // the supply was told, and offers nothing of the Carrier
    bool wants_room = false;  // Unblocked is due when there is some
    bool leaving = false;     // it has failed, and has a last word
    // Receiving.
    std::uint64_t received = 0;  // bytes of content
    std::uint64_t allowed = 0;
    std::size_t most = ~std::size_t{0};  // what the system was told to take at most
    std::size_t beyond = 0;              // bytes of records that came while there was no window
    bool discarding = false;             // nobody wants what comes
    bool finished = false;               // the peer's direction has ended in good order
    bool told = false;                   // and the Carrier has heard so
    std::vector<std::byte> early;        // came before there was a Carrier, or room in its window
    Instant armed = never;               // in the table of timers

private:
    // Content to the front of `space`; of each part how long it is, and whether a piece ends there.
    template <class OnPart> std::size_t take(std::span<std::byte> space, OnPart on_part);
    Written write_plain(Instant now, std::span<std::byte> space);
    Written write_records(Instant now, std::span<std::byte> space);

    const LinkId id_;
    const Instant began_;
    crypto::RecordSize size_;
    wire::Ring<Bytes> queue_;  // pieces
    Bytes writing_;            // what was written where it lies
    std::uint64_t queued_ = 0;
    bool inside_ = false;  // of a message of several pieces
    bool finishing_ = false;
    bool ended_ = false;
};

}  // namespace post::tcp
