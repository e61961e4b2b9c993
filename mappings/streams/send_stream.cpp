// What a sending direction holds, and when it lets go.
#include "mappings/streams/send_stream.hpp"

#include <algorithm>
#include <cstring>

namespace post::streams {

std::unique_ptr<SendQueue> SendPool::take() {
    if (queues_.empty()) return std::make_unique<SendQueue>();
    auto queue = std::move(queues_.back());
    queues_.pop_back();
    return queue;
}

void SendPool::give(std::unique_ptr<SendQueue> queue) {
    if (queues_.size() == most_kept || queue->segments.capacity() > most_slots ||
        queue->ends.capacity() > most_slots)
        return;
    queue->segments.clear();
    queue->ends.clear();
    queue->filled.clear();
    const bool large = queue->block.capacity() > SendQueue::first_block;
    if (queues_.size() >= most_large) queue->spare = Block();
    if (queue->block.sole() && !(large && queues_.size() >= most_large))
        queue->block.rewind();
    else
        queue->block = Block();
    queue->cursor_offset = 0;
    queue->cursor = queue->packed = 0;
    queues_.push_back(std::move(queue));
}

SendQueue& SendStream::queue(SendPool& pool) {
    if (!queue_) {
        queue_ = pool.take();
        queue_->released = queue_->sent = queue_->end = acked_;
    }
    return *queue_;
}

void SendStream::append(SendPool& pool, std::span<const std::byte> bytes) {
    if (dropped_ || finish_ || bytes.empty()) return;
    auto& held = queue(pool);
    held.end += bytes.size();
    while (!bytes.empty()) {
        if (held.block.room() == 0) {
            bool first = held.block.capacity() == 0;
            if (!first) held.filled.push_back(std::move(held.block));
            held.block = held.spare.capacity()
                             ? std::move(held.spare)
                             : Block(first ? SendQueue::first_block : SendQueue::next_block);
        }
        auto part = bytes.first(std::min(bytes.size(), held.block.room()));
        // The bytes just in front of these, in the same block, are the end of the last segment?
        auto* place = held.block.writable();
        bool follows = !held.segments.empty() && held.segments.back().end() == place;
        if (follows) {
            std::memcpy(place, part.data(), part.size());
            held.block.advance(part.size());
            held.segments.back().extend(part.size());
        } else {
            held.segments.push_back(held.block.append(part));
        }
        bytes = bytes.subspan(part.size());
    }
}

void SendStream::append(SendPool& pool, const Bytes& content) {
    if (content.size() < copied_below) {
        append(pool, content.span());
        return;
    }
    if (dropped_ || finish_) return;
    auto& held = queue(pool);
    held.segments.push_back(content);
    held.end += content.size();
}

void SendStream::append_piece(SendPool& pool, std::span<const std::byte> header,
                              const Bytes& content) {
    if (dropped_ || finish_) return;
    auto& held = queue(pool);
    const auto size = header.size() + content.size();
    // Mostly a small message goes right behind the one before, in the same block.
    auto* place = held.block.capacity() ? held.block.writable() : nullptr;
    const bool follows = content.size() < copied_below && held.block.room() >= size &&
                         !held.segments.empty() && held.segments.back().end() == place;
    if (follows) {
        std::memcpy(place, header.data(), header.size());
        if (!content.empty()) std::memcpy(place + header.size(), content.data(), content.size());
        held.block.advance(size);
        held.segments.back().extend(size);
        held.end += size;
    } else {
        append(pool, header);
        append(pool, content);
    }
    held.ends.push_back(held.end);
}

void SendStream::drop(SendPool& pool) {
    dropped_ = true;
    if (queue_) pool.give(std::move(queue_));
}

SendStream::Gathered SendStream::gather(Views out, std::uint64_t limit) const {
    Gathered gathered;
    if (unsent() > 0) {
        auto skip = static_cast<std::size_t>(queue_->cursor_offset);
        for (std::size_t i = queue_->cursor; i < queue_->segments.size(); ++i) {
            if (gathered.count == out.size() || gathered.bytes == limit) break;
            const auto& segment = queue_->segments[i];
            auto length = std::min<std::uint64_t>(segment.size() - skip, limit - gathered.bytes);
            if (length > 0)
                out[gathered.count++] = segment.span().subspan(skip,
                                                               static_cast<std::size_t>(length));
            gathered.bytes += length;
            skip = 0;
        }
    }
    gathered.finish = finish_ && gathered.bytes == unsent();
    return gathered;
}

void SendStream::wrote(std::uint64_t bytes, bool finish) {
    if (finish) {
        finish_sent_ = true;
        finish_alone_ = bytes == 0;
    }
    if (bytes == 0) return;
    auto& held = *queue_;
    held.sent += bytes;
    while (bytes > 0) {
        auto left = held.segments[held.cursor].size() - held.cursor_offset;
        auto step = std::min<std::uint64_t>(bytes, left);
        held.cursor_offset += step;
        bytes -= step;
        // The last segment may still grow, so the cursor stays in it.
        if (held.cursor_offset == held.segments[held.cursor].size() &&
            held.cursor + 1 < held.segments.size()) {
            ++held.cursor;
            held.cursor_offset = 0;
        }
    }
}

void SendStream::acked(SendPool& pool, std::uint64_t offset, std::uint64_t bytes) {
    if (dropped_) return;
    acked_ = std::max(acked_, std::min(offset, sent()));
    // An end that travelled with bytes is acknowledged with them; one alone by a call of its own.
    if (finish_sent_ && acked_ == end() && (!finish_alone_ || bytes == 0)) finish_acked_ = true;
    if (!queue_) return;
    auto& held = *queue_;
    while (!held.segments.empty() && held.released + held.segments.front().size() <= acked_) {
        held.released += held.segments.front().size();
        held.segments.pop_front();
        if (held.cursor > 0)
            --held.cursor;
        else
            held.cursor_offset = 0;
    }
    while (!held.filled.empty() && held.filled.front().sole()) {
        if (held.spare.capacity() == 0 && held.filled.front().capacity() == SendQueue::next_block) {
            held.spare = std::move(held.filled.front());
            held.spare.rewind();
        }
        held.filled.pop_front();
    }
    release_if_settled(pool);
}

void SendStream::release_if_settled(SendPool& pool) {
    if (acked_ < end() || !queue_->ends.empty()) return;
    pool.give(std::move(queue_));
}

std::uint64_t SendStream::take_packed(bool keep) {
    if (!queue_) return 0;
    auto& ends = queue_->ends;
    std::uint64_t count = 0;
    auto& packed = queue_->packed;
    while (packed < ends.size() && ends[packed] <= queue_->sent) {
        ++count;
        if (keep)
            ++packed;
        else
            ends.pop_front();
    }
    return count;
}

std::uint64_t SendStream::take_acked() {
    if (!queue_) return 0;
    auto& ends = queue_->ends;
    std::uint64_t count = 0;
    while (queue_->packed > 0 && ends.front() <= acked_) {
        ends.pop_front();
        --queue_->packed;
        ++count;
    }
    return count;
}

}  // namespace post::streams
