// StreamTable: all streams of one connection, and which of them belongs to which Carrier. The links
// are in the streams, so that a stream costs a pointer here; the hash is keyed, since the peer
// chooses the ids of its Carriers. Memory of streams that are gone is used again, by all
// connections of the endpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "mappings/streams/stream.hpp"

namespace post::streams {

// Streams that are gone. One an endpoint.
using SpareStreams = std::list<Stream>;

class StreamTable {
public:
    StreamTable(SpareStreams& spare, std::uint64_t key) : spare_(spare), key_(key) {}

    Stream& add(bool ours, bool one_way, std::optional<CarrierId> carrier) {
        if (spare_.empty()) {
            all_.emplace_back(ours, one_way, carrier);
        } else {
            all_.splice(all_.end(), spare_, spare_.begin());
            std::destroy_at(&all_.back());
            std::construct_at(&all_.back(), ours, one_way, carrier);
        }
        all_.back().self = std::prev(all_.end());
        return all_.back();
    }
    // The stream is that of its Carrier from now on.
    void name(Stream& stream) {
        if (named_ == buckets_.size()) grow();
        push(stream);
        ++named_;
    }
    Stream* find(CarrierId carrier) const {
        if (buckets_.empty()) return nullptr;
        Stream* stream = buckets_[bucket(carrier)];
        while (stream && stream->carrier != carrier) stream = stream->next_in_table;
        return stream;
    }
    template <class Visit> void each(Visit visit) const {
        for (const Stream& stream : all_) visit(stream);
    }
    // The stream is no Carrier's any more.
    void unname(Stream& stream) {
        if (find(stream.carrier) != &stream) return;
        Stream** link = &buckets_[bucket(stream.carrier)];
        while (*link != &stream) link = &(*link)->next_in_table;
        *link = stream.next_in_table;
        --named_;
    }
    void remove(Stream& stream) {
        unname(stream);
        if (spare_.size() < most_spare)
            spare_.splice(spare_.begin(), all_, stream.self);
        else
            all_.erase(stream.self);
    }

private:
    static constexpr std::size_t most_spare = 256;

    std::size_t bucket(CarrierId id) const {
        auto mixed = (id.value() ^ key_) * 0x9e3779b97f4a7c15ULL;
        return static_cast<std::size_t>(mixed >> 32) & (buckets_.size() - 1);
    }
    void push(Stream& stream) {
        auto& first = buckets_[bucket(stream.carrier)];
        stream.next_in_table = first;
        first = &stream;
    }
    void grow() {
        std::vector<Stream*> before(std::max<std::size_t>(8, buckets_.size() * 2));
        before.swap(buckets_);
        for (Stream* first : before)
            while (first) {
                Stream* next = first->next_in_table;
                push(*first);
                first = next;
            }
    }

    SpareStreams& spare_;
    std::list<Stream> all_;
    std::vector<Stream*> buckets_;  // as many as a power of two
    std::size_t named_ = 0;
    std::uint64_t key_;
};

}  // namespace post::streams
