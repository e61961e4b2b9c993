// The conductor: runs the rounds, each row in turn with its two processes, and gathers the figures.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "row.hpp"

namespace post::bench {

struct Outcome {
    std::vector<Figure> figures;
    std::vector<const Row*> unsupported;
    unsigned failures = 0;  // of rows, each counted in every round
};

// The rows that the settings name. Throws std::invalid_argument for a name that fits none.
std::vector<const Row*> chosen(const Settings& settings);

// Calls `on_figure` with each figure as it comes.
Outcome conduct(const Settings& settings, const std::function<void(const Figure&)>& on_figure);

}  // namespace post::bench
