// The Carriers of an association by their ids: what is done to all of them is done in this order,
// so that runs repeat.
#pragma once

#include <algorithm>
#include <vector>

#include "lib/association/shared.hpp"

namespace post::core {

inline std::vector<CarrierId> in_order(const Lanes& lanes) {
    std::vector<CarrierId> all;
    for (const auto& [id, lane] : lanes) all.push_back(id);
    std::sort(all.begin(), all.end());
    return all;
}

}  // namespace post::core
