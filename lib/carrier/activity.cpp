// Carriers: who lets a connection go, and who hears of it.
#include "lib/carrier/waiting.hpp"

namespace post::core {

Operation<void> Carriers::deactivate(CarrierKey key) {
    using Answer = Result<void>;
    const Row* row = rows_.find(key);
    Association* association = row ? this->association(*row) : nullptr;
    if (!association || row->over) {
        Error error = row ? row->ended() : Error(Errc::carrier_closed);
        return {Answer(std::move(error)), anchor()};
    }
    if (Error error = association->deactivate()) return {Answer(std::move(error)), anchor()};
    if (association->state() <= Association::State::dormant) return {Answer(), anchor()};
    return {wait(deactivating_[row->association]), anchor()};
}

void Carriers::make(happened::Dormant& event) {
    auto waiting = deactivating_.extract(event.association);
    if (!waiting) return;
    for (const auto& one : waiting.mapped())
        answer<void>(one, event.error ? Result<void>(event.error) : Result<void>());
}

Activity Carriers::activity(CarrierKey key) {
    const Row* row = rows_.find(key);
    return row && !row->over ? associations_.activity(row->association) : Activity::over;
}

void Carriers::on_activity(CarrierKey key, Carrier::OnActivity on_activity) {
    Row* row = rows_.find(key);
    if (row && !row->over) callbacks(*row).on_activity = std::move(on_activity);
}

void Carriers::make(happened::Changed& event) {
    const Association* association = associations_.find(event.association);
    if (!association) return;
    for (const Tag tag : association->tags()) {
        const CarrierKey key = key_of(tag);
        Row* row = rows_.find(key);
        if (!row || row->over || !row->callbacks || !row->callbacks->on_activity) continue;
        // As a call of its own: each may throw, and destroy anything.
        call([this, key, activity = event.activity] {
            Row* now = rows_.find(key);
            if (!now || now->over || !now->callbacks || !now->callbacks->on_activity) return;
            auto on_activity = std::exchange(now->callbacks->on_activity, {});
            const Finally put_back{[&] {
                now = rows_.find(key);
                if (now && !now->over && now->callbacks && !now->callbacks->on_activity)
                    now->callbacks->on_activity = std::move(on_activity);
            }};
            on_activity(activity);
        });
    }
}

}  // namespace post::core
