// What stories of hot standby begin with: a client that keeps one, and a load in both directions.
#pragma once

#include "tests/scenario/traffic_scene.hpp"

namespace post::test {

inline InitiateOptions with_standby(Duration redundant_below = {}) {
    return {.policy = {.stacks = {Stack::quic, Stack::tls},
                       .standby = true,
                       .redundant_below = redundant_below},
            .bounds = lasting};
}

struct StandbyScene : TrafficScene {
    explicit StandbyScene(std::uint64_t seed, double loss = 0,
                          InitiateOptions options = with_standby(),
                          ListenOptions server_options = {.bounds = lasting})
        : TrafficScene(seed, loss, std::move(options), std::move(server_options)) {}
    bool ready() const {
        const auto all = association().transients();
        return all.size() == 2 && all[0].active && !all[1].active && all[1].stack == Stack::tls;
    }
};

}  // namespace post::test
