// Assembly, the finished messages, and DELIVERED. The windows are in windows.cpp.
#include "lib/association/inbox.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace post::core {

namespace {

constexpr std::size_t copied_below = 16 * 1024;
constexpr std::size_t small_block = 4 * 1024;
constexpr std::size_t largest_block = 64 * 1024;

// Rings with more room than this are not kept for the next lane.
constexpr std::size_t most_kept_messages = 256;

}  // namespace

std::vector<Assembly>::iterator Inbox::find(InWork& work, NicenessClass niceness,
                                            Sequence sequence) {
    return std::find_if(work.unfinished.begin(), work.unfinished.end(), [&](const Assembly& one) {
        return one.niceness == niceness && one.sequence == sequence;
    });
}

bool InLane::has(const Antecedent& name) const {
    if (!work) return name.niceness == NicenessClass{} && name.sequence.value() < watermark;
    return std::any_of(work->receipts.begin(), work->receipts.end(), [&](const Receipts& known) {
        return known.niceness() == name.niceness && known.has(name.sequence);
    });
}

InWork& Inbox::work(InLane& lane) {
    if (!lane.work) {
        lane.work = works_.take();
        auto& receipts = lane.work->receipts;
        if (receipts.empty())
            receipts.emplace_back(NicenessClass{}, lane.watermark);
        else
            receipts.front() = Receipts(NicenessClass{}, lane.watermark);
    }
    return *lane.work;
}

// Of a lane at rest only the watermark of class 0 is kept; one that used other classes, or waits
// for what comes before what it has, keeps what knows of them.
void Inbox::release_if_idle(InLane& lane) {
    if (!lane.work || lane.reporting || lane.waiting || lane.touched) return;
    InWork& work = *lane.work;
    if (!work.whole.empty() || !work.unfinished.empty() || work.granted > 0) return;
    if (work.successors > 0) return;
    if (work.receipts.size() != 1 || !work.receipts.front().plain()) return;
    unhold(lane);
    lane.watermark = work.receipts.front().watermark();
    work.unreported = 0;
    if (work.whole.capacity() > most_kept_messages) work.whole = {};
    works_.give(std::move(lane.work));
}

// The common case: the next messages of class 0, short and whole, of a Carrier in good order.
bool Inbox::handle_run(Instant now, InLane& lane, const event::ArrivedRun& run) {
    if (plain_ || lane.discarding || lane.over || limit(lane) < small_content) return false;
    InWork& work = this->work(lane);
    const auto count = static_cast<std::uint32_t>(run.contents.size());
    if (!work.unfinished.empty() || work.successors > 0) return false;
    if (!work.receipts.front().next(run.first, count)) return false;
    count_come(now, lane, run.bytes);
    charge(run.bytes);
    hold(lane);
    std::uint64_t sequence = run.first.value();
    for (const auto content : run.contents)
        work.whole.emplace(small_.keep(content), Niceness{}, Sequence{sequence++});
    if (traced_)
        for (std::size_t at = work.whole.size() - count; at < work.whole.size(); ++at)
            trace(lane, work.whole[at]);
    lane.ask |= run.ask;
    count_finished(now, lane, count, run.bytes, count * sizeof(InMessage));
    if (!successors_.empty()) {
        settle({lane.carrier, {}, run.first}, count, true);
        give_out_free(now);
    }
    return true;
}

