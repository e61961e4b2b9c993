// Carriers: who hears of paths, and who waits for one.
#include "lib/carrier/waiting.hpp"

namespace post {

void Carrier::on_path(OnPath on_path) {
    auto* table = anchor_ ? anchor_->carriers : nullptr;
    if (table) table->on_path(key_, std::move(on_path));
}

}  // namespace post

namespace post::core {

void Carriers::on_path(CarrierKey key, Carrier::OnPath on_path) {
    Row* row = rows_.find(key);
    if (row && !row->over) callbacks(*row).on_path = std::move(on_path);
}

void Carriers::make(happened::PathChanged& event) {
    const Association* association = associations_.find(event.association);
    if (!association) return;
    for (const Tag tag : association->tags()) {
        const CarrierKey key = key_of(tag);
        Row* row = rows_.find(key);
        if (!row || row->over || !row->callbacks || !row->callbacks->on_path) continue;
        // As a call of its own: each may throw, and destroy anything.
        call([this, key, path = event.path] {
            Row* now = rows_.find(key);
            if (!now || now->over || !now->callbacks || !now->callbacks->on_path) return;
            auto on_path = std::exchange(now->callbacks->on_path, {});
            const Finally put_back{[&] {
                now = rows_.find(key);
                if (now && !now->over && !now->callbacks->on_path)
                    now->callbacks->on_path = std::move(on_path);
            }};
            on_path(path);
        });
    }
}

Operation<Path> Carriers::wait_for_path(std::uint64_t number) {
    WaitingRef<Waiting<Path>> waiting(new (anchor_) Waiting<Path>);
    moving_[number] = waiting;
    ++awaited_;
    return {waiting, anchor()};
}

void Carriers::answer_path(std::uint64_t number, Result<Path> path) {
    if (const auto node = moving_.extract(number)) answer<Path>(node.mapped(), std::move(path));
}

}  // namespace post::core
