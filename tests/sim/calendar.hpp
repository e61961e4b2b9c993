// The calendar of the World at hand (ambient.hpp) is set forth or back, as people do it, and
// network time; nothing else jumps.
#pragma once

#include <chrono>

namespace post::sim {

void set_calendar(std::chrono::seconds by);

}  // namespace post::sim
