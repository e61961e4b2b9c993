// Names come and grow old.
#include "mappings/early_guard.hpp"

#include "mappings/wire/writer.hpp"

namespace post {

void EarlyGuard::refresh(Instant now) {
    now_ = now;
    for (; !by_age_.empty() && now - by_age_.front().first >= kept_for; by_age_.pop_front())
        names_.erase(names_.find(std::string(by_age_.front().second)));
    while (!admitted_.empty() && now - admitted_.front() >= reserved_for) admitted_.pop_front();
}

bool EarlyGuard::add(std::string name) {
    if (names_.size() >= most_) return false;
    const auto [at, fresh] = names_.insert(std::move(name));
    if (!fresh) return false;
    by_age_.emplace_back(now_, *at);
    return !source_ || source_->first_use(Bytes(*at), kept_for);
}

bool EarlyGuard::admit(std::span<const std::byte> binder) {
    const std::size_t reserved = (admitted_.size() + 1) * (1 + most_messages);
    if (names_.size() + reserved > most_) return false;
    if (!add("hello " + std::string(reinterpret_cast<const char*>(binder.data()), binder.size())))
        return false;
    admitted_.push_back(now_);
    return true;
}

bool EarlyGuard::first(std::uint64_t race, CarrierId carrier, NicenessClass niceness,
                       Sequence sequence) {
    std::array<std::byte, 25> space;
    wire::Writer writer(space);
    writer.u64(race).u64(carrier.value()).u8(niceness.value()).u64(sequence.value());
    return add("message " + std::string(reinterpret_cast<const char*>(space.data()), space.size()));
}

}  // namespace post
