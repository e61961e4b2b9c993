// QueueSupply: a Supply that is nothing but a queue, for tests of mappings. What a mapping reports
// is kept to be looked at.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "mappings/mapping.hpp"

namespace post::test {

inline CarrierId carrier_of(const Outgoing& outgoing) {
    return std::visit(
        [](const auto& value) {
            if constexpr (requires { value.carrier; }) return value.carrier;
            return CarrierId{~std::uint64_t{0}};  // SETTINGS belong to nobody
        },
        outgoing);
}

// Each message of a run as an event of its own, held.
inline void spread_runs(std::vector<Event>& events) {
    std::vector<Event> spread;
    for (Event& event : events) {
        const auto* run = std::get_if<event::ArrivedRun>(&event);
        if (!run) spread.push_back(std::move(event));
        for (std::size_t i = 0; run && i < run->contents.size(); ++i) {
            Piece piece = run->piece(i);
            piece.bytes = piece.bytes.held();
            spread.emplace_back(event::Arrived{std::move(piece)});
        }
    }
    events = std::move(spread);
}

class QueueSupply final : public Supply {
public:
    void push(Outgoing outgoing) { queue_.push_back(std::move(outgoing)); }
    void unblock(CarrierId carrier) { blocked_.erase(carrier); }

    Outgoing* next() override {
        for (auto row = queue_.begin(); row != queue_.end(); ++row) {
            if (blocked_.count(carrier_of(*row))) continue;
            current_ = std::move(*row);
            queue_.erase(row);
            ++pulled_;
            return &current_;
        }
        return nullptr;
    }
    void packed(CarrierId carrier, std::uint64_t pieces) override { packed_[carrier] += pieces; }
    void packed_alone(CarrierId carrier, NicenessClass, Sequence sequence) override {
        packed_alone_[carrier].push_back(sequence);
    }
    void blocked(CarrierId carrier) override {
        blocked_.insert(carrier);
        ++times_blocked_[carrier];
    }

    std::size_t waiting() const { return queue_.size(); }
    std::uint64_t pulled() const { return pulled_; }
    std::uint64_t packed_of(CarrierId carrier) const {
        auto row = packed_.find(carrier);
        return row == packed_.end() ? 0 : row->second;
    }
    std::vector<Sequence> alone_of(CarrierId carrier) const {
        auto row = packed_alone_.find(carrier);
        return row == packed_alone_.end() ? std::vector<Sequence>{} : row->second;
    }
    bool is_blocked(CarrierId carrier) const { return blocked_.count(carrier) > 0; }
    std::uint64_t times_blocked(CarrierId carrier) const {
        auto row = times_blocked_.find(carrier);
        return row == times_blocked_.end() ? 0 : row->second;
    }

private:
    std::deque<Outgoing> queue_;
    Outgoing current_;
    std::set<CarrierId> blocked_;
    std::map<CarrierId, std::uint64_t> packed_;
    std::map<CarrierId, std::uint64_t> times_blocked_;
    std::map<CarrierId, std::vector<Sequence>> packed_alone_;
    std::uint64_t pulled_ = 0;
};

}  // namespace post::test
