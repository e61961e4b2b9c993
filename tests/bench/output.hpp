// What becomes of figures: lines of JSON for programs, a table for people.
#pragma once

#include <cstdio>

#include "conductor.hpp"

namespace post::bench {

// The first line: versions and machine.
void write_json_header(std::FILE* file, const Settings& settings);
void write_json(std::FILE* file, const Figure& figure);
void write_json(std::FILE* file, const Row& unsupported);

// Medians and ranges over the rounds.
void write_table(std::FILE* file, const Outcome& outcome);

}  // namespace post::bench
