// The watermark and the ranges above it.
#include "lib/association/receipts.hpp"

#include <algorithm>

namespace post::core {

namespace {

using Ranges = std::vector<Delivered::Range>;

// Adds [from, end), joined with every range that it touches; false when there would be too many.
bool include(Ranges& ranges, std::uint64_t from, std::uint64_t end, std::size_t most) {
    auto at = std::partition_point(ranges.begin(), ranges.end(), [&](const Delivered::Range& one) {
        return one.first.value() + one.count < from;
    });
    auto last = at;
    for (; last != ranges.end() && last->first.value() <= end; ++last) {
        from = std::min(from, last->first.value());
        end = std::max(end, last->first.value() + last->count);
    }
    at = ranges.erase(at, last);
    if (ranges.size() >= most) return false;
    ranges.insert(at, Delivered::Range{Sequence{from}, end - from});
    return true;
}

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
    std::erase_if(partial_, [&](const Partial& one) {
        return one.sequence >= first && one.sequence.value() - first.value() < count;
    });
    const std::uint64_t from = first.value();
    const std::uint64_t end = from + count;
    if (from <= watermark_) {
        watermark_ = std::max(watermark_, end);
    } else {
        include(ranges_, from, end, most_kept);
    }
    while (!ranges_.empty() && ranges_.front().first.value() <= watermark_) {
        watermark_ = std::max(watermark_, ranges_.front().first.value() + ranges_.front().count);
        ranges_.erase(ranges_.begin());
    }
}

bool Receipts::drop(Sequence sequence) {
    if (!dropped_) dropped_ = Ranges{};
    if (!include(*dropped_, sequence.value(), sequence.value() + 1, most_kept)) return false;
    add(sequence);
    return true;
}

void Receipts::progress(Sequence sequence, std::uint64_t bytes) {
    changed_ = true;
    for (Partial& one : partial_) {
        if (one.sequence != sequence) continue;
        one = {sequence, bytes};
        return;
    }
    partial_.push_back({sequence, bytes});
}

Receipts Receipts::brief() const {
    Receipts brief(niceness_, watermark_);
    const auto kept = static_cast<std::ptrdiff_t>(std::min(ranges_.size(), most_ranges));
    brief.ranges_.assign(ranges_.begin(), ranges_.begin() + kept);
    brief.said_ = said_;
    brief.remember(dropped_);
    return brief;
}

Delivered Receipts::summary(CarrierId carrier) const {
    Delivered delivered;
    delivered.carrier = carrier;
    delivered.niceness = niceness_;
    delivered.watermark = Sequence{watermark_};
    Receipts brief = this->brief();
    delivered.ranges = std::move(brief.ranges_);
    delivered.dropped = std::move(brief.said_);
    return delivered;
}

std::vector<Delivered::Range> Receipts::missing(Sequence first, std::uint64_t count) const {
    std::vector<Delivered::Range> missing;
    const std::uint64_t end = first.value() + count;
    std::uint64_t at = std::max(first.value(), watermark_);
    for (const Delivered::Range& range : ranges_) {
        const std::uint64_t from = std::min(range.first.value(), end);
        if (from > at) missing.push_back({Sequence{at}, from - at});
        at = std::max(at, range.first.value() + range.count);
    }
    if (at < end) missing.push_back({Sequence{at}, end - at});
    return missing;
}

void Receipts::remember(const core::Boxed<Ranges>& dropped) {
    if (!dropped) return;
    if (!said_) said_ = Ranges{};
    for (const Delivered::Range& range : *dropped) {
        while (said_->size() >= most_ranges) said_->erase(said_->begin());
        include(*said_, range.first.value(), range.first.value() + range.count, most_kept);
    }
}

Delivered Receipts::take(CarrierId carrier) {
    Delivered delivered;
    delivered.carrier = carrier;
    delivered.niceness = niceness_;
    if (dropped_ && dropped_->size() > most_ranges) {
        // So many and nothing else: what is settled behind them would count as held.
        const auto end = dropped_->begin() + most_ranges;
        delivered.dropped = Ranges(dropped_->begin(), end);
        dropped_->erase(dropped_->begin(), end);
        remember(delivered.dropped);
        return delivered;
    }
    remember(dropped_);
    delivered.dropped = std::move(dropped_);
    changed_ = false;
    delivered.watermark = Sequence{watermark_};
    delivered.ranges.assign(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                   ranges_.size(), most_ranges)));
    if (partial_.empty()) return delivered;
    const auto untold = [](const Partial& one) { return !one.told; };
    auto next = std::find_if(partial_.begin(), partial_.end(), untold);
    if (next == partial_.end()) --next;
    next->told = true;
    delivered.partial = next->sequence;
    delivered.progress = next->bytes;
    changed_ = std::any_of(next, partial_.end(), untold);
    return delivered;
}

}  // namespace post::core
