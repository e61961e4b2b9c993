// Stream: one stream of the transport and what runs on it: a Carrier, or one side's word about the
// whole association. Made when it is opened by either side (or wants to be), gone when the
// transport has closed both directions.
#pragma once

#include <cstdint>
#include <optional>

#include "mappings/framing/post_framing.hpp"
#include "mappings/streams/send_stream.hpp"
#include "mappings/values.hpp"

namespace post::streams {

struct Stream {
    enum class Purpose : std::uint8_t {
        unknown,  // the peer's, and its first frame has not come
        carrier,
        association,  // SETTINGS, DELIVERED, REFUSE, CREDIT
        forgotten,    // was a Carrier's, and is open for the transport alone (handle_timeout)
    };

    Stream(bool is_ours, bool is_one_way, std::optional<CarrierId> id_of_carrier)
        : decoder(id_of_carrier), ours(is_ours), one_way(is_one_way) {}
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Has a meaning when `purpose` is carrier.
    CarrierId carrier() const { return decoder.carrier().value_or(CarrierId{}); }
    bool opened() const { return id >= 0; }
    bool may_send() const { return (ours || !one_way) && !send.dropped(); }
    bool may_receive() const { return !ours || !one_way; }

    // The small ones stand behind what ends with room for them, since a million streams rest.
    std::int64_t id = -1;  // negative: waits until the peer allows one more
    [[no_unique_address]] framing::Decoder decoder;
    Purpose purpose = Purpose::unknown;
    std::uint8_t open_size = 0;  // ours: how many bytes OPEN takes
    framing::Encoder encoder;
    [[no_unique_address]] SendStream send;
    const bool ours : 1;
    const bool one_way : 1;
    bool named : 1 = false;              // found by its Carrier
    bool ready : 1 = false;              // in the ReadyList
    bool blocked : 1 = false;            // the peer's window for this stream is used up
    bool reported : 1 = false;           // and the supply was told
    bool credited : 1 = false;           // in the list of those with credit
    bool brought_message : 1 = false;    // something whole came on it
    bool peer_done : 1 = false;          // the peer's direction is over
    bool stopped : 1 = false;            // the peer wants nothing more
    bool stop_pending : 1 = false;       // a STOP_SENDING came before OPEN
    bool stop_read_pending : 1 = false;  // one is to be sent when the transport has the stream
    bool keyed : 1 = false;              // EARLY stands behind its OPEN
    bool begun : 1 = false;              // in the list of those that were inside a frame
    bool grew : 1 = false;               // since that was last asked
    bool watched : 1 = false;            // somebody wants to hear that its window has grown
    std::uint64_t credit = 0;            // window to be given to the peer with the next packets
    Stream* next_in_table = nullptr;
    Stream* next_ready = nullptr;  // links of the ReadyList
    Stream* previous_ready = nullptr;
};
static_assert(sizeof(Stream) <= 120, "there are a million of them");

// Streams with something for a packet, first come first served: what is in it was begun in the
// order that the supply wanted.
class ReadyList {
public:
    bool empty() const { return first_ == nullptr; }
    Stream* first() const { return first_; }

    void add(Stream& stream) {
        if (stream.ready) return;
        stream.ready = true;
        stream.previous_ready = last_;
        stream.next_ready = nullptr;
        (last_ ? last_->next_ready : first_) = &stream;
        last_ = &stream;
    }
    void remove(Stream& stream) {
        if (!stream.ready) return;
        stream.ready = false;
        (stream.previous_ready ? stream.previous_ready->next_ready : first_) = stream.next_ready;
        (stream.next_ready ? stream.next_ready->previous_ready : last_) = stream.previous_ready;
    }

private:
    Stream* first_ = nullptr;
    Stream* last_ = nullptr;
};

}  // namespace post::streams
