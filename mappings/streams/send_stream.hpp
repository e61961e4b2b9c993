// SendStream: the sending direction of one stream: what was begun and is not acknowledged.
//
//     acked           sent                end
//   ----|---------------|------------------|---->  stream offsets
//       held, in packets  held, not yet in one
//
// Frame headers and small contents are copied one behind the other into blocks, so that a hundred
// small messages are one run of bytes; large contents are held by reference. The transport keeps
// pointers into both until it reports them acknowledged, so nothing moves and nothing is released
// before. A stream with nothing to hold owns no memory: its SendQueue goes back to the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <post/bytes.hpp>

#include "mappings/values.hpp"
#include "mappings/wire/ring.hpp"

namespace post::streams {

// Contents below this are copied behind their header.
inline constexpr std::size_t copied_below = small_content;

struct SendQueue {
    static constexpr std::size_t first_block = 1024;
    static constexpr std::size_t next_block = 32 * 1024;

    wire::Ring<Bytes> segments;
    wire::Ring<std::uint64_t> ends;  // the stream offsets where pieces end
    wire::Ring<Block> filled;        // blocks that have no room left, oldest first
    Block block;                     // where the next copied bytes go
    Block spare;
    std::uint64_t end = 0;            // stream offsets: of all that was appended
    std::uint64_t sent = 0;           // and of what is in packets
    std::uint64_t cursor_offset = 0;  // how much of the segment at the cursor is sent
    std::uint64_t released = 0;       // the stream offset where the first segment begins
    std::uint32_t cursor = 0;         // index of the segment that holds what goes next
    std::uint32_t packed = 0;         // how many of `ends` were reported as packed
};

// Queues that nobody uses now. One an endpoint.
class SendPool {
public:
    std::unique_ptr<SendQueue> take();
    void give(std::unique_ptr<SendQueue> queue);

private:
    static constexpr std::size_t most_kept = 256;
    static constexpr std::size_t most_large = 8;  // of those, with larger blocks
    static constexpr std::size_t most_slots = 4096;
    std::vector<std::unique_ptr<SendQueue>> queues_;
};

class SendStream {
public:
    // Copies.
    void append(SendPool& pool, std::span<const std::byte> bytes);
    // Copies or refers, by size.
    void append(SendPool& pool, const Bytes& content);
    // A whole piece: what stands in front of it on the wire, and its content.
    void append_piece(SendPool& pool, std::span<const std::byte> header, const Bytes& content);
    // Nothing follows.
    void finish() { finish_ = true; }
    // Forgets everything; nothing can be appended any more.
    void drop(SendPool& pool);

    bool dropped() const { return dropped_; }
    bool finishing() const { return finish_; }
    std::uint64_t unsent() const { return end() - sent(); }
    // So many bytes from the beginning are acknowledged.
    std::uint64_t acked() const { return acked_; }
    // Something is left for a packet, be it the end alone.
    bool pending() const { return !dropped_ && (unsent() > 0 || (finish_ && !finish_sent_)); }
    // Something is not acknowledged.
    bool unsettled() const { return !dropped_ && (acked_ < end() || (finish_ && !finish_acked_)); }
    bool bytes_unacked() const { return !dropped_ && acked_ < end(); }

    // The next bytes for a packet, at most `limit` of them.
    struct Gathered {
        std::size_t count = 0;
        std::uint64_t bytes = 0;
        bool finish = false;  // they reach the end of the stream
    };
    using Views = std::span<std::span<const std::byte>>;
    Gathered gather(Views out, std::uint64_t limit) const;
    // The transport has put the first `bytes` of them, and perhaps the end, into a packet.
    void wrote(std::uint64_t bytes, bool finish);
    // The peer has everything up to this offset; `bytes` of it are news.
    void acked(SendPool& pool, std::uint64_t offset, std::uint64_t bytes);

    // How many pieces were packed since the last call; `keep` remembers them for take_acked.
    std::uint64_t take_packed(bool keep);
    std::uint64_t take_acked();

private:
    SendQueue& queue(SendPool& pool);
    // Without a queue everything is acknowledged.
    std::uint64_t end() const { return queue_ ? queue_->end : acked_; }
    std::uint64_t sent() const { return queue_ ? queue_->sent : acked_; }
    void release_if_settled(SendPool& pool);

    std::unique_ptr<SendQueue> queue_;
    std::uint64_t acked_ = 0;
    bool finish_ : 1 = false;
    bool finish_sent_ : 1 = false;
    bool finish_alone_ : 1 = false;  // the end travelled without bytes
    bool finish_acked_ : 1 = false;
    bool dropped_ : 1 = false;
};

}  // namespace post::streams