Result<void> Inbox::handle_piece(Instant now, InLane& lane, Piece&& piece, After* after) {
    std::uint64_t size = piece.bytes.size();
    InWork& work = this->work(lane);
    count_come(now, lane, size);
    charge(size);
    if (lane.discarding || lane.over) {
        release(lane, size);
        if (piece.last() && !plain_) {
            receipts(lane, piece.niceness).add(piece.sequence);
            report_later(now, lane);
            settle({lane.carrier, piece.niceness, piece.sequence}, 1, true);
            give_out_free(now);
        }
        return {};
    }
    hold(lane);
    auto at = find(work, piece.niceness, piece.sequence);
    const bool begun = at != work.unfinished.end();
    const bool whole = !begun && piece.first() && piece.last();
    const Antecedent name{lane.carrier, piece.niceness, piece.sequence};
    const bool known = !begun && !plain_ &&
                       (receipts(lane, piece.niceness).has(piece.sequence) ||
                        (work.successors > 0 && successors_.find(name)));
    // A copy, be it of an earlier connection's, or the rest of one: whoever sends it has not heard
    // that it is here.
    if (known) {
        release(lane, size);
        if (!piece.last()) return {};
        lane.ask |= piece.marks.ask;
        ++work.unreported;
        report_later(now, lane);
        return {};
    }
    // Of one that an earlier connection began the front may come again.
    const bool fits = begun ? piece.total == at->total && piece.offset <= at->received
                            : piece.first();
    if (!fits && !plain_) {
        release(lane, size);
        return Error(Errc::protocol_violation, {}, Stage::established,
                     "the chunks of a message do not fit together");
    }
    // Whoever has not asked for anything yet may ask for parts. What has no known length is too
    // long when so much of it is here.
    const bool open_ended = fields_ && piece.total == unlimited;
    const std::uint64_t length = open_ended ? work.assembling + size : piece.total;
    if (length > limit(lane) && lane.asked && (!begun || (open_ended && lane.minimum == 0))) {
        release(lane, size);
        return too_long(lane, length);
    }
    if (fields_ && begun && piece.total < at->total) {
        at->total = piece.total;
        at->message.end_at(piece.total);
    }
    if (whole) {
        InMessage message(keep(piece.bytes), Niceness{piece.niceness.value()}, piece.sequence);
        if (piece.extras) message.describe(piece.extras->properties);
        if (raw_ || piece.marks.stream) message.mark_raw();
        come(now, lane, std::move(message), name, piece.marks, after);
        return {};
    }
    if (!begun) {
        work.unfinished.push_back(
            {.niceness = piece.niceness,
             .sequence = piece.sequence,
             .total = piece.total,
             .message = InMessage({}, Niceness{piece.niceness.value()}, piece.sequence),
             .marks = piece.marks});
        at = work.unfinished.end() - 1;
        at->message.mark(piece.marks.idempotent, piece.marks.final);
        if (piece.marks.text) at->message.mark_text();
        if (piece.marks.early) at->message.mark_early();
        if (piece.extras) at->message.describe(piece.extras->properties);
        touch(lane);
        if (after && (after->failed || !after->missing.empty())) {
            at->waits = true;
            hold_back(now, lane, name, waiting_for(now, lane, piece.marks, *after));
        }
    }
    const std::uint64_t copied = std::min(at->received - piece.offset, size);
    if (begun && copied > 0) {
        release(lane, copied);
        piece.bytes.remove_prefix(copied);
        size -= copied;
    }
    at->received += size;
    at->marks.ask |= piece.marks.ask;
    work.progressed = now;
    if (at->waits && successors_.find(name)->failed) {
        release(lane, size + at->message.size());
        work.assembling -= at->message.size();
        at->message = InMessage({}, at->message.niceness(), at->sequence);
        at->tail = {};
    } else {
        work.assembling += size;
        append(*at, std::move(piece.bytes));
    }
    if (at->received == at->total) {
        Assembly done = std::move(*at);
        work.unfinished.erase(at);
        work.assembling -= done.message.size();
        touch(lane);
        if (done.waits) {
            work.waiting += done.message.size();
            successors_.complete(name, std::move(done.message));
            give_out_free(now);
        } else {
            come(now, lane, std::move(done.message), name, done.marks, nullptr);
        }
        return {};
    }
    if (at->received - at->reported >= report_bytes && !plain_) {
        at->reported = at->received;
        receipts(lane, piece.niceness).progress(at->sequence, at->reported);
        work.unreported += report_messages;  // due this turn: the sender holds bytes for it
        report_later(now, lane);
    }
    if (lane.minimum > 0 && may_part(*at, lane)) readable(lane);
    return {};
}

std::uint64_t Inbox::limit(const InLane& lane) const {
    constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
    if (plain_ && !fields_) return none;
    // Whole messages are granted as a whole.
    if (lane.minimum > 0) return lane.limit() ? lane.limit() : none;
    return lane.limit() ? std::min(lane.limit(), limits_.budget / 2) : limits_.largest_message;
}

Error Inbox::too_long(const InLane& lane, std::uint64_t total) const {
    return Error(Errc::message_too_large, {}, Stage::established,
                 "a message of " + std::to_string(total) + " bytes is announced, " +
                     std::to_string(limit(lane)) +
                     " are allowed (Bounds::largest_message, Carrier::largest_message); longer "
                     "ones can be received in parts");
}

