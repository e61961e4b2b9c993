// StreamTable: all streams of one connection, and which of them belongs to which Carrier. The links
// are in the streams, so that a stream costs a pointer here; the hash is keyed, since the peer
// chooses the ids of its Carriers. Memory of streams that are gone is used again, by all
// connections of the endpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "mappings/streams/stream.hpp"

namespace post::streams {

// Streams that are gone. One an endpoint.
class SpareStreams {
public:
    std::unique_ptr<Stream> take(bool ours, bool one_way, std::optional<CarrierId> carrier) {
        if (kept_.empty()) return std::make_unique<Stream>(ours, one_way, carrier);
        std::unique_ptr<Stream> one = std::move(kept_.back());
        kept_.pop_back();
        std::destroy_at(one.get());
        std::construct_at(one.get(), ours, one_way, carrier);
        return one;
    }
    void give(std::unique_ptr<Stream> one) {
        if (kept_.size() < most_kept) kept_.push_back(std::move(one));
    }

private:
    static constexpr std::size_t most_kept = 256;
    std::vector<std::unique_ptr<Stream>> kept_;
};

class StreamTable {
public:
    StreamTable(SpareStreams& spare, std::uint64_t key) : spare_(spare), key_(key) {}
    StreamTable(const StreamTable&) = delete;
    StreamTable& operator=(const StreamTable&) = delete;
    ~StreamTable() {
        each([](Stream& stream) { delete &stream; });
    }

    Stream& add(bool ours, bool one_way, std::optional<CarrierId> carrier) {
        if (size_ == buckets_.size()) grow();
        Stream& added = *spare_.take(ours, one_way, carrier).release();
        push(added);
        ++size_;
        return added;
    }
    // The stream is that of its Carrier from now on.
    void name(Stream& stream) { move(stream, true); }
    // The stream is no Carrier's any more.
    void unname(Stream& stream) { move(stream, false); }
    Stream* find(CarrierId carrier) const {
        if (buckets_.empty()) return nullptr;
        Stream* stream = buckets_[bucket(carrier.value())];
        while (stream && !(stream->named && stream->carrier() == carrier))
            stream = stream->next_in_table;
        return stream;
    }
    // In no order; the stream that is visited may be removed.
    template <class Visit> void each(Visit visit) const {
        for (Stream* first : buckets_)
            while (first) visit(*std::exchange(first, first->next_in_table));
    }
    void remove(Stream& stream) {
        take_out(stream);
        --size_;
        spare_.give(std::unique_ptr<Stream>(&stream));
    }

private:
    std::size_t bucket(std::uint64_t number) const {
        const auto mixed = (number ^ key_) * 0x9e3779b97f4a7c15ULL;
        return static_cast<std::size_t>(mixed >> 32) & (buckets_.size() - 1);
    }
    // Those that are nobody's stand where their address says, so that they are not all in one.
    Stream*& first(const Stream& stream) {
        return buckets_[bucket(stream.named ? stream.carrier().value()
                                            : reinterpret_cast<std::uintptr_t>(&stream))];
    }
    void push(Stream& stream) { stream.next_in_table = std::exchange(first(stream), &stream); }
    void take_out(Stream& stream) {
        Stream** link = &first(stream);
        while (*link != &stream) link = &(*link)->next_in_table;
        *link = stream.next_in_table;
    }
    void move(Stream& stream, bool named) {
        take_out(stream);
        stream.named = named;
        push(stream);
    }
    void grow() {
        std::vector<Stream*> before(std::max<std::size_t>(8, buckets_.size() * 2));
        before.swap(buckets_);
        for (Stream* stream : before)
            while (stream) push(*std::exchange(stream, stream->next_in_table));
    }

    SpareStreams& spare_;
    std::vector<Stream*> buckets_;  // as many as a power of two
    std::size_t size_ = 0;
    std::uint64_t key_;
};

}  // namespace post::streams
