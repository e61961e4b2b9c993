// Shared: what all associations of a Context have in common: budgets, memory that is used again,
// and what is counted over all of them.
#pragma once

#include <unordered_map>
#include <vector>

#include <post/message.hpp>

#include "lib/association/early_races.hpp"
#include "lib/association/lane.hpp"
#include "lib/association/pool.hpp"
#include "lib/association/small_blocks.hpp"
#include "lib/association/standbys.hpp"
#include "lib/association/trace.hpp"

namespace post::core {

using Lanes = std::unordered_map<CarrierId, Lane>;

// What all associations of a Context share.
struct Shared {
    static constexpr std::size_t most_spare = 256;
    Charge charge;
    Pool<OutWork> out_works;
    Pool<InWork> in_works;
    SmallBlocks sent;                           // small contents that are sent
    SmallBlocks received;                       // and such that came
    std::vector<Lanes::node_type> spare_lanes;  // of Carriers that are gone
    std::uint64_t outstanding = 0;              // messages without a fate
    std::uint64_t draining = 0;                 // Carriers that were closed and are not over
    static constexpr std::size_t most_lost = 16384;
    std::size_t lost = 0;  // servers' associations that wait for another connection
    static constexpr std::size_t most_dormant = 262144;
    std::size_t dormant = 0;  // Carriers of servers' associations that rest; one at least of each
    EarlyRaces early_races;   // that listeners heard of
    Standbys standbys;        // that listeners took
    // Random, and another one as soon as a server's association is forgotten to which its client
    // may still come back: who is refused, and finds the same one, was never known.
    AssociationName remembrance{};
    TraceLog trace;
    std::vector<Event> arrived;  // what one of them got from its mapping, while it is handled

    // What is sent, as it is held until it is settled.
    Bytes keep(Content&& content) {
        if (content.size() >= SmallBlocks::largest) return std::move(content).take();
        return sent.keep(std::as_bytes(std::span(content.view())));
    }
};

}  // namespace post::core
