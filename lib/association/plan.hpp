// From a policy to a plan, and to what the race is told: both come of the same values and the same
// arrange(), so that they cannot differ. Pure.
#pragma once

#include <string>
#include <vector>

#include <post/plan.hpp>
#include <post/remote.hpp>

#include "lib/association/candidates.hpp"
#include "lib/policy/selection.hpp"

namespace post::core {

// What a race is told of a selection. `alpn`: the application's own protocol; empty: Post's.
RaceOptions race_options(const Selection& selection, std::string alpn = {});

// `endpoints` as resolution gave them, `resolved` what it said of errors; `options` those of the
// race, with the paths and with what is remembered of earlier races in them.
Plan plan(const Remote& remote, const Selection& selection, const std::vector<Endpoint>& endpoints,
          const RaceOptions& options, const Error& resolved = {});

}  // namespace post::core
