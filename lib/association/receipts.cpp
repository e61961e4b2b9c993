// The watermark and the ranges above it.
#include "lib/association/receipts.hpp"

#include <algorithm>

namespace post::core {

namespace {

constexpr std::uint64_t wire_end = std::uint64_t{1} << 62;  // no sequence number is larger

}  // namespace

bool Receipts::has(Sequence sequence) const {
    const std::uint64_t at = sequence.value();
    if (at < watermark_) return true;
    const auto range = std::partition_point(
        ranges_.begin(), ranges_.end(),
        [&](const Delivered::Range& one) { return one.first.value() + one.count <= at; });
    return range != ranges_.end() && range->first.value() <= at;
}

void Receipts::add(Sequence first, std::uint64_t count) {
    changed_ = true;
    if (partial_ && partial_->value() >= first.value() && partial_->value() - first.value() < count)
        partial_.reset();
    std::uint64_t from = first.value();
    std::uint64_t end = from + count;
    if (from <= watermark_) {
        watermark_ = std::max(watermark_, end);
    } else {
        // Joins every range that it touches.
        auto at = std::partition_point(
            ranges_.begin(), ranges_.end(),
            [&](const Delivered::Range& one) { return one.first.value() + one.count < from; });
        auto last = at;
        for (; last != ranges_.end() && last->first.value() <= end; ++last) {
            from = std::min(from, last->first.value());
            end = std::max(end, last->first.value() + last->count);
        }
        at = ranges_.erase(at, last);
        if (ranges_.size() < most_kept)
            ranges_.insert(at, Delivered::Range{Sequence{from}, end - from});
    }
    while (!ranges_.empty() && ranges_.front().first.value() <= watermark_) {
        watermark_ = std::max(watermark_, ranges_.front().first.value() + ranges_.front().count);
        ranges_.erase(ranges_.begin());
    }
}

void Receipts::progress(Sequence sequence, std::uint64_t bytes) {
    partial_ = sequence;
    progress_ = bytes;
    changed_ = true;
}

void Receipts::drop(Sequence sequence) {
    add(sequence);
    if (!dropped_) dropped_ = std::vector<Delivered::Range>{};
    auto& dropped = *dropped_;
    const auto at = std::partition_point(dropped.begin(), dropped.end(), [&](const auto& one) {
        return one.first.value() + one.count < sequence.value();
    });
    if (at != dropped.end() && at->first.value() + at->count == sequence.value())
        ++at->count;
    else
        dropped.insert(at, {sequence, 1});
    // Whoever sends so much in vain hears of the first of them that it was taken.
    if (dropped.size() > most_dropped) dropped.erase(dropped.begin());
}

Delivered Receipts::take(CarrierId carrier) {
    changed_ = false;
    Delivered delivered;
    delivered.carrier = carrier;
    delivered.niceness = niceness_;
    // What was dropped is not told of before it is told that it was.
    std::uint64_t end = wire_end;
    if (dropped_) {
        const std::size_t told = std::min(dropped_->size(), most_ranges);
        const auto rest = dropped_->begin() + static_cast<std::ptrdiff_t>(told);
        delivered.dropped = std::vector<Delivered::Range>(dropped_->begin(), rest);
        dropped_->erase(dropped_->begin(), rest);
        changed_ = !dropped_->empty();
        if (changed_)
            end = dropped_->front().first.value();
        else
            dropped_ = {};
    }
    delivered.watermark = Sequence{std::min(watermark_, end)};
    for (const Delivered::Range& range : ranges_) {
        if (delivered.ranges.size() == most_ranges || range.first.value() >= end) break;
        const std::uint64_t count = std::min(range.count, end - range.first.value());
        if (watermark_ < end) delivered.ranges.push_back({range.first, count});
    }
    if (partial_ && watermark_ < end) {
        delivered.partial = partial_;
        delivered.progress = progress_;
    }
    return delivered;
}

}  // namespace post::core
