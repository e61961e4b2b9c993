// Assembly, the finished messages, and DELIVERED. The windows are in windows.cpp.
#include "lib/association/inbox.hpp"

#include <algorithm>

namespace post::core {

namespace {

constexpr std::size_t copied_below = 16 * 1024;
constexpr std::size_t small_block = 4 * 1024;
constexpr std::size_t largest_block = 64 * 1024;

auto find(InLane& lane, NicenessClass niceness, Sequence sequence) {
    return std::find_if(lane.unfinished.begin(), lane.unfinished.end(), [&](const Assembly& one) {
        return one.niceness == niceness && one.sequence == sequence;
    });
}

}  // namespace

Result<void> Inbox::handle_piece(Instant now, InLane& lane, Piece&& piece) {
    const std::uint64_t size = piece.bytes.size();
    if (lane.received == 0) lane.epoch_began = now;  // the first window is timed from here
    lane.received += size;
    charge(size);
    if (lane.discarding || lane.over) {
        if (piece.last()) {
            receipts(lane, piece.niceness).add(piece.sequence);
            report_later(now, lane);
        }
        release(lane, size);
        return {};
    }
    if (piece.total > limits_.largest_message && !plain_) {
        release(lane, size);
        return Error(Errc::message_too_large, {}, Stage::established,
                     "a message of " + std::to_string(piece.total) + " bytes is announced, " +
                         std::to_string(limits_.largest_message) +
                         " are allowed (Bounds::largest_message)");
    }
    hold(lane);
    auto at = find(lane, piece.niceness, piece.sequence);
    const bool begun = at != lane.unfinished.end();
    const bool whole = !begun && piece.first() && piece.last();
    const bool known = !begun && !plain_ && receipts(lane, piece.niceness).has(piece.sequence);
    if (whole && known) {
        release(lane, size);
        return {};
    }
    const bool fits = begun ? piece.total == at->total && piece.offset == at->message.size()
                            : piece.first() && !known;
    if (!fits && !plain_) {
        release(lane, size);
        return Error(Errc::protocol_violation, {}, Stage::established,
                     "the chunks of a message do not fit together");
    }
    if (whole) {
        InMessage message(keep(std::move(piece.bytes)), Niceness{piece.niceness.value()},
                          piece.sequence);
        finish(now, lane, std::move(message), piece.niceness, piece.marks);
        return {};
    }
    if (!begun) {
        lane.unfinished.push_back(
            {.niceness = piece.niceness,
             .sequence = piece.sequence,
             .total = piece.total,
             .message = InMessage({}, Niceness{piece.niceness.value()}, piece.sequence)});
        at = lane.unfinished.end() - 1;
        touch(lane);
    }
    lane.assembling += size;
    lane.progressed = now;
    append(*at, std::move(piece.bytes));
    if (at->message.size() == at->total) {
        lane.assembling -= at->total;
        Assembly done = std::move(*at);
        lane.unfinished.erase(at);
        finish(now, lane, std::move(done.message), done.niceness, piece.marks);
    } else if (at->message.size() - at->reported >= report_bytes && !plain_) {
        at->reported = at->message.size();
        receipts(lane, at->niceness).progress(at->sequence, at->reported);
        lane.unreported += report_messages;  // due this turn: the sender holds bytes for it
        report_later(now, lane);
    }
    return {};
}

void Inbox::finish(Instant now, InLane& lane, InMessage message, NicenessClass niceness,
                   const Marks& marks) {
    message.mark(marks.idempotent, marks.final);
    lane.untaken += message.size();
    finished_ += message.size();
    lane.whole.push(std::move(message));
    readable(lane);
    if (plain_) return;
    Receipts& known = receipts(lane, niceness);
    known.add(lane.whole.back().sequence());
    lane.ask |= marks.ask;
    ++lane.unreported;
    report_later(now, lane);
}

void Inbox::readable(InLane& lane) {
    if (lane.told || lane.tag == no_tag) return;
    lane.told = true;
    events_.push_back(happened::Readable{lane.tag});
}

// Copies what is small, so that it does not pin the transport's receive buffer.
Bytes Inbox::keep(Bytes bytes) {
    if (bytes.size() >= copied_below || bytes.empty()) return bytes;
    if (bytes.size() >= SmallBlocks::largest) return Bytes(bytes.span());
    return small_.keep(bytes.span());
}

// A run long enough stays where it is; shorter ones are gathered in blocks that never are larger
// than what has come already, so that nobody allocates by what was only announced.
void Inbox::append(Assembly& assembly, Bytes bytes) {
    if (bytes.size() >= copied_below) {
        assembly.message.append(std::move(bytes));
        return;
    }
    while (!bytes.empty()) {
        if (assembly.tail.room() == 0) {
            const std::uint64_t rest = assembly.total - assembly.message.size();
            const std::uint64_t wish = std::clamp<std::uint64_t>(assembly.message.size(),
                                                                 small_block, largest_block);
            assembly.tail = Block(std::min(wish, rest));
        }
        const std::size_t part = std::min(bytes.size(), assembly.tail.room());
        assembly.message.append(assembly.tail.append(bytes.span().first(part)));
        bytes = bytes.slice(part);
    }
}

void Inbox::handle_skip(Instant now, InLane& lane, const Skip& skip) {
    receipts(lane, skip.niceness).add(skip.first, skip.count);
    ++lane.unreported;
    report_later(now, lane);
}

void Inbox::handle_abandon(Instant now, InLane& lane, const Abandon& abandon) {
    auto at = find(lane, abandon.niceness, abandon.sequence);
    if (at != lane.unfinished.end()) {
        lane.assembling -= at->message.size();
        release(lane, at->message.size());
        lane.unfinished.erase(at);
    }
    handle_skip(now, lane, Skip{lane.carrier, abandon.niceness, abandon.sequence, 1});
}

void Inbox::end(InLane& lane, const Error& error) {
    if (lane.over) return;
    lane.over = true;
    lane.end = error;
    release(lane, std::exchange(lane.assembling, 0));
    lane.unfinished.clear();
    lane.told = false;
    readable(lane);
}

std::optional<InMessage> Inbox::take(InLane& lane) {
    if (lane.whole.empty()) {
        lane.told = false;
        return std::nullopt;
    }
    InMessage message = std::move(lane.whole.front());
    lane.whole.pop();
    lane.untaken -= message.size();
    finished_ -= message.size();
    release(lane, message.size());
    return message;
}

void Inbox::discard(InLane& lane) {
    lane.discarding = true;
    while (take(lane)) {}
    release(lane, std::exchange(lane.assembling, 0));
    lane.unfinished.clear();
}

void Inbox::remove(InLane& lane) {
    discard(lane);
    for (Receipts& known : lane.receipts)
        if (known.changed()) last_words_.push_back(known.take(lane.carrier));
    granted_ -= lane.granted;
    unhold(lane);
    if (lane.touched) std::erase(touched_, &lane);
    if (lane.waiting) std::erase(waiting_, &lane);
    if (lane.reporting) std::erase(reporting_, &lane);
}

// DELIVERED.

Receipts& Inbox::receipts(InLane& lane, NicenessClass niceness) {
    for (Receipts& known : lane.receipts)
        if (known.niceness() == niceness) return known;
    return lane.receipts.emplace_back(niceness);
}

void Inbox::report_later(Instant now, InLane& lane) {
    if (plain_) return;
    if (!lane.reporting) {
        lane.reporting = true;
        reporting_.push_back(&lane);
        if (report_at_ == never) report_at_ = now + report_delay;
    }
    urgent_reports_ |= lane.ask || lane.unreported >= report_messages;
}

bool Inbox::next_report(Instant now, bool traffic, Delivered& report) {
    if (!last_words_.empty()) {
        report = std::move(last_words_.front());
        last_words_.pop_front();
        return true;
    }
    if (!urgent_reports_ && !traffic && now < report_at_) return false;
    while (!reporting_.empty()) {
        InLane& lane = *reporting_.back();
        for (Receipts& known : lane.receipts) {
            if (!known.changed()) continue;
            report = known.take(lane.carrier);
            return true;
        }
        lane.reporting = false;
        lane.ask = false;
        lane.unreported = 0;
        reporting_.pop_back();
    }
    urgent_reports_ = false;
    report_at_ = never;
    return false;
}

// What is urgent goes with the next packet; congestion control, and no timer, says when that is.
void Inbox::handle_timeout(Instant now) {
    if (now < report_at_) return;
    report_at_ = never;
    urgent_reports_ = true;
}

}  // namespace post::core
