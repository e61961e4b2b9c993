// Transport: what Streams want of the connection that they run on: streams as QUIC has them (RFC
// 9000, 2 to 4), whoever provides them. The news from below come the other way, as calls of the
// Streams (on_*).
#pragma once

#include <cstddef>
#include <cstdint>

#include <post/time.hpp>

namespace post::streams {

struct Stream;

class Transport {
public:
    // Commands.

    // The id of a new stream of ours; negative when the peer allows no more now.
    virtual std::int64_t open_stream(bool one_way, Stream& stream) = 0;
    // The peer's new stream `id` is this one.
    virtual void adopt(std::int64_t id, Stream& stream) = 0;
    // RESET_STREAM: nothing more is sent on it. STOP_SENDING: nothing more of it is wanted.
    virtual void reset_stream(std::int64_t id, std::uint64_t code) = 0;
    virtual void stop_sending(std::int64_t id, std::uint64_t code) = 0;
    // The peer may open so many more, and send so much more on a stream and on all together.
    virtual void extend_streams(bool one_way, std::uint64_t count) = 0;
    virtual void extend_window(std::int64_t id, std::uint64_t bytes) = 0;
    virtual void extend_budget(std::uint64_t bytes) = 0;

    // Views.

    // What the peer still takes: on all streams, on one, and on a bidirectional one that we would
    // open now.
    virtual std::uint64_t data_left() const = 0;
    virtual std::uint64_t stream_data_left(std::int64_t id) const = 0;
    virtual std::uint64_t fresh_data_left() const = 0;
    // The content of a DATAGRAM frame (RFC 9221) that a packet of `packet` bytes takes at most; 0:
    // the peer takes none.
    virtual std::size_t largest_alone(std::size_t packet) const = 0;
    // By when it is known what became of one, or it never will be.
    virtual Duration alone_patience() const = 0;

protected:
    ~Transport() = default;
};

}  // namespace post::streams
