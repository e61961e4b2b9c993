// How a Carrier's bytes become a run of the stream.
#include "mappings/tcp/link.hpp"

#include <algorithm>

namespace post::tcp {

namespace {

// Longer ones are written where they lie.
constexpr std::size_t copied_below = 16 * 1024;
// A record in pieces would be late by a segment: what does not fit has the next run.
constexpr std::size_t least_space = 256 + crypto::tls_overhead;

}  // namespace

void Link::push(const Piece& piece) {
    inside_ = !piece.last();
    queued_ += piece.bytes.size();
    queue_.push_back(piece.bytes.held());
}

bool Link::has_output() const {
    if (tls && tls->has_output()) return true;
    if (state != State::open || leaving) return false;
    return !queue_.empty() || (finishing_ && !ended_);
}

Link::Written Link::write(Instant now, std::span<std::byte> space) {
    writing_ = {};
    return tls ? write_records(now, space) : write_plain(now, space);
}

template <class OnPart> std::size_t Link::take(std::span<std::byte> space, OnPart on_part) {
    std::size_t taken = 0;
    while (!queue_.empty()) {
        Bytes& front = queue_.front();
        const std::size_t size = std::min(space.size() - taken, front.size());
        std::copy_n(front.begin(), size, space.begin() + static_cast<std::ptrdiff_t>(taken));
        taken += size;
        queued_ -= size;
        front.remove_prefix(size);
        const bool ends = front.empty();
        if (ends) queue_.pop_front();
        on_part(size, ends);
        if (!ends) break;
    }
    return taken;
}

Link::Written Link::write_plain(Instant now, std::span<std::byte> space) {
    Written written;
    const auto on_part = [&](std::size_t size, bool ends) {
        flight.sent(now, size);
        if (ends) flight.piece_ends();
        written.pieces += ends ? 1 : 0;
    };
    if (!queue_.empty() && queue_.front().size() >= copied_below) {
        writing_ = std::move(queue_.front());
        queue_.pop_front();
        queued_ -= writing_.size();
        written.bytes = writing_.span();
        on_part(writing_.size(), true);
    } else {
        written.bytes = space.first(take(space, on_part));
    }
    written.content = written.bytes.size();
    if (finishing_ && queue_.empty()) written.end = !std::exchange(ended_, true);
    return written;
}

// What of a piece is in a record is not there before all of the record is.
Link::Written Link::write_records(Instant now, std::span<std::byte> space) {
    Written written;
    std::size_t used = 0;
    const auto take_output = [&] {
        const std::size_t size = tls->take_output(space.subspan(used));
        flight.sent(now, size);
        used += size;
    };
    take_output();
    while (!tls->has_output() && state == State::open && !leaving && !queue_.empty() &&
           space.size() - used >= least_space) {
        if (tls->keys_worn()) {
            tls->update_keys(false);
            take_output();
            continue;
        }
        const auto rest = space.subspan(used);
        const std::size_t limit = std::min(rest.size() - crypto::tls_overhead, size_.limit(now));
        std::uint64_t pieces = 0;
        const std::size_t taken = take(rest.subspan(crypto::tls_header_size, limit),
                                       [&](std::size_t, bool ends) { pieces += ends ? 1 : 0; });
        size_.sent(now, taken);
        written.content += taken;
        // A record without content would only cost.
        const std::size_t size = taken > 0 ? tls->seal(rest, taken) : 0;
        flight.sent(now, size);
        for (std::uint64_t i = 0; i < pieces; ++i) flight.piece_ends();
        written.pieces += pieces;
        used += size;
    }
    if (finishing_ && queue_.empty() && state == State::open && !ended_ && !leaving) {
        tls->close();
        take_output();
        if (!tls->has_output()) written.end = ended_ = true;
    }
    written.bytes = space.first(used);
    return written;
}

}  // namespace post::tcp