void Inbox::set_limit(InLane& lane, std::uint64_t bytes) {
    lane.set_limit(bytes);
    if (lane.work && !lane.work->unfinished.empty()) touch(lane);
}

std::optional<Error> Inbox::too_large(const InLane& lane) const {
    if (!lane.work || lane.minimum > 0) return std::nullopt;
    if (!lane.empty()) {
        const std::uint64_t first = lane.work->whole.front().total();
        return first > limit(lane) ? std::optional(too_long(lane, first)) : std::nullopt;
    }
    for (const Assembly& one : lane.work->unfinished) {
        if (fields_ && one.total == unlimited && one.message.size() <= limit(lane)) continue;
        if (one.total - one.message.offset() > limit(lane)) return too_long(lane, one.total);
    }
    return std::nullopt;
}

void Inbox::finish(Instant now, InLane& lane, InMessage message, const Antecedent& name,
                   const Marks& marks) {
    if (!plain_) receipts(lane, name.niceness).add(name.sequence);
    message.mark(marks.idempotent, marks.final);
    if (marks.text) message.mark_text();
    if (marks.early) message.mark_early();
    lane.final |= marks.final;
    lane.ask |= marks.ask && !plain_;
    if (traced_) trace(lane, message);
    count_finished(now, lane, 1, message.size(), overhead_of(message));
    lane.work->whole.push(std::move(message));
    settle(name, 1, true);
}

void Inbox::count_finished(Instant now, InLane& lane, std::uint32_t messages, std::uint64_t bytes,
                           std::uint64_t overhead) {
    lane.work->untaken += bytes;
    finished_ += bytes;
    weigh(lane, static_cast<std::int64_t>(overhead));
    readable(lane);
    if (plain_) return;
    lane.work->unreported += messages;
    report_later(now, lane);
}

void Inbox::readable(InLane& lane) {
    if (lane.told || lane.tag == no_tag) return;
    lane.told = true;
    events_.push_back(happened::Readable{lane.tag});
}

// Copies what is small, so that it does not pin the transport's receive buffer.
Bytes Inbox::keep(const Bytes& bytes) {
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
    // What another connection began of them will not go on.
    if (lane.work)
        for (const Assembly& one : lane.work->unfinished)
            if (one.niceness == skip.niceness && one.sequence >= skip.first &&
                one.sequence.value() - skip.first.value() < skip.count)
                return handle_abandon(now, lane, {lane.carrier, skip.niceness, one.sequence}),
                       handle_skip(now, lane, skip);
    receipts(lane, skip.niceness).add(skip.first, skip.count);
    ++lane.work->unreported;
    report_later(now, lane);
    settle({lane.carrier, skip.niceness, skip.first}, skip.count, false);
    give_out_free(now);
}

void Inbox::handle_abandon(Instant now, InLane& lane, const Abandon& abandon) {
    InWork& work = this->work(lane);
    auto at = find(work, abandon.niceness, abandon.sequence);
    if (at != work.unfinished.end()) {
        Assembly given_up = std::move(*at);
        work.unfinished.erase(at);
        const std::uint64_t size = given_up.message.size();
        work.assembling -= size;
        if (given_up.waits) let_go(lane, *successors_.remove(given_up.name(lane.carrier)));
        release(lane, size);
        wake_for_part(lane);
        // Whoever has seen a part of it hears that there is no more.
        if (given_up.message.offset() > 0) {
            given_up.message.cut_short(given_up.total);
            weigh(lane, static_cast<std::int64_t>(overhead_of(given_up.message)));
            work.whole.push(std::move(given_up.message));
            hold(lane);
            readable(lane);
        }
    }
    handle_skip(now, lane, Skip{lane.carrier, abandon.niceness, abandon.sequence, 1});
}

void Inbox::end(Instant now, InLane& lane, const Error& error, bool whole) {
    const bool in_order = error == Errc::carrier_closed && !error.cause && error.detail.empty();
    const bool good = in_order && whole;
    // It ended in good order, and what waits for others waits in vain when those are lost.
    const bool in_vain = lane.over && !in_order && lane.work && lane.work->successors > 0;
    if (lane.over && !in_vain) return;
    lane.over = true;
    if (!good) lane.set_end(error);
    drop_unfinished(lane);
    if (!in_order) drop_successors(lane, now);
    if (!successors_.empty()) {
        successors_.settle_rest(lane.carrier, good);
        give_out_free(now);
    }
    lane.told = false;
    readable(lane);
}

