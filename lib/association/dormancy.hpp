// Dormancy: what an association has while it has no connection because nobody needs one, until it
// has one again (Carrier::deactivate, DESIGN 7).
//
//             nothing on its way            a send (client)          another connection
//   wanted ------------------------> at rest ------------> waking ------------------------> none
//                                       |   (server: ATTACH)  |
//                                       +--> gone: Bounds::dormant_for is over (server)
//                                                             +--> gone: Bounds::continuity is over
#pragma once

#include <cstddef>

#include <post/time.hpp>

namespace post::core {

struct Dormancy {
    bool wanted = false;      // as soon as nothing is on its way
    Instant give_up = never;  // a server's: nobody came
    std::size_t counted = 0;  // in Shared::dormant
};

}  // namespace post::core
