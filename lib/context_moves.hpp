// Moves: what the root keeps of the way of one association from path to path.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <post/local.hpp>
#include <post/time.hpp>

#include "lib/policy/paths.hpp"
#include "mappings/wire/rate_limit.hpp"

namespace post::core {

struct Moves {
    // As which Root::interfaces_version_ the interfaces were looked at last.
    std::uint64_t version = 0;
    // When they are to be looked at again.
    Instant due = never;
    // How often an association moves by itself, and asks its peer for it: four times in a row, as
    // between two networks at the edge of both, and then once a second.
    wire::RateLimit limit{4, 1};
    // Interfaces over which the peer did not answer since something changed; most_paths at most.
    std::vector<std::string> failed{};

    // The one that is under way.
    std::uint64_t number = 0;  // of the Move; 0: none is
    std::uint64_t asked = 0;   // the application's wait for it; 0: it did not ask
    bool at_once = false;
    LocalPath target{};
    Local local{};                  // as it asked
    std::vector<LocalPath> rest{};  // what else may be tried
    std::string tried{};            // for who asked: a line each
};

}  // namespace post::core