std::optional<InMessage> Inbox::take(InLane& lane) {
    if (lane.empty()) {
        const bool news = !lane.asked || lane.minimum > 0;
        if (news && lane.work && !lane.work->unfinished.empty()) touch(lane);
        lane.asked = true;
        lane.minimum = 0;
        lane.told = false;
        return std::nullopt;
    }
    InWork& work = *lane.work;
    std::optional<InMessage> message(std::move(work.whole.front()));
    work.whole.pop();
    const std::uint64_t size = message->size();
    work.untaken -= size;
    finished_ -= size;
    weigh(lane, -static_cast<std::int64_t>(overhead_of(*message)));
    release(lane, size);
    return message;
}

void Inbox::discard(Instant now, InLane& lane) {
    lane.discarding = true;
    while (take(lane)) {}
    drop_unfinished(lane);
    drop_successors(lane, now);
    give_out_free(now);
}

void Inbox::drop_unfinished(InLane& lane) {
    if (!lane.work || lane.work->unfinished.empty()) return;
    for (const Assembly& one : lane.work->unfinished)
        if (one.waits) let_go(lane, *successors_.remove(one.name(lane.carrier)));
    lane.work->unfinished.clear();
    release(lane, std::exchange(lane.work->assembling, 0));
}

void Inbox::remove(InLane& lane) {
    lane.discarding = true;
    while (take(lane)) {}
    drop_unfinished(lane);
    unhold(lane);
    if (lane.touched) std::erase(touched_, &lane);
    if (lane.waiting) std::erase(waiting_, &lane);
    if (lane.reporting) std::erase(reporting_, &lane);
    const bool cut = lane.end() && !plain_ && *lane.end() != Errc::no_return_path;
    if (cut) outcomes_.was_reset(lane.carrier, known_of(lane));
    if (!lane.work) return;
    InWork& work = *lane.work;
    for (Receipts& known : work.receipts)
        while (known.changed() && !plain_) last_words_.push(known.take(lane.carrier));
    granted_ -= std::exchange(work.granted, 0);
    work.receipts.clear();
    work.unreported = 0;
    if (work.whole.capacity() <= most_kept_messages) works_.give(std::move(lane.work));
}

std::vector<Receipts> Inbox::known_of(const InLane& lane) {
    if (!lane.work) return {Receipts(NicenessClass{}, lane.watermark)};
    std::vector<Receipts> known;
    for (const Receipts& one : lane.work->receipts) known.push_back(one.brief());
    return known;
}

// DELIVERED.

Receipts& Inbox::receipts(InLane& lane, NicenessClass niceness) {
    auto& receipts = work(lane).receipts;
    for (Receipts& known : receipts)
        if (known.niceness() == niceness) return known;
    return receipts.emplace_back(niceness);
}

void Inbox::report_later(Instant now, InLane& lane) {
    if (plain_) return;
    if (!lane.reporting) {
        lane.reporting = true;
        reporting_.push_back(&lane);
        if (report_at_ == never) report_at_ = now + report_delay;
    }
    urgent_reports_ |= lane.ask || lane.work->unreported >= report_messages;
}

bool Inbox::next_report(Delivered& report) {
    if (!last_words_.empty()) {
        report = std::move(last_words_.front());
        last_words_.pop();
        return true;
    }
    while (!reporting_.empty()) {
        InLane& lane = *reporting_.back();
        for (Receipts& known : lane.work->receipts) {
            if (!known.changed()) continue;
            report = known.take(lane.carrier);
            return true;
        }
        lane.reporting = false;
        lane.ask = false;
        lane.work->unreported = 0;
        reporting_.pop_back();
        release_if_idle(lane);
    }
    urgent_reports_ = false;
    report_at_ = never;
    return false;
}

// What is urgent goes with the next packet; congestion control, and no timer, says when that is.
void Inbox::handle_timeout(Instant now) {
    if (now >= successors_.deadline()) {
        successors_.expire(now);
        give_out_free(now);
    }
    if (now < report_at_) return;
    report_at_ = never;
    urgent_reports_ = true;
}

}  // namespace post::core
