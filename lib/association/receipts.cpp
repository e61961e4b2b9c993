// The watermark and the ranges above it.
#include "lib/association/receipts.hpp"

#include <algorithm>

namespace post::core {

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

Delivered Receipts::take(CarrierId carrier) {
    changed_ = false;
    Delivered delivered;
    delivered.carrier = carrier;
    delivered.niceness = niceness_;
    delivered.watermark = Sequence{watermark_};
    delivered.ranges.assign(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                   ranges_.size(), most_ranges)));
    if (partial_) {
        delivered.partial = partial_;
        delivered.progress = progress_;
    }
    return delivered;
}

}  // namespace post::core
