// What is remembered of messages and Carriers that are gone.
#include "lib/association/outcomes.hpp"

#include <algorithm>

namespace post::core {

void Outcomes::opened(CarrierId carrier) {
    last_ = std::max(last_, carrier.value() / 2);
    opened_.add(Sequence{carrier.value() / 2});
}

std::optional<std::uint64_t> Outcomes::plain() const {
    if (!failed_.empty() || !reset_.empty()) return std::nullopt;
    const Delivered all = opened_.summary({});
    if (!all.ranges.empty()) return std::nullopt;
    return all.watermark.value();
}

Outcomes Outcomes::of(std::uint64_t opened) {
    Outcomes outcomes;
    outcomes.opened_ = Receipts(NicenessClass{}, opened);
    outcomes.last_ = opened > 0 ? opened - 1 : 0;
    return outcomes;
}

bool Outcomes::was_opened(CarrierId carrier) const {
    return opened_.has(Sequence{carrier.value() / 2});
}

void Outcomes::failed(const Antecedent& first, std::uint64_t count) {
    const auto [at, fresh] = failed_.emplace(first, count);
    if (!fresh) {
        at->second = std::max(at->second, count);
        return;
    }
    failed_order_.push(first);
    if (failed_order_.size() <= most_failed) return;
    failed_.erase(failed_order_.front());
    failed_order_.pop();
}

bool Outcomes::has_failed(const Antecedent& message) const {
    auto at = failed_.upper_bound(message);
    if (at == failed_.begin()) return false;
    --at;
    const Antecedent& first = at->first;
    return first.carrier == message.carrier && first.niceness == message.niceness &&
           message.sequence.value() - first.sequence.value() < at->second;
}

void Outcomes::was_reset(CarrierId carrier, std::vector<Receipts> receipts) {
    if (!reset_.emplace(carrier, std::move(receipts)).second) return;
    reset_order_.push(carrier);
    if (reset_order_.size() <= most_reset) return;
    reset_.erase(reset_order_.front());
    reset_order_.pop();
}

bool Outcomes::lost(const Antecedent& message) const {
    const auto at = reset_.find(message.carrier);
    if (at == reset_.end()) return false;
    return std::none_of(at->second.begin(), at->second.end(), [&](const Receipts& known) {
        return known.niceness() == message.niceness && known.has(message.sequence);
    });
}

}  // namespace post::core
