// Messages that come alone, outside of their Carrier's stream (FORMAT.md, 8.1). No window held
// their sender back, so each is charged like any other, and what finds no room is dropped.
#include "lib/association/inbox.hpp"

namespace post::core {

// Most of the budget was promised to streams; what comes beside them adds an eighth at most, and
// nothing when half is in use.
bool Inbox::has_room(const InLane& lane, std::uint64_t size) const {
    return lane.untaken() < lane.window && size <= limit(lane) &&
           unpromised_ + size <= limits_.budget / 8 &&
           charged_ + overhead_ + size <= limits_.budget / 2 &&
           context_.charged + context_.overhead + size <= context_.limit / 2;
}

void Inbox::handle_alone(Instant now, InLane& lane, Piece&& piece, After& after,
                         core::Boxed<DatagramInfo> datagram) {
    const std::uint64_t size = piece.bytes.size();
    const Antecedent name{lane.carrier, piece.niceness, piece.sequence};
    const bool begun = lane.work && find(*lane.work, piece.niceness, piece.sequence) !=
                                        lane.work->unfinished.end();
    const bool known = !plain_ && (begun || lane.has(name) || successors_.contains(name));
    if (known) return;
    if (lane.discarding || lane.over || !has_room(lane, size)) {
        if (plain_) return;
        drop(lane, name);
        lane.ask |= piece.marks.ask;
        ++lane.work->unreported;
        report_later(now, lane);
        settle(name, 1, false);
        return give_out_free(now);
    }
    work(lane);  // finish() counts on it
    // As if it had been promised; so nothing is given back for it when it is taken, but what the
    // Carrier holds untaken counts against its window.
    lane.promised += static_cast<std::int64_t>(size);
    count_come(now, lane, size);
    unpromised_ += size;
    charge(size);
    hold(lane);
    InMessage message(keep(piece.bytes), Niceness{piece.niceness.value()}, piece.sequence);
    if (piece.extras) message.describe(piece.extras->properties);
    message.come_as(std::move(datagram));
    come(now, lane, std::move(message), name, piece.marks, &after);
}

void Inbox::handle_copy(Instant now, InLane& lane, Piece&& piece) {
    if (lane.discarding || lane.over || !has_room(lane, piece.bytes.size())) return;
    // What has an order comes in it: behind all that was sent before.
    std::uint64_t next = piece.niceness == NicenessClass{} ? lane.watermark : 0;
    bool full = false;
    if (lane.work)
        for (const Receipts& known : lane.work->receipts)
            if (known.niceness() == piece.niceness) next = known.watermark(), full = known.full();
    const bool is_next = piece.sequence.value() == next;
    // And what would be forgotten could be taken twice.
    if (!is_next && (piece.marks.ordered || full)) return;
    After after;
    handle_alone(now, lane, std::move(piece), after);
}

}  // namespace post::core
